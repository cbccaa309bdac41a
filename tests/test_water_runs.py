"""The shipped runs of water: long, sound and whole. What they show: claims/06.py."""

import numpy as np
import pytest

from tpainn_lite import analysis, datasets, units

RUNS = datasets.card("water-runs")["rows"]


@pytest.fixture(scope="module")
def runs():
    return datasets.runs("water-runs")


def test_they_are_small_and_long(runs):
    files = [datasets.SHIPPED / row["file"] for row in RUNS]
    assert sum(file.stat().st_size for file in files) < 8e6
    for kind, length, dt in (("NVT", 35.0, 50.0), ("NPT", 60.0, 100.0)):
        assert len(runs[kind]) == 4
        for frames in runs[kind].values():
            times = np.array([a.info["time_fs"] for a in frames])
            np.testing.assert_allclose(np.diff(times), dt)
            assert times[-1] == 1000 * length
            assert frames[0].get_chemical_formula() == "H128O64"


@pytest.mark.parametrize("kind", ["NVT", "NPT"])
def test_they_are_sound(runs, kind):
    for frames in runs[kind].values():
        assert (np.ptp(analysis.densities(frames)) < 1e-9) == (kind == "NVT")
        kinetic = [a.info["kinetic_energy"] for a in frames[len(frames) // 3 :]]
        mean, error = analysis.mean_and_error(kinetic)
        expected = 1.5 * len(frames[0]) * units.KB * 300
        assert abs(mean - expected) < 4 * error + 0.01 * expected
        for atoms in frames[::20]:  # no molecule is broken
            assert np.linalg.norm(analysis.bond_vectors(atoms), axis=1).max() < 1.3


def test_runs_of_one_potential_differ_by_more_than_their_molecules_say():
    rows = datasets.card("water-stability")["rows"]
    ratios = []
    for model in {row["model"] for row in RUNS}:
        still = [r for r in rows if r["model"] == model and not r["pressure"]]
        value, error = np.array([r["diffusion"] for r in still]).T
        assert len(value) == 5
        ratios.append(value.std(ddof=1) / error.mean())
    assert 1.5 < np.sqrt(np.mean(np.square(ratios))) < 2.0


def test_a_damaged_run_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "SHIPPED", tmp_path)
    for row in RUNS:
        (tmp_path / row["file"]).write_bytes(b"not what was shipped")
    monkeypatch.setattr(datasets, "card", lambda name: {"rows": RUNS})
    with pytest.raises(ValueError, match="altered or truncated"):
        datasets.runs("water-runs")
