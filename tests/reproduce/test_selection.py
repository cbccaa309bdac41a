"""The experiments on choosing: paired, without leaks, and heads as elsewhere."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from tpainn_lite import datasets, ridge_head, select, tune
from tpainn_lite.course import selection_data
from tpainn_lite.reproduce import selection
from tpainn_lite.train import evaluate

CACHED = ("frames", "candidates", "designs", "energies")


@pytest.fixture
def few(monkeypatch):
    """Eight candidates and four test structures of the molecules."""
    sets = datasets.load("molecules-dft")
    parts = sets["pool"][:8], sets["test"][:4]
    for name in CACHED[1:]:
        getattr(selection_data, name).cache_clear()
    monkeypatch.setattr(selection_data, "frames", lambda name: parts)
    yield parts
    for name in CACHED[1:]:
        getattr(selection_data, name).cache_clear()


def test_a_choice_is_tuned_on_as_a_head_is(few):
    pool, test = few
    chosen = np.array([5, 0, 3, 6])
    found = selection_data.head_error("molecules-dft", chosen)
    student = selection_data.student("molecules-dft")
    phi = ridge_head.draw_features(student, pool, ridge_head.HeadConfig(), seed=0)
    some = [pool[k] for k in chosen]
    energies = datasets.atomic_energies("molecules-dft")
    start = tune.with_references(student, some, energies)
    w, _ = ridge_head.solve(ridge_head.design(start, some, phi))
    tuned = ridge_head.with_head(start, phi, w)
    assert found == pytest.approx(evaluate(tuned, test).force_mae, rel=1e-3)


def test_molecules_are_held_out_whole():
    every = [a for part in selection_data.frames("molecules-dft") for a in part]
    names = [a.info["smiles"] for a in every]
    held = selection_data.held_out("molecules-dft", 3)
    kept = {n for n, h in zip(names, held, strict=True) if not h}
    gone = {n for n, h in zip(names, held, strict=True) if h}
    assert not kept & gone
    assert 0.25 < held.mean() < 0.42
    assert (held != selection_data.held_out("molecules-dft", 4)).any()


@pytest.fixture
def brief(monkeypatch):
    """Two sizes, and one round of five after the first."""
    monkeypatch.setitem(selection.SEEDS, "diabetes", (10, 12))
    monkeypatch.setattr(selection, "AFTER", dict(rounds=1, batch=5))


def test_a_repeat_of_the_table(brief):
    rows = selection.compute("selection", ("diabetes", 0, [2]))
    first = [r for r in rows if r["n"] == 10]
    assert {r["method"] for r in rows} == set(select.METHODS)
    asked = {r["then"] for r in first if r["method"] == "ATBagging"}
    assert asked == set(select.ACQUISITIONS)
    assert all(len(r["errors"]) == 2 and r["repeat"] == 2 for r in rows)
    assert all(20 < r["aulc"] < 120 for r in rows)  # of disease progression
    starts = {r["errors"][0] for r in first if r["method"] == "random"}
    assert len(starts) == 1  # paired: one draw, whatever comes after


def test_old_and_young_are_apart():
    X, cheap, y, (X_test, y_test) = selection.diabetes(0)
    assert len(X) + len(X_test) == 215  # ages are whole years: the median is shared
    median = np.median(load_diabetes(return_X_y=True)[0][:, 0])
    assert X[:, 0].min() > median
    assert len(cheap) == len(y) == len(X)
    assert len(y_test) == len(X_test)
    assert not {tuple(x) for x in X} & {tuple(x) for x in X_test}


def test_more_trees_are_rows_of_the_same_table(brief):
    row, _ = selection.table("diabetes", 2, trees=20)
    assert row["method"] == "ATBagging, 20 trees"
    X, cheap, y, test = selection.diabetes(2)
    first = select.atbagging(X, cheap, 10, seed=2, n_estimators=20)
    errors, _ = select.learn(X, y, test, first, "random", rounds=1, batch=5, seed=2)
    np.testing.assert_allclose(row["errors"], errors)
