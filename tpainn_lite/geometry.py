"""Nearest images, bonds by distance, and molecules put back together."""

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.cell import Cell
from ase.geometry import minkowski_reduce
from ase.neighborlist import natural_cutoffs, neighbor_list

TIE = 1e-12  # relative: a hexagonal cell stays reduced when it is rounded
STRETCH = 1.2  # times the sum of covalent radii: farther atoms are not bonded


def nearest_image(vectors: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """`vectors` (..., 3) Å between atoms, moved by cell vectors to the nearest image.

    In a skewed cell (3, 3) right for what is shorter than half its least height.
    """
    return vectors - np.round(vectors @ np.linalg.inv(cell)) @ cell


def bonds(atoms: Atoms) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First atom (P,), second atom (P,), vector (P, 3) Å of each bond, both ways."""
    return neighbor_list("ijD", atoms, natural_cutoffs(atoms, mult=STRETCH))


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
        if not abs(np.linalg.det(cell)) > TIE * np.linalg.norm(cell, axis=1).prod():
            raise ValueError(
                f"cell: needs three vectors with a volume, got {cell.tolist()}"
            )
        shortest, _ = minkowski_reduce(cell)
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
