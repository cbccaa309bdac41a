"""How `ethanol-dft` and `ethanol-ccsdt` are made: one molecule, two theories."""

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from .. import molecules
from ..data import label, with_labels
from .molecule_sets import ABOUT as DATA

SMILES = "CCO"
STRUCTURES = 500
ENERGIES, FORCES = 300, 40  # with coupled clusters: pool energies, test forces
TEMPERATURES = (300.0, 600.0)  # K
SEED = 2026
Task = tuple[float, int, str]


def ethanol_tasks() -> list[Task]:
    """(temperature in K, seed, split) of each structure; each from a run of its own.

    Every fifth one is kept for testing.
    """
    u = np.random.default_rng(SEED).uniform(size=STRUCTURES)
    low, high = TEMPERATURES
    kelvin = np.round(low + u * (high - low), 1)
    splits = ["test" if k % 5 == 4 else "pool" for k in range(STRUCTURES)]
    return [(float(kelvin[k]), SEED + k, splits[k]) for k in range(STRUCTURES)]


def ccsdt_tasks() -> list[Task]:
    """The first pool structures (energies), then the first test structures (forces).

    Test structures come in between, so that any beginning of the list has both.
    """
    tasks = ethanol_tasks()
    pool = [t for t in tasks if t[2] == "pool"][:ENERGIES]
    test = [t for t in tasks if t[2] == "test"][:FORCES]
    step = ENERGIES / FORCES
    rank = {t: k for k, t in enumerate(pool)} | {
        t: (k + 1) * step - 0.5 for k, t in enumerate(test)
    }
    return sorted(pool + test, key=rank.get)


def sample_ethanol(task: Task) -> Atoms:
    """The structure of a task: MMFF94 dynamics, its origin in ``info``."""
    temperature, seed, split = task
    frame = molecules.sample(SMILES, 1, temperature=temperature, seed=seed)[0]
    frame.arrays.pop("momenta", None)
    frame.info = dict(smiles=SMILES, temperature=temperature, seed=seed, split=split)
    return frame


def label_dft(task: Task, path: Path) -> None:
    """Label a structure with DFT energy and forces; write extxyz."""
    from . import quantum

    frame = sample_ethanol(task)
    labelled = label([frame], quantum.pyscf_dft())[0]
    ase.io.write(path, labelled, format="extxyz")


def label_ccsdt(task: Task, path: Path) -> None:
    """Label a pool structure with its CCSD(T) energy, a test structure with forces too.

    Forces cost twenty times the energy; nobody would train on them.
    """
    from . import quantum

    frame = sample_ethanol(task)
    if frame.info["split"] == "test":
        labelled = label([frame], quantum.pyscf_ccsdt())[0]
    else:
        energy = quantum.ccsdt_energy(frame.numbers, frame.positions)
        labelled = with_labels(frame, energy)
    ase.io.write(path, labelled, format="extxyz")


def settings(name: str) -> tuple:
    """Return what decides the labels of a set, apart from its tasks."""
    return ABOUT[name].said, SMILES


def _ccsdt_atoms() -> dict[int, float]:
    from . import quantum

    return quantum.ccsdt_atom_energies()


ABOUT = {
    "ethanol-dft": replace(
        DATA["molecules-dft"],
        geometries="ethanol, MMFF94 Langevin dynamics at 300-600 K, one run each",
        splits="by run, every fifth kept for testing; one molecule, so test structures "
        "are new but not far away (see nearest_test_to_pool_A)",
        limits="one molecule, near its conformers; no bond breaking",
        groups="seed",
    ),
    "ethanol-ccsdt": replace(
        DATA["molecules-dft"],
        level="CCSD(T)/cc-pVDZ, frozen cores",
        geometries="structures of ethanol-dft: pool structures with energies only, "
        "test structures with forces too",
        splits="those of ethanol-dft",
        noise="analytic forces, equal to differences of energies within 1e-5 eV/Å",
        limits="a small basis: the shape of the surface, not its last kcal/mol",
        atomic_energies=_ccsdt_atoms,
        groups="seed",
    ),
}
