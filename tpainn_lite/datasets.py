"""Data sets, shipped and public, and shipped checkpoints, by name.

``load("molecules-dft")["pool"]`` is a list of labelled ``ase.Atoms`` (eV, eV/Å);
``load("rmd17-ethanol")`` downloads a public set, once;
``checkpoint("molecules-mmff94")`` is a trained `Potential`.
"""

import contextlib
import hashlib
import io
import json
import lzma
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import ase.io
import numpy as np
import safetensors
from ase import Atoms

from .data import with_labels
from .guards import checked, file, instance, optional, text

if TYPE_CHECKING:  # torch and SchNetPack load with the first checkpoint
    from .model import Potential

SHIPPED = Path(str(files("tpainn_lite"))) / "shipped"
STEPS = 2**16  # of a fraction


def _public():
    from .public import download  # at the first use, as pooch is slow to import

    return download


@checked(name=text)
def card(name: str) -> dict:
    """Read what a shipped asset is: level of theory, programs, counts, limits.

    Raises `ValueError`, listing the names there are, for an unknown one.
    """
    kinds = (".json", ".safetensors")  # a checkpoint carries its card
    found = {p.stem: p for p in sorted(SHIPPED.iterdir()) if p.suffix in kinds}
    if name not in found:  # a name, never a path that leads elsewhere
        raise ValueError(
            f"name: no shipped asset is called {name!r}; there are {[*found]}, and, "
            f"for load() only, the public sets {sorted(_public().SETS)}"
        )
    if found[name].suffix == ".json":
        return json.loads(found[name].read_text("utf-8"))
    with safetensors.safe_open(found[name], "numpy") as content:
        return json.loads(content.metadata()["tpainn_lite"])


def _checked(path: Path, sha256: str) -> bytes:
    """Read a shipped file; raise `ValueError` where it is not the one of its card."""
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(
            f"{path}: altered or truncated (its SHA-256 is not the one in its card); "
            "install the package again"
        )
    return content


@checked(name=text, mirror=optional(file), cache=optional(file))
def load(
    name: str, mirror: str | Path | None = None, cache: str | Path | None = None
) -> dict[str, list[Atoms]]:
    """Load labelled structures by split ("pool", "test") of a shipped or a public set.

    Public ones (`public/sets.toml`) are downloaded once to `cache`, or read from the
    folder `mirror`: see `public.download.load`, also for its `OSError`. Raises
    `ValueError` for an unknown name, or a file that is not the one published.
    """
    if not (SHIPPED / f"{name}.json").is_file() and name in _public().SETS:
        return _public().load(name, mirror, cache)
    about = card(name)
    names = f"{name}.extxyz", f"{name}.extxyz.xz"
    path = next((SHIPPED / n for n in names if (SHIPPED / n).is_file()), None)
    if path is None:
        raise ValueError(
            f"name: {name!r} holds no structures; a checkpoint is read with "
            "datasets.checkpoint(), a grid with datasets.card()"
        )
    content = _checked(path, about["sha256"])
    if path.suffix == ".xz":  # here, since ASE seeks, which is slow when compressed
        content = lzma.decompress(content)
    splits = defaultdict(list)
    for atoms in ase.io.read(io.StringIO(content.decode()), ":", format="extxyz"):
        splits[atoms.info["split"]].append(atoms)
    return dict(splits)


def atomic_energies(name: str) -> dict[int, float]:
    """Read the free atoms' energies (eV) of a shipped set's level, by atomic number."""
    with _entries("name"):
        return {int(z): e for z, e in card(name)["atomic_energies_eV"].items()}


@contextlib.contextmanager
def _entries(name: str) -> Iterator[None]:
    """Say of which argument, a card or a row in it, an entry is missing."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{name}: needs a card with other entries ({error})") from None


def checkpoint(name: str) -> "Potential":
    """Load a shipped potential, ready to use or to tune."""
    from .model import Potential

    card(name)
    return Potential.load(SHIPPED / name)


@checked(content=instance(bytes))
def unpacked(content: bytes) -> list[Atoms]:
    """Read the frames of a packed run (npz), wrapped, with energies and times."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            rows = dict(arrays)
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"content: is no packed run ({error})") from error
    frames = []
    for k, cell in enumerate(rows["cells"]):
        positions = rows["fractions"][k] / STEPS @ cell
        atoms = Atoms(rows["numbers"], positions, cell=cell, pbc=True)
        atoms.info["time_fs"] = float(rows["time_fs"][k])
        atoms.info["kinetic_energy"] = float(rows["kinetic"][k])
        frames.append(with_labels(atoms, rows["potential"][k]))
    return frames


def runs(name: str) -> dict[str, dict[str, list[Atoms]]]:
    """Read shipped runs: "NVT" or "NPT" -> model -> frames in time order."""
    found: dict[str, dict] = {"NVT": {}, "NPT": {}}
    with _entries("name"):
        for row in card(name)["rows"]:
            frames = unpacked(_checked(SHIPPED / row["file"], row["sha256"]))
            found["NVT" if row["pressure"] is None else "NPT"][row["model"]] = frames
    return found


@checked(grid=instance(dict))
def arms_of(grid: dict) -> list[str]:
    """Name the arm of each row of a grid, with its steps where they are not the budget.

    The budget is that of the grid's settings, else the shortest training of a size.
    """
    with _entries("grid"):
        rows, tuned = grid["rows"], (grid.get("configs") or {}).get("tuned")
        steps: dict[int, int] = {}  # of each size
        for row in (r for r in rows if r["steps"] > 0):
            usual = (tuned or row)["steps"]
            steps[row["n"]] = min(usual, steps.get(row["n"], usual))
        times = [row["steps"] // steps.get(row["n"], 1) for row in rows]
        named = zip(rows, times, strict=True)
        return [row["arm"] + f", {k}x longer" * (k > 1) for row, k in named]


@checked(grid=instance(dict), quantity=text)
def learning_curves(grid: dict, quantity: str) -> dict[str, np.ndarray]:
    """Collect arm -> (4, sizes): n, and mean, lowest and highest error over the seeds.

    `grid` is the card of a grid, `quantity` a name of `train.Metrics`, in its unit.
    """
    cells = defaultdict(lambda: defaultdict(list))
    with _entries("grid, quantity"):
        for arm, row in zip(arms_of(grid), grid["rows"], strict=True):
            cells[arm][row["n"]].append(row[quantity])
    curves = {}
    for arm, sizes in cells.items():
        rows = [[n, np.mean(v), min(v), max(v)] for n, v in sorted(sizes.items())]
        curves[arm] = np.array(rows).T
    return curves
