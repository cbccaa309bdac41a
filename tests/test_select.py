"""Selection: scores against closed forms, sets that cover, committees that learn."""

import os
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from tpainn_lite import select
from tpainn_lite.course import selection_data


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
    found = select._divergences(P, inside, "corrected")
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
    found = select._divergences(np.hstack([P, P + 7.0]), inside, "released")
    assert found[0] == pytest.approx((3 + 9 - 2 + np.log(2)) / 2, abs=1e-6)


# What src/ATBagging.py of MuhichLab/active_transfer_bagging (GitHub, 3469173) chooses
# by its deterministic sampler, with tau=2 and q_power=2: run once, for comparison.
MADE_UP = [55, 67, 0, 52, 12, 48, 16, 50, 14, 59, 73, 72]
PM25 = [259, 807, 702, 770, 430, 23, 397, 938, 620, 300, 495, 506, 514, 316, 906]
PM25 += [192, 366, 288, 621, 263, 759, 128, 695, 646, 394, 954, 756, 205, 4, 241]


def test_released_scores_and_choices_are_the_released_codes():
    X = np.random.default_rng(0).uniform(-2, 2, (80, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1] ** 2
    how = dict(seed=7, variant="released", probes=20)
    scores = select.informativeness(X, y, **how)
    assert scores[:4] == pytest.approx(
        [91.297627, 13.326554, 27.979341, 22.988686], abs=1e-5
    )
    how = dict(seed=7, quality=select.quality(scores), raw=True, deterministic=True)
    assert select.diverse(X, 12, **how).tolist() == MADE_UP


@pytest.mark.skipif(
    not (Path(os.environ.get("TPAINN_MIRROR", "")) / "beijing-pm25").is_dir(),
    reason="TPAINN_MIRROR has no beijing-pm25",
)
def test_released_variant_chooses_as_the_released_example():
    table = selection_data.pm25()[:1000]
    how = dict(seed=1234, variant="released", deterministic=True)
    found = select.atbagging(table[:, 1:-1], table[:, -1], 30, **how)
    assert found.tolist() == PM25


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
    bag = select.forest(X, np.ones(200), seed=0)
    asked = select.acquire("DPP of the committee", bag, X, 20, seed=0)
    for chosen in (select.atbagging(X, np.ones(200), 20, seed=0), asked):
        assert len(set(chosen.tolist())) == 20


@pytest.mark.parametrize("method", select.METHODS)
def test_a_selection_is_n_different_candidates(table, method):
    one, same, other = (select.choose(method, *table, 15, seed=s) for s in (3, 3, 4))
    assert len(set(one.tolist())) == 15
    np.testing.assert_array_equal(one, same)
    assert set(one.tolist()) != set(other.tolist())
    alone = np.zeros((1, 2)), np.zeros(1)
    assert select.choose(method, *alone, 1, seed=0).tolist() == [0]
    for n in (0, 201):
        with pytest.raises(ValueError, match="n: needs a (number from 1 to|whole num)"):
            select.choose(method, *table, n, seed=0)


@pytest.mark.parametrize("method", ["DPP", "farthest points", "k-means centres"])
def test_diverse_selections_cover_clusters(method):
    rng = np.random.default_rng(0)
    centres = 10 * np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 2]])
    sizes = [100, 50, 20, 5, 2]
    X = np.vstack(
        [c + rng.normal(0, 0.2, (s, 2)) for c, s in zip(centres, sizes, strict=True)]
    )
    kinds = np.repeat(range(5), sizes)
    how = dict(y=None, n=5, length_scale=0.5)
    covered = [
        len(set(kinds[select.choose(method, X, seed=s, **how)])) for s in range(10)
    ]
    at_random = [len(set(kinds[select.random(X, 5, seed=s)])) for s in range(10)]
    assert np.mean(covered) > np.mean(at_random) + 1.5
    if method != "DPP":
        assert covered == [5] * 10


def test_scale_and_constant_columns_do_not_matter(table):
    X, _ = table
    other = np.hstack([X * [1e3, 1e-3, 1], np.full((200, 1), 7.0)])
    found = [select.farthest_points(x, 10, seed=0) for x in (X, other)]
    np.testing.assert_array_equal(*found)


# --- determinantal point processes, against enumeration and closed forms


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


def test_of_blocks_of_copies_one_each():
    B = np.repeat(np.eye(5), [3, 1, 4, 2, 6], axis=0)  # 16 points, 5 kinds
    drawn = [select.draw_dpp(B, 5, seed) for seed in range(10)]
    for points in (select.greedy_dpp(B, 5), *drawn):
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


@pytest.mark.parametrize("rows", [6, 9])  # fewer and more than features
def test_both_ways_to_draw_are_one(rows):
    B = np.random.default_rng(2).normal(size=(rows, 7))
    wider = np.hstack([B, np.zeros((rows, 9))])
    for seed in range(8):
        same = [select.draw_dpp(x, 4, seed).tolist() for x in (B, wider)]
        assert same[0] == same[1]


@pytest.mark.parametrize(
    "pick", [lambda B, n: select.draw_dpp(B, n, 0), select.greedy_dpp]
)
@pytest.mark.parametrize("n", [3, 9])
def test_more_than_there_are(pick, n):
    B = np.repeat(np.eye(2), 2, axis=0)
    with pytest.raises(ValueError, match="n: needs a number from 1 to 2, got"):
        pick(B, n)


# --- rounds of labelling


def test_a_committee_parts_where_it_knows_least(line):
    X, y = line
    far = np.abs(X[:, 0]) > 0.3
    bag = select.forest(X[far], y[far], seed=0)
    apart = select.spread(bag, X)
    assert apart[~far].mean() > 5 * apart[far].mean()
    asked = select.acquire("committee", bag, X, 10, seed=0)
    assert np.median(np.abs(X[asked, 0])) < 0.1


@pytest.mark.parametrize("way", select.ACQUISITIONS)
def test_learning_on_labels_each_candidate_once(line, way):
    X, y = line
    run = X[:100], y[:100], (X[100:], y[100:]), np.arange(5), way
    how = dict(rounds=3, batch=4, seed=1)
    (errors, known), (again, _) = (select.learn(*run, **how) for _ in range(2))
    assert len(errors) == 4
    assert len(set(known)) == len(known) == 17
    assert known[:5].tolist() == [0, 1, 2, 3, 4]
    assert again == errors
    assert errors[-1] < errors[0]


def test_paired_differences(rng):
    shared = rng.normal(0, 10, 400)
    ours, theirs = shared + rng.normal(-1, 1, 400), shared + rng.normal(0, 1, 400)
    mean, low, high = select.paired(ours, theirs)
    assert low < -1 < high
    assert mean == pytest.approx((low + high) / 2)
    assert high - low == pytest.approx(2 * 1.966 * np.sqrt(2 / 400), rel=0.1)
    wide = select.paired(ours, theirs, comparisons=40)  # 3.25 errors for 0.05 / 40
    assert wide[2] - wide[1] == pytest.approx((high - low) * 3.25 / 1.966, rel=0.01)


X, Y = np.ones((9, 2)), np.ones(9)
ONCE = dict(rounds=1, batch=1, seed=0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: select.informativeness(X, Y[:5], seed=0), "y: needs a label for"),
        (lambda: select.diverse(X, 2, seed=0), "n: needs a number from 1 to 1, got 2"),
        (lambda: select.diverse(X, 1, quality=-Y, seed=0), "quality: needs 9 numbers"),
        (lambda: select.diverse(X, 1, length_scale=0.0, seed=0), "length_scale: needs"),
        (lambda: select.informativeness(X, Y, seed=0, variant="mine"), "variant"),
        (lambda: select.learn(X, Y, (X, Y), [9], "random", **ONCE), "first, rounds"),
        (lambda: select.learn(X, Y, X, [0], "random", **ONCE), "test: needs"),
        (lambda: select.choose("best", X, Y, 3, seed=0), "method: .*'ATBagging'"),
        (lambda: select.acquire("best", None, X, 3, seed=0), "way: .*'committee'"),
        (lambda: select.paired([1.0], [2.0]), "two or more"),
    ],
)
def test_words_for_what_cannot_be(call, words):
    with pytest.raises(ValueError, match=words):
        call()
