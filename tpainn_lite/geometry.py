"""Nearest images, bonds by distance, and molecules put back together."""

import numpy as np
from ase import Atoms
from ase.neighborlist import natural_cutoffs, neighbor_list

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
