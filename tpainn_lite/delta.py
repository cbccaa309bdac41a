"""Delta learning: a network learns quantum minus classical; to run, both are summed.

Ramakrishnan et al., doi 10.1021/acs.jctc.5b00099. Where the classical part is good the
network has little to learn; but the classical part must be there for ever after.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from .calculators import EnergyForcesCalculator
from .data import EnergyForces, cell_of, labels, with_labels
from .model import Potential


def classical_labels(
    classical: EnergyForces, frames: Sequence[Atoms]
) -> list[tuple[float, np.ndarray]]:
    """Energy (eV) and forces (N, 3) (eV/Å) of each frame."""
    return [classical(a.numbers, a.positions, cell_of(a)) for a in frames]


def differences(
    frames: Sequence[Atoms], classical: EnergyForces, forces: bool = True
) -> list[Atoms]:
    """Copies of `frames`, labelled with what `classical` leaves over of their labels.

    Without `forces` labels are energies only.
    """
    rest = []
    known = classical_labels(classical, frames)
    for k, (atoms, (energy, force)) in enumerate(zip(frames, known, strict=True)):
        e, f = labels(atoms, f"frame {k}", forces)
        rest.append(with_labels(atoms, e - energy, f - force if forces else None))
    return rest


@dataclass(frozen=True)
class Total:
    """A network that learned differences, plus the classical part it goes with."""

    network: Potential
    classical: EnergyForces

    def energy_forces(self, numbers, positions, cell=None) -> tuple[float, np.ndarray]:
        """The sum as an `EnergyForces`."""
        energy, forces = self.network.energy_forces(numbers, positions, cell)
        more, push = self.classical(numbers, positions, cell)
        return energy + more, forces + push

    def predict(self, frames: Sequence[Atoms]) -> tuple[np.ndarray, list[np.ndarray]]:
        """Energies (frames,) eV and forces, a list of (N, 3) eV/Å."""
        energies, forces = self.network.predict(frames)
        more = classical_labels(self.classical, frames)
        energies = energies + np.array([e for e, _ in more])
        return energies, [f + push for f, (_, push) in zip(forces, more, strict=True)]

    def calculator(self) -> EnergyForcesCalculator:
        """An ASE calculator."""
        return EnergyForcesCalculator(self.energy_forces)
