"""Select which candidates to label first: ATBagging and its rivals.

ATBagging (arXiv 2602.02415): a bagged regressor on *cheap* labels says how much each
candidate informs; a determinantal point process then picks candidates that inform and
differ. Only the abstract and the released code could be read.
"""

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
    score = _corrected if variant == "corrected" else _released
    scores[enough] = score(P, inside[enough])
    return scores


def _corrected(P: np.ndarray, inside: np.ndarray) -> np.ndarray:
    centred = P - P.mean(0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    rank = min(COMPONENTS, int((sizes > 1e-10 * max(sizes[0], 1e-300)).sum()))
    if rank == 0:  # every tree says the same
        return np.zeros(len(inside))
    Q = centred @ axes[:rank].T  # (T, r)
    (mean_in, S_in), (mean_out, S_out) = _moments(Q, inside), _moments(Q, ~inside)
    inverse, d = np.linalg.inv(S_out), mean_in - mean_out
    trace = np.einsum("nij,nji->n", inverse, S_in)
    distance = np.einsum("ni,nij,nj->n", d, inverse, d)
    determinants = np.linalg.slogdet(S_out)[1] - np.linalg.slogdet(S_in)[1]
    return (trace + distance - rank + determinants) / 2


def _moments(Q: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return means (N, r) and shrunk covariances (N, r, r) of the trees `which`."""
    r, count = Q.shape[1], which.sum(1)[:, None]  # (N, 1)
    mean = which @ Q / count
    squares = (Q[:, :, None] * Q[:, None]).reshape(len(Q), -1)
    S = (which @ squares).reshape(-1, r, r)
    S = S - count[..., None] * mean[:, :, None] * mean[:, None]
    S = S / (count[..., None] - 1)
    sphere = (Q**2).sum() / (len(Q) - 1) / r  # of all trees: it never vanishes
    return mean, (1 - SHRINKAGE) * S + SHRINKAGE * sphere * np.eye(r)


def _released(P: np.ndarray, inside: np.ndarray) -> np.ndarray:
    scores = []
    for row in inside:
        parts = P[row], P[~row]
        S, T = (np.cov(p.T, ddof=1) + 1e-12 * np.eye(P.shape[1]) for p in parts)
        inverse = np.linalg.pinv(T, hermitian=True)
        d = parts[1].mean(0) - parts[0].mean(0)
        score = np.trace(inverse @ S) + d @ inverse @ d - len(d)
        scores.append((score + _pseudo_logdet(S) - _pseudo_logdet(T)) / 2)
    return np.array(scores)


def _pseudo_logdet(S: np.ndarray) -> float:
    values = np.linalg.eigvalsh(S)
    logs = np.log(values[values > 0])
    return float(logs[logs > LOG_FLOOR].sum())


def standardised(X: np.ndarray) -> np.ndarray:
    """Give X (N, d) mean 0 and spread 1 in each column; constant columns are zero."""
    X = np.asarray(X, float)
    if X.ndim != 2 or not len(X) or not np.isfinite(X).all():
        needed = "needs a table (candidates, features) of finite numbers"
        found = f"shape {X.shape} with {np.isfinite(X).sum()} finite ones"
        raise ValueError(f"X: {needed}, got {found}")
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
    quality = (scores - scores.min()) ** power
    quality = quality / quality.max() if quality.max() > 0 else None
    how = dict(length_scale=length_scale, deterministic=deterministic)
    return diverse(X, n, seed=seed, quality=quality, **how)


def diverse(
    X, n: int, *, seed: int, quality=None, length_scale=2.0, deterministic=False
) -> np.ndarray:
    """Choose candidates (n,) by a k-DPP; `quality` (N,), e.g. a committee's spread."""
    features = dpp.fourier_features(standardised(X), FEATURES, length_scale, seed)
    B = dpp.weighted(features, quality)
    return dpp.greedy(B, n) if deterministic else dpp.sample(B, n, seed)


METHODS = (
    "random",
    "farthest points",
    "k-means centres",
    "DPP",
    "information",
    "ATBagging",
    "ATBagging, greedy",
)


def choose(
    method: str, X, y, n: int, *, seed: int, power=2.0, length_scale=2.0
) -> np.ndarray:
    """Choose candidates (n,) by one of `METHODS`; each uses what it needs."""
    if method not in METHODS:
        raise ValueError(f"method: needs one of {METHODS}, got {method!r}")
    how = dict(seed=seed, length_scale=length_scale)
    if method == "random":
        return random(X, n, seed=seed)
    if method == "farthest points":
        return farthest_points(X, n, seed=seed)
    if method == "k-means centres":
        return cluster_centres(X, n, seed=seed)
    if method == "DPP":
        return diverse(X, n, **how)
    if method == "information":
        return top(informativeness(X, y, seed=seed), n)
    greedy = method.endswith("greedy")
    return atbagging(X, y, n, power=power, deterministic=greedy, **how)


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
    nearest = np.linalg.norm(X - X[points[0]], axis=1)
    while len(points) < n:
        nearest[points] = -1
        points.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(X - X[points[-1]], axis=1))
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
    quality = apart / apart.max() if apart.max() > 0 else None
    return diverse(X, n, seed=seed, quality=quality)


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
