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
from collections.abc import Iterator, Sequence
from pathlib import Path

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from ase.io.formats import filetype

from .. import guards
from ..data import DataWarning, check, result, unconstrained, with_labels
from ..units import KCAL_MOL, LABEL_UNITS
from . import doubts, formats, labels, unpack

UNIT = re.compile(r"(?:(?:energy|forces?|length|positions?|e|f|r)_)?units?", re.I)
PLAIN = (
    "eV",
    "eV/Å",
    "eV/Ang",
    "eV/Angstrom",
    "eV/A",
    "Å",
    "Ang",
    "Angstrom",
    "angstrom",
)
FORTRAN = re.compile(r"(?<![\w.])([-+]?\d*\.\d+)[dD]([-+]?\d+)(?!\w)")
SUFFIXES = (".xyz", ".extxyz", ".npz", ".db", ".traj", ".log", ".out", ".xml")
CALCULATIONS = ("OUTCAR", "vasprun.xml")  # a folder of them needs no other file
VOIGT = [0, 5, 4, 5, 1, 3, 4, 3, 2]  # nine components from xx, yy, zz, yz, xz, xy
ISOTOPES = {"D": 2.014, "T": 3.016}  # u
PROGRAMS = ("Entering Gaussian System", "* O   R   C   A *")  # an output begins so
DECLARED = {  # in outputs of Gaussian and ORCA
    "charge": r"(?:Charge =|Total Charge\s+Charge\s+\.+)\s*(-?[1-9]\d*)\b",
    "multiplicity": r"(?:Multiplicity =|Multiplicity\s+Mult\s+\.+)\s*(\d+)\b",
}
UNCONVERGED = (
    "SCF NOT CONVERGED AFTER",  # ORCA
    "Convergence failure -- run terminated",  # Gaussian
    "self-consistency was not achieved in the given",  # VASP
    "SCF run NOT converged",  # CP2K
)
BESIDE = re.compile(r"\..*|.*-(?:frc|vel)-\d+\.xyz|.*\.cell")  # not read on their own
FAULTS = (KeyError, IndexError, TypeError, EOFError, AttributeError)  # odd contents


def read(paths, unit, keys, gradients: bool, labelled: bool, forces: bool):
    """Read files as `data.read` says.

    Of a folder or pattern, files that cannot be used are left out, with a warning.
    """
    told, sign, frames, refused = _told(unit), 1 - 2 * gradients, [], []
    for path, named in files(paths):
        notes: list[str] = []
        try:
            found = _frames(path, told, keys, sign, notes)
            frames += _usable(found, labelled, forces, notes)
        except ValueError as error:
            also = "".join(f" ({note})" for note in notes)
            words = str(error).removeprefix("file, ")
            refused.append(f"{path}: {words}{also}")
            if named:
                raise ValueError(refused[-1]) from error
            notes = [f"left out: {words}"]
        if notes:
            warnings.warn("\n".join([f"{path}:", *notes]), DataWarning, stacklevel=3)
    if refused and not frames:
        raise ValueError(f"none of {len(refused)} files can be used: {refused[0]}")
    return frames


def _usable(found, labelled: bool, forces: bool, notes: list[str]) -> list[Atoms]:
    """Check frames, by their number in the file, and complete their labels."""
    if count := unconstrained(found):
        notes.append(
            f"{count} structures had ASE constraints, which hide forces: taken off."
        )
    try:
        check(found, "file", labelled=False)
    except ValueError:
        notes += doubts.lengths(found)
        raise
    if labelled:
        found = complete(found, forces, notes)
    notes += doubts.doubts(found)
    return found


def _told(unit) -> tuple[float, float] | None:
    """Look up the units of energy (eV) and force (eV/Å) that were told."""
    if unit is None:
        return None
    name = guards.one_of(*LABEL_UNITS)
    if isinstance(unit, tuple | list):
        energy, force = guards.several(name, 2)(unit, "unit")[:2]
    else:
        energy = force = name(unit, "unit")
    return LABEL_UNITS[energy][1], LABEL_UNITS[force][0]


def _frames(path: Path, unit, keys, sign: int, notes: list[str]) -> list[Atoms]:
    """Read the frames of one file, labelled (eV, eV/Å) where the file has labels."""
    try:
        source = _source(path, unit, notes)
    except FAULTS as error:
        raise ValueError(
            f"cannot be understood ({type(error).__name__}: {error})"
        ) from (error)
    for named, told in zip(source[1:], unit or (None, None), strict=True):
        if named and told and not np.isclose(named, told):
            raise ValueError(
                f"unit: the file says {named:.6g} eV (eV/Å), got {told:.6g}: leave it"
            )
    energy = source.energy or (unit[0] if unit else 1.0)
    force = source.force or (unit[1] if unit else 1.0)
    frames = []
    for atoms, e, f in labels.labels_of(source.frames, *keys, notes):
        stress = atoms.calc and atoms.calc.results.get("stress")
        if e is None:
            atoms.calc = None
        else:
            constraints = atoms.constraints
            f = None if f is None else f * force * sign
            atoms = with_labels(atoms, e * energy, f)
            atoms.set_constraint(constraints)  # to be counted
            if stress is not None and energy == 1:
                atoms.calc.results["stress"] = stress
        frames.append(atoms)
    return frames


def complete(frames: Sequence[Atoms], forces: bool, notes: list[str]) -> list[Atoms]:
    """Leave out frames without energy, or without the forces that others have.

    Raises `ValueError`, with the keys that there are, where no frame would be left.
    """
    kept = dict(enumerate(frames))
    for name in ("energy", "forces")[: 1 + forces]:
        lacking = [k for k, a in kept.items() if result(a, name) is None]
        if len(lacking) == len(kept):
            there = sorted({str(k) for a in frames[:10] for k in labels.all_values(a)})[
                :10
            ]
            also = ", or read energies alone with forces=False" * (name == "forces")
            raise ValueError(
                f"no frame has {name}; a frame has {there}: name the right one with "
                f"{name}_key{also}"
            )
        if lacking:
            notes.append(
                f"{len(lacking)} frames without {name} left out: frames {lacking[:5]}."
            )
        kept = {k: a for k, a in kept.items() if k not in {*lacking}}
    return [*kept.values()]


def files(paths: str | Path | Sequence[str | Path]) -> list[tuple[Path, bool]]:
    """List the files of a path, a list of paths, a pattern or a folder, in order.

    Each comes with whether it was named itself. A folder of DeePMD (type.raw and set.*)
    counts as one file; of a VASP calculation one file is taken. Raises `ValueError`
    where there is none.
    """
    if isinstance(paths, Sequence) and not isinstance(paths, str | bytes):
        if not paths:
            raise guards.refusal("paths", "at least one", paths)
        return [file for path in paths for file in files(path)]
    path = guards.file(paths, "paths").expanduser()
    if path.is_dir() and not (path / "type.raw").exists():
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        runs = {p.parent: p for p in inside if p.name in CALCULATIONS}  # the last wins
        found = [*runs.values()]
        found = found or [p for p in inside if p.suffix.lower() in SUFFIXES]
        found += [p.parent for p in inside if p.name == "type.raw"]
        if not found:
            raise ValueError(f"{path}: no file in it ends in one of {SUFFIXES}")
        return [(p, False) for p in found if not BESIDE.fullmatch(p.name)]
    if path.exists():
        return [(path, True)]
    if found := sorted(map(Path, glob.glob(str(path)))):
        return [(p, False) for p in found]
    raise ValueError(f"{path}: no such file")


def _source(path: Path, unit, notes: list[str]) -> formats.Source:
    """Read one file by its contents, else by its name."""
    if path.is_dir():
        return formats.deepmd(path)
    if path.suffix.lower() == ".npz":
        return _npz(path, unit, notes)
    content, inner = unpack.content_of(path)
    text = _text(content)
    if {".xyz", ".extxyz"} & {*inner.suffixes} or "Properties=" in text[:1000]:
        if formats.CP2K.match(text):
            return formats.cp2k(path, text, notes)
        return formats.Source([*_xyz(text, unit, notes)])
    if inner == Path(path.name):
        return _other(path, text, notes)
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / inner.name
        unpacked.write_bytes(content)
        if unpacked.suffix == ".npz":
            return _npz(unpacked, unit, notes)
        return _other(unpacked, text, notes)


def _other(path: Path, text: str, notes: list[str]) -> formats.Source:
    """Read a database of SchNetPack, or what ASE reads."""
    if text.startswith("SQLite format 3"):
        with ase.db.connect(path) as database:
            ours = "_property_unit_dict" in database.metadata
        if ours:
            return formats.schnetpack(path)
    return formats.Source(_ase(path, text, notes))


def _text(content: bytes) -> str:
    """Decode UTF-8, with or without a mark, UTF-16 with one, else Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _xyz(text: str, unit, notes: list[str]) -> Iterator[Atoms]:
    """Yield the frames of an extended XYZ."""
    if not text.endswith("\n"):
        notes.append("The last line does not end: is its last number whole?")
    bare = 0  # frames with columns that nothing names
    for k, block in enumerate(formats.blocks(text)):
        try:
            yield _xyz_frame(block, unit)
        except Exception as error:  # ASE's readers raise whatever their parsers raise
            kind = "" if isinstance(error, ValueError) else type(error).__name__ + ": "
            raise ValueError(f"frame {k} cannot be read ({kind}{error})") from error
        bare += "Properties=" not in block[1] and len(block[2].split()) > 4
    if bare:
        notes.append(
            f"{bare} frames have columns after the positions, which no Properties= "
            "names: left out. Are they forces?"
        )


def _xyz_frame(block: list[str], unit) -> Atoms:
    """Read a frame with ASE, once what ASE does not know is put right."""
    header = re.sub(r"np\.(?:float|int)\d+\(([^()]*)\)", r"\1", block[1])
    header = FORTRAN.sub(r"\1e\2", header)
    header = re.sub(r'(stress|virial)="([^"]*)"', _nine_components, header)
    where = re.search(r"Properties=(\S*?)(?:species:S|Z:I):1", header)
    column = sum(map(int, re.findall(r":(\d+)", where[1]))) if where else 0
    rows = [FORTRAN.sub(r"\1e\2", line).split() for line in block[2:]]
    masses, numbered = {}, where is not None and where[0].endswith("Z:I:1")
    for i, row in enumerate(rows):
        symbol = row[column]
        if symbol in ISOTOPES:
            masses[i], row[column] = ISOTOPES[symbol], "H"
        elif symbol.isdigit() and 0 < int(symbol) < len(chemical_symbols):
            row[column] = symbol if numbered else chemical_symbols[int(symbol)]
        elif not atomic_numbers.get(symbol.capitalize()):
            raise ValueError(
                f"atom {i}: {symbol!r} is no element; take dummy atoms out"
            )
    columns = sum(map(int, re.findall(r":[SRIL]:(\d+)", header)))
    if columns > min(map(len, rows), default=columns):  # ASE would count up to them
        raise ValueError(f"announces {columns} columns, has {len(rows[0])}")
    lines = [block[0], header, *map(" ".join, rows)]
    atoms = ase.io.read(io.StringIO("\n".join(lines) + "\n"), format="extxyz")
    assert isinstance(atoms, Atoms)
    for key in atoms.info if unit is None else ():
        if UNIT.fullmatch(str(key)) and str(atoms.info[key]) not in PLAIN:
            raise ValueError(
                f"its header says {key}={atoms.info[key]}: tell it, with unit="
            )
    if masses:
        atoms.set_masses([masses.get(i, m) for i, m in enumerate(atoms.get_masses())])
    return atoms


def _nine_components(match: re.Match) -> str:
    """Write the six components of a symmetric tensor as nine."""
    found = match[2].split()
    found = [found[i] for i in VOIGT] if len(found) == 6 else found
    return f'{match[1]}="{" ".join(found)}"'


def _npz(path: Path, unit, notes: list[str]) -> formats.Source:
    """Read rMD17's or sGDML's npz."""
    try:
        source = formats.npz(path)
    except (KeyError, ValueError, OSError) as error:
        keys = f"{formats.RMD17_KEYS} (rMD17's) or {formats.SGDML_KEYS} (sGDML's)"
        raise ValueError(f"needs arrays {keys} that fit together: {error}") from error
    if source.energy is None and unit is None:
        notes.append("The npz names no unit of energy: read as kcal/mol, as in rMD17.")
        return source._replace(energy=KCAL_MOL, force=KCAL_MOL)
    if source.force is None and unit is None:
        if source.energy != 1:
            notes.append("The npz names no unit of length: read as Å, in forces, too.")
        return source._replace(force=source.energy)
    return source


def _ase(path: Path, text: str, notes: list[str]) -> list[Atoms]:
    """Read any other format with ASE; outputs that were joined one by one."""
    parts: list = [path]
    for mark in PROGRAMS:
        if text.count(mark) > 1:
            parts = [io.StringIO(mark + part) for part in text.split(mark)[1:]]
    try:
        with warnings.catch_warnings(record=True) as said, _logged("ase", said):
            warnings.simplefilter("always")
            kind = filetype(str(path))
            how = dict(format=kind, do_not_split_by_at_sign=True)
            frames = [a for part in parts for a in ase.io.read(part, ":", **how)]
            for name, pattern in DECLARED.items():
                if said_so := {*map(int, re.findall(pattern, text))} - {0, 1}:
                    for atoms in frames:
                        atoms.info[name] = max(said_so, key=abs)
    except Exception as error:  # ASE's readers raise whatever their parsers raise
        raise ValueError(
            f"ASE cannot read it ({type(error).__name__}: {error}); is the file "
            "complete, and does its suffix tell its format?"
        ) from error
    notes += dict.fromkeys(f"ASE says: {getattr(w, 'message', w)}." for w in said)
    bad = sum(text.count(words) for words in UNCONVERGED)
    if bad and len(frames) > 1:
        raise ValueError(f"{bad} of its SCF cycles did not converge: take them out")
    if bad:
        notes.append("Left out: its SCF cycle did not converge.")
        return []
    return frames


@contextlib.contextmanager
def _logged(name: str, kept: list) -> Iterator[None]:
    """Keep what is logged under `name`, in place of printing it."""
    handler, logger = logging.Handler(), logging.getLogger(name)
    handler.emit = lambda record: kept.append(record.getMessage())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
