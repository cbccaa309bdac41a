"""The explorers of lesson 09: maps of a selection, nine points, rounds."""

from types import SimpleNamespace

import nglview
import numpy as np
import pytest

from tpainn_lite import explorers, select
from tpainn_lite.molecules import sample


def test_the_map_follows_its_controls(line):
    X, y = line
    explorer = explorers.SelectionMap(X, y, "no unit")
    assert set(select.METHODS) - {*explorer.method.options} == {"ATBagging, released"}
    before = explorer.chosen
    assert len(before) == len(explorer.figure.data[1].x) == 10
    explorer.n.value = 14
    assert len(explorer.chosen) == 14
    explorer.method.value = "farthest points"
    assert set(explorer.chosen) == set(select.farthest_points(X, 14, seed=0))
    assert "farthest points: 14 of 120" in explorer.figure.layout.title.text
    np.testing.assert_array_equal(explorer.figure.data[1].x, X[explorer.chosen, 0])


def test_a_click_shows_the_structure_and_words_what_cannot_be(line):
    frames = sample("CO", 3, temperature=300, seed=0, equilibration=10)
    explorer = explorers.SelectionMap(line[0][:3], np.array([1.0, 2, 3]), "eV", frames)
    explorer.n.value = 1
    explorer.show(2)
    label, viewer = explorer._slot.children
    assert "Candidate 2: 3" in label.value
    assert isinstance(viewer, nglview.NGLWidget)
    X = np.repeat(line[0][:4], 5, axis=0)
    explorer = explorers.SelectionMap(X, np.arange(20.0), "eV")
    explorer.method.value = "DPP"
    assert "differ from each other" in explorer._text.value


def test_rounds_are_learning(line):
    X, y = line
    test, first = (X[100:], y[100:]), np.arange(6)
    explorer = explorers.Rounds(X[:100], y[:100], "no unit", test, first)
    for _ in range(3):
        explorer.step()
    how = dict(rounds=1, batch=10, seed=0)
    errors, _ = select.learn(X[:100], y[:100], test, first, "committee", **how)
    assert explorer.errors["committee"][:2] == errors
    assert len(explorer.known["committee"]) == 36
    assert len(explorer.errors["random"]) == 1
    line = next(t for t in explorer.figure.data if t.name == "committee")
    assert list(line.x) == [6, 16, 26, 36]
    assert list(line.y) == explorer.errors["committee"]
    explorer.again.click()
    assert len(explorer.errors["committee"]) == 1


def test_nine_points_have_their_determinant_and_probability():
    xy = np.array([*np.ndindex(3, 3)])
    L = np.exp(-((xy[:, None] - xy[None]) ** 2).sum(2) / 2)
    explorer = explorers.NinePoints(L)
    points, det, percent, rank = explorer.found["yours"]
    assert points == [0, 1, 2]
    a, b = np.exp(-0.5), np.exp(-2)  # of neighbours, and over two
    assert det == pytest.approx(1 + 2 * a * a * b - 2 * a * a - b * b)
    drawn = [
        tuple(sorted(select.draw_dpp(np.linalg.cholesky(L), 3, s))) for s in range(2000)
    ]
    for points in ((0, 2, 8), (0, 5, 6)):
        for k in range(9):
            getattr(explorer, f"point_{k}").value = k in points
        share = explorer.found["yours"][2]
        count = 2000 * share / 100
        assert abs(drawn.count(points) - count) < 4 * count**0.5
    assert explorer.found["yours"][3] == 1 < explorer.found["greedy"][3]
    every, mark = explorer.figure.data[5].y, explorer.figure.data[2]
    assert (len(every), sum(every)) == (84, pytest.approx(100))
    assert every[mark.x[0]] == mark.y[0] == share
    explorer._clicked(explorer.figure.data[0], SimpleNamespace(point_inds=[4]), None)
    assert explorer.found["yours"][0] == [0, 4, 5, 6]
    assert "(0, 0), (1, 1), (1, 2), (2, 0): determinant" in explorer._text.value
    again = explorers.NinePoints(L, before=explorer)
    assert again.found["yours"] == explorer.found["yours"]
    with pytest.raises(ValueError, match="L: needs a symmetric matrix"):
        explorers.NinePoints(np.ones((9, 9)))
