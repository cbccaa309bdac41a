"""How checkpoints are pretrained: which structures, from which weights, and resumed."""

import json
from dataclasses import asdict, replace

import ase.io
import numpy as np
import pytest

from tpainn_lite import datasets
from tpainn_lite.model import Potential
from tpainn_lite.reproduce import __main__, students, table
from tpainn_lite.reproduce.assets import Asset, Later
from tpainn_lite.train import evaluate

WATER, STUDENTS = students.WATER, students.STUDENTS
TINY = replace(
    WATER,
    size=replace(WATER.size, features=8, layers=1, cutoff=3.0),
    fit=replace(WATER.fit, steps=4),
    validation=1,
)


@pytest.fixture(scope="module")
def portions(tmp_path_factory):
    """Four runs of two boxes of 32 molecules; quantum labels, for want of others."""
    folder = tmp_path_factory.mktemp("runs")
    pool = datasets.load("water-dft")["pool"]
    for k in range(4):
        part = pool[2 * k : 2 * k + 2]
        for atoms in part:
            atoms.info["run"] = k
        ase.io.write(folder / f"{k}.out", part, format="extxyz")
    return sorted(folder.glob("*.out"))


def pretrain(portions, folder, how):
    """What `how` makes, and its card."""
    (folder / "work").mkdir(exist_ok=True)
    students.pretrain(portions, folder / "made", folder / "work", how)
    return Potential.load(folder / "made"), json.loads(
        (folder / "made.json").read_text()
    )["card"]


def test_learns_from_all_runs_but_the_last(portions, tmp_path):
    _, card = pretrain(portions, tmp_path, TINY)
    assert (card["runs"], card["structures"]) == (3, 6)
    assert "from" not in card


def test_learns_from_the_first_runs_and_is_judged_by_the_last(portions, tmp_path):
    made, card = pretrain(portions, tmp_path, replace(TINY, portions=1))
    assert (card["runs"], card["structures"]) == (1, 2)
    first, last = (ase.io.read(portions[k], ":", format="extxyz") for k in (0, -1))
    assert made.reference_energies == students.references(first)
    found = card["validation"]["force_mae"]
    assert found == pytest.approx(evaluate(made, last).force_mae)


def test_a_student_goes_on_from_another(portions, tmp_path):
    still = replace(WATER.fit, steps=1, lr=1e-12)
    how = replace(WATER, start="water-qtip4pf", fit=still, validation=1)
    made, card = pretrain(portions, tmp_path, how)
    before = datasets.checkpoint("water-qtip4pf")
    assert card["from"] == datasets.sources(["water-qtip4pf"])
    test = datasets.load("water-dft")["test"][:2]
    for found, known in zip(
        made.predict(test)[1], before.predict(test)[1], strict=True
    ):
        np.testing.assert_allclose(found, known, atol=1e-5)


def test_a_pretraining_that_is_done_is_not_done_again(portions, tmp_path):
    first, card = pretrain(portions, tmp_path, TINY)
    (state,) = (tmp_path / "work").iterdir()
    written = state.stat().st_mtime_ns
    again, same = pretrain(portions, tmp_path, TINY)
    assert state.stat().st_mtime_ns == written  # each epoch would write it
    assert card == same
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert a.equal(b)


def label_two(k, path):
    """Two labelled boxes of a run, as a portion."""
    part = datasets.load("water-dft")["pool"][2 * k : 2 * k + 2]
    for atoms in part:
        atoms.info["run"] = k
    ase.io.write(path, part, format="extxyz")


def test_a_full_run_after_a_small_one_ships_what_it_says(tmp_path, monkeypatch):
    """The weights of `--limit 2`, then of all four tasks, then as if from nothing."""
    train = Later("students", "train")
    tiny = Asset("checkpoint", "tiny", 4, lambda: range(4), label_two, train=train)
    monkeypatch.setattr(__main__, "ASSETS", [tiny])
    monkeypatch.setitem(students.PRETRAININGS, "tiny", TINY)

    def made(folder, *options):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        monkeypatch.setattr(__main__, "SHIPPED", tmp_path / folder / "shipped")
        __main__.main(["checkpoint", "tiny", *options])
        return datasets.Potential.load("shipped/tiny"), json.loads(
            (__main__.SHIPPED / "tiny.json").read_text()
        )

    small, _ = made("a", "--limit", "2")
    whole, about = made("a")
    fresh, expected = made("b")
    assert about == expected  # the SHA-256 of the weights is in it
    assert about["card"]["structures"] == 6
    assert not whole.readout.outnet[0].weight.equal(small.readout.outnet[0].weight)
    longer = replace(TINY, fit=replace(TINY.fit, steps=6))
    monkeypatch.setitem(students.PRETRAININGS, "tiny", longer)
    _, changed = made("a")  # another configuration: from nothing, too
    assert changed["card"]["training"]["steps"] == 6
    assert changed["sha256"] != about["sha256"]


def test_each_student_is_unlike_the_first_in_one_thing():
    assert tuple(STUDENTS) == table.STUDENTS
    known = asdict(WATER)
    for name, how in STUDENTS.items():
        changed = {key for key, value in asdict(how).items() if value != known[key]}
        assert len(changed - {"start"}) == 1, name


@pytest.mark.parametrize("name", STUDENTS)
def test_students_ship_as_they_are_described(name):
    how, path = STUDENTS[name], f"water-qtip4pf-{name}"
    card = datasets.card(path)["card"]
    assert datasets.checkpoint(path).config == how.size
    assert card["training"] == asdict(how.fit)
    assert card["runs"] == (how.portions or 95)
    if how.start:
        assert card["from"] == datasets.sources([how.start])
