"""Selection: scores against closed forms, sets that cover, words for bad tables."""

import numpy as np
import pytest

from tpainn_lite import select


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (200, 3))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] ** 2


def gaussian_kl(mean0, S0, mean1, S1):
    d = mean1 - mean0
    logs = np.log(np.linalg.det(S1) / np.linalg.det(S0))
    inverse = np.linalg.inv(S1)
    return (np.trace(inverse @ S0) + d @ inverse @ d - len(d) + logs) / 2


def test_score_is_the_divergence_of_two_gaussians(monkeypatch):
    # Trees whose predictions vary in two directions only: the two components are all
    # there is, and without shrinkage the score is the closed form.
    monkeypatch.setattr(select, "SHRINKAGE", 0.0)
    rng = np.random.default_rng(1)
    P = rng.normal(size=(60, 2)) @ rng.normal(size=(2, 5))
    inside = rng.uniform(size=(4, 60)) < 0.63
    found = select._corrected(P, inside)
    axes = np.linalg.svd(P - P.mean(0), full_matrices=False)[2][:2]
    Q = (P - P.mean(0)) @ axes.T
    for k in range(4):
        parts = [Q[inside[k]], Q[~inside[k]]]
        moments = [m for q in parts for m in (q.mean(0), np.cov(q.T))]
        assert found[k] == pytest.approx(gaussian_kl(*moments), rel=1e-8)


def test_released_formula_by_hand():
    # Two probes that always agree; in-bag predictions 0, 2 (mean 1, variance 2), out-
    # of-bag 3, 4, 5 (mean 4, variance 1). Eigenvalues are 4 and 2 along (1, 1), and
    # across it the 1e-12 that the code adds, whose ratio counts as one. So: trace 4/2 +
    # 1, squared distance (3² + 3²)/2, ln 4 - ln 2 with the sign as released.
    P = np.array([[0.0], [2.0], [3.0], [4.0], [5.0]])
    inside = np.array([[True, True, False, False, False]])
    found = select._released(np.hstack([P, P + 7.0]), inside)[0]
    assert found == pytest.approx((3 + 9 - 2 + np.log(2)) / 2, abs=1e-6)


def test_scores_are_divergences(table):
    X, y = table
    scores = select.informativeness(X, y, seed=0)
    assert scores.shape == (200,)
    assert (scores >= -1e-9).all()
    assert scores.std() > 0
    np.testing.assert_array_equal(scores, select.informativeness(X, y, seed=0))


def test_a_lone_point_informs_more_than_a_copy(table):
    X, y = table
    X, y = X[:60].copy(), y[:60].copy()
    X[0], y[0] = [5.0, 5.0, 5.0], 30.0  # nobody else knows this
    alone, doubled = [], []
    for seed in range(5):
        alone.append(select.informativeness(X, y, seed=seed)[0])
        more = np.vstack([X, [X[0]] * 4]), np.append(y, [y[0]] * 4)
        doubled.append(select.informativeness(*more, seed=seed)[0])
    assert np.mean(doubled) < 0.7 * np.mean(alone)


def test_trees_that_agree_say_nothing(table):
    X, _ = table
    scores = select.informativeness(X, np.ones(200), seed=0)
    assert (scores == 0).all()
    assert len(set(select.atbagging(X, np.ones(200), 20, seed=0).tolist())) == 20


STRATEGIES = {
    "atbagging": lambda X, y, n, seed: select.atbagging(X, y, n, seed=seed),
    "greedy": lambda X, y, n, seed: select.atbagging(
        X, y, n, seed=seed, deterministic=True
    ),
    "released": lambda X, y, n, seed: select.atbagging(
        X[:60], y[:60], n, seed=seed, variant="released"
    ),
    "diverse": lambda X, y, n, seed: select.diverse(X, n, seed=seed),
    "random": lambda X, y, n, seed: select.random(X, n, seed=seed),
    "farthest": lambda X, y, n, seed: select.farthest_points(X, n, seed=seed),
    "centres": lambda X, y, n, seed: select.cluster_centres(X, n, seed=seed),
    "top": lambda X, y, n, seed: select.top(y, n),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_selection_is_n_different_candidates(table, name):
    X, y = table
    one, same = (STRATEGIES[name](X, y, 15, 3) for _ in range(2))
    assert len(set(one.tolist())) == 15
    np.testing.assert_array_equal(one, same)
    if name not in ("greedy", "top"):
        assert set(one.tolist()) != set(STRATEGIES[name](X, y, 15, 4).tolist())


@pytest.mark.parametrize("name", ["diverse", "farthest", "centres"])
def test_diverse_selections_cover_clusters(name):
    rng = np.random.default_rng(0)
    centres = 10 * np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 2]])
    sizes = [100, 50, 20, 5, 2]
    X = np.vstack(
        [c + rng.normal(0, 0.2, (s, 2)) for c, s in zip(centres, sizes, strict=True)]
    )
    kinds = np.repeat(range(5), sizes)
    strategy = STRATEGIES[name]
    if name == "diverse":
        covered = [
            len(set(kinds[select.diverse(X, 5, seed=s, length_scale=0.5)]))
            for s in range(10)
        ]
        at_random = [len(set(kinds[select.random(X, 5, seed=s)])) for s in range(10)]
        assert np.mean(covered) > np.mean(at_random) + 1.5
    else:
        assert len(set(kinds[strategy(X, None, 5, 0)])) == 5


def test_scale_and_constant_columns_do_not_matter(table):
    X, y = table
    other = np.hstack([X * [1e3, 1e-3, 1], np.full((200, 1), 7.0)])
    one = select.diverse(X, 10, seed=0, deterministic=True, n_features=2000)
    assert len(one) == 10
    np.testing.assert_array_equal(
        select.farthest_points(X, 10, seed=0),
        select.farthest_points(other, 10, seed=0),
    )


def test_duplicate_rows_are_not_chosen_twice():
    X = np.repeat(np.arange(4.0)[:, None], 5, axis=0)
    points = select.diverse(X, 4, seed=0, length_scale=0.3)
    assert sorted(X[points, 0].tolist()) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="n: needs a number from 1 to 4, got 5"):
        select.diverse(X, 5, seed=0, length_scale=0.3)


def test_one_candidate():
    X, y = np.zeros((1, 2)), np.zeros(1)
    for name in ("atbagging", "diverse", "random", "farthest", "centres", "top"):
        assert STRATEGIES[name](X, y, 1, 0).tolist() == [0]


@pytest.mark.parametrize("name", ["random", "farthest", "centres", "top"])
@pytest.mark.parametrize("n", [0, 201])
def test_bad_n(table, name, n):
    with pytest.raises(ValueError, match="n: needs a number from 1 to 200"):
        STRATEGIES[name](*table, n, 0)


def test_words_for_bad_tables(table):
    X, y = table
    bad = X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="X: needs a table .* NaN"):
        select.diverse(bad, 3, seed=0)
    with pytest.raises(ValueError, match="y: needs 200 finite"):
        select.informativeness(X, y[:9], seed=0)
    with pytest.raises(ValueError, match="y: needs 200 finite .* NaN"):
        select.informativeness(X, np.full(200, np.nan), seed=0)
    with pytest.raises(ValueError, match="variant"):
        select.informativeness(X, y, seed=0, variant="mine")
