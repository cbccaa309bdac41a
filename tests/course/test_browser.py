"""JupyterLab in a headless Chromium: plots draw, sliders move, files come and go."""

import shutil
import zipfile
from pathlib import Path

import ase.io
import nbformat
import pytest

from tpainn_lite import datasets
from tpainn_lite.course import solutions
from tpainn_lite.model import Potential

browser = pytest.importorskip("browser", reason="needs playwright")
pytestmark = pytest.mark.browser
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

SMALL = [
    """import numpy as np, plotly.graph_objects as go
from ipywidgets import IntSlider, interactive_output
from IPython.display import display
from tpainn_lite.explorers import figures
n = np.array([3, 10, 30, 100])
figure = go.FigureWidget(figures.lines({"scratch": (n, 900 / n**0.2)}, "E", "n", "eV"))
slider = IntSlider(1, 1, 9, description="power")
def move(power):
    figure.data[0].y = 900 / n ** (0.1 * power)
interactive_output(move, {"power": slider})
display(slider, figure)""",
    """from ase.build import molecule
from tpainn_lite.explorers import viewers
frames = [molecule("CH3CH2OH") for _ in range(5)]
for k, atoms in enumerate(frames):
    atoms.rattle(0.02 * k, seed=k)
viewers.view(frames)""",
    """rng = np.random.default_rng(0)
forces = rng.normal(size=(9, 3))
viewers.view_forces(frames[0], forces, forces + 0.3 * rng.normal(size=(9, 3)))""",
]
BRING = """from tpainn_lite.course import own_data, upload
from tpainn_lite.train import FitConfig
bring = upload.Upload("A file with labelled structures:")
bring.widget"""
TAKE = """found = own_data.read(bring.path())
few = FitConfig(steps=5)
tuned = own_data.tune(found.frames, config=few, seed=0)
upload.offer(own_data.keep(tuned, "my_potential"))"""

LESSONS = sorted(path.name for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
QUICK = ("01_classical_data.ipynb", "02_pretraining.ipynb")  # `make test` has these
RUN = ["small.ipynb", *QUICK] + [
    pytest.param(name, marks=pytest.mark.slow) for name in LESSONS if name not in QUICK
]


@pytest.fixture(params=RUN)
def notebook(request, tmp_path, monkeypatch) -> Path:
    """A lesson, or a small notebook with one figure, one slider and two viewers."""
    monkeypatch.setenv("TPAINN_PROFILE", "ci")
    if request.param != "small.ipynb":
        whole = solutions.whole(NOTEBOOKS / request.param)
        nbformat.write(whole, tmp_path / request.param)
        for badge in NOTEBOOKS.glob("*.svg"):  # a lesson shows it
            shutil.copy(badge, tmp_path)
        return tmp_path / request.param
    return browser.write(tmp_path / request.param, SMALL)


def test_notebook_draws_and_a_slider_moves_a_figure(notebook, tmp_path):
    with browser.lab(notebook) as page:
        browser.run_all(page, timeout=1800)
        assert browser.tracebacks(page) == []
        browser.screenshot(page, tmp_path / "lesson.png")  # scrolls: everything draws
        plots, views = page.locator(browser.PLOT), page.locator(browser.VIEWER)
        assert plots.count()
        assert all(browser.not_blank(element) for element in plots.all() + views.all())
        sliders = range(page.locator(browser.SLIDER).count())
        assert not sliders or any(moves(page, i) for i in sliders)
        if notebook.name in ("small.ipynb", *QUICK):
            assert views.count()
            assert sliders
        assert page.console == []


def moves(page, slider: int) -> bool:
    """Tell whether a figure, or a text below one, changes with a slider."""
    before = browser.shown(page)
    browser.move_slider(page, slider)
    return browser.until(page, lambda: browser.shown(page) != before, 5)


def test_a_file_is_uploaded_and_a_potential_comes_back(tmp_path):
    frames = datasets.load("ethanol-dft")["pool"][:5]
    ase.io.write(tmp_path / "my frames.extxyz", frames)
    with browser.lab(browser.write(tmp_path / "own.ipynb", [BRING, TAKE])) as page:
        browser.run_cell(page, 0)
        page.locator(".widget-upload").wait_for()
        with page.expect_file_chooser() as chooser:
            page.locator(".widget-upload").click()
        chooser.value.set_files(tmp_path / "my frames.extxyz")
        page.get_by_text("Upload (1)").wait_for()
        browser.run_cell(page, 1)
        assert browser.tracebacks(page) == []
        with page.expect_download() as download:
            page.get_by_role("link", name="my_potential.zip").click()
        download.value.save_as(tmp_path / "mine.zip")
    zipfile.ZipFile(tmp_path / "mine.zip").extractall(tmp_path)
    potential = Potential.load(tmp_path / "my_potential/potential")
    energies, _ = potential.predict(frames)
    known = [a.get_potential_energy() for a in frames]
    assert abs(energies - known).max() < 1  # eV: it learned from this very file
    report = (tmp_path / "my_potential/report.md").read_text("utf-8")
    assert "5 structures of C2H6O" in report
