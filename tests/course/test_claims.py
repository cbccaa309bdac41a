"""What the README says, asserted from the shipped grids; see tests/claims, too."""

import re
from pathlib import Path

import numpy as np
import pytest

from tpainn_lite import datasets, tune
from tpainn_lite.data import split
from tpainn_lite.train import FitConfig, evaluate

SEEDS = (0, 1, 2)
README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")


def means(name: str, quantity: str = "force_mae"):
    """A function (arm, n, steps): mean over the seeds of one cell of a grid."""
    rows = datasets.card(name)["rows"]

    def mean(arm: str, n: int, steps: int = 600, seeds=SEEDS) -> float:
        wanted = (arm, n, steps)
        found = [r for r in rows if (r["arm"], r["n"], r["steps"]) == wanted]
        assert sorted(r["seed"] for r in found) == [*seeds]
        return float(np.mean([r[quantity] for r in found]))

    return mean


grid, water, public = map(
    means, ("molecules-grid", "water-dft-grid", "water-pbe0ts-grid")
)
qm9 = means("qm9-grid", "mae")


def test_tuned_beats_scratch_at_equal_steps():
    for n, bar in {3: 0.35, 10: 0.45, 30: 0.6, 100: 0.6, 300: 0.6}.items():
        assert grid("tuned", n) <= bar * grid("scratch", n)


def test_the_table_of_the_readme():
    row = r"^\| .*\| (\d+)[ boxes]* \| (.*) \((.*)\) \| (.*) \| ([\d.]+).* \|$"
    told, star = re.findall(row, README, re.M), r"\*"  # one draw
    rows = [(grid, n, "tuned", "calibrated MMFF94") for n in (3, 30, 100, 300)]
    rows += [(water, n, "tuned, calibrated", "calibrated q-TIP4P/F") for n in (1, 8)]
    for (mean, n, *arms), found in zip(rows, told[:6], strict=True):
        errors = (
            mean("scratch", n),
            mean("scratch", n, 3000),
            *(mean(a, n) for a in arms),
        )
        assert found == (str(n), *(f"{error:.0f}" for error in errors))
    scratch, rival = "scratch, references", "calibrated GFN2-xTB"
    errors = (
        qm9(scratch, 100),
        qm9(scratch, 100, 3000, [0]),
        qm9(f"tuned beside {rival}", 100),
    )
    short, longer, tuned, rival = (f"{e:.1f}" for e in (*errors, qm9(rival, 100, 0)))
    assert told[6:] == [("100", short, longer + star, tuned, rival)]


def test_what_few_tuned_labels_are_worth():
    field, before = grid("MMFF94", 3), grid("zero-shot", 3)
    assert 0.9 * field < grid("tuned", 3) < field < before
    assert grid("tuned", 3) < grid("scratch", 300)
    assert grid("tuned", 100) < grid("scratch", 300, 3000) < grid("tuned", 30)
    assert all(f"{error:.0f} meV/Å" in README for error in (field, before))


def test_more_labels_help_every_trained_arm():
    for arm in ("scratch", "tuned"):
        errors = [grid(arm, n) for n in (3, 10, 30, 100, 300)]
        assert errors == sorted(errors, reverse=True)


def test_a_grid_point_is_reproduced():
    """One shipped point, trained again here."""
    sets = datasets.load("molecules-dft")
    (frames,) = split(sets["pool"], 3, seed=0)
    student = datasets.checkpoint("molecules-mmff94")
    free = datasets.atomic_energies("molecules-dft")
    potential, _ = tune.train_arm("tuned", student, frames, free, seed=0)
    wanted, rows = ("tuned", 3, 0), datasets.card("molecules-grid")["rows"]
    (row,) = (r for r in rows if (r["arm"], r["n"], r["seed"]) == wanted)
    assert FitConfig(**row["config"]) == tune.config_for(3, "molecules")
    found = evaluate(potential, sets["test"]).force_mae
    assert found == pytest.approx(row["force_mae"], rel=0.02)


def test_three_tuned_boxes_beat_eighty_from_scratch_and_thirty_eighty_longer():
    assert water("tuned", 3) < water("scratch", 80) < water("tuned", 1)
    assert 0.95 < water("scratch", 80, 3000) / water("tuned", 30) < 1.06


def test_what_the_readme_says_of_the_calibrated_teacher():
    one, eight = (water("tuned, pretrained longer", n) for n in (1, 8))
    assert f"longer has {one:.0f} and {eight:.0f} meV/Å" in README
    assert water("tuned, calibrated", 1) < 0.9 * one
    assert water("tuned, calibrated", 8) > 0.99 * eight
    card = datasets.card("water-dft-calibrated-0")["card"]
    assert {one["name"] for one in card["from"]} == {
        "water-qtip4pf-longer",
        "water-dft",
    }


def test_what_the_readme_says_of_delta_learning():
    rows = [(t, r) for t in datasets.card("ladder")["teachers"] for r in t["rows"]]
    delta = [(t, r) for t, r in rows if r["arm"] == "delta"]
    few, many = (
        np.mean([r["force_mae"] for _, r in delta if r["n"] == n]) for n in (3, 100)
    )
    assert f"{many:.0f} meV/Å with a hundred labels" in " ".join(README.split())
    assert few == pytest.approx(delta[0][0]["teacher_force_mae"], rel=0.02)
    others = [r["force_mae"] for _, r in rows if r["arm"] != "delta"]
    assert many < min(*others, grid("tuned", 100)) / 1.5


def test_what_the_readme_says_of_runs():
    runs, told = {}, " ".join(README.split())  # potential -> density, diffusion
    for row in datasets.card("water-densities")["rows"]:
        if row.keys().isdisjoint(("timestep", "molecules")):
            of = runs.setdefault(row["model"].removeprefix("water-"), [])
            of.append([row["density"][0], row["diffusion"][0]])
    found = {name: np.mean(of, axis=0) for name, of in runs.items()}
    denser, faster = found["tuned-8"] / found["tuned-80"]
    assert 1.03 < denser < 1.045
    assert f"diffuses {faster:.1f} times as fast" in told
    eighty = found["tuned-80-stress"]
    names = ("scratch-8", "scratch-8-2", "scratch-8-1")  # the last does not settle
    *lighter, most = (100 * (1 - found[n][0] / eighty[0]) for n in names)
    assert [*map(round, lighter), most > 25] == [13, 13, True]
    assert "two of three draws are 13 % lighter than eighty boxes" in told
    draws = np.array([d for n, d in found.items() if n.startswith("tuned-8-stress")])
    assert len(draws) == len(runs["tuned-80-stress"]) == 3
    denser = draws[:, 0].mean() / eighty[0]
    assert f"on average {100 * (denser - 1):.0f} % denser than eighty" in told
    low, high = draws[:, 1].min() / eighty[1], draws[:, 1].max() / eighty[1]
    assert f"draws have {low:.1f} to {high:.1f} times that of eighty" in told
    for model, broken in (("scratch-8", 5), ("tuned-8", 0)):
        runs = [r for r in datasets.card("water-stability")["rows"] if r["pressure"]]
        runs = [r for r in runs if r["model"] == f"water-{model}"]
        assert sum(r["intact"] < r["length"] for r in runs) == broken


def test_what_the_readme_says_of_the_public_set():
    few, many = public("tuned, calibrated", 30), public("tuned, calibrated", 300, 3000)
    told = " ".join(README.split())
    assert f"thirty boxes give {few:.0f} meV/Å" in told
    assert f"train five times longer {public('scratch', 300, 3000):.0f}." in told
    assert f"as long a training the tuned network has {many:.0f}." in told


@pytest.mark.parametrize("data", ["ethanol-dft", "ethanol-ccsdt"])
def test_the_tuned_potentials_are_as_good_as_their_cards(data):
    known = datasets.card(f"{data}-tuned")["card"]["test"]["force_mae"]
    test = datasets.load(data)["test"]
    found = evaluate(datasets.checkpoint(f"{data}-tuned"), test).force_mae
    assert found == pytest.approx(known, rel=1e-3)
    assert found < 35  # meV/Å


def test_what_the_readme_says_of_qm9():
    best = qm9("tuned beside calibrated GFN2-xTB", 100)
    assert round(qm9("scratch, no references", 100) / best) == 39
    assert round(qm9("scratch, references", 100) / best) == 3
    assert "39 times less error" in README
    assert "and 3 times less" in README
