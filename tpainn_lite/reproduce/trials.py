"""Try settings of each arm on structures of the pool, for `tune.config_for`.

A fourth of a pool, by molecule where there are many, is held out and judges; the test
structures are in no trial. Each arm has the same number of candidates, and the same
draws of n labelled structures from the rest. A part is one arm at one size and draw.
"""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import data, datasets, tune
from ..train import evaluate
from .cards import words
from .parts import Part, rows_of, slug, sources, switched_on
from .trainings import WATER

HELD_OUT = 4  # every fourth group of the pool
DATA = {  # kind -> data, teacher, what shares a group, structures a step
    "molecule": ("ethanol-dft", "molecules-mmff94", None, 5),
    "molecules": ("molecules-dft", "molecules-mmff94", "smiles", 5),
    "boxes": ("water-dft", "water-qtip4pf", None, 1),
}
PULL = 0.3
FORCES = {  # lr, l2_sp, energy weight beside 0.99 of forces
    "tuned": (
        *((lr, PULL, 0.01) for lr in (1e-4, 3e-4, 1e-3)),
        *((1e-3, pull, weight) for pull, weight in ((0, 0.01), (PULL, 0.1), (0, 0.1))),
    ),
    "scratch": tuple(product((1e-3, 3e-3, 1e-2), (0,), (0.01, 0.1))),
}
ALONE = {  # without forces
    "tuned": tuple(product((1e-4, 3e-4, 1e-3), (0, PULL), (1,))),
    "scratch": tuple(product((3e-4, 1e-3, 3e-3), (0, PULL), (1,))),
}
BOXES = {
    "tuned": ((1e-3, 0, 1e-3), (3e-3, 0, 1e-3), (3e-3, PULL, 1e-3), (3e-3, 0, 0.01)),
    "scratch": ((3e-3, 0, 1e-3), (1e-2, 0, 1e-3), (3e-2, 0, 1e-3), (1e-2, 0, 0.01)),
}
TRIALS = {  # kind, whether forces are labelled -> candidates, {size: draws}
    ("molecule", True): (FORCES, {10: 1, 30: 1}),
    ("molecules", True): (FORCES, {3: 2, 10: 2, 30: 2, 100: 1, 300: 1}),
    ("molecules", False): (ALONE, {100: 1}),
    ("molecule", False): (ALONE, {10: 1}),
}
JUDGED = "force_mae", "energy_mae", "energy_mae_kcal"  # meV/Å, meV/atom, kcal/mol
TRIED = "lr", "l2_sp", "energy_weight", "force_weight", "batch_size"
TIE = 1.03  # times the lowest force error: candidates among which the energies decide
FILES = {tune.TRIALS: [f"{tune.TRIALS}.json"]}


def parts(name: str) -> dict[str, Part]:
    """List the arms at each size and draw."""
    found, rest = {}, asdict(tune.SCRATCH, dict_factory=switched_on)
    for (kind, forces), (candidates, sizes) in TRIALS.items():
        draws = [(seed, n) for n, most in sizes.items() for seed in range(most)]
        for (seed, n), arm in product(draws, candidates):
            task = dict(kind=kind, forces=forces, arm=arm, n=n, seed=seed)
            read, teacher, *how = DATA[kind]
            settings = candidates[arm], how, HELD_OUT, rest
            words = kind, "forces" if forces else "energies", arm, n, seed
            found[slug(*words)] = Part(task, (read, teacher), settings)
    return found


def compute(name: str, task: dict) -> list[dict]:
    """Try every candidate of an arm."""
    candidates = TRIALS[task["kind"], task["forces"]][0][task["arm"]]
    return [trial(task, *one) for one in candidates]


def held_out(kind: str) -> tuple[list[Atoms], list[Atoms]]:
    """Divide a pool into what a trial may learn from, and what judges it."""
    name, _, group, _ = DATA[kind]
    pool = datasets.load(name)["pool"]
    groups = data.groups_of(pool, group) if group else range(len(pool))
    chosen = {*sorted(set(groups))[::HELD_OUT]}
    sides: tuple[list, list] = [], []
    for key, atoms in zip(groups, pool, strict=True):
        sides[key in chosen].append(atoms)
    return sides


def trial(task: dict, lr: float, l2_sp: float, energy_weight: float) -> dict:
    """Train one candidate and tell its errors on what was held out."""
    name, teacher, _, size = DATA[task["kind"]]
    train, judge = held_out(task["kind"])
    (frames,) = data.split(train, task["n"], seed=task["seed"])
    tried = lr, l2_sp, energy_weight, 0.99 if task["forces"] else 0.0, size
    how = dict(zip(TRIED, tried, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tune.ReferenceWarning)
        potential, _ = tune.train_arm(
            task["arm"],
            datasets.checkpoint(teacher),
            frames,
            datasets.atomic_energies(name),
            replace(tune.SCRATCH, **how),
            seed=task["seed"],
        )
    errors = evaluate(potential, judge)
    return task | how | {k: round(getattr(errors, k), 3) for k in JUDGED}


def choices(rows: Sequence[dict]) -> list[dict]:
    """Choose a candidate for each kind, arm, aim and size, by its mean over the draws.

    For forces that is the one with the lowest energy error among those whose force
    error is within `TIE` of the lowest; for energies the lowest energy error.
    """
    draws: dict[tuple, dict[tuple, list]] = {}
    for row in rows:
        aims = tune.AIMS[:2] if row["forces"] else tune.AIMS[2:]
        for aim in aims:
            tried = draws.setdefault((row["kind"], row["arm"], aim, row["n"]), {})
            errors = tried.setdefault(tuple(row[name] for name in TRIED), [])
            errors.append([row["force_mae"], row["energy_mae"]])
    found = []
    for (kind, arm, aim, n), tried in sorted(draws.items()):
        means = {key: np.mean(errors, axis=0) for key, errors in tried.items()}
        lowest = min(force for force, _ in means.values())
        most = TIE * lowest if aim == "forces" else np.inf
        good = [key for key, (force, _) in means.items() if force <= most]
        config = dict(zip(TRIED, min(good, key=lambda k: means[k][1]), strict=True))
        found.append(dict(kind=kind, arm=arm, aim=aim, n=n, config=config))
    return found


def of_boxes() -> list[dict]:
    """Take the settings of the grids of water; their trials are told at `WATER`.

    Energies alone keep those that own data had: low, and with a pull when tuned.
    """
    rates: dict = {"tuned": dict(lr=1e-4, l2_sp=PULL), "scratch": dict(lr=1e-3)}
    found, weights = [], dict(energy_weight=1.0, force_weight=0.0)
    for (arm, how), aim in product(WATER.items(), tune.AIMS):
        alone = rates[arm] | weights if aim == "energies alone" else {}
        settings = asdict(how) | alone
        config = {name: settings[name] for name in TRIED}
        found.append(dict(kind="boxes", arm=arm, aim=aim, n=8, config=config))
    return found


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> dict:
    """Gather the trials, and choose."""
    rows = rows_of(results)
    reads = sorted({name for one in DATA.values() for name in one[:2]})
    chosen = dict(choices=choices(rows) + of_boxes(), rows=rows)
    return {"from": sources(reads), **words(tune.TRIALS, tie=TIE), **chosen}
