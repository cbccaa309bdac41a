"""Judge the units of labels by what a pretrained potential predicts."""

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from ...data import check, result
from ...guards import checked, instance
from ...model import Potential
from ...public import doubts
from ...units import LABEL_UNITS

FITS = {"force": 1.35, "energy": 1.5}  # factors within which a unit is proposed
ROUGH = 2.0  # a start may be wrong by such a factor, and no unit is


@checked(frames=check, potential=instance(Potential))
def doubt_units(frames: Sequence[Atoms], potential: Potential) -> str | None:
    """Say what is wrong with the labels, or what their units seem to be; else None.

    The ratio of the forces to what `potential` predicts tells, within `FITS`, and where
    a composition comes often enough the ratio of the energies' differences.
    """
    if found := doubts.doubts(frames):
        return found[0]
    some = frames[:: max(1, len(frames) // 50)]
    energies, forces = potential.predict(some)
    known = np.concatenate([result(a, "forces").ravel() for a in some])
    slope, alike = _slope(known, np.concatenate([f.ravel() for f in forces]))
    if slope < 0 and alike < -0.5:
        return (
            "The forces point against those of the pretrained potential, as gradients "
            "do: read them with gradients=True."
        )
    if slope <= 0 or alike < 0.3:
        return (
            f"The forces have nothing to do with those of the pretrained potential "
            f"(correlation {alike:.2f}): are they of another molecule?"
        )
    energy = _energy_slope(some, energies)
    forces_in = _fitting(slope, 0, FITS["force"])
    energies_in = _fitting(energy, 1, FITS["energy"]) or [*LABEL_UNITS]
    both = [name for name in forces_in if name in energies_in]
    if "eV/Å" in both or (not forces_in and 1 / ROUGH < slope < ROUGH):
        return None
    ratio = f"The forces are {slope:.3g} times what the pretrained potential predicts"
    if not forces_in:
        return f"{ratio}, and no unit explains it: another molecule, another method?"
    told = [f"unit={name!r}" for name in both] or [
        f"unit=({energies_in[0]!r}, {forces_in[0]!r}), of energies and of forces"
    ]
    return f"{ratio}, as if in {forces_in[0]}: read them with {' or '.join(told)}."


def _slope(known: np.ndarray, guess: np.ndarray) -> tuple[float, float]:
    """Return the slope of a line through zero, and the correlation."""
    if not known.any() or not guess.any():
        return 0.0, 0.0
    return float(known @ guess / (guess @ guess)), float(
        np.corrcoef(known, guess)[0, 1]
    )


def _energy_slope(frames: Sequence[Atoms], guess: np.ndarray) -> float | None:
    """Compare differences of energies within compositions; None if they say little."""
    known = np.array([result(a, "energy") for a in frames])
    formulas = np.array([a.get_chemical_formula() for a in frames])
    parts = [formulas == name for name in {*formulas} if (formulas == name).sum() > 4]
    if not parts:
        return None
    gaps = [[e[part] - e[part].mean() for part in parts] for e in (known, guess)]
    slope, alike = _slope(*map(np.concatenate, gaps))
    return slope if alike > 0.9 else None


def _fitting(slope: float | None, k: int, within: float) -> list[str]:
    """List the units that explain a slope, the nearest first; all for None."""
    if slope is None:
        return [*LABEL_UNITS]
    away = {name: abs(np.log(slope * u[k])) for name, u in LABEL_UNITS.items()}
    return [n for n in sorted(away, key=away.get) if away[n] < np.log(within)]
