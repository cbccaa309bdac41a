"""Errors of a potential, from numbers worked out by hand."""

import numpy as np
import pytest
import torch
from ase.build import molecule
from conftest import REFERENCES

from tpainn_lite import data
from tpainn_lite.train import evaluate


def test_by_hand(potential):
    with torch.no_grad():  # predicts the reference energies, and no force
        for parameter in potential.readout.parameters():
            parameter.zero_()
    water, methane = molecule("H2O"), molecule("CH4")
    pull = np.zeros((3, 3))
    pull[0] = [0.3, 0, 0]  # on the oxygen
    frames = [
        data.with_labels(water, 2 * REFERENCES[1] + REFERENCES[8] + 0.03, pull),
        data.with_labels(
            methane, 4 * REFERENCES[1] + REFERENCES[6] - 0.10, np.zeros((5, 3))
        ),
    ]
    errors = evaluate(potential, frames)
    assert errors.energy_mae == pytest.approx((10 + 20) / 2, abs=1e-6)  # meV/atom
    assert errors.energy_rmse == pytest.approx(np.sqrt((100 + 400) / 2), abs=1e-6)
    assert errors.energy_mae_kcal == pytest.approx(0.065 * 23.0605, rel=1e-5)
    assert errors.force_mae == pytest.approx(300 / 24)  # meV/Å, over 24 components
    assert errors.force_rmse == pytest.approx(300 / np.sqrt(24))
    assert errors.force_mae_by_element == pytest.approx({1: 0, 6: 0, 8: 100})


def test_forces_are_not_computed_unasked(potential, ethanols, counted):
    both = evaluate(potential, ethanols)
    assert counted == {"graphs": 8, "checks": 8, "derivatives": 1}
    alone = evaluate(potential, ethanols, forces=False)
    assert counted == {"graphs": 16, "checks": 16, "derivatives": 1}
    assert alone.energy_mae == both.energy_mae
    assert alone.force_mae is None


def test_needs_labels(potential):
    with pytest.raises(ValueError, match="frame 0: needs an energy"):
        evaluate(potential, [molecule("H2O")])
    with pytest.raises(ValueError, match="at least one"):
        evaluate(potential, [])
