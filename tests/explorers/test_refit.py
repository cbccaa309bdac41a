"""The refit explorer solves as the instant head does, and moves with its controls."""

import numpy as np
import pytest

from tpainn_lite import data, explorers, ridge_head, water
from tpainn_lite.data import with_labels
from tpainn_lite.train import evaluate

CONFIG = ridge_head.HeadConfig(features=12)


@pytest.fixture
def refit(start, ethanols):
    return explorers.Refit(start, ethanols[:6], ethanols[6:], CONFIG)


def test_the_explorer_solves_as_the_head_does(refit, start, ethanols):
    refit.n.value = 6  # all of them: the draw makes no difference
    some, test = ethanols[:6], ethanols[6:]
    shifted = [
        with_labels(a, a.get_potential_energy() + 7.0, a.get_forces()) for a in some
    ]  # another zero of energy is another constant
    moved = explorers.Refit(start, shifted, test, CONFIG)
    moved.n.value = 6
    assert moved.numbers["after"] == pytest.approx(refit.numbers["after"], rel=1e-6)
    phi = ridge_head.draw_features(start, some, CONFIG, seed=0)
    rows = refit_rows(ridge_head.design(start, some, phi, CONFIG))
    w, _ = ridge_head.solve(rows, CONFIG)
    tuned = ridge_head.with_head(start, phi, w)
    expected = evaluate(tuned, test).force_mae
    assert refit.numbers["after"] == pytest.approx(expected, rel=1e-6)
    before = evaluate(start, test).force_mae
    assert refit.numbers["before"] == pytest.approx(before, rel=1e-6)


def refit_rows(rows):
    """Energies, and what makes them, less their means."""
    X, y = (np.mean([getattr(r, k)[0] for r in rows], axis=0) for k in "Xy")
    found = [ridge_head.Rows(r.X.copy(), r.y.copy()) for r in rows]
    for row in found:
        row.X[0] -= X
        row.y[0] -= y
    return found


def test_the_explorer_moves_with_its_controls(refit):
    many = refit.numbers["after"]
    refit.n.value = 2
    assert refit.numbers["after"] != many
    refit.ridge.value = max(CONFIG.ridges)
    assert refit.numbers["ridge"] == max(CONFIG.ridges)
    held = refit.numbers["after"]
    refit.ridge.value = min(CONFIG.ridges)
    assert refit.numbers["after"] != held
    assert "2 labelled" in refit.figure.layout.title.text
    y = np.array(refit.figure.data[1].y)
    truth = np.array(refit.figure.data[0].x)
    assert 1e3 * np.abs(y - truth).mean() == pytest.approx(refit.numbers["after"])


def test_the_explorer_wants_one_composition(start, ethanols):
    boxes = data.label([water.water_box(8, seed=0)], start)
    with pytest.raises(ValueError, match=r"one composition.*C2H6O.*H16O8"):
        explorers.Refit(start, ethanols[:2], boxes, CONFIG)
