"""How much a candidate informs, by bagging on cheap labels (arXiv 2602.02415).

Only the paper's abstract and its released code could be read; what is ours is said so.
"""

import numpy as np
from sklearn.ensemble import BaggingRegressor
from sklearn.tree import DecisionTreeRegressor

PROBES, COMPONENTS, SHRINKAGE = 300, 10, 0.1
LOG_FLOOR = -15  # the released code leaves out eigenvalues below exp(-15)


def forest(X: np.ndarray, y: np.ndarray, seed: int, trees: int = 100):
    """Bagged trees, a ``BaggingRegressor``, that learnt y (N,) from X (N, d)."""
    return BaggingRegressor(DecisionTreeRegressor(), trees, random_state=seed).fit(X, y)


def informativeness(
    X: np.ndarray, y: np.ndarray, *, seed: int, trees: int = 100, variant="corrected"
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
    bag = forest(X, y, seed, trees)
    rng = np.random.default_rng(seed)
    probes = X[rng.permutation(len(X))[:PROBES]]
    P = np.array([tree.predict(probes) for tree in bag.estimators_])  # (T, probes)
    inside = np.zeros((len(X), trees), bool)
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
