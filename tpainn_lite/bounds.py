"""Refuse cells and files that would fill the memory, or never come to an end."""

import bz2
import contextlib
import gzip
import itertools
import lzma
import math
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell
from ase.io.formats import filetype, get_ioformat

from .guards import checked, file

LARGEST = 2**30  # bytes of a file, unpacked: ASE needs some times as much memory
PACKED: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
WIDE, IMAGES, CROWD = 1e5, 20_000, 5_000  # Å, images, neighbours: more is no structure


def heights(cell: np.ndarray) -> np.ndarray:
    """Return distances (3,) Å of a cell's faces; refuse NaN, `WIDE` or flat cells."""
    fits = np.abs(cell).max() <= WIDE  # not so for NaN
    edges = np.linalg.norm(cell, axis=1) if fits else np.inf
    if not (fits and abs(np.linalg.det(cell)) > 1e-10 * np.prod(edges)):
        words = "cell: needs three vectors that span a volume (or pbc=False), got"
        raise ValueError(f"{words} {cell.tolist()}")
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def check_cell(atoms: Atoms, cutoff: float) -> None:
    """Raise `ValueError` where listing neighbours within `cutoff` Å would not end.

    That is for no cell (`heights`), more than `IMAGES` images or `CROWD` neighbours.
    """
    if not atoms.pbc.any():
        return
    cell = atoms.cell.array
    if not atoms.pbc.all() and np.isfinite(cell).all():
        cell = complete_cell(cell)
    # ASE looks for images within 3 Å at least
    steps = np.ceil(max(cutoff, 3.0) / heights(cell))[atoms.pbc]
    crowded = np.prod(2 * steps + 1) > IMAGES
    if atoms.pbc.all() and not crowded:
        volume = 4 / 3 * np.pi * cutoff**3
        crowded = len(atoms) * volume > CROWD * abs(np.linalg.det(cell))
    if crowded:
        raise ValueError(
            f"cell: {len(atoms)} atoms and their images crowd within {cutoff:g} Å in "
            f"{cell.tolist()}; needs a larger one (is it in Å?)"
        )


@checked(path=file)
def check_size(path: Path) -> None:
    """Raise `ValueError` for a file that holds, unpacked, more than `LARGEST` bytes.

    What npz, gz, bz2 and xz hold may be a million times as large as the file.
    """
    try:
        if path.suffix == ".npz":
            size = _npz_size(path)
        elif path.suffix in PACKED:
            size = 0
            with PACKED[path.suffix](path) as packed:
                while size <= LARGEST and (block := packed.read(2**20)):
                    size += len(block)
        else:
            size = path.stat().st_size
    except Exception as error:  # whatever an unpacker raises: zlib.error, KeyError, ...
        words = "cannot be unpacked, or there is no such file"
        raise ValueError(f"{path}: {words} ({error})") from error
    if size > LARGEST:
        words = f"holds more than {LARGEST / 2**30:g} GB, unpacked"
        raise ValueError(f"{path}: {words}; take fewer structures, or several files")


def _npz_size(path: Path) -> int:
    """Add up the bytes that the arrays of an npz announce; NumPy believes them."""
    size = 0
    readers = {1: np.lib.format.read_array_header_1_0}
    readers[2] = np.lib.format.read_array_header_2_0
    with zipfile.ZipFile(path) as members:
        for member in members.infolist():
            with members.open(member) as array:
                shape, _, dtype = readers[np.lib.format.read_magic(array)[0]](array)
            size += max(member.file_size, math.prod(shape) * dtype.itemsize)
    return size


def _check_counts(lines: IO[str]) -> None:
    """Refuse an xyz that announces more atoms, or columns, than can be there.

    ASE would count up to them, for hours.
    """
    most = sum(1 for _ in lines)
    lines.seek(0)
    for k in itertools.count():
        while (line := next(lines, "")).lstrip().startswith("VEC"):  # a cell's
            pass
        if not line.strip().isdigit():
            return  # the end, or no xyz: ASE says so
        columns = re.findall(r":(\d{6,})", next(lines, ""))
        if (atoms := int(line)) > most or columns:
            found = f"{columns[0]} columns" if columns else f"{atoms} atoms"
            words = f"structure {k} announces {found}, in a file of {most} lines"
            raise ValueError(words)
        next(itertools.islice(lines, atoms, atoms), None)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[Any, str]]:
    """Open a file as the format that ASE sees in it, a text in UTF-8."""
    name = filetype(str(path))
    form = get_ioformat(name)
    if form.isbinary or not form.acceptsfd:
        yield str(path), name
        return
    with PACKED.get(path.suffix, open)(path, "rt", encoding="utf-8") as file:
        if name in ("xyz", "extxyz"):
            _check_counts(file)
            file.seek(0)
        yield file, name
