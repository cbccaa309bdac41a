"""The experiments on choosing: paired, drawn anew, without leaks, in closed form."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from tpainn_lite import select
from tpainn_lite.course import selection_data
from tpainn_lite.reproduce import cards, selection

MIRROR = Path(os.environ.get("TPAINN_MIRROR", "")) / selection_data.PM25.split()[0]
needs_pm25 = pytest.mark.skipif(not MIRROR.is_file(), reason="no beijing-pm25")


def test_molecules_are_held_out_whole():
    every = [a for part in selection_data.frames("molecules-dft") for a in part]
    names = [a.info["smiles"] for a in every]
    held = selection_data.held_out("molecules-dft", 3)
    kept = {n for n, h in zip(names, held, strict=True) if not h}
    gone = {n for n, h in zip(names, held, strict=True) if h}
    assert not kept & gone
    assert 0.25 < held.mean() < 0.42
    assert (held != selection_data.held_out("molecules-dft", 4)).any()


def test_ridges_are_the_mean_of_a_gaussian_process(rng):
    X, T = rng.normal(size=(30, 3)), rng.normal(size=(9, 3))
    y = np.sin(X[:, 0]) + 0.1 * rng.normal(size=30)
    fitted = selection_data.ridges(X, y, 0)
    length, ridge = fitted.how
    process = GaussianProcessRegressor(RBF(length, "fixed"), alpha=ridge)
    process.fit(X, y - y.mean())
    np.testing.assert_allclose(fitted.predict(T), process.predict(T) + y.mean(), 1e-6)
    errors = {}
    for how in [(a, b) for a in selection_data.LENGTHS for b in selection_data.RIDGES]:
        gaps = []
        for k in range(30):  # the mean of all rows stays taken off
            rest = np.delete(np.arange(30), k)
            process = GaussianProcessRegressor(RBF(how[0], "fixed"), alpha=how[1])
            process.fit(X[rest], (y - y.mean())[rest])
            gaps.append(process.predict(X[[k]])[0] - (y - y.mean())[k])
        errors[how] = np.square(gaps).sum()
    assert min(errors, key=errors.get) == fitted.how
    far = select.spread(fitted, T + 1.5).mean()
    assert far > 2 * select.spread(fitted, X).mean()


@needs_pm25
@pytest.mark.parametrize("make", [selection.years, selection.day_before])
def test_pm25_is_drawn_anew_and_by_day(make):
    one, again, other = (make(np.random.default_rng(k)) for k in (0, 0, 1))
    np.testing.assert_array_equal(one[0], again[0])
    assert (one[2] != other[2]).any()
    assert (one[3][1] != other[3][1]).any()
    assert len(one[0]) == len(one[1]) == selection.POOL
    assert 0.2 < np.corrcoef(one[1], one[2])[0, 1] < 0.8  # cheap, and no copy
    pool, test = selection.split(selection.weather(), np.random.default_rng(0))
    assert not set(pool[:, 0] // 24) & set(test[:, 0] // 24)


def test_most_of_the_copies_are_five_molecules(monkeypatch):
    X = np.random.default_rng(0).normal(size=(700, 4))
    drawn = X, {"": X[:, 0], "mmff94": X[:, 1]}
    monkeypatch.setattr(selection, "qm9", lambda kind: drawn)
    pool, cheap, y, (tested, _) = selection.copies(np.random.default_rng(1))
    gaps = np.linalg.norm(pool[:, None] - pool, axis=2)
    assert ((gaps < 0.5).sum(1) > 20).mean() > 0.75
    assert len(tested) == selection.TEST
    assert len(np.unique(y)) == selection.POOL


def test_a_repeat_is_paired_and_gathered(monkeypatch, tmp_path):
    monkeypatch.setattr(selection, "SIZES", (10, 12))
    monkeypatch.setattr(selection, "AFTER", dict(rounds=1, batch=5))
    monkeypatch.setattr(selection, "TABLES", {"made": {"made up": _made}})
    files = []
    for k in range(3):
        rows = selection.compute("selection", ("made", [k]))
        assert {r["method"] for r in rows} == set(select.METHODS)
        for method in ("random", "ATBagging"):
            asked = {r["then"] for r in rows if r["method"] == method}
            assert asked == set(select.ACQUISITIONS)
        files.append(tmp_path / f"{k}.part")
        cards.save(rows, files[-1])
    X, _, y, test = _made(np.random.default_rng(2))
    Z = select.standardised(np.vstack([X, test[0]]))
    first = select.random(X, 10, seed=2)
    how = dict(rounds=1, batch=5, seed=2, learner=selection_data.ridges)
    test = Z[60:], test[1]
    errors, _ = select.learn(Z[:60], y, test, first, "random", **how)
    gathered = selection.write("selection", files, tmp_path)["rows"]
    where = dict(method="random", then="random", n=10)
    (row,) = [r for r in gathered if where.items() <= r.items()]
    assert row["aulc"][2] == pytest.approx(np.mean(errors), rel=1e-3)
    assert row["difference"] == [0, 0, 0]
    where = dict(method="DPP", then="random", n=10)
    (other,) = [r for r in gathered if where.items() <= r.items()]
    gap = 100 * (np.mean(other["aulc"]) / np.mean(row["aulc"]) - 1)
    assert other["difference"][0] == pytest.approx(gap, abs=0.06)


def _made(rng):
    X = rng.normal(size=(90, 3))
    y = np.sin(X[:, 0]) + X[:, 1]
    return X[:60], X[:60, 0], y[:60], (X[60:], y[60:])
