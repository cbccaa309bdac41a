"""Explorers without a browser: controls move figures, live trainings end and stop."""

import asyncio
import contextvars
import copy
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
from conftest import SMALL
from ipywidgets import ValueWidget, Widget
from plotly.basedatatypes import BaseFigure

from tpainn_lite import explorers, ridge_head, tune, water
from tpainn_lite.data import split
from tpainn_lite.explorers import base, live
from tpainn_lite.explorers.low_data import HEAD, STRATEGIES
from tpainn_lite.model import Potential, PotentialConfig
from tpainn_lite.train import FitConfig, evaluate, fit

PRIOR = dict.fromkeys((1, 6, 8), 0.0)
CONFIG = FitConfig(steps=12, batch_size=2)


@pytest.fixture
def small():
    return Potential(SMALL, PRIOR, seed=0)


@pytest.fixture
def grid():
    """Invented errors that fall with n and rise with the seed."""
    arms = [(arm, CONFIG.steps) for arm in tune.ARMS] + [("scratch", 5 * CONFIG.steps)]
    rows = []
    for k, (arm, steps) in enumerate(arms):
        for n, seed in np.ndindex(2, 3):
            row = {"arm": arm, "n": 3 * n + 3, "seed": seed, "steps": steps}
            error = 100.0 * (k + 1) / row["n"] + seed
            rows.append(row | {"force_mae": error, "energy_mae_kcal": error / 10})
    configs = dict.fromkeys(("scratch", "tuned"), asdict(CONFIG))
    return {"configs": configs, "rows": rows}


@pytest.fixture
def make(ethanols, small):
    """Make a low-data explorer of a grid."""
    data = ethanols[:6], ethanols[6:], small, PRIOR
    return lambda grid, **options: explorers.LowData(grid, *data, **options)


@pytest.fixture
def low_data(grid, make):
    return make(grid)


def move(explorer, **values):
    for name, value in values.items():
        getattr(explorer, name).value = value


def trace(explorer, name: str):
    return next(t for t in explorer.figure.data if t.name == name)


def count(on_epoch):
    """Train nothing, for 10 s at most."""
    for epoch in range(1, 1000):
        if on_epoch(None, [{"epoch": epoch, "step": epoch, "loss": 1.0}]):
            break
        time.sleep(0.01)
    return epoch


def live_fit(small, ethanols, steps: int):
    """A training in the background, and the function that it calls."""
    config = FitConfig(steps=steps, batch_size=2)
    start = partial(fit, small, ethanols[:6], config, seed=0, valid=ethanols[6:])
    return live.LiveTraining(lambda on_epoch: start(on_epoch=on_epoch), steps), start


def test_live_training_gives_what_fit_gives(small, ethanols):
    training, start = live_fit(small, ethanols, 12)
    potential, history = training.result()
    expected, _ = start()
    for a, b in zip(potential.parameters(), expected.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach(), b.detach())
    assert not training.running
    assert training._bar.value == training.steps == 12
    assert "Finished" in training._text.value
    loss, valid = training.figure.data
    np.testing.assert_array_equal(loss.x, history.column("epoch"))
    np.testing.assert_allclose(loss.y, history.column("loss"))
    np.testing.assert_allclose(valid.y, history.column("force_mae"))


def test_a_race_gives_what_each_training_gives_and_draws_what_is_measured(
    small, ethanols
):
    config, other = (FitConfig(steps=6, batch_size=2, lr=lr) for lr in (1e-3, 1e-2))
    start = partial(fit, small, ethanols[:4], seed=0)
    starts = dict(slow=partial(start, config=config), fast=partial(start, config=other))
    calls = {k: lambda on_epoch, s=s: s(on_epoch=on_epoch) for k, s in starts.items()}
    measure = lambda potential: evaluate(potential, ethanols[6:]).force_mae  # noqa: E731
    race = live.Race(calls, 6, measure, "force error (meV/Å)", every=3)
    for (name, start), drawn in zip(starts.items(), race.figure.data, strict=True):
        potential, _ = race.result()[name]
        expected, _ = start()
        for a, b in zip(potential.parameters(), expected.parameters(), strict=True):
            np.testing.assert_array_equal(a.detach(), b.detach())
        assert (drawn.name, [*drawn.x]) == (name, [2, 4, 6])
        assert drawn.y[-1] == pytest.approx(measure(expected))


def test_threads_run_in_the_context_of_who_starts_them():
    """Widgets of ipykernel 7.0, on Binder, ask it for the cell that they belong to."""
    cell = contextvars.ContextVar("cell")
    cell.set("here")

    def train(on_epoch):
        return cell.get()

    calls = dict(one=train, other=train)
    race = live.Race(calls, 1, lambda potential: 0.0, "error")
    assert race.result() == dict.fromkeys(calls, "here")


def test_stop_ends_soon_and_keeps_the_best_weights(small, ethanols):
    training, _ = live_fit(small, ethanols, 100_000)
    while len(training.rows) < 3:
        time.sleep(0.02)
    asked = time.monotonic()
    training._button.click()
    assert training._text.value.startswith(("Stopping", "<b>Stopped"))  # at once
    potential, history = training.result()
    assert time.monotonic() - asked < 3
    assert training.stopped
    assert "Stopped" in training._text.value
    best = np.nanmin(history.column("force_mae"))
    assert evaluate(potential, ethanols[6:]).force_mae == pytest.approx(best, rel=1e-4)


def test_interrupting_the_wait_stops_and_keeps(monkeypatch):
    training = live.LiveTraining(count, 1000)
    join, calls = training._thread.join, iter([KeyboardInterrupt])

    def interrupted(timeout=None):
        for error in calls:
            raise error
        join(timeout)

    monkeypatch.setattr(training._thread, "join", interrupted)
    assert training.result() < 999
    assert training.stopped


def test_a_cell_that_awaits_leaves_the_loop_free_and_a_cancel_keeps():
    async def cell(training):
        return await training

    async def page(act):
        training = live.LiveTraining(count, 1000)
        waiting = asyncio.create_task(cell(training))
        await asyncio.sleep(0.2)
        assert training.running
        act(training, waiting)
        return await waiting

    clicked = asyncio.run(page(lambda training, _: training._button.click()))
    interrupted = asyncio.run(page(lambda _, waiting: waiting.cancel()))
    assert max(clicked, interrupted) < 999


def test_an_error_is_shown_in_words_and_raised_again():
    def start(on_epoch):
        raise ValueError("frames: needs <b>labels")

    training = live.LiveTraining(start, 12)
    with pytest.raises(ValueError, match="needs <b>labels"):
        training.result()
    assert "Failed" in training._text.value
    assert "needs &lt;b&gt;labels" in training._text.value
    with pytest.raises(ValueError, match="steps: needs a whole number"):
        live.LiveTraining(start, 0)


def test_rotation_turns_forces_and_keeps_energy(ethanol):
    potential = Potential(PotentialConfig(), PRIOR, seed=0).eval()
    explorer = explorers.Rotation(potential, ethanol)
    view = explorer._box.children[0]
    explorer.angle.value = 90
    x, y, z = ethanol.positions.T - ethanol.positions.mean(axis=0)[:, None]
    moved, forces, expected = explorer.drawn
    np.testing.assert_allclose(moved.positions.T, [-y, x, z], atol=1e-12)
    np.testing.assert_allclose(forces, expected, atol=1e-4)
    assert explorer._box.children[0] is view
    shapes = view._ngl_msg_archive[-1]["args"][1]
    np.testing.assert_allclose([s[1] for s in shapes[:9]], moved.positions)
    explorer.angle.value = 70
    for axis in "xyz":
        for mirror in (False, True):
            explorer.axis.value, explorer.mirror.value = axis, mirror
            numbers = explorer.numbers
            assert abs(numbers["after"] - numbers["before"]) < 1e-4
            assert numbers["deviation"] < 1e-4
            assert numbers["change"] > 100 * numbers["deviation"]


def test_rotation_shows_a_potential_that_is_not_equivariant(ethanol):
    class Wind:
        def energy_forces(self, numbers, positions, cell=None):
            if positions[0, 0] > 5:
                raise ValueError("outside <here>")
            return -positions[:, 0].sum(), np.eye(3)[[0] * len(positions)]

    explorer = explorers.Rotation(Wind(), ethanol)
    explorer.angle.value = 90
    assert explorer.numbers["deviation"] == pytest.approx(np.sqrt(2))
    explorer._atoms.positions += 10.0  # and a move that fails says so
    explorer.angle.value = 0
    assert "Error: outside &lt;here&gt;" in explorer._text.value
    assert isinstance(explorer.error, FloatingPointError)
    explorer._atoms.positions -= 10.0
    explorer.angle.value = 5
    assert explorer.error is None


def test_low_data_shows_the_grid_at_once(low_data):
    tuned = trace(low_data, "tuned")
    np.testing.assert_allclose(tuned.x, [3, 6])
    np.testing.assert_allclose(tuned.y, [400 / 3 + 1, 400 / 6 + 1])
    np.testing.assert_allclose(tuned.error_y.array, 1)
    assert trace(low_data, "scratch, 5x longer") is not None
    move(low_data, arm="tuned", n=6, seed=2)
    chosen = trace(low_data, "chosen point")
    np.testing.assert_allclose([*chosen.x, *chosen.y], [6, 400 / 6 + 2])
    low_data.quantity.value = "energy MAE"
    np.testing.assert_allclose(tuned.y, [40 / 3 + 0.1, 40 / 6 + 0.1])
    np.testing.assert_allclose(tuned.error_y.arrayminus, 0.1)
    assert "kcal/mol" in low_data.figure.layout.yaxis.title.text
    elsewhere = {"seed": 7}, {"seed": 0, "lr": 3e-3}
    for change in (*elsewhere, {"lr": CONFIG.lr, "strategy": "instant head"}):
        move(low_data, **change)
        assert len(trace(low_data, "chosen point").x) == 0
        assert "not in the grid" in low_data._text.value


def test_five_curves_of_many_are_drawn(grid, make):
    """Rivals have curves, cannot be trained here, and push no other curve aside."""
    rivals = [r | {"arm": "MMFF94"} for r in grid["rows"] if r["arm"] == "composition"]
    rivals += [r | {"arm": "delta"} for r in rivals]
    grid["rows"] = rivals + grid["rows"]
    explorer = make(grid)
    shown = lambda: {t.name for t in explorer.figure.data if t.visible is True}  # noqa: E731
    first = {"tuned", "scratch", "scratch, 5x longer", "zero-shot", "MMFF94"}
    assert shown() == first
    assert set(explorer.arm.options) == {*first, "delta", "composition"}
    explorer.curves.value = explorer.curves.options
    assert shown() == first
    move(explorer, curves=("delta",), arm="delta", n=6)
    assert shown() == {"delta"}
    assert len(trace(explorer, "chosen point").x) == 1
    explorer.train.click()
    assert "arm: needs one of" in explorer._text.value
    assert not explorer.training
    explorer.arm.value = "MMFF94"
    assert "Settings" not in explorer._text.value


def test_settings_of_each_size_are_those_of_its_rows(grid, make, ethanols, small):
    """The arm for energies is "tuned" by other settings, which change with n."""
    rates = {3: 2e-3, 6: 5e-4}
    for row in [r for r in grid["rows"] if r["arm"] == "tuned"]:
        how = asdict(replace(CONFIG, lr=rates[row["n"]], energy_weight=0.5))
        grid["rows"].append(row | {"arm": "tuned for energies", "config": how})
    explorer = make(grid)
    explorer.arm.value = "tuned for energies"
    for n, rate in rates.items():
        explorer.n.value = n
        assert explorer.lr.value == rate
        assert "weight of energies 0.5" in explorer._text.value
        assert len(trace(explorer, "chosen point").x) == 1
    found = explorer.start().result()["potential"]
    (frames,) = split(ethanols[:6], 6, seed=0)
    how = replace(CONFIG, lr=5e-4, energy_weight=0.5)
    expected, _ = tune.autotune(small, frames, PRIOR, how, seed=0)
    energies = (potential.predict(ethanols)[0] for potential in (found, expected))
    np.testing.assert_array_equal(*energies)


def test_a_point_trained_live_gets_its_star(low_data, ethanols):
    move(low_data, arm="tuned", n=3, seed=4, lr=3e-3)
    low_data.train.click()
    low_data.n.value = 6  # moving on does not change what is being trained
    star = low_data.training.result()
    assert (star["arm"], star["n"], star["lr"], star["seed"]) == ("tuned", 3, 3e-3, 4)
    assert evaluate(star["potential"], ethanols[6:8]) == star["errors"]
    drawn = trace(low_data, "trained here")
    np.testing.assert_allclose([*drawn.x, *drawn.y], [3, star["errors"].force_mae])
    assert "Star 1</th><td>tuned, n = 3, " in low_data._text.value
    assert not low_data.train.disabled
    low_data.arm.value = "zero-shot"  # no optimiser step at all
    low_data.start().result()
    assert len(trace(low_data, "trained here").x) == 2
    low_data.arm.value = "scratch, 5x longer"
    training = low_data.start()
    assert low_data.start() is training
    training.stop()
    training.result()
    assert "stopped early" in low_data._text.value


@pytest.mark.parametrize("strategy", [*STRATEGIES, HEAD])
def test_a_point_is_trained_by_the_chosen_strategy(low_data, ethanols, small, strategy):
    move(low_data, arm="tuned", n=3, strategy=strategy)
    found = low_data.start().result()["potential"]
    (frames,) = split(ethanols[:6], 3, seed=0)
    how = ridge_head.HeadConfig()
    if strategy != HEAD:
        how = replace(CONFIG, **STRATEGIES[strategy])
    expected, _ = tune.autotune(small, frames, PRIOR, how, seed=0)
    np.testing.assert_array_equal(*(p.predict(ethanols)[0] for p in (found, expected)))
    assert f"Star 1</th><td>tuned, n = 3, {strategy}, rate" in low_data._text.value


def test_an_arm_with_a_teacher_of_its_own_is_not_trained(grid, make):
    again = [r | {"arm": "tuned, other"} for r in grid["rows"] if r["arm"] == "tuned"]
    grid["rows"] += again
    explorer = make(grid)
    explorer.arm.value = "tuned, other"
    with pytest.raises(ValueError, match="arm: needs one of .* got 'tuned, other'"):
        explorer.start()


def test_a_point_that_cannot_be_trained_says_why(grid, make):
    grid["rows"] += [row | {"n": 60} for row in grid["rows"]]
    explorer = make(grid)
    explorer.n.value = 60
    with pytest.raises(ValueError, match="sizes: needs a sum of at most 6"):
        explorer.start().result()
    assert "sizes: needs a sum of at most 6" in explorer.training._text.value
    assert not explorer.stars
    assert not explorer.train.disabled


def test_two_explorers_do_not_disturb_each_other(grid, make):
    one, two = make(grid), make(grid)
    before = str(two.figure.to_dict())
    one.n.value = 6
    one.start().result()
    assert [s["n"] for s in one.stars] == [6]
    assert not two.stars
    two.draw()
    assert str(two.figure.to_dict()) == before
    assert not {w.model_id for w in widgets(one)} & {w.model_id for w in widgets(two)}


def widgets(explorer) -> list[Widget]:
    found, queue = [], [explorer.widget]
    while queue:
        found.append(queue.pop())
        queue += getattr(found[-1], "children", ())
    return found


def again(make, explorer):
    """`make(before=explorer)`, whose controls, text and figure are `explorer`'s."""
    new = make(before=explorer)
    for name, control in vars(explorer).items():
        if not name.startswith("_") and isinstance(control, ValueWidget):
            assert getattr(new, name).value == control.value, name
    about, was = (e._text.value.partition("Solved in")[0] for e in (new, explorer))
    assert about == was
    for one, its in zip(widgets(new), widgets(explorer), strict=True):
        assert one is not its
        if isinstance(one, BaseFigure):
            for new_line, line in zip(one.data, its.data, strict=True):
                np.testing.assert_array_equal(np.array(new_line.y), np.array(line.y))
    return new


def test_low_data_made_again_keeps_controls_stars_and_training(low_data, grid, make):
    move(low_data, arm="scratch", n=6, lr=3e-3)
    low_data.start().result()
    low_data.quantity.value = "energy MAE"
    new = make(grid, before=low_data)
    assert (new.arm.value, new.n.value, new.lr.value) == ("scratch", 6, 3e-3)
    assert len(new.stars) == len(trace(new, "trained here").x) == 1
    fewer = copy.deepcopy(grid)
    fewer["rows"] = [row for row in grid["rows"] if row["n"] == 3]
    other = make(fewer, before=new)
    assert other.n.value == 3  # 6 is not offered
    assert other.arm.value == "scratch"
    assert not other.stars
    new.arm.value = "scratch, 5x longer"
    training = new.start()
    last = make(grid, before=new)
    assert last.start() is last.training is training
    training.result()
    assert len(last.stars) == len(trace(last, "trained here").x) == 2
    assert not last.train.disabled


def test_the_others_made_again_go_on(small, ethanol, ethanols, low_data):
    turn = partial(explorers.Rotation, small, ethanol)
    assert turn(before=low_data).angle.value == 0  # that is another kind
    explorer = turn()
    move(explorer, axis="x", angle=35, mirror=True)
    again(turn, explorer)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), rng.normal(size=60)
    make = partial(explorers.SelectionMap, X, y, "eV")
    explorer = make()
    move(explorer, method="random", n=7, length=16.0, seed=4)
    new = again(make, explorer)
    np.testing.assert_array_equal(new.chosen, explorer.chosen)
    make = partial(explorers.Rounds, X[:40], y[:40], "eV", (X[40:], y[40:]))
    explorer = make(np.arange(5))
    explorer.way.value = "random"
    explorer.step()
    new = again(partial(make, np.arange(5)), explorer)
    assert len(new.errors["random"]) == 2
    assert len(make(np.arange(6), before=new).errors["random"]) == 1


def test_every_control_has_a_label_and_a_sentence(low_data, ethanol, small, ethanols):
    parity = explorers.Parity(ethanols, {"small": small})
    for explorer in (low_data, explorers.Rotation(small, ethanol), parity):
        for control in explorer.widget.children[0].children:
            assert control.description
            assert control.tooltip.endswith(".")


def test_twins_are_made_only_in_the_authors_build(low_data, monkeypatch):
    monkeypatch.delenv("TPAINN_STATIC", raising=False)
    training = live.LiveTraining(lambda on_epoch: None, 1)
    assert low_data.twin() is None
    assert training.twin() is None
    monkeypatch.setenv("TPAINN_STATIC", "1")
    pictures = []
    to_image = lambda self, **_: pictures.append(self) or b"png"  # noqa: E731
    monkeypatch.setattr(BaseFigure, "to_image", to_image)
    assert low_data.twin() == training.twin() == b"png"
    assert pictures == [low_data.figure, training.figure]


def closed(make):
    explorer = make()
    explorer.close()
    return explorer


def test_a_hundred_explorers_closed_leave_no_thread(low_data, small, ethanol):
    box = water.water_box(8, seed=0)
    potential = water.water_system(water.MODELS["spc-fw"], box)
    before = {*threading.enumerate()}
    for k in range(25):
        closed(partial(explorers.Rotation, small, ethanol))
        closed(partial(live.LiveTraining, count, 1000))
        run = explorers.LiveMD(potential, box)
        run.start()
        if k % 2:
            run.pause()
        run.close()
        low_data.training = live.LiveTraining(count, 1000)
        low_data.close()
    assert {*threading.enumerate()} <= before


LEAVE = """
import atexit  # the first that is registered runs last
atexit.register(lambda: print(run.running, training.running))
from tpainn_lite import explorers, water
from tpainn_lite.explorers import live
def epochs(on_epoch):
    while not on_epoch(None, [{"epoch": 1, "step": 1, "loss": 1.0}]):
        pass
box = water.water_box(8, seed=0)
system = water.water_system(water.MODELS["spc-fw"], box)
run = explorers.LiveMD(system, box, longest=1e9)
run.start()
training = live.LiveTraining(epochs, 1)
run.wait(1)
print(len(run.frames) > 0, run.running, training.running, flush=True)
"""


def test_threads_end_before_python_does():
    """Else it could abort in the middle of what they compute."""
    run = [sys.executable, "-W", "ignore", "-c", LEAVE]
    done = subprocess.run(run, capture_output=True, text=True, timeout=100)
    expected = "True True True\nFalse False\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_what_a_button_or_a_thread_fails_with_is_shown(low_data, monkeypatch):
    def fail(*_, **how):
        raise ValueError("n: <b>none</b>")

    monkeypatch.setattr(explorers.low_data.live, "LiveTraining", fail)
    low_data.train.click()
    assert "n: &lt;b&gt;none" in low_data._text.value
    assert isinstance(low_data.error, ValueError)
    monkeypatch.undo()
    training = live.LiveTraining(lambda on_epoch: None, 1, on_end=fail)
    with pytest.raises(ValueError, match="none"):
        training.result()
    assert "n: &lt;b&gt;none" in training._text.value


def test_no_html_of_a_file_is_live_in_a_table():
    rows = {"<i>a</i>": "<script>alert(1)</script>"}
    assert "<script" not in base.table(rows)
    assert "&lt;i&gt;a" in base.table(rows)
