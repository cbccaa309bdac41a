"""The time order of the public water: found from displacements, and the shipped one."""

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from tpainn_lite import datasets
from tpainn_lite.public import formats
from tpainn_lite.public.download import SETS, located
from tpainn_lite.reproduce import order

MIRROR = Path(__file__).parents[3] / "shared" / "data"
needs_mirror = pytest.mark.skipif(
    not MIRROR.is_dir(), reason="no mirror of the public sets in ../shared/data"
)


def test_a_shuffled_diffusion_is_put_in_order():
    """Mean square displacements that grow by as much a frame have one order."""
    shuffled = np.random.default_rng(0).permutation(120)
    squares = 0.1 * np.abs(shuffled[:, None] - shuffled)  # Å²
    times = shuffled[order.seriate(squares)]
    forwards = np.arange(120)
    assert times.tolist() in (forwards.tolist(), forwards[::-1].tolist())
    other = shuffled[order.seriate(squares.T)]
    np.testing.assert_array_equal(times, other)  # and one direction


def test_displacements_are_of_oxygens_in_nearest_images():
    cell = np.diag([10.0, 11.0, 12.0])
    first = Atoms("OHHOHH", [[0.2, 0, 0]] * 3 + [[5, 5, 5]] * 3, cell=cell, pbc=True)
    second = first.copy()
    second.positions[0] += [-0.5 + 10, 0, 0]  # through the face of the box
    second.positions[3] += [0, 1.0, 0]
    second.positions[1] += 3.0  # a hydrogen
    found = order.displacements([first, second])
    expected = (0.5**2 + 1.0**2) / 2
    np.testing.assert_allclose(found, [[0, expected], [expected, 0]], atol=1e-12)


@needs_mirror
def test_the_shipped_order_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setenv("TPAINN_MIRROR", str(MIRROR))
    name = "water-pbe0ts-order"
    order.write(name, [], tmp_path)
    shipped = (datasets.SHIPPED / f"{name}.txt").read_text()
    assert (tmp_path / f"{name}.txt").read_text() == shipped


@needs_mirror
def test_pool_and_test_are_far_apart_in_the_shipped_order():
    """Farther than frames next to each other, by the gap that is left out."""
    frames = formats.water_frames(*located(SETS["water-pbe0ts"], MIRROR))
    squares, parts = order.displacements(frames), formats.water_split()
    between = squares[np.ix_(parts["pool"], parts["test"])].min()
    others = squares + np.diag([np.inf] * len(squares))
    nearest = np.median(others.min(axis=1))
    assert between > 10 * nearest
