"""Cheap rivals of the networks: force fields as they are, calibrated, and for delta."""

import numpy as np
import pytest

from tpainn_lite import data, datasets, molecules
from tpainn_lite.data import labels, with_labels
from tpainn_lite.reproduce import pretraining, rivals
from tpainn_lite.train import evaluate

FREE = datasets.atomic_energies("molecules-dft")


@pytest.fixture(scope="module")
def sets():
    return {k: part[:40] for k, part in datasets.load("molecules-dft").items()}


def test_the_terms_sum_to_mmff94(sets):
    for atoms in sets["test"][:10]:
        (own,) = data.label([atoms], molecules.mmff94(atoms.info["smiles"]))
        (energy,), (forces,) = rivals.ForceField().predict([atoms])
        assert energy == pytest.approx(labels(own)[0], abs=1e-10)
        np.testing.assert_allclose(forces, labels(own)[1], atol=1e-10)
        known = rivals.known_mmff94("molecules-dft")
        again = known(atoms.numbers, atoms.positions)
        assert again[0] == labels(own)[0]
        np.testing.assert_array_equal(again[1], labels(own)[1])


def test_forces_are_the_slopes_of_the_energies(sets):
    model = rivals.fit("calibrated MMFF94", sets["pool"][:10], FREE)
    atoms, h = sets["test"][0].copy(), 1e-5
    _, (forces,) = model.predict([atoms])
    for k, axis in ((0, 0), (3, 1), (len(atoms) - 1, 2)):
        ends = []
        for move in (h, -h):
            moved = atoms.copy()
            moved.positions[k, axis] += move
            ends.append(model.predict([moved])[0][0])
        assert forces[k, axis] == pytest.approx((ends[1] - ends[0]) / (2 * h), abs=1e-6)


def test_a_world_of_springs_is_found(sets, monkeypatch):
    """Labels are MMFF94 with other weights and springs; shrunk, and without a pull."""
    types = ((1, 6, 1.0),)
    truth = rivals.ForceField(types, np.r_[0.8, np.ones(6), 0.5, 2.0], FREE)
    frames = [a for a in sets["pool"] if types[0] in rivals.bonds(a.info["smiles"])]
    energies, forces = truth.predict(frames)
    rows = zip(frames, energies, forces, strict=True)
    frames = [with_labels(a, e, f) for a, e, f in rows]
    fits = (rivals.fit(arm, frames, FREE) for arm in rivals.MOLECULES)
    plain, found = (evaluate(fitted, frames) for fitted in fits)
    assert found.force_mae < 0.5 * plain.force_mae
    assert found.energy_mae < plain.energy_mae
    monkeypatch.setattr(rivals, "PENALTY", 1e-9)
    found = evaluate(rivals.fit("calibrated MMFF94", frames, FREE), frames)
    assert found.force_mae < 1e-3  # meV/Å


def test_a_bond_that_no_label_has_gets_no_spring(sets):
    hydrocarbons = [a for a in sets["pool"] if set(a.numbers) == {1, 6}]
    model = rivals.fit("calibrated MMFF94", hydrocarbons, FREE)
    assert {z for *pair, _ in model.types for z in pair} == {1, 6}
    (oxygen,) = [a for a in sets["test"] if 8 in a.numbers][:1]
    _, forces = model.predict([oxygen])
    assert np.isfinite(forces[0]).all()


def test_water_as_published_and_calibrated():
    sets = datasets.load("water-dft")
    free, box = datasets.atomic_energies("water-dft"), sets["test"][0]
    plain, found = (rivals.fit(x, sets["pool"][:1], free) for x in rivals.LIQUIDS)
    (known,) = pretraining.anew(plain.model, [box])
    (energy,), (forces,) = plain.predict([box])
    np.testing.assert_allclose(forces, labels(known)[1], atol=1e-8)
    zero = sum(plain.reference_energies[z] for z in box.numbers)
    assert energy == pytest.approx(labels(known)[0] + zero, abs=1e-6)
    published, calibrated = (evaluate(x, sets["test"][:4]) for x in (plain, found))
    assert calibrated.force_mae < 0.35 * published.force_mae
