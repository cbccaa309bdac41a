"""Draw subsets that are good and unlike each other: determinantal point processes.

An L-ensemble gives a subset S the probability det(L_S) / Z with L = B Bᵀ, where row i
of B (N, R) is sqrt(quality_i) times features of candidate i. Memory is linear in N.
Kulesza & Taskar, Found. Trends Mach. Learn. 5, 123 (2012), arXiv 1207.6083.
"""

import numpy as np

from .guards import array, checked, count, number, optional, refusal, seed, whole

TABLE = array(None, None)
LENGTH = number(least=1e-6, most=1e6)  # a scale, in units of the features
RANK = 1e-10  # of the largest eigenvalue: smaller ones are zero


@checked(X=TABLE, n_features=whole(1, 100_000), length_scale=LENGTH, seed=seed)
def fourier_features(
    X: np.ndarray, n_features: int, length_scale: float, seed: int
) -> np.ndarray:
    """Draw random Fourier features (N, R) of X (N, d).

    Their inner products tend to exp(-|x - x'|² / (2 length_scale²)): Rahimi & Recht,
    NeurIPS 2007.
    """
    rng = np.random.default_rng(seed)
    W = rng.normal(0, 1 / length_scale, (X.shape[1], n_features))
    b = rng.uniform(0, 2 * np.pi, n_features)
    return np.sqrt(2 / n_features) * np.cos(X @ W + b)


@checked(features=TABLE, quality=optional(array(None)))
def weighted(features: np.ndarray, quality: np.ndarray | None) -> np.ndarray:
    """Multiply features (N, R) by the square root of qualities (N,)."""
    if quality is None:
        return features
    if len(quality) != len(features) or (quality < 0).any():
        raise refusal("quality", f"{len(features)} numbers, none negative", quality)
    return features * np.sqrt(quality)[:, None]


@checked(B=TABLE, n=count, seed=seed)
def sample(B: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Draw (n,) indices, exactly, from the k-DPP with L = B Bᵀ and k = n.

    Eigenvectors are drawn by elementary symmetric polynomials, points one by one from
    the projection on them; in the dual, so that nothing is (N, N).
    """
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(B.T @ B)  # (R,), (R, R)
    keep = values > RANK * max(values[-1], 0)
    _check_rank(n, int(keep.sum()), len(B))
    values, vectors = values[keep], vectors[:, keep]
    logs, k, chosen = np.log(values), n, []
    E = _log_polynomials(logs, n)
    for m in range(len(logs), 0, -1):  # a set weighs the product of its eigenvalues
        if k and np.log(rng.uniform()) < logs[m - 1] + E[k - 1, m - 1] - E[k, m]:
            chosen.append(m - 1)
            k -= 1
    V = B @ (vectors[:, chosen] / np.sqrt(values[chosen]))  # (N, n), orthonormal
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


@checked(B=TABLE, n=count)
def greedy(B: np.ndarray, n: int) -> np.ndarray:
    """Choose at each of n steps the point that raises det(L_S) the most.

    Chen, Zhang & Zhou, NeurIPS 2018, arXiv 1709.05135 (incremental Cholesky).
    """
    gain = (B**2).sum(1)  # (N,)
    floor = RANK * gain.max(initial=0)
    rows, points = np.empty((0, len(B))), []
    for _ in range(min(n, len(B))):
        i = int(gain.argmax())
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
            f"n: needs a number from 1 to {rank}, got {n}: no more of the {candidates} "
            "rows of B differ from each other and have a quality above zero"
        )
