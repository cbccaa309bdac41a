"""The check of SPC/Fw: a small box measured for real, and the shipped result."""

import json

import numpy as np
import pytest

from tpainn_lite import analysis, datasets, water
from tpainn_lite.reproduce import spcfw


@pytest.fixture
def small(monkeypatch, tmp_path):
    """27 molecules for a few picoseconds."""
    monkeypatch.setattr(spcfw, "WORK", tmp_path / "work")
    monkeypatch.setattr(spcfw, "LENGTHS", {"npt": (3, 1), "nvt": (3, 1)})
    monkeypatch.setattr(spcfw, "FIT", (0.2, 0.9))
    monkeypatch.setattr(spcfw, "SHOWN", 1.0)
    return 27, 298.15


def test_a_small_box_is_measured_and_goes_on(small, tmp_path):
    paths = tmp_path / "1.out", tmp_path / "2.out"
    for path in paths:  # the second time from the recorded runs
        spcfw.compute("spcfw-liquid", small, path)
    one, two = (json.loads(p.read_text()) for p in paths)
    assert one == two
    density, error = one["density"]
    assert 0.7 < density < 1.3
    assert 0 < error < 0.2
    mass = 27 * water.water_box(1, density=1.0, seed=0).get_masses().sum()
    assert mass * 1.66054 / one["edge"] ** 3 == pytest.approx(density, rel=1e-4)
    assert np.diff(one["times"]) == pytest.approx(0.5)
    assert one["diffusion"][0] > 0
    spcfw.write("check", [paths[0]], tmp_path)
    assert json.loads((tmp_path / "check.json").read_text()).items() >= one.items()


def test_spc_fw_has_the_density_and_diffusion_quoted_for_it():
    """1.012 g/cm³ and 2.32e-9 m²/s: quoted for the paper's table, which we lack."""
    found = datasets.card("spcfw-liquid")
    density, error = found["density"]
    assert error < 0.003
    assert density == pytest.approx(1.012, abs=3 * error)
    assert found["temperature"] == pytest.approx(298.15, abs=3)
    D, error = found["diffusion"]
    assert error < 0.05
    corrected = D + analysis.yeh_hummer(found["edge"], 298.15, 0.89)
    assert corrected == pytest.approx(2.32, abs=3 * error)
