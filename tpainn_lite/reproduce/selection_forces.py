"""Compute the race of lesson 09 for forces: tune a network on what was chosen.

In each repeat candidates and test structures are drawn anew. All methods see the same
ones, so a repeat's rows are paired. An oracle knows the force errors of a calibrated
force field on all candidates: they take the place of ATBagging's score.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import datasets, select, tune
from ..course import selection_data as sd
from ..data import labels
from ..train import FitConfig, evaluate
from ..water import MODELS
from . import rivals
from .cards import words
from .parts import Part, rows_of, slug, sources
from .pretraining import anew
from .selection import gathered
from .trainings import WATER, free_atoms

REPEATS = 10
METHODS = ("random", "DPP", "ATBagging")
ORACLE = "errors of the force field"
POOL, TEST = 250, 100  # molecules drawn
BOXES, BOXES_TEST = 56, 14  # drawn, of 84 and 28


@dataclass(frozen=True)
class Experiment:
    """Structures, their student, and how many are chosen."""

    data: str
    student: str
    sizes: tuple[int, ...]
    rival: str  # one of `rivals.ARMS`, calibrated on a random choice of the first size


EXPERIMENTS = {
    "liquid water": Experiment(
        "water-dft", "water-qtip4pf-longer", (5, 10, 20), "calibrated q-TIP4P/F"
    ),
    "our molecules": Experiment(
        "molecules-dft", "molecules-mmff94", (10, 30), "calibrated MMFF94"
    ),
}
FILES = {"selection-forces": ["selection-forces.json"]}


@cache
def described(name: str) -> tuple[list[Atoms], np.ndarray, np.ndarray]:
    """Return all structures, their descriptors and cheap energies (meV/atom)."""
    how = EXPERIMENTS[name]
    both = [a for part in sd.frames(how.data) for a in part]
    if how.data == "molecules-dft":
        X, cheap, _ = sd.energies(how.data)
        return both, X, cheap
    cheap = anew(MODELS["q-tip4p-f"], both)
    X = sd.descriptors(datasets.checkpoint(how.student), both)
    return both, X, sd.left_over(cheap)


def drawn(name: str, repeat: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw places of candidates and of test structures; no molecule is in both."""
    rng = np.random.default_rng(repeat)
    if name == "our molecules":
        held = sd.held_out("molecules-dft", int(rng.integers(2**31)))
        sizes = POOL, TEST
    else:
        pool, test = sd.frames("water-dft")
        held = np.arange(len(pool) + len(test)) >= len(pool)
        sizes = BOXES, BOXES_TEST
    pair = zip((~held, held), sizes, strict=True)
    return tuple(rng.permutation(np.flatnonzero(of))[:size] for of, size in pair)


def chosen(name: str, repeat: int) -> Iterator[tuple[str, int, np.ndarray]]:
    """Choose structures, as places among all, by each method at each size."""
    frames, X, cheap = described(name)
    pool, _ = drawn(name, repeat)
    X, cheap, how = X[pool], cheap[pool], EXPERIMENTS[name]
    few = [frames[k] for k in pool[select.random(X, how.sizes[0], seed=repeat)]]
    field = rivals.fit(how.rival, few, free_atoms(how.data))
    _, forces = field.predict([frames[k] for k in pool])
    truth = [labels(frames[k])[1] for k in pool]
    pairs = zip(forces, truth, strict=True)
    errors = select.quality(np.array([np.abs(f - g).mean() for f, g in pairs]))
    for n in how.sizes:
        for method in METHODS:
            yield method, n, pool[select.choose(method, X, cheap, n, seed=repeat)]
        known = dict(seed=repeat, quality=errors)
        yield ORACLE, n, pool[select.diverse(X, n, **known)]


def config(name: str, n: int) -> FitConfig:
    """Choose the settings of a tuning on n structures."""
    if name == "our molecules":
        return tune.config_for(n, "molecules")
    return WATER["tuned"]


def tuned(name: str, places: Sequence[int], test: Sequence[int], repeat: int) -> float:
    """Tune the student on structures; return its force MAE (meV/Å) on test ones."""
    how, (frames, *_) = EXPERIMENTS[name], described(name)
    learnt, start = [frames[k] for k in places], datasets.checkpoint(how.student)
    strategy = config(name, len(places))
    free = free_atoms(how.data)
    potential, _ = tune.autotune(start, learnt, free, strategy, seed=repeat)
    return evaluate(potential, [frames[k] for k in test]).force_mae


def parts(name: str) -> dict[str, Part]:
    """List the repeats of both experiments."""
    how = select.COMPONENTS, select.SHRINKAGE, select.LOG_FLOOR, select.FEATURES
    how += sd.COMPONENTS, sd.TESTED, METHODS, POOL, TEST, BOXES, BOXES_TEST
    how += MODELS["q-tip4p-f"], rivals.PENALTY, rivals.BOXES
    found = {}
    for kind, one in EXPERIMENTS.items():
        decided = *how, one, [config(kind, n) for n in one.sizes]
        for repeat in range(REPEATS):
            part = Part((kind, repeat), (one.data, one.student), decided)
            found[slug(kind, repeat)] = part
    return found


def compute(name: str, task: tuple[str, int]) -> list[dict]:
    """Tune on all choices of a repeat."""
    kind, repeat = task
    _, test = drawn(kind, repeat)
    rows = []
    for method, n, places in chosen(kind, repeat):
        row = dict(experiment=kind, method=method, n=n, repeat=repeat)
        rows.append(row | {"force_mae": tuned(kind, places, test, repeat)})
    return rows


def whole(name: str) -> Part:
    """Tell what decides the table beside its rows."""
    pairs = [(one.data, one.student) for one in EXPERIMENTS.values()]
    return Part(name, (*dict.fromkeys(a for pair in pairs for a in pair),))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> dict:
    """Gather the repeats of each experiment, method and size."""
    about = {"from": sources(whole(name).reads), **words("selection-forces")}
    names = "experiment", "method", "n"
    return about | {"rows": gathered(rows_of(results), names, "force_mae")}
