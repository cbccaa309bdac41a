"""Select which candidates to label first: ATBagging and its rivals.

ATBagging (arXiv 2602.02415): a bagged regressor on *cheap* labels says how much each
candidate informs; a determinantal point process then picks candidates that inform and
differ. Only the abstract and the released code could be read.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.ensemble import BaggingRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from . import dpp

PROBES, COMPONENTS, SHRINKAGE, FEATURES = 300, 10, 0.1, 1000
LOG_FLOOR = -15  # the released code leaves out eigenvalues below exp(-15)


def forest(X: np.ndarray, y: np.ndarray, seed: int, n_estimators: int = 100):
    """Fit bagged trees, a ``BaggingRegressor``, to y (N,) of X (N, d)."""
    bag = BaggingRegressor(DecisionTreeRegressor(), n_estimators, random_state=seed)
    return bag.fit(X, y)


def informativeness(
    X: np.ndarray, y: np.ndarray, *, seed: int, n_estimators=100, variant="corrected"
) -> np.ndarray:
    """Score how far each candidate's presence moves the predictions, (N,) nats.

    The score is the Kullback-Leibler divergence of two Gaussians: predictions, at probe
    points, of trees that saw candidate i and of trees that did not.

    "corrected" (ours): in the leading `COMPONENTS` principal components of the trees'
    predictions, covariances shrunk by `SHRINKAGE` towards the sphere of all trees,
    since those of 37 trees at 300 probes have no inverse. "released": the authors'
    code, with pseudo-inverses, and with the log-determinants' sign turned.
    """
    X, y = np.asarray(X, float), np.asarray(y, float)
    if y.shape != (len(X),) or not np.isfinite(y).all():
        found = f"shape {y.shape} with {np.isfinite(y).sum()} finite ones"
        raise ValueError(f"y: needs {len(X)} finite cheap labels, got {found}")
    if variant not in ("corrected", "released"):
        raise ValueError(f"variant: needs 'corrected' or 'released', got {variant!r}")
    bag = forest(X, y, seed, n_estimators)
    probes = X[np.random.default_rng(seed).permutation(len(X))[:PROBES]]
    P = np.array([tree.predict(probes) for tree in bag.estimators_])  # (T, probes)
    inside = np.zeros((len(X), n_estimators), bool)
    for t, drawn in enumerate(bag.estimators_samples_):
        inside[drawn, t] = True
    enough = np.minimum(inside.sum(1), (~inside).sum(1)) >= 2
    scores = np.zeros(len(X))
    scores[enough] = divergences(P, inside[enough], variant)
    return scores


def divergences(P: np.ndarray, inside: np.ndarray, variant: str) -> np.ndarray:
    """Score (N,) predictions P (T, probes) of trees `inside` (N, T) against the rest.

    For the variants see `informativeness`.
    """
    corrected, eye = variant == "corrected", np.eye(P.shape[1])
    if corrected:
        P = P - P.mean(0)
        _, sizes, axes = np.linalg.svd(P, full_matrices=False)
        rank = min(COMPONENTS, int((sizes > 1e-10 * max(sizes[0], 1e-300)).sum()))
        if rank == 0:  # every tree says the same
            return np.zeros(len(inside))
        P, eye = P @ axes[:rank].T, np.eye(rank)
        sphere = (P**2).sum() / (len(P) - 1) / rank * eye  # it never vanishes
    scores = []
    for row in inside:
        parts = P[row], P[~row]
        S, T = (np.cov(p.T, ddof=1).reshape(eye.shape) for p in parts)
        d = parts[1].mean(0) - parts[0].mean(0)
        if corrected:
            S, T = ((1 - SHRINKAGE) * C + SHRINKAGE * sphere for C in (S, T))
            inverse, logs = np.linalg.inv(T), np.linalg.slogdet([T, S])[1]
        else:
            S, T = S + 1e-12 * eye, T + 1e-12 * eye
            inverse = np.linalg.pinv(T, hermitian=True)
            logs = [_pseudo_logdet(C) for C in (S, T)]
        score = np.trace(inverse @ S) + d @ inverse @ d - len(d)
        scores.append((score + logs[0] - logs[1]) / 2)
    return np.array(scores)


def _pseudo_logdet(S: np.ndarray) -> float:
    values = np.linalg.eigvalsh(S)
    logs = np.log(values[values > 0])
    return float(logs[logs > LOG_FLOOR].sum())


def standardised(X: np.ndarray) -> np.ndarray:
    """Give X (N, d) mean 0 and spread 1 in each column; constant columns are zero."""
    X = np.asarray(X, float)
    if X.ndim != 2 or not len(X) or not np.isfinite(X).all():
        raise ValueError(
            "X: needs a table (candidates, features) of finite numbers, got shape "
            f"{X.shape} with {np.isfinite(X).sum()} finite ones"
        )
    return StandardScaler().fit_transform(X)


def atbagging(
    X, y, n, *, seed, power=2.0, length_scale=2.0, n_estimators=100, deterministic=False
) -> np.ndarray:
    """Choose n candidates of X (N, d): informative on the cheap y (N,), and diverse.

    Quality is (KL - min KL)^power; the kernel is Gaussian with `length_scale` in units
    of the standardised features. `deterministic` takes the greedy maximum instead of a
    draw. Defaults are the released code's but for 1,000 features (2,000 there).
    """
    scores = informativeness(X, y, seed=seed, n_estimators=n_estimators)
    how = dict(length_scale=length_scale, deterministic=deterministic)
    quality = _relative((scores - scores.min()) ** power)
    return diverse(X, n, seed=seed, quality=quality, **how)


def _relative(scores: np.ndarray) -> np.ndarray | None:
    """Divide scores, none negative, by their largest; None where all are zero."""
    return scores / scores.max() if scores.max() > 0 else None


def diverse(
    X, n: int, *, seed: int, quality=None, length_scale=2.0, deterministic=False
) -> np.ndarray:
    """Choose candidates (n,) by a k-DPP; `quality` (N,), e.g. a committee's spread."""
    features = dpp.fourier_features(standardised(X), FEATURES, length_scale, seed)
    B = dpp.weighted(features, quality)
    return dpp.greedy(B, n) if deterministic else dpp.sample(B, n, seed)


_WAYS: dict[str, Callable[..., np.ndarray]] = {
    "random": lambda X, y, n, seed, **_: random(X, n, seed=seed),
    "farthest points": lambda X, y, n, seed, **_: farthest_points(X, n, seed=seed),
    "k-means centres": lambda X, y, n, seed, **_: cluster_centres(X, n, seed=seed),
    "DPP": lambda X, y, n, power, **how: diverse(X, n, **how),
    "information": lambda X, y, n, seed, **_: top(informativeness(X, y, seed=seed), n),
    "ATBagging": atbagging,
    "ATBagging, greedy": partial(atbagging, deterministic=True),
}
METHODS = tuple(_WAYS)


def choose(
    method: str, X, y, n: int, *, seed: int, power=2.0, length_scale=2.0
) -> np.ndarray:
    """Choose candidates (n,) by one of `METHODS`; each uses what it needs."""
    if method not in METHODS:
        raise ValueError(f"method: needs one of {METHODS}, got {method!r}")
    return _WAYS[method](X, y, n, seed=seed, power=power, length_scale=length_scale)


def random(X: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Draw candidates (n,) at random."""
    _check(X, n)
    return np.random.default_rng(seed).permutation(len(X))[:n]


def top(scores: np.ndarray, n: int) -> np.ndarray:
    """Choose the largest scores (N,): informative, or a committee's spread."""
    _check(scores, n)
    return np.argsort(-np.asarray(scores, float), kind="stable")[:n]


def farthest_points(X: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Choose candidates (n,), each the farthest from those before; draw the first."""
    _check(X, n)
    X = standardised(X)
    points = [int(np.random.default_rng(seed).integers(len(X)))]
    nearest = np.full(len(X), np.inf)
    while len(points) < n:
        nearest = np.minimum(nearest, np.linalg.norm(X - X[points[-1]], axis=1))
        nearest[points] = -1
        points.append(int(nearest.argmax()))
    return np.array(points)


def cluster_centres(X: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Choose of each of `n` k-means clusters the member nearest to its centre."""
    _check(X, n)
    X = standardised(X)
    centres = KMeans(n, n_init=1, random_state=seed).fit(X).cluster_centers_
    points: list[int] = []
    for centre in centres:
        distance = np.linalg.norm(X - centre, axis=1)
        distance[points] = np.inf  # with duplicates two centres may share a member
        points.append(int(distance.argmin()))
    return np.array(points)


def _check(X, n: int) -> None:
    if not 1 <= n <= len(X):
        raise ValueError(f"n: needs a number from 1 to {len(X)} candidates, got {n}")


ACQUISITIONS = ("random", "committee", "DPP of the committee")


def spread(bag: BaggingRegressor, X: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the trees' predictions, (N,), in y's unit."""
    return np.std([tree.predict(X) for tree in bag.estimators_], axis=0)


def acquire(
    way: str, bag: BaggingRegressor, X: np.ndarray, n: int, seed: int
) -> np.ndarray:
    """Choose candidates (n,) of X to label next, by one of `ACQUISITIONS`."""
    if way not in ACQUISITIONS:
        raise ValueError(f"way: needs one of {ACQUISITIONS}, got {way!r}")
    if way == "random":
        return random(X, n, seed=seed)
    apart = spread(bag, X)
    if way == "committee":
        return top(apart, n)
    return diverse(X, n, seed=seed, quality=_relative(apart))


def learn(
    X, y, test, first, way: str, *, rounds: int, batch: int, seed: int
) -> tuple[list[float], np.ndarray]:
    """Label the candidates `first`, then `batch` more a round, by `way`.

    Return the mean absolute error on `test` (X, y) at the start and after each round,
    and the indices in the order of labelling.
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
    """Return the mean of ours - theirs (repeats,), and its 95 % confidence interval.

    By Student's t: where the interval does not hold zero, the two differ.
    """
    gaps = np.asarray(ours, float) - np.asarray(theirs, float)
    if gaps.ndim != 1 or len(gaps) < 2:
        raise ValueError(f"ours, theirs: need two repeats or more, got {gaps.shape}")
    half = stats.sem(gaps) * stats.t.ppf(0.975, len(gaps) - 1)
    return float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half)
