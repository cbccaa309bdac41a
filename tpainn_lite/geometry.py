"""Nearest images, bonds by distance, and molecules put back together."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.geometry import minkowski_reduce
from ase.neighborlist import natural_cutoffs, neighbor_list

TIE = 1e-12  # relative: a hexagonal cell stays reduced when it is rounded
STRETCH = 1.2  # times the sum of covalent radii: farther atoms are not bonded
AROUND = np.array([n for n in product((-1, 0, 1), repeat=3) if any(n)])  # (26, 3)
FLAT = 1e-10  # of the product of its edges: a cell with a smaller volume has none


def periodic(atoms: Atoms) -> bool:
    """Return whether `atoms` are periodic; raise `ValueError` where only partly so."""
    if atoms.pbc.any() and not atoms.pbc.all():
        raise ValueError(
            "atoms: needs to be periodic in all three directions or in none, got "
            f"pbc={atoms.pbc.tolist()}"
        )
    return bool(atoms.pbc.all())


def check_same_atoms(frames: Sequence[Atoms]) -> None:
    """Raise `ValueError` where frames are missing, or are not of the same atoms."""
    if len(frames) == 0:
        raise ValueError("frames: needs at least one, got none")
    for k, atoms in enumerate(frames):
        if not np.array_equal(atoms.numbers, frames[0].numbers):
            raise ValueError(
                "frames: need the same atoms in the same order, but frame "
                f"{k} is {atoms.get_chemical_formula('reduce')[:40]} and frame 0 "
                f"{frames[0].get_chemical_formula('reduce')[:40]}"
            )


def reduced(cell: np.ndarray) -> np.ndarray:
    """Return the shortest vectors (3, 3) Å that span the lattice of `cell` (3, 3) Å.

    They are Minkowski-reduced. A cell with right angles comes back as it is. Raises
    `ValueError` for a cell without volume.
    """
    cell = np.asarray(cell, float)
    if not abs(np.linalg.det(cell)) > FLAT * np.linalg.norm(cell, axis=1).prod():
        raise ValueError(
            "cell: needs three vectors that span a volume, got "
            f"{cell.round(3).tolist()}; an open structure (pbc=False) has no images"
        )
    return cell if _rectangular(cell) else _reduced(cell.tobytes())


def _rectangular(cell: np.ndarray) -> bool:
    products = cell @ cell.T
    edges = products.diagonal()
    return np.abs(products - np.diag(edges)).max() <= 1e-12 * edges.min()


@lru_cache(maxsize=64)  # the frames of a run mostly share their cell
def _reduced(cell: bytes) -> np.ndarray:
    return np.array(minkowski_reduce(np.frombuffer(cell).reshape(3, 3))[0])


def reach(cell: np.ndarray) -> float:
    """Return half the shortest vector (Å) of the lattice of `cell` (3, 3) Å.

    Within this distance an atom has at most one image of any other atom.
    """
    return float(np.linalg.norm(reduced(cell), axis=1).min() / 2)


def nearest_image(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """Move `vectors` (..., 3) Å by cell vectors to their shortest images.

    Exact in every cell (3, 3) Å, however skewed. Raises `ValueError` for a cell without
    volume.
    """
    cell = reduced(cell)
    near = vectors - np.round(vectors @ np.linalg.inv(cell)) @ cell
    if _rectangular(cell):
        return near
    # rounding finds what is shorter than half the least height, not what is longer
    height = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    far = np.linalg.norm(near, axis=-1) >= height / 2
    near[far] = _shortest(near[far], cell)
    return near


def _shortest(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """The shortest of each vector (M, 3) and its images by up to one cell vector each.

    That is enough where the cell is reduced. One shift at a time, to save memory.
    """
    best, least = vectors.copy(), (vectors**2).sum(axis=1)
    for shift in AROUND @ cell:
        image = vectors + shift
        squares = (image**2).sum(axis=1)
        shorter = squares < least
        best[shorter], least[shorter] = image[shorter], squares[shorter]
    return best


def neighbours(quantities: str, atoms: Atoms, cutoff) -> tuple[np.ndarray, ...]:
    """List neighbours as ASE's ``neighbor_list``; an open structure needs no cell.

    ASE would sort the atoms into bins that fill the cell, however empty it is.
    """
    if not atoms.pbc.any():
        atoms = Atoms(atoms.numbers, atoms.positions)
    return neighbor_list(quantities, atoms, cutoff)


def bonds(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First atom (P,), second atom (P,), vector (P, 3) Å of each bond, both ways."""
    return neighbours("ijD", atoms, natural_cutoffs(atoms, mult=STRETCH))


def whole(atoms: Atoms) -> Atoms:
    """A copy in which no molecule is cut by a face of the box.

    Each molecule stays where its first atom is.
    """
    first, second, vectors = bonds(atoms)
    starts = np.searchsorted(first, np.arange(len(atoms) + 1))  # `first` is sorted
    mended, seen = atoms.copy(), np.zeros(len(atoms), bool)
    for root in range(len(atoms)):
        stack = [] if seen[root] else [root]
        seen[root] = True
        while stack:
            i = stack.pop()
            for k in range(starts[i], starts[i + 1]):
                if not seen[second[k]]:
                    seen[second[k]] = True
                    mended.positions[second[k]] = mended.positions[i] + vectors[k]
                    stack.append(second[k])
    return mended


@dataclass(frozen=True, eq=False)
class Box:
    """A cell as OpenMM takes it, and the way back to the cell and axes of the user.

    OpenMM wants three reduced vectors that form a lower triangle. Any cell can be
    written so: turn it, and combine its vectors by whole numbers.
    """

    vectors: np.ndarray  # (3, 3) Å: reduced, lower triangular
    turn: np.ndarray  # (3, 3): vectors (N, 3) @ turn.T go in, and @ turn come out
    combine: np.ndarray  # (3, 3) whole numbers: combine @ vectors @ turn is the cell

    @staticmethod
    def of(cell: np.ndarray | None) -> "Box":
        """Find the box of a cell (3, 3) Å, or of none; nothing is turned in vain.

        Raises `ValueError` for a cell without a volume.
        """
        if cell is None:
            return Box(np.zeros((3, 3)), np.eye(3), np.eye(3))
        cell = np.array(cell, float)
        shortest = reduced(cell)
        lengths = [np.sort(np.linalg.norm(c, axis=1)) for c in (cell, shortest)]
        box, turn = cell.copy(), np.eye(3)
        if not (_lower_and_reduced(cell) and np.allclose(*lengths, rtol=1e-9)):
            triangle, turn = Cell(shortest).standard_form()
            box = np.tril(triangle) * np.sign(triangle[0, 0])  # -: left-handed
            for i, j in ((2, 1), (2, 0), (1, 0)):
                box[i] -= box[j] * np.round(box[i, j] / box[j, j])
        for i, j in ((1, 0), (2, 0), (2, 1)):
            half = box[j, j] / 2
            if abs(box[i, j]) > half * (1 - TIE):
                box[i, j] = np.sign(box[i, j]) * half * (1 - TIE)
        return Box(box, turn, np.rint(cell @ turn.T @ np.linalg.inv(box)))

    def cell(self, vectors: np.ndarray) -> np.ndarray:
        """Turn box vectors (3, 3) Å, scaled by a barostat maybe, into the cell."""
        return self.combine @ vectors @ self.turn

    def height(self) -> float:
        """Least distance (Å) between two opposite faces."""
        return 1 / np.linalg.norm(np.linalg.inv(self.vectors), axis=0).max()


def _lower_and_reduced(cell: np.ndarray) -> bool:
    """Tell whether OpenMM takes `cell` (3, 3) Å as it is, but for rounding."""
    if np.triu(cell, 1).any() or not (np.diag(cell) > 0).all():
        return False
    return all(
        abs(cell[i, j]) <= cell[j, j] / 2 * (1 + TIE)
        for i, j in ((1, 0), (2, 0), (2, 1))
    )
