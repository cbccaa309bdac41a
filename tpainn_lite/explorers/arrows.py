"""Forces on a structure as arrows: where each begins and ends, and what scale it has.

Units: Å, eV/Å.
"""

import math
from typing import NamedTuple

import numpy as np
from ase import Atoms

LONGEST = 2.0  # Å: about the length of the longest arrow


class Arrows(NamedTuple):
    """One arrow for the force on each atom, as `viewers` draws it."""

    start: np.ndarray  # (N, 3) Å
    end: np.ndarray  # (N, 3) Å
    reference_end: np.ndarray | None  # (N, 3) Å
    values: np.ndarray  # (N,): what the colours mean, in the unit that `label` names
    label: str
    legend: str  # says how long an arrow is


def arrows(
    atoms: Atoms,
    forces: np.ndarray,
    reference: np.ndarray | None = None,
    color_by: tuple[str, np.ndarray] | None = None,
    scale: float | None = None,
) -> Arrows:
    """The arrows of `forces` on N atoms, and the two scales that a reader needs.

    `forces` (N, 3) eV/Å are drawn thick and coloured (cividis), `reference` (N, 3) eV/Å
    thin and grey. `color_by` is a label with its unit, and (N,) values from 0 up; by
    default the error ``|forces - reference|``, or without a reference ``|forces|``, in
    eV/Å. 1 Å of arrow stands for `scale` eV/Å; by default a round number.
    """
    both = [per_atom(atoms, forces, "forces", (3,))]
    if reference is not None:
        both.append(per_atom(atoms, reference, "reference", (3,)))
    label = "force (eV/Å)" if reference is None else "force error (eV/Å)"
    label, values = color_by or (label, np.linalg.norm(both[0] - sum(both[1:]), axis=1))
    values = per_atom(atoms, values, "color_by", ())
    if scale is None:  # the next of 1, 2, 5, 10, ... that keeps arrows short enough
        needed = np.linalg.norm(both, axis=2).max() / LONGEST or 1.0
        decade = 10.0 ** math.floor(math.log10(needed))
        scale = next(k * decade for k in (1, 2, 5, 10) if k * decade >= needed)
    if not 0 < scale < math.inf:
        raise ValueError(f"scale: needs a positive number of eV/Å, got {scale}")
    start, ends = atoms.positions, [atoms.positions + f / scale for f in both]
    legend = f"1 Å of arrow = {scale:g} eV/Å" + "; thin grey: reference" * len(both[1:])
    return Arrows(start, ends[0], *(ends[1:] or [None]), values, label, legend)


def per_atom(atoms: Atoms, values, name: str, shape: tuple) -> np.ndarray:
    """`values` as numbers of this shape for each atom; else `ValueError`."""
    values, shape = np.asarray(values, float), (len(atoms), *shape)
    if values.shape != shape:
        raise ValueError(f"{name}: needs shape {shape}, got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: a number is NaN or infinite")
    return values
