"""The web site: alive without a kernel, and all there without a network."""

import base64
import copy
import io
import re
from pathlib import Path

import nbformat
import plotly.graph_objects as go
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tpainn_lite import select
from tpainn_lite.course import lessons, site

COLAB = "[Colab](https://colab.research.google.com/github/x/y/blob/main/a/03_s.ipynb)"
FORMULAS = r"""Costs `$5` here, where $\vec{\mathbf{v}}_i < 1$ and
$$E = \sum_i e_{Z_i} + E_\mathrm{network}(\mathbf{R}).$$
"""


def png() -> str:
    content = io.BytesIO()
    Image.new("RGB", (8, 6), "#0072B2").save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


@pytest.fixture
def lesson() -> nbformat.NotebookNode:
    """A figure, a widget with its picture, a text; and widget state."""
    figure = go.Figure(go.Scatter(x=[1, 2, 3], y=[1, 4, 9], name="squares"))
    alive = {lessons.PLOTLY: figure.to_plotly_json(), "text/plain": "A parabola, x < 4"}
    asleep = {lessons.WIDGET: {"model_id": "1"}, "image/png": png()}
    asleep["text/plain"] = "A blue field"
    outputs = [new_output("display_data", data) for data in (alive, asleep)]
    outputs.append(new_output("stream", name="stdout", text="done"))
    links = "[next](04_cubes.ipynb) [pull](glossary.md#l2-sp)"
    title = f"# 03 · Squares & more\n\n{COLAB}\n\n{links}"
    cells = [new_markdown_cell(text) for text in (title, FORMULAS)]
    cells.append(new_code_cell("draw()", outputs=outputs))
    return new_notebook(cells=cells, metadata={"widgets": {"state": "x" * 10_000}})


def test_a_page_has_what_the_lesson_shows(lesson):
    before = copy.deepcopy(lesson)
    html = site.page(lesson)
    assert lesson == before
    told = 'aria-label="A parabola, x &lt; 4" role="img" style="max-width: 760px"'
    assert told in html  # no wider than a phone
    (image,) = re.findall("<img[^>]*>", html)
    assert 'alt="A blue field"' in image
    assert f"data:image/png;base64,{png()}" in image
    assert 'href="04_cubes.html"' in html
    assert 'href="glossary.html#l2-sp"' in html
    assert "/blob/main/a/03_s.ipynb" in html
    assert "x" * 100 not in html
    scripts = re.findall(r'<script[^>]* src="([^"]+)"', html)
    assert scripts == ["plotly.js"]
    assert not re.search(r"""(src=|<link[^>]*href=|import\()["']https?://""", html)


@pytest.fixture
def written(lesson, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run make tutorial first"):
        site.main()
    monkeypatch.setattr(site, "reference", lambda folder, *_: folder.mkdir())
    (tmp_path / "build/notebooks").mkdir(parents=True)
    nbformat.write(lesson, tmp_path / "build/notebooks/03_squares.ipynb")
    (tmp_path / "build/notebooks/glossary.md").write_text(
        "## L2-SP (a pull)\n\nIs one."
    )
    site.main()
    return tmp_path / "build/site"


def test_the_index_names_the_lessons(written):
    assert 'id="l2-sp-a-pull"' in (written / "glossary.html").read_text()
    index = (written / "index.html").read_text()
    link = '<a href="03_squares.html">Squares &amp; more</a>'
    assert f'<li value="3">{link}</li>' in index
    core = {p.stem for p in Path(site.__file__).parents[1].glob("[a-z]*.py")}
    assert set(site.CORE.split()) == core
    for name in (*core, *site.ROOMS):
        assert f'href="api/tpainn_lite/{name}.html"' in index


def test_the_reference_has_the_docstrings(tmp_path, monkeypatch):
    monkeypatch.setenv("PDOC_ALLOW_EXEC", "1")
    site.reference(tmp_path, "tpainn_lite.select", "tpainn_lite.units")
    page = (tmp_path / "tpainn_lite/select.html").read_text("utf-8")
    assert select.diverse.__doc__.splitlines()[0].strip(".") in page
    assert (tmp_path / "tpainn_lite/units.html").is_file()


@pytest.mark.browser
def test_it_opens_from_disk_without_a_network(written):
    from browser import chromium  # playwright may be missing

    with chromium() as browser:
        context = browser.new_context(offline=True)
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((written / "index.html").as_uri())
        page.get_by_text("Squares & more").click()
        page.wait_for_selector(".js-plotly-plot .scatterlayer .point")
        inline, block = page.locator("math").all()
        assert page.get_by_text("$5", exact=True).count() == 1
        box = block.evaluate("m => m.querySelector('munder, munderover').outerHTML")
        assert "∑" in box
        assert 0 < inline.bounding_box()["height"] < block.bounding_box()["height"]
        assert page.locator(".js-plotly-plot .scatterlayer .point").count() == 3
        image = page.get_by_alt_text("A blue field")
        assert image.evaluate("image => image.naturalWidth") == 8
        assert errors == []
