"""Bonds by distance, and molecules put back together."""

import numpy as np
from ase.build import molecule

from tpainn_lite import bonds, water


def test_bonds_of_ethanol():
    first, second, vectors = bonds.bonds(molecule("CH3CH2OH"))
    assert len(first) == 2 * 8
    assert np.linalg.norm(vectors, axis=1).max() < 1.6


def test_a_cut_molecule_is_mended():
    box = water.water_box(27, seed=0)
    cut = box.copy()
    cut.positions += 4.0
    cut.wrap()
    bond = [cut.get_distance(o, o + 1) for o in range(0, 81, 3)]
    assert max(bond) > 5  # some are cut
    mended = bonds.whole(cut)
    for o in range(0, 81, 3):
        np.testing.assert_allclose(
            mended.get_distances(o, [o + 1, o + 2]),
            box.get_distances(o, [o + 1, o + 2]),
        )
        np.testing.assert_allclose(mended.positions[o], cut.positions[o])
    assert np.abs(bonds.whole(box).positions - box.positions).max() < 1e-9
