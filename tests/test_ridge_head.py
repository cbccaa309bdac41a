"""Instant head: the ridge regression it says it is, and a potential like any other."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import REFERENCES, SMALL

from tpainn_lite import ridge_head, tune
from tpainn_lite.data import with_labels
from tpainn_lite.model import Potential
from tpainn_lite.train import evaluate

CONFIG = ridge_head.HeadConfig(features=12)


@pytest.fixture
def phi(start, ethanols):
    return ridge_head.draw_features(start, ethanols, CONFIG, seed=0)


def test_features_make_a_gaussian_kernel(start, ethanols):
    many = replace(CONFIG, features=20_000, length=1.0)
    phi = ridge_head.draw_features(start, ethanols, many, seed=0)
    h = torch.randn(5, SMALL.features, dtype=torch.float64)
    spread = phi.omega.std(dim=1) * SMALL.features**0.5  # 1 / standard deviation
    gaps = ((h[:, None] - h[None]) * spread).square().sum(-1) / SMALL.features
    kernel = phi(phi.mean + h) @ phi(phi.mean + h).T
    torch.testing.assert_close(kernel, torch.exp(-gaps / 2), atol=0.03, rtol=0)


def test_rows_are_what_a_head_of_one_feature_adds(start, ethanols, phi):
    frames = ethanols[:2]
    config = replace(CONFIG, energy_weight=1.0, force_weight=3.0 * len(frames[0]))
    rows = ridge_head.design(start, frames, phi, config)  # all weights are one
    energies, forces = start.predict(frames)
    for d in (0, 7):
        w = np.zeros(CONFIG.features)
        w[d] = 1.0
        more, moved = ridge_head.with_head(start, phi, w).predict(frames)
        for k, row in enumerate(rows):
            assert row.X[0, d] == pytest.approx(more[k] - energies[k], abs=1e-9)
            gap = np.ravel(moved[k] - forces[k])
            np.testing.assert_allclose(row.X[1:, d], gap, atol=1e-10)
            left = frames[k].get_potential_energy() - energies[k]
            assert row.y[0] == pytest.approx(left, abs=1e-9)


def test_it_is_the_ridge_that_does_best_on_what_is_left_out(start, ethanols, phi):
    rows = ridge_head.design(start, ethanols, phi, CONFIG)

    def solved(rows, ridge):
        """By least squares with rows for the ridge, not by the normal equations."""
        X = np.vstack([r.X for r in rows] + [np.sqrt(len(rows) * ridge) * np.eye(12)])
        y = np.concatenate([r.y for r in rows] + [np.zeros(12)])
        return np.linalg.lstsq(X, y)[0]

    w, left_out = ridge_head.solve(rows, CONFIG)
    by_hand = {}
    for ridge in CONFIG.ridges:
        kept = [solved(rows[:k] + rows[k + 1 :], ridge) for k in range(len(rows))]
        gaps = [row.X @ v - row.y for row, v in zip(rows, kept, strict=True)]
        by_hand[ridge] = np.mean([(gap**2).sum() for gap in gaps])
    assert left_out == pytest.approx(by_hand, rel=1e-5)
    best = solved(rows, min(by_hand, key=by_hand.get))
    np.testing.assert_allclose(w, best, rtol=1e-6, atol=1e-10)


def test_one_structure_takes_the_largest_ridge(start, ethanols, phi):
    rows = ridge_head.design(start, ethanols[:1], phi, CONFIG)
    w, left_out = ridge_head.solve(rows, CONFIG)
    only, _ = ridge_head.solve(rows, replace(CONFIG, ridges=(max(CONFIG.ridges),)))
    np.testing.assert_array_equal(w, only)
    assert left_out == {}
    with pytest.raises(ValueError, match="rows: needs a list of at least 1"):
        ridge_head.solve([], CONFIG)


def test_it_learns_and_its_forces_are_the_derivative(start, ethanols, numeric_forces):
    config = ridge_head.HeadConfig(features=200, length=1.0)
    phi = ridge_head.draw_features(start, ethanols, config, seed=0)
    rows = ridge_head.design(start, ethanols, phi, config)
    w, _ = ridge_head.solve(rows, config)
    before, tuned = evaluate(start, ethanols), ridge_head.with_head(start, phi, w)
    after = evaluate(tuned, ethanols).force_mae
    errors = 1e3 * np.abs(ridge_head.force_errors(rows, w, config)).mean()
    assert errors == pytest.approx(after, rel=1e-6)
    assert after < 0.8 * before.force_mae
    assert evaluate(start, ethanols) == before  # untouched
    atoms = ethanols[0]
    _, forces = tuned.energy_forces(atoms.numbers, atoms.positions)
    numeric = numeric_forces(tuned.energy_forces, atoms, 1e-5, [0, 2, 8])
    np.testing.assert_allclose(forces[[0, 2, 8]], numeric, rtol=0, atol=1e-6)
    np.testing.assert_allclose(forces.sum(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("heads", [1, 3])
def test_heads_on_heads_are_saved_and_read(start, ethanols, tmp_path, heads):
    tuned = start.float()
    for k in range(heads):
        way = ridge_head.HeadConfig(features=12 + 4 * k, length=1.0 + k)
        few, free = ethanols[: 3 + k], dict.fromkeys(REFERENCES, 0.0)
        tuned, _ = tune.autotune(tuned, few, free, way, seed=k)
    tuned.save(tmp_path / "h")
    again = Potential.load(tmp_path / "h")
    assert again.reference_energies == tuned.reference_energies
    for a, b in zip(tuned.predict(ethanols), again.predict(ethanols), strict=True):
        np.testing.assert_array_equal(a, b)


def test_torchs_default_type_changes_nothing(start, ethanols, tmp_path, request):
    start = start.float()
    expected = ridge_head.instant(start, ethanols, CONFIG, seed=0)
    request.getfixturevalue("double_by_default")
    found = ridge_head.instant(start, ethanols, CONFIG, seed=0)
    found.save(tmp_path / "h")
    copy.deepcopy(found).double().save(tmp_path / "double")
    read = [Potential.load(tmp_path / name) for name in ("h", "double")]
    for again in (found, *read):
        assert {v.dtype for v in again.state_dict().values()} == {torch.float32}
        both = (p.predict(ethanols) for p in (expected, again))
        for a, b in zip(*both, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bad", [{"features": 0}, {"ridges": ()}, {"ridges": (1, -1)}])
def test_values_that_cannot_be(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        replace(CONFIG, **bad)


def test_labels_that_are_missing_are_asked_for(start, ethanols, phi):
    bare = [with_labels(a.copy(), -1.0) for a in ethanols]
    with pytest.raises(ValueError, match="frame 0: needs an energy and forces"):
        ridge_head.design(start, bare, phi, CONFIG)
