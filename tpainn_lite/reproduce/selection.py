"""Compute the experiments of lesson 09: does it pay to choose what to label?

All methods see the same candidates, descriptors and cheap labels, and are judged on the
same test structures. Rows of one repeat are paired: its candidates, forests and draws
share the seed.
"""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from .. import datasets, select
from ..course import selection_data
from ..ridge_head import HeadConfig
from .cards import words
from .parts import Part, rows_of, slug, sources

REPEATS, EACH = 20, 5  # of them a part
SEEDS = {"molecules": (10, 20, 50, 100), "diabetes": (10, 20, 50)}
AFTER = dict(rounds=5, batch=10)
POTENTIALS = ("molecules-dft", "water-dft")
SIZES = (5, 10, 20)  # structures to tune on
TREES = 400  # with 100, the released code's, two forests hardly agree on a score
FILES = {"selection": ["selection.json"]}


def molecules(repeat: int) -> tuple:
    """Target transfer: MMFF94's energies choose, DFT's are learnt (meV/atom)."""
    X, cheap, y = selection_data.energies("molecules-dft")
    test = selection_data.held_out("molecules-dft", repeat)
    return X[~test], cheap[~test], y[~test], (X[test], y[test])


def diabetes(repeat: int) -> tuple:
    """Feature shift: the younger half is labelled, the older half is to be learnt.

    What a forest on the younger half says of the older half is the cheap label (ours).
    A quarter of the older half is kept for testing. y: disease progression, its unit.
    """
    X, y = load_diabetes(return_X_y=True)
    old = X[:, 0] > np.median(X[:, 0])
    cheap = select.forest(X[~old], y[~old], repeat).predict(X[old])
    X, y = X[old], y[old]
    test = np.random.default_rng(repeat).permutation(len(X)) < len(X) // 4
    return X[~test], cheap[~test], y[~test], (X[test], y[test])


TABLES = {"molecules": molecules, "diabetes": diabetes}


def table(name: str, repeat: int, trees: int = 0) -> list[dict]:
    """Choose seeds from cheap labels, then label on: one repeat of a table.

    With `trees` only by ATBagging, with a score that two forests agree on.
    """
    X, cheap, y, test = TABLES[name](repeat)
    rows = []
    for n, method in product(SEEDS[name], [""] if trees else select.METHODS):
        if trees:
            first = select.atbagging(X, cheap, n, seed=repeat, n_estimators=trees)
        else:
            first = select.choose(method, X, cheap, n, seed=repeat)
        every = n == SEEDS[name][0] and method in ("random", "ATBagging")
        for then in select.ACQUISITIONS if every else ["random"]:
            errors, _ = select.learn(X, y, test, first, then, **AFTER, seed=repeat)
            row = dict(experiment=name, method=method or f"ATBagging, {trees} trees")
            row |= dict(then=then, n=n, repeat=repeat, errors=errors)
            rows.append(row | {"aulc": float(np.mean(errors))})
    return rows


def potentials(name: str, repeat: int) -> list[dict]:
    """Choose structures by classical energies, fit an instant head: one repeat."""
    X, cheap = selection_data.candidates(name)
    rows = []
    for n, method in product(SIZES, select.METHODS):
        chosen = select.choose(method, X, cheap, n, seed=repeat)
        error = selection_data.head_error(name, chosen)
        row = dict(experiment=name, method=method, n=n, repeat=repeat)
        rows.append(row | {"force_mae": error})
    return rows


def parts(name: str) -> dict[str, Part]:
    """List `EACH` repeats of each experiment; all depend on all settings."""
    kinds = [(t, 0) for t in (*TABLES, *POTENTIALS)] + [(t, TREES) for t in TABLES]
    how = select.PROBES, select.COMPONENTS, select.SHRINKAGE, select.LOG_FLOOR
    how += select.METHODS, select.ACQUISITIONS, SEEDS, AFTER, SIZES, HeadConfig()
    how += selection_data.COMPONENTS, selection_data.TESTED
    how += tuple(datasets.atomic_energies(name) for name in POTENTIALS)
    reads = whole(name).reads
    return {
        slug(kind, trees or "", start): Part(
            (kind, trees, list(range(start, start + EACH))), reads, how
        )
        for kind, trees in kinds
        for start in range(0, REPEATS, EACH)
    }


def compute(name: str, task: tuple[str, int, Sequence[int]]) -> list[dict]:
    """Compute some repeats of an experiment."""
    kind, trees, repeats = task
    if kind in POTENTIALS:
        return [row for k in repeats for row in potentials(kind, k)]
    return [row for k in repeats for row in table(kind, k, trees)]


def whole(name: str) -> Part:
    """Tell what decides the table beside its rows."""
    return Part(name, (*POTENTIALS, *selection_data.STUDENTS.values()))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> dict:
    """Gather the rows."""
    about = {"from": sources(whole(name).reads), **words("selection")}
    return about | {"rows": rows_of(results)}
