"""Read somebody's own labelled structures in any format and unit, and give advice.

What is wrong beyond doubt raises `ValueError`, in words; what is odd becomes a note.
"""

import copy
import itertools
import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ... import data
from ...data import check, is_free
from ...engine import whole
from ...guards import at, checked, element_energies, structures
from ...public import dialects, doubts

STRUCTURES = partial(check, labelled=False)  # a kind of argument
MOST = 2000  # structures: 600 steps of five see no more
NEUTRAL = {  # keys of `Atoms.info`, in small letters, and the most that is allowed
    r"((total|tot|net|mol|molecular|system|formal)_)?charge": 0.5,
    r"(total_)?spin|(spin_)?mult(iplicity)?": 1,
    r"(n|num)?_?unpaired(_electrons)?": 0.5,
}
SHORT = r"q|uhf"  # also: an order parameter or an energy; a small whole number counts
GROUPS = ("smiles", "run", "seed", "trajectory")  # of `Atoms.info`: what a group shares
SMALL = 12.0  # eV an atom: tungsten is bound by 9, total energies begin at 16 (H2)
LARGE = 200  # atoms: boxes of so many are liquids or solids
SAME = 0.01  # eV: energies of copies in one place differ by less
COPIES = 1e-4  # Å: distances of copies differ by less
AGREE = 1e-4, 2e-3  # eV, eV/Å: labels of copies that moved differ by less
REACH = {True: 6.0, False: 50.0}  # Å: to what neighbours, in periodic structures or not
VACUUM = 5.0  # Å: a molecule that is farther from its images feels none of them


@dataclass(frozen=True)
class Intake:
    """Labelled structures (eV, eV/Å), whether `forces` are there, and what is odd.

    `atomic_energies` (eV) are those of the free atoms in the file: its frames of one
    atom, which are not among the structures.
    """

    frames: list[Atoms]
    forces: bool
    notes: list[str] = field(default_factory=list)
    atomic_energies: dict[int, float] = field(default_factory=dict)


def read(
    paths,
    unit: str | tuple[str, str] | None = None,
    *,
    energy_key: str | None = None,
    forces_key: str | None = None,
    gradients: bool = False,
) -> Intake:
    """Read labelled structures as `data.read` does, and look at them as a colleague.

    Frames of one atom are free atoms. Copies are left out; molecules that are alone in
    a periodic box become open.

    Raises `ValueError`, saying what to do, for what `data.read` refuses, ions and
    radicals, open structures beside periodic ones, no energies at all, or fewer than
    two structures.
    """
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", data.DataWarning)
        how = dict(energy_key=energy_key, forces_key=forces_key, gradients=gradients)
        frames = data.read(paths, unit=unit, labelled=False, **how)
    told = [w.message for w in said if isinstance(w.message, data.DataWarning)]
    notes = [line for message in told for line in str(message).splitlines()[1:]]
    with at(dialects.shown(paths)):
        return look(frames, [*dict.fromkeys(notes)])


@checked(frames=structures())
def look(frames: Sequence[Atoms], notes: Sequence[str] = ()) -> Intake:
    """Look at structures as a colleague would; see `read`. A second look adds nothing.

    Slabs become boxes. Where energies are too small for total energies, free atoms
    count as zero.
    """
    notes = [*notes]
    if any(atoms.constraints for atoms in frames):
        frames = copy.deepcopy([*frames])  # the caller's keep theirs
        count = data.unconstrained(frames)
        notes.append(f"{count} structures had ASE constraints: taken off.")
    frames = check(dialects.boxed(frames, notes), labelled=False)
    _refuse_ions(frames, notes)
    frames, atoms = _without_free_atoms(frames, notes)
    if not frames:
        raise ValueError("has free atoms only: needs structures of two and more atoms")
    if (n := len(frames)) > MOST:
        notes.append(f"{n} structures: {MOST} of them are used, evenly spaced.")
        frames = [frames[i * n // MOST] for i in range(MOST)]
    forces = any(data.result(a, "forces") is not None for a in frames)
    frames = dialects.complete(frames, forces, notes)
    if not forces:
        notes.append("Forces are missing: energies alone teach less; label more.")
    frames = _distinct(_opened(frames, notes), notes)
    return Intake(frames, forces, notes, _zeros(frames, notes) | atoms)


def _zeros(frames: Sequence[Atoms], notes: list[str]) -> dict[int, float]:
    """Take free atoms as zero (eV) where energies are too small for total energies."""
    each = np.array([data.result(a, "energy") / len(a) for a in frames])
    if np.abs(each).max() > SMALL or doubts.total_unit(frames, doubts.WIDELY):
        return {}
    notes.append(
        f"Energies are {each.mean():.3g} eV an atom, total energies at least -{SMALL:g}"
        ": read as relative to free atoms (as VASP gives them), to elements or to a "
        "minimum. Free atoms count as 0 eV."
    )
    return dict.fromkeys({int(z) for a in frames for z in a.numbers}, 0.0)


def _opened(frames: Sequence[Atoms], notes: list[str]) -> list[Atoms]:
    """Open the boxes if all hold structures alone, `VACUUM` from their images."""
    boxes = [k for k, a in enumerate(frames) if a.pbc.all()]
    small = {k: whole(frames[k], VACUUM) for k in boxes if len(frames[k]) < LARGE}
    alone = {k: a for k, a in small.items() if _vacuum(a) > VACUUM}
    if not alone:
        return [*frames]
    said = f"{len(alone)} structures are alone in a periodic box, more than {VACUUM:g}"
    if len(alone) < len(boxes):
        notes.append(f"{said} Å from their images; others are not, so all stay boxes.")
        return [*frames]
    notes.append(f"{said} Å from their images: read as open structures.")
    opened = [*frames]
    for k, atoms in alone.items():
        atoms.set_cell(None)
        atoms.pbc = False
        known = (data.result(frames[k], name) for name in ("energy", "forces"))
        opened[k] = data.with_labels(atoms, *known)
    return opened


def _vacuum(atoms: Atoms) -> float:
    """Return how far (Å) a molecule that is whole is from its images."""
    shifts = [s for s in itertools.product((-1, 0, 1), repeat=3) if any(s)]
    far = [s @ atoms.cell.array for s in np.array(shifts)]
    return min(cdist(atoms.positions, atoms.positions + s).min() for s in far)


def _refuse_ions(frames: Sequence[Atoms], notes: list[str]) -> None:
    """Raise `ValueError` for charges and spins: no potential here is told of them.

    A free atom has a spin, and a periodic metal may have an odd number of electrons.
    """
    found, boxes = {}, 0  # boxes with an odd number of electrons
    for k, atoms in enumerate(frames):
        if is_free(atoms):
            continue
        words, electrons = _declared(atoms), atoms.numbers.sum()
        if electrons % 2 and not atoms.pbc.any():
            words.append(f"{electrons} electrons, an odd number")
        boxes += bool(electrons % 2 and atoms.pbc.any())
        if words:
            found[k] = ", ".join(words)
    if found:
        raise ValueError(
            f"needs neutral closed-shell structures; take out {len(found)} ions or "
            f"radicals ({[*found.values()][0]}): "
            + dialects.places({k: frames[k] for k in found})
        )
    if boxes:
        notes.append(
            f"{boxes} periodic structures have an odd number of electrons: are they "
            "metals, or is an atom missing?"
        )


def _declared(atoms: Atoms) -> list[str]:
    """Say which charge or spin a structure comes with, where it is not zero."""
    words = []
    for (pattern, most), key in itertools.product(NEUTRAL.items(), atoms.info):
        value = re.match(r"\s*[-+]?\d+(\.\d+)?", str(atoms.info[key]))  # also "+1 e"
        named = re.fullmatch(pattern, str(key).lower())
        if named and value and abs(float(value[0])) > most:
            words.append(f"{key}={atoms.info[key]}")
    for key, value in atoms.info.items():
        small = re.fullmatch(r"\s*[-+]?[1-9](\.0*)?\s*", str(value))
        if small and re.fullmatch(SHORT, str(key).lower()):
            words.append(f"{key}={value}; if {key} means something else, rename it")
    for name in ("charges", "magnetic_moments")[: 1 if atoms.pbc.any() else 2]:
        total = getattr(atoms, f"get_initial_{name}")().sum()
        if abs(total) > 0.5:
            words.append(f"initial {name.replace('_', ' ')} add up to {total:g}")
    return words


def _without_free_atoms(
    frames: Sequence[Atoms], notes: list[str]
) -> tuple[list[Atoms], dict[int, float]]:
    """Separate structures from frames of one atom, and read these atoms' energies."""
    alone = [a for a in frames if is_free(a)]
    known = [a for a in alone if data.result(a, "energy") is not None]
    try:
        _, atoms = data.split_free_atoms(known)
    except ValueError as error:
        raise ValueError(f"of its frames of one atom, {error}") from None
    if alone:
        found = ", ".join(f"{chemical_symbols[z]} {e:.4f} eV" for z, e in atoms.items())
        found = found or "none has energy"
        notes.append(f"Frames of one atom are free atoms: {found}.")
    return [a for a in frames if not is_free(a)], atoms


def _distinct(frames: Sequence[Atoms], notes: list[str]) -> list[Atoms]:
    """Leave out copies; refuse a mixture of open and periodic, and a single frame."""
    if len({bool(a.pbc.any()) for a in frames}) > 1:
        raise ValueError(
            "some structures are periodic and some are not; put them into two files, "
            "and tune a potential for each"
        )
    copies = _copies(frames)
    energies = np.array([data.result(a, "energy") for a in frames])
    gaps = np.abs(energies[[*copies]] - energies[[*copies.values()]])
    if copies:
        notes.append(f"{len(copies)} copies of other structures left out.")
    if other := int((gaps > SAME).sum()):
        words = "of these have another energy than the first, which counts."
        notes.append(f"{other} {words}")
    if len(frames) - len(copies) < 2:
        raise ValueError(
            "needs at least 2 different structures (one to learn from, one to test on; "
            "better 10 and more), got 1; label some more"
        )
    return [a for k, a in enumerate(frames) if k not in copies]


def _copies(frames: Sequence[Atoms]) -> dict[int, int]:
    """Find frames that copy an earlier one, whose number comes with theirs.

    Also where it was moved, turned, or written in another order of atoms.
    """
    alike, found = defaultdict(list), {}
    for k, atoms in enumerate(frames):
        alike[np.sort(atoms.numbers).tobytes()].append(k)
    for group in alike.values():
        shapes = np.array([_shape(frames[k]) for k in group])
        for i, j in sorted(cKDTree(shapes).query_pairs(COPIES, p=np.inf)):
            first, second = group[i], group[j]
            new = not found.keys() & {first, second}
            if new and _same(frames[first], frames[second]):
                found[second] = first
    return found


def _same(a: Atoms, b: Atoms) -> bool:
    """Tell whether structures of one shape are in one place, or have the same labels.

    Moves out of the plane of a molecule hardly change its shape, but its forces.
    """
    places = [np.r_[x.positions, x.cell] for x in (a, b)]
    if (a.numbers == b.numbers).all() and np.allclose(*places, rtol=0, atol=COPIES):
        return True
    energies = [data.result(x, "energy") for x in (a, b)]
    sizes = [_sizes(x) for x in (a, b)]
    return np.allclose(*energies, rtol=0, atol=AGREE[0]) and (
        any(x is None for x in sizes) or np.allclose(*sizes, rtol=0, atol=AGREE[1])
    )


def _sizes(atoms: Atoms) -> np.ndarray | None:
    """Sort the sizes of the forces (eV/Å) in each element, (N,)."""
    forces = data.result(atoms, "forces")
    if forces is None:
        return None
    found = np.linalg.norm(forces, axis=1)
    return found[np.lexsort((found, atoms.numbers))]


def _shape(atoms: Atoms) -> np.ndarray:
    """Describe a structure by the sums over neighbours, sorted in each element (N,).

    They change by as much as the distances to these neighbours do (Å).
    """
    reach = REACH[bool(atoms.pbc.any())]
    i, j, distance = data.neighbours("ijd", atoms, reach)
    near = atoms.numbers[j] * np.exp(-distance) * (1 - distance / reach) ** 2
    around = np.log(np.bincount(i, near, len(atoms)) + 1e-6)
    return around[np.lexsort((around, atoms.numbers))]


@checked(
    frames=partial(check, forces=False),
    known=lambda value, name: value if value == {} else element_energies(value, name),
)
def atom_energies(
    frames: Sequence[Atoms], known: Mapping[int, float]
) -> dict[int, float]:
    """Find energies (eV) of free atoms: those `known`, the rest from the labels.

    Frames of one atom are free atoms, and come first. What is left of the labels'
    energies gives the rest by least squares, right to some eV: there the fit of
    reference energies can begin. Where `known` cannot be free atoms of the labels'
    method, all come from the labels, with a warning.
    """
    structures, free = data.split_free_atoms(frames)
    elements = sorted({int(z) for a in structures for z in a.numbers})
    energies = np.array([data.labels(a, forces=False)[0] for a in structures])
    counts = data.compositions(structures, elements)
    for start in ({**known, **free}, free):
        new = [z for z in elements if z not in start]
        left = energies - counts @ [start.get(z, 0.0) for z in elements]
        others = data.compositions(structures, new)
        fitted, *_ = np.linalg.lstsq(others, left)
        far = np.abs((left - others @ fitted) / counts.sum(axis=1)).max()  # eV an atom
        if far < data.CHEMISTRY or start is free:
            break
        warnings.warn(
            f"known, atomic_energies: labels are up to {far:.0f} eV an atom from these "
            "free atoms, so reference energies come from the labels alone. Are the "
            "atoms of another method, or the labels in Hartree, Ry or kcal/mol?",
            stacklevel=2,
        )
    return start | dict(zip(new, fitted.tolist(), strict=True))


@checked(frames=STRUCTURES)
def groups_of(frames: Sequence[Atoms]) -> tuple[str, list[str]]:
    """Name the group of each frame, and what groups are: `GROUPS`, or compositions."""
    for key in GROUPS:
        if all(key in a.info for a in frames):
            return key, [str(name) for name in data.groups_of(frames, key)]
    return "composition", [a.get_chemical_formula() for a in frames]
