"""The web site: alive without a kernel, and all there without a network."""

import base64
import copy
import io
import json
import re
import shutil
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import plotly.graph_objects as go
import pytest
from ase import Atoms
from ase.build import molecule
from ipywidgets import Dropdown, IntSlider
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tpainn_lite import select
from tpainn_lite.course import alive, build, lessons, site
from tpainn_lite.explorers import base, gallery, viewers

ROOT = Path(__file__).parents[2]
TITLE = """# 03 · Squares & more

[![Open in Colab](colab.svg)](https://colab.research.google.com/github/x/y.ipynb)

**How steep is a square?**

| | |
|---|---|
| **Reading** | 7 minutes |
| **Running** | ci 9 s, binder 45 s (one core) |

[next](04_cubes.ipynb) [pull](glossary.md#l2-sp-a-pull)
"""
FORMULAS = r"""## Where it begins

Costs `$5` here, says Müller, where $\vec{\mathbf{v}}_i < 1$ and
$$E = \sum_i e_{Z_i} + E_\mathrm{network}(\mathbf{R}).$$
"""


def png() -> str:
    content = io.BytesIO()
    Image.new("RGB", (8, 6), "#0072B2").save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


class Wave(base.Explorer):
    """Two controls, a curve, a structure and a text."""

    GRID = {"power": None, "sign": None}

    def __init__(self):
        self.power = IntSlider(2, 1, 3, description="Power")
        self.sign = Dropdown(options=["up", "down"], description="Sign")
        self.figure = go.FigureWidget(go.Scatter(x=np.arange(4.0), name="a power"))
        self.figure.add_scatter(x=[0.0, 1.0], y=[0.0, 1.0], visible=False)
        self.view = viewers.view(molecule("CH3CH2OH"))
        self.assemble({self.power: "", self.sign: ""}, self.figure, self.view)

    def draw(self):
        y = np.arange(4.0) ** self.power.value * (1 if self.sign.value == "up" else -1)
        self.figure.data[0].y = y / 3
        self.figure.layout.title = f"x to the {self.power.value}"
        self._text.value = f"<b>{y[-1]:g}</b>"


def applied(parts: list, patch: list) -> list:
    parts = copy.deepcopy(parts)
    for (*path, last), value in patch:
        at = parts
        for key in path:
            at = at[key]
        at[last] = value
    return parts


def test_the_states_of_an_explorer_are_what_it_draws():
    wave = Wave()
    page = json.loads(json.dumps(alive.page(wave.widget)))
    assert (wave.power.value, wave.sign.value) == (2, "up")  # as before
    power, sign = page["controls"]
    assert power == dict(name="Power", values=["1", "2", "3"], now=1, range=True)
    assert sign == dict(name="Sign", values=["up", "down"], now=0, range=False)
    drawn, structure, text = "figure", "xyz", "html"
    assert len(page["states"]) == 6
    assert page["states"][2] == []  # that of now
    for k, patch in enumerate(page["states"]):
        wave.power.value, wave.sign.value = 1 + k // 2, ("up", "down")[k % 2]
        figure, ethanol, words = applied(page["parts"], patch)
        curve, _ = figure[drawn]["data"]
        np.testing.assert_allclose(curve["y"], wave.figure.data[0].y, rtol=1e-4)
        assert figure[drawn]["layout"]["title"]["text"] == wave.figure.layout.title.text
        assert words[text] == wave._text.value
        assert ethanol[structure].count("\n") == 2 + 9 - 1
    wave.power.value = 3  # it answers again
    assert wave.figure.data[0].y[2] == pytest.approx(-8 / 3)
    looks = iter([[]])
    with pytest.raises(StopIteration):  # at the second state
        wave.grid(lambda: next(looks))
    assert (wave.power.value, wave.sign.value) == (3, "down")
    wave.power.value = 2
    assert wave.figure.data[0].y[2] == pytest.approx(-4 / 3)


def test_what_fails_is_said_and_a_run_is_played(capsys, monkeypatch):
    movie = gallery.Movie({"one": [molecule("H2O")] * 3})  # its only control: the frame
    alive.run([movie.widget.model_id, movie.view.model_id, "closed"])
    found = json.loads(capsys.readouterr().out)
    assert [part["frames"] for part in found[movie.widget.model_id]["parts"]] == [3]
    assert len(found) == 2
    monkeypatch.setattr(movie.view, "shown", None)
    alive.run([movie.view.model_id])
    assert "TypeError" in json.loads(capsys.readouterr().out)[movie.view.model_id]
    wave, odd = Wave(), Wave()
    odd.figure.layout.meta = {"odd": {1, 2}}  # JSON has no sets
    alive.run([odd.widget.model_id, wave.widget.model_id])
    found = json.loads(capsys.readouterr().out)
    assert "TypeError" in found[odd.widget.model_id]
    assert len(found[wave.widget.model_id]["states"]) == 6

    def draw():  # a text that is empty is no part
        Wave.draw(wave)
        wave._text.value *= wave.power.value > 1

    monkeypatch.setattr(wave, "draw", draw)
    alive.run([wave.widget.model_id])
    assert "equally many parts" in capsys.readouterr().out


def test_a_structure_has_its_cell_its_arrows_and_what_is_red():
    box = Atoms("OH2", [(0, 0, 0), (0.96, 0, 0), (0, 0.96, 0)], cell=[4, 5, 6], pbc=1)
    (part,) = alive.page(viewers.view([box] * 120, broken=[(0, 2)]))["parts"]
    assert part["frames"] == part["xyz"].count("O ") == 40  # every third
    assert part["total"] == 120
    assert part["red"] == [0, 2]
    lengths = [np.linalg.norm(np.subtract(*edge)) for edge in part["edges"]]
    assert sorted(lengths) == [4] * 4 + [5] * 4 + [6] * 4
    water, forces = molecule("H2O"), np.array([(0, 0, 2.0), (1, 0, 0), (0, 0, 0)])
    part, words = alive.page(viewers.view_forces(water, forces, forces))["parts"]
    assert "1 Å of arrow = 1 eV/Å" in words["html"]
    thick, thin = part["arrows"][0], part["arrows"][3]
    np.testing.assert_allclose(np.subtract(*thick[1::-1]), (0, 0, 2), atol=1e-4)
    assert thick[3] > thin[3]


@pytest.fixture
def lesson() -> nbformat.NotebookNode:
    """A figure, an explorer, a widget with its picture, a text, a bet; widget state."""
    bet = lessons.Bet("How high?", 0, 8, "m")
    figure = bet.draw(go.Figure(go.Scatter(x=[1, 2, 3], y=[1, 4, 9], name="squares")))
    alone = {lessons.PLOTLY: figure.to_plotly_json(), "text/plain": "A parabola, x < 4"}
    wave = {build.PAGE: alive.page(Wave().widget), "text/plain": "An explorer"}
    asleep = {lessons.WIDGET: {"model_id": "1"}, "image/png": png()}
    asleep["text/plain"] = "A blue field"
    outputs = [new_output("display_data", data) for data in (alone, wave, asleep)]
    outputs.append(new_output("stream", name="stdout", text="done " * 60))
    guess = {build.PAGE: alive.page(bet.slider), "text/plain": "A bet"}
    outputs.append(new_output("display_data", guess))
    cells = [new_markdown_cell(text) for text in (TITLE, FORMULAS)]
    cells.append(new_code_cell("import numpy as np"))
    cells.append(new_code_cell("draw()", outputs=outputs))
    return new_notebook(cells=cells, metadata={"widgets": {"state": "x" * 10_000}})


def test_a_page_has_what_the_lesson_shows(lesson):
    before = copy.deepcopy(lesson)
    html = site.page(lesson)
    assert lesson == before
    assert html.count('<div class="explorer"') == 3
    assert html.count(site.RUN) == 1  # the explorer answers without a kernel
    assert 'aria-label="A parabola, x &lt; 4"' in html
    (image,) = re.findall("<img[^>]*>", html)
    assert 'alt="A blue field"' in image
    assert f"data:image/png;base64,{png()}" in image
    assert html.count("Show code") == 1  # of both cells
    assert 'href="04_cubes.html"' in html
    assert 'href="glossary.html#l2-sp-a-pull"' in html
    assert '<a href="#where-it-begins">' in html  # of its contents
    assert "x" * 100 not in html
    assert re.findall(r'<script[^>]* src="([^"]+)"', html) == ["site.js"]
    assert not re.search(r"""(src=|<link[^>]*href=|import\()["']https?://""", html)


@pytest.fixture
def written(lesson, tmp_path, monkeypatch):
    """The site of one lesson that was built, and of one that was not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(site, "reference", lambda *_: [])
    for folder in ("notebooks", "build/notebooks"):
        (tmp_path / folder).mkdir(parents=True)
        nbformat.write(lesson, tmp_path / folder / "03_squares.ipynb")
    lesson.cells[0].source = TITLE.replace("03 · Squares & more", "04 · Cubes")
    lesson.cells[3].outputs = []
    nbformat.write(lesson, tmp_path / "notebooks/04_cubes.ipynb")
    glossary = "# Glossary\n\n## L2-SP (a pull)\n\nSee [Yeh and Hummer](https://x.y)."
    (tmp_path / "notebooks/glossary.md").write_text(glossary)
    shutil.copy(ROOT / "README.md", tmp_path)
    site.main()
    return tmp_path / "build/site"


def test_the_front_page_invites(written):
    index = (written / "index.html").read_text("utf-8")
    card = re.search(r'<li><a href="03_squares.html">\s*<span.*?</li>', index, re.S)[0]
    for words in ("03 · Squares &amp; more", "How steep is a square?", "7 min", "45 s"):
        assert words in card
    assert png() in card
    for button in ("Read the lessons", "Run on Binder", "Open in Colab"):
        assert f">{button}</a>" in index
    assert "arXiv 2603.24752" in index
    core = {p.stem for p in Path(site.__file__).parents[1].glob("[a-z]*.py")}
    assert set(site.CORE.split()) == core
    for name in (*core, *site.ROOMS):
        assert f'href="api/tpainn_lite/{name}.html"' in index
    page = (written / "04_cubes.html").read_text("utf-8")
    assert "<title>04 · Cubes · T-PaiNN Lite</title>" in page
    assert re.search(r'rel="prev" href="03_squares.html"', page)
    assert "BSD-3-Clause" in (written / "3Dmol-min.js.LICENSE.txt").read_text("utf-8")
    sections = json.loads((written / "search.js").read_text()[18:-2])
    assert [s[2] for s in sections if "Hummer" in s[3]] == ["L2-SP (a pull)"]


def test_what_is_not_committed_shifts_no_picture(lesson, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, built = tmp_path / "notebooks/03_squares.ipynb", tmp_path / "build/notebooks"
    path.parent.mkdir()
    built.mkdir(parents=True)
    outputs = lesson.cells[3].outputs
    nbformat.write(lesson, path)
    del outputs[2].data["image/png"]
    warning = new_output("stream", name="stderr", text="a warning")
    outputs.insert(0, warning)
    outputs.insert(3, new_output("display_data", {"text/html": "<b>4 of 9</b>"}))
    outputs.insert(
        4, new_output("display_data", {lessons.WIDGET: {}, "text/plain": ""})
    )
    nbformat.write(lesson, built / path.name)
    shown = site.lesson(path)["notebook"].cells[3].outputs
    pictures = ["image/png" in output.get("data", {}) for output in shown]
    assert pictures == [False] * 5 + [True, False, False]


class Links(HTMLParser):
    """The names on a page, and where it leads."""

    def __init__(self, text: str):
        super().__init__()
        self.names, self.leads = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.names.add(found.get("id"))
        self.leads += [found[k] for k in ("href", "src") if found.get(k)]


def test_links_lead_somewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PDOC_ALLOW_EXEC", "1")
    for name in ("notebooks", "README.md"):
        (tmp_path / name).symlink_to(ROOT / name)
    site.main()
    here = tmp_path / "build/site"
    read = cache(lambda path: Links(path.read_text("utf-8")))
    missing = []
    leads = [(p, link) for p in here.glob("*.html") for link in read(p).leads]
    searched = json.loads((here / "search.js").read_text("utf-8")[18:-2])
    leads += [(here / "search.js", section[0]) for section in searched]
    for path, link in leads:
        if re.match(r"[a-z]+:", link):  # another site, or a picture
            continue
        file, _, name = unquote(link).partition("#")
        target = (path.parent / file) if file else path
        if not target.is_file() or (name and name not in read(target).names):
            missing.append(f"{path.name}: {link}")
    assert missing == []
    page = (here / "api/tpainn_lite/select.html").read_text("utf-8")
    assert select.diverse.__doc__.splitlines()[0].strip(".") in page
    assert 'href="../../index.html"' in page
    assert "tpainn_lite.select" in (here / "search.js").read_text()


WIDE = """() => [...document.querySelectorAll("body *")].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width > 0 && box.right > innerWidth + 1
    && !e.closest("pre, table, math, .skip, details:not([open]) > nav"); })
  .map(e => e.outerHTML.slice(0, 200))"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [1400, 400])
def test_it_moves_from_disk_without_a_network(written, width):
    from browser import chromium, figure_data, until  # playwright may be missing

    with chromium() as browser:
        size = {"width": width, "height": 900}
        context = browser.new_context(offline=True, viewport=size)
        page, errors = context.new_page(), []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto((written / "index.html").as_uri())
        assert page.evaluate(WIDE) == []
        bars = page.locator(".race .bar")
        before = bars.evaluate_all("bars => bars.map(bar => bar.style.width)")
        page.get_by_label("Quantum labels").press("End")
        assert before != bars.evaluate_all("bars => bars.map(bar => bar.style.width)")
        page.locator(".cards").get_by_text("Squares & more").click()
        page.locator(".explorer").last.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelectorAll('.main-svg').length > 4")
        page.wait_for_selector(".structure canvas")
        assert page.evaluate(WIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.get_by_label("Your bet").press("ArrowRight")
        page.get_by_text("your bet: 4.08 m").wait_for()
        plot = page.locator(".js-plotly-plot").first
        assert plot.evaluate("plot => plot.layout.shapes[0].y0") == 4.08
        before, told = figure_data(page), page.locator(".explorer b").inner_text()
        page.get_by_label("Power").press("ArrowRight")
        assert until(page, lambda: figure_data(page) != before, 10)
        assert (told, page.locator(".explorer b").inner_text()) == ("9", "27")
        structure = page.locator(".structure")
        structure.scroll_into_view_if_needed()
        page.wait_for_timeout(1000)
        before = structure.screenshot()
        structure.press("ArrowRight")
        assert until(page, lambda: structure.screenshot() != before, 10)
        inline, block = page.locator("math").all()
        assert page.get_by_text("$5", exact=True).count() == 1
        box = block.evaluate("m => m.querySelector('munder, munderover').outerHTML")
        assert "∑" in box
        assert 0 < inline.bounding_box()["height"] < block.bounding_box()["height"]
        image = page.get_by_alt_text("A blue field")
        assert image.evaluate("image => image.naturalWidth") == 8
        page.get_by_role("searchbox").fill("Yeh-Hummer")
        page.locator(".found a").first.click()
        page.wait_for_url("**/glossary.html#l2-sp-a-pull")
        page.get_by_role("searchbox").fill("muller")
        page.locator(".found a").nth(1).wait_for()
        assert page.locator(".found a").count() == 2  # of both lessons
        assert errors == []
