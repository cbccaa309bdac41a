"""Compute the race of lesson 09: does it pay to choose what to label?

In each repeat candidates and test rows are drawn anew. All methods see the same ones,
with the same cheap labels, so a repeat's rows are paired. The learner is kernel ridge
regression.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from .. import datasets, select
from ..course import selection_data as sd
from .cards import words
from .parts import Part, rows_of, slug, sources

REPEATS, EACH = 30, 5  # of them a part
SIZES, AFTER = (10, 20, 50, 100), dict(rounds=1, batch=20)
POOL, TEST, OLD, QM9 = 250, 250, 1000, 2000  # rows drawn
ORIGINALS, COPIED, JITTER = 50, 5, 0.05  # of the pool of copies; standard deviations
PROBES = 40  # of the released score: more than its trees have, as in the 300 there
LEAST = 1e-6  # released quality: one rounding error of 1e12 nats makes all others zero
READS = {
    "pm25": (),
    "counts": ("qm9-sample",),
    "scalars": ("qm9-sample", "molecules-mmff94"),
    "molecules": ("molecules-dft", "molecules-mmff94"),
}
NAMES = "experiment", "method", "then", "n"
Table = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]
FILES = {"selection": ["selection.json"]}


@cache
def weather() -> np.ndarray:
    """Load the table of PM2.5."""
    return sd.pm25()


def split(rows: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw candidates and test rows of PM2.5, of different days."""
    days = rows[:, 0] // 24
    drawn = rng.permutation(np.unique(days))
    early = np.isin(days, drawn[: len(drawn) // 2])
    places = rng.permutation(np.flatnonzero(early))[:POOL]
    return rows[places], rows[rng.permutation(np.flatnonzero(~early))[:TEST]]


def years(rng: np.random.Generator) -> Table:
    """Feature shift: what a forest of 2010 and 2011 says is cheap in 2013 and 2014."""
    year = weather()[:, 1]
    old, new = weather()[year <= 2011], weather()[year >= 2013]
    old = old[rng.permutation(len(old))[:OLD]]
    bag = select.forest(old[:, FEATURES], old[:, -1], int(rng.integers(2**31)))
    pool, test = split(new, rng)
    cheap = bag.predict(pool[:, FEATURES])
    return pool[:, FEATURES], cheap, pool[:, -1], (test[:, FEATURES], test[:, -1])


def day_before(rng: np.random.Generator) -> Table:
    """Target transfer: PM2.5 of the same hour, a day before, is cheap."""
    known = dict(weather()[:, [0, -1]])
    rows = weather()[np.isin(weather()[:, 0] - 24, weather()[:, 0])]
    pool, test = split(rows, rng)
    cheap = np.array([known[hour - 24] for hour in pool[:, 0]])
    return pool[:, FEATURES], cheap, pool[:, -1], (test[:, FEATURES], test[:, -1])


FEATURES = [2, *range(4, 13)]  # month, hour and weather


@cache
def qm9(kind: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Describe some of qm9-sample; energies (meV/atom) by method, "" B3LYP.

    Without fluorine, which the network that gives the scalars has not seen.
    """
    pool = [a for a in datasets.load("qm9-sample")["pool"][:QM9] if 9 not in a.numbers]
    student = datasets.checkpoint("molecules-mmff94")
    X = sd.counts(pool) if kind == "counts" else sd.descriptors(student, pool)
    cheap = {k: [a.info[k] for a in pool] for k in ("mmff94", "gfn2_xtb")}
    return X, {k: sd.left_over(pool, v) for k, v in (cheap | {"": None}).items()}


def target(kind: str, cheap: str, rng: np.random.Generator) -> Table:
    """Target transfer: energies of a cheap method choose, B3LYP's are learnt."""
    X, by = qm9(kind)
    a, b = np.split(rng.permutation(len(X))[: POOL + TEST], [POOL])
    return X[a], by[cheap][a], by[""][a], (X[b], by[""][b])


def copies(rng: np.random.Generator) -> Table:
    """Make a pool of which most are near copies of five molecules."""
    X, cheap, y, test = target("scalars", "mmff94", rng)
    places = np.arange(POOL)
    places[ORIGINALS:] = rng.integers(0, COPIED, POOL - ORIGINALS)
    moved = X[places] + JITTER * X.std(0) * rng.normal(size=X.shape)
    near = [v[places] + JITTER * v.std() * rng.normal(size=POOL) for v in (cheap, y)]
    return moved, *near, test


def molecules(rng: np.random.Generator) -> Table:
    """Target transfer, our molecules: MMFF94's energies choose, DFT's are learnt."""
    X, cheap, y = sd.energies("molecules-dft")
    test = sd.held_out("molecules-dft", int(rng.integers(2**31)))
    pool = rng.permutation(np.flatnonzero(~test))[:POOL]
    return X[pool], cheap[pool], y[pool], (X[test], y[test])


def target_of(kind: str, cheap: str) -> Callable[[np.random.Generator], Table]:
    """Make the function that draws a `target`."""
    return lambda rng: target(kind, cheap, rng)


TABLES: dict[str, dict[str, Callable[[np.random.Generator], Table]]] = {
    "pm25": {"PM2.5, other years": years, "PM2.5, day before": day_before},
    "counts": {"QM9 counts, GFN2-xTB": target_of("counts", "gfn2_xtb")},
    "scalars": {
        "QM9 scalars, MMFF94": target_of("scalars", "mmff94"),
        "QM9, near copies": copies,
    },
    "molecules": {"our molecules, MMFF94": molecules},
}


def chosen(
    X: np.ndarray, cheap: np.ndarray, seed: int
) -> Iterator[tuple[str, int, np.ndarray]]:
    """Choose seeds of each size by each method."""
    info = select.informativeness(X, cheap, seed=seed)
    how = dict(seed=seed, variant="released", probes=PROBES)
    released = select.quality(select.informativeness(X, cheap, **how))
    released = np.maximum(released, LEAST)
    for n in SIZES:
        for method in select.METHODS[:4]:
            yield method, n, select.choose(method, X, cheap, n, seed=seed)
        yield "information", n, select.top(info, n)
        good = select.quality(info)
        yield "ATBagging", n, select.diverse(X, n, seed=seed, quality=good)
        how = dict(seed=seed, quality=released, raw=True)
        yield "ATBagging, released", n, select.diverse(X, n, **how)


def race(name: str, make: Callable, repeat: int) -> list[dict]:
    """Choose seeds, then label on; the errors are before and after each round."""
    X, cheap, y, test = make(np.random.default_rng(repeat))
    Z = select.standardised(np.vstack([X, test[0]]))
    Z, test = Z[: len(X)], (Z[len(X) :], test[1])
    rows = []
    for method, n, first in chosen(X, cheap, repeat):
        every = method in ("random", "ATBagging")
        for then in select.ACQUISITIONS if every else ["random"]:
            how = AFTER | dict(seed=repeat, learner=sd.ridges)
            errors, _ = select.learn(Z, y, test, first, then, **how)
            row = dict(experiment=name, method=method, then=then, n=n, repeat=repeat)
            rows.append(row | {"aulc": float(np.mean(errors))})
    return rows


def parts(name: str) -> dict[str, Part]:
    """List `EACH` repeats of the experiments that share descriptors."""
    how = select.COMPONENTS, select.SHRINKAGE, select.LOG_FLOOR, select.FEATURES
    how += select.METHODS, select.ACQUISITIONS, SIZES, AFTER, PROBES, POOL, TEST, OLD
    how += sd.COMPONENTS, sd.TESTED, sd.LENGTHS, sd.RIDGES, sd.MEMBERS
    how += ORIGINALS, COPIED, JITTER, LEAST, QM9, sd.PM25
    return {
        slug(kind, start): Part((kind, [*range(start, start + EACH)]), READS[kind], how)
        for start in range(0, REPEATS, EACH)
        for kind in TABLES
    }


def compute(name: str, task: tuple[str, Sequence[int]]) -> list[dict]:
    """Compute some repeats of the experiments of a kind."""
    kind, repeats = task
    pairs = [(k, table) for k in repeats for table in TABLES[kind].items()]
    return [row for k, (table, make) in pairs for row in race(table, make, k)]


def whole(name: str) -> Part:
    """Tell what decides the table beside its rows."""
    return Part(name, (*dict.fromkeys(a for reads in READS.values() for a in reads),))


def gathered(rows: Sequence[dict], names: Sequence[str], value: str) -> list[dict]:
    """Gather the repeats of each combination of `names` into one row.

    Differences from a random choice: per cent, mean and 95 % interval of each alone.
    """
    found = defaultdict(dict)
    for row in rows:
        key = tuple(row[k] for k in names)
        found[key][row["repeat"]] = float(f"{row[value]:.4g}")
    table = []
    for key, by_repeat in found.items():
        row = dict(zip(names, key, strict=True))
        drawn = row | {k: "random" for k in ("method", "then") if k in row}
        pair = by_repeat, found[tuple(drawn.values())]
        ours, base = (np.array([v[k] for k in sorted(by_repeat)]) for v in pair)
        gap = [100 * v / base.mean() for v in select.paired(ours, base)]
        gap = [round(v, 1) + 0.0 for v in gap]
        table.append(row | {value: ours.tolist(), "difference": gap})
    return table


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> dict:
    """Gather the repeats of each experiment, method and size."""
    about = {"from": sources(whole(name).reads), **words("selection")}
    return about | {"rows": gathered(rows_of(results), NAMES, "aulc")}
