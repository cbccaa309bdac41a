"""Read labelled structures in the dialects that people write, into eV and Å.

What a file says is used. What had to be assumed or left out becomes a note, with counts
and frame numbers. What would be a guess raises `ValueError`.
"""

import contextlib
import glob
import io
import logging
import re
import tempfile
import warnings
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.io.formats import UnknownFileTypeError, filetype

from .. import guards
from ..analysis import heights
from ..data import DataWarning, check, result, unconstrained, with_labels
from ..units import LABEL_UNITS
from . import doubts, formats, labels, unpack, xyz

SUFFIXES = [".xyz", ".extxyz", ".npz", ".db", ".traj", ".log", ".out", ".xml", ".zip"]
CALCULATIONS = ("OUTCAR", "vasprun.xml")  # the last stands for all files in a folder
PROGRAMS = ("Entering Gaussian System", "* O   R   C   A *")  # an output begins so
DECLARED = {  # in outputs of Gaussian and ORCA, where not 0 and 1
    "charge": r"(?:Charge =|Total Charge\s+Charge\s+\.+)\s*(-?[1-9]\d*)\b",
    "multiplicity": r"(?:Multiplicity =|Multiplicity\s+Mult\s+\.+)\s*(\d+)\b",
}
UNCONVERGED = re.compile(
    r"SCF NOT CONVERGED AFTER|Wavefunction not fully converged!"  # ORCA
    r"|Convergence failure -- run terminated|Convergence criterion not met"  # Gaussian
    r"|self-consistency was not achieved in the given"  # VASP
    r"|EDIFF was not reached \(unconverged\)"  # VASP 6
    r"|SCF run NOT converged"  # CP2K
    r"|convergence NOT achieved after"  # Quantum ESPRESSO
    r"|Calculation failed to converge"  # NWChem
)
ENDS = (  # what is written once for a frame, after its SCF cycle
    r"TOTAL-FORCE \(eV/Angst\)",  # VASP
    r"SCF Done:",  # Gaussian
    r"Total (?:DFT|SCF) energy",  # NWChem
)
BEGINS = (  # or before it
    r"CARTESIAN COORDINATES \(ANGSTROEM\)",  # ORCA
    r"     Self-consistent Calculation",  # Quantum ESPRESSO
)
ELSE = " Else write extended XYZ, as dpdata and cclib do from many programs' outputs."
BESIDE = re.compile(r"\..*|.*-(?:frc|vel)-\d+\.xyz|.*\.cell")  # not read on their own
ORIGIN = "origin"  # key of `Atoms.info`: the file of a frame, and its number in it
VACUUM = 10.0  # Å between the images of a slab: no potential here sees as far
FAULTS = (KeyError, IndexError, TypeError, EOFError, AttributeError)  # odd contents


def read(paths, unit, keys, gradients: bool, labelled: bool, forces: bool):
    """Read files as `data.read` says; of several leave out what cannot be read."""
    told, sign, found = _told(unit), 1 - 2 * gradients, files(paths)
    frames, refused = [], []
    for path in found:
        notes: list[str] = []
        try:
            frames += _usable(_frames(path, told, keys, sign, notes), notes)
        except ValueError as error:
            also = "".join(f" ({note})" for note in notes)
            words = str(error).removeprefix("file, ")
            refused.append(f"{path}: {words}{also}")
            if len(found) == 1:
                raise ValueError(refused[0]) from error
            notes = [f"left out: {words}"]
        _warn(path, notes)
    if refused and not frames:
        raise ValueError(f"none of {len(refused)} files can be used: {refused[0]}")
    notes = []
    if labelled:
        with guards.at(shown(paths)):
            frames = complete(frames, forces, notes, keys)
    _warn(shown(paths), notes)
    return frames


def _warn(where: str | Path, notes: list[str]) -> None:
    """Give the notes about a file in one warning, at the line that called `read`."""
    if notes:
        warnings.warn("\n".join([f"{where}:", *notes]), DataWarning, stacklevel=4)


def shown(paths) -> str:
    """Spell one path or several in a message."""
    many = isinstance(paths, Sequence) and not isinstance(paths, str)
    return ", ".join(map(str, paths)) if many else str(paths)


def places(frames: Mapping[int, Atoms]) -> str:
    """Say where some frames are from: file and number there, else their number here."""
    some = [a.info.get(ORIGIN, f"frame {k}") for k, a in frames.items()][:5]
    return "; ".join(map(str, some)) + "; …" * (len(frames) > 5)


def _usable(found: list[Atoms], notes: list[str]) -> list[Atoms]:
    """Check the frames of a file, by their number in it."""
    if count := unconstrained(found):
        said = f"{count} structures had ASE constraints, which hide forces"
        notes.append(f"{said}: taken off.")
    each = dict(enumerate(found))
    kept = {k: a for k, a in each.items() if np.isfinite([*a.positions, *a.cell]).all()}
    if lost := {k: a for k, a in each.items() if k not in kept}:
        said = f"{len(lost)} frames left out, as positions or cell are no numbers"
        notes.append(f"{said}: {places(lost)}.")
    try:
        found = boxed([*kept.values()], notes)
        check(found, "file", labelled=False)
    except ValueError:
        notes += doubts.lengths(found)
        raise
    notes += doubts.doubts(found)
    return found


def boxed(frames: Sequence[Atoms], notes: list[str]) -> list[Atoms]:
    """Make slabs and wires fully periodic: the cell of an open direction gets a vacuum.

    Energies and forces are the same, as images are `VACUUM` apart and more. Raises
    `ValueError` where the cell vector of a periodic direction is missing.
    """
    found, count = [], 0
    for k, atoms in enumerate(frames):
        pbc, vectors = atoms.pbc, atoms.cell.any(axis=1)
        if pbc.any() and not pbc.all():
            if not vectors[pbc].all():
                raise ValueError(
                    f"frame {k}: pbc={pbc.tolist()} needs a cell vector in each "
                    f"periodic direction, got {atoms.cell.tolist()}"
                )
            energy, forces = (result(atoms, name) for name in ("energy", "forces"))
            atoms, cell, count = atoms.copy(), atoms.cell.complete(), count + 1
            gaps = 1 - np.ptp(cell.scaled_positions(atoms.positions), axis=0)
            gaps *= heights(cell.array)
            near = np.flatnonzero(~pbc & ~(vectors & (gaps >= VACUUM)))
            atoms.center(vacuum=VACUUM / 2, axis=near.tolist())
            atoms.pbc = True
            if energy is not None:
                atoms = with_labels(atoms, energy, forces)
        found.append(atoms)
    if count:
        notes.append(
            f"{count} structures are periodic in some directions only: read as boxes "
            f"with a vacuum of {VACUUM:g} Å or more in the others."
        )
    return found


def _told(unit) -> tuple[float, float] | None:
    """Look up the units of energy (eV) and force (eV/Å) that were told."""
    if unit is None:
        return None
    pair = unit if isinstance(unit, tuple | list) else (unit, unit)
    try:
        (energy, _), (above, below) = map(labels.energy_and_length, pair)
        return energy * 1.0, above / below
    except (ValueError, TypeError):
        needed = f"one of {list(LABEL_UNITS)}, or two: of energies, of forces"
        raise guards.refusal("unit", needed, unit) from None


def _frames(path: Path, unit, keys, sign: int, notes: list[str]) -> list[Atoms]:
    """Read the frames of one file, labelled (eV, eV/Å) where the file has labels."""
    try:
        source = _source(path, unit, notes)
    except FAULTS as error:
        words = f"cannot be understood ({type(error).__name__}: {error})"
        raise ValueError(words) from error
    for named, told in zip(source[1:], unit or (None, None), strict=True):
        if named and told and not np.isclose(named, told):
            raise ValueError(
                f"unit: the file says {named:.6g} eV (eV/Å), got {told:.6g}: leave "
                "unit out"
            )
    energy = source.energy or (unit[0] if unit else 1.0)
    force = source.force or (unit[1] if unit else 1.0)
    frames: list[Atoms] = []
    told: set[str] = set()
    plain = energy == force == 1  # eV, Å
    for k, (atoms, e, f) in enumerate(labels.labels_of(source.frames, *keys, notes)):
        stress = labels.stress_of(atoms, told) if plain else None
        atoms.info[ORIGIN] = f"{path.name}, frame {k}"
        if e is None:
            atoms.calc = None
        else:
            constraints = atoms.constraints
            f = None if f is None else f * force * sign
            atoms = with_labels(atoms, e * energy, f, stress)
            atoms.set_constraint(constraints)  # to be counted
        frames.append(atoms)
    notes += sorted(told)
    return frames


def complete(
    frames: Sequence[Atoms], forces: bool, notes: list[str], keys=(None, None)
) -> list[Atoms]:
    """Leave out frames without energy, or without the forces that others have.

    Raises `ValueError`, with the keys that there are, where no frame would be left;
    `keys` are those that a user told.
    """
    kept = dict(enumerate(frames))
    for name, told in zip(("energy", "forces")[: 1 + forces], keys, strict=False):
        lacking = {k: a for k, a in kept.items() if result(a, name) is None}
        if len(lacking) == len(kept):
            there = labels.keys_of(frames)
            if told:
                raise ValueError(f"{name}_key: no frame has {told!r}, but {there}")
            what = f"a frame has {there}: name the right one with {name}_key"
            what = what if there else "there are structures only: label them"
            also = ", or read energies alone with forces=False" * (name == "forces")
            raise ValueError(f"no frame has {name}; {what}{also}")
        if lacking:
            n = len(lacking)
            notes.append(f"{n} frames without {name} left out: {places(lacking)}.")
        kept = {k: a for k, a in kept.items() if k not in lacking}
    return [*kept.values()]


def files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the files of a path, a list of paths, a pattern or a folder, in order.

    A folder of DeePMD (type.raw and set.*) counts as one file; of a VASP calculation
    one file is taken, and of a file that is there plain and packed the plain one.
    Raises `ValueError` where there is none.
    """
    if isinstance(paths, Sequence) and not isinstance(paths, str | bytes):
        if not paths:
            raise guards.refusal("paths", "at least one", paths)
        return [file for path in paths for file in files(path)]
    path = guards.file(paths, "paths").expanduser()
    if path.is_dir() and not (path / "type.raw").exists():
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        inside = [p for p in inside if "/." not in f"/{p.relative_to(path)}"]
        plain = {p: unpack.plain(p) for p in inside}
        inside = [p for p in inside if p == plain[p] or plain[p] not in plain]
        runs = {p.parent: p for p in inside if plain[p].name in CALCULATIONS}
        ends = {p: {p.suffix.lower(), plain[p].suffix.lower()} for p in inside}
        found = [p for p in inside if ends[p] & {*SUFFIXES}]
        found = [*runs.values(), *(p for p in found if p.parent not in runs)]
        found = [p for p in found if not BESIDE.fullmatch(plain[p].name)]
        found += [p.parent for p in inside if p.name == "type.raw"]
        if not found:
            raise ValueError(f"{path}: no file in it ends in one of {SUFFIXES}")
        return found
    if path.exists():
        return [path]
    if found := sorted(map(Path, glob.glob(str(path)))):
        return [file for path in found for file in files(path)]
    raise ValueError(f"{path}: no such file")


def _source(path: Path, unit, notes: list[str]) -> formats.Source:
    """Read one file by its contents, else by its name."""
    if path.is_dir():
        return formats.deepmd(path)
    if path.suffix.lower() == ".npz":
        return formats.npz(path, unit is not None, notes)
    content, inner = unpack.content_of(path)
    text = _text(content)
    written = "Properties=" in text[:1000] or xyz.BEGINS.match(text)
    if {".xyz", ".extxyz"} & {*inner.suffixes} or written:
        if formats.COMMENT.match(text):
            return formats.commented(path, text, notes)
        frames = [*xyz.frames_of(text, notes)]
        return formats.Source(frames, *xyz.units_of(frames, unit is not None))
    if inner.name == "vasprun.xml":  # it does not say whether cycles converged
        known = {unpack.plain(p).name: p for p in path.parent.glob("OUTCAR*")}
        if "OUTCAR" in known:
            text += _text(unpack.content_of(known["OUTCAR"])[0])
    if inner == Path(path.name):
        return _other(path, text, notes)
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / inner.name
        unpacked.write_bytes(content)
        if unpacked.suffix == ".npz":
            return formats.npz(unpacked, unit is not None, notes)
        return _other(unpacked, text, notes)


def _other(path: Path, text: str, notes: list[str]) -> formats.Source:
    """Read a database, or what ASE reads, in eV and Å where a program wrote it."""
    with contextlib.suppress(UnknownFileTypeError):
        kind = filetype(str(path))
        if kind in ("db", "json"):
            return formats.database(path)
        if kind.endswith(("traj", "trajectory")):
            return formats.Source(_ase(path, text, notes))
    return formats.Source(_ase(path, text, notes), 1.0, 1.0)


def _text(content: bytes) -> str:
    """Decode UTF-8, with or without a mark, UTF-16 with one, else Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


@contextlib.contextmanager
def _sayings() -> Iterator[list[str]]:
    """Gather, for a while, what ASE warns of and what it logs."""
    found: list[str] = []
    handler, log = logging.Handler(), logging.getLogger("ase")
    handler.emit = lambda record: found.append(record.getMessage())
    log.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            yield found
        found += [str(warning.message) for warning in said]
    finally:
        log.removeHandler(handler)


def _ase(path: Path, text: str, notes: list[str]) -> list[Atoms]:
    """Read any other format with ASE; outputs that were joined one by one."""
    parts: list = [path]
    for mark in PROGRAMS:
        if text.count(mark) > 1:
            parts = [io.StringIO(mark + part) for part in text.split(mark)[1:]]
    try:
        with _sayings() as said:
            kind = filetype(str(path))
            how = dict(format=kind, do_not_split_by_at_sign=True)
            frames = [a for part in parts for a in ase.io.read(part, ":", **how)]
            for name, pattern in DECLARED.items():
                usual = {0} if name == "charge" else {1}
                if said_so := {*map(int, re.findall(pattern, text))} - usual:
                    for atoms in frames:
                        atoms.info[name] = max(said_so, key=abs)
    except Exception as error:  # ASE's readers raise whatever their parsers raise
        raise ValueError(
            f"ASE cannot read it ({type(error).__name__}: {error}); is the file "
            f"complete, and does its suffix tell its format?{ELSE}"
        ) from error
    if not frames or str(kind).startswith("lammps-dump"):
        lacking = "energies" if frames else "structures"
        raise ValueError(f"no {lacking} in it that ASE can read.{ELSE}")
    notes += dict.fromkeys(f"ASE says: {words}." for words in said)
    if bad := _unconverged(text, len(frames)):
        notes.append(f"Left out, as their SCF cycle did not converge: frames {bad}.")
    return [atoms for k, atoms in enumerate(frames) if k not in bad]


def _unconverged(text: str, n: int) -> list[int]:
    """List which of `n` frames an output says to have no converged SCF cycle."""
    found = [m.start() for m in UNCONVERGED.finditer(text)]
    for mark in (*ENDS, *BEGINS) if found else ():
        marks, begins = [m.start() for m in re.finditer(mark, text)], mark in BEGINS
        bad = {bisect(marks, k) - begins for k in found}
        if n - len(marks) in (0, 1 - begins) and min(bad) >= 0 and len(bad - {n}) < n:
            return sorted(bad - {n})  # n: a cycle that came to no frame
    if found:
        words = f"{len(found)} of its SCF cycles did not converge"
        raise ValueError(f"{words}: take these structures out")
    return []
