"""Explorers in a browser: controls move figures, trainings end and stop, clicks show.

Every notebook here has two explorers of a kind; what is done to the first must leave
the second as it was.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tpainn_lite.course import normalise

browser = pytest.importorskip("browser", reason="needs playwright")
pytestmark = pytest.mark.browser
slow = pytest.mark.slow  # `make test` keeps one of these
STOPS_WITHIN = 3  # s: what the lessons promise of every Stop
LOW_DATA = """
from tpainn_lite import datasets, explorers
sets, teacher = datasets.load("molecules-dft"), datasets.checkpoint("molecules-mmff94")
grid, free = datasets.card("molecules-grid"), datasets.atomic_energies("molecules-dft")
def make():
    return explorers.LowData(grid, sets["pool"], sets["test"][:8], teacher, free)"""
ROTATION = """
from tpainn_lite import datasets, explorers
def make():
    atoms = datasets.load("ethanol-dft")["test"][0]
    return explorers.Rotation(datasets.checkpoint("molecules-mmff94"), atoms)"""
REFIT = """
from tpainn_lite import datasets, explorers, tune
sets, free = datasets.load("ethanol-dft"), datasets.atomic_energies("ethanol-dft")
few = sets["pool"][:12]
student = tune.with_references(datasets.checkpoint("molecules-mmff94"), few, free)
def make():
    return explorers.Refit(student, few, sets["test"][:6])"""
SELECTION = """
from tpainn_lite import explorers
from tpainn_lite.course import selection_data
X, cheap = selection_data.candidates("molecules-dft")
pool, _ = selection_data.frames("molecules-dft")
def make():
    return explorers.SelectionMap(X, cheap, "meV/atom", pool)"""
ROUNDS = """
import numpy as np
from tpainn_lite import explorers
from tpainn_lite.course import selection_data
X, _, y = selection_data.energies("molecules-dft")
held = selection_data.held_out("molecules-dft", 0)
def make():
    test = X[held], y[held]
    return explorers.Rounds(X[~held], y[~held], "meV/atom", test, np.arange(10))"""
PARITY = """
from tpainn_lite import datasets, explorers
student = datasets.checkpoint("molecules-mmff94")
frames = datasets.load("molecules-dft")["test"][:60:12]
def make():
    return explorers.Parity(frames, {"zero-shot": student})"""
PROPERTIES = """
from tpainn_lite import datasets, explorers
runs = datasets.runs("water-runs")
some = {k: {m: f[:200] for m, f in v.items()} for k, v in runs.items()}
def make():
    return explorers.Properties(some["NVT"], some["NPT"])"""
DYNAMICS = """
from tpainn_lite import explorers, water
box = water.water_box(16, density=0.9, seed=0)
def make():
    system = water.water_system(water.MODELS["spc-fw"], box)
    return explorers.LiveMD(system, box, longest=1000.0)"""
TRAINING = [
    """from tpainn_lite import datasets, train
from tpainn_lite.explorers import live
from tpainn_lite.model import Potential, PotentialConfig
frames = datasets.load("ethanol-dft")["pool"]
new = Potential(PotentialConfig(features=8), dict.fromkeys((1, 6, 8), 0.0), seed=0)
config = train.FitConfig(steps=1_000_000, batch_size=2)
def start(on_epoch):
    fit = dict(seed=0, valid=frames[4:6], on_epoch=on_epoch)
    return train.fit(new, frames[:4], config, **fit)
training = live.LiveTraining(start, config.steps)
training.widget""",
    "potential, history = await training",
    "print('kept', len(history.rows) == len(training.rows))",
]


@contextmanager
def two(folder: Path, source: str, drawn: str = browser.PLOT) -> Iterator[tuple]:
    """The cells of two explorers; what is done to the first leaves the second alone."""
    cells = [source + "\none = make()\none.widget", "other = make()\nother.widget"]
    with browser.lab(browser.write(folder / "two.ipynb", cells)) as page:
        browser.run_all(page)
        assert browser.tracebacks(page) == []
        plots = page.locator(drawn)
        assert browser.until(page, lambda: plots.count() == 2)
        assert all(browser.not_blank(plot) for plot in plots.all())
        one, other = page.locator(".jp-CodeCell", has=plots).all()
        before = browser.figure_data(other), other.inner_text()
        yield one, other
        assert (browser.figure_data(other), other.inner_text()) == before
        assert page.console == []


@contextmanager
def changes(box) -> Iterator[None]:
    """What is done here changes the figures of an explorer."""
    before = browser.figure_data(box)
    yield
    assert browser.until(box.page, lambda: browser.figure_data(box) != before)


def press(box, name: str) -> None:
    box.locator("button", has_text=re.compile(rf"^\s*{name}\s*$")).click()


def says(box, words: str, seconds: float = browser.WAIT) -> None:
    box.get_by_text(words).first.wait_for(timeout=1000 * seconds)


def test_low_data_trains_a_star_and_stops(tmp_path):
    with two(tmp_path, LOW_DATA) as (box, _):
        plot = box.locator(browser.PLOT).first
        with changes(box):
            box.get_by_label("Quantity").select_option("energy MAE")
        with changes(box):
            press(box, "Train this point")
            says(box, "Star 1: tuned, n = 3", 300)
        assert len(browser.trace(plot, "trained here")["x"]) == 1
        assert "stopped early" not in box.inner_text()
        box.get_by_label("Arm").select_option("scratch, 5x longer")
        press(box, "Train this point")
        says(box, "s left")  # it trains
        press(box, "Stop and keep")
        says(box, "stopped early", STOPS_WITHIN)
        assert len(browser.trace(plot, "trained here")["x"]) == 2


@slow
def test_a_training_that_a_cell_awaits_stops(tmp_path):
    with browser.lab(browser.write(tmp_path / "live.ipynb", TRAINING)) as page:
        browser.begin(page)
        says(page, "s left", 300)
        box = page.locator(".jp-CodeCell").first
        with changes(box):
            pass  # the curve grows
        press(box, "Stop and keep")
        says(box, "Stopped", STOPS_WITHIN)
        browser.end(page, 10)
        says(page, "kept True")
        assert browser.not_blank(page.locator(browser.PLOT))
        assert browser.tracebacks(page) == page.console == []


@slow
def test_dynamics_runs_rests_and_stops(tmp_path):
    with two(tmp_path, DYNAMICS) as (box, _):
        assert browser.not_blank(box.locator(browser.VIEWER))
        with changes(box):
            press(box, "Start")
        press(box, "Pause")
        press(box, "Go on")
        with changes(box):
            pass
        press(box, "Stop")
        says(box, "Stopped", STOPS_WITHIN)


@slow
def test_rotation_turns(tmp_path):
    with two(tmp_path, ROTATION, drawn=browser.VIEWER) as (box, _):
        words, view = box.inner_text(), box.locator(browser.VIEWER)
        before = view.screenshot()
        browser.move_slider(box)
        assert browser.until(box.page, lambda: box.inner_text() != words)
        assert browser.until(box.page, lambda: view.screenshot() != before)
        before = view.screenshot()
        box.get_by_label("Mirror").check()
        assert browser.until(box.page, lambda: view.screenshot() != before)
        assert browser.not_blank(view)


@slow
def test_refit_solves_again(tmp_path):
    with two(tmp_path, REFIT) as (box, _):
        with changes(box):
            browser.move_slider(box, steps=2)
        says(box, "Forces from 12 labelled structures")
        with changes(box):
            box.get_by_label("Ridge").select_option(index=1)


@slow
def test_selection_map_chooses_and_a_click_shows(tmp_path):
    with two(tmp_path, SELECTION) as (box, _):
        with changes(box):
            box.get_by_label("Method").select_option("random")
        with changes(box):
            browser.move_slider(box)
        assert not box.locator(browser.VIEWER).count()
        plot = box.locator(browser.PLOT)
        candidates = browser.trace(plot, "candidates")
        for name in ("candidates", "chosen"):
            shown = lonely(browser.trace(plot, name)["customdata"], candidates)
            browser.click_point(plot, candidates["x"][shown], candidates["y"][shown])
            says(box, f"Candidate {shown}:")
            assert browser.not_blank(box.locator(browser.VIEWER))


def lonely(some: list[int], points: dict[str, list]) -> int:
    """Which of some points is farthest from all others: a click on it is no other's."""
    xy = np.array([points["x"], points["y"]]).T
    apart = np.linalg.norm(xy[some, None] - xy[None], axis=2)
    return some[int(np.sort(apart, axis=1)[:, 1].argmax())]


@slow
def test_a_click_on_a_parity_point_shows_its_structure(tmp_path):
    with two(tmp_path, PARITY) as (box, _):
        plot, view = box.locator(browser.PLOT), box.locator(browser.VIEWER)
        assert browser.not_blank(view)
        for _ in range(2):
            shown = browser.trace(plot, "frame shown")["customdata"][0]
            points = browser.trace(plot, "zero-shot")
            others = [k for k, n in enumerate(points["customdata"]) if n != shown]
            k = max(others, key=lambda k: points["x"][k])
            before = view.screenshot()
            browser.click_point(plot, points["x"][k], points["y"][k])
            says(box, f"{points['customdata'][k]}, C")  # number and formula
            assert browser.until(box.page, lambda b=before: view.screenshot() != b)
            assert browser.not_blank(view)
        with changes(box):
            box.get_by_label("Quantity").select_option("energy per atom")
        with changes(box):
            press(box, "Next worst")


@slow
def test_properties_of_another_window(tmp_path):
    with two(tmp_path, PROPERTIES) as (box, _):
        for quantity in ("g(r), O-O", "mean square displacement"):
            with changes(box):
                box.get_by_label("Quantity").select_option(quantity)
        words = box.inner_text()
        with changes(box):
            browser.move_slider(box)
        assert box.inner_text() != words


@slow
def test_rounds_label_and_start_again(tmp_path):
    with two(tmp_path, ROUNDS) as (box, _):
        start = browser.figure_data(box)
        with changes(box):
            press(box, "Label 10 more")
        with changes(box):
            box.get_by_label("Way").select_option("random")
            press(box, "Label 10 more")
        with changes(box):
            press(box, "Start again")
        assert browser.figure_data(box) == start


@slow
def test_a_closed_kernel_leaves_picture_and_twin(tmp_path):
    png = "viewers.snapshot(datasets.load('ethanol-dft')['test'][0])"
    show = f"lessons.show(make().widget, 'Ethanol, turned', {png})"
    imports = """from tpainn_lite.course import lessons
from tpainn_lite.explorers import viewers"""
    path = browser.write(tmp_path / "closed.ipynb", [ROTATION, imports, show])
    with browser.lab(path) as page:
        browser.run_all(page)
        saved = browser.shut_down(page)
        assert browser.not_blank(page.locator(browser.PLOT))
        assert page.console == []
    (output,) = saved["cells"][-1]["outputs"]
    assert output["metadata"]["image/png"]["alt"] == "Ethanol, turned"
    without = browser.write(tmp_path / "read.ipynb", [show])
    notebook = nbformat.read(without, as_version=4)
    notebook.cells[0].outputs = [nbformat.from_dict(output)]
    nbformat.write(normalise.normalised(notebook, notebook)[0], without)
    with browser.lab(without) as page:  # as committed: nothing runs
        picture = page.locator(".jp-OutputArea img")
        assert picture.evaluate("image => image.naturalWidth") > 300
        assert browser.not_blank(picture)
        assert page.console == []
