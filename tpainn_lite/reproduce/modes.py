"""`ethanol-modes`: coupled-cluster energies along the normal modes of ethanol.

A full Hessian with CCSD(T) would take hours, the curvature along a direction takes two
energies. The directions are the normal modes of the shipped CCSD(T) potential at its
minimum, which must be near that of CCSD(T) itself: where a bond is still pulled at, a
straight step sideways stretches it, and a torsion seems to have another curvature.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import ase.io
import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from ase.vibrations import Vibrations

from .. import datasets, molecules
from ..data import label, with_labels
from . import ethanol
from .cards import About, write_set
from .tasks import belongs

POTENTIAL = "ethanol-ccsdt-tuned"
LARGEST = 0.02  # Å, of the atom that moves most
FMAX = 1e-3  # eV/Å, at the minimum
RIGID = 6  # translations and rotations come first


@cache
def minimum_and_modes() -> tuple[Atoms, np.ndarray]:
    """The minimum (anti or gauche, as it comes) and displacements (21, 9, 3) Å.

    In the order of their frequencies, from the lowest.
    """
    atoms = molecules.conformers(ethanol.SMILES, seed=0)[0]
    potential = datasets.checkpoint(POTENTIAL).double()
    atoms.calc = potential.calculator()
    BFGS(atoms, logfile=None).run(fmax=FMAX, steps=500)
    with TemporaryDirectory() as folder:
        vibrations = Vibrations(atoms, name=f"{folder}/modes")
        vibrations.run()
        modes = vibrations.get_vibrations().get_modes(all_atoms=True)  # (27, 9, 3)
    atoms.calc = None
    kept = modes[RIGID:]
    size = np.linalg.norm(kept, axis=2).max(axis=1)
    return atoms, LARGEST * kept / size[:, None, None]


def tasks() -> list[tuple[int, int, str]]:
    """(mode, sign, digest): the minimum, then both ways along each.

    By the digest a structure belongs to its potential, its step and its labels.
    """
    level = ethanol.ABOUT["ethanol-ccsdt"].level
    made_from = datasets.mark(POTENTIAL), ethanol.SMILES, level
    used = belongs(made_from, LARGEST, FMAX, RIGID)
    both = [(mode, sign, used) for mode in range(21) for sign in (1, -1)]
    return [(0, 0, used), *both]


def displaced(mode: int, sign: int) -> Atoms:
    """The minimum, moved along a mode."""
    atoms, modes = minimum_and_modes()
    atoms = atoms.copy()
    atoms.positions = (atoms.positions + sign * modes[mode]).round(8)  # as written
    return atoms


def compute(task: tuple[int, int, str], path: Path) -> None:
    """Label with CCSD(T), the minimum with forces; write extxyz."""
    from . import quantum

    mode, sign, _ = task
    atoms = displaced(mode, sign)
    if sign:
        labelled = with_labels(
            atoms, quantum.ccsdt_energy(atoms.numbers, atoms.positions)
        )
    else:
        labelled = label([atoms], quantum.pyscf_ccsdt())[0]
    labelled.info = dict(
        smiles=ethanol.SMILES,
        mode=mode,
        sign=sign,
        split="modes",
    )
    ase.io.write(path, labelled, format="extxyz")


def write(name: str, portions: Sequence[Path], shipped: Path) -> None:
    """Ship the set."""
    coupled = ethanol.ABOUT["ethanol-ccsdt"]
    about = About(
        level=coupled.level,
        program=coupled.program,
        geometries=f"a minimum of {POTENTIAL}, and {LARGEST} Å (of the atom that moves "
        "most) both ways along each of its 21 normal modes",
        splits="one split, modes",
        limits=coupled.limits,
        atomic_energies=coupled.atomic_energies,
        noise="energies converged to 1e-9 Hartree",
        more=lambda: dict(potential=datasets.sources([POTENTIAL])[0]),
    )
    write_set(name, portions, shipped, about)
