"""Tune a potential on somebody's own frames, and say how wrong it is.

Every frame is tested once, by a potential that has not seen its fold
(cross-validation). The potential that is kept has learned from all frames.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from scipy.stats import f_oneway
from scipy.stats import t as student_t

from ... import data, datasets, guards
from ... import tune as tuning
from ...guards import checked, instance, optional
from ...model import Potential
from ...train import FitConfig
from ...units import MEV
from . import intake, starts
from .scales import doubt_units

FOLDS = 5
FEWER, LARGE = 3, 1000  # folds, where a structure has so many pairs of neighbours
ARMS = {"composition": "composition", "before tuning": "zero-shot", "tuned": "tuned"}
LEVEL = 0.9  # of the interval of the error
UNLIKE, CHANCE = 1.5, 0.01  # forces of parts of a file: ratio, and its probability
TINY = 1e-12  # (eV/Å)²: the logarithm of zero forces
FEW = "{} structures only: the error is hardly known. Label more."
TRUST = "(With trust=True, or --trust, they are tuned on as they are.)"
SETTINGS = dict(
    atomic_energies=optional(guards.element_energies),
    config=optional(instance(FitConfig)),
    seed=guards.seed,
    on_step=optional(guards.function),
)


@dataclass(frozen=True)
class Tuned:
    """A tuned potential, and how wrong it is on frames like those it learned from.

    `tested` are the `frames` with labels of a potential that had not seen them. Their
    `errors` (frames,) are the MAE of the forces (meV/Å), or without forces that of the
    energy (meV/atom); `unit` says which. `interval` holds, at 90 %, the error of
    further frames of this kind. `rivals` are mean errors of reference energies alone,
    of the start before tuning, and of the tuned potential. `committee` holds the
    potential of each fold.
    """

    potential: Potential
    committee: tuple[Potential, ...]
    frames: list[Atoms]
    tested: list[Atoms]
    start: str
    split: str
    unit: str
    interval: tuple[float, float]
    errors: np.ndarray
    rivals: dict[str, float]
    notes: list[str]

    @property
    def error(self) -> float:
        """Return the mean error, in `unit`."""
        return self.rivals["tuned"]


@checked(teacher=optional(instance(Calculator)), trust=guards.flag, **SETTINGS)
def tune(
    frames: Sequence[Atoms],
    *,
    atomic_energies: Mapping[int, float] | None = None,
    teacher: Calculator | None = None,
    config: FitConfig | None = None,
    trust: bool = False,
    seed: int,
    on_step: Callable[[str], None] | None = None,
) -> Tuned:
    """Tune a potential on labelled frames (eV, eV/Å), and measure its errors.

    Looks at the frames as `own_data.read` does, finds a `start`, doubts the units, and
    `cross_validate`s. Takes one to three minutes of one core. `atomic_energies` (eV)
    are of free atoms, by the labels' method; frames of one atom say them, too. Raises
    `ValueError` where labels are doubtful, unless you `trust` them.
    """
    with guards.at("frames"):
        found = intake.look(guards.structures(2)(frames, "frames"))
    start = starts.start(found.frames, teacher=teacher, seed=seed, on_step=on_step)
    witness = None if start.name == starts.UNTRAINED else start.potential
    if not trust and (doubt := doubt_units(found.frames, witness)):
        raise ValueError(f"frames: {doubt} {TRUST}")
    tuned = cross_validate(
        start,
        found.frames,
        atomic_energies=found.atomic_energies | dict(atomic_energies or {}) or None,
        config=config,
        seed=seed,
        on_step=on_step,
    )
    return replace(tuned, notes=[*found.notes, *tuned.notes])


@checked(start=instance(starts.Start), **SETTINGS)
def cross_validate(
    start: starts.Start,
    frames: Sequence[Atoms],
    *,
    atomic_energies: Mapping[int, float] | None = None,
    config: FitConfig | None = None,
    seed: int,
    on_step: Callable[[str], None] | None = None,
) -> Tuned:
    """Tune `start` on all frames, and without each of the `folds`, to be tested there.

    The number of steps does not depend on that of the frames. Forces are learned where
    every frame has them. Free atoms that nobody knows come from the labels.
    """
    data.check(guards.structures(2)(frames, "frames"), "frames", forces=False)
    forces = all(data.result(a, "forces") is not None for a in frames)
    known, notes = _free_atoms(frames, atomic_energies)
    how = known, config or _usual(start, frames, forces), seed
    (parts, split), say = folds(frames), on_step or str
    committee, tested, errors = _tested(start, frames, parts, how, forces, say)
    say("all frames")
    few = [FEW.format(len(frames))] * (len(frames) < FOLDS)
    return Tuned(
        potential=_arm("tuned", start.potential, frames, *how),
        committee=(*committee,),
        frames=[*frames],
        tested=tested,
        start=start.name,
        split=split,
        unit="meV/Å" if forces else "meV/atom",
        interval=_interval([errors["tuned"][part] for part in parts]),
        errors=errors["tuned"],
        rivals={name: float(each.mean()) for name, each in errors.items()},
        notes=[*start.notes, *notes, *few, *_unlike(frames, parts)],
    )


def _tested(start, frames, parts, how, forces, say) -> tuple[list, list, dict]:
    """Test each fold by the arms that learn from the others."""
    errors = {name: np.zeros(len(frames)) for name in ARMS}
    committee, tested = [], [*frames]
    for k, part in enumerate(parts):
        say(f"fold {k + 1} of {len(parts)}")
        rest = [frames[i] for i in np.setdiff1d(range(len(frames)), part)]
        test = [frames[i] for i in part]
        for name, arm in ARMS.items():  # "tuned" is the last one
            potential = _arm(arm, start.potential, rest, *how)
            energies, pushes = potential.predict(test, forces=forces)
            labels = zip(test, energies, pushes or [None] * len(test), strict=True)
            found = [data.with_labels(*each) for each in labels]
            errors[name][part] = _errors(test, found, forces)
        committee.append(potential)
        for i, atoms in zip(part, found, strict=True):
            tested[i] = atoms
    return committee, tested, errors


@checked(frames=intake.STRUCTURES)
def folds(frames: Sequence[Atoms]) -> tuple[list[np.ndarray], str]:
    """Divide frames into parts that share as little as can be; say how.

    By molecule, run or composition, where none has many more frames than a fold; else
    in blocks, in the order of the file or of each run, as neighbours are nearly copies.
    There are `FOLDS`, or `FEWER` where structures are large.
    """
    key, names = intake.groups_of(frames)
    k = min(FOLDS if starts.pairs(frames) < LARGE else FEWER, len(frames))
    _, group, sizes = np.unique(names, return_inverse=True, return_counts=True)
    if len(sizes) < k or sizes.max() > 2 * len(frames) / k:
        blocks = np.array_split(np.argsort(group, kind="stable"), k)
        of = f"of each {key}" if len(sizes) > 1 else "of the file"
        return [np.sort(b) for b in blocks], f"{k} folds, blocks in the order {of}"
    fold, full = np.zeros(len(sizes), int), np.zeros(k, int)
    for i in np.argsort(-sizes, kind="stable"):
        fold[i] = full.argmin()
        full[fold[i]] += sizes[i]
    return [np.flatnonzero(fold[group] == i) for i in range(k)], f"{k} folds by {key}"


def _free_atoms(frames, given) -> tuple[dict[int, float], list[str]]:
    """Find free atoms to begin with (eV); note where those `given` cannot be right."""
    known = datasets.atomic_energies("molecules-dft") | dict(given or {})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        intake.atom_energies(frames, known)
    return known, [str(warning.message) for warning in said if given]


def _usual(start: starts.Start, frames: Sequence[Atoms], forces: bool) -> FitConfig:
    """Choose how to tune: by trials, and by what a step costs."""
    arm = "scratch" if start.name == starts.UNTRAINED else "tuned"
    aim = "forces" if forces else "energies alone"
    config = tuning.config_for(len(frames), tuning.kind_of(frames), arm, aim)
    return starts.sized(config, frames)


def _unlike(frames: Sequence[Atoms], parts: Sequence[np.ndarray]) -> list[str]:
    """Note parts whose forces differ, as in a file that is sorted by temperature.

    By more than `UNLIKE`, and than chance explains: analysis of variance.
    """
    forces = [data.result(a, "forces") for a in frames]
    if any(f is None for f in forces) or min(map(len, parts)) < 2:
        return []
    squares = [np.array([np.mean(forces[i] ** 2) for i in p]) + TINY for p in parts]
    sizes = [np.sqrt(some.mean()) for some in squares]
    chance = f_oneway(*map(np.log, squares)).pvalue
    if max(sizes) < UNLIKE * min(sizes) or chance > CHANCE:
        return []
    return [
        f"Forces of the folds differ ({min(sizes):.2f} to {max(sizes):.2f} eV/Å, RMS). "
        "If the file is sorted, by temperature perhaps, errors are too large: no fold "
        "is like the others."
    ]


def _arm(arm, student, frames, known, config, seed) -> Potential:
    """Train an arm; free atoms that nobody knows come from these frames alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # said once is enough
        free = intake.atom_energies(frames, known)
        how = config if arm == "tuned" else None
        return tuning.train_arm(arm, student, frames, free, how, seed=seed)[0]


def _errors(frames, found: Sequence[Atoms], forces: bool) -> np.ndarray:
    """Measure the error of each frame: of forces (meV/Å), or of energies (meV/atom)."""
    name, pairs = "forces" if forces else "energy", zip(frames, found, strict=True)
    gaps = [np.abs(data.result(a, name) - data.result(b, name)) for a, b in pairs]
    sizes = 1 if forces else np.array([len(a) for a in frames])
    return np.array([gap.mean() for gap in gaps]) / sizes / MEV


def _interval(errors: list[np.ndarray]) -> tuple[float, float]:
    """Estimate the interval of a mean error from parts that were tested apart.

    The trainings share frames, so the variance of the parts' means counts more than
    1/k: Nadeau and Bengio, Machine Learning 52, 239 (2003).
    """
    means, k = np.array([e.mean() for e in errors]), len(errors)
    n, mean = sum(map(len, errors)), float(np.concatenate(errors).mean())
    share = np.mean([len(e) / max(1, n - len(e)) for e in errors])
    wide = student_t.ppf((1 + LEVEL) / 2, k - 1)
    half = float(wide * means.std(ddof=1) * np.sqrt(1 / k + share))
    return max(0.0, mean - half), mean + half
