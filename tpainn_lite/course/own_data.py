"""Somebody's own labelled structures, read in any format and unit.

What is wrong beyond doubt raises `ValueError`, in words; what is odd becomes a note.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.data import chemical_symbols

from .. import molecules, units
from ..data import (
    CHEMISTRY,
    check,
    compositions,
    groups_of,
    is_free,
    labels,
    split_free_atoms,
    unconstrained,
    with_labels,
)
from ..model import Potential
from ..public import formats
from ..reproduce.cards import nearest

MOST = 5000  # structures; more are not read
CHARGES = ("charge", "total_charge")  # keys of `Atoms.info`
SPINS = ("spin", "total_spin", "multiplicity", "spin_multiplicity")  # 0 or 1: singlet
UNITS = {  # force, and energy that goes with it, in eV/Å and eV
    "eV/Å": (1.0, 1.0),
    "kcal/mol/Å": (units.KCAL_MOL, units.KCAL_MOL),
    "kJ/mol/Å": (units.KJ_MOL, units.KJ_MOL),
    "Hartree/Bohr": (units.HARTREE / units.BOHR, units.HARTREE),
    "Hartree/Å": (units.HARTREE, units.HARTREE),
}


@dataclass(frozen=True)
class Intake:
    """Labelled structures (eV, eV/Å), whether `forces` are there, and what is odd.

    `atomic_energies` (eV) are those of the free atoms in the file: its frames of one
    atom, which are not among the structures.
    """

    frames: list[Atoms]
    forces: bool
    notes: list[str] = field(default_factory=list)
    atomic_energies: dict[int, float] = field(default_factory=dict)


def read(path: str | Path, unit: str | None = None) -> Intake:
    """Read a file of labelled structures: all that ASE reads, and rMD17's npz.

    `unit` is that of the forces (one of `UNITS`), energies are in the unit that belongs
    to it. Without one: those that an npz names, else kcal/mol/Å for an npz, eV/Å for
    all other files. Frames of one atom are free atoms. Raises `ValueError`, saying what
    to do, for an empty or broken file, atoms that overlap, NaN, ions and radicals,
    structures of which some are periodic and some not, no energies at all, and fewer
    than two structures.
    """
    path = Path(path)
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit: needs one of {[*UNITS]}, got {unit!r}")
    if not path.is_file() or not path.stat().st_size:
        raise ValueError(f"{path}: no such file, or it is empty; look at its name")
    npz = path.suffix == ".npz"
    frames, notes = _npz(path, unit) if npz else _frames(path)
    if path.suffix in (".xyz", ".extxyz") and _last_byte(path) != b"\n":
        notes.append("The last line does not end: is its last number whole?")
    _free(frames, notes)
    _refuse_ions(frames, path, notes)
    factors = UNITS["eV/Å" if npz or unit is None else unit]
    frames, atoms = _without_free_atoms(frames, path, notes, factors[1])
    frames, forces = _labelled(frames, path, notes, *factors)
    check(frames, str(path), forces=forces)
    kinds = {bool(a.pbc.any()) for a in frames}
    if len(kinds) > 1:
        raise ValueError(
            f"{path}: some structures are periodic and some are not; put them into two "
            "files, and tune a potential for each"
        )
    frames = _without_copies(frames, notes)
    if len(frames) < 2:
        raise ValueError(
            f"{path}: needs at least 2 different structures (one to learn from, one to "
            "test on; better 10 and more), got 1; label some more"
        )
    return Intake(frames, forces, notes, atoms)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read()


def _npz(path: Path, unit: str | None) -> tuple[list[Atoms], list[str]]:
    """Read up to `MOST` structures of an npz, converted to eV and eV/Å."""
    try:
        with np.load(path) as arrays:
            named = formats.named_units(arrays)
            words = {k: str(arrays[k]) for k in ("e_unit", "r_unit") if k in arrays}
        if unit and _contradicts(named, *UNITS[unit]):
            said = ", ".join(f"{k} {v!r}" for k, v in words.items())
            raise ValueError(f"unit: {unit} was asked for, but the file says {said}")
        frames = formats.molecule_npz(path, UNITS[unit] if unit else None)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"{path}: needs arrays {formats.RMD17_KEYS} (rMD17's) or "
            f"{formats.SGDML_KEYS} (sGDML's) that fit together: {error}"
        ) from error
    notes = _too_many(len(frames))
    if named[0] is None and not unit:
        notes.append(
            "The npz names no unit of energy: read as kcal/mol, as in rMD17; else name "
            "it."
        )
    return frames[:MOST], notes


def _contradicts(named: tuple, force: float, energy: float) -> bool:
    """Return whether the units that a file names are not those of force and energy."""
    other = named[0] and not np.isclose(named[0], energy)
    both = None not in named
    return bool(other or (both and not np.isclose(named[0] / named[1], force)))


def _frames(path: Path) -> tuple[list[Atoms], list[str]]:
    """Read up to `MOST` structures with ASE."""
    frames: list[Atoms] = []
    try:
        for atoms in islice(ase.io.iread(path, ":"), MOST + 1):
            frames.append(atoms)
    except Exception as error:  # ASE's readers raise whatever their parsers raise
        whole = f"the {len(frames)} structures before it are whole" if frames else ""
        raise ValueError(
            f"{path}: structure {len(frames)} cannot be read ({type(error).__name__}: "
            f"{error}); is the file cut off, or its suffix not its format? {whole}"
        ) from error
    if not frames:
        raise ValueError(f"{path}: ASE finds no structure in it; is it the right file?")
    return frames[:MOST], _too_many(len(frames))


def _too_many(count: int) -> list[str]:
    """Make the note on `count` structures, if they are more than `MOST`."""
    if count <= MOST:
        return []
    return [
        f"More than {MOST} structures: only the first {MOST} are used. Few labels are "
        "the point here; take every tenth if they come from one run."
    ]


def _free(frames: Sequence[Atoms], notes: list[str]) -> None:
    """Take constraints off, with a note."""
    if count := unconstrained(frames):
        notes.append(
            f"{count} structures had ASE constraints, which were taken off: they would "
            "hide the forces on fixed atoms."
        )


def _refuse_ions(frames: Sequence[Atoms], path: Path, notes: list[str]) -> None:
    """Raise `ValueError` for charges and spins: no potential here is told of them.

    A free atom has a spin, and a periodic metal may have an odd number of electrons.
    """
    found: dict[int, str] = {}
    boxes = 0  # with an odd number of electrons
    for k, atoms in enumerate(frames):
        if is_free(atoms):
            continue
        words, odd = _declared(atoms), int(atoms.numbers.sum()) % 2 == 1
        if odd and atoms.pbc.any():
            boxes += 1
        elif odd:
            words.append(f"{atoms.numbers.sum()} electrons, an odd number")
        if words:
            found[k] = ", ".join(words)
    if found:
        raise ValueError(
            f"{path}: needs neutral closed-shell structures; {len(found)} are ions or "
            f"radicals, frames {[*found][:5]} first ({next(iter(found.values()))}); "
            "take them out"
        )
    if boxes:
        notes.append(
            f"{boxes} periodic structures have an odd number of electrons: are they "
            "metals, or is an atom missing?"
        )


def _declared(atoms: Atoms) -> list[str]:
    """Say which charge or spin a structure comes with, where it is not zero."""
    words = []
    for keys, neutral in ((CHARGES, 0.5), (SPINS, 1)):
        for key in keys:
            value = atoms.info.get(key, 0)
            if isinstance(value, (int, float, np.number)) and abs(value) > neutral:
                words.append(f"{key}={value:g}")
    for name in ("charges", "magnetic_moments"):
        total = getattr(atoms, f"get_initial_{name}")().sum()
        if abs(total) > 0.5:
            words.append(f"initial {name.replace('_', ' ')} add up to {total:g}")
    return words


def _without_free_atoms(
    frames: Sequence[Atoms], path: Path, notes: list[str], energy: float
) -> tuple[list[Atoms], dict[int, float]]:
    """Separate structures from frames of one atom, and read these atoms' energies."""
    alone = [(a, _property(a, "energy")) for a in frames if is_free(a)]
    known = [with_labels(a, energy * e) for a, e in alone if e is not None]
    try:
        _, atoms = split_free_atoms(known)
    except ValueError as error:
        raise ValueError(f"{path}: of its frames of one atom, {error}") from None
    if alone:
        found = ", ".join(f"{chemical_symbols[z]} {e:.4f} eV" for z, e in atoms.items())
        notes.append(
            f"Frames of one atom are free atoms: {found or 'none has energy'}."
        )
    return [a for a in frames if not is_free(a)], atoms


def _labelled(
    frames: Sequence[Atoms], path: Path, notes: list[str], force: float, energy: float
) -> tuple[list[Atoms], bool]:
    """Copies with labels in eV and eV/Å, and whether all have forces."""
    energies = [_property(a, "energy") for a in frames]
    forces = [_property(a, "forces") for a in frames]
    known = [k for k, e in enumerate(energies) if e is not None]
    if not known:
        raise ValueError(
            f"{path}: no structure has an energy that ASE finds; in extxyz it is "
            "'energy=...' in the second line of a structure, forces are columns "
            "'forces:R:3'"
        )
    if len(known) < len(frames):
        notes.append(f"{len(frames) - len(known)} structures without energy left out.")
    every = all(forces[k] is not None for k in known)
    if not every:
        notes.append(
            "Forces are missing (in some structures at least): tune on energies alone, "
            "FitConfig(energy_weight=1.0, force_weight=0.0), and expect to need more."
        )
    labelled = [
        with_labels(
            frames[k], energy * energies[k], force * forces[k] if every else None
        )
        for k in known
    ]
    return labelled, every


def _property(atoms: Atoms, name: str):
    """A label, or None where there is none."""
    try:
        return atoms.calc and atoms.calc.get_property(name, atoms, False)
    except PropertyNotImplementedError:
        return None


def _without_copies(frames: Sequence[Atoms], notes: list[str]) -> list[Atoms]:
    seen = {}
    for atoms in frames:
        key = atoms.numbers.tobytes() + atoms.positions.round(4).tobytes()
        seen.setdefault(key + np.round(atoms.cell, 4).tobytes(), atoms)
    if len(seen) < len(frames):
        notes.append(f"{len(frames) - len(seen)} copies of other structures left out.")
    return [*seen.values()]


OWN = "MMFF94, taught here"  # a pretraining that begins in the lesson

GROUPS = ("smiles", "run", "seed", "trajectory")  # of `Atoms.info`: what a group shares
TEST, GAP = 0.25, 0.05  # shares of the structures: tested on, left out in between


def start(frames: Sequence[Atoms]) -> str:
    """The shipped checkpoint to tune, of liquid water or of molecules; else `OWN`.

    `OWN` where MMFF94 knows the molecules and the checkpoint does not. Raises
    `ValueError`, with what there is, for other elements and other crystals.
    """
    elements = {int(z) for a in frames for z in a.numbers}
    periodic = frames[0].pbc.any()
    water = all(2 * (a.numbers == 8).sum() == (a.numbers == 1).sum() for a in frames)
    if periodic and elements == {1, 8} and water:
        return "water-qtip4pf-longer"
    if not periodic and elements <= {1, 6, 7, 8}:
        return "molecules-mmff94"
    why = ""
    if not periodic:
        try:
            if known_molecules(frames):
                return OWN
        except ValueError as error:
            why = f" MMFF94 cannot teach one: {error}."
    kind = "periodic" if periodic else "open"
    raise ValueError(
        f"frames: {kind} structures of the elements {sorted(elements)}; shipped "
        f"checkpoints know open molecules of H, C, N, O and liquid water.{why} "
        "Pretrain one of your own first: lessons 01 and 02 show how, with MMFF94"
    )


def known_molecules(frames: Sequence[Atoms]) -> list[str]:
    """SMILES of the molecules in `frames`, one a composition, as MMFF94 knows them.

    Bonds are read from distances, which fails for hot structures now and then: of each
    composition up to ten are tried. Raises `ValueError` where none of them will do.
    """
    found: dict[str, str] = {}
    tried: dict[str, list] = {}
    for atoms in frames:
        formula = atoms.get_chemical_formula()
        if formula in found or len(tried.setdefault(formula, [])) == 10:
            continue
        try:
            found[formula] = molecules.perceive(atoms)
        except ValueError as error:
            tried[formula].append(error)
    for formula, errors in tried.items():
        if formula not in found:
            raise errors[0]
    return [*dict.fromkeys(found.values())]


def atom_energies(
    frames: Sequence[Atoms], known: Mapping[int, float]
) -> dict[int, float]:
    """Find energies (eV) of free atoms: those `known`, the rest from the labels.

    Frames of one atom are free atoms, and come first. The rest are what is left of the
    labels' energies, by least squares: right to some eV, which is where the fit of
    reference energies can begin. Where `known` cannot be free atoms of the labels'
    method (an all-electron method, and labels with pseudopotentials, say), all of them
    come from the labels, with a warning.
    """
    structures, free = split_free_atoms(frames)
    elements = sorted({int(z) for a in structures for z in a.numbers})
    energies = np.array([labels(a, forces=False)[0] for a in structures])
    sizes = np.array([len(a) for a in structures])
    far = []  # eV an atom, from both candidates
    for start in ({**known, **free}, free):
        new = [z for z in elements if z not in start]
        atoms = {z: start.get(z, 0.0) for z in elements}
        left = energies - compositions(structures, elements) @ [*atoms.values()]
        fitted, *_ = np.linalg.lstsq(compositions(structures, new), left)
        left = (left - compositions(structures, new) @ fitted) / sizes
        far.append(np.abs(left).max())
        if far[-1] < CHEMISTRY:
            break
    if len(far) > 1:
        warnings.warn(
            f"known: the labels are up to {far[0]:.0f} eV an atom from these free "
            "atoms, so reference energies come from the labels alone. Are the atoms of "
            "another method, or the labels in Hartree, Ry or kcal/mol?",
            stacklevel=2,
        )
    return start | dict(zip(new, fitted.tolist(), strict=True))


def doubt_units(frames: Sequence[Atoms], potential: Potential) -> str | None:
    """What the forces' unit seems to be, if not eV/Å, and what to do; else None.

    The labels are held against what `potential` predicts: their ratio tells.
    """
    some = frames[:: max(1, len(frames) // 50)]
    known = np.concatenate([a.get_forces(apply_constraint=False).ravel() for a in some])
    guess = np.concatenate([f.ravel() for f in potential.predict(some)[1]])
    slope = float(known @ guess / (guess @ guess))
    alike = float(np.corrcoef(known, guess)[0, 1])
    if slope <= 0 or alike < 0.3:
        return (
            f"The forces have nothing to do with those of the pretrained potential "
            f"(correlation {alike:.2f}): are they gradients (the sign), or of another "
            "molecule?"
        )
    nearest_unit = min(UNITS, key=lambda u: abs(np.log(slope * UNITS[u][0])))
    if nearest_unit == "eV/Å":
        return None
    return (
        f"The forces are {slope:.3g} times what the pretrained potential predicts, as "
        f"if in {nearest_unit}: read them with unit={nearest_unit!r}."
    )


def pool_and_test(frames: Sequence[Atoms]) -> tuple[list[Atoms], list[Atoms], str]:
    """Two parts that share as little as can be, and in words how they were split.

    By molecule or run where `Atoms.info` names them (`GROUPS`), by composition where
    there are eight and more; else the last quarter in the order of the file is the
    test, and what comes just before it is left out: neighbours in a run are copies.
    """
    keys = next((k for k in GROUPS if all(k in a.info for a in frames)), None)
    if keys:
        names = [str(name) for name in groups_of(frames, keys)]
    else:
        keys, names = "composition", [a.get_chemical_formula() for a in frames]
    groups = [*dict.fromkeys(names)]
    if len(groups) >= 8:
        last = set(groups[-max(1, round(TEST * len(groups))) :])
        test = [a for a, n in zip(frames, names, strict=True) if n in last]
        pool = [a for a, n in zip(frames, names, strict=True) if n not in last]
        how = f"by {keys}: {len(groups) - len(last)} to learn from, {len(last)} to test"
    else:
        first = len(frames) - max(1, round(TEST * len(frames)))
        stop = max(1, first - round(GAP * len(frames)))
        pool, test = list(frames[:stop]), list(frames[first:])
        how = f"in the order of the file, {first - stop} in between left out"
    closest = nearest(test[:200], pool[:1000])
    if closest is not None:
        how += f"; the nearest pair of the two parts is {closest:.3f} Å apart"
    return pool, test, how
