"""Doubt labelled frames: what in them cannot be right, whatever potential made them."""

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from ..data import result
from ..units import ENERGIES, HARTREE

NOBLE = (2, 10, 18, 36, 54, 86)  # they form no bonds
SMALL = 0.05  # eV/Å, RMS: forces of a minimum, which noise may turn
TORQUE = 0.03  # of the most that forces of this size could turn a molecule with
TOTALS = (0.500, 2.904, 7.478, 14.667, 24.654, 37.845, 54.589, 75.067, 99.734)
"""Of free atoms, H to F (Hartree): Chakravorty et al., Phys. Rev. A 47, 3649 (1993)."""
UNSURE = "eV", "Ry"  # GFN2-xTB's energies in eV are as large as totals in Ry
WIDELY = 0.25  # H2 is bound by 17 % of its total energy
WORK = 0.5  # eV: of a stress of 8 GPa, where an atom has 10 Å³
NEAR = 0.2  # Å: steps of a run along which energy is nearly linear


def doubts(frames: Sequence[Atoms]) -> list[str]:
    """Say what in labelled frames cannot be right, whatever potential made them."""
    return [*structures_and_forces(frames), *energies(frames)]


def structures_and_forces(frames: Sequence[Atoms]) -> list[str]:
    """Doubt distances, forces that are zero, and forces that turn molecules."""
    some = [a for a in frames[:: max(1, len(frames) // 20)] if len(a) > 2]
    found = [*lengths(some), _zero_forces(some), _torque(some), _stress(some)]
    return [text for text in found if text]


def energies(frames: Sequence[Atoms]) -> list[str]:
    """Doubt energies: by forces along a run, and by the totals of free atoms."""
    unit = total_unit(frames)
    found = [_gradient(frames)]
    if len(frames) > 2 and len({result(a, "energy") for a in frames} - {None}) == 1:
        found.append("All energies are the same: they were not computed.")
    if unit and unit not in UNSURE:
        found.append(f"Energies are as large as total energies in {unit}, not in eV.")
    return [text for text in found if text]


def total_unit(frames: Sequence[Atoms], within: float = 0.04) -> str | None:
    """Find the unit in which energies are total energies of all electrons, or None.

    These are as large as the free atoms' sum, `TOTALS`, and bonds add 2 %. Energies
    without core electrons, or from free atoms, fit no unit.
    """
    table = dict(enumerate(TOTALS, start=1))
    totals = [sum(table.get(z, np.nan) for z in a.numbers) for a in frames[:50]]
    known = [result(a, "energy") or np.nan for a in frames[:50]]
    ratio = -float(np.median(np.divide(known, totals))) / HARTREE if totals else 0.0
    if not ratio > 0:
        return None
    away = {name: abs(np.log(ratio * eV)) for name, eV in ENERGIES.items()}
    name = min(away, key=lambda name: away[name])
    return name if away[name] < within else None


def lengths(frames: Sequence[Atoms]) -> list[str]:
    """Compare distances to the nearest neighbour with covalent radii."""
    ratios = []
    for atoms in frames[:20]:
        radii, n = covalent_radii[atoms.numbers], len(atoms)
        bound = np.flatnonzero(~np.isin(atoms.numbers, NOBLE))
        for i in bound[:: max(1, len(bound) // 20)].tolist():
            gaps = atoms.get_distances(i, range(n), mic=bool(atoms.pbc.any()))
            gaps = np.delete(gaps / (radii[i] + radii), i)
            ratios += [gaps.min()] if n > 1 else []
    ratio = float(np.median(ratios)) if ratios else 1.0
    said = f"Nearest atoms are {ratio:.1f} bond lengths apart: positions in "
    if 1.6 < ratio < 2.2:
        return [f"{said}Bohr? Multiply them by 0.529177."]
    if ratio < 0.65:
        return [f"{said}Å where this format has Bohr, or in nm?"]
    return []


def _zero_forces(frames: Sequence[Atoms]) -> str | None:
    known = [f for a in frames if (f := result(a, "forces")) is not None]
    places = [a.get_scaled_positions() for a in frames if a.pbc.all()]
    alike = len({np.shape(p) for p in places}) == 1
    if alike and np.ptp(places, axis=0).max() < 1e-3:
        return None  # a perfect crystal
    if known and not np.abs(np.concatenate(known)).max() > 1e-6:
        return "All forces are zero: they were not computed, or not written."
    return None


def _stress(frames: Sequence[Atoms]) -> str | None:
    """Stress times volume is an energy, and chemistry has some eV an atom."""
    known = [(result(a, "stress"), a.cell.volume / len(a)) for a in frames]
    works = [np.abs(s).max() * volume for s, volume in known if s is not None]
    if works and (work := float(np.median(works))) > WORK:
        return (
            f"Stress times volume is {work:.3g} eV an atom: is stress in GPa or kbar? "
            "Multiply it by 0.00624151 or 0.000624151."
        )
    return None


def _torque(frames: Sequence[Atoms]) -> str | None:
    """Open molecules feel no torque: 0.0007 in good data, 0.1 in turned frames."""
    ratios = []
    for atoms in frames:
        f = result(atoms, "forces")
        if f is not None and not atoms.pbc.any() and np.mean(f**2) > SMALL**2:
            r = atoms.positions - atoms.positions.mean(axis=0)
            most = np.linalg.norm(r, axis=1) @ np.linalg.norm(f, axis=1)
            turn = np.linalg.norm(np.cross(r, f).sum(axis=0))
            ratios.append(turn / most if most > 0 else 0.0)
    if ratios and (ratio := float(np.median(ratios))) > TORQUE:
        return (
            f"Forces turn the molecules (net torque {ratio:.2f} of what is possible, "
            f"sound data have less than {TORQUE}): is their orientation another than "
            "that of the positions, as in Gaussian's standard orientation (use nosymm)?"
        )
    return None


def line(known: np.ndarray, guess: np.ndarray) -> tuple[float, float]:
    """Return slope and correlation of `known` against `guess`; 0 where one is even."""
    if np.ptp(known) == 0 or np.ptp(guess) == 0:
        return 0.0, 0.0
    slope = float(known @ guess / (guess @ guess))
    return slope, float(np.corrcoef(known, guess)[0, 1])


def _gradient(frames: Sequence[Atoms]) -> str | None:
    """Energies change along a run as forces say: dE = -F · dr."""
    found = []
    for a, b in itertools.pairwise(frames):
        forces = result(a, "forces"), result(b, "forces")
        unlike = not np.array_equal(a.numbers, b.numbers)
        unlike |= not np.allclose(a.cell, b.cell)
        if unlike or forces[0] is None or forces[1] is None:
            continue
        step = b.positions - a.positions
        if 0 < np.abs(step).max() < NEAR:
            work = -0.5 * ((forces[0] + forces[1]) * step).sum()
            found.append((result(b, "energy") - result(a, "energy"), work))
    if len(found) < 5:
        return None
    change, work = np.array(found).T
    slope, alike = line(change, work)
    if abs(alike) < 0.9 or 0.7 < slope < 1.4:
        return None
    if slope < 0:
        return "Energies rise along forces: gradients in place of forces (the sign)?"
    said = f"Energies change {slope:.3g} times as much as forces say"
    return f"{said}: the two are in different units"
