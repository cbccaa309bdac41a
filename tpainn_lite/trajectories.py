"""Trajectories in little space, to ship: positions as 16-bit fractions of the box.

An error of at most 1/131072 of the box, 0.0001 Å for 64 waters; times, kinetic and
potential energies along with them, and masses where they are not those of the elements
(heavy water). Nothing else is kept: no momenta, forces, charges, tags or constraints.
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from .data import labels, with_labels
from .geometry import check_same_atoms

STEPS = 2**16  # of a fraction
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def pack(frames: Sequence[Atoms]) -> bytes:
    """Pack a run of a periodic box, its frames labelled as `dynamics.simulate` does.

    Raises `ValueError` for frames that are not periodic in all directions or not of the
    same atoms, and for frames without an energy, a time or a kinetic energy.
    """
    if not frames or not all(a.pbc.all() for a in frames):
        raise ValueError(
            "frames: needs at least one, periodic in all directions, as its positions "
            "are kept as fractions of the box"
        )
    check_same_atoms(frames)
    masses = frames[0].get_masses()
    for k, atoms in enumerate(frames):
        if {"time_fs", "kinetic_energy"} - set(atoms.info):
            raise ValueError(
                f"frames: frame {k} needs time_fs and kinetic_energy in its info, as "
                f"dynamics.simulate gives them, got {[*atoms.info]}"
            )
        if not np.array_equal(atoms.get_masses(), masses):
            raise ValueError(f"frames: frame {k} has other masses than frame 0")
    plain = np.array_equal(masses, Atoms(frames[0].numbers).get_masses())
    fractions = np.array([a.get_scaled_positions(wrap=True) for a in frames])
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        numbers=frames[0].numbers.astype(np.uint8),
        cells=np.array([a.cell.array for a in frames]),  # (T, 3, 3) Å
        fractions=(np.rint(fractions * STEPS) % STEPS).astype(np.uint16),  # (T, N, 3)
        time_fs=np.array([a.info["time_fs"] for a in frames]),
        kinetic=np.array([a.info["kinetic_energy"] for a in frames]),  # eV
        potential=np.array(  # eV
            [labels(a, f"frame {k}", False)[0] for k, a in enumerate(frames)]
        ),
        **({} if plain else {"masses": masses}),  # (N,) u
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
    masses = rows.get("masses")  # none: those of the elements
    atoms = Atoms(rows["numbers"], positions, masses=masses, cell=cell, pbc=True)
    atoms = with_labels(atoms, float(rows["potential"][k]))
    atoms.info["time_fs"] = float(rows["time_fs"][k])
    atoms.info["kinetic_energy"] = float(rows["kinetic"][k])
    return atoms
