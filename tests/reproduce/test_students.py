"""How checkpoints are pretrained: which structures, from which weights, and resumed."""

from dataclasses import replace

import ase.io
import numpy as np
import pytest

from tpainn_lite import datasets, water
from tpainn_lite.model import Potential
from tpainn_lite.reproduce import parts, pretraining
from tpainn_lite.train import FitConfig, evaluate
from tpainn_lite.tune import references

WATER = pretraining.QTIP4PF
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


@pytest.fixture
def pretrain(monkeypatch, tmp_path):
    """What a configuration makes of portions, and its card."""
    monkeypatch.setattr(pretraining, "WORK", tmp_path)

    def made(portions, how):
        monkeypatch.setitem(pretraining.PRETRAININGS, "made", how)
        pretraining.write("made", portions, tmp_path)
        potential, about = Potential._load(tmp_path / "made")
        return potential, about["card"]

    return made


def test_learns_from_the_first_runs_and_is_judged_by_the_last(portions, pretrain):
    made, card = pretrain(portions, TINY)
    assert (card["runs"], card["structures"]) == (3, 6)
    assert "from" not in card
    *first, last = (ase.io.read(p, ":", format="extxyz") for p in portions)
    assert made.reference_energies == references([a for part in first for a in part])
    found = card["validation"]["force_mae"]
    assert found == pytest.approx(evaluate(made, last).force_mae)


def test_a_student_goes_on_from_another(portions, pretrain):
    still = replace(WATER.fit, steps=1, lr=1e-12)
    how = replace(WATER, start="water-qtip4pf", fit=still, validation=1)
    made, card = pretrain(portions, how)
    before = datasets.checkpoint("water-qtip4pf")
    assert card["from"] == parts.sources(["water-qtip4pf"])
    test = datasets.load("water-dft")["test"][:2]
    for found, known in zip(
        made.predict(test)[1], before.predict(test)[1], strict=True
    ):
        np.testing.assert_allclose(found, known, atol=1e-5)


def test_a_state_belongs_to_its_portions_and_configuration(
    portions, pretrain, tmp_path
):
    first, card = pretrain(portions, TINY)
    (state,) = (tmp_path / "state").iterdir()
    written = state.stat().st_mtime_ns
    again, same = pretrain(portions, TINY)
    assert state.stat().st_mtime_ns == written  # each epoch would write it
    assert card == same
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert a.equal(b)
    fewer, _ = pretrain(portions[:3], TINY)
    longer, card = pretrain(portions, replace(TINY, fit=replace(TINY.fit, steps=6)))
    assert len(list((tmp_path / "state").iterdir())) == 3
    assert card["training"]["steps"] == 6
    weights = [m.readout.outnet[0].weight for m in (first, fewer, longer)]
    assert not any(w.equal(weights[0]) for w in weights[1:])


def test_a_calibrated_model_labels_the_boxes_anew(portions, pretrain):
    still = replace(WATER.fit, steps=1, lr=1e-12)
    how = replace(WATER, start="water-qtip4pf", fit=still, validation=1, portions=2)
    made, card = pretrain(portions, replace(how, calibrated=("water-dft", 0)))
    assert (card["runs"], card["structures"]) == (2, 4)
    box = datasets.load("water-dft")["test"][0]
    model = pretraining.calibrated("q-tip4p-f", "water-dft", seed=0, n=1)
    assert model.name == "q-TIP4P/F, calibrated"
    (truth,) = pretraining.anew(model, [box])
    published = pretraining.anew(water.MODELS["q-tip4p-f"], [box])
    assert evaluate(made, published).force_mae < evaluate(made, [truth]).force_mae


@pytest.mark.parametrize(
    "name", ["water-qtip4pf", "water-qtip4pf-longer", *pretraining.CALIBRATED]
)
def test_students_ship_as_they_are_described(name):
    how, card = pretraining.PRETRAININGS[name], datasets.card(name)["card"]
    assert datasets.checkpoint(name).config == how.size
    assert FitConfig(**card["training"]) == how.fit
    assert card["runs"] == (how.portions or 95)
    if how.start:
        assert card["from"] == parts.sources(pretraining.whole(name).reads)
