"""Labels and what named potentials say of them, side by side; units: eV, eV/Å."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms

from ..data import compositions
from ..model import Potential
from .arrows import per_atom

WORST = 0.2  # of the points that are drawn: the share kept for the largest errors
Predictions = tuple[np.ndarray, Sequence[np.ndarray]]
"""Energies (frames,) eV and forces [(N, 3) eV/Å], as `Potential.predict` gives them."""


class Values(NamedTuple):
    """One quantity in all frames, a number a point."""

    unit: str
    reference: np.ndarray  # (points,)
    predicted: dict[str, np.ndarray]  # of each potential (points,)
    frame: np.ndarray  # (points,): which frame it is of

    def mae(self, name: str) -> float:
        """Mean absolute error of a potential over all points."""
        return float(np.abs(self.predicted[name] - self.reference).mean())

    def errors(self, name: str) -> np.ndarray:
        """Mean absolute error of a potential in each frame, (frames,)."""
        miss = np.abs(self.predicted[name] - self.reference)
        return np.bincount(self.frame, miss) / np.bincount(self.frame)


def predictions(
    frames: Sequence[Atoms], potential: Potential | Predictions, name: str
) -> Predictions:
    """Of a potential, or as they were given."""
    if hasattr(potential, "predict"):
        return potential.predict(frames)
    energies, forces = potential
    if not len(energies) == len(forces) == len(frames):
        raise ValueError(
            f"potentials[{name!r}]: needs an energy and forces for each of the "
            f"{len(frames)} frames, got {len(energies)} and {len(forces)}; hand over "
            "what predict(frames) gives"
        )
    about = f"potentials[{name!r}], forces"
    pairs = zip(frames, forces, strict=True)
    return np.asarray(energies, float), [per_atom(a, f, about, (3,)) for a, f in pairs]


def compare(
    frames: Sequence[Atoms], said: Mapping[str, Predictions]
) -> dict[str, Values]:
    """Forces, and energies that leave out what no potential is to be judged by."""
    return {
        "force component": _of_forces(frames, said),
        "energy per atom": _of_energies(frames, said),
    }


def _of_forces(frames: Sequence[Atoms], said: Mapping[str, Predictions]) -> Values:
    reference = np.concatenate(
        [a.get_forces(apply_constraint=False).ravel() for a in frames]
    )
    predicted = {name: np.concatenate(f).ravel() for name, (_, f) in said.items()}
    frame = np.repeat(np.arange(len(frames)), [3 * len(a) for a in frames])
    return Values("eV/Å", reference, predicted, frame)


def _of_energies(frames: Sequence[Atoms], said: Mapping[str, Predictions]) -> Values:
    """Less what elements account for; the mean error a potential makes is taken off."""
    sizes = np.array([len(a) for a in frames])
    truth = np.array([a.get_potential_energy() for a in frames])  # (frames,) eV
    N = compositions(frames, sorted({int(z) for a in frames for z in a.numbers}))
    by_element, *_ = np.linalg.lstsq(N, truth)
    reference = (truth - N @ by_element) / sizes
    gaps = {name: (energies - truth) / sizes for name, (energies, _) in said.items()}
    predicted = {name: reference + gap - gap.mean() for name, gap in gaps.items()}
    return Values("eV/atom", reference, predicted, np.arange(len(frames)))


def thinned(values: Values, most: int) -> np.ndarray:
    """At most `most` points, by index: the largest errors, and a draw of the others."""
    misses = [np.abs(y - values.reference) for y in values.predicted.values()]
    order = np.argsort(-np.max(misses, axis=0))
    worst = round(WORST * most)
    others = np.random.default_rng(0).permutation(order[worst:])
    return np.sort(np.r_[order[:worst], others[: most - worst]])
