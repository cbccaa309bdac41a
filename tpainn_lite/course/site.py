"""Make web pages of lessons and library: ``python -m tpainn_lite.course.site``.

Writes ``build/site`` from the lessons as they were last built (``make tutorial``), and
the library's reference from its docstrings. What plotly drew stays alive, other widgets
are their pictures, formulas are MathML, and nothing needs a network: a folder to open
from disk, or to put on any server.
"""

import copy
import os
import re
from html import escape
from pathlib import Path

import latex2mathml.converter
import nbformat
import pdoc
import plotly.graph_objects as go
import plotly.io
from jinja2 import DictLoader
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from plotly.offline import get_plotlyjs

from .. import guards
from . import build, solutions
from .lessons import PLOTLY, WIDGET

CORE = "units guards data datasets molecules water calibrate engine dynamics analysis"
CORE += " graphs model train tune ridge_head select"
ROOMS = ("inference", "public", "explorers", "course")
LINK = re.compile(r"(\]\([\w-]+)\.(?:ipynb|md)([#)])")  # not one to another site
INDEX = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>T-PaiNN Lite</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 18px/1.6 Arial, sans-serif; max-width: 42rem; margin: 3rem auto;
padding: 0 1rem }}</style></head>
<body><h1>T-PaiNN Lite</h1>
<p>A neural interatomic potential that first learns from cheap classical physics needs
far fewer quantum labels afterwards. To run the lessons, install the package.</p>
<ol start="0">
{lessons}</ol>
<p>The library, in the order to read it: {modules}. Around it: {rooms}.</p>
</body></html>
"""
TEMPLATE = """{% extends 'lab/index.html.j2' %}
{% block html_head_js_requirejs %}<script src="plotly.js"></script>{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
"""


def page(notebook: nbformat.NotebookNode) -> str:
    """Render a lesson that was run as HTML; it looks for ``plotly.js`` beside it."""
    shown = copy.deepcopy(notebook)
    shown.metadata.pop("widgets", None)  # their state, megabytes of it
    for cell in shown.cells:
        for output in cell.get("outputs", []):
            if "data" in output:
                output.data = nbformat.from_dict(_alive(output.data))
        cell.source = LINK.sub(r"\1.html\2", cell.source)
    exporter = HTMLExporter(
        template_name="lab",
        template_file="lesson.html.j2",
        extra_loaders=[DictLoader({"lesson.html.j2": TEMPLATE})],
        filters={"markdown2html": _html},
    )
    return exporter.from_notebook_node(shown)[0]


class _Renderer(IPythonRenderer):
    """Formulas as MathML, which browsers read aloud; headings named as on GitHub."""

    def heading(self, text: str, level: int, **_: str) -> str:
        name = re.sub(r"<[^>]*>|[^\w\- ]", "", text.lower()).replace(" ", "-")
        link = f'<a class="anchor-link" href="#{name}">¶</a>'
        return f'<h{level} id="{name}">{text}{link}</h{level}>'

    def block_math(self, body: str) -> str:
        return latex2mathml.converter.convert(body, display="block")

    def inline_math(self, body: str) -> str:
        return latex2mathml.converter.convert(body)


def _html(markdown: str) -> str:
    return MarkdownWithMath(renderer=_Renderer(escape=False)).render(markdown)


def _alive(data: dict) -> dict:
    """Pick the richest form that needs no kernel: plotly's figure, or the picture."""
    alt = escape(data.get("text/plain", ""), quote=True)
    if PLOTLY in data:
        figure = go.Figure(data[PLOTLY]["data"], data[PLOTLY].get("layout"))
        style, how = "overflow-x: auto", dict(include_plotlyjs=False, full_html=False)
        if "xaxis2" not in data[PLOTLY].get("layout", ()):  # shrinks with the page
            style, how["config"] = "max-width: 760px", {"responsive": True}
            figure.layout.width = figure.layout.template.layout.width = None
        html = plotly.io.to_html(figure, **how)
        told = f'<div role="img" aria-label="{alt}" style="{style}">'
        return {"text/html": f"{told}{html}</div>"}
    if "image/png" in data:  # nbconvert knows no alt text
        source = f"data:image/png;base64,{data['image/png'].strip()}"
        return {"text/html": f'<img src="{source}" alt="{alt}" width="760">'}
    return {kind: v for kind, v in data.items() if kind != WIDGET}


def reference(folder: Path, *modules: str) -> None:
    """Write a page for each of `modules`, from their docstrings."""
    os.environ["PDOC_ALLOW_EXEC"] = "1"  # some imports ask the system what it is
    pdoc.render.configure(docformat="google")
    pdoc.pdoc(*modules, output_directory=folder)


def _links(names) -> str:
    pages = ((f"api/tpainn_lite/{name}.html", name) for name in names)
    return ", ".join(f'<a href="{page}">{name}</a>' for page, name in pages)


def main() -> None:
    """Write the site."""
    built, site = Path("build/notebooks"), Path("build/site")
    paths = sorted(built.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise SystemExit("build/notebooks: holds no lesson; run make tutorial first")
    guards.write(site / "plotly.js", get_plotlyjs())
    build.copy_companions(built, site)
    for text in site.glob("*.md"):
        cells = [nbformat.v4.new_markdown_cell(text.read_text("utf-8"))]
        html = page(nbformat.v4.new_notebook(cells=cells))
        guards.write(site / f"{text.stem}.html", html)
        text.unlink()
    lessons = ""
    for path in paths:
        name = solutions.page(path).name
        notebook, _ = solutions.split(nbformat.read(path, as_version=4), name)
        guards.write(site / f"{path.stem}.html", page(notebook))
        title = notebook.cells[0].source.splitlines()[0].partition("· ")[2]
        link = f'<a href="{escape(path.stem)}.html">{escape(title)}</a>'
        lessons += f'<li value="{int(path.stem[:2])}">{link}</li>\n'
    links = dict(lessons=lessons, modules=_links(CORE.split()), rooms=_links(ROOMS))
    guards.write(site / "index.html", INDEX.format(**links))
    reference(site / "api", "tpainn_lite", "!tpainn_lite.reproduce")
    print(f"{len(paths)} lessons: open build/site/index.html")


if __name__ == "__main__":
    main()
