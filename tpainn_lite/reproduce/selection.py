"""The experiments of lesson 07: does it pay to choose what to label?

All methods see the same candidates, descriptors and cheap labels, and are judged on the
same test structures. Rows of one repeat are paired: its candidates, forests and draws
share the seed.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

from .. import datasets, select
from ..course import selection_data
from ..ridge_head import HeadConfig
from .tasks import belongs, write_card

REPEATS = 20
SEEDS = {"molecules": (10, 20, 50, 100), "diabetes": (10, 20, 50)}
AFTER = dict(rounds=5, batch=10)
POTENTIALS = ("molecules-dft", "water-dft")
SIZES = (5, 10, 20)  # structures to tune on
TREES = 400  # with 100, the released code's, two forests hardly agree on a score


def table(name: str, repeat: int) -> list[dict]:
    """Choose seeds from cheap labels, then label on: one repeat of a table."""
    X, cheap, y, test = TABLES[name](repeat)
    rows = []
    for n in SEEDS[name]:
        for method in select.METHODS:
            first = select.choose(method, X, cheap, n, seed=repeat)
            every = n == SEEDS[name][0] and method in ("random", "ATBagging")
            for way in select.ACQUISITIONS if every else ["random"]:
                errors, _ = select.learn(X, y, test, first, way, **AFTER, seed=repeat)
                row = dict(experiment=name, method=method, then=way, n=n, repeat=repeat)
                rows.append(row | {"errors": errors, "aulc": float(np.mean(errors))})
    return rows


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


def more_trees(name: str, repeat: int) -> list[dict]:
    """ATBagging with a score that two forests agree on, as rows of `table`."""
    X, cheap, y, test = TABLES[name](repeat)
    rows = []
    for n in SEEDS[name]:
        first = select.atbagging(X, cheap, n, seed=repeat, n_estimators=TREES)
        errors, _ = select.learn(X, y, test, first, "random", **AFTER, seed=repeat)
        row = dict(experiment=name, method=f"ATBagging, {TREES} trees", n=n)
        row |= {"then": "random", "repeat": repeat}
        rows.append(row | {"errors": errors, "aulc": float(np.mean(errors))})
    return rows


def potentials(name: str, repeat: int) -> list[dict]:
    """Choose structures by classical energies, fit an instant head: one repeat."""
    X, cheap = selection_data.candidates(name)
    rows = []
    for n in SIZES:
        for method in select.METHODS:
            chosen = select.choose(method, X, cheap, n, seed=repeat)
            error = selection_data.head_error(name, chosen)
            row = dict(experiment=name, method=method, n=n, repeat=repeat)
            rows.append(row | {"force_mae": error})
    return rows


def tasks() -> list[tuple[str, int, str]]:
    """(experiment, repeat, digest of what its rows depend on) of every repeat."""
    names = [*TABLES, *POTENTIALS, *(f"{t}, {TREES} trees" for t in TABLES)]
    marked = [(name, made_from(name)) for name in names]
    return [(name, repeat, used) for name, used in marked for repeat in range(REPEATS)]


def made_from(name: str) -> str:
    """Digest of the data and the settings of an experiment."""
    how = [select.PROBES, select.COMPONENTS, select.SHRINKAGE, select.LOG_FLOOR]
    table = name.partition(",")[0]
    if name in POTENTIALS:
        how += [selection_data.described(name), select.METHODS, SIZES]
        how += [datasets.atomic_energies(name), HeadConfig()]
        return belongs(how)
    how += [SEEDS[table], AFTER, [] if name == table else TREES]
    how += [select.METHODS, select.ACQUISITIONS] if name == table else []
    if table == "molecules":
        how += [selection_data.described("molecules-dft"), selection_data.TESTED]
    return belongs(how)


def compute(task: tuple[str, int, str], path: Path) -> None:
    """One repeat of an experiment; writes its rows as JSON."""
    name, repeat, _ = task
    if name in TABLES:
        rows = table(name, repeat)
    elif name in POTENTIALS:
        rows = potentials(name, repeat)
    else:
        rows = more_trees(name.partition(",")[0], repeat)
    path.write_text(json.dumps(rows))


def write(name: str, results: Sequence[Path], shipped: Path) -> None:
    """Gather the rows."""
    used = [*POTENTIALS, *selection_data.STUDENTS.values()]
    found = {
        "from": datasets.sources(used),
        "units": "errors, aulc: MAE on test rows, meV/atom (molecules), of disease "
        "progression (diabetes); force_mae meV/Å",
        "rows": [row for p in results for row in json.loads(p.read_text())],
    }
    write_card(f"grid {name}", found, shipped)
