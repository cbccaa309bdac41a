"""Nearest images, bonds by distance, and molecules put back together."""

import numpy as np
import openmm
import pytest
from ase.build import molecule
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from tpainn_lite import analysis, data, dynamics, water
from tpainn_lite.explorers import rotation, viewers


def test_bonds_of_ethanol():
    first, second, vectors = analysis.bonds(molecule("CH3CH2OH"))
    assert len(first) == 2 * 8
    assert np.linalg.norm(vectors, axis=1).max() < 1.6


def test_an_open_structure_is_searched_without_its_cell(monkeypatch):
    # With a cell of 100 Å ASE sorts 9 atoms into a million bins: 2 s a frame.
    searched = []

    def spy(quantities, atoms, cutoff):
        searched.append(atoms.cell.volume)
        return neighbor_list(quantities, atoms, cutoff)

    for module in (analysis, data, dynamics, viewers, rotation):
        if hasattr(module, "neighbor_list"):
            monkeypatch.setattr(module, "neighbor_list", spy)
    plain, boxed = molecule("CH3CH2OH"), molecule("CH3CH2OH")
    boxed.set_cell([30.0, 30.0, 30.0])
    bonds = [analysis.bonds(atoms) for atoms in (plain, boxed)]
    for one, other in zip(*bonds, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    data.check([boxed], labelled=False)
    viewers.snapshot(boxed)
    rotation._Scene(boxed, "")
    frame = data.with_labels(boxed, -1.0, np.zeros((9, 3)))
    frame.info["kinetic_energy"] = 0.1
    dynamics.refuse(frame, frame, 300.0)
    assert searched == [0.0] * 6
    np.testing.assert_array_equal(boxed.cell.lengths(), 30.0)  # it is the user's
    boxed.pbc = True
    data.check([boxed], labelled=False)
    assert searched[-1] == pytest.approx(27e3)


def test_the_closest_pair():
    atoms = molecule("H2O")
    assert data.closest_pair(atoms, 0.5) is None
    first, second, distance = data.closest_pair(atoms, 2.0)
    assert {first, second} in ({0, 1}, {0, 2})
    assert distance == pytest.approx(atoms.get_distance(0, 1), abs=1e-12)
    atoms.positions[2] = atoms.positions[0] + [0.0, 0.0, 10.2]
    atoms.set_cell([10.0, 10.0, 10.0])
    assert data.closest_pair(atoms, 0.5) is None
    atoms.pbc = True
    assert data.closest_pair(atoms, 0.5)[2] == pytest.approx(0.2)


def test_a_cut_molecule_is_mended():
    box = water.water_box(27, seed=0)
    cut = box.copy()
    cut.positions += 4.0
    cut.wrap()
    bond = [cut.get_distance(o, o + 1) for o in range(0, 81, 3)]
    assert max(bond) > 5  # some are cut
    mended = analysis.whole(cut)
    for o in range(0, 81, 3):
        np.testing.assert_allclose(
            mended.get_distances(o, [o + 1, o + 2]),
            box.get_distances(o, [o + 1, o + 2]),
        )
        np.testing.assert_allclose(mended.positions[o], cut.positions[o])
    assert np.abs(analysis.whole(box).positions - box.positions).max() < 1e-9


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
    found = analysis.nearest_image(vectors, cell)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), lengths, atol=1e-9)
    shifts = np.array(list(np.ndindex(9, 9, 9))) - 4
    images = found[:, None] + shifts @ analysis.reduced(cell)
    assert (np.linalg.norm(images, axis=2).min(axis=1) > lengths - 1e-9).all()
    moved = (found - vectors) @ np.linalg.inv(cell)
    np.testing.assert_allclose(moved, moved.round(), atol=1e-9)  # by cell vectors
    one = analysis.nearest_image(vectors[7], cell)
    np.testing.assert_allclose(one, found[7], atol=1e-12)


def test_reach_is_that_of_the_lattice_not_of_its_description():
    mixed = np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]])
    for name, half in {"box": 3.5, "fcc": 5 / 2**0.5, "bcc": 5 * 3**0.5 / 2}.items():
        for cell in (CELLS[name], mixed @ CELLS[name]):
            assert analysis.reach(cell) == pytest.approx(half)


def test_a_cell_without_volume_is_refused_in_words():
    for cell in (np.zeros((3, 3)), [[5, 0, 0], [0, 5, 0], [5, 5, 0]]):
        with pytest.raises(ValueError, match="cell: needs three vectors that span"):
            analysis.nearest_image(np.ones((2, 3)), np.array(cell, float))


def turned(cell, seed=0):
    return (
        np.asarray(cell) @ Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    )


SKEWED = np.array([[8.0, 0, 0], [2.5, 7.0, 0], [-2.0, 1.5, 9.0]])
BOXES = {
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


@pytest.mark.parametrize("name", BOXES)
def test_openmm_takes_the_box_of_any_cell(name):
    cell = BOXES[name]
    box = analysis.Box.of(cell)
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
    with pytest.raises(ValueError, match="cell: needs three vectors that span"):
        analysis.Box.of(np.diag([10.0, 10.0, 0.0]))
