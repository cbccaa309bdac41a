"""Read extended XYZ as people write it: ASE reads a frame once it is put right."""

import io
import re
from collections.abc import Iterator

import ase.io
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from .labels import VOIGT, named_units

FORTRAN = re.compile(r"(?<![\w.])([-+]?\d*\.\d+)[dD]([-+]?\d+)(?!\w)")
NUMBER = re.compile(r"[-+]?\d+\.\d+")
BEGINS = re.compile(r"\s*\d+[ \t]*\r?\n.*\n\s*[A-Z][a-z]?(?:\s+[-+.\d]+){3}")
STARS = re.compile(r"\*+|\b(?:none|null)\b", re.I)  # Fortran's, Python's no number
ISOTOPES = {"D": 2.014, "T": 3.016}  # u


def blocks(text: str) -> Iterator[list[str]]:
    """Cut an XYZ into the lines of its frames; skip blank lines between them."""
    lines, at, k = re.split(r"\r\n|\n|\r", text), 0, 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        if not lines[at].strip().isdigit():
            raise ValueError(
                f"line {at + 1} must be the number of atoms of frame {k}, got "
                f"{lines[at].strip()[:40]!r}; the frames before it are whole"
            )
        n = int(lines[at])
        if not n:
            raise ValueError(f"line {at + 1}: frame {k} has no atoms; take it out")
        block = lines[at : at + n + 2]
        if len(block) < n + 2 or not all(map(str.strip, block[2:])):
            raise ValueError(
                f"frame {k} is cut off: it needs {n} atoms, has fewer; the frames "
                f"before line {at + 1} are whole"
            )
        yield block
        at, k = at + n + 2, k + 1


def frames_of(text: str, notes: list[str]) -> Iterator[Atoms]:
    """Yield the frames of an extended XYZ."""
    if not text.endswith("\n"):
        notes.append("The last line does not end: is its last number whole?")
    bare = plain = 0  # frames with columns that nothing names, with a number alone
    for k, block in enumerate(blocks(text)):
        try:
            yield _frame(block)
        except Exception as error:  # ASE's readers raise whatever their parsers raise
            kind = "" if isinstance(error, ValueError) else type(error).__name__ + ": "
            raise ValueError(f"frame {k} cannot be read ({kind}{error})") from error
        bare += "Properties=" not in block[1] and len(block[2].split()) > 4
        plain += bool(NUMBER.fullmatch(block[1].strip()))
    if plain:
        notes.append(f"The number above {plain} structures is read as their energy.")
    if bare:
        notes.append(
            f"{bare} frames have columns after the positions, which no Properties= "
            "names: left out. Are they forces?"
        )


def _frame(block: list[str]) -> Atoms:
    """Read a frame with ASE, once what ASE does not know is put right."""
    header = re.sub(r"np\.(?:float|int)\d+\(([^()]*)\)", r"\1", block[1])
    header = FORTRAN.sub(r"\1e\2", header)
    header = re.sub('Lattice="[^"]*"', lambda m: STARS.sub("nan", m[0]), header)
    header = re.sub(r'(stress|virial)="([^"]*)"', _nine_components, header)
    where = re.search(r"Properties=(\S*?)(?:species:S|Z:I):1", header)
    column = sum(map(int, re.findall(r":(\d+)", where[1]))) if where else 0
    columns = max(4, sum(map(int, re.findall(r":[SRIL]:(\d+)", header))))
    rows = [FORTRAN.sub(r"\1e\2", line).split() for line in block[2:]]
    for i, line in enumerate(block[2:]):
        if STARS.search(line):
            rows[i] = STARS.sub(" nan ", " ".join(rows[i])).split()
            if len(rows[i]) != columns:  # stars of two columns
                rows[i] = rows[i][: column + 1] + ["nan"] * (columns - column - 1)
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
    short = [i for i, row in enumerate(rows) if len(row) < columns]
    if short:  # ASE would count up to them
        raise ValueError(
            f"atom {short[0]} has {len(rows[short[0]])} of {columns} columns; "
            "is the number of atoms right?"
        )
    if NUMBER.fullmatch(header.strip()):  # of CREST and others
        header = f"energy={header.strip()}"
    lines = [block[0], header, *map(" ".join, rows)]
    atoms = ase.io.read(io.StringIO("\n".join(lines) + "\n"), format="extxyz")
    assert isinstance(atoms, Atoms)
    if masses:
        atoms.set_masses([masses.get(i, m) for i, m in enumerate(atoms.get_masses())])
    return atoms


def units_of(frames: list[Atoms], told: bool) -> tuple[float | None, float | None]:
    """Read the units of energy (eV) and force (eV/Å) that headers name, if they do.

    Positions and cells come into Å. Raises `ValueError` for several units in one file,
    and where that of forces is neither named nor `told`.
    """
    named = [named_units(atoms.info, told) for atoms in frames]
    if len({*named}) > 1:
        raise ValueError("its frames name different units: give each a file of its own")
    energy, force, length = named[0] if named else (None, None, None)
    for atoms in frames if length else ():
        atoms.set_cell(atoms.cell * length)
        atoms.positions *= length
    if force is None and energy and (length or energy == 1):
        force = energy / (length or 1.0)
    if energy and force is None and not told:
        raise ValueError("its header has a unit of energy only: tell both, with unit=")
    return energy, force


def _nine_components(match: re.Match) -> str:
    """Write the six components of a symmetric tensor as nine."""
    found = match[2].split()
    found = [found[i] for i in VOIGT] if len(found) == 6 else found
    return f'{match[1]}="{" ".join(found)}"'
