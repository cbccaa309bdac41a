"""File formats of public data sets, read into labelled ``ase.Atoms`` (eV, Å)."""

import contextlib
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import ase.db
import numpy as np
from ase import Atoms

from .. import guards
from ..data import with_labels
from ..datasets import SHIPPED
from ..units import BOHR, HARTREE, KCAL_MOL, MPA
from . import labels, unpack, xyz
from .qm9 import qm9, qm9pack  # noqa: F401 (sets.toml names them)

POOL, GAP = 300, 40  # frames of water-pbe0ts in time order; those after are the test
RMD17_KEYS = ("nuclear_charges", "coords", "energies", "forces")
SGDML_KEYS = ("z", "R", "E", "F")
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
COMMENT = re.compile(  # second lines of XYZ files with energies (Hartree), by programs
    rf"\s*\d+\s+(?:i =\s*(\d+),.*E =\s*({NUMBER})"  # CP2K, with the step
    rf"|energy:\s*({NUMBER})\s+gnorm:"  # xtb
    rf"|Coordinates from ORCA-job .*\bE\s+({NUMBER}))"
)


class Source(NamedTuple):
    """Frames with the labels of a file, and the units of energy and force it names."""

    frames: list[Atoms]
    energy: float | None = None  # eV
    force: float | None = None  # eV/Å


@guards.at(f"needs arrays {RMD17_KEYS} (rMD17's) or {SGDML_KEYS} (sGDML's) that fit")
def npz(path: Path, told: bool, notes: list[str]) -> Source:
    """Read the frames of rMD17's or sGDML's npz; positions in Å, labels as they are.

    Arrays: atomic numbers (N,) or (F, N), there padded with zeros; positions and forces
    (F, N, 3); energies (F,) or (F, 1); perhaps a cell (see `_npz_cells`). Units that
    neither the file names nor a user `told` are kcal/mol and Å. Raises `ValueError` for
    arrays that are missing, too large or do not fit.
    """
    with _arrays(path) as arrays:
        keys = RMD17_KEYS if RMD17_KEYS[0] in arrays else SGDML_KEYS
        if missing := sorted(set(keys) - set(arrays)):
            raise ValueError(f"has no arrays {missing}")
        numbers, positions, energies, forces = (arrays[key] for key in keys)
        said = {k: arrays[k].item() for k in arrays if k.endswith("_unit")}
        cells, pbc = _npz_cells(arrays, len(positions))
    said = {k: v.decode() if isinstance(v, bytes) else v for k, v in said.items()}
    energy, _, length = labels.named_units(said)
    frames, n = positions.shape[:2]
    shapes = ([(n,), (frames, n)], [(frames,), (frames, 1)], [positions.shape])
    given = (numbers, energies, forces)
    for key, array, fit in zip((keys[0], *keys[2:]), given, shapes, strict=True):
        if array.shape not in fit:
            raise ValueError(f"{key}: needs the shape {fit[-1]}, got {array.shape}")
    if energy is None and length is not None and length != 1:
        raise ValueError("r_unit: the file names no e_unit beside it; add one")
    if energy is None and not told:
        notes.append("The npz names no unit of energy: read as kcal/mol, as in rMD17.")
        energy, length = KCAL_MOL, 1.0
    if energy not in (None, 1.0) and length is None and not told:
        notes.append("The npz names no unit of length: read as Å, in forces, too.")
    found, numbers = [], np.broadcast_to(numbers, (frames, n))
    rows = zip(numbers, positions, energies.ravel(), forces, strict=True)
    for k, (z, r, e, f) in enumerate(rows):
        there, scale = z > 0, length or 1.0
        atoms = Atoms(z[there], r[there] * scale, cell=cells[k] * scale, pbc=pbc[k])
        atoms.info["energy"], atoms.arrays["forces"] = e, f[there]
        found.append(atoms)
    length = length or (None if told else 1.0)
    return Source(found, energy, energy / length if energy and length else None)


@contextlib.contextmanager
def _arrays(path: Path) -> Iterator[Mapping[str, np.ndarray]]:
    """Open an npz; say what is wrong with one that is torn or too large."""
    try:
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > unpack.LARGEST:
            raise ValueError(unpack.TOO_LARGE)
        with np.load(path) as arrays:
            yield arrays
    except MemoryError:
        raise ValueError(unpack.TOO_LARGE) from None
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError) as error:
        raise ValueError(f"cannot be unpacked ({error})") from error


def _npz_cells(arrays: Mapping, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the cells (n, 3, 3), in rows, and pbc (n, 3) of an npz; open without a cell.

    The array "cell" has rows; "lattice" is sGDML's, whose converters write rows or
    columns, so it needs to be symmetric. A cell without "pbc" is periodic.
    """
    key = "cell" if "cell" in arrays else "lattice"
    if key not in arrays:
        if "pbc" in arrays and np.any(arrays["pbc"]):
            raise ValueError("pbc: the file has no cell; store one as 'cell' (3, 3)")
        return np.zeros((n, 3, 3)), np.zeros((n, 3), bool)
    cell = arrays[key]
    if cell.shape not in ((3, 3), (n, 3, 3), (n, 9)):
        raise ValueError(f"{key}: needs the shape (3, 3), got {cell.shape}")
    cells = np.broadcast_to(cell.reshape(-1, 3, 3), (n, 3, 3))
    if key == "lattice" and not np.allclose(cells, cells.swapaxes(1, 2)):
        raise ValueError("lattice: rows or columns? store it as 'cell', in rows")
    pbc = arrays["pbc"] if "pbc" in arrays else np.any(cells != 0, axis=(1, 2))[:, None]
    return cells, np.broadcast_to(pbc, (n, 3))


@guards.checked(paths=guards.several(guards.file))
def pool_and_test(*paths: Path) -> dict[str, list[Atoms]]:
    """Read one molecule's npz: the first file is the pool, a second one the test."""
    found = {}
    for name, path in zip(("pool", "test"), paths, strict=False):
        with guards.at(f"paths: {path}"):
            frames, energy, force = npz(path, told=False, notes=[])
        known = [(a, a.info.pop("energy"), a.arrays.pop("forces")) for a in frames]
        found[name] = [with_labels(a, e * energy, f * force) for a, e, f in known]
    return found


def water_blocks(*paths: Path) -> dict[str, list[Atoms]]:
    """Split water-pbe0ts into pool and test, far apart in time; four files a part.

    The parts are one trajectory, shuffled, so a random split would put neighbours in
    time into pool and test. Here `POOL` frames, in estimated time order, are the pool,
    the next `GAP` are left out, and the others are the test.
    """
    frames, parts = water_frames(*paths), water_split()
    return {name: [frames[i] for i in rows] for name, rows in parts.items()}


def water_frames(*paths: Path) -> list[Atoms]:
    """Read all frames of water-pbe0ts, as numbered in its files (DeePMD's npy).

    Four float32 arrays for each part, in eV and Å: box (F, 9), coord (F, 3 N), energy
    (F,) and force (F, 3 N); a third of the atoms are O, then come the H.
    """
    from ..water import ordered  # OpenMM comes with it

    arrays, frames = [np.load(path).astype(float) for path in paths], []
    for part in zip(*[iter(arrays)] * 4, strict=True):
        for cell, r, e, f in zip(*part, strict=True):
            n = len(r) // 3
            numbers = np.repeat([8, 1], [n // 3, n - n // 3])
            atoms = Atoms(numbers, r.reshape(n, 3), cell=cell.reshape(3, 3), pbc=True)
            frames.append(ordered(with_labels(atoms, e, f.reshape(n, 3))))
    return frames


def water_split() -> dict[str, list[int]]:
    """Read which frames of water-pbe0ts, by number in its files, are pool and test."""
    order = np.loadtxt(SHIPPED / "water-pbe0ts-order.txt", int).ravel().tolist()
    return {"pool": order[:POOL], "test": order[POOL + GAP :]}


def commented(path: Path, text: str, notes: list[str]) -> Source:
    """Read the XYZ (Å) of CP2K, xtb or ORCA, with energies (Hartree) in comments.

    Forces (Hartree/Bohr) of CP2K's NAME-pos-1.xyz are in NAME-frc-1.xyz, and belong to
    the frame with the same step, "i = "; after a restart a step comes twice.
    """
    beside = path.with_name(path.name.replace("-pos-", "-frc-"))
    forces: dict[tuple[str, int], list[list[str]]] = {}
    if beside != path and beside.exists():
        for block, step, _ in _stepped(unpack.content_of(beside)[0].decode()):
            forces[step] = [line.split() for line in block[2:]]
    notes.append("Its program writes no cell into XYZ files: read as open structures.")
    frames = []
    for block, step, energy in _stepped(text):
        rows = [line.split() for line in block[2:]]
        symbols = [re.match(r"[A-Z][a-z]?", row[0])[0] for row in rows]
        atoms = Atoms(symbols, np.array([row[1:4] for row in rows], float))
        atoms.info["energy"], force = energy, forces.get(step)
        if force and [f[0] for f in force] == [row[0] for row in rows]:
            atoms.arrays["forces"] = np.array([f[1:4] for f in force], float)
        frames.append(atoms)
    return Source(frames, HARTREE, HARTREE / BOHR)


def _stepped(text: str) -> Iterator[tuple[list[str], tuple[str, int], float | None]]:
    """Yield the frames of an XYZ, the step and how often it came, and the energy."""
    times: dict[str, int] = {}
    for block in xyz.blocks(text):
        found = COMMENT.match("\n".join(block[:2]))
        step, *energies = found.groups() if found else [""]
        times[step] = times.get(step, 0) + 1
        energy = next(filter(None, energies), None)
        yield block, (step, times[step]), energy and float(energy)


def deepmd(path: Path) -> Source:
    """Read a folder of DeePMD: type.raw, type_map.raw, set.*/coord.npy … (eV, Å)."""
    kinds = np.array((path / "type.raw").read_text("utf-8").split(), int)
    names = path / "type_map.raw"
    if not names.exists():
        raise ValueError("type_map.raw: needs the elements' names, no such file")
    elements, n = np.array(names.read_text("utf-8").split()), len(kinds)
    folders = sorted(path.glob("set.*"))
    if not folders or kinds.max(initial=0) >= len(elements):
        raise ValueError("type.raw, set.*: the folder needs sets, and a name a type")
    frames = []
    for folder in folders:
        arrays = {p.stem: np.load(p) for p in folder.glob("*.npy")}
        m = len(arrays["coord"])
        shapes = {"coord": (m, n, 3), "box": (m, 3, 3), "energy": (m,)}
        shapes |= {"force": (m, n, 3), "real_atom_types": (m, n), "virial": (m, 3, 3)}
        parts = {k: arrays[k].reshape(shapes[k]) for k in shapes if k in arrays}
        for k in range(m):
            types = parts.get("real_atom_types", np.tile(kinds, (m, 1)))[k].astype(int)
            there = types >= 0  # others only fill up
            atoms = Atoms(elements[types[there]], parts["coord"][k][there])
            if "box" in parts and not (path / "nopbc").exists():
                atoms.cell, atoms.pbc = parts["box"][k], True
            if "energy" in parts:
                atoms.info["energy"] = parts["energy"][k]
            if "virial" in parts:
                atoms.info["virial"] = parts["virial"][k]
            if "force" in parts:
                atoms.arrays["forces"] = parts["force"][k][there]
            frames.append(atoms)
    return Source(frames, 1.0, 1.0)


def database(path: Path) -> Source:
    """Read a database of ASE, or SchNetPack's, which names units in its metadata."""
    frames = []
    with ase.db.connect(path) as opened:
        said = opened.metadata
        units = said.get("_property_unit_dict")
        factors = {k: _factor(k, v) for k, v in (units or {}).items()}
        length = _factor("position", said.get("_distance_unit", "Ang"))
        for row in opened.select():
            atoms = row.toatoms()
            atoms.set_cell(atoms.cell * length)
            atoms.positions *= length
            atoms.calc = None if units else atoms.calc
            scaled = {k: np.asarray(v) * factors.get(k, 1) for k, v in row.data.items()}
            atoms.info |= row.key_value_pairs | scaled
            frames.append(atoms)
    return Source(frames, 1.0, 1.0) if units else Source(frames)


PRESSURES = {"gpa": 1e3 * MPA, "kbar": 1e2 * MPA}  # eV/Å³
PRESSURES |= dict.fromkeys(("ev/ang/ang/ang", "ev/ang^3", "ev/å^3", "ev/å³"), 1.0)


def _factor(key: str, unit: str) -> float:
    """Read the unit of a property, in eV and Å; 1 for what is no label."""
    if "stress" in key.lower():
        return PRESSURES.get(unit.lower(), np.nan)  # none is known
    try:
        energy, length = labels.energy_and_length(unit)
    except ValueError:
        if re.search("energy|force|position", key.lower()):
            raise
        return 1.0
    return (length or 1.0) if energy is None else energy / (length or 1.0)
