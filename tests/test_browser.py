"""JupyterLab in a headless Chromium: plots and viewers draw, sliders move figures."""

from pathlib import Path

import nbformat
import pytest

browser = pytest.importorskip("browser", reason="needs playwright")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium on the path"),
]
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

SMALL = [
    """import numpy as np, plotly.graph_objects as go
from ipywidgets import IntSlider, interactive_output
from IPython.display import display
from tpainn_lite import figures
n = np.array([3, 10, 30, 100])
figure = go.FigureWidget(figures.convergence({"scratch": (n, 900 / n**0.2)}, "E", "eV"))
slider = IntSlider(1, 1, 9, description="power")
def move(power):
    figure.data[0].y = 900 / n ** (0.1 * power)
interactive_output(move, {"power": slider})
display(slider, figure)""",
    """from ase.build import molecule
from tpainn_lite import viewers
frames = [molecule("CH3CH2OH") for _ in range(5)]
for k, atoms in enumerate(frames):
    atoms.rattle(0.02 * k, seed=k)
viewers.view(frames)""",
    """rng = np.random.default_rng(0)
forces = rng.normal(size=(9, 3))
viewers.view_forces(frames[0], forces, forces + 0.3 * rng.normal(size=(9, 3)))""",
]


@pytest.fixture(params=["small.ipynb", "02_pretraining.ipynb"])
def notebook(request, tmp_path, monkeypatch) -> Path:
    """A lesson, or a small notebook with one figure, one slider and two viewers."""
    monkeypatch.setenv("TPAINN_PROFILE", "ci")
    if request.param != "small.ipynb":
        return NOTEBOOKS / request.param
    small = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in SMALL]
    )
    small.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(small, tmp_path / request.param)
    return tmp_path / request.param


def test_notebook_draws_and_a_slider_moves_a_figure(notebook, tmp_path):
    with browser.lab(notebook) as page:
        browser.run_all(page)
        assert browser.tracebacks(page) == []
        browser.screenshot(page, tmp_path / "lesson.png")  # scrolls: everything draws
        plots, views = page.locator(browser.PLOT), page.locator(browser.VIEWER)
        assert plots.count()
        assert views.count()
        assert all(browser.not_blank(element) for element in plots.all() + views.all())
        assert any(moves(page, i) for i in range(page.locator(browser.SLIDER).count()))
        assert page.console == []


def moves(page, slider: int) -> bool:
    """Whether some figure changes with a slider."""
    before = browser.figure_data(page)
    browser.move_slider(page, slider)
    return browser.figure_data(page) != before
