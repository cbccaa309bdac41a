"""Refuse cells in which listing neighbours would fill the memory, or never end."""

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell

WIDE, IMAGES, CROWD = 1e5, 20_000, 5_000  # Å, images, neighbours: more is no structure


def heights(cell: np.ndarray) -> np.ndarray:
    """Return distances (3,) Å of a cell's faces; refuse NaN, `WIDE` or flat cells."""
    fits = np.abs(cell).max() <= WIDE  # not so for NaN
    edges = np.linalg.norm(cell, axis=1) if fits else np.inf
    if not (fits and abs(np.linalg.det(cell)) > 1e-10 * np.prod(edges)):
        words = "cell: needs three vectors that span a volume (or pbc=False), got"
        raise ValueError(f"{words} {cell.tolist()}")
    return 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)


def check_cell(atoms: Atoms, cutoff: float) -> None:
    """Raise `ValueError` where listing neighbours within `cutoff` Å would not end.

    That is for no cell (`heights`), more than `IMAGES` images or `CROWD` neighbours.
    """
    if not atoms.pbc.any():
        return
    cell = atoms.cell.array
    if not atoms.pbc.all() and np.isfinite(cell).all():
        cell = complete_cell(cell)
    # ASE looks for images within 3 Å at least
    steps = np.ceil(max(cutoff, 3.0) / heights(cell))[atoms.pbc]
    crowded = np.prod(2 * steps + 1) > IMAGES
    if atoms.pbc.all() and not crowded:
        volume = 4 / 3 * np.pi * cutoff**3
        crowded = len(atoms) * volume > CROWD * abs(np.linalg.det(cell))
    if crowded:
        raise ValueError(
            f"cell: {len(atoms)} atoms and their images crowd within {cutoff:g} Å in "
            f"{cell.tolist()}; needs a larger one (is it in Å?)"
        )
