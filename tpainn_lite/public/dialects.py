"""Read labelled structures in the dialects that people write, into eV and Å.

What a file says is used. What had to be assumed or left out becomes a note, with counts
and frame numbers. What would be a guess raises `ValueError`.
"""

import contextlib
import glob
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.formats import filetype

from .. import guards
from ..data import DataWarning, check, is_free, result, unconstrained, with_labels
from ..units import KCAL_MOL, LABEL_UNITS
from . import doubts, formats, unpack

PREFIX = r"(?:(?:ref|dft|qm|true|target|label)_)?"
ENERGY = re.compile(PREFIX + r"(?:tot_?|total_?)?energ(?:y|ies)", re.I)
FORCES = re.compile(PREFIX + r"(?:atomic_)?forces?", re.I)
SUFFIXES = (".xyz", ".extxyz", ".npz", ".db", ".traj", ".log", ".out", ".xml")
CALCULATIONS = ("vasprun.xml", "OUTCAR")  # a folder of them needs no other file
VOIGT = [0, 5, 4, 5, 1, 3, 4, 3, 2]  # nine components from xx, yy, zz, yz, xz, xy
ISOTOPES = {"D": 2.014, "T": 3.016}  # u
PROGRAMS = ("Entering Gaussian System", "* O   R   C   A *")  # an output begins so
UNCONVERGED = (
    "SCF NOT CONVERGED AFTER",  # ORCA
    "Convergence failure -- run terminated",  # Gaussian
    "self-consistency was not achieved in the given",  # VASP
    "SCF run NOT converged",  # CP2K
)
SAME = 1e-6  # relative: two keys with one value


def read(paths, unit, keys, gradients: bool, labelled: bool, forces: bool):
    """Read files as `data.read` says."""
    told, sign, frames = _told(unit), 1 - 2 * gradients, []
    for path in files(paths):
        notes: list[str] = []
        try:
            found = _frames(path, told, keys, sign, notes)
            if count := unconstrained(found):
                notes.append(
                    f"{count} structures had ASE constraints, which hide forces: taken "
                    "off."
                )
            if labelled:
                found = complete(found, forces, notes)
            notes += doubts.doubts(found)
            check(found, "file", labelled, forces)
        except ValueError as error:
            also = "".join(f" ({note})" for note in notes)
            words = str(error).removeprefix("file, ")
            raise ValueError(f"{path}: {words}{also}") from error
        if notes:
            warnings.warn("\n".join([f"{path}:", *notes]), DataWarning, stacklevel=3)
        frames += found
    return frames


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
    source = _source(path, unit, notes)
    for named, told in zip(source[1:], unit or (None, None), strict=True):
        if named and told and not np.isclose(named, told):
            raise ValueError(
                f"unit: the file says {named:.6g} eV (eV/Å), got {told:.6g}: leave it"
            )
    energy = source.energy or (unit[0] if unit else 1.0)
    force = source.force or (unit[1] if unit else 1.0)
    frames = []
    for atoms, e, f in _labels(source.frames, *keys, notes):
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
            there = sorted({k for a in frames for k in _all_values(a)})
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


def files(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """List the files of a path, a list of paths, a pattern or a folder, in order.

    A folder of DeePMD (type.raw and set.*) counts as one file. Raises `ValueError`
    where there is none.
    """
    if isinstance(paths, Sequence) and not isinstance(paths, str | bytes):
        if not paths:
            raise guards.refusal("paths", "at least one", paths)
        return [file for path in paths for file in files(path)]
    path = guards.file(paths, "paths").expanduser()
    if path.is_dir() and not (path / "type.raw").exists():
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        found = [p for p in inside if p.name in CALCULATIONS]
        found = found or [p for p in inside if p.suffix.lower() in SUFFIXES]
        found += [p.parent for p in inside if p.name == "type.raw"]
        if not found:
            raise ValueError(f"{path}: no file in it ends in one of {SUFFIXES}")
        return found
    if found := [path] if path.exists() else sorted(glob.glob(str(path))):
        return [*map(Path, found)]
    raise ValueError(f"{path}: no such file")


def _source(path: Path, unit, notes: list[str]) -> formats.Source:
    """Read one file by its contents, else by its name."""
    if path.is_dir():
        return formats.deepmd(path)
    if path.suffix.lower() == ".npz":
        return _npz(path, unit, notes)
    content = unpack.content_of(path)
    if content.startswith(b"SQLite format 3") and "_property_unit_dict" in (
        ase.db.connect(path).metadata
    ):
        return formats.schnetpack(path)
    text = _text(content)
    if formats.CP2K.match(text):
        return formats.cp2k(path, text)
    if {".xyz", ".extxyz"} & {*path.suffixes} or "Properties=species" in text[:1000]:
        return formats.Source([*_xyz(text, notes)])
    return formats.Source(_ase(path, text, notes))


def _text(content: bytes) -> str:
    """Decode UTF-8, with or without a mark, UTF-16 with one, else Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _xyz(text: str, notes: list[str]) -> Iterator[Atoms]:
    """Yield the frames of an extended XYZ."""
    if not text.endswith("\n"):
        notes.append("The last line does not end: is its last number whole?")
    for k, block in enumerate(formats.blocks(text)):
        try:
            yield _xyz_frame(block)
        except Exception as error:  # ASE's readers raise whatever their parsers raise
            kind = "" if isinstance(error, ValueError) else type(error).__name__ + ": "
            raise ValueError(f"frame {k} cannot be read ({kind}{error})") from error


def _xyz_frame(block: list[str]) -> Atoms:
    """Read a frame with ASE, once what ASE does not know is put right."""
    header = re.sub(r"np\.(?:float|int)\d+\(([^()]*)\)", r"\1", block[1])
    header = re.sub(rf"({formats.NUMBER})[dD]([-+]?\d+)", r"\1e\2", header)
    header = re.sub(r'(stress|virial)="([^"]*)"', _nine_components, header)
    where = re.search(r"Properties=(\S*?)species:S:1", header)
    column = sum(map(int, re.findall(r":(\d+)", where[1]))) if where else 0
    rows, masses = [line.split() for line in block[2:]], {}
    for i, row in enumerate(rows):
        symbol = row[column]
        if symbol in ISOTOPES:
            masses[i], row[column] = ISOTOPES[symbol], "H"
        elif not symbol.isdigit() and not atomic_numbers.get(symbol.capitalize()):
            raise ValueError(
                f"atom {i}: {symbol!r} is no element; take dummy atoms out"
            )
    columns = sum(map(int, re.findall(r":[SRIL]:(\d+)", header)))
    if columns > min(map(len, rows), default=columns):  # ASE would count up to them
        raise ValueError(f"announces {columns} columns, has {len(rows[0])}")
    lines = [block[0], header, *map(" ".join, rows)]
    atoms = ase.io.read(io.StringIO("\n".join(lines) + "\n"), format="extxyz")
    assert isinstance(atoms, Atoms)
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


def _labels(
    frames: Sequence[Atoms],
    energy_key: str | None,
    forces_key: str | None,
    notes: list[str],
) -> list[tuple[Atoms, float | None, np.ndarray | None]]:
    """Find each frame's energy and forces, in the file's units; None where missing."""
    kept = [_all_values(atoms) for atoms in frames]
    energy = _key(kept, energy_key, ENERGY, "energy", notes)
    forces = _key(kept, forces_key, FORCES, "forces", notes)
    found, stars = [], []
    for k, (atoms, values) in enumerate(zip(frames, kept, strict=True)):
        e, f = (values.get(key) for key in (energy, forces))
        number = None if e is None else _number(e, f"frame {k}: {energy}")
        if e is not None and number is None:
            stars.append(k)
        if f is not None:
            f = _array(f, len(atoms), f"frame {k}: {forces}")
        elif is_free(atoms) and number is not None:
            f = np.zeros((1, 3))  # by symmetry
        found.append((atoms, number, f))
    if stars:
        notes.append(f"{len(stars)} energies are no numbers: frames {stars[:5]}.")
    return found


def _all_values(atoms: Atoms) -> dict[str, object]:
    """Gather what a frame holds beside its structure; results of a calculator win."""
    arrays = {
        k: v for k, v in atoms.arrays.items() if k not in ("numbers", "positions")
    }
    return {**atoms.info, **arrays, **(atoms.calc.results if atoms.calc else {})}


def _key(
    kept: Sequence[Mapping],
    told: str | None,
    pattern: re.Pattern,
    name: str,
    notes: list[str],
) -> str | None:
    """Choose the one key of the labels called `name`; refuse two that differ."""
    keys = [*dict.fromkeys(k for values in kept for k in values)]
    if told is not None:
        if told not in keys:
            raise ValueError(f"{name}_key: no frame has {told!r}, but {sorted(keys)}")
        return told
    keys = [k for k in keys if pattern.fullmatch(str(k))]
    keys.sort(key=lambda key: key != name)  # the plain one first
    if not keys:
        return None
    for one in keys:
        for other in keys[keys.index(one) + 1 :]:
            if differ := _differ(kept, one, other):
                raise ValueError(
                    f"{one!r} and {other!r} differ, in frame {differ[0]} first; choose "
                    f"with {name}_key={one!r} or {name}_key={other!r}"
                )
    best = max(keys, key=lambda key: sum(key in values for values in kept))
    if best != name:
        notes.append(f"The {name} {'are' if name[-1] == 's' else 'is'} {best!r}.")
    free = _differ(kept, best, "free_energy") if name == "energy" else []
    if free:
        notes.append(
            f"{best!r} and 'free_energy' differ: {best!r} was taken; forces belong to "
            "the free energy where electrons are smeared."
        )
    return best


def _differ(kept: Sequence[Mapping], one: str, other: str) -> list[int]:
    """List the frames in which two keys hold different values."""
    both = [k for k, values in enumerate(kept) if one in values and other in values]
    return [
        k for k in both if not np.allclose(kept[k][one], kept[k][other], SAME, SAME)
    ]


def _number(value, where: str) -> float | None:
    """Read a number, also one of Fortran's or NumPy's texts; None for stars."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, str):
        plain = re.sub(r"[dD]", "e", value.strip())
        if not re.fullmatch(rf"{formats.NUMBER}(e[-+]?\d+)?", plain):
            if re.fullmatch(r"\*+|nan|none|null|", value.strip().lower()):
                return None
            raise ValueError(f"{where}: needs a number, got {value!r}")
        value = float(plain)
    return guards.finite(value, where) if value == value else None


def _array(value, n: int, where: str) -> np.ndarray:
    """Read forces (N, 3)."""
    forces = np.asarray(value, float)
    if forces.shape == (3, n) and n != 3:
        forces = forces.T
    return guards.array(n, 3)(
        forces.reshape(n, 3) if forces.size == 3 * n else forces, where
    )
