"""Which candidates to label first: ATBagging and its rivals, one signature for all.

ATBagging (arXiv 2602.02415): a bagged regressor on *cheap* labels says how much each
candidate informs; a determinantal point process then picks candidates that inform and
differ. Only the abstract and the released code could be read; what is ours is said so.
"""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from . import dpp
from .bagging import informativeness


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
    trees: int = 100,
    variant: str = "corrected",
    deterministic: bool = False,
) -> np.ndarray:
    """Indices (n,) of candidates to label: informative on the cheap y, and diverse.

    Quality is (KL - min KL)^power; the kernel is Gaussian with `length_scale` in units
    of the standardised features. `deterministic` takes the greedy maximum instead of a
    draw. Defaults are the released code's but for `n_features` (2000 there).
    """
    scores = informativeness(X, y, seed=seed, trees=trees, variant=variant)
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
