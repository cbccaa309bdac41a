"""Compiled potentials say what the potential says, in any cell, however atoms move."""

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import REFERENCES, SMALL

from tpainn_lite import datasets, dynamics, model, water
from tpainn_lite.inference.frozen import SKIN
from tpainn_lite.model import Potential

CLOSE = {"rtol": 0, "atol": 1e-5}  # eV/Å: single precision


def as_arrays(atoms):
    cell = atoms.cell.array if atoms.pbc.any() else None
    return atoms.numbers, atoms.positions, cell


def agree(energy_forces, potential, atoms):
    energy, forces = energy_forces(*as_arrays(atoms))
    expected, exact = potential.energy_forces(*as_arrays(atoms))
    assert energy == pytest.approx(expected, abs=1e-5)
    assert np.abs(exact).max() > 0.01  # or the test would say nothing
    np.testing.assert_allclose(forces, exact, **CLOSE)


@pytest.mark.parametrize("radial", model.RADIAL)
@pytest.mark.parametrize("name", ["ethanol", "ice"])  # ice: images of its own atoms
def test_it_is_the_potential(request, name, radial):
    config = replace(SMALL, radial=radial)
    potential = Potential(config, REFERENCES, seed=1).double().eval()
    agree(potential.frozen(), potential, request.getfixturevalue(name))


def test_it_is_the_potential_wherever_atoms_and_walls_go(potential, ice, rng):
    quick = potential.frozen()
    for step in (0.01, 0.05, 2 * SKIN, 0.01):  # within the skin, and out of it
        ice.positions += step * rng.normal(size=ice.positions.shape)
        agree(quick, potential, ice)
    ice.set_cell(1.02 * ice.cell.array, scale_atoms=True)
    agree(quick, potential, ice)
    ice.set_cell(1.02 * ice.cell.array)  # atoms stay, their images move
    agree(quick, potential, ice)
    listed = quick._listed
    ice.positions += 0.2 * SKIN * rng.uniform(size=ice.positions.shape)
    agree(quick, potential, ice)
    assert quick._listed is listed  # it holds while nothing new comes near
    ice.numbers[0] = 1  # other atoms in the same places
    agree(quick, potential, ice)
    assert quick._listed is not listed


def test_atoms_beyond_each_others_reach(potential, ethanol):
    ethanol.positions[3:] += 50
    agree(potential.frozen(), potential, ethanol)
    lonely = ethanol[:1]
    energy, forces = potential.frozen()(*as_arrays(lonely))
    assert energy == pytest.approx(potential.energy_forces(*as_arrays(lonely))[0])
    np.testing.assert_array_equal(forces, 0)


def test_far_from_the_origin(potential, far):
    moved, near = far
    energy, forces = potential.energy_forces(*as_arrays(near))
    copies = len(moved) // len(near)
    found, pushed = potential.frozen()(*as_arrays(moved))
    assert found == pytest.approx(copies * energy, abs=1e-5)
    np.testing.assert_allclose(pushed, np.tile(forces, (copies, 1)), **CLOSE)


def test_torchs_default_type_changes_nothing(ethanol, request):
    potential = Potential(SMALL, REFERENCES, seed=1)
    energy, forces = potential.frozen()(*as_arrays(ethanol))
    request.getfixturevalue("double_by_default")
    found, pushed = potential.frozen()(*as_arrays(ethanol))
    assert found == energy
    np.testing.assert_array_equal(pushed, forces)


def test_a_shipped_potential_in_a_liquid():
    box = water.water_box(32, density=1.0, seed=0)
    potential = datasets.checkpoint("water-tuned-8").double()
    energy, forces = potential.frozen()(*as_arrays(box))
    expected, exact = potential.energy_forces(*as_arrays(box))
    assert energy == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(forces, exact, atol=1e-4)


def test_its_weights_are_a_copy(potential, ice):
    quick = potential.frozen()
    energy, _ = quick(*as_arrays(ice))
    for parameter in potential.parameters():
        parameter.data *= 1.1
    assert quick(*as_arrays(ice))[0] == energy
    assert next(potential.parameters()).requires_grad


def test_nan_ends_a_run_as_it_should(potential, ice):
    def broken(numbers, positions, cell):
        return quick(numbers, np.where(positions > 5, np.nan, positions), cell)

    quick = potential.frozen()
    with pytest.raises(dynamics.BlowUp, match="positions: a number is NaN"):
        dynamics.simulate(ice, broken, steps=4, every=2, seed=0)


def test_each_compiled_kernel_has_a_cache_of_its_own(tmp_path):
    """Numba's index of one cache is not safe where two processes add kernels to it."""
    script = """
import itertools
import numpy as np
from tpainn_lite.inference import kernels
pair, r = np.array([0]), np.ones((1, 3))
for F, kinds, dtype in itertools.product([4, 8], [2, 5], ["f4", "f8"]):
    h, table = np.ones((2, kinds, F), dtype), np.ones((3, 6 * F), dtype)
    kernels.messages(pair, pair + 1, r.astype(dtype), table, h, 5.0)
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    indices = [*tmp_path.rglob("*.nbi")]
    assert len(indices) == 8
    assert len([*tmp_path.rglob("*.nbc")]) == 8
