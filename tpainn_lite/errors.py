"""Errors of a potential on labelled structures, in the units people quote."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from . import units
from .data import check, labels
from .model import Potential


@dataclass(frozen=True)
class Errors:
    """Errors of a potential on labelled frames; energies after reference energies."""

    energy_mae: float  # meV/atom
    energy_rmse: float  # meV/atom
    energy_mae_kcal: float  # kcal/mol per structure
    force_mae: float  # meV/Å
    force_rmse: float  # meV/Å
    force_mae_by_element: dict[int, float]  # meV/Å


def evaluate(potential: Potential, frames: Sequence[Atoms]) -> Errors:
    """`Errors` of the potential on labelled frames."""
    check(frames)
    energies, forces = potential.predict(frames)
    truth = [labels(a) for a in frames]
    sizes = np.array([len(a) for a in frames])
    dE = energies - np.array([e for e, _ in truth])  # (frames,) eV
    dF = np.concatenate(forces) - np.concatenate([f for _, f in truth])  # (N, 3) eV/Å
    numbers = np.concatenate([a.numbers for a in frames])
    per_atom = dE / sizes / units.MEV
    return Errors(
        energy_mae=float(np.abs(per_atom).mean()),
        energy_rmse=float(np.sqrt((per_atom**2).mean())),
        energy_mae_kcal=float(np.abs(dE).mean() / units.KCAL_MOL),
        force_mae=float(np.abs(dF).mean() / units.MEV),
        force_rmse=float(np.sqrt((dF**2).mean()) / units.MEV),
        force_mae_by_element={
            int(z): float(np.abs(dF[numbers == z]).mean() / units.MEV)
            for z in np.unique(numbers)
        },
    )
