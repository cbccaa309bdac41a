"""Tune a potential on somebody's own frames, and say how wrong it is.

Every frame is tested once, by a potential that has not seen its fold
(cross-validation). The potential that is kept has learned from all frames.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from scipy.stats import t as student_t

from ... import data, datasets, dynamics, guards, ridge_head, select
from ... import tune as tuning
from ...guards import checked, instance, optional
from ...model import Potential, PotentialConfig
from ...train import FitConfig, evaluate
from ...units import MEV
from . import intake
from .scales import doubt_units

FOLDS = 5
UNTRAINED = "nothing: an untrained network"
ARMS = {"composition": "composition", "before tuning": "zero-shot", "tuned": "tuned"}
LEVEL = 0.9  # of the interval of the error
UNLIKE = 1.5  # ratio of forces between parts of a file that deserves a note
TAUGHT = 400  # structures that a teacher labels for a start of one's own
RATTLE = 0.02, 0.15  # Å: standard deviations of the moves of such structures
TEACHING = replace(tuning.HOW, steps=1000)
TUNING = FitConfig(steps=600, lr=1e-3, l2_sp=0.3, batch_size=5)
ALONE = FitConfig(steps=600, lr=1e-4, energy_weight=1.0, force_weight=0.0)  # energies


@dataclass(frozen=True)
class Tuned:
    """A tuned potential, and how wrong it is on frames like those it learned from.

    `errors` are of each frame, by a potential that had not seen it: the MAE of its
    forces (meV/Å), or without forces of its energy (meV/atom); `unit` says which.
    `error` is their mean; `interval` holds, at 90 %, that of further frames of this
    kind. `rivals` are errors of reference energies alone, of the start before tuning,
    and of the tuned potential. `committee` holds the potential of each fold.
    """

    potential: Potential
    committee: tuple[Potential, ...]
    start: str
    split: str
    unit: str
    error: float
    interval: tuple[float, float]
    errors: np.ndarray
    rivals: dict[str, float]
    notes: list[str]


@checked(frames=partial(data.check, labelled=False))
def folds(frames: Sequence[Atoms]) -> tuple[list[np.ndarray], str]:
    """Divide frames into parts that share as little as can be; say how.

    By molecule, run or composition where there are `FOLDS` and more; else in blocks, in
    the order of the file, as neighbours in a run are nearly copies.
    """
    key, names = intake.groups_of(frames)
    k, groups = min(FOLDS, len(frames)), [*dict.fromkeys(names)]
    if len(groups) < k:
        blocks = np.array_split(np.arange(len(frames)), k)
        return blocks, f"{k} folds, blocks in the order of the file"
    place = {name: i * k // len(groups) for i, name in enumerate(groups)}
    places = np.array([place[name] for name in names])
    return [np.flatnonzero(places == i) for i in range(k)], f"{k} folds by {key}"


@checked(
    found=instance(intake.Intake),
    teacher=optional(instance(Calculator)),
    atomic_energies=optional(guards.element_energies),
    config=optional(instance(FitConfig)),
    trust=guards.flag,
    seed=guards.seed,
    on_step=optional(guards.function),
)
def tune(
    found: intake.Intake,
    *,
    teacher: Calculator | None = None,
    atomic_energies: Mapping[int, float] | None = None,
    config: FitConfig | None = None,
    trust: bool = False,
    seed: int,
    on_step: Callable[[str], None] | None = None,
) -> Tuned:
    """Tune a potential on what `read` found, and measure its errors.

    Begins with a shipped checkpoint of water or molecules; else with a network that
    the `teacher`, an ASE calculator, or MMFF94 taught; else with an untrained one.
    Takes one to three minutes of one core. `atomic_energies` (eV) are of free atoms, by
    the labels' method. ``on_step(text)`` is told what happens. Raises `ValueError`
    where labels are doubtful, unless you `trust` them.
    """
    say, frames, notes = on_step or str, found.frames, [*found.notes]
    student, start, usual = _start(found, teacher, notes, seed, say)
    if found.forces and not trust:
        _refuse_doubtful(frames, student, start)
    known = datasets.atomic_energies("molecules-dft") | found.atomic_energies
    known |= atomic_energies or {}
    (parts, split), committee = folds(frames), []
    notes += _unlike(frames, parts)
    errors: dict[str, list] = {name: [] for name in ARMS}
    for k, part in enumerate(parts):
        say(f"fold {k + 1} of {len(parts)}")
        rest = [a for i, a in enumerate(frames) if i not in part]
        test = [frames[i] for i in part]
        for name, arm in ARMS.items():
            potential = _arm(arm, student, rest, known, config or usual, seed)
            errors[name].append(_errors(potential, test, found.forces))
        committee.append(potential)  # of the last arm, "tuned"
    kept = _arm("tuned", student, frames, known, config or usual, seed)
    about = start, split, "meV/Å" if found.forces else "meV/atom"
    judged = *_interval(errors["tuned"], len(frames)), np.concatenate(errors["tuned"])
    rivals = {n: float(np.concatenate(e).mean()) for n, e in errors.items()}
    return Tuned(kept, (*committee,), *about, *judged, rivals, notes)


def _refuse_doubtful(frames, student: Potential, start: str) -> None:
    if start != UNTRAINED and (doubt := doubt_units(frames, student)):
        raise ValueError(f"found: {doubt} (trust=True tunes as it is.)")


def _start(found, teacher, notes, seed, say) -> tuple[Potential, str, FitConfig]:
    """Find the potential to tune, its name, and how it is tuned."""
    frames, usual = found.frames, TUNING if found.forces else ALONE
    if teacher is not None:
        name = f"taught by {type(teacher).__name__}"
        taught = data.label(rattled(frames, TAUGHT, seed=seed), teacher)
    else:
        try:
            name = intake.start(frames)
        except ValueError as error:
            notes.append(f"Tuned from an untrained network: {error}")
            references = tuning.references(frames)
            student = Potential(PotentialConfig(), references, seed=seed)
            return student, UNTRAINED, tuning.SCRATCH if found.forces else ALONE
        if name != intake.OWN:
            water = datasets.card("water-dft-grid")["configs"]["tuned"]
            if name.startswith("water") and found.forces:
                usual = FitConfig(**water)
            return datasets.checkpoint(name), name, usual
        smiles = intake.known_molecules(frames)
        taught = tuning.structures(smiles, TAUGHT, seed=seed)
    say(f"{name}: {len(taught)} structures")
    return tuning.pretrain(taught, TEACHING, seed=seed)[0], name, usual


@checked(frames=partial(data.check, labelled=False), n=guards.count, seed=guards.seed)
def rattled(frames: Sequence[Atoms], n: int, *, seed: int) -> list[Atoms]:
    """Move the atoms of `frames` at random, `n` structures, each by its own amount."""
    rng, moved = np.random.default_rng(seed), []
    for k in range(n):
        atoms = frames[k % len(frames)].copy()
        atoms.positions += rng.normal(0, rng.uniform(*RATTLE), atoms.positions.shape)
        moved.append(atoms)
    return moved


def _unlike(frames: Sequence[Atoms], parts: Sequence[np.ndarray]) -> list[str]:
    """Note parts whose forces differ, as in a file that is sorted by temperature."""
    forces = [data.result(a, "forces") for a in frames]
    if any(f is None for f in forces):
        return []
    sizes = [np.sqrt(np.mean([np.mean(forces[i] ** 2) for i in p])) for p in parts]
    if max(sizes) < UNLIKE * min(sizes):
        return []
    return [
        f"Forces of the folds differ ({min(sizes):.2f} to {max(sizes):.2f} eV/Å, RMS). "
        "If the file is sorted, by temperature perhaps, errors are too large: no fold "
        "is like the others."
    ]


def _arm(arm, student, frames, known, config, seed) -> Potential:
    """Train an arm; free atoms that nobody knows come from these frames alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tuning.ReferenceWarning)
        free = intake.atom_energies(frames, known)
        how = config if arm == "tuned" else None
        return tuning.train_arm(arm, student, frames, free, how, seed=seed)[0]


def _errors(potential: Potential, frames: Sequence[Atoms], forces: bool) -> np.ndarray:
    """Measure the error of each frame: of forces (meV/Å), or of energies (meV/atom)."""
    found = [evaluate(potential, [atoms], forces) for atoms in frames]
    return np.array([m.force_mae if forces else m.energy_mae for m in found])


def _interval(errors: list[np.ndarray], n: int) -> tuple[float, tuple[float, float]]:
    """Estimate a mean error and its interval from parts that were tested apart.

    The trainings share frames, so the variance of the parts' means counts more than
    1/k: Nadeau and Bengio, Machine Learning 52, 239 (2003).
    """
    means, k = np.array([e.mean() for e in errors]), len(errors)
    mean = float(np.concatenate(errors).mean())
    share = np.mean([len(e) / max(1, n - len(e)) for e in errors])
    wide = student_t.ppf((1 + LEVEL) / 2, k - 1)
    half = float(wide * means.std(ddof=1) * np.sqrt(1 / k + share))
    return mean, (max(0.0, mean - half), mean + half)


@checked(
    tuned=instance(Tuned),
    n=guards.count,
    temperature=guards.positive,
    steps=optional(guards.whole(least=20)),
    seed=guards.seed,
)
def label_next(
    tuned: Tuned,
    atoms: Atoms,
    n: int = 10,
    *,
    temperature: float = 600.0,
    steps: int | None = None,
    seed: int,
) -> list[Atoms]:
    """Choose structures to label next, without labels.

    Runs the tuned potential from `atoms`, hotter than the data (K), for `steps` of
    0.5 fs (None: 4,000 of a molecule, 400 of a box), and draws `n` of
    the structures it visits by a determinantal point process whose quality is the
    committee's disagreement. A run that blows up counts as far as it came.
    """
    steps = steps or (4000 if len(atoms) < 30 else 400)
    every = steps // 40 or 1
    try:
        visited = dynamics.simulate(
            atoms,
            tuned.potential.frozen(),
            temperature=temperature,
            friction=0.02,
            steps=steps,
            every=every,
            seed=seed,
        )
    except dynamics.BlowUp as error:
        visited = error.frames
    if not visited:
        return []
    scalars = ridge_head.atom_scalars(tuned.potential, visited)
    described = np.array([s.mean(0).numpy() for s in scalars])
    unsure = disagreement(tuned.committee, visited)
    quality = unsure / unsure.max() if unsure.any() else None  # None: all are alike
    n = min(n, len(visited))
    chosen = select.diverse(described, n, quality=quality, seed=seed)
    return [_bare(visited[k]) for k in np.sort(chosen)]


def _bare(atoms: Atoms) -> Atoms:
    """Copy a structure without labels, velocities and remarks."""
    return Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


@checked(
    committee=guards.several(instance(Potential), 2),
    frames=partial(data.check, labelled=False),
)
def disagreement(committee: Sequence[Potential], frames: Sequence[Atoms]) -> np.ndarray:
    """Measure how far a committee's forces are apart (frames,), meV/Å."""
    predicted = zip(*(p.predict(frames)[1] for p in committee), strict=True)
    spreads = [np.std(forces, axis=0, ddof=1).mean() for forces in predicted]
    return np.array(spreads) / MEV
