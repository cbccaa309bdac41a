"""Judge the units of labels by what a pretrained potential predicts."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial

import numpy as np
from ase import Atoms

from ...data import check, result
from ...guards import checked, instance, optional
from ...model import Potential
from ...public import doubts
from ...units import ENERGIES, LABEL_UNITS

FORCES = {name: force for name, (force, _) in LABEL_UNITS.items()}  # eV/Å
FITS = {"force": 1.35, "energy": 1.5}  # factors within which a unit is proposed
RELAXED = 0.2  # eV/Å, RMS of what is predicted, or given
ALIKE = 0.5  # correlation of forces that are of one molecule
MIXED = 4.0  # no start is so wrong about differences of energies
NEAR = 1.1  # no start tells units apart that are so near: Ry/Bohr and Hartree/Å
TWO = 1.65, 4.0, 10.0  # frames in two units: see `_in_two`
APART = 8.0  # no molecules of one method differ so much, and most units do
EVEN = 0.73  # of forces' ratio to energies': half way from eV/Å to eV/Bohr
SURE = 0.8  # correlation of the forces of one frame
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
    if _mixed(some, labelled, forces):
        return "Forces are large in some frames only: are they in different units?"
    ratio = f"The forces are {slope:.3g} times what the pretrained potential predicts"
    pairs = _pairs(slope, energy, some)
    if not pairs:
        return f"{ratio}, and no unit explains it: another molecule, another method?"
    if pairs == [("eV", "eV/Å")]:
        return None
    told = [f if f.startswith(f"{e}/") else (e, f) for e, f in pairs]
    told = " or ".join(f"unit={unit!r}" for unit in told)
    alone = {e for e, f in pairs if not f.startswith(f"{e}/")}
    also = f", energies as if in {', '.join(sorted(alone))}" if alone else ""
    likely = " or ".join(f for _, f in pairs)
    return f"{ratio}, as if in {likely}{also}: read them with {told}."


def _mixed(some, known: Sequence[np.ndarray], guess: Sequence[np.ndarray]) -> bool:
    """Tell whether ratios to the prediction differ as units do, from frame to frame.

    By `TWO[0]` among frames of one composition, by `APART` among all, as a start may be
    more wrong of one molecule than of another. Frames whose forces are unlike the
    predicted ones, at a minimum say, do not count.
    """
    ratios = defaultdict(list)
    for atoms, force, expected in zip(some, known, guess, strict=True):
        slope, alike = doubts.line(force.ravel(), expected.ravel())
        if alike > SURE:
            ratios[atoms.get_chemical_formula()].append(np.log(slope))
    alone = any(_in_two(each, TWO[0]) for each in ratios.values())
    return alone or _in_two(sum(ratios.values(), []), APART)


def _in_two(ratios: Sequence[float], least: float) -> bool:
    """Tell whether logarithms of ratios, sorted and cut, are of two parts.

    Their means are `least` apart and more, and `TWO[1]` deviations (of n ratios
    `TWO[2]` / n more).
    """
    ratios = np.sort(ratios)
    for k in range(2, len(ratios) - 1):
        parts = ratios[:k], ratios[k:]
        gap = parts[1].mean() - parts[0].mean()
        wide = np.sqrt(sum(p.var() * len(p) for p in parts) / (len(ratios) - 2))
        if gap > max(np.log(least), (TWO[1] + TWO[2] / len(ratios)) * wide):
            return True
    return False


def _pairs(slope: float, energy: float | None, some) -> list[tuple[str, str]]:
    """List the units of energy and of force that explain the labels.

    Total energies decide between units, but for those that are `NEAR`.
    """
    likely = _fitting(slope, FORCES, FITS["force"])
    if "eV/Bohr" in likely:  # so near to eV/Å that energies need to agree
        likely = ["eV/Bohr" if energy and slope / energy < EVEN else "eV/Å"]
    elif 1 / ROUGH < slope < ROUGH:
        likely = ["eV/Å"]
    total = doubts.total_unit(some, doubts.WIDELY)
    if first := next((f for f in likely if f.startswith(f"{total}/")), None):
        near = _fitting(1 / FORCES[first], FORCES, NEAR)
        return [(str(total), f) for f in near if f in likely]
    total = doubts.total_unit(some)
    return [(_energy_unit(energy, f.rpartition("/")[0], total), f) for f in likely]


def _energies_alone(slope: float | None) -> str | None:
    """Judge energies without forces by how they change from frame to frame."""
    if slope is None or 1 / MIXED < slope < MIXED:
        return None
    said = f"Energies change {slope:.3g} times as much as the potential's"
    if slope < 0:
        return f"{said}: atomisation energies that count as positive? turn the sign."
    likely = _fitting(slope, ENERGIES, FITS["energy"])
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


def _energy_unit(slope: float | None, ours: str, total: str | None) -> str:
    """Find the unit of energies; without a sign of another one that of the forces."""
    if total and total != "Ry":  # see doubts.UNSURE
        return total
    if slope is None or 1 / MIXED < slope * ENERGIES[ours] < MIXED:
        return ours
    return next(iter(_fitting(slope, ENERGIES, FITS["energy"])), ours)


def _fitting(slope: float, units: dict[str, float], within: float) -> list[str]:
    """List the units that explain a slope, the nearest first."""
    if slope <= 0:
        return []
    away = {name: abs(np.log(slope * size)) for name, size in units.items()}
    return [n for n in sorted(away, key=away.get) if away[n] < np.log(within)]
