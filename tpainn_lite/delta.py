"""Delta learning: a network learns quantum minus classical; to run, both are summed.

Ramakrishnan et al., doi 10.1021/acs.jctc.5b00099. Where the classical part is good the
network has little to learn; but the classical part must be there for ever after.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from .calculators import EnergyForcesCalculator
from .data import EnergyForces, cell_of, energy_forces_of, labels, with_labels
from .model import Potential

SAME = 1e-3  # eV, eV/Å: the same classical part, on whatever machine


def classical_labels(
    classical: EnergyForces, frames: Sequence[Atoms]
) -> list[tuple[float, np.ndarray]]:
    """Label each frame: energy (eV) and forces (N, 3) (eV/Å).

    `classical` may be a Potential or an ASE calculator, too.
    """
    classical = energy_forces_of(classical)
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
    """A network that learned differences, plus the classical part it goes with.

    `probe` is a structure that both know. A file cannot hold the classical part, only
    its labels of the probe, by which `load` recognises it.
    """

    network: Potential
    classical: EnergyForces
    probe: Atoms | None = None

    def energy_forces(self, numbers, positions, cell=None) -> tuple[float, np.ndarray]:
        """The sum as an `EnergyForces`."""
        energy, forces = self.network.energy_forces(numbers, positions, cell)
        classical = energy_forces_of(self.classical)
        more, push = classical(numbers, positions, cell)
        return energy + more, forces + push

    def predict(
        self, frames: Sequence[Atoms], forces: bool = True
    ) -> tuple[np.ndarray, list[np.ndarray] | None]:
        """Predict energies (frames,) eV and `forces`, (N, 3) eV/Å each, or None."""
        energies, pulls = self.network.predict(frames, forces=forces)
        more = classical_labels(self.classical, frames)
        energies = energies + np.array([e for e, _ in more])
        if not forces:
            return energies, None
        return energies, [f + push for f, (_, push) in zip(pulls, more, strict=True)]

    def calculator(self) -> EnergyForcesCalculator:
        """An ASE calculator."""
        return EnergyForcesCalculator(self.energy_forces)

    def save(self, path: str | Path, card: dict | None = None) -> None:
        """Write PATH.pt and PATH.json: the network, `probe` and its classical labels.

        Raises `ValueError` without a probe.
        """
        if self.probe is None:
            raise ValueError(
                "probe: needs a structure that the classical part can label, got none; "
                "make it with Total(network, classical, probe)"
            )
        a = self.probe
        ((energy, forces),) = classical_labels(self.classical, [a])
        where = {"numbers": a.numbers, "positions": a.positions, "cell": cell_of(a)}
        rows = where | {"energy": energy, "forces": forces}  # Å, eV, eV/Å
        plain = {k: v if v is None else np.asarray(v).tolist() for k, v in rows.items()}
        self.network._save(path, {"difference": plain, "card": card or {}})

    @staticmethod
    def load(path: str | Path, classical: EnergyForces) -> "Total":
        """Read what `save` wrote; `classical` is the part that the file cannot hold.

        Raises `ValueError` where `classical` labels the probe otherwise than the one
        that was saved, and for whatever `Potential.load` refuses.
        """
        network, about = Potential._load(path)
        if "difference" not in about:
            raise ValueError(
                f"{path}: holds a whole potential; load it with Potential.load(path)"
            )
        rows = about["difference"]
        probe = Atoms(rows["numbers"], rows["positions"], cell=rows["cell"])
        probe.pbc = rows["cell"] is not None
        try:
            ((energy, forces),) = classical_labels(classical, [probe])
        except ValueError as error:
            raise ValueError(
                f"classical: refuses the structure that {path} was saved with ({error})"
                "; hand over the one that the network was trained with"
            ) from error
        gaps = [energy - rows["energy"], *np.ravel(forces - np.array(rows["forces"]))]
        if not np.abs(gaps).max() < SAME:
            raise ValueError(
                f"classical: needs the part that {path} was saved with, got another "
                f"one: its labels of the same structure differ by {gaps[0]:.4g} eV and "
                f"up to {np.abs(gaps[1:]).max():.4g} eV/Å"
            )
        return Total(network, classical, probe)
