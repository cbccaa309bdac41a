"""Make web pages of lessons and library: ``python -m tpainn_lite.course.site``.

Writes ``build/site``: a front page, the lessons as they were last built (``make
tutorial``; else as committed), and the library's reference from its docstrings. What
plotly drew is alive, many explorers move and structures turn without a kernel (see
`alive`), formulas are MathML, and nothing needs a network: a folder to open from disk,
or to put on any server.

Jinja renders the pages: nbconvert's own template brings 300 kB of JupyterLab's styles
to each, and no fold, search or contents. 3Dmol.js turns structures: it has 0.5 MB, NGL
1.3, and plotly's 3D has no balls that shrink with distance.
"""

import copy
import importlib
import json
import os
import re
from html import escape
from pathlib import Path

import jinja2
import latex2mathml.converter
import nbformat
import pdoc
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from plotly.offline import get_plotlyjs
from pygments.formatters import HtmlFormatter

from .. import datasets, guards
from ..explorers import figures
from . import build, editions, normalise, solutions
from .lessons import PLOTLY, WIDGET

CORE = "units guards data datasets molecules water calibrate engine dynamics analysis"
CORE += " graphs model train tune ridge_head select"
ROOMS = ("inference", "public", "explorers", "course")
REPOSITORY = "https://github.com/tpainn-lite/tpainn-lite"
BRANCH = "stable"  # that pages.yml publishes
BINDER = (
    f"https://mybinder.org/v2/gh/tpainn-lite/tpainn-lite/{BRANCH}?urlpath=lab/tree/"
)
COLAB = REPOSITORY.replace("github.com", "colab.research.google.com/github")
PAGES = Path(__file__).parent / "pages"
LINK = re.compile(r"(\]\([\w-]+)\.(?:ipynb|md)([#)])")  # not one to another site
RELATIVE = re.compile(r"\]\(([A-Z][\w.-]+)\)")
EMPTY = re.compile(r"<thead>\s*<tr>(\s*<th></th>)+\s*</tr>\s*</thead>")
BADGE = re.compile(r"\[!\[Open in Colab\].*\n")  # a page has a button instead
RACE = {"tuned": "tuned", "scratch": "from scratch", "MMFF94": "force field, no labels"}
PARTS = re.compile(r"^(#{1,4}) (.*)$", re.M)
FENCED = re.compile(r"^ *(```|~~~).*?^ *\1", re.M | re.S)  # a # in code is no heading
RUN = '<p class="note">Run the lesson to use this.</p>'


class _Renderer(IPythonRenderer):
    """Formulas as MathML, which browsers read aloud; headings named as on GitHub."""

    def heading(self, text: str, level: int, **_: str) -> str:
        name = _name(text)
        link = f'<a class="anchor-link" href="#{name}" aria-label="Link to here">¶</a>'
        return f'<h{level} id="{name}">{text}{link}</h{level}>'

    def block_math(self, body: str) -> str:
        formula = latex2mathml.converter.convert(body, display="block")
        return f'<div class="formula" tabindex="0">{formula}</div>'

    def inline_math(self, body: str) -> str:
        return latex2mathml.converter.convert(body)


def _name(text: str) -> str:
    """Name a heading as GitHub does."""
    return re.sub(r"<[^>]*>|[^\w\- ]", "", text.lower()).replace(" ", "-")


def _html(markdown: str) -> str:
    markdown = LINK.sub(r"\1.html\2", BADGE.sub("", markdown))
    html = MarkdownWithMath(renderer=_Renderer(escape=False)).render(markdown)
    return EMPTY.sub("", html.replace("<pre>", '<pre tabindex="0">'))


def _python(source: str) -> str:
    html = Highlight2HTML()(source, language="python")
    return html.replace("<pre>", '<pre tabindex="0">')


def _shown(output: nbformat.NotebookNode) -> str:
    """Write an output in the richest form that needs no kernel."""
    if output.output_type == "stream":
        return (
            output.text.strip() and f'<pre tabindex="0">{ansi2html(output.text)}</pre>'
        )
    if output.output_type == "error":
        return f'<pre tabindex="0">{ansi2html(chr(10).join(output.traceback))}</pre>'
    data, alt = output.data, escape(output.data.get("text/plain", ""), quote=True)
    given, picture, note = data.get(build.PAGE), "", ""
    if PLOTLY in data:
        given = {"parts": [{"figure": data[PLOTLY]}]}
    elif WIDGET in data and alt.strip():
        note = RUN if _still(given) else ""
    if "image/png" in data:
        source = f"data:image/png;base64,{data['image/png'].strip()}"
        picture = f'<img class="still" src="{source}" alt="{alt}" width="760">'
    if given:
        text = json.dumps(given, separators=(",", ":")).replace("</", r"<\/")
        shown = f'<script type="application/json">{text}</script>'
        shown += picture and f"<noscript>{picture}</noscript>"
        group = f'<div class="explorer" role="group" aria-label="{alt}">{shown}</div>'
        return group + note
    if picture:
        return picture + note
    if "text/markdown" in data:
        return _html(data["text/markdown"])
    plain = alt.strip() and f'<pre tabindex="0">{alt}</pre>'
    return (data.get("text/html") or plain) + note


def _still(given: dict | None) -> bool:
    """Return whether a widget needs a kernel to answer: no states, nothing to turn."""
    if not given:
        return True
    kinds = {kind for part in given["parts"] for kind in part}
    return "states" not in given and "html" in kinds and "xyz" not in kinds


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGES), autoescape=True, trim_blocks=True
    )
    for name, make in dict(markdown=_html, python=_python, shown=_shown).items():
        made.filters[name] = lambda value, make=make: jinja2.utils.markupsafe.Markup(
            make(value)
        )
    return made


def page(notebook: nbformat.NotebookNode, **words) -> str:
    """Render a notebook that was run as HTML, which looks for its scripts beside it.

    `words`: what the template has in its header and footer: ``title``, ``file``,
    ``lessons`` and ``before`` and ``after`` of them, and ``launch``.
    """
    heads = [h for h in _headings(notebook) if h[0] == "##"]
    contents = [(_name(text), re.sub(r"[`*]", "", text)) for _, text, _ in heads]
    given = dict(cells=_merged(notebook), contents=contents, repository=REPOSITORY)
    return _environment().get_template("page.html.j2").render(given | words)


def _merged(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Copy the cells; code that shows nothing joins the code below it."""
    cells: list[nbformat.NotebookNode] = []
    for cell in copy.deepcopy(notebook.cells):
        if "from google.colab" in cell.source and cell.cell_type == "code":
            continue
        last = cells[-1] if cells else {}
        if cell.cell_type == last.get("cell_type") == "code" and not last.outputs:
            cell.source = f"{last.source}\n\n{cell.source}"
            cells.pop()
        cells.append(cell)
    return cells


def _headings(notebook: nbformat.NotebookNode) -> list[tuple[str, str, str]]:
    """Part a notebook's prose: level, heading and text of each section."""
    prose = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    _, *parts = PARTS.split(FENCED.sub("", "\n\n".join(prose)))
    return [*zip(parts[::3], parts[1::3], parts[2::3], strict=True)]


def sections(file: str, title: str, notebook: nbformat.NotebookNode) -> list[list[str]]:
    """List what a search finds on a page: [link, title, heading, text] a section."""
    found = []
    for _, heading, text in _headings(notebook):
        bare = re.sub(r"<[^>]*>|\]\([^)]*\)|[`*$\[\]|]|^> ?", "", text, flags=re.M)
        words = re.sub(r"[`*]", "", heading), " ".join(bare.split())
        found.append([f"{file}#{_name(heading)}", title, *words])
    return found


def reference(folder: Path, *modules: str) -> list[list[str]]:
    """Write a page for each of `modules` from its docstrings; list their sections."""
    os.environ["PDOC_ALLOW_EXEC"] = "1"  # some imports ask the system what it is
    pdoc.render.configure(docformat="google", template_directory=PAGES)
    pdoc.pdoc(*modules, output_directory=folder)
    found = []
    for name in pdoc.extract.walk_specs(modules):
        file = f"api/{name.replace('.', '/')}.html"
        module = pdoc.doc.Module(importlib.import_module(name))
        parts = [("", module), *((m.name, m) for m in module.flattened_own_members)]
        for part, member in parts:
            if member.docstring and not part.startswith("_"):
                text = " ".join(member.docstring.split())
                link = f"{file}#{member.qualname}" if part else file
                found.append([link, name, member.qualname or name, text])
    return found


def lesson(path: Path) -> dict:
    """Collect a lesson as built, else as committed, and what its card says."""
    built = build.OUT / "notebooks" / path.name
    committed = nbformat.read(path, as_version=4)
    notebook = committed
    if built.is_file():
        whole = nbformat.read(built, as_version=4)
        notebook, _ = solutions.split(whole, solutions.page(path).name)
        pictures = {cell.id: cell.get("outputs", []) for cell in committed.cells}
        for cell in notebook.cells:  # what no page can move keeps its picture
            news, olds = (
                copy.deepcopy(cell.get("outputs", [])),
                pictures.get(cell.id, []),
            )
            kept = [k for k, output in enumerate(news) if normalise.keep(output)]
            for k, old in zip(kept, olds, strict=False):
                data = cell.outputs[k].get("data", {})
                picture = old.get("data", {}).get("image/png")
                if picture and (WIDGET in data or PLOTLY in data):
                    data.setdefault("image/png", picture)
    first = notebook.cells[0].source
    number, _, title = first.splitlines()[0].removeprefix("# ").partition(" · ")
    minutes = re.search(r"\*\*Reading\*\* \| (\d+)", first)
    seconds, lead = build.seconds(path, "binder"), editions.lead(committed)
    png = lead.picture and f"data:image/png;base64,{lead.picture['image/png'].strip()}"
    launch = dict(binder=f"{BINDER}notebooks/{path.name}")
    launch["colab"] = f"{COLAB}/blob/{BRANCH}/notebooks/{path.name}"
    return dict(
        file=f"{path.stem}.html",
        number=number,
        title=title,
        question=lead.question,
        png=png,
        reading=minutes and minutes[1],
        running=seconds
        and (f"{seconds:g} s" if seconds < 90 else f"{seconds / 60:.0f} min"),
        launch=launch,
        notebook=notebook,
    )


def _race() -> str:
    """Write the front page's figure: errors of two arms for any number of labels."""
    curves = datasets.learning_curves(datasets.card("molecules-grid"), "force_mae")
    look = figures.looks([*RACE])
    sizes = [int(n) for n in curves["tuned"][0]]
    arms = [
        dict(name=name, color=look[arm][0], errors=curves[arm][1].round(1).tolist())
        for arm, name in RACE.items()
    ]
    return json.dumps(dict(sizes=sizes, arms=arms))


def _assets(site: Path) -> None:
    """Write the style sheet and the scripts, with a licence."""
    light, dark = (HtmlFormatter(style=s) for s in ("default", "github-dark"))
    sheet = (PAGES / "style.css").read_text("utf-8")
    sheet += light.get_style_defs(".highlight")
    sheet += dark.get_style_defs("[data-theme=dark] .highlight")
    guards.write(site / "style.css", sheet)
    guards.write(site / "plotly.js", get_plotlyjs())
    for path in PAGES.glob("*.js"):
        guards.write(site / path.name, path.read_bytes())
    terms = (PAGES / "3Dmol-LICENSE.txt").read_bytes()
    guards.write(
        site / "3Dmol-min.js.LICENSE.txt", terms
    )  # as the script's header says


def main() -> None:
    """Write the site."""
    folder, site = Path("notebooks"), build.OUT / "site"
    lessons = [lesson(path) for path in build.select(folder, [])]
    build.copy_companions(folder, site)
    _assets(site)
    found = []
    for k, each in enumerate(lessons):
        near = dict(before=lessons[k - 1] if k else None)
        near["after"] = lessons[k + 1] if k + 1 < len(lessons) else None
        guards.write(site / each["file"], page(**each, **near, lessons=lessons))
        found += sections(
            each["file"], f"{each['number']} · {each['title']}", each["notebook"]
        )
    for text in sorted(site.glob("*.md")):
        cells = [nbformat.v4.new_markdown_cell(text.read_text("utf-8"))]
        notebook, file = nbformat.v4.new_notebook(cells=cells), f"{text.stem}.html"
        title = cells[0].source.splitlines()[0].lstrip("# ")
        guards.write(
            site / file, page(notebook, title=title, file=file, lessons=lessons)
        )
        found += sections(file, title, notebook)
        text.unlink()
    found += reference(site / "api", "tpainn_lite", "!tpainn_lite.reproduce")
    guards.write(site / "search.js", f"window.SECTIONS = {json.dumps(found)};\n")
    words = dict(lessons=lessons, core=CORE.split(), rooms=ROOMS, file="index.html")
    words |= dict(race=_race(), repository=REPOSITORY, **lessons[0]["launch"])
    cite = Path("README.md").read_text("utf-8").partition("## How to cite")
    words["cite"] = RELATIVE.sub(rf"]({REPOSITORY}/blob/main/\1)", "".join(cite[1:]))
    index = _environment().get_template("index.html.j2")
    guards.write(site / "index.html", index.render(words))
    print(f"{len(lessons)} lessons: open {site}/index.html")


if __name__ == "__main__":
    main()
