"""The sample of QM9: cheap energies again, and what calibration makes of them."""

import numpy as np
import pytest

from tpainn_lite import calibrate, datasets
from tpainn_lite.data import with_labels
from tpainn_lite.reproduce import qm9
from tpainn_lite.units import KCAL_MOL

STARTS = range(100, 600, 50)  # of ten draws


@pytest.fixture(scope="module")
def sample():
    return datasets.load("qm9-sample")


def test_a_molecule_gets_the_order_of_its_smiles(rng):
    (atoms,) = qm9.molecules.conformers("CC1CC1O", seed=0)
    mixed = with_labels(atoms[rng.permutation(len(atoms))], -1.0)
    mixed.info |= dict(electronic_energy=-2.0, index=7)
    found = qm9._plain(mixed, "CC1CC1O")
    assert found.numbers.tolist() == atoms.numbers.tolist()
    assert found.get_potential_energy() == -2.0
    assert found.info == {"smiles": "CC1CC1O", "index": 7}
    np.testing.assert_array_equal(found.positions, found.positions.round(4))


def test_cheap_energies_again(sample):
    pytest.importorskip("tblite", reason="tblite is an extra")
    for atoms in sample["test"][:2] + sample["pool"][-2:]:
        for name, energy in qm9.cheap(atoms).items():
            assert energy == pytest.approx(atoms.info[name], abs=2e-5), name


def test_calibration_is_as_good_as_it_says(sample):
    pool, test = sample["pool"], sample["test"][:500]
    known = datasets.card("qm9-sample")["gfn2_xtb_atomic_energies_eV"]
    own, truth = {int(z): e for z, e in known.items()}, energies(test)

    def error(n, name, first=0, **how):
        some = pool[first : first + n]
        cheap = [name and np.array([a.info[name] for a in f]) for f in (some, test)]
        model = calibrate.molecules(some, cheap[0], atomic_energies=qm9.FREE, **how)
        return np.abs(model.energies(test, cheap[1]) - truth).mean() / KCAL_MOL

    composition = error(100, "gfn2_xtb", cheap_atoms=own, terms="composition")
    assert 9 < composition < 13
    assert error(100, "gfn2_xtb", cheap_atoms=own) < 0.4 * composition
    assert error(1000, "gfn2_xtb", cheap_atoms=own) < 2.5  # kcal/mol
    for n in (3, 10):  # not worse than without bonds and rings, where labels are few
        both = [
            np.mean([error(n, "gfn2_xtb", k, cheap_atoms=own, **how) for k in STARTS])
            for how in ({}, dict(terms="composition"))
        ]
        assert both[0] < 1.01 * both[1]
    bonds = error(1000, None)
    assert 7 < bonds < 9.5
    assert error(1000, "mmff94") < bonds


def energies(frames) -> np.ndarray:
    return np.array([a.get_potential_energy() for a in frames])
