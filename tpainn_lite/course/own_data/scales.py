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
RELAXED = 0.2  # eV/Å, RMS of what the potential predicts
MIXED = 4.0  # no start is so wrong about differences of energies
ROUGH = 2.5  # a start may be wrong by such a factor, and no unit is


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
    guess = np.concatenate([f.ravel() for f in forces])
    if np.mean(guess**2) < RELAXED**2:
        return None  # relaxed geometries: there is nothing to compare
    known = np.concatenate([result(a, "forces").ravel() for a in some])
    slope, alike = _slope(known, guess)
    if slope < 0 and alike < -0.5:
        return (
            "The forces point against those of the pretrained potential, as gradients "
            "do: read them with gradients=True."
        )
    if len(some) > 2 and (slope <= 0 or alike < 0.3):
        return (
            f"The forces have nothing to do with those of the pretrained potential "
            f"(correlation {alike:.2f}): are they of another molecule?"
        )
    likely = _fitting(slope, 0, FITS["force"])
    if "eV/Å" in likely or 1 / ROUGH < slope < ROUGH:
        likely = ["eV/Å"]
    ratio = f"The forces are {slope:.3g} times what the pretrained potential predicts"
    if not likely:
        return f"{ratio}, and no unit explains it: another molecule, another method?"
    if other := _other_unit(_energy_slope(some, energies), likely[0]):
        return (
            f"Energies look as if in the unit of {other}, forces as if in {likely[0]}: "
            f"read them with unit=({other!r}, {likely[0]!r})."
        )
    if likely == ["eV/Å"]:
        return None
    told = " or ".join(f"unit={name!r}" for name in likely)
    return f"{ratio}, as if in {' or '.join(likely)}: read them with {told}."


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


def _other_unit(slope: float | None, ours: str) -> str | None:
    """Find the unit of energies that do not go with the forces' unit, `ours`."""
    if slope is None or 1 / MIXED < slope * LABEL_UNITS[ours][1] < MIXED:
        return None
    return next(iter(_fitting(slope, 1, FITS["energy"])), None)


def _fitting(slope: float, k: int, within: float) -> list[str]:
    """List the units that explain a slope, the nearest first."""
    away = {name: abs(np.log(slope * u[k])) for name, u in LABEL_UNITS.items()}
    return [n for n in sorted(away, key=away.get) if away[n] < np.log(within)]
