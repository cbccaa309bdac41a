"""Explorers in a browser: controls move figures, trainings end and stop, clicks show.

Every notebook here has two explorers of a kind; what is done to the first must leave
the second as it was.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import numpy as np
import pytest

from tpainn_lite.course import normalise, reopened

browser = pytest.importorskip("browser", reason="needs playwright")
pytestmark = pytest.mark.browser
slow = pytest.mark.slow  # `make test` keeps one of these
TOO_WIDE = """box => [...box.querySelectorAll('.jp-OutputArea *')].filter(
    e => e.clientWidth && e.scrollWidth > e.clientWidth + 1
        && /auto|scroll/.test(getComputedStyle(e).overflowX))
    .map(e => e.className)"""
STOPS_WITHIN = 3  # s: what the lessons promise of every Stop
SETUP = """import numpy as np
from tpainn_lite import datasets, explorers, water
from tpainn_lite.course import selection_data
student, name = datasets.checkpoint("molecules-mmff94"), "molecules-dft"
sets, free = datasets.load(name), datasets.atomic_energies(name)
ethanol = datasets.load("ethanol-dft")
box = water.water_box(16, density=0.9, seed=0)
def rounds():
    X, _, y = selection_data.energies(name)
    held = selection_data.held_out(name, 0)
    return X[~held], y[~held], "meV/atom", (X[held], y[held]), np.arange(10)
def runs(kind):
    return {m: f[:200] for m, f in datasets.runs("water-runs")[kind].items()}
make = lambda: explorers."""
LOW_DATA = """LowData(
    datasets.card("molecules-grid"), sets["pool"], sets["test"][:8], student, free)"""
ROTATION = "Rotation(student, ethanol['test'][0])"
SELECTION = """SelectionMap(
    *selection_data.candidates(name), 'meV/atom', selection_data.frames(name)[0])"""
ROUNDS = "Rounds(*rounds())"
PARITY = "Parity(sets['test'][:60:12], {'zero-shot': student})"
CALIBRATION = """Calibration(*(p[:300] for p in datasets.load("qm9-sample").values()),
    {"MMFF94": "mmff94"}, datasets.atomic_energies("qm9-sample"))"""
PROPERTIES = "Properties(runs('NVT'), runs('NPT'))"
DYNAMICS = """LiveMD(
    water.water_system(water.MODELS["spc-fw"], box), box, longest=1000.0)"""
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
    first, second = (f"{x} = make()\n{x}.widget" for x in ("one", "other"))
    cells = [f"{SETUP}{source}\n{first}", second]
    with browser.lab(browser.write(folder / "two.ipynb", cells)) as page:
        browser.run_all(page)
        assert browser.tracebacks(page) == []
        plots = page.locator(drawn)
        assert browser.until(page, lambda: plots.count() == 2)
        assert all(browser.not_blank(plot) for plot in plots.all())
        one, other = page.locator(".jp-CodeCell", has=plots).all()
        # not inner_text(): JupyterLab does not render what is scrolled out of sight
        before = browser.figure_data(other), other.text_content()
        for width in (800, 1200):  # px
            page.set_viewport_size({"width": width, "height": 1000})
            assert browser.until(page, lambda: one.evaluate(TOO_WIDE) == [], 5)
        for handle in one.locator(browser.SLIDER).all():
            assert handle.get_attribute("aria-label")
        yield one, other
        assert (browser.figure_data(other), other.text_content()) == before
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
        box.get_by_label("Train").select_option("scratch, 5x longer")
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
        assert "0 of 16 molecules broken" in box.inner_text()
        with changes(box):
            press(box, "Restart")
        says(box, "Running")
        press(box, "Stop")
        says(box, "Stopped", STOPS_WITHIN)
        assert browser.not_blank(box.locator(browser.VIEWER))


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
@pytest.mark.parametrize(
    ("source", "act"),
    [
        (PROPERTIES, lambda box: browser.move_slider(box)),
        (CALIBRATION, lambda box: browser.move_slider(box)),
        (ROUNDS, lambda box: press(box, "Label 10 more")),
    ],
)
def test_a_control_moves_figure_and_words(tmp_path, source, act):
    with two(tmp_path, source) as (box, _):
        words = box.inner_text()
        with changes(box):
            act(box)
        assert browser.until(box.page, lambda: box.inner_text() != words)


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
def test_a_closed_kernel_leaves_picture_and_twin(tmp_path):
    png = "viewers.snapshot(ethanol['test'][0])"
    show = f"lessons.show(make().widget, 'Ethanol, turned', {png})"
    imports = """from tpainn_lite.course import lessons
from tpainn_lite.explorers import viewers"""
    path = browser.write(tmp_path / "closed.ipynb", [SETUP + ROUNDS, imports, show])
    with browser.lab(path) as page:
        browser.run_all(page)
        saved = browser.shut_down(page)
        assert browser.not_blank(page.locator(browser.PLOT))
        assert page.console == []
    reopened.keep(dict(type="notebook", content=saved))  # as when Jupyter saves
    path.write_text(json.dumps(saved), "utf-8")
    with browser.lab(path) as page:
        says(page, "Run this cell to use it")
        assert browser.not_blank(page.locator(".jp-OutputArea img"))
        assert not page.get_by_text("model not found").count()
        assert page.console == []
    (output,) = saved["cells"][-1]["outputs"]
    assert output["metadata"]["image/png"]["alt"] == "Ethanol, turned"
    without = browser.write(tmp_path / "read.ipynb", [show])
    notebook = nbformat.read(without, as_version=4)
    notebook.cells[0].outputs = [nbformat.from_dict(output)]
    nbformat.write(normalise.normalised(notebook, notebook), without)
    with browser.lab(without) as page:  # as committed: nothing runs
        picture = page.locator(".jp-OutputArea img")
        assert picture.evaluate("image => image.naturalWidth") > 300
        assert browser.not_blank(picture)
        assert page.console == []
