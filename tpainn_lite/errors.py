"""Errors of a potential on labelled structures, in the units people quote."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from . import units
from .data import labels, split_free_atoms
from .model import Potential


@dataclass(frozen=True)
class Errors:
    """Errors of a potential on labelled frames; energies after reference energies.

    Those of forces are ``None`` where only energies were compared.
    """

    energy_mae: float  # meV/atom
    energy_rmse: float  # meV/atom
    energy_mae_kcal: float  # kcal/mol per structure
    force_mae: float | None = None  # meV/Å
    force_rmse: float | None = None  # meV/Å
    force_mae_by_element: dict[int, float] | None = None  # meV/Å


def evaluate(
    potential: Potential, frames: Sequence[Atoms], forces: bool = True
) -> Errors:
    """`Errors` of the potential on labelled frames; unless not `forces`, of both.

    Free atoms among the frames do not count: reference energies are not meant for them.
    Raises `ValueError`, naming the frame, where a label is missing.
    """
    frames, _ = split_free_atoms(frames)
    truth = [labels(a, f"frames, frame {k}", forces) for k, a in enumerate(frames)]
    energies, predicted = potential.predict(frames, forces=forces)
    sizes = np.array([len(a) for a in frames])
    dE = energies - np.array([e for e, _ in truth])  # (frames,) eV
    per_atom = dE / sizes / units.MEV
    found = dict(
        energy_mae=float(np.abs(per_atom).mean()),
        energy_rmse=float(np.sqrt((per_atom**2).mean())),
        energy_mae_kcal=float(np.abs(dE).mean() / units.KCAL_MOL),
    )
    if forces:
        dF = np.concatenate(predicted) - np.concatenate([f for _, f in truth])
        found |= _of_forces(dF / units.MEV, np.concatenate([a.numbers for a in frames]))
    return Errors(**found)


def _of_forces(dF: np.ndarray, numbers: np.ndarray) -> dict:
    """From errors (N, 3) meV/Å of atoms of these atomic numbers (N,)."""
    return dict(
        force_mae=float(np.abs(dF).mean()),
        force_rmse=float(np.sqrt((dF**2).mean())),
        force_mae_by_element={
            int(z): float(np.abs(dF[numbers == z]).mean()) for z in np.unique(numbers)
        },
    )
