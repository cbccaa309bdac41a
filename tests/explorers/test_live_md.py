"""The live run: it goes on, rests, follows its controls, and says how it ended."""

import time

import numpy as np
import openmm
import pytest
from ase.build import molecule
from ase.constraints import FixAtoms

from tpainn_lite import analysis, dynamics, explorers, water
from tpainn_lite.explorers import base


@pytest.fixture
def box():
    return water.water_box(16, density=0.9, seed=0)


@pytest.fixture
def run(box):
    explorer = explorers.LiveMD(water.water_system(water.MODELS["spc-fw"], box), box)
    yield explorer
    explorer.stop()
    explorer.wait(10**6)


def test_it_runs_rests_and_stops(run):
    assert not run.running
    run.play.click()
    run.wait(5)
    run.play.click()  # pause
    time.sleep(0.5)  # the frame under way
    rested = len(run.frames)
    time.sleep(0.5)
    assert len(run.frames) == rested >= 5
    assert run.running
    run.play.click()
    run.wait(rested + 3)
    run.halt.click()
    run.wait(10**6)
    assert not run.running
    assert run.error is None
    n = len(run.frames)
    assert n >= rested + 3
    temperature, density, structure = run.figure.data
    np.testing.assert_allclose(temperature.y, dynamics.temperatures(run.frames))
    np.testing.assert_allclose(density.y, analysis.densities(run.frames))
    _, g = analysis.rdf(run.frames, 8, 8, r_max=run._reach, bins=60)
    np.testing.assert_allclose(structure.y, g, atol=1e-12)
    assert temperature.x[-1] == pytest.approx(n * 25e-3)
    assert "Stopped" in run._text.value


def test_controls_act_while_it_runs_in_one_context(run, monkeypatch):
    made, Context = [], openmm.Context
    count = lambda *args: made.append(1) or Context(*args)  # noqa: E731
    monkeypatch.setattr(openmm, "Context", count)
    run.temperature.value = 100
    run.start()
    run.wait(40)
    run.temperature.value = 700
    run.pressure.value = "1 bar"
    run.wait(160)
    kelvin = dynamics.temperatures(run.frames)
    assert kelvin[120:160].mean() > 2 * kelvin[20:40].mean()
    volumes = [a.get_volume() for a in run.frames]
    assert np.ptp(volumes[:40]) == 0 < np.ptp(volumes[60:])
    assert len(made) == 1


def test_a_fast_run_does_not_flood_the_page(run, monkeypatch):
    monkeypatch.setattr(base, "PAUSE", 1e9)
    drawn, draw = [], run.show
    monkeypatch.setattr(run, "show", lambda: drawn.append(len(run.frames)) or draw())
    run.start()
    run.wait(20)
    run.stop()
    run.wait(10**6)
    assert drawn == [1, len(run.frames)]
    assert len(run.figure.data[0].x) == len(run.frames) >= 20


def test_a_run_that_blows_up_is_told(box):
    def wild(numbers, positions, cell):
        return 0.0, np.full_like(positions, np.nan)

    explorer = explorers.LiveMD(wild, box)
    explorer.start()
    explorer.wait(10**6)
    assert isinstance(explorer.error, dynamics.BlowUp)
    assert "blew up" in explorer._text.value


def test_what_cannot_run_is_refused_at_once(box):
    with pytest.raises(ValueError, match="potential: needs a Potential, an ASE cal"):
        explorers.LiveMD("spc-fw", box)
    with pytest.raises(ValueError, match="atoms: needs a periodic box with oxygens"):
        explorers.LiveMD(lambda *_: None, molecule("H2O"))
    box.set_constraint(FixAtoms([0]))
    with pytest.raises(ValueError, match=r"atoms: .* constraints .*\(FixAtoms\)"):
        explorers.LiveMD(lambda *_: None, box)


def test_distances_are_counted_up_to_the_height_of_the_box(box):
    box.set_cell([[8, 0, 0], [6, 8, 0], [0, 0, 9]], scale_atoms=True)  # |b| is 10 Å
    run = explorers.LiveMD(lambda *_: None, box)  # b - a is shorter: (-2, 8, 0)
    assert run._reach == pytest.approx(0.42 * 64 / 68**0.5)


def test_made_again_it_keeps_its_controls_stops_the_run_before_and_ends(run, box):
    run.temperature.value, run.pressure.value = 425, "1 bar"
    run.start()
    run.wait(2)
    system = water.water_system(water.MODELS["spc-fw"], box)
    new = explorers.LiveMD(system, box, longest=0.125, before=run)
    assert (new.temperature.value, new.pressure.value) == (425, "1 bar")
    run.wait(10**6)
    assert not run.running
    assert not new.running
    for _ in range(2):  # after `longest` ps there is no more
        new.start()
        new.wait(10**6)
        assert len(new.frames) == 5
