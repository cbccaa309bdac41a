"""Labelled structures: the one protocol, labels, splits and reference energies.

Structures are ``ase.Atoms`` (eV, Å); labels ride in their ``SinglePointCalculator``, so
ASE itself refuses a label that no longer fits (move an atom and it is gone).
"""

import contextlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from scipy.special import chdtri

from . import guards
from .analysis import FAR, neighbours, periodic, reach
from .guards import checked, flag, several, structure, structures

EnergyForces = Callable[
    [np.ndarray, np.ndarray, np.ndarray | None], tuple[float, np.ndarray]
]
"""(numbers (N,), positions (N, 3) Å, cell (3, 3) Å or None) -> energy eV, forces (N, 3)
eV/Å. Every source of labels, classical, quantum or learned, is one of these."""

PER_ATOM = ("forces", "energies", "stresses", "charges", "magmoms")  # of ASE's labels
KEY = guards.optional(guards.text)
CLASH = 0.5  # Å: no chemical bond is shorter (H2 is 0.74 Å)


def cell_of(atoms: Atoms) -> np.ndarray | None:
    """Return the cell (3, 3) Å of a periodic structure, ``None`` of an open one."""
    return np.asarray(atoms.cell) if periodic(atoms) else None


@checked(atoms=structure, energy=guards.finite)
def with_labels(atoms: Atoms, energy: float, forces=None, stress=None) -> Atoms:
    """Copy `atoms` with labels: eV, any forces (N, 3) eV/Å, `stress_of` (6,) eV/Å³."""
    labelled, known = atoms.copy(), {}
    labelled.set_constraint()  # they would show forces on fixed atoms as zero
    wanted = ("forces", forces, (len(atoms), 3)), ("stress", stress, (6,))
    for name, value, shape in wanted:
        if value is not None:
            known[name] = guards.array(*shape)(value, name).copy()
    labelled.calc = SinglePointCalculator(labelled, energy=energy, **known)
    return labelled


@checked(atoms=structure, positions=guards.array(None, 3))
def reordered(atoms: Atoms, order: Sequence[int], positions: np.ndarray) -> Atoms:
    """Copy `atoms` at other `positions` (N, 3) Å of the same energy, then reorder.

    `order` names every atom once. Labels move with the atoms; those of a structure
    changed since are left out.
    """
    order = [*several(guards.whole(least=0))(order, "order")]
    if sorted(order) != [*range(len(atoms))] or len(positions) != len(atoms):
        raise ValueError(f"order, positions: need each of {len(atoms)} atoms once")
    found, known = atoms[order], {}
    found.positions = positions[order]
    found.set_constraint()  # they would hide the forces on fixed atoms
    for name in atoms.calc.results if atoms.calc else ():
        value = atoms.calc.get_property(name, atoms, allow_calculation=False)
        if value is None:  # the label is of other positions
            continue
        each, shape = name in PER_ATOM, np.shape(value)
        shape = (len(atoms), *shape[1:]) if each else shape
        guards.array(*shape)(value, f"atoms, their {name}")
        known[name] = value[order] if each else value
    if known:
        found.calc = SinglePointCalculator(found, **known)
    return found


def from_calculator(calculator) -> EnergyForces:
    """Turn an ASE calculator into an `EnergyForces`, a teacher like any other."""
    if not hasattr(calculator, "get_potential_energy"):
        raise guards.refusal("calculator", "an ASE calculator", calculator)

    def energy_forces(numbers, positions, cell=None):
        atoms = Atoms(numbers, positions, cell=cell, pbc=cell is not None)
        atoms.calc = calculator
        return atoms.get_potential_energy(), atoms.get_forces(apply_constraint=False)

    return energy_forces


def energy_forces_of(potential, name: str = "potential") -> EnergyForces:
    """Return the `EnergyForces` of a Potential, an ASE calculator, or what is one."""
    if not isinstance(potential, type | Atoms | SinglePointCalculator):
        if hasattr(potential, "energy_forces"):
            return potential.energy_forces
        if hasattr(potential, "get_potential_energy"):
            return from_calculator(potential)
        if callable(potential):
            return potential
    needs = "a Potential, an ASE calculator or a function that is an EnergyForces"
    raise guards.refusal(name, needs, potential)


@checked(frames=structures())
def label(frames: Sequence[Atoms], potential) -> list[Atoms]:
    """Label copies of `frames` by a Potential, an ASE calculator or an `EnergyForces`.

    Raises `ValueError`, with the frame, for what is no energy and finite forces (N, 3).
    """
    labelled, energy_forces = [], energy_forces_of(potential)
    for i, atoms in enumerate(frames):
        with guards.at(f"frames, frame {i} ({atoms.symbols!s:.40})"):
            _check_atoms(atoms)
            found = energy_forces(atoms.numbers, atoms.positions, cell_of(atoms))
            if not isinstance(found, tuple | list) or len(found) != 2:
                raise guards.refusal("potential", "to return (energy, forces)", found)
            forces = guards.array(len(atoms), 3)(found[1], "forces")  # None is none
            labelled.append(with_labels(atoms, found[0], forces))
    return labelled


@checked(where=guards.text, forces=flag)
def labels(atoms: Atoms, where="atoms", forces=True) -> tuple[float, np.ndarray | None]:
    """Return energy (eV) and, if `forces`, forces (N, 3) (eV/Å) that `atoms` carries.

    Raises `ValueError` where a label is missing, not finite or of another shape,
    `RuntimeError` where an attached calculator fails; `where` names the frame.
    """
    structure(atoms, where)
    needs = "an energy and forces, and at least one" if forces else "an energy, it"
    found = np.zeros((1, 3)) if forces else None  # an atom alone feels no force
    with _asking(atoms, where, f"{needs} is missing; label it with data.label(), or"):
        energy = atoms.get_potential_energy()
        if forces and len(atoms) > 1:  # with constraints ASE would set some to zero
            found = atoms.get_forces(apply_constraint=False)
    energy = guards.finite(energy, f"{where}, its energy")
    if found is not None:
        found = guards.array(max(len(atoms), 1), 3)(found, f"{where}, its forces")
    return energy, found


@checked(atoms=structure, where=guards.text)
def stress_of(atoms: Atoms, where: str = "atoms") -> np.ndarray:
    """Return the stress (6,) eV/Å³ that `atoms` carries, as ASE has it; see `labels`.

    Its order is xx, yy, zz, yz, xz, xy; tension is positive.
    """
    if not periodic(atoms):
        raise ValueError(f"{where}: an open structure has no stress; leave it out")
    with _asking(atoms, where, "a stress, it is missing;"):
        found = atoms.get_stress(apply_constraint=False)
    return guards.array(6)(found, f"{where}, its stress")


@contextlib.contextmanager
def _asking(atoms: Atoms, where: str, needs: str) -> Iterator[None]:
    """Say which label a calculator has not, or that it failed."""
    try:
        if atoms.calc is None:
            raise PropertyNotImplementedError
        yield
    except Exception as error:  # whatever an attached calculator raises
        silent = isinstance(error, NotImplementedError) and not str(error)
        if not (silent or isinstance(error, PropertyNotImplementedError)):
            said = f"its calculator failed ({type(error).__name__}: {error})"
            raise RuntimeError(f"{where}: {said}; mend it, or drop it") from error
        needs += " read a file that has its labels"
        raise ValueError(f"{where}: needs {needs}") from None


@checked(atoms=structure, cutoff=guards.positive)
def closest_pair(atoms: Atoms, cutoff: float) -> tuple[int, int, float] | None:
    """Find the nearest two atoms or images within `cutoff` Å: i, j, Å; else None."""
    first, second, distance = neighbours("ijd", atoms, cutoff)
    if not len(distance):
        return None
    k = int(distance.argmin())
    return int(first[k]), int(second[k]), float(distance[k])


def _check_atoms(atoms: Atoms) -> None:
    if len(atoms) == 0 or not (atoms.numbers > 0).all():
        raise ValueError("has no atoms, or one of no element; drop it")
    if not (np.abs(atoms.positions) < FAR).all():
        raise ValueError(f"a position is NaN, infinite, or beyond {FAR:g} Å; drop it")


@checked(name=guards.text, labelled=flag, forces=flag)
def check(frames, name="frames", labelled=True, forces=True) -> Sequence[Atoms]:
    """Return `frames`, or raise `ValueError` for what no potential can learn from.

    That is no frame, no atoms, positions that are not finite, a cell without volume or
    periodic in some directions only, atoms closer than `CLASH`, and, if `labelled`,
    energies (and `forces`) that are missing, not finite, or of another shape.
    """
    for i, atoms in enumerate(structures()(frames, name)):
        with guards.at(f"{name}, frame {i}"):
            _check_atoms(atoms)
            periodic(atoms)
            if pair := closest_pair(atoms, CLASH):
                raise ValueError(
                    f"atoms {pair[0]} and {pair[1]} are {pair[2]:.2f} Å apart, closer "
                    f"than {CLASH} Å; are the positions in Å?"
                )
        if labelled:
            labels(atoms, f"{name}, frame {i}", forces)
    return frames


@checked(frames=structures(0))
def unconstrained(frames: Sequence[Atoms]) -> int:
    """Take ASE's constraints off `frames`, in place; return how many had one."""
    count = sum(bool(atoms.constraints) for atoms in frames)
    for atoms in frames:
        atoms.set_constraint()
    return count


def result(atoms: Atoms, name: str):
    """Return a label of `atoms`, or None where there is none."""
    return getattr(atoms.calc, "results", {}).get(name)


class DataWarning(UserWarning):
    """Tells what reading a file assumed, left out or doubts."""


@checked(energy_key=KEY, forces_key=KEY, gradients=flag, labelled=flag, forces=flag)
def read(
    paths: str | Path | Sequence[str | Path],
    *,
    unit: str | tuple[str, str] | None = None,
    energy_key: str | None = None,
    forces_key: str | None = None,
    gradients: bool = False,
    labelled: bool = True,
    forces: bool = True,
) -> list[Atoms]:
    """Read labelled structures, in eV and Å, from files in most dialects.

    Takes a path, a list, a pattern ("*.log") or a folder: extended XYZ, all that ASE
    reads, npz of rMD17 and sGDML, databases of SchNetPack, folders of DeePMD, positions
    and forces of CP2K; also packed. `unit` is one as in `units.LABEL_UNITS`, or a pair
    (of energies, of forces); None: the file's, else eV and eV/Å. `gradients` turns the
    sign of forces. Frames without a label that others have are left out; without
    `forces` only energies are needed, without `labelled` nothing. "origin" in their
    info names file and frame. What was assumed, left out or cannot be right is a
    `DataWarning`; what cannot be read, or `check` refuses, a `ValueError`.
    """
    from .public import dialects

    keys = energy_key, forces_key
    return dialects.read(paths, unit, keys, gradients, labelled, forces)


@checked(frames=structures(), group=guards.text)
def groups_of(frames: Sequence[Atoms], group: str) -> list:
    """Read ``info[group]`` of each frame, the name of its group.

    A "smiles" that RDKit reads is made canonical, without stereochemistry: a mirror
    image is a copy.
    """
    if any(group not in atoms.info for atoms in frames):
        raise ValueError(f"group: not every frame has {group!r} in its info")
    names = [atoms.info[group] for atoms in frames]
    if odd := [name for name in names if not isinstance(name, Hashable)]:
        raise guards.refusal(f"group: info[{group!r}]", "a name or number", odd[0])
    if group != "smiles":
        return names
    from rdkit import Chem, rdBase  # not at the top: `data` imports nothing heavy

    with rdBase.BlockLogs():
        mols = {name: Chem.MolFromSmiles(str(name)) for name in set(names)}
    plain = {k: Chem.MolToSmiles(m, isomericSmiles=False) for k, m in mols.items() if m}
    return [plain.get(name, name) for name in names]


@checked(frames=structures(), sizes=several(guards.count), seed=guards.seed)
def split(
    frames: Sequence[Atoms], *sizes: int, seed: int, group: str | None = None
) -> list[list[Atoms]]:
    """Draw disjoint random parts of the given sizes, in order of drawing.

    With `group` (a key of ``atoms.info``, e.g. "smiles" or "run"; see `groups_of`)
    sizes count groups, and a group never falls into two parts: a random split over the
    frames of one molecule or run leaks the test set into training.
    """
    members = defaultdict(list)
    keys = groups_of(frames, group) if group else range(len(frames))
    for key, atoms in zip(keys, frames, strict=True):
        members[key].append(atoms)
    groups = [*members.values()]
    if sum(sizes) > len(groups):
        raise guards.refusal("sizes", f"a sum of at most {len(groups)}", sizes)
    order = iter(np.random.default_rng(seed).permutation(len(groups)))
    return [[a for _ in range(size) for a in groups[next(order)]] for size in sizes]


@checked(frames=structures(0), elements=several(guards.whole(least=0), 0))
def compositions(frames: Sequence[Atoms], elements: Sequence[int]) -> np.ndarray:
    """Count the atoms of each element in each frame: (frames, elements)."""
    return np.array([(a.numbers[:, None] == elements).sum(0) for a in frames], float)


BONDS = {1: 1, 6: 4, 7: 3, 8: 2, 9: 1, 14: 4, 15: 3, 16: 2, 17: 1, 35: 1, 53: 1}
"""Bonds an atom of each element usually has; 2 for the others."""
CHEMISTRY = 15.0  # eV an atom: no structure is bound by more (tungsten: 8.9)
RESIDUAL = 5.0  # eV an atom: more than energies of one element differ by in structures
FREE = 6.0  # Å: atoms of a crystal are nearer to their images
TAIL = 1e-3  # of chi-squared: labels less likely than this contradict the prior


@checked(atoms=structure)
def is_free(atoms: Atoms) -> bool:
    """Tell whether a frame is one atom, called isolated or `FREE` Å from its images."""
    named = atoms.info.get("config_type") == "IsolatedAtom"
    if len(atoms) != 1 or named or not periodic(atoms):
        return len(atoms) == 1
    return 2 * reach(atoms.cell.array) > FREE


@checked(frames=structures(0))
def split_free_atoms(frames) -> tuple[Sequence[Atoms], dict[int, float]]:
    """Separate structures from free atoms, whose energies (eV) come by element.

    Gives `frames` itself where no atom is free (`is_free`). Raises `ValueError` where
    two energies of one element differ.
    """
    structures, found = [], {}
    for i, atoms in enumerate(frames):
        if not is_free(atoms):
            structures.append(atoms)
            continue
        z, energy = int(atoms.numbers[0]), labels(atoms, f"frame {i}", False)[0]
        if abs(found.setdefault(z, energy) - energy) > 1e-3:
            words = f"{z} has {energy:.4f} eV, one {found[z]:.4f} eV; keep the lower"
            raise ValueError(f"frame {i}: a free atom of element {words}")
    return structures if found else frames, found


@checked(frames=structures(), prior=guards.optional(guards.element_energies))
def fit_reference_energies(
    frames: Sequence[Atoms], energies: np.ndarray, prior: Mapping[int, float] | None
) -> dict[int, float]:
    """Fit one energy per element (eV) so that their sums are near the `energies`.

    Without a prior: plain least squares, the smallest solution where it is not unique.
    With a `prior` (free atoms of the same method) each element may be wrong by 1 eV,
    plus a common energy per bond that is left free: minimise
    |N (e_prior + δ) - E|² + |δ - (δ·b) b|², N the composition matrix, b the unit vector
    along `BONDS`. Where the minimum is above the quantile `TAIL` of chi-squared, the
    labels contradict the prior: e_prior + δ fits them by least squares, and the penalty
    decides only about the null space of N.

    Raises `ValueError` for an element without prior, and for labels that are no
    chemistry: further than `CHEMISTRY` from the prior or `RESIDUAL` from the fit.
    """
    if not all(len(a) for a in frames):
        raise ValueError("frames: one of them has no atoms; drop it")
    present = {int(z) for a in frames for z in a.numbers}
    if missing := sorted(present - set(present if prior is None else prior)):
        raise ValueError(f"prior, atomic_energies: add elements: missing {missing}")
    elements = sorted(present if prior is None else prior)
    N = compositions(frames, elements)
    E = guards.array(len(frames))(energies, "energies")
    if prior is None:
        fitted = np.linalg.lstsq(N, E, rcond=None)[0]
    else:
        start = np.array([prior[z] for z in elements])  # eV
        _refuse(N, E - N @ start, CHEMISTRY, "the sum of atomic_energies")
        fitted = start + _shift(N, E - N @ start, elements)
    _refuse(N, E - N @ fitted, RESIDUAL, "any sum of energies per element")
    return dict(zip(elements, fitted.tolist(), strict=True))


def _shift(N: np.ndarray, residual: np.ndarray, elements: list[int]) -> np.ndarray:
    """Compute what labels add to the prior of each element (eV); see the fit above."""
    b = np.array([BONDS.get(z, 2) for z in elements], float)
    b /= np.linalg.norm(b)
    across = np.eye(len(b)) - np.outer(b, b)
    shift = np.linalg.solve(N.T @ N + across + 1e-9 * np.outer(b, b), N.T @ residual)
    least = np.sum((residual - N @ shift) ** 2) + np.sum((across @ shift) ** 2)
    if len(N) == 1 or least < chdtri(len(N) - 1, TAIL):
        return shift
    scale = 1e6  # lstsq takes the smallest of all solutions: this leaves b free
    columns = np.column_stack([scale * N @ b, N @ across])
    (along, *rest), *_ = np.linalg.lstsq(columns, residual, rcond=1e-13)
    return scale * along * b + across @ rest


def _refuse(N: np.ndarray, gaps: np.ndarray, bound: float, what: str) -> None:
    """Raise `ValueError` where energies (frames,) are off by more than chemistry."""
    each = gaps / N.sum(axis=1)
    if not (np.abs(each) <= bound).all():
        worst = int(np.argmax(np.abs(each)))
        raise ValueError(
            f"energies: that of frame {worst} is {each[worst]:+.4g} eV an atom from "
            f"{what}, and chemistry stays within {bound:g}; give energies and free "
            "atoms in eV (not Hartree, Ry or kcal/mol) by one method (all-electron and "
            "pseudopotential are two), or no free atoms (atomic_energies=None)"
        )
