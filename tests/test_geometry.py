"""Nearest images, bonds by distance, and molecules put back together."""

import numpy as np
import openmm
import pytest
from ase.build import molecule
from scipy.spatial.transform import Rotation

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


def turned(cell, seed=0):
    return (
        np.asarray(cell) @ Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    )


SKEWED = np.array([[8.0, 0, 0], [2.5, 7.0, 0], [-2.0, 1.5, 9.0]])
CELLS = {
    "cubic": 12.4 * np.eye(3),
    "skewed": SKEWED,
    "long first": np.diag([20.0, 10.0, 12.0]),
    "turned": turned(SKEWED),
    "other vectors": np.array([[1, 0, 0], [3, 1, 0], [-2, 5, 1]]) @ SKEWED,
    "left-handed": turned(SKEWED[[1, 0, 2]]),
    "hexagonal": np.array([[9.0, 0, 0], [-4.5, 9 * 0.75**0.5, 0], [0, 0, 14.0]]),
    "hexagonal, turned": turned([[9, 0, 0], [4.5, 9 * 0.75**0.5, 0], [0, 0, 14]], 3),
    "face-centred": 7.3 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
}


@pytest.mark.parametrize("name", CELLS)
def test_openmm_takes_the_box_of_any_cell(name):
    cell = CELLS[name]
    box = geometry.Box.of(cell)
    for scale in (0.1, 0.0973, 0.1031):  # nm; a barostat scales too
        system = openmm.System()
        system.setDefaultPeriodicBoxVectors(*(scale * box.vectors))
    np.testing.assert_allclose(box.cell(box.vectors), cell, atol=1e-9)
    np.testing.assert_allclose(box.turn @ box.turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(box.turn) == pytest.approx(1)  # no mirror
    assert abs(np.linalg.det(box.combine)) == pytest.approx(1)  # the same lattice
    if name in ("cubic", "skewed", "long first", "hexagonal"):
        np.testing.assert_array_equal(box.turn, np.eye(3))
    heights = 1 / np.linalg.norm(np.linalg.inv(SKEWED), axis=0)
    if name in ("turned", "other vectors", "left-handed"):
        assert box.height() == pytest.approx(heights.min())


def test_a_cell_without_volume_has_no_box():
    with pytest.raises(ValueError, match="cell: needs three vectors with a volume"):
        geometry.Box.of(np.diag([10.0, 10.0, 0.0]))
