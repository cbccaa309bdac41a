"""The runs of water that ship: recorded, judged, packed; and how they can end."""

import json

import numpy as np
import pytest
from ase.build import molecule

from tpainn_lite import datasets
from tpainn_lite.model import Potential
from tpainn_lite.reproduce import runs as reproduce_runs
from tpainn_lite.reproduce.runs import (
    CLASSICAL,
    DENSITY,
    Run,
    compute,
    look,
    property_runs,
    stability_runs,
    start,
)

CLASSICAL = Run(CLASSICAL, 300.0, 1.0, 1.0, 0)
LEARNED = Run("water-qtip4pf", 300.0, None, 0.1, 0)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Eight molecules instead of 64, recorded in a folder of the test."""
    monkeypatch.setattr(reproduce_runs, "MOLECULES", 12)  # 7.1 Å: room for 3.5
    monkeypatch.setattr(reproduce_runs, "WORK", tmp_path)
    start.cache_clear()
    yield tmp_path
    start.cache_clear()


def test_a_run_is_packed_and_goes_on_from_its_recording(small):
    compute("water-runs", CLASSICAL, small / "one")
    frames = datasets.unpacked((small / "one").read_bytes())
    assert len(frames) == 10  # of 20, every second
    assert len({a.get_volume() for a in frames}) > 5  # NPT
    compute("water-runs", CLASSICAL, small / "two")  # all frames are recorded
    assert (small / "one").read_bytes() == (small / "two").read_bytes()


def test_a_learned_potential_survives_and_is_looked_at(small):
    compute("water-stability", LEARNED, small / "row")
    (row,) = json.loads((small / "row").read_text())
    assert (row["survived"], row["intact"], row["ended"]) == (0.1, 0.1, "")
    assert row["density"] == pytest.approx(DENSITY, abs=1e-3)
    assert 0.9 < row["longest_bond"] < 1.2  # Å
    assert 0 < row["temperature_max"] < 1000  # K


def test_a_run_that_blows_up_says_when_and_why(small, monkeypatch):
    known = datasets.checkpoint(LEARNED.model)
    wild = Potential(known.config, known.reference_energies, seed=0)
    for parameter in wild.readout.parameters():
        parameter.data *= 100
    monkeypatch.setattr(datasets, "checkpoint", lambda name: wild)
    compute("water-stability", LEARNED, small / "row")
    (row,) = json.loads((small / "row").read_text())
    assert row["intact"] <= row["survived"] < 0.1
    assert row["ended"]
    with pytest.raises(ValueError, match="water-qtip4pf-nvt-300K-0: blew up after"):
        compute("water-runs", LEARNED, small / "frames")
    assert not (small / "frames").exists()


def test_what_a_frame_looks_like():
    two = molecule("H2O") + molecule("H2O")
    two.positions[3:] += [0, 0, 2.9]
    two.set_cell([10] * 3)
    two.pbc = True
    two.positions[4] += [0, 0.5, 0]
    seen = look(two)
    assert seen["density"] == pytest.approx(2 * 18.015 / 602.214, rel=1e-3)
    bonds = [two.get_distance(o, o + k) for o in (0, 3) for k in (1, 2)]
    assert seen["longest_bond"] == pytest.approx(max(bonds))


def test_names_and_states_of_the_runs():
    for runs in (property_runs(), stability_runs()):
        assert len({r.name for r in runs}) == len(runs)
    fates = stability_runs()
    assert {r.seed for r in fates if r.model == "water-tuned-8"} == set(range(5))
    lengths = {(r.temperature, r.pressure): r.length for r in fates}
    assert lengths == {(500.0, 1.0): 10.0, (300.0, None): 20.0}
    moving = [r.length for r in property_runs() if r.pressure is None]
    assert np.min(moving) >= 30
