"""Nearest images, bonds by distance, and molecules put back together."""

import numpy as np
import pytest
from ase.build import molecule
from ase.geometry import find_mic

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


CELLS = {
    "box": np.diag([9.0, 7.0, 8.0]),
    "skewed": np.array([[8.0, 0, 0], [2.5, 7.0, 0], [-2.0, 1.5, 9.0]]),
    "fcc": 5.0 * (1 - np.eye(3)),  # angles of 60 degrees
    "bcc": 5.0 * (1 - 2 * np.eye(3)),  # angles of 109.5 degrees
    "hexagonal": np.array([[6.0, 0, 0], [-3.0, 27**0.5, 0], [0, 0, 5.0]]),
    "flat": np.array([[20.0, 0, 0], [9.9, 3.0, 0], [-9.0, 1.4, 4.0]]),
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
@pytest.mark.parametrize(
    "mixing",
    [np.eye(3), [[1, 0, 0], [1, 1, 0], [0, 1, 1]], [[1, 0, 0], [3, 1, 0], [-2, 4, 1]]],
    ids=["as it is", "added", "far"],
)
def test_nearest_image_is_the_shortest_of_all(rng, cell, mixing):
    """In each description of a lattice, against ASE and all images in reach."""
    cell = np.array(mixing) @ cell
    vectors = rng.uniform(-15, 15, (300, 3))
    _, lengths = find_mic(vectors, cell)
    found = geometry.nearest_image(vectors, cell)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), lengths, atol=1e-9)
    shifts = np.array(list(np.ndindex(9, 9, 9))) - 4
    images = found[:, None] + shifts @ geometry.reduced(cell)
    assert (np.linalg.norm(images, axis=2).min(axis=1) > lengths - 1e-9).all()
    moved = (found - vectors) @ np.linalg.inv(cell)
    np.testing.assert_allclose(moved, moved.round(), atol=1e-9)  # by cell vectors
    one = geometry.nearest_image(vectors[7], cell)
    np.testing.assert_allclose(one, found[7], atol=1e-12)


def test_reach_is_that_of_the_lattice_not_of_its_description():
    mixed = np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]])
    for name, half in {"box": 3.5, "fcc": 5 / 2**0.5, "bcc": 5 * 3**0.5 / 2}.items():
        for cell in (CELLS[name], mixed @ CELLS[name]):
            assert geometry.reach(cell) == pytest.approx(half)


def test_a_cell_without_volume_is_refused_in_words():
    for cell in (np.zeros((3, 3)), [[5, 0, 0], [0, 5, 0], [5, 5, 0]]):
        with pytest.raises(ValueError, match="cell: needs three vectors that span"):
            geometry.nearest_image(np.ones((2, 3)), np.array(cell, float))
