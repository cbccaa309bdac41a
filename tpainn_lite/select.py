"""Which candidates to label first: ATBagging and its rivals, one signature for all.

ATBagging (arXiv 2602.02415): a bagged regressor on *cheap* labels says how much each
candidate informs; a determinantal point process then picks candidates that inform and
differ. Only the abstract and the released code could be read; what is ours is said so.
"""

import numpy as np
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.ensemble import BaggingRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from . import dpp

PROBES, COMPONENTS, SHRINKAGE = 300, 10, 0.1
LOG_FLOOR = -15  # the released code leaves out eigenvalues below exp(-15)


def forest(X: np.ndarray, y: np.ndarray, seed: int, n_estimators: int = 100):
    """Bagged trees, a ``BaggingRegressor``, that learnt y (N,) from X (N, d)."""
    return BaggingRegressor(
        DecisionTreeRegressor(), n_estimators, random_state=seed
    ).fit(X, y)


def informativeness(
    X: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    n_estimators: int = 100,
    variant="corrected",
) -> np.ndarray:
    """How far each candidate's presence moves the predictions, (N,) nats.

    Trees that saw candidate i in their bootstrap sample and trees that did not predict
    at probe points; the score is the Kullback-Leibler divergence KL(in-bag || out-of-
    bag) of Gaussians fitted to both.

    "corrected" (ours): in the leading `COMPONENTS` principal components of the trees'
    predictions, covariances shrunk by `SHRINKAGE` towards the sphere of all trees,
    since those of 37 trees at 300 probes have no inverse. "released": the authors'
    code, with pseudo-inverses, and with the log-determinants' sign turned.
    """
    X, y = np.asarray(X, float), np.asarray(y, float)
    if y.shape != (len(X),) or not np.isfinite(y).all():
        raise ValueError(
            f"y: needs {len(X)} finite cheap labels, got {y.shape}"
            f"{'' if np.isfinite(y).all() else ' with NaN or infinity'}"
        )
    if variant not in ("corrected", "released"):
        raise ValueError(f"variant: needs 'corrected' or 'released', got {variant!r}")
    bag = forest(X, y, seed, n_estimators)
    rng = np.random.default_rng(seed)
    probes = X[rng.permutation(len(X))[:PROBES]]
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
    mean_in, S_in = _moments(Q, inside)
    mean_out, S_out = _moments(Q, ~inside)
    inverse = np.linalg.inv(S_out)
    d = mean_in - mean_out
    trace = np.einsum("nij,nji->n", inverse, S_in)
    distance = np.einsum("ni,nij,nj->n", d, inverse, d)
    determinants = np.linalg.slogdet(S_out)[1] - np.linalg.slogdet(S_in)[1]
    return (trace + distance - rank + determinants) / 2


def _moments(Q: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (N, r) and shrunk covariances (N, r, r) of the trees `which` (N, T)."""
    r, count = Q.shape[1], which.sum(1)[:, None]  # (N, 1)
    mean = which @ Q / count
    second = (which @ (Q[:, :, None] * Q[:, None]).reshape(len(Q), -1)).reshape(
        -1, r, r
    )
    S = (second - count[..., None] * mean[:, :, None] * mean[:, None]) / (
        count[..., None] - 1
    )
    sphere = (Q**2).sum() / (len(Q) - 1) / r  # of all trees: it never vanishes
    return mean, (1 - SHRINKAGE) * S + SHRINKAGE * sphere * np.eye(r)


def _released(P: np.ndarray, inside: np.ndarray) -> np.ndarray:
    scores = []
    for row in inside:
        means, covariances = [], []
        for part in (P[row], P[~row]):
            means.append(part.mean(0))
            covariances.append(np.cov(part.T, ddof=1) + 1e-12 * np.eye(P.shape[1]))
        inverse = np.linalg.pinv(covariances[1], hermitian=True)
        d = means[1] - means[0]
        logs = [_pseudo_logdet(S) for S in covariances]
        trace = np.trace(inverse @ covariances[0])
        scores.append((trace + d @ inverse @ d - len(d) + logs[0] - logs[1]) / 2)
    return np.array(scores)


def _pseudo_logdet(S: np.ndarray) -> float:
    values = np.linalg.eigvalsh(S)
    logs = np.log(values[values > 0])
    return float(logs[logs > LOG_FLOOR].sum())


def standardised(X: np.ndarray) -> np.ndarray:
    """X (N, d) with mean 0 and spread 1 in each column; constant columns are zero."""
    X = np.asarray(X, float)
    if X.ndim != 2 or not len(X) or not np.isfinite(X).all():
        raise ValueError(
            f"X: needs a table (candidates, features) of finite numbers, got shape "
            f"{X.shape}{' with NaN or infinity' if X.size else ''}"
        )
    return StandardScaler().fit_transform(X)


def atbagging(
    X: np.ndarray,
    y: np.ndarray,
    n: int,
    *,
    seed: int,
    power: float = 2.0,
    length_scale: float = 2.0,
    n_features: int = 1000,
    n_estimators: int = 100,
    variant: str = "corrected",
    deterministic: bool = False,
) -> np.ndarray:
    """Indices (n,) of candidates to label: informative on the cheap y, and diverse.

    Quality is (KL - min KL)^power; the kernel is Gaussian with `length_scale` in units
    of the standardised features. `deterministic` takes the greedy maximum instead of a
    draw. Defaults are the released code's but for `n_features` (2000 there).
    """
    scores = informativeness(
        X, y, seed=seed, n_estimators=n_estimators, variant=variant
    )
    quality = (scores - scores.min()) ** power
    if not quality.max() > 0:
        quality = np.ones(len(X))
    return diverse(
        X,
        n,
        seed=seed,
        quality=quality / quality.max(),
        length_scale=length_scale,
        n_features=n_features,
        deterministic=deterministic,
    )


def diverse(
    X: np.ndarray,
    n: int,
    *,
    seed: int,
    quality: np.ndarray | None = None,
    length_scale: float = 2.0,
    n_features: int = 1000,
    deterministic: bool = False,
) -> np.ndarray:
    """Indices (n,) by a k-DPP; `quality` (N,), e.g. the spread of a committee."""
    features = dpp.fourier_features(standardised(X), n_features, length_scale, seed)
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
    method: str,
    X: np.ndarray,
    y: np.ndarray,
    n: int,
    *,
    seed: int,
    power: float = 2.0,
    length_scale: float = 2.0,
) -> np.ndarray:
    """Indices (n,) by one of `METHODS`; each takes of the arguments what it needs.

    "DPP" is diverse only, "information" informative only.
    """
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
    if method in METHODS:
        greedy = method.endswith("greedy")
        return atbagging(X, y, n, power=power, deterministic=greedy, **how)
    raise ValueError(f"method: needs one of {METHODS}, got {method!r}")


def random(X: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Indices (n,) of candidates drawn at random."""
    _check(X, n)
    return np.random.default_rng(seed).permutation(len(X))[:n]


def top(scores: np.ndarray, n: int) -> np.ndarray:
    """Indices (n,) of the largest scores (N,): informative, or a committee's spread."""
    _check(scores, n)
    return np.argsort(-np.asarray(scores, float), kind="stable")[:n]


def farthest_points(X: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Indices (n,): each the farthest from those before; the first at random."""
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
    """Indices (n,): of each of `n` k-means clusters the member nearest its centre."""
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
    """Standard deviation of the trees' predictions, (N,), in the unit of y."""
    return np.std([tree.predict(X) for tree in bag.estimators_], axis=0)


def acquire(
    way: str, bag: BaggingRegressor, X: np.ndarray, n: int, seed: int
) -> np.ndarray:
    """Indices (n,) of the candidates X to label next, by one of `ACQUISITIONS`."""
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
