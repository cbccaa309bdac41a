"""Trajectories in little space, to ship: positions as 16-bit fractions of the box.

An error of at most 1/131072 of the box, 0.0001 Å for 64 waters; kinetic and potential
energies along with them. Momenta and forces are not kept.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from .data import with_labels

STEPS = 2**16  # of a fraction
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def pack(frames: Sequence[Atoms]) -> bytes:
    """A run of a periodic box, its frames labelled as `dynamics.simulate` does.

    Raises `ValueError` for frames that are not periodic in all directions.
    """
    if not frames or not all(a.pbc.all() for a in frames):
        raise ValueError(
            "frames: needs at least one, periodic in all directions, as its positions "
            "are kept as fractions of the box"
        )
    fractions = np.array([a.get_scaled_positions(wrap=True) for a in frames])
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        numbers=frames[0].numbers.astype(np.uint8),
        cells=np.array([a.cell.array for a in frames]),  # (T, 3, 3) Å
        fractions=(np.rint(fractions * STEPS) % STEPS).astype(np.uint16),  # (T, N, 3)
        time_fs=np.array([a.info["time_fs"] for a in frames]),
        kinetic=np.array([a.info["kinetic_energy"] for a in frames]),  # eV
        potential=np.array([a.get_potential_energy() for a in frames]),  # eV
    )
    return buffer.getvalue()


def read(path: str | Path, sha256: str | None = None) -> list[Atoms]:
    """The frames of a file that holds what `pack` gave, wrapped into the box.

    With energies, and in ``info`` time_fs and kinetic_energy; `transport.unwrap` lets
    positions run on.

    Raises `ValueError` for a file that is missing, damaged, something else, or not the
    one with this checksum.
    """
    try:
        content = Path(path).read_bytes()
        if sha256 not in (None, hashlib.sha256(content).hexdigest()):
            raise ValueError("its SHA-256 is not the one in the card")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            rows = {name: arrays[name] for name in arrays.files}
        frames = [_frame(rows, k) for k in range(len(rows["cells"]))]
    except DAMAGE as error:
        raise ValueError(
            f"{path}: no packed trajectory, or a damaged one ({error})"
        ) from None
    return frames


def _frame(rows: dict[str, np.ndarray], k: int) -> Atoms:
    cell = rows["cells"][k]
    positions = rows["fractions"][k] / STEPS @ cell
    atoms = Atoms(rows["numbers"], positions, cell=cell, pbc=True)
    atoms = with_labels(atoms, float(rows["potential"][k]))
    atoms.info["time_fs"] = float(rows["time_fs"][k])
    atoms.info["kinetic_energy"] = float(rows["kinetic"][k])
    return atoms
