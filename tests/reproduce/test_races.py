"""Races, ways to tune and teachers: what a point is, and small ones computed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tpainn_lite import datasets, molecules, tune
from tpainn_lite.data import label
from tpainn_lite.reproduce import cards, ladder, races, trainings
from tpainn_lite.units import KCAL_MOL


def test_points_of_one_size_see_the_same_structures():
    pool = datasets.load("molecules-dft")["pool"]
    one, none = trainings.draw(pool, 5, 0, seed=1)
    same, watched = trainings.draw(pool, 5, 20, seed=1)
    assert none is None
    assert [a.positions.tolist() for a in one] == [a.positions.tolist() for a in same]
    assert len(watched) == 20
    assert not {id(a) for a in same} & {id(a) for a in watched}
    assert trainings.draw(pool, len(pool), 20, seed=1)[1] is None


@pytest.mark.parametrize("name", [*races.GRIDS, "ways"])
def test_what_ships_are_the_points_of_the_table(name):
    known = [about for about, _ in races.points(name)]
    rows = [{k: r[k] for k in known[0]} for r in datasets.card(name)["rows"]]
    assert sorted(map(str, rows)) == sorted(map(str, known))
    assert len({str(about) for about in known}) == len(known)
    if name == "ways":
        return
    grid = races.GRIDS[name]
    for arm in grid.arms:  # at every size and seed
        budget = grid.configs["tuned"].steps
        found = [about for about in known if about["steps"] == budget]
        found = [a for a in found if a["arm"].partition(", ")[0] == arm]
        cells = {(about["n"], about["seed"]) for about in found}
        assert len(cells) == len(grid.sizes) * len(trainings.SEEDS)


def test_a_grid_is_made_of_its_points(monkeypatch, tmp_path):
    """Two steps, and ten for the longer arm, on shipped molecules."""
    grid = replace(
        races.GRIDS["molecules-grid"],
        teachers={"": "molecules-mmff94", "again": "molecules-mmff94"},
        sizes=(3,),
        longer={"scratch": (3,)},
        arms=tune.ARMS,
        kind=None,
        configs={arm: replace(c, steps=2) for arm, c in tune.CONFIGS.items()},
        watch=2,
        stride=100,
    )
    monkeypatch.setitem(races.GRIDS, "small", grid)
    monkeypatch.setattr(races, "SEEDS", (0,))
    names = [about["arm"] for about, _ in races.points("small")]
    assert names == [
        *("composition", "zero-shot", "zero-shot, again", "scratch", "tuned"),
        *("tuned, again", "scratch"),
    ]
    for key, part in races.parts("small").items():
        cards.save(races.compute("small", part.task), tmp_path / key)
    made = races.write("small", sorted(tmp_path.iterdir()), tmp_path)
    rows = [(r["arm"], r["steps"]) for r in made["rows"]]  # in the order of the points
    assert rows == list(zip(names, [2] * 6 + [10], strict=True))
    errors = {(r["arm"], r["steps"]): r["force_mae"] for r in made["rows"]}
    assert errors["tuned", 2] == errors["tuned, again", 2]  # the same teacher
    assert errors["zero-shot", 2] < errors["composition", 2]
    assert [t["name"] for t in made["teachers"]] == ["molecules-mmff94"] * 2
    curves = datasets.learning_curves(made, "force_mae")
    assert set(curves) == {*names, "scratch, 5x longer"}


@pytest.mark.parametrize("arm", ["tuned", "tuned for energies", "MMFF94"])
def test_settings_of_a_grid_are_those_of_the_trials(arm):
    grid = races.GRIDS["molecules-grid"]
    for n in grid.sizes:
        aim = "energies" if "energies" in arm else "forces"
        chosen = tune.config_for(n, "molecules", "tuned", aim)
        assert grid.how(arm, n) == (None if arm == "MMFF94" else chosen)
        found = [
            s for about, s in races.points("molecules-grid") if about["arm"] == arm
        ]
        assert {s.arm for s in found} == {arm.partition(" for ")[0]}


def test_energies_are_split_into_between_and_within_molecules(rng):
    """Errors drawn here: one a molecule, and one a structure around it."""
    test = datasets.load("molecules-dft")["test"]
    names = [a.info["smiles"] for a in test]
    each = {name: rng.normal() for name in names}
    around = rng.normal(size=len(test))
    errors = np.array([each[name] for name in names]) + around

    class Wrong:
        """Predicts the labels, and those errors (kcal/mol)."""

        def predict(self, frames, forces):
            truth = [a.get_potential_energy() for a in frames]
            return truth + errors * KCAL_MOL, None

    found = races.energy_parts(Wrong(), test)
    groups = [errors[[n == name for n in names]] for name in each]
    between = np.mean([abs(g.mean()) for g in groups])
    within = np.mean([np.abs(g - g.mean()).mean() for g in groups])
    assert found["energy_between_kcal"] == pytest.approx(between, abs=1e-9)
    assert found["energy_within_kcal"] == pytest.approx(within, abs=1e-9)
    assert {len(g) for g in groups} == {3}


@pytest.fixture
def brief(monkeypatch):
    """Two steps a training, few structures to judge on, no runs."""
    for table in races.WAYS.values():
        for way, config in table.items():
            if isinstance(config, tune.FitConfig):
                monkeypatch.setitem(table, way, replace(config, steps=2))
    loaded = datasets.load

    def few(name):
        parts = loaded(name)
        return {s: part if s == "pool" else part[:4] for s, part in parts.items()}

    monkeypatch.setattr(datasets, "load", few)
    monkeypatch.setattr(races, "HOT_N", 0)


@pytest.mark.parametrize(
    ("data", "way"),
    [(data, way) for data, ways in races.WAYS.items() for way in ("zero-shot", *ways)],
)
def test_every_way(data, way, brief):
    (found,) = races.compute("ways", [races.way_point(data, way, 10, 0)])
    assert 10 < found["force_mae"] < 3000
    others = data == "ethanol-dft" and way != "delta"
    assert ("others_force_mae" in found) == others


def test_replayed_frames_are_of_many_molecules_at_once():
    first = trainings.classical_frames()[:10]
    assert len({a.info["smiles"] for a in first}) == 10
    assert len(trainings.classical_frames()) == 100


def test_a_hot_run_that_holds_and_one_that_breaks(monkeypatch):
    monkeypatch.setattr(races, "HOT_PS", 0.1)

    class Spring:
        """MMFF94, and beyond some time nothing at all: atoms fly off."""

        def __init__(self, calls):
            self.calls, self.known = calls, molecules.mmff94("CCO")

        def energy_forces(self, numbers, positions, cell=None):
            self.calls -= 1
            energy, forces = self.known(numbers, positions, cell)
            return (energy, forces) if self.calls > 0 else (energy, -forces)

    assert races.hot_run(Spring(10_000), seed=0) == pytest.approx(0.1)
    assert races.hot_run(Spring(50), seed=0) < 0.1


def test_a_rung_of_the_ladder(monkeypatch):
    sets, quantum = datasets.load("teachers-xtb"), datasets.load("molecules-dft")
    few = {s: part[:: len(part) // 20] for s, part in sets.items()}
    some = {"pool": quantum["pool"], "test": quantum["test"][:4]}
    known = {"teachers-xtb": few, "molecules-dft": some}
    monkeypatch.setattr(datasets, "load", known.get)
    for name, value in (("STEPS", 2), ("SIZES", (3,)), ("SEEDS", (0,))):
        monkeypatch.setattr(ladder, name, value)
    monkeypatch.setattr(tune, "TUNED", replace(tune.TUNED, steps=2))
    found = json.loads(json.dumps(ladder.compute("ladder", "UFF")))
    assert {r["arm"] for r in found["rows"]} == {"zero-shot", "tuned"}
    assert 300 < found["teacher_force_mae"] < 2000
    assert 0 < found["label_cpu_s"] < 0.1


def test_teachers_label_molecule_by_molecule():
    frames = datasets.load("teachers-xtb")["valid"][18:23]  # of two molecules
    assert len({a.info["smiles"] for a in frames}) == 2
    for name, field in (("UFF", ladder.uff), ("MMFF94", molecules.mmff94)):
        for new, old in zip(ladder.by_teacher(name, frames), frames, strict=True):
            (same,) = label([old], field(old.info["smiles"]))
            np.testing.assert_array_equal(new.get_forces(), same.get_forces())
