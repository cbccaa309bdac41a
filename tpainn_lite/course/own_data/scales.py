"""Judge the units of labels by what a pretrained potential predicts."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from ase import Atoms

from ...data import check, result
from ...guards import checked, instance, optional
from ...model import Potential
from ...public import doubts
from ...units import LABEL_UNITS

FITS = {"force": 1.35, "energy": 1.5}  # factors within which a unit is proposed
RELAXED = 0.2  # eV/Å, RMS of what is predicted, or given
ALIKE = 0.5  # correlation of forces that are of one molecule
MIXED = 4.0  # no start is so wrong about differences of energies
EVEN = 0.73  # of forces' ratio to energies': half way from eV/Å to eV/Bohr
SURE = 0.8  # correlation of the forces of one frame
APART = 8.0  # no frames of one method differ so much, and most units do
ROUGH = 2.5  # a start may be wrong by such a factor, and no unit is


@checked(frames=partial(check, forces=False), potential=optional(instance(Potential)))
def doubt_units(
    frames: Sequence[Atoms], potential: Potential | None = None
) -> str | None:
    """Say what is wrong with the labels, or what their units seem to be; else None.

    The ratio of the forces to what `potential` predicts tells, within `FITS`, and where
    a composition comes often enough the ratio of the energies' differences. Without a
    potential only what `doubts` finds counts.
    """
    found = doubts.structures_and_forces(frames)
    if potential is not None and not found:
        found = [_against(frames[:: max(1, len(frames) // 50)], potential)]
    return next(filter(None, [*found, *doubts.energies(frames)]), None)


def _against(some: Sequence[Atoms], potential: Potential) -> str | None:
    """Judge labels by the predictions of a potential."""
    energies, forces = potential.predict(some)
    guess = np.concatenate([f.ravel() for f in forces])
    if np.mean(guess**2) < RELAXED**2:
        return None  # relaxed geometries: there is nothing to compare
    energy = _energy_slope(some, energies)
    labelled = [result(a, "forces") for a in some]
    if any(f is None for f in labelled):
        return _energies_alone(energy)
    known = np.concatenate([f.ravel() for f in labelled])
    slope, alike = doubts.line(known, guess)
    if np.mean(known**2) < RELAXED**2 and abs(alike) < ALIKE:
        return None  # relaxed by the labels' own method
    if slope < 0 and alike < -ALIKE:
        return (
            "The forces point against those of the pretrained potential, as gradients "
            "do: read them with gradients=True."
        )
    if len(some) > 2 and (slope <= 0 or alike < 0.3):
        return (
            f"The forces have nothing to do with those of the pretrained potential "
            f"(correlation {alike:.2f}): are they of another molecule?"
        )
    if _mixed(labelled, forces):
        return "Forces are large in some frames only: are they in different units?"
    ratio = f"The forces are {slope:.3g} times what the pretrained potential predicts"
    likely = _likely(slope, energy, doubts.total_unit(some, doubts.WIDELY))
    if not likely:
        return f"{ratio}, and no unit explains it: another molecule, another method?"
    if other := _other_unit(energy, likely[0], doubts.total_unit(some)):
        return (
            f"Energies look as if in the unit of {other}, forces as if in {likely[0]}: "
            f"read them with unit=({other!r}, {likely[0]!r})."
        )
    if likely == ["eV/Å"]:
        return None
    told = " or ".join(f"unit={name!r}" for name in likely)
    return f"{ratio}, as if in {' or '.join(likely)}: read them with {told}."


def _mixed(known: Sequence[np.ndarray], guess: Sequence[np.ndarray]) -> bool:
    """Tell whether ratios to the prediction differ as units do, from frame to frame.

    Frames whose forces are unlike the predicted ones, at a minimum say, do not count.
    """
    both = zip(known, guess, strict=True)
    lines = [doubts.line(f.ravel(), g.ravel()) for f, g in both]
    low, high = np.quantile([s for s, a in lines if a > SURE] or [1.0], [0.1, 0.9])
    return high > APART * low


def _likely(slope: float, energy: float | None, total: str | None) -> list[str]:
    """List the units that explain the forces; total energies decide between some."""
    likely = _fitting(slope, 0, FITS["force"])
    if "eV/Bohr" in likely:  # so near to eV/Å that energies need to agree
        per_bohr = energy and slope / energy < EVEN
        return ["eV/Bohr" if per_bohr else "eV/Å"]
    if 1 / ROUGH < slope < ROUGH:
        return ["eV/Å"]
    return [name for name in likely if name.split("/")[0] == total] or likely


def _energies_alone(slope: float | None) -> str | None:
    """Judge energies without forces by how they change from frame to frame."""
    if slope is None or 1 / MIXED < slope < MIXED:
        return None
    said = f"Energies change {slope:.3g} times as much as the potential's"
    if slope < 0:
        return f"{said}: atomisation energies that count as positive? turn the sign."
    likely = _fitting(slope, 1, FITS["energy"])
    return f"{said}, as if in the unit of {likely or 'none that I know'}: give unit=."


def _energy_slope(frames: Sequence[Atoms], guess: np.ndarray) -> float | None:
    """Compare differences of energies within compositions; None if they say little."""
    known = np.array([result(a, "energy") for a in frames])
    formulas = np.array([a.get_chemical_formula() for a in frames])
    parts = [formulas == name for name in {*formulas} if (formulas == name).sum() > 4]
    if not parts:
        return None
    gaps = [[e[part] - e[part].mean() for part in parts] for e in (known, guess)]
    slope, alike = doubts.line(*map(np.concatenate, gaps))
    return slope if abs(alike) > 0.9 else None


def _other_unit(slope: float | None, ours: str, total: str | None) -> str | None:
    """Find the unit of energies that do not go with the forces' unit, `ours`."""
    if total and total != "Ry":  # see doubts.UNSURE
        same = np.isclose(doubts.UNITS[total], LABEL_UNITS[ours][1])
        names = (n for n, u in LABEL_UNITS.items() if u[1] == doubts.UNITS[total])
        return None if same else next(names)
    if slope is None or 1 / MIXED < slope * LABEL_UNITS[ours][1] < MIXED:
        return None
    return next(iter(_fitting(slope, 1, FITS["energy"])), None)


def _fitting(slope: float, k: int, within: float) -> list[str]:
    """List the units that explain a slope, the nearest first."""
    if slope <= 0:
        return []
    away = {name: abs(np.log(slope * u[k])) for name, u in LABEL_UNITS.items()}
    return [n for n in sorted(away, key=away.get) if away[n] < np.log(within)]
