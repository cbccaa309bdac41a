"""The live run: it goes on, rests, follows its controls, and says how it ended."""

import time

import numpy as np
import openmm
import pytest
from ase import Atoms
from ase.build import molecule
from ase.constraints import FixAtoms

from tpainn_lite import analysis, dynamics, explorers, water
from tpainn_lite.explorers import base, viewers


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
    assert "<b>Stopped</b> at" in run._text.value
    assert "0 of 16 molecules broken" in run._text.value
    low, high = run.figure.layout.yaxis2.range
    assert 0.94 < low / 0.9 < 1 < high / 0.9 < 1.06  # not from 0 to 2


def test_it_says_its_state_and_begins_again(run):
    run.play.click()
    run.wait(3)
    run.play.click()
    time.sleep(0.5)
    assert "<b>Paused</b> at" in run._text.value
    first = run.frames
    run.again.click()
    assert run.playing
    run.wait(3)
    assert "<b>Running</b> at" in run._text.value
    assert run.frames is not first
    gap = run.frames[0].positions - first[0].positions
    assert np.abs(gap).max() > 0.01  # Å: other random numbers
    run.stop()
    run.wait(10**6)
    run.again.click()  # after the end, too
    assert run.playing


def test_controls_act_while_it_runs_in_one_context(run, monkeypatch):
    made, Context = [], openmm.Context
    count = lambda *args: made.append(1) or Context(*args)  # noqa: E731
    monkeypatch.setattr(openmm, "Context", count)
    run._longest = 20.0  # ps
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
    run.temperature.value = 300
    run.pressure.value = "10,000 bar"  # chosen in mid-run, it is felt and seen
    run.wait(360)
    density = analysis.densities(run.frames)
    assert density[-40:].mean() > 1.05 * density[120:160].mean()
    run.stop()
    run.wait(10**6)
    low, high = run.figure.layout.yaxis2.range
    assert low < density.min() < density.max() < high
    assert len(made) == 1


def test_no_stick_is_long_and_broken_molecules_are_red(box, monkeypatch):
    loaded, drawn, change = [], [], viewers.change

    def load(view, atoms, **how):
        loaded.append(atoms if isinstance(atoms, Atoms) else atoms[0])
        drawn.append((loaded[-1], loaded[-1].positions))
        change(view, atoms, **how)

    def move(view, coordinates):
        drawn.append((loaded[-1], coordinates[0]))

    monkeypatch.setattr(viewers, "change", load)
    monkeypatch.setattr(viewers.View, "set_coordinates", move)
    box.wrap()  # cuts molecules
    explorer = explorers.LiveMD(lambda *_: None, box)
    explorer._r, explorer.sides[0].g = [0.0], [0.0]
    for stretch in (1.0, 1.3, 1.43, 1.6, 2.5):  # of one bond in each of three molecules
        frame = explorer.molecules.start.copy()
        for oxygen in (0, 12, 45):
            arm = frame.positions[oxygen + 1] - frame.positions[oxygen]
            frame.positions[oxygen + 1] += (stretch - 1) * arm
        frame.info["kinetic_energy"] = 1.0
        explorer.frames.append(frame)
        explorer.show()
    assert len(loaded) == 2
    assert "3 of 16 molecules broken" in explorer._text.value
    for atoms, positions in drawn:  # sticks are those of what was loaded
        i, j = np.triu_indices(len(atoms), 1)
        apart = [
            np.linalg.norm(R[i] - R[j], axis=1) for R in (atoms.positions, positions)
        ]
        assert apart[1][apart[0] < 1.27].max(initial=0) < 1.5  # Å
    at_first = Atoms(loaded[0].numbers, loaded[0].positions)
    assert len(analysis.bonds(at_first)[0]) == 2 * 32
    found = [
        m for m in explorer.sides[0].view._ngl_msg_archive if viewers.RED in str(m)
    ]
    atoms = [oxygen + k for oxygen in (0, 12, 45) for k in range(3)]
    assert found[-1]["kwargs"]["sele"] == "@" + ",".join(map(str, atoms))


def test_a_fast_run_does_not_flood_the_page(run, monkeypatch):
    monkeypatch.setattr(base, "PAUSE", 1e9)
    drawn, draw = [], run.show

    def show(*state):
        drawn.append(len(run.frames))
        draw(*state)

    monkeypatch.setattr(run, "show", show)
    run.start()
    run.wait(20)
    run.stop()
    run.wait(10**6)
    assert drawn == [1, len(run.frames)]
    assert len(run.figure.data[0].x) == len(run.frames) >= 20


def wild(numbers, positions, cell):
    return 0.0, np.full_like(positions, np.nan)


def test_two_run_side_by_side_from_one_start(box):
    spc, tip = (
        water.water_system(water.MODELS[m], box) for m in ("spc-fw", "tip3p-flexible")
    )
    potentials = {"one": spc, "same": spc, "other": tip, "wild": wild}
    explorer = explorers.LiveMD(potentials, box, longest=0.125)
    both = explorer.left, explorer.right
    assert [control.value for control in both] == ["one", "same"]
    explorer.start()
    explorer.wait(10**6)
    one, same = explorer.sides
    assert len(one.frames) == len(same.frames) == 5
    moved = [np.array([a.positions for a in side.frames]) for side in (one, same)]
    np.testing.assert_allclose(*moved, atol=1e-4)  # the same seed; forces in float32
    for name, count in (("other", 5), ("wild", 0), ("nobody", 0), ("one", 0)):
        explorer.right.value = name
        assert not explorer.frames  # all begins again
        explorer.start()
        explorer.wait(10**6)
        assert len(explorer.frames) == 5  # whatever happens on the right
        assert [len(side.frames) for side in explorer.sides[1:]] == [count] * (
            name in ("other", "wild")
        )
        assert (
            "wild: 0 of 16 molecules broken; the run blew up" in explorer._text.value
        ) == (name == "wild")
        shown = {t.name for t in explorer.figure.data if t.visible and len(t.x)}
        assert shown == {"one"} | ({"other"} & {name})
    explorer.left.value = "wild"
    explorer.start()
    explorer.wait(10**6)
    assert isinstance(explorer.error, dynamics.BlowUp)
    explorer.close()


def test_a_run_that_blows_up_is_told(box):
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
