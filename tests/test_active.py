"""Active learning on tables: committees, what they ask for, and the explorer's map."""

import nglview
import numpy as np
import pytest

from tpainn_lite import explorers, select
from tpainn_lite.molecules import sample


@pytest.fixture
def line(rng):
    """A step on the first of three columns: all there is to learn is at zero."""
    X = rng.uniform(-1, 1, (120, 3))
    return X, np.sign(X[:, 0])


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
    test = X[100:], y[100:]
    first = np.arange(5)
    errors, known = select.learn(
        X[:100], y[:100], test, first, way, rounds=3, batch=4, seed=1
    )
    assert len(errors) == 4
    assert len(set(known)) == len(known) == 17
    assert known[:5].tolist() == [0, 1, 2, 3, 4]
    again, _ = select.learn(
        X[:100], y[:100], test, first, way, rounds=3, batch=4, seed=1
    )
    assert again == errors
    assert errors[-1] < errors[0]


def test_a_committee_of_one_mind_asks_for_what_differs(line):
    X, _ = line
    bag = select.forest(X, np.ones(len(X)), seed=0)
    asked = select.acquire("DPP of the committee", bag, X, 6, seed=0)
    assert len(set(asked)) == 6


def test_unknown_ways(line):
    X, y = line
    with pytest.raises(ValueError, match="way: needs one of .*'committee'"):
        select.acquire("best", select.forest(X, y, 0), X, 3, seed=0)
    with pytest.raises(ValueError, match="method: needs one of .*'ATBagging'"):
        select.choose("best", X, y, 3, seed=0)


@pytest.mark.parametrize("method", select.METHODS)
def test_every_method_chooses_so_many_and_the_same_again(line, method):
    X, y = line
    chosen = select.choose(method, X, y, 8, seed=3)
    assert len(set(chosen)) == 8
    np.testing.assert_array_equal(chosen, select.choose(method, X, y, 8, seed=3))


def test_the_map_follows_its_controls(line):
    X, y = line
    explorer = explorers.SelectionMap(X, y, "no unit")
    before = explorer.chosen
    assert len(before) == len(explorer.figure.data[1].x) == 10
    explorer.n.value = 14
    assert len(explorer.chosen) == 14
    explorer.method.value = "farthest points"
    assert set(explorer.chosen) == set(select.farthest_points(X, 14, seed=0))
    assert "farthest points: 14 of 120" in explorer.figure.layout.title.text
    np.testing.assert_array_equal(explorer.figure.data[1].x, X[explorer.chosen, 0])


def test_the_map_says_what_cannot_be(line):
    X = np.repeat(line[0][:4], 5, axis=0)
    explorer = explorers.SelectionMap(X, np.arange(20.0), "eV")
    explorer.method.value = "DPP"
    assert "no more differ from each other" in explorer._text.value


def test_a_click_shows_the_structure(line):
    frames = sample("CO", 3, temperature=300, seed=0, equilibration=10)
    explorer = explorers.SelectionMap(line[0][:3], np.array([1.0, 2, 3]), "eV", frames)
    explorer.n.value = 1
    explorer.show(2)
    label, viewer = explorer._slot.children
    assert "Candidate 2: 3" in label.value
    assert isinstance(viewer, nglview.NGLWidget)


def test_rounds_are_learning(line):
    X, y = line
    test, first = (X[100:], y[100:]), np.arange(6)
    explorer = explorers.Rounds(X[:100], y[:100], "no unit", test, first, batch=4)
    for _ in range(3):
        explorer.step()
    errors, known = select.learn(
        X[:100], y[:100], test, first, "committee", rounds=1, batch=4, seed=0
    )
    assert explorer.errors["committee"][:2] == errors
    assert len(explorer.known["committee"]) == 18
    assert len(explorer.errors["random"]) == 1
    line = next(t for t in explorer.figure.data if t.name == "committee")
    assert list(line.x) == [6, 10, 14, 18]
    assert list(line.y) == explorer.errors["committee"]
    explorer.again.click()
    assert len(explorer.errors["committee"]) == 1


def test_paired_differences(rng):
    shared = rng.normal(0, 10, 400)
    ours, theirs = shared + rng.normal(-1, 1, 400), shared + rng.normal(0, 1, 400)
    mean, low, high = select.paired(ours, theirs)
    assert low < -1 < high
    assert mean == pytest.approx((low + high) / 2)
    assert high - low == pytest.approx(2 * 1.966 * np.sqrt(2 / 400), rel=0.1)
    with pytest.raises(ValueError, match="two repeats"):
        select.paired([1.0], [2.0])
