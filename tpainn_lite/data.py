"""Labelled structures: the one protocol, labels, splits and reference energies.

Structures are ``ase.Atoms`` (eV, Å); labels ride in their ``SinglePointCalculator``, so
ASE itself refuses a label that no longer fits (move an atom and it is gone).
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.neighborlist import neighbor_list
from tqdm import tqdm

EnergyForces = Callable[
    [np.ndarray, np.ndarray, np.ndarray | None], tuple[float, np.ndarray]
]
"""(numbers (N,), positions (N, 3) Å, cell (3, 3) Å or None) -> energy eV, forces (N, 3)
eV/Å. Every source of labels, classical, quantum or learned, is one of these."""

CLASH = 0.5  # Å: no chemical bond is shorter (H2 is 0.74 Å)


def cell_of(atoms: Atoms) -> np.ndarray | None:
    """The cell (3, 3) Å of a periodic structure, ``None`` of an open one."""
    return np.asarray(atoms.cell) if atoms.pbc.any() else None


def with_labels(atoms: Atoms, energy: float, forces: np.ndarray | None = None) -> Atoms:
    """A copy of `atoms` that carries energy (eV) and any forces (N, 3) (eV/Å)."""
    labelled, known = atoms.copy(), {"energy": float(energy)}
    if forces is not None:
        known["forces"] = np.array(forces, dtype=float)
    labelled.calc = SinglePointCalculator(labelled, **known)
    return labelled


def from_calculator(calculator) -> EnergyForces:
    """Turn an ASE calculator into an `EnergyForces`."""

    def energy_forces(numbers, positions, cell):
        atoms = Atoms(numbers, positions, cell=cell, pbc=cell is not None)
        atoms.calc = calculator
        return atoms.get_potential_energy(), atoms.get_forces()

    return energy_forces


def energy_forces_of(source) -> EnergyForces:
    """Return the `EnergyForces` of a Potential, of an ASE calculator, or `source`.

    Raises `ValueError` for what is none of them.
    """
    if not isinstance(source, type | Atoms | SinglePointCalculator):
        if hasattr(source, "energy_forces"):
            return source.energy_forces
        if hasattr(source, "get_potential_energy"):
            return from_calculator(source)
        if callable(source):
            return source
    raise ValueError(
        "potential: needs a Potential, an ASE calculator or a function "
        f"(numbers, positions, cell) -> (energy, forces), got {source!r:.60}"
    )


def label(
    frames: Sequence[Atoms], energy_forces: EnergyForces, progress: bool = False
) -> list[Atoms]:
    """Label copies of `frames` by a Potential, an ASE calculator or an `EnergyForces`.

    Raises `ValueError`, with a number, for NaN.
    """
    labelled, energy_forces = [], energy_forces_of(energy_forces)
    for i, atoms in enumerate(tqdm(frames, desc="label", disable=not progress)):
        energy, forces = energy_forces(atoms.numbers, atoms.positions, cell_of(atoms))
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise ValueError(
                f"frames[{i}] ({atoms.get_chemical_formula()}): the energy or a force "
                "came out as NaN or infinite; look for atoms that overlap"
            )
        labelled.append(with_labels(atoms, energy, forces))
    return labelled


def labels(
    atoms: Atoms, where: str = "frame", forces: bool = True
) -> tuple[float, np.ndarray | None]:
    """Energy (eV) and `forces` (N, 3) (eV/Å), else ``None``, that `atoms` carries.

    Raises `ValueError` where a label is missing or not finite; `where` names the frame
    in the message.
    """
    try:
        energy = atoms.get_potential_energy()
        # with constraints ASE would set some to zero
        found = atoms.get_forces(apply_constraint=False) if forces else None
    except (PropertyNotImplementedError, RuntimeError):
        needs = "an energy and forces, and at least one" if forces else "an energy, it"
        raise ValueError(
            f"{where}: needs {needs} is missing; label it with data.label(), or read a "
            "file that has its labels"
        ) from None
    if not (np.isfinite(energy) and (found is None or np.isfinite(found).all())):
        raise ValueError(f"{where}: its energy or a force is NaN or infinite; drop it")
    return energy, found


def check(frames: Sequence[Atoms], name="frames", labelled=True, forces=True) -> None:
    """Raise `ValueError`, naming the frame, for what no potential can learn from.

    That is: no frame at all, a frame without atoms, NaN or infinite positions, a cell
    that is periodic in one or two directions only or has no volume, two atoms closer
    than `CLASH`, and, if `labelled`, missing or non-finite energies (and `forces`).
    """
    if len(frames) == 0:
        raise ValueError(f"{name}: needs at least one structure, got none")
    for i, atoms in enumerate(frames):
        where = f"{name}, frame {i}"
        if len(atoms) == 0:
            raise ValueError(f"{where}: has no atoms; drop it")
        if not np.isfinite(atoms.positions).all():
            raise ValueError(f"{where}: a position is NaN or infinite; drop it")
        if atoms.pbc.any() and not (atoms.pbc.all() and abs(atoms.cell.volume) > 0):
            raise ValueError(
                f"{where}: needs to be open, or periodic in all three directions of a "
                f"cell with a volume; got pbc={atoms.pbc.tolist()}, cell={atoms.cell}"
            )
        first, second, distance = neighbor_list("ijd", atoms, CLASH)
        if len(distance):
            k = int(distance.argmin())
            raise ValueError(
                f"{where}: atoms {first[k]} and {second[k]} are {distance[k]:.2f} Å "
                f"apart, closer than {CLASH} Å; are the positions in Å?"
            )
        if labelled:
            labels(atoms, where, forces)


def read(path: str | Path, labelled=True, forces=True) -> list[Atoms]:
    """Read and check every frame of a file that ASE can read, as `check` does.

    Raises `ValueError` that names the file (and frame) and says what is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever their parsers raise
        raise ValueError(
            f"{path}: ASE cannot read it ({type(error).__name__}: {error}); is the "
            "file complete, and does its suffix tell its format?"
        ) from error
    check(frames, str(path), labelled, forces)
    return frames


def split(
    frames: Sequence[Atoms], *sizes: int, seed: int, group: str | None = None
) -> list[list[Atoms]]:
    """Draw disjoint random parts of the given sizes, in order of drawing.

    With `group` (a key of ``atoms.info``, e.g. "smiles" or "run") sizes count groups
    and a group never falls into two parts: frames of one molecule or run are copies,
    and a random split over them leaks the test set into training.
    """
    if group and any(group not in atoms.info for atoms in frames):
        raise ValueError(f"group: not every frame has {group!r} in its info")
    keys = [atoms.info[group] if group else i for i, atoms in enumerate(frames)]
    groups = list(dict.fromkeys(keys))
    if min(sizes, default=0) < 1 or sum(sizes) > len(groups):
        raise ValueError(
            f"sizes: need positive numbers that add up to at most {len(groups)}, got "
            f"{sizes}"
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    parts, start = [], 0
    for size in sizes:
        chosen = {groups[k]: rank for rank, k in enumerate(order[start : start + size])}
        members = [(chosen[k], i) for i, k in enumerate(keys) if k in chosen]
        parts.append([frames[i] for _, i in sorted(members)])
        start += size
    return parts


def compositions(frames: Sequence[Atoms], elements: Sequence[int]) -> np.ndarray:
    """Number of atoms of each element in each frame, (frames, elements)."""
    return np.array([[(a.numbers == z).sum() for z in elements] for a in frames], float)


BONDS = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1, 14: 4, 15: 3, 16: 2, 17: 1, 35: 1, 53: 1}
"""Bonds an atom of each element usually has; 2 for the others."""


def fit_reference_energies(
    frames: Sequence[Atoms],
    energies: np.ndarray,
    prior: dict[int, float],
    strength: float = 1.0,
) -> dict[int, float]:
    r"""One energy per element (eV) so that their sum is near each frame's energy.

    Ridge regression towards `prior` (isolated-atom energies of the same method) plus a
    common energy per bond, which is left free: minimise
    |N (e_prior + δ) - E|² + strength |δ - (δ·b) b|², with N the composition matrix and
    b the unit vector along `BONDS`. A plain least-squares fit to 3 molecules of 4
    elements is undetermined and misses the next molecule by thousands of kcal/mol;
    without the free bond energy, one to three molecules miss others about twice as far.
    """
    missing = {int(z) for a in frames for z in a.numbers} - set(prior)
    if missing:
        raise ValueError(
            f"prior: needs an energy for every element; missing {sorted(missing)}"
        )
    if not strength > 0:
        raise ValueError(f"strength: needs a positive number, got {strength}")
    elements = sorted(prior)
    N = compositions(frames, elements)  # (frames, elements)
    start = np.array([prior[z] for z in elements])
    b = np.array([BONDS.get(z, 2) for z in elements], float)
    b /= np.linalg.norm(b)
    penalty = np.eye(len(elements)) - (1 - 1e-9) * np.outer(b, b)  # invertible
    residual = np.asarray(energies, float) - N @ start
    shift = np.linalg.solve(N.T @ N + strength * penalty, N.T @ residual)
    return dict(zip(elements, (start + shift).tolist(), strict=True))
