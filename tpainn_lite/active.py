"""Active learning on a table: a committee of trees says what to label next.

The forest is the learner and, by how far its trees part, the committee. ATBagging's
authors (released code, June 2026) draw the next labels from a DPP whose quality is that
spread; query-by-committee takes the largest.
"""

import numpy as np
from scipy import stats
from sklearn.ensemble import BaggingRegressor

from . import select
from .bagging import forest

ACQUISITIONS = ("random", "committee", "DPP of the committee")


def spread(bag: BaggingRegressor, X: np.ndarray) -> np.ndarray:
    """Standard deviation of the trees' predictions, (N,), in the unit of y."""
    return np.std([tree.predict(X) for tree in bag.estimators_], axis=0)


def acquire(
    way: str, bag: BaggingRegressor, X: np.ndarray, n: int, seed: int
) -> np.ndarray:
    """Indices (n,) of the candidates X to label next, by one of `ACQUISITIONS`."""
    if way not in ACQUISITIONS:
        raise ValueError(f"way: needs one of {ACQUISITIONS}, got {way!r}")
    if way == "random":
        return select.random(X, n, seed=seed)
    apart = spread(bag, X)
    if way == "committee":
        return select.top(apart, n)
    quality = apart / apart.max() if apart.max() > 0 else None
    return select.diverse(X, n, seed=seed, quality=quality)


def learn(
    X: np.ndarray,
    y: np.ndarray,
    test: tuple[np.ndarray, np.ndarray],
    first: np.ndarray,
    way: str,
    *,
    rounds: int,
    batch: int,
    seed: int,
) -> tuple[list[float], np.ndarray]:
    """Label `first`, then `batch` more a round, by `way`.

    Returns the mean absolute error on `test` (X, y) at the start and after each round,
    and the indices that were labelled, in order.
    """
    known, errors = [int(k) for k in first], []
    for k in range(rounds + 1):
        bag = forest(X[known], y[known], seed)
        errors.append(float(np.abs(bag.predict(test[0]) - test[1]).mean()))
        if k < rounds:
            rest = np.setdiff1d(np.arange(len(X)), known)
            known += rest[acquire(way, bag, X[rest], batch, seed + k)].tolist()
    return errors, np.array(known)


def paired(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """Mean of ours - theirs over repeats, and its 95 % confidence interval.

    Student's t of the differences, repeat by repeat (repeats,): where the interval does
    not hold zero, the two differ.
    """
    gaps = np.asarray(ours, float) - np.asarray(theirs, float)
    if gaps.ndim != 1 or len(gaps) < 2:
        raise ValueError(f"ours, theirs: need two repeats or more, got {gaps.shape}")
    half = stats.sem(gaps) * stats.t.ppf(0.975, len(gaps) - 1)
    return float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half)
