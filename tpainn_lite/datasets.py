"""Shipped data sets and checkpoints, by name.

``load("molecules-dft")["pool"]`` is a list of labelled ``ase.Atoms`` (eV, eV/Å);
``checkpoint("molecules-mmff94")`` is a trained `Potential`.
"""

import hashlib
import json
from importlib.resources import files
from pathlib import Path

import ase.io
from ase import Atoms

from .model import Potential

SHIPPED = Path(str(files("tpainn_lite"))) / "shipped"


def card(name: str) -> dict:
    """What a shipped set or checkpoint is: level of theory, programs, counts, limits.

    Raises `ValueError`, listing the names there are, for an unknown one.
    """
    path = SHIPPED / f"{name}.json"
    if not path.is_file():
        known = sorted(p.stem for p in SHIPPED.glob("*.json"))
        raise ValueError(
            f"name: no shipped asset is called {name!r}; there are {known}"
        )
    return json.loads(path.read_text())


def load(name: str) -> dict[str, list[Atoms]]:
    """Labelled structures by split ("pool", "test"), each with ``info["smiles"]``.

    Raises `ValueError` for an unknown name or a file that is not the shipped one.
    """
    about = card(name)
    path = SHIPPED / f"{name}.extxyz"
    if not path.is_file():
        raise ValueError(f"name: {name!r} is a checkpoint; use datasets.checkpoint()")
    if hashlib.sha256(path.read_bytes()).hexdigest() != about["sha256"]:
        raise ValueError(
            f"{path}: altered or truncated (its SHA-256 is not the one in its card); "
            "install the package again"
        )
    splits: dict[str, list[Atoms]] = {}
    for atoms in ase.io.read(path, ":"):
        splits.setdefault(atoms.info["split"], []).append(atoms)
    return splits


def atomic_energies(name: str) -> dict[int, float]:
    """Isolated-atom energies (eV) at the level of a shipped set, by atomic number."""
    return {int(z): e for z, e in card(name)["atomic_energies_eV"].items()}


def checkpoint(name: str) -> Potential:
    """A shipped potential, ready to use or to tune."""
    card(name)
    return Potential.load(SHIPPED / name)
