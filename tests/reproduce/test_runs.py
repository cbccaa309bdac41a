"""The runs of water that ship: recorded, judged, packed; and how they can end."""

import json
from dataclasses import replace

import ase.io
import numpy as np
import pytest

from tpainn_lite import analysis, datasets, engine, water
from tpainn_lite.model import Potential
from tpainn_lite.reproduce import runs

CLASSICAL = runs.Run(runs.CLASSICAL, 300.0, 1.0, 1.0, 0)
LEARNED = runs.Run("water-qtip4pf", 300.0, None, 0.1, 0)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Twelve molecules instead of 64, recorded in a folder of the test."""
    monkeypatch.setattr(runs, "MOLECULES", 12)  # 7.1 Å: room for 3.5
    monkeypatch.setattr(runs, "WORK", tmp_path / "work")
    runs.start.cache_clear()
    yield tmp_path
    runs.start.cache_clear()


def test_a_run_is_packed_and_goes_on_from_its_recording(small):
    (small / "one").write_bytes(runs.compute("water-runs", CLASSICAL))
    frames = datasets.unpacked((small / "one").read_bytes())
    assert len(frames) == 10  # of 20, every second
    assert len({a.get_volume() for a in frames}) > 5  # NPT
    again = runs.compute("water-runs", CLASSICAL)  # all frames are recorded
    assert (small / "one").read_bytes() == again


def test_a_run_that_ships_no_frames_tells_its_density(small, monkeypatch):
    monkeypatch.setattr(runs, "DENSE", 0.2)
    monkeypatch.setattr(runs, "BLOCK", 0.2)
    monkeypatch.setattr(runs, "SETTLE", 0.0)
    monkeypatch.setattr(runs, "FIT", (0.2, 0.9))
    monkeypatch.setattr(runs, "G_OO", dict(r_max=3.0, bins=6))
    task = runs.Run(runs.CLASSICAL, 300.0, 1.0, 2.0, 0)
    (row,) = runs.compute("water-densities", task)
    frames = datasets.unpacked(runs.compute("water-runs", task))  # the same run
    density = analysis.densities(frames)  # every 0.1 ps
    assert row["density"] == pytest.approx(analysis.mean_and_error(density[2:]))
    assert row["blocks"] == pytest.approx(density.reshape(10, 2).mean(axis=1))
    R = analysis.unwrap([water.scaled(a, density.mean()) for a in frames])
    R -= np.average(R, axis=1, weights=frames[0].get_masses())[:, None]
    lags = [((R[k:] - R[:-k])[:, ::3] ** 2).sum(axis=2).mean() for k in range(2, 10)]
    slope = np.polyfit(range(8), lags, 1)[0]  # Å² in 0.1 ps
    assert row["diffusion"][0] == pytest.approx(100 * slope / 6, rel=1e-4)
    assert row["g"][0] == 0 < row["g"][-1]


def test_a_calibrated_model_and_a_larger_box_run_too(small):
    (box,) = datasets.load("water-dft")["test"][:1]
    missed = {}
    for model in (runs.CLASSICAL, *runs.CALIBRATED):
        potential = replace(CLASSICAL, model=model).potential(box)
        _, forces = engine.system_energy_forces(potential, box)(
            box.numbers, box.positions, box.cell.array
        )
        missed[model] = np.abs(forces - box.get_forces()).mean()  # eV/Å
    published, *calibrated = missed.values()
    assert max(calibrated) < published / 2.5
    assert len({*calibrated}) == 3  # three draws of the boxes
    run = replace(CLASSICAL, model="q-tip4p-f-calibrated-1", length=0.1, molecules=16)
    frames, ended = runs.simulate(run)
    assert (len(frames), len(frames[0]), ended) == (2, 48, "")
    assert run.name == "q-tip4p-f-calibrated-1-npt-16-300K-0"
    held = replace(CLASSICAL, pressure=None, held=0.9, length=0.1)
    assert held.name == "q-tip4p-f-nvt-0.9-300K-0"
    assert analysis.densities(runs.simulate(held)[0]) == pytest.approx([0.9, 0.9])


def test_shipped_densities_are_those_of_the_shipped_frames():
    rows = {}
    for row in datasets.card("water-densities")["rows"]:
        rows.setdefault(row["model"], row)  # the first run of each
    frames = datasets.runs("water-runs")["NPT"]
    for run in runs.RUNS["water-runs"][len(frames) :]:
        blocks = runs.dense(run, frames[run.model])["blocks"]  # it went on after them
        assert len(blocks) == 30
        assert blocks == pytest.approx(rows[run.model]["blocks"][:30], rel=1e-9)


def test_runs_of_fixed_volume_have_the_density_of_their_potential():
    rows = [r for r in datasets.card("water-densities")["rows"] if r["length"] == 100]
    for run in runs.RUNS["water-diffusion"]:
        found = [r["density"][0] for r in rows if r["model"] == run.model]
        assert run.held == pytest.approx(np.mean(found), abs=0.005)


def test_energy_is_kept_without_a_thermostat_and_ripples_by_the_step_squared(
    small, monkeypatch
):
    monkeypatch.setattr(runs, "FREE", 2.0)
    task, found = runs.Run(runs.CLASSICAL, 300.0, None, 0.5, 0), {}
    for step in (1.0, 0.25):
        (row,) = runs.compute("water-step", replace(task, timestep=step))
        drift, found[step] = row["drift"]  # meV/atom/ps
        assert abs(drift) < 0.2
    assert 6 < found[1.0] / found[0.25] < 40


def test_a_learned_potential_survives_and_is_looked_at(small):
    (row,) = runs.compute("water-stability", LEARNED)
    assert (row["survived"], row["intact"], row["ended"]) == (0.1, 0.1, "")
    (file,) = (small / "work/water-runs").glob("*.traj")
    last = ase.io.read(file, -1)
    bonds = [
        last.get_distance(o, o + k, mic=True) for o in range(0, 36, 3) for k in (1, 2)
    ]
    assert runs.longest_bond(last) == pytest.approx(max(bonds), abs=1e-6)
    assert 0.9 < max(bonds) < 1.2  # Å


def test_a_run_that_blows_up_says_when_and_why(small, monkeypatch):
    known = datasets.checkpoint(LEARNED.model)
    wild = Potential(known.config, known.reference_energies, seed=0)
    for parameter in wild.readout.parameters():
        parameter.data *= 100
    monkeypatch.setattr(datasets, "checkpoint", lambda name: wild)
    (row,) = runs.compute("water-stability", LEARNED)
    assert row["intact"] <= row["survived"] < 0.1
    assert row["ended"]
    with pytest.raises(ValueError, match="water-qtip4pf-nvt-300K-0: blew up after"):
        runs.compute("water-runs", LEARNED)


def test_a_small_box_of_spc_fw_is_measured_and_goes_on(small):
    few = runs.SPC_FW | dict(molecules=27, fit=(0.2, 0.9), shown=1.0)
    few["lengths"] = {"npt": (3, 1), "nvt": (3, 1)}
    one = runs.compute("spcfw-liquid", few)
    assert one == runs.compute("spcfw-liquid", few)  # from the recorded runs
    density, error = one["density"]
    assert 0.7 < density < 1.3
    assert 0 < error < 0.2
    mass = 27 * water.water_box(1, density=1.0, seed=0).get_masses().sum()
    assert mass * 1.66054 / one["edge"] ** 3 == pytest.approx(density, rel=1e-4)
    assert np.diff(one["times"]) == pytest.approx(0.5)
    assert one["diffusion"][0] > 0
    (small / "part").write_text(json.dumps(one))
    card = runs.write("spcfw-liquid", [small / "part"], small)
    assert set(card) == set(datasets.card("spcfw-liquid")) - {"name", "command"}


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
