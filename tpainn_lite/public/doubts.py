"""Doubt labelled frames: what in them cannot be right, whatever potential made them."""

import itertools
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from ..data import result

TORQUE = 0.03  # of the most that forces of this size could turn a molecule with
NEAR = 0.2  # Å: steps of a run along which energy is nearly linear


def doubts(frames: Sequence[Atoms]) -> list[str]:
    """Say what in labelled frames cannot be right, whatever potential made them."""
    some = [a for a in frames[:: max(1, len(frames) // 50)] if len(a) > 2]
    return [text for witness in WITNESSES for text in [witness(some)] if some and text]


def _lengths(frames: Sequence[Atoms]) -> str | None:
    """Compare distances to the nearest neighbour with covalent radii."""
    ratios = []
    for atoms in frames:
        radii = covalent_radii[atoms.numbers]
        gaps = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        gaps = gaps / (radii[:, None] + radii)
        np.fill_diagonal(gaps, np.inf)
        ratios += [*gaps.min(axis=1)]
    ratio = float(np.median(ratios))
    if 1.6 < ratio < 2.2:
        return f"Nearest atoms are {ratio:.1f} bond lengths apart: positions in Bohr?"
    if ratio < 0.65:
        return (
            f"Nearest atoms are {ratio:.1f} bond lengths apart: positions in Å where "
            "this format has Bohr, or in nm?"
        )
    return None


def _zero_forces(frames: Sequence[Atoms]) -> str | None:
    known = [f for a in frames if (f := result(a, "forces")) is not None]
    if known and not np.abs(np.concatenate(known)).max() > 1e-6:
        return "All forces are zero: they were not computed, or not written."
    return None


def _torque(frames: Sequence[Atoms]) -> str | None:
    """Open molecules feel no torque: 0.0007 in good data, 0.1 in turned frames."""
    ratios = []
    for atoms in frames:
        if (f := result(atoms, "forces")) is not None and not atoms.pbc.any():
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


def _gradient(frames: Sequence[Atoms]) -> str | None:
    """Energies change along a run as forces say: dE = -F · dr."""
    found = []
    for a, b in itertools.pairwise(frames):
        forces = result(a, "forces"), result(b, "forces")
        unlike = not np.array_equal(a.numbers, b.numbers)
        if unlike or forces[0] is None or forces[1] is None:
            continue
        step = b.positions - a.positions
        if 0 < np.abs(step).max() < NEAR:
            work = -0.5 * ((forces[0] + forces[1]) * step).sum()
            found.append((result(b, "energy") - result(a, "energy"), work))
    if len(found) < 5:
        return None
    change, work = np.array(found).T
    slope = float(change @ work / (work @ work)) if work @ work > 0 else 1.0
    alike = abs(np.corrcoef(change, work)[0, 1])
    if alike > 0.9 and slope < 0:
        return (
            "Energies rise along the forces: gradients in place of forces (the sign)?"
        )
    if alike > 0.9 and not 0.7 < slope < 1.4:
        return (
            f"Energies change {slope:.3g} times as much as forces say: the two are in "
            "different units"
        )
    return None


WITNESSES = (_lengths, _zero_forces, _torque, _gradient)
