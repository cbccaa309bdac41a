"""CP2K labels: exact derivatives where CP2K is installed, clear words where not."""

import shutil

import numpy as np
import pytest
from ase import Atoms

from tpainn_lite import datasets
from tpainn_lite.reproduce import cp2k, water_labels

installed = pytest.mark.skipif(
    shutil.which("cp2k_shell") is None,
    reason="CP2K is a program of its own: only who makes water labels needs it",
)


def test_without_cp2k_the_message_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="cp2k_shell: not found; install CP2K"):
        cp2k.label_cp2k(water_labels.monomer())


@pytest.mark.parametrize(
    "atoms",
    [
        Atoms("OHH", np.eye(3), pbc=[True, True, False], cell=[9] * 3),
        Atoms("OHH", np.eye(3)),
    ],
    ids=["half periodic", "no cell"],
)
def test_cells_that_cannot_be(atoms):
    with pytest.raises(ValueError, match="cell with a volume"):
        cp2k.label_cp2k(atoms)


@installed
@pytest.mark.slow
def test_forces_are_the_derivative():
    atoms = water_labels.monomer(0.94)
    forces = cp2k.label_cp2k(atoms).get_forces()
    h, energies = 0.01, []
    for sign in (1, -1):
        moved = atoms.copy()
        moved.positions[1, 0] += sign * h
        energies.append(cp2k.label_cp2k(moved).get_potential_energy())
    assert isinstance(energies[0], float)  # or a card could not hold it
    slope = -(energies[0] - energies[1]) / (2 * h)
    assert forces[1, 0] == pytest.approx(slope, abs=0.03)  # eV/Å, of about 1


@installed
@pytest.mark.slow
def test_a_shipped_frame_again():
    frame = datasets.load("water-dft")["pool"][0]
    again = cp2k.label_cp2k(frame)
    energies = (a.get_potential_energy() for a in (again, frame))
    np.testing.assert_allclose(*energies, rtol=0, atol=1e-3)
    gap = again.get_forces() - frame.get_forces()
    assert np.abs(gap).max() < 5e-3  # eV/Å
