"""Write parts, and shipped sets and tables with their cards."""

import hashlib
import io
import json
import lzma
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from .. import guards
from ..data import check, groups_of, unconstrained
from .parts import Part

COMMAND = "python -m tpainn_lite.reproduce"


@cache
def about() -> dict[str, dict[str, str]]:
    """Read what the cards say that the structures do not tell: set -> row -> words."""
    return tomllib.loads(Path(__file__).with_name("cards.toml").read_text("utf-8"))


def words(name: str, **values) -> dict[str, str]:
    """Give rows of a card, with `values` filled in."""
    return {row: text.format(**values) for row, text in about()[name].items()}


def grouped(name: str, tasks: Sequence, each: int, *settings, reads=()) -> dict:
    """Give parts of `each` tasks of a set: Python starts once for all of them.

    Their labels depend on the words for level and geometries, too.
    """
    how = about()[name]["level"], about()[name]["geometries"], *settings
    starts = range(0, len(tasks), each)
    return {f"{k // each:03d}": Part(tasks[k : k + each], reads, how) for k in starts}


def plural(group: str) -> str:
    """Name several groups of a kind that splits respect."""
    return "molecules" if group == "smiles" else f"{group}s"


def save(result: object, path: str | Path) -> None:
    """Write bytes and text as they are, frames as extxyz, all else as JSON."""
    if isinstance(result, list) and isinstance(result[0], Atoms):
        with guards.replacing(path) as part:
            ase.io.write(part, result, format="extxyz")
    else:
        plain = isinstance(result, bytes | str)
        guards.write(path, result if plain else json.dumps(result))


def write_card(name: str, content: dict, folder: Path) -> None:
    """Write FOLDER/name.json: the command, and `content`."""
    made = {"name": name, "command": f"{COMMAND} {name}"} | content
    text = json.dumps(made, separators=(",", ":")) + "\n"
    guards.write(folder / f"{name}.json", text)


def write_set(
    name: str,
    parts: Sequence[Path],
    folder: Path,
    program: str,
    atomic_energies: dict[int, float],
    suffix: str = ".extxyz",
    **more,
) -> None:
    """Gather labelled structures into FOLDER/name.extxyz[.xz] and its card, name.json.

    `more` are further rows of the card. No structure may occur twice.
    """
    frames = [a for p in parts for a in ase.io.read(p, ":", format="extxyz")]
    check(frames, name, labelled=False)
    unconstrained(frames)
    if len({a.positions.round(4).tobytes() for a in frames}) < len(frames):
        raise ValueError(f"{name}: a structure occurs twice; look at its seeds")
    path, told = folder / f"{name}{suffix}", dict(about()[name])
    text = io.StringIO()
    ase.io.write(text, frames, format="extxyz")
    content = text.getvalue().encode()
    guards.write(path, lzma.compress(content) if suffix.endswith(".xz") else content)
    counts = _counts(frames, told.pop("groups"))
    card = {
        "name": name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "command": f"{COMMAND} {name}",
        "program": program,
        "units": "eV, eV/Å, Å (stress eV/Å³)",
        **(told | counts | _ranges(frames, atomic_energies)),
        "licence": "CC BY 4.0",
        **more,
    }
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    guards.write(folder / f"{name}.json", text)


def _counts(frames: Sequence[Atoms], groups: str) -> dict:
    """Structures and groups of each split, and how near pool and test come."""
    splits: dict[str, list[Atoms]] = {}
    for atoms in frames:
        splits.setdefault(atoms.info["split"], []).append(atoms)
    rows = {"structures": {s: len(part) for s, part in splits.items()}}
    if groups in frames[0].info:
        kinds = {s: len(set(groups_of(part, groups))) for s, part in splits.items()}
        rows[plural(groups)] = kinds
    if {"pool", "test"} <= set(splits):
        distance = nearest(splits["test"], splits["pool"])
        rows["nearest_test_to_pool_A"] = distance and round(distance, 4)
    return rows


def _ranges(frames: Sequence[Atoms], free: dict[int, float]) -> dict:
    """Largest forces, and energies an atom relative to free atoms."""
    F = [a.calc.results["forces"] for a in frames if "forces" in a.calc.results]
    largest = {
        "largest_force_eV_per_A": [float(np.abs(f).max()) for f in F],
        "largest_net_force_eV_per_A": [float(np.abs(f.sum(0)).max()) for f in F],
    }
    apart = [sum(free[int(z)] for z in a.numbers) for a in frames]
    pairs = zip(frames, apart, strict=True)
    bound = [float(a.get_potential_energy() - e) / len(a) for a, e in pairs]
    ends = [round(end, 4) for end in (min(bound), max(bound))]
    return {
        "structures_with_forces": len(F),
        **{name: max(values) for name, values in largest.items() if values},
        "energy_from_free_atoms_eV_per_atom": ends,
        "atomic_energies_eV": {str(z): e for z, e in free.items()},
    }


def nearest(one: Sequence[Atoms], other: Sequence[Atoms]) -> float | None:
    """Find the smallest RMS difference (Å) of distances, of equal compositions.

    None if there is no pair.
    """
    theirs, gaps = {}, []
    for atoms in other:
        theirs.setdefault(atoms.get_chemical_formula(), []).append(_distances(atoms))
    for atoms in one:
        if known := theirs.get(atoms.get_chemical_formula()):
            gaps.append(((_distances(atoms) - known) ** 2).mean(axis=1).min())
    return float(np.sqrt(min(gaps))) if gaps else None


def _distances(atoms: Atoms) -> np.ndarray:
    """Sort distances (Å) by elements and length: blind to rotation and numbering."""
    i, j = np.triu_indices(len(atoms), 1)
    lengths = atoms.get_all_distances(mic=bool(atoms.pbc.any()))[i, j]
    pairs = np.sort([atoms.numbers[i], atoms.numbers[j]], axis=0)
    return lengths[np.lexsort((lengths, pairs[1], pairs[0]))]
