"""Small structures and potentials that several test files share."""

import os

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from tpainn_lite import data, graphs, model, molecules, ridge_head, train, tune
from tpainn_lite.model import Potential, PotentialConfig

# Tests compare bits, and a GPU sums in no fixed order. With CUDA_VISIBLE_DEVICES=0
# pytest tests/test_devices.py has a test for it.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

REFERENCES = {1: -13.6, 6: -1029.9, 7: -1485.3, 8: -2042.6}  # eV
SMALL = PotentialConfig(features=8, layers=2, cutoff=4.0, n_rbf=6)


def pytest_runtest_setup(item):
    """Skip what is marked "browser" where there is none, in one place for all tests."""
    if item.get_closest_marker("browser"):
        driver = pytest.importorskip("browser", reason="needs playwright")
        if not driver.CHROMIUM:
            pytest.skip("needs a Chromium on the PATH")


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def potential():
    """An untrained PaiNN in float64: symmetries do not wait for training."""
    return Potential(SMALL, REFERENCES, seed=1).double().eval()


@pytest.fixture
def ethanol():
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.fixture
def ice():
    """A triclinic cell, smaller than the cutoff, with atoms outside of it."""
    water = molecule("H2O")
    atoms = water + water
    atoms.positions[3:] += [1.9, 1.2, 2.0]
    atoms.set_cell([[3.9, 0, 0], [0.6, 3.7, 0], [-0.8, 0.5, 4.1]])
    atoms.pbc = True
    atoms.positions += 3.3
    return atoms


@pytest.fixture
def counted(monkeypatch):
    """How often a graph is built, a frame is checked, and energies differentiated."""
    counts = dict.fromkeys(("graphs", "checks", "derivatives"), 0)

    def spy(module, function, name, size=lambda *_: 1):
        real = getattr(module, function)

        def noted(*args, **how):
            counts[name] += size(*args)
            return real(*args, **how)

        monkeypatch.setattr(module, function, noted)

    spy(graphs, "neighbours", "graphs")
    spy(torch.autograd, "grad", "derivatives")
    for module in (graphs, model, train, ridge_head, tune):  # as they have imported it
        if hasattr(module, "check"):
            spy(module, "check", "checks", lambda frames, *_: len(frames))
    return counts


@pytest.fixture
def double_by_default():
    """Run with torch's default type at float64, as other packages set it."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=["open", "periodic", "unwrapped", "apart"])
def far(request, ethanol, ice):
    """A structure with atoms 10,000 Å from the origin, and its like near to it."""
    near = {"periodic": ice, "unwrapped": ice}.get(request.param, ethanol)
    near.positions = np.round(near.positions, 3)  # or moving atoms changes distances
    moved = near.copy()
    if request.param == "unwrapped":
        moved.positions[:3] += moved.cell.array[:2].T @ [3000, -2000]
    elif request.param == "apart":  # and nothing to centre the whole structure on
        moved += near
        moved.positions[len(near) :] += [1e4, -2e4, 0]
    else:
        moved.positions += [1e4, -2e4, 5e3]
    return moved, near


@pytest.fixture(scope="session")
def ethanols():
    """Eight labelled MMFF94 structures of ethanol."""
    return molecules.sample("CCO", 8, temperature=500, seed=0, equilibration=100)


@pytest.fixture
def start(ethanols):
    """A small float64 network whose reference energies fit."""
    fresh = Potential(SMALL, REFERENCES, seed=0).double().eval()
    return tune.with_references(fresh, ethanols, dict.fromkeys(REFERENCES, 0.0))


@pytest.fixture
def line(rng):
    """A step on the first of three columns: all there is to learn is at zero."""
    X = rng.uniform(-1, 1, (120, 3))
    return X, np.sign(X[:, 0])


@pytest.fixture
def dimer():
    """H2 with a spring between its atoms: k = 30 eV/Å², r0 = 0.74 Å."""

    def spring(numbers, positions, cell=None):
        r = positions[1] - positions[0]
        d = np.linalg.norm(r)
        pull = 30.0 * (d - 0.74) * r / d
        return 15.0 * (d - 0.74) ** 2, np.array([pull, -pull])

    return Atoms("H2", [[0, 0, 0], [0, 0, 0.80]]), spring


@pytest.fixture
def numeric_forces():
    """Central differences: (energy_forces, atoms, h in Å, some atoms) -> eV/Å."""

    def forces(energy_forces, atoms, h=1e-4, chosen=None):
        chosen = range(len(atoms)) if chosen is None else chosen
        result = np.zeros((len(chosen), 3))
        for row, i in enumerate(chosen):
            for k in range(3):
                step = np.zeros((len(atoms), 3))
                step[i, k] = h
                high, low = (
                    energy_forces(atoms.numbers, p, data.cell_of(atoms))[0]
                    for p in (atoms.positions + step, atoms.positions - step)
                )
                result[row, k] = -(high - low) / (2 * h)
        return result

    return forces
