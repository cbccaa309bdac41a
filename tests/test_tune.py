"""Autotuning: references first, then every weight; the original stays."""

import copy

import numpy as np
import pytest
import torch

from tpainn_lite import data, tune
from tpainn_lite.errors import evaluate
from tpainn_lite.train import FitConfig

ATOMS = {1: -13.6, 6: -1029.9, 7: -1485.3, 8: -2042.6}  # eV, like DFT
SHORT = FitConfig(steps=150, lr=2e-2, ema=0.9)


@pytest.fixture
def quantum(ethanols):
    """The MMFF94 frames with other labels: stiffer, and with DFT's huge energies."""
    base = 6 * ATOMS[1] + 2 * ATOMS[6] + ATOMS[8] - 32.0
    return [
        data.with_labels(a, base + 1.1 * a.get_potential_energy(), 1.1 * a.get_forces())
        for a in ethanols
    ]


def test_with_references(potential, quantum):
    before = copy.deepcopy(potential.reference_energies)
    energies, forces = potential.predict(quantum)
    truth = np.array([a.get_potential_energy() for a in quantum])
    tuned = tune.with_references(potential, quantum, ATOMS)
    new_energies, new_forces = tuned.predict(quantum)
    assert potential.reference_energies == before
    assert (new_energies - truth).mean() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(np.diff(new_energies), np.diff(energies), atol=1e-8)
    for a, b in zip(forces, new_forces, strict=True):
        np.testing.assert_array_equal(a, b)


def test_unknown_elements_stay_unknown(potential, quantum):
    tuned = tune.with_references(potential, quantum, ATOMS | {9: -2713.0})
    assert tuned.reference_energies.keys() == potential.reference_energies.keys()
    with pytest.raises(ValueError, match=r"missing \[8\]"):
        tune.with_references(potential, quantum, {1: -13.6, 6: -1029.9})


def test_autotune(potential, quantum):
    before = copy.deepcopy(potential.state_dict())
    references = dict(potential.reference_energies)
    tuned, history = tune.autotune(potential, quantum, ATOMS, SHORT, seed=0)
    assert all(torch.equal(before[k], v) for k, v in potential.state_dict().items())
    assert potential.reference_energies == references
    used = {k for k, v in tuned.state_dict().items() if not torch.equal(v, before[k])}
    for part in ("embedding", "filter_net", "interactions.0", "mixing.1", "readout"):
        assert any(part in name for name in used), part
    zero_shot = tune.with_references(potential, quantum, ATOMS)
    assert (
        evaluate(tuned, quantum).force_mae
        < 0.9 * evaluate(zero_shot, quantum).force_mae
    )
    assert history.rows[-1]["step"] == 150


def test_needs_labels(potential, ethanols):
    with pytest.raises(ValueError, match="frame 0: needs an energy"):
        tune.autotune(potential, [ethanols[0].copy()], ATOMS, SHORT, seed=0)


def test_arms(potential, quantum):
    teacher = potential
    arms = {
        arm: tune.train_arm(arm, teacher, quantum, ATOMS, SHORT, seed=0)
        for arm in tune.ARMS
    }
    composition, zero_shot, scratch, tuned = (arms[name] for name in tune.ARMS)
    energies, forces = composition.predict(quantum)
    assert not np.concatenate(forces).any()
    assert np.ptp(energies) == pytest.approx(0, abs=1e-9)
    assert torch.equal(
        *(p.representation.embedding.weight for p in (zero_shot, teacher))
    )
    start = tune.untrained(teacher, 0)
    assert start.config == scratch.config == teacher.config
    assert not torch.equal(
        start.readout.outnet[0].weight, teacher.readout.outnet[0].weight
    )
    expected, _ = tune.autotune(teacher, quantum, ATOMS, SHORT, seed=0)
    for a, b in zip(tuned.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(ValueError, match="arm"):
        tune.train_arm("guess", teacher, quantum, ATOMS, seed=0)


def test_scratch_has_the_precision_of_the_teacher(potential):
    assert tune.untrained(potential, 0).dtype == potential.dtype
