"""Data sets, shipped and public, and shipped checkpoints, by name.

``load("molecules-dft")["pool"]`` is a list of labelled ``ase.Atoms`` (eV, eV/Å);
``load("rmd17-ethanol")`` downloads a public set, once;
``checkpoint("molecules-mmff94")`` is a trained `Potential`.
"""

import hashlib
import io
import json
import lzma
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from . import trajectories
from .model import Potential
from .public import download
from .public.sets import SETS

SHIPPED = Path(str(files("tpainn_lite"))) / "shipped"


def card(name: str) -> dict:
    """What a shipped set or checkpoint is: level of theory, programs, counts, limits.

    Raises `ValueError`, listing the names there are, for an unknown one.
    """
    path = SHIPPED / f"{name}.json"
    if not path.is_file():
        known = sorted(p.stem for p in SHIPPED.glob("*.json"))
        raise ValueError(
            f"name: no shipped asset is called {name!r}; there are {known}, and, for "
            f"load() only, the public sets {sorted(SETS)}"
        )
    return json.loads(path.read_text())


def digest(name: str) -> str:
    """SHA-256 of a shipped asset, or of the checksums of a public set's files."""
    if name in SETS:
        return hashlib.sha256(repr(SETS[name].files).encode()).hexdigest()
    return card(name)["sha256"]


def mark(name: str) -> str:
    """First digits of an asset's digest, for file names; none where it is not made."""
    made = (SHIPPED / f"{name}.json").is_file()
    return digest(name)[:8] if made else ""


def sources(names: Sequence[str]) -> list[dict]:
    """For a card: what something was made from, with digests."""
    return [{"name": name, "sha256": digest(name)} for name in names]


def load(
    name: str, mirror: str | Path | None = None, cache: str | Path | None = None
) -> dict[str, list[Atoms]]:
    """Labelled structures by split ("pool", "test") of a shipped or a public set.

    Shipped ones have ``info["smiles"]``. Public ones (`public_sets.SETS`) are
    downloaded once to `cache`, or read from the folder `mirror`: see `public.load`,
    also for the errors a missing network or a full disk gives. Raises `ValueError` for
    an unknown name or a file that is not the shipped or published one.
    """
    if name in SETS:
        return download.load(name, mirror, cache)
    about = card(name)
    path = SHIPPED / f"{name}.extxyz"
    path = path if path.is_file() else SHIPPED / f"{name}.extxyz.xz"
    if not path.is_file():
        raise ValueError(
            f"name: {name!r} holds no structures; a checkpoint is read with "
            "datasets.checkpoint(), a grid with datasets.card()"
        )
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise ValueError(
            f"{path}: altered or truncated (its SHA-256 is not the one in its card); "
            "install the package again"
        )
    if path.suffix == ".xz":  # here, since ASE seeks, which is slow when compressed
        content = lzma.decompress(content)
    splits: dict[str, list[Atoms]] = {}
    for atoms in ase.io.read(io.StringIO(content.decode()), ":", format="extxyz"):
        splits.setdefault(atoms.info["split"], []).append(atoms)
    return splits


def atomic_energies(name: str) -> dict[int, float]:
    """Isolated-atom energies (eV) at the level of a shipped set, by atomic number."""
    return {int(z): e for z, e in card(name)["atomic_energies_eV"].items()}


def checkpoint(name: str) -> Potential:
    """A shipped potential, ready to use or to tune."""
    card(name)
    return Potential.load(SHIPPED / name)


def runs(name: str) -> dict[str, dict[str, list[Atoms]]]:
    """The frames of shipped runs: "NVT" or "NPT" -> model -> frames, in time order.

    Raises `ValueError` for a file that is missing or is not the shipped one.
    """
    found: dict[str, dict[str, list[Atoms]]] = {"NVT": {}, "NPT": {}}
    for row in card(name)["rows"]:
        frames = trajectories.read(SHIPPED / row["file"], row["sha256"])
        found["NVT" if row["pressure"] is None else "NPT"][row["model"]] = frames
    return found


def arm_name(row: dict, budget: int) -> str:
    """What a grid row's arm is called: its steps are named where not the budget."""
    longer = row["steps"] // budget
    return row["arm"] if longer <= 1 else f"{row['arm']}, {longer}x longer"


def learning_curves(grid: dict, quantity: str) -> dict[str, np.ndarray]:
    """Arm -> (4, sizes): n, and the mean, lowest and highest error over the seeds.

    `grid` is the card of a grid, `quantity` a name of `errors.Errors`, in its unit.
    """
    cells: dict[str, dict[int, list[float]]] = {}
    for row in grid["rows"]:
        arm = arm_name(row, grid["configs"]["tuned"]["steps"])
        cells.setdefault(arm, {}).setdefault(row["n"], []).append(row[quantity])
    return {
        arm: np.array(
            [[n, np.mean(v), min(v), max(v)] for n, v in sorted(sizes.items())]
        ).T
        for arm, sizes in cells.items()
    }
