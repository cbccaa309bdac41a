"""Unpack files that people bring; refuse those that would fill the memory."""

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path
from typing import IO

LARGEST = 2**30  # bytes of a file, unpacked: ASE needs some times as much memory
TOO_LARGE = "holds more than a gigabyte, unpacked; take fewer structures, or more files"
SUFFIXES = (".gz", ".xz", ".bz2", ".zip")
PACKED = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ": lzma.open, b"BZh": bz2.open}


def content_of(path: Path) -> tuple[bytes, Path]:
    """Read a file, taken out of a gz, xz, bz2 or a zip of one file, and its name.

    Raises `ValueError` for an empty or broken file, and for one that holds, unpacked,
    more than `LARGEST` bytes: a packed file may hold a million times its size.
    """
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        if not start:
            raise ValueError("the file is empty")
        try:
            content, name = _unpacked(file, start)
        except Exception as error:  # whatever an unpacker raises
            raise ValueError(f"cannot be unpacked ({error})") from error
    if len(content) > LARGEST:
        raise ValueError(TOO_LARGE)
    return content, Path(name or path.name)


def plain(path: Path) -> Path:
    """Take the suffix of a packed file off its name."""
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def _unpacked(file: IO[bytes], start: bytes) -> tuple[bytes, str]:
    """Read what is packed, up to one byte more than `LARGEST`."""
    if start.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(file) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
            names = [n for n in names if not n.startswith("__MACOSX")]
            if len(names) != 1:
                raise ValueError(f"a zip of {len(names)} files: unpack it first")
            with archive.open(names[0]) as packed:
                return packed.read(LARGEST + 1), Path(names[0]).name
    for magic, opened in PACKED.items():
        if start.startswith(magic):
            with opened(file) as packed:
                return packed.read(LARGEST + 1), Path(file.name).stem
    return file.read(LARGEST + 1), ""
