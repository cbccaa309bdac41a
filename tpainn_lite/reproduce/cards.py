"""Write a labelled set and its data card: what a stranger needs to know to use it."""

import hashlib
import json
import lzma
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from ..course.own_data import nearest
from ..data import check, groups_of, unconstrained

LICENCE = "CC BY 4.0"
COMMAND = "python -m tpainn_lite.reproduce data"


@dataclass(frozen=True)
class About:
    """What a card says that the structures do not tell."""

    level: str
    program: Callable[[], str]  # name and version, asked when the card is written
    geometries: str
    splits: str
    limits: str
    atomic_energies: Callable[[], dict[int, float]]  # eV
    noise: str = ""
    groups: str = "smiles"  # key of `Atoms.info` that splits respect
    more: Callable[[], dict] = field(default=dict)  # further rows
    suffix: str = ".extxyz"  # of the set's file; .extxyz.xz: compressed

    @property
    def said(self) -> tuple[str, ...]:
        """What the card says of all labels: where it changes, they are made anew."""
        return self.level, self.geometries


def write_set(name: str, portions: Sequence[Path], shipped: Path, about: About) -> None:
    """Gather labelled structures into SHIPPED/name.extxyz[.xz] and its card, name.json.

    Both are written under other names first. Raises `ValueError` for a structure that
    occurs twice, or is not fit to learn from.
    """
    frames = [a for p in portions for a in ase.io.read(p, ":", format="extxyz")]
    check(frames, name, labelled=False)
    unconstrained(frames)
    if len({a.positions.round(4).tobytes() for a in frames}) < len(frames):
        raise ValueError(f"{name}: a structure occurs twice; look at its seeds")
    path, card_path = shipped / f"{name}{about.suffix}", shipped / f"{name}.json"
    part, card_part = shipped / f"{name}.part", shipped / f"{name}.card"
    opened = lzma.open if about.suffix.endswith(".xz") else open
    try:
        with opened(part, "wt") as file:
            ase.io.write(file, frames, format="extxyz")
        sha256 = hashlib.sha256(part.read_bytes()).hexdigest()
        card = _card(name, frames, about, sha256, len(portions))
        text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
        card_part.write_text(text, "utf-8")
        part.replace(path)
        card_part.replace(card_path)
    finally:
        part.unlink(missing_ok=True)
        card_part.unlink(missing_ok=True)


def _card(name, frames, about: About, sha256: str, portions: int) -> dict:
    return {
        "name": name,
        "sha256": sha256,
        "command": f"{COMMAND} {name} --limit {portions}",
        "level": about.level,
        "program": about.program(),
        "units": "eV, eV/Å, Å (stress eV/Å³)",
        "geometries": about.geometries,
        "splits": about.splits,
        **_counts(frames, about.groups),
        **_ranges(frames, about.atomic_energies()),
        "noise": about.noise,
        "limits": about.limits,
        "licence": LICENCE,
        **about.more(),
    }


def _counts(frames: Sequence[Atoms], groups: str) -> dict:
    splits: dict[str, list[Atoms]] = {}
    for atoms in frames:
        splits.setdefault(atoms.info["split"], []).append(atoms)
    rows = {"structures": {s: len(part) for s, part in splits.items()}}
    if groups in frames[0].info:
        rows[{"smiles": "molecules"}.get(groups, f"{groups}s")] = {
            s: len(set(groups_of(part, groups))) for s, part in splits.items()
        }
    if {"pool", "test"} <= set(splits):
        distance = nearest(splits["test"], splits["pool"])
        rows["nearest_test_to_pool_A"] = (
            None if distance is None else round(distance, 4)
        )
    return rows


def _ranges(frames: Sequence[Atoms], atomic_energies: dict[int, float]) -> dict:
    """Largest forces, and energies an atom relative to free atoms."""
    with_forces = [a for a in frames if "forces" in a.calc.results]
    forces = [a.get_forces(apply_constraint=False) for a in with_forces]
    binding = [
        (a.get_potential_energy() - sum(atomic_energies[int(z)] for z in a.numbers))
        / len(a)
        for a in frames
    ]
    return {
        "structures_with_forces": len(with_forces),
        "largest_force_eV_per_A": float(max(np.abs(f).max() for f in forces)),
        "largest_net_force_eV_per_A": float(
            max(np.abs(f.sum(axis=0)).max() for f in forces)
        ),
        "energy_from_free_atoms_eV_per_atom": [
            round(float(min(binding)), 4),
            round(float(max(binding)), 4),
        ],
        "atomic_energies_eV": {str(z): e for z, e in atomic_energies.items()},
    }
