"""A sample of QM9 with the energies of three cheap methods.

Energies are electronic (U0 less the zero-point energy), as a potential learns them.
"""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import datasets, molecules
from ..data import groups_of, with_labels
from ..units import HARTREE, UNPAIRED
from .cards import grouped, write_set
from .ladder import uff
from .molecule_labels import SEED, gfn2_xtb
from .parts import Part

TEST, POOL = 2000, 4000  # molecules; a longer draw begins with the same ones
_ATOMS = {1: -0.500273, 6: -37.846772, 7: -54.583861, 8: -75.064579, 9: -99.71873}
FREE = {z: energy * HARTREE for z, energy in _ATOMS.items()}
"""Free atoms (eV), published with QM9 in Hartree."""
EACH = 2000  # molecules a part: to read QM9 takes 40 s
FILES = {"qm9-sample": ["qm9-sample.extxyz.xz", "qm9-sample.json"]}


@cache
def drawn(n: int) -> list[Atoms]:
    """Draw n molecules of QM9, one of each constitution, in the order of their draw."""
    frames = sorted(datasets.load("qm9")["pool"], key=lambda a: a.info["index"])
    order = np.random.default_rng(SEED).permutation(len(frames))[: n + n // 10]
    names, found = groups_of([frames[i] for i in order], "smiles"), {}
    for i, name in zip(order, names, strict=True):
        found.setdefault(name, frames[i])
    return [_plain(atoms, smiles) for smiles, atoms in [*found.items()][:n]]


def _plain(atoms: Atoms, smiles: str) -> Atoms:
    """Order atoms as in `smiles`, positions as they are written, with its energy."""
    bare = Atoms(atoms.numbers, atoms.positions.round(8).round(4))
    found = with_labels(bare, atoms.info["electronic_energy"])
    found = molecules.reorder(found, smiles)
    found.info["index"] = atoms.info["index"]
    return found


def cheap(atoms: Atoms) -> dict[str, float]:
    """Compute GFN2-xTB, MMFF94 and UFF energies (eV) of a molecule, by name."""
    smiles = atoms.info["smiles"]
    methods = dict(gfn2_xtb=gfn2_xtb(), mmff94=molecules.mmff94(smiles))
    methods["uff"] = uff(smiles)
    found = {k: f(atoms.numbers, atoms.positions)[0] for k, f in methods.items()}
    return {k: round(float(energy), 5) for k, energy in found.items()}


def xtb_atoms() -> dict[int, float]:
    """Compute free atoms (eV) by GFN2-xTB."""
    place = np.zeros((1, 3))
    return {z: gfn2_xtb(UNPAIRED[z])([z], place)[0] for z in FREE}


def parts(name: str) -> dict[str, Part]:
    """List the molecules of each part, by the place in the draw."""
    return grouped(name, [*range(TEST + POOL)], EACH, reads=("qm9",))


def compute(name: str, tasks: Sequence[int]) -> list[Atoms]:
    """Label some molecules by cheap methods."""
    frames = [drawn(TEST + POOL)[k] for k in tasks]
    for k, atoms in zip(tasks, frames, strict=True):
        atoms.info |= cheap(atoms) | {"split": "test" if k < TEST else "pool"}
    return frames


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Write the sample and its card."""
    xtb = {str(z): energy for z, energy in xtb_atoms().items()}
    more = dict(gfn2_xtb_atomic_energies_eV=xtb, licence="CC0 1.0 (QM9)")
    program = f"QM9; tblite {version('tblite')}, RDKit {version('rdkit')}"
    write_set(name, results, folder, program, FREE, ".extxyz.xz", **more)
