"""Nearest images, bonds by distance, and molecules put back together."""

import numpy as np
from ase.build import molecule

from tpainn_lite import geometry, water


def test_bonds_of_ethanol():
    first, second, vectors = geometry.bonds(molecule("CH3CH2OH"))
    assert len(first) == 2 * 8
    assert np.linalg.norm(vectors, axis=1).max() < 1.6


def test_a_cut_molecule_is_mended():
    box = water.water_box(27, seed=0)
    cut = box.copy()
    cut.positions += 4.0
    cut.wrap()
    bond = [cut.get_distance(o, o + 1) for o in range(0, 81, 3)]
    assert max(bond) > 5  # some are cut
    mended = geometry.whole(cut)
    for o in range(0, 81, 3):
        np.testing.assert_allclose(
            mended.get_distances(o, [o + 1, o + 2]),
            box.get_distances(o, [o + 1, o + 2]),
        )
        np.testing.assert_allclose(mended.positions[o], cut.positions[o])
    assert np.abs(geometry.whole(box).positions - box.positions).max() < 1e-9


def test_nearest_image_is_the_shortest_of_all(rng):
    cell = np.array([[8.0, 0, 0], [2.5, 7.0, 0], [-2.0, 1.5, 9.0]])
    shifts = np.array(list(np.ndindex(5, 5, 5))) - 2
    height = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    near = 0
    for vector in rng.uniform(-10, 10, (200, 3)):
        images = vector + shifts @ cell
        shortest = images[np.linalg.norm(images, axis=1).argmin()]
        if np.linalg.norm(shortest) < height / 2:
            near += 1
            found = geometry.nearest_image(vector, cell)
            np.testing.assert_allclose(found, shortest, atol=1e-9)
    assert near > 30
