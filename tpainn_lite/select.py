"""Select which candidates to label first: ATBagging and its rivals.

ATBagging (arXiv 2602.02415): bagged trees on *cheap* labels say how much a candidate
informs; a determinantal point process picks candidates that inform and differ. We could
read the abstract and the released code (src/ATBagging.py, commit 3469173).

A determinantal point process (DPP) draws a subset S with probability det(L_S) / Z, L =
B Bᵀ. Row i of B is sqrt(quality_i) times its features (arXiv 1207.6083).
"""

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import stats
from sklearn.cluster import KMeans
from sklearn.ensemble import BaggingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from . import guards
from .guards import checked, count, flag, number, one_of, seed

PROBES, COMPONENTS, SHRINKAGE, FEATURES = 300, 10, 0.1, 1000
LOG_FLOOR = -15  # the released code leaves out eigenvalues below exp(-15)
MOST = 1e30  # of a feature or label: its square is still a float
RANK = 1e-10  # of the largest eigenvalue of a DPP: smaller ones are zero


def _table(value, name: str) -> np.ndarray:
    """Take a table (candidates, features) that is not empty."""
    found = guards.array(None, None, most=MOST)(value, name)
    if not found.size:
        raise guards.refusal(name, "a table (candidates, features), not empty", value)
    return found


MANY, POWER = guards.whole(least=1, most=100_000), number(least=0, most=20)
WHOLE = guards.whole(least=0)
LENGTH = number(least=1e-6, most=1e6)  # a scale, in units of the features
LABELS = guards.array(None, most=MOST)
FIT = dict(X=_table, y=LABELS, seed=seed)
PICK = dict(X=_table, n=count, seed=seed)


def _check(X, n: int) -> None:
    if n > len(X):
        raise ValueError(f"n: needs a number from 1 to {len(X)} candidates, got {n}")


def _check_labels(X, y) -> None:
    if len(y) != len(X):
        raise guards.refusal("X, y", f"a label for each of {len(X)} candidates", y)


@checked(**FIT, n_estimators=MANY)
def forest(X: np.ndarray, y: np.ndarray, seed: int, n_estimators: int = 100):
    """Fit bagged trees, a ``BaggingRegressor``, to y (N,) of X (N, d)."""
    _check_labels(X, y)
    bag = BaggingRegressor(DecisionTreeRegressor(), n_estimators, random_state=seed)
    return bag.fit(X, y)


VARIANT = one_of("corrected", "released")


@checked(**FIT, n_estimators=MANY, variant=VARIANT, probes=MANY)
def informativeness(
    X, y, *, seed: int, n_estimators=100, variant="corrected", probes=PROBES
) -> np.ndarray:
    """Score how far each candidate's presence moves the predictions, (N,) nats.

    The score is the Kullback-Leibler divergence of two Gaussians: predictions, at probe
    points, of trees that saw candidate i and of trees that did not.

    "corrected" (ours): in the leading `COMPONENTS` principal components of the trees'
    predictions, covariances shrunk by `SHRINKAGE` towards the sphere of all trees,
    since those of 37 trees at 300 probes have no inverse. "released": the authors'
    code. It draws the samples again, in one stream, but scikit-learn has drawn each
    tree's from a seed of its own, so its groups are not the trees that saw i or not;
    it has pseudo-inverses, and the log-determinants with each other's sign.
    """
    bag, rng = forest(X, y, seed, n_estimators), np.random.default_rng(seed)
    if variant == "released":
        again, drawn = np.random.RandomState(seed), rng.choice(len(X), probes)
        samples = [again.randint(0, len(X), len(X)) for _ in bag.estimators_]
    else:
        samples, drawn = bag.estimators_samples_, rng.permutation(len(X))[:probes]
    P = np.array([tree.predict(X[drawn]) for tree in bag.estimators_])  # (T, probes)
    inside = np.zeros((len(X), n_estimators), bool)
    for t, rows in enumerate(samples):
        inside[rows, t] = True
    enough = np.minimum(inside.sum(1), (~inside).sum(1)) >= 2
    scores = np.zeros(len(X))
    scores[enough] = _divergences(P, inside[enough], variant)
    return scores


def _divergences(P: np.ndarray, inside: np.ndarray, variant: str) -> np.ndarray:
    """Score (N,) predictions P (T, probes) of trees `inside` (N, T) against others."""
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
    values = np.abs(np.linalg.eigvalsh(S))
    logs = np.log(values[values > 0])
    return float(logs[logs > LOG_FLOOR].sum())


@checked(X=_table)
def standardised(X: np.ndarray) -> np.ndarray:
    """Give X (N, d) mean 0 and spread 1 in each column; constant columns are zero."""
    return StandardScaler().fit_transform(X)


@checked(X=_table, n_features=MANY, length_scale=LENGTH, seed=seed)
def fourier_features(X, n_features: int, length_scale: float, seed: int) -> np.ndarray:
    """Draw random Fourier features (N, R) of X (N, d): Rahimi & Recht, NeurIPS 2007.

    Their inner products tend to exp(-|x - x'|² / (2 length_scale²)).
    """
    rng = np.random.default_rng(seed)
    W = rng.normal(0, 1 / length_scale, (n_features, X.shape[1]))
    b = rng.uniform(0, 2 * np.pi, n_features)
    return np.sqrt(2 / n_features) * np.cos(X @ W.T + b)


@checked(features=_table, quality=guards.optional(LABELS))
def weighted(features: np.ndarray, quality: np.ndarray | None) -> np.ndarray:
    """Multiply features (N, R) by the square root of qualities (N,)."""
    if quality is None:
        return features
    if len(quality) != len(features) or (quality < 0).any():
        needs = f"{len(features)} numbers, none negative"
        raise guards.refusal("quality", needs, quality)
    return features * np.sqrt(quality)[:, None]


@checked(B=_table, n=count, seed=seed)
def draw_dpp(B: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Draw (n,) indices, exactly, from the k-DPP with L = B Bᵀ and k = n.

    Eigenvectors are drawn by elementary symmetric polynomials, points one by one from
    the projection on them; in the dual if N > R, so that nothing is (N, N).
    """
    rng = np.random.default_rng(seed)
    dual = len(B) > B.shape[1]
    values, vectors = np.linalg.eigh(B.T @ B if dual else B @ B.T)
    keep = values > RANK * max(values[-1], 0)
    _check_rank(n, int(keep.sum()), len(B))
    values, vectors = values[keep], vectors[:, keep]
    logs, k, chosen = np.log(values), n, []
    E = _log_polynomials(logs, n)
    for m in range(len(logs), 0, -1):  # a set weighs the product of its eigenvalues
        if k and np.log(rng.uniform()) < logs[m - 1] + E[k - 1, m - 1] - E[k, m]:
            chosen.append(m - 1)
            k -= 1
    V = vectors[:, chosen]  # (N, n), orthonormal
    if dual:
        V = B @ (V / np.sqrt(values[chosen]))
    left, directions, points = (V**2).sum(1), np.empty((0, n)), []
    for _ in range(n):
        weights = np.clip(left, 0, None)
        weights[points] = 0
        i = int(rng.choice(len(V), p=weights / weights.sum()))
        points.append(i)
        c = V[i] - directions.T @ (directions @ V[i])
        c /= np.linalg.norm(c)
        directions = np.vstack([directions, c])
        left = left - (V @ c) ** 2
    return np.array(points)


def _log_polynomials(logs: np.ndarray, n: int) -> np.ndarray:
    """Return log e_k(first m values), (n + 1, M + 1): symmetric polynomials."""
    E = np.full((n + 1, len(logs) + 1), -np.inf)
    E[0] = 0.0
    for m, value in enumerate(logs, 1):
        E[1:, m] = np.logaddexp(E[1:, m - 1], value + E[:-1, m - 1])
    return E


@checked(B=_table, n=count)
def greedy_dpp(B: np.ndarray, n: int) -> np.ndarray:
    """Choose n times the point that raises det(L_S) the most (arXiv 1709.05135)."""
    gain = (B**2).sum(1)  # (N,)
    floor = RANK * gain.max(initial=0)
    rows, points = np.empty((0, len(B))), []
    for _ in range(min(n, len(B))):
        i = int((gain > gain.max() * (1 - 1e-9)).argmax())  # the first of equals
        if not gain[i] > floor:
            break
        row = (B @ B[i] - rows[:, i] @ rows) / np.sqrt(gain[i])
        rows, gain = np.vstack([rows, row]), gain - row**2
        gain[i] = -np.inf  # taken
        points.append(i)
    _check_rank(n, len(points), len(B))
    return np.array(points)


def _check_rank(n: int, rank: int, candidates: int) -> None:
    if n > rank:
        raise ValueError(
            f"n: needs a number from 1 to {rank}, got {n}: of the {candidates} "
            "candidates no more differ from each other and have a quality above zero"
        )


@checked(**PICK, power=POWER, length_scale=LENGTH, deterministic=flag, variant=VARIANT)
def atbagging(
    X, y, n, *, seed, power=2, length_scale=2, deterministic=False, variant="corrected"
) -> np.ndarray:
    """Choose n candidates of X (N, d): informative on the cheap y (N,), and diverse.

    Defaults are the released code's. "released" takes its score and X as it is; it
    chooses the same candidates if `deterministic`, else draws n of the same process.
    """
    good = quality(informativeness(X, y, seed=seed, variant=variant), power)
    how = dict(length_scale=length_scale, deterministic=deterministic)
    return diverse(X, n, seed=seed, quality=good, raw=variant == "released", **how)


@checked(scores=LABELS, power=POWER)
def quality(scores: np.ndarray, power: float = 2.0) -> np.ndarray | None:
    """Return (scores - smallest)^power, at most 1; None if all scores are equal."""
    good = (scores - scores.min()) ** power
    return good / good.max() if good.max() > 0 else None


@checked(**PICK, length_scale=LENGTH, deterministic=flag, raw=flag)
def diverse(
    X, n, *, seed, quality=None, length_scale=2.0, deterministic=False, raw=False
) -> np.ndarray:
    """Choose candidates (n,) by a k-DPP; `quality` (N,), e.g. a committee's spread.

    The kernel is Gaussian with `length_scale` in units of the standardised features, of
    the features if `raw`. `deterministic` takes the greedy maximum in place of a draw.
    """
    size = max(2 * FEATURES if raw else FEATURES, 2 * n)  # 2,000: the released code's
    Z = fourier_features(X if raw else standardised(X), size, length_scale, seed)
    B = weighted(Z, quality)
    return greedy_dpp(B, n) if deterministic else draw_dpp(B, n, seed)


@checked(**PICK)
def random(X: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Draw candidates (n,) at random."""
    _check(X, n)
    return np.random.default_rng(seed).permutation(len(X))[:n]


@checked(scores=LABELS, n=count)
def top(scores: np.ndarray, n: int) -> np.ndarray:
    """Choose the largest scores (N,): informative, or a committee's spread."""
    _check(scores, n)
    return np.argsort(-scores, kind="stable")[:n]


@checked(**PICK)
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


@checked(**PICK)
def cluster_centres(X: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Choose of each of `n` k-means clusters the member nearest to its centre."""
    _check(X, n)
    X = standardised(X)
    with warnings.catch_warnings():  # of duplicates
        warnings.simplefilter("ignore", ConvergenceWarning)
        centres = KMeans(n, n_init=1, random_state=seed).fit(X).cluster_centers_
    points = []
    for centre in centres:
        distance = np.linalg.norm(X - centre, axis=1)
        distance[points] = np.inf  # with duplicates two centres may share a member
        points.append(int(distance.argmin()))
    return np.array(points)


_WAYS: dict[str, Callable[..., np.ndarray]] = {
    "random": lambda X, y, n, seed, **_: random(X, n, seed=seed),
    "farthest points": lambda X, y, n, seed, **_: farthest_points(X, n, seed=seed),
    "k-means centres": lambda X, y, n, seed, **_: cluster_centres(X, n, seed=seed),
    "DPP": lambda X, y, n, power, **how: diverse(X, n, **how),
    "information": lambda X, y, n, seed, **_: top(informativeness(X, y, seed=seed), n),
    "ATBagging": atbagging,
    "ATBagging, released": partial(atbagging, variant="released"),
}
METHODS = tuple(_WAYS)


@checked(**PICK, method=one_of(*METHODS), y=guards.optional(LABELS))
@checked(power=POWER, length_scale=LENGTH)
def choose(method, X, y, n, *, seed, power=2.0, length_scale=2.0) -> np.ndarray:
    """Choose candidates (n,) by one of `METHODS`; each uses what it needs."""
    return _WAYS[method](X, y, n, seed=seed, power=power, length_scale=length_scale)


ACQUISITIONS = ("random", "committee", "DPP of the committee")
WAY = one_of(*ACQUISITIONS)
COMMITTEE = guards.made("fitted, with estimators_", lambda b: hasattr(b, "estimators_"))


@checked(bag=COMMITTEE, X=_table)
def spread(bag, X: np.ndarray) -> np.ndarray:
    """Return the standard deviation of a committee's predictions, (N,), in y's unit."""
    return np.std([tree.predict(X) for tree in bag.estimators_], axis=0)


@checked(**PICK, way=WAY, bag=COMMITTEE)
def acquire(way: str, bag, X: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Choose candidates (n,) of X to label next, by one of `ACQUISITIONS`."""
    if way == "random":
        return random(X, n, seed=seed)
    apart = spread(bag, X)
    if way == "committee":
        return top(apart, n)
    return diverse(X, n, seed=seed, quality=apart if apart.any() else None)


@checked(**FIT, first=guards.several(WHOLE), way=WAY, rounds=WHOLE, batch=count)
@checked(learner=guards.function)
def learn(
    X, y, test, first, way: str, *, rounds: int, batch: int, seed: int, learner=forest
) -> tuple[list[float], np.ndarray]:
    """Label the candidates `first`, then `batch` more a round, by `way`.

    ``learner(X, y, seed)`` fits a committee, as `forest` does. Return the MAE on `test`
    (X, y) at the start and after each round, and the indices in the order labelled.
    """
    _check_labels(X, y)
    known, errors = [*first], []
    if max(known) >= len(X) or len(known) + rounds * batch > len(X):
        needs = f"at most {len(X)} candidates in all"
        raise guards.refusal("first, rounds, batch", needs, (known, rounds, batch))
    if not isinstance(test, tuple | list) or len(test) != 2:
        raise guards.refusal("test", "features and labels: (X, y)", test)
    test = _table(test[0], "test[0]"), LABELS(test[1], "test[1]")
    _check_labels(*test)
    for k in range(rounds + 1):
        bag = learner(X[known], y[known], seed)
        errors.append(float(np.abs(bag.predict(test[0]) - test[1]).mean()))
        if k < rounds:
            rest = np.setdiff1d(np.arange(len(X)), known)
            known += rest[acquire(way, bag, X[rest], batch, seed + k)].tolist()
    return errors, np.array(known)


@checked(ours=LABELS, theirs=LABELS, comparisons=MANY)
def paired(ours, theirs, comparisons: int = 1) -> tuple[float, float, float]:
    """Return the mean of ours - theirs (repeats,), and its 95 % confidence interval.

    By Student's t. `comparisons`: Bonferroni's correction for so many intervals.
    """
    if len(ours) != len(theirs) or len(ours) < 2:
        raise ValueError("ours, theirs: need the same repeats, and two or more")
    gaps = ours - theirs
    half = stats.sem(gaps) * stats.t.ppf(1 - 0.025 / comparisons, len(gaps) - 1)
    return float(gaps.mean()), float(gaps.mean() - half), float(gaps.mean() + half)
