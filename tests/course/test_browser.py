"""JupyterLab in a headless Chromium: plots and viewers draw, sliders move figures."""

from pathlib import Path

import pytest

browser = pytest.importorskip("browser", reason="needs playwright")
pytestmark = pytest.mark.browser
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

SMALL = [
    """import numpy as np, plotly.graph_objects as go
from ipywidgets import IntSlider, interactive_output
from IPython.display import display
from tpainn_lite.explorers import figures
n = np.array([3, 10, 30, 100])
figure = go.FigureWidget(figures.convergence({"scratch": (n, 900 / n**0.2)}, "E", "eV"))
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
        return NOTEBOOKS / request.param
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
    before = shown(page)
    browser.move_slider(page, slider)
    return browser.until(page, lambda: shown(page) != before, 5)


def shown(page) -> tuple:
    """Return the data of all figures, and the texts of explorers."""
    texts = page.locator(".widget-html").all_text_contents()
    return browser.figure_data(page), texts
