"""The shipped runs of water: whole, made with what ships, and what lesson 05 says."""

import numpy as np
import pytest

from tpainn_lite import analysis, datasets
from tpainn_lite.reproduce.runs import (
    CLASSICAL,
    longest_bond,
    property_runs,
    stability_runs,
)

RUNS = datasets.card("water-runs")["rows"]
FATES = datasets.card("water-stability")["rows"]
HOT = (500.0, 1.0)


@pytest.fixture(scope="module")
def runs():
    return datasets.runs("water-runs")


def state(row):
    return row["temperature"], row["pressure"]


def column(model, where, what):
    rows = [r for r in FATES if r["model"] == model and state(r) == where]
    return np.array([r[what] for r in sorted(rows, key=lambda r: r["seed"])])


def test_the_runs_are_those_that_reproduce_makes():
    for rows, tasks in (
        (RUNS, property_runs()),
        (FATES, stability_runs()),
    ):
        made = [(r["model"], *state(r), r["length"], r["seed"]) for r in rows]
        asked = [(t.model, t.temperature, t.pressure, t.length, t.seed) for t in tasks]
        assert made == asked


def test_they_are_small_and_long(runs):
    files = [datasets.SHIPPED / row["file"] for row in RUNS]
    assert sum(file.stat().st_size for file in files) < 8e6
    for kind, length, interval in (("NVT", 35.0, 50.0), ("NPT", 60.0, 100.0)):
        assert len(runs[kind]) == 4
        for frames in runs[kind].values():
            times = np.array([a.info["time_fs"] for a in frames])
            np.testing.assert_allclose(np.diff(times), interval)
            assert times[-1] == 1000 * length
            assert frames[0].get_chemical_formula() == "H128O64"


def test_volume_is_constant_in_nvt_alone(runs):
    for kind, constant in (("NVT", True), ("NPT", False)):
        for frames in runs[kind].values():
            assert (np.ptp(analysis.densities(frames)) < 1e-9) == constant


def test_temperatures_are_those_of_the_thermostat(runs):
    for of_kind in runs.values():
        for frames in of_kind.values():
            kinetic = [a.info["kinetic_energy"] for a in frames[len(frames) // 3 :]]
            mean, error = analysis.mean_and_error(kinetic)
            expected = 1.5 * len(frames[0]) * 8.617333e-5 * 300
            assert abs(mean - expected) < 4 * error + 0.01 * expected


def test_no_molecule_of_a_shipped_run_is_broken(runs):
    for of_kind in runs.values():
        for frames in of_kind.values():
            assert max(map(longest_bond, frames[::20])) < 1.3


@pytest.mark.parametrize("model", ["water-tuned-8", "water-tuned-80"])
def test_tuned_networks_survive_everywhere(model):
    for where in ((300.0, None), HOT):
        survived = column(model, where, "survived")
        assert len(survived) == 5
        np.testing.assert_allclose(survived, column(model, where, "length"))
    assert not any(row["ended"] for row in FATES if row["model"] == model)


def test_who_breaks_molecules_at_500_K():
    whole = {
        name: (column(f"water-{name}", HOT, "intact") >= 10.0).sum()
        for name in ("tuned-80", "tuned-8", "tuned-1", "scratch-8", "scratch-1")
    }
    assert [whole[f"tuned-{n}"] for n in (80, 8, 1)] == [5, 5, 4]
    assert whole["scratch-8"] == whole["scratch-1"] == 0


def test_density_with_eight_boxes_tuned_and_from_scratch(runs):
    found = {
        name: analysis.densities(runs["NPT"][f"water-{name}"][200:]).mean()
        for name in ("tuned-8", "tuned-80", "scratch-8")
    }
    assert 0.93 < found["tuned-80"] < 0.98  # g/cm³; revPBE0-D3: 0.940
    assert 1.02 < found["tuned-8"] / found["tuned-80"] < 1.05
    assert 0.82 < found["scratch-8"] / found["tuned-80"] < 0.87


def five(model):
    """D of five runs at 300 K in the box (1e-9 m²/s): their mean, its error, ratio.

    The ratio is that of their spread to the error over molecules of one.
    """
    value, error = column(model, (300.0, None), "diffusion").T
    spread = value.std(ddof=1)
    return value.mean(), spread / np.sqrt(5), spread / error.mean()


@pytest.fixture(scope="module")
def one(runs):
    """D of the one run of 35 ps (1e-9 m²/s, in the box), by model."""
    return {
        model: analysis.self_diffusion(
            frames[100:], 50.0, fit_window=(2000, 10_000)
        ).value
        for model, frames in runs["NVT"].items()
    }


def test_what_one_run_of_each_says_of_diffusion(one):
    reference = one["water-tuned-80"]
    for model in ("water-tuned-8", "water-scratch-8"):
        assert 1.2 < one[model] / reference < 1.5
    assert 0.4 < one[CLASSICAL] / reference < 0.65
    value, _ = column("water-scratch-8", (300.0, None), "diffusion").T
    assert value.min() > reference


def test_eight_boxes_are_too_few_for_diffusion():
    reference, uncertain, _ = five("water-tuned-80")
    for model, low, high in (("tuned-8", 1.5, 1.85), ("scratch-8", 1.85, 2.15)):
        mean, error, _ = five(f"water-{model}")
        assert low < mean / reference < high
        assert mean - reference > 4 * np.hypot(error, uncertain)
    assert five(CLASSICAL)[0] < 0.8 * reference


def test_runs_of_one_potential_differ_by_more_than_their_molecules_say(runs, one):
    mean, _, ratio = five("water-tuned-8")
    assert 3.0 < mean < 3.5
    assert ratio > 1.4
    ratios = [five(model)[2] for model in runs["NVT"]]
    assert 1.5 < np.sqrt(np.mean(np.square(ratios))) < 2.0
    of_20_ps = column("water-tuned-80", (300.0, None), "diffusion")[:, 0]
    of_35_ps = one["water-tuned-80"]
    assert of_35_ps > of_20_ps.max()
    assert of_35_ps > 1.3 * of_20_ps.mean()
    assert of_20_ps.min() < 0.7 * of_20_ps.mean()


def test_a_damaged_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "SHIPPED", tmp_path)
    for row in RUNS:
        (tmp_path / row["file"]).write_bytes(b"not what was shipped")
    monkeypatch.setattr(datasets, "card", lambda name: {"rows": RUNS})
    with pytest.raises(ValueError, match="SHA-256 is not the one in the card"):
        datasets.runs("water-runs")
