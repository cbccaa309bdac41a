"""Determinantal point processes against enumeration and closed forms."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chisquare

from tpainn_lite import select


def determinants(B, k):
    L = B @ B.T
    sets = list(combinations(range(len(B)), k))
    return sets, np.array([np.linalg.det(L[np.ix_(s, s)]) for s in sets])


@pytest.mark.parametrize("k", [2, 3])
def test_sets_come_as_often_as_their_determinants(rng, k):
    B = rng.normal(size=(6, 4)) * np.array([3, 1, 1, 0.5, 2, 1])[:, None]
    sets, weights = determinants(B, k)
    draws = 6000
    counts = dict.fromkeys(sets, 0)
    for seed in range(draws):
        counts[tuple(sorted(select.draw_dpp(B, k, seed).tolist()))] += 1
    expected = draws * weights / weights.sum()
    rare = expected < 5
    observed = np.array(list(counts.values()))
    observed = np.append(observed[~rare], observed[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum())
    seen = expected > 0
    assert chisquare(observed[seen], expected[seen]).pvalue > 1e-3


def test_polynomials_are_the_sums_of_products(rng):
    values = rng.uniform(0.1, 3, 7)
    E = np.exp(select._log_polynomials(np.log(values), 4))
    for k in range(5):
        for m in range(8):
            exact = sum(np.prod(c) for c in combinations(values[:m], k))
            assert E[k, m] == pytest.approx(exact, rel=1e-12)


def test_of_blocks_of_copies_one_each():
    B = np.repeat(np.eye(5), [3, 1, 4, 2, 6], axis=0)  # 16 points, 5 kinds
    for points in (
        select.greedy_dpp(B, 5),
        *(select.draw_dpp(B, 5, seed) for seed in range(10)),
    ):
        assert sorted(B[points].argmax(1).tolist()) == [0, 1, 2, 3, 4]


def test_greedy_takes_the_largest_gain_at_every_step(rng):
    B = rng.normal(size=(12, 6))
    points = select.greedy_dpp(B, 5).tolist()
    for k in range(5):
        logs = {}
        for i in set(range(12)) - set(points[:k]):
            S = B[[*points[:k], i]]
            logs[i] = np.linalg.slogdet(S @ S.T)[1]
        assert max(logs, key=logs.get) == points[k]


def test_fourier_features_tend_to_the_gaussian(rng):
    X = rng.normal(size=(30, 4))
    squares = ((X[:, None] - X) ** 2).sum(-1)
    exact = np.exp(-squares / (2 * 1.5**2))
    errors = []
    for n_features in (500, 50_000):
        Z = select.fourier_features(X, n_features, 1.5, seed=0)
        errors.append(np.abs(Z @ Z.T - exact).max())
    assert errors[0] < 0.3
    assert errors[1] < 0.03


def test_quality_draws():
    B = select.weighted(np.eye(6), np.array([0, 0, 1, 1, 1, 0]))
    assert sorted(select.draw_dpp(B, 3, 0).tolist()) == [2, 3, 4]
    assert sorted(select.greedy_dpp(B, 3).tolist()) == [2, 3, 4]


@pytest.mark.parametrize(
    "pick", [lambda B, n: select.draw_dpp(B, n, 0), select.greedy_dpp]
)
@pytest.mark.parametrize("n", [3, 9])
def test_more_than_there_are(pick, n):
    B = np.repeat(np.eye(2), 2, axis=0)
    with pytest.raises(ValueError, match="n: needs a number from 1 to 2, got"):
        pick(B, n)
