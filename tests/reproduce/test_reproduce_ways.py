"""The experiments of lesson 06: every way comes out, and runs are judged in words."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tpainn_lite import datasets, molecules, tune
from tpainn_lite.data import label
from tpainn_lite.reproduce import ladder
from tpainn_lite.reproduce import ways as ways
from tpainn_lite.reproduce.modes import (
    FMAX,
    LARGEST,
    POTENTIAL,
    minimum_and_modes,
    tasks,
)


def short(config):
    return replace(config, steps=2) if isinstance(config, tune.FitConfig) else config


@pytest.fixture
def brief(monkeypatch):
    """Two steps a training, few structures to judge on, no runs."""
    for table in (ways.WAYS, ways.CCSDT_WAYS):
        for way, config in table.items():
            monkeypatch.setitem(table, way, short(config))
    loaded = datasets.load

    def few(name):
        return {
            s: part if s == "pool" else part[:4] for s, part in loaded(name).items()
        }

    monkeypatch.setattr(datasets, "load", few)
    monkeypatch.setattr(ways, "HOT_N", 0)


def row(task, tmp_path):
    ways.compute(task, tmp_path / "row")
    return json.loads((tmp_path / "row").read_text())


@pytest.mark.parametrize("way", ["zero-shot", *ways.WAYS])
def test_every_way_on_ethanol(way, brief, tmp_path):
    found = row(("ethanol-dft", way, 3, 0, ""), tmp_path)
    assert 10 < found["force_mae"] < 3000
    assert ("others_force_mae" in found) == (way != "delta")
    assert ("moved" in found) == (way not in ("zero-shot", "delta", "instant head"))


@pytest.mark.parametrize("way", ["zero-shot", *ways.CCSDT_WAYS])
def test_every_way_to_coupled_clusters(way, brief, tmp_path):
    found = row(("ethanol-ccsdt", way, 10, 0, ""), tmp_path)
    assert 10 < found["force_mae"] < 3000


def test_tasks_are_all_different_and_cover_the_tables():
    tasks = ways.tasks()
    assert len(set(tasks)) == len(tasks)
    assert {t[1] for t in tasks} == {"zero-shot", *ways.WAYS, *ways.CCSDT_WAYS}


def test_replayed_frames_are_of_many_molecules_at_once():
    first = ways.classical_frames()[:10]
    assert len({a.info["smiles"] for a in first}) == 10
    assert len(ways.classical_frames()) == 100


def test_a_hot_run_that_holds_and_one_that_breaks(monkeypatch):
    monkeypatch.setattr(ways, "HOT_PS", 0.1)

    class Spring:
        """MMFF94, and beyond some time nothing at all: atoms fly off."""

        def __init__(self, calls):
            self.calls, self.known = calls, molecules.mmff94("CCO")

        def energy_forces(self, numbers, positions, cell=None):
            self.calls -= 1
            energy, forces = self.known(numbers, positions, cell)
            return (energy, forces) if self.calls > 0 else (energy, -forces)

    assert ways.hot_run(Spring(10_000), seed=0) == pytest.approx(0.1)
    assert ways.hot_run(Spring(50), seed=0) < 0.1


def test_a_rung_of_the_ladder(monkeypatch, tmp_path):
    sets = datasets.load("teachers-xtb")
    quantum = datasets.load("molecules-dft")
    few = {s: part[:: len(part) // 20] for s, part in sets.items()}
    some = {"pool": quantum["pool"], "test": quantum["test"][:4]}
    known = {"teachers-xtb": few, "molecules-dft": some}
    monkeypatch.setattr(datasets, "load", known.get)
    monkeypatch.setattr(ladder, "STEPS", 2)
    monkeypatch.setattr(ladder, "SIZES", (3,))
    monkeypatch.setattr(ladder, "SEEDS", (0,))
    config = replace(tune.TUNED, steps=2)
    monkeypatch.setattr(tune, "CONFIGS", {"tuned": config})
    ladder.compute(("UFF", ""), tmp_path / "row")
    found = json.loads((tmp_path / "row").read_text())
    assert {r["arm"] for r in found["rows"]} == {"zero-shot", "tuned"}
    assert 300 < found["teacher_force_mae"] < 2000
    assert 0 < found["label_cpu_s"] < 0.1


def test_teachers_label_molecule_by_molecule():
    frames = datasets.load("teachers-xtb")["valid"][18:23]  # of two molecules
    assert len({a.info["smiles"] for a in frames}) == 2
    for name, field in (("UFF", molecules.uff), ("MMFF94", molecules.mmff94)):
        for new, old in zip(ladder.by_teacher(name, frames), frames, strict=True):
            (same,) = label([old], field(old.info["smiles"]))
            np.testing.assert_array_equal(new.get_forces(), same.get_forces())


def test_modes_move_about_a_minimum():
    atoms, modes = minimum_and_modes()
    potential = datasets.checkpoint(POTENTIAL).double()
    _, forces = potential.energy_forces(atoms.numbers, atoms.positions)
    assert np.abs(forces).max() < 2 * FMAX
    assert modes.shape == (21, 9, 3)
    largest = np.linalg.norm(modes, axis=2).max(axis=1)
    np.testing.assert_allclose(largest, LARGEST)
    root = np.sqrt(atoms.get_masses())[None, :, None]
    flat = (root * modes).reshape(21, -1)
    flat /= np.linalg.norm(flat, axis=1)[:, None]
    np.testing.assert_allclose(flat @ flat.T, np.eye(21), atol=2e-3)
    drift = (atoms.get_masses()[:, None] * modes).sum(axis=1)  # no translation
    np.testing.assert_allclose(drift, 0, atol=1e-3)
    made = tasks()
    assert len({t[:2] for t in made}) == len(made) == 43
