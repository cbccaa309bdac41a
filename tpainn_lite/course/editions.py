"""Make what a lecturer needs: ``python -m tpainn_lite.course.editions``.

Writes ``build/instructor``, the lessons with solutions and rubrics and without outputs
(what stands in ``notebooks/`` is the student edition), and ``build/slides.html``, a
slide a lesson: its question, its bet and its main figure.
"""

import copy
import json
import re
from html import escape
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor

from .. import guards
from . import build, solutions
from .normalise import save

NOTE = (
    "**For who teaches.** {} Solutions and rubrics stand below the exercises; the "
    "student edition in `notebooks/` has stubs and links in their place."
)
DECK = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>T-PaiNN Lite: slides</title>
<style>@page {{ size: A4 landscape; margin: 0 }}
html {{ scroll-snap-type: y mandatory; font: 26px/1.4 Arial, sans-serif }}
section {{ box-sizing: border-box; height: 100vh; padding: 2vh 5vw; overflow: hidden;
  scroll-snap-align: start; break-after: page }}
h1 {{ font-size: 1.5rem; margin: 0 }} p {{ margin: 1vh 0 }}
img {{ display: block; width: 100%; height: 68vh; object-fit: contain }}
</style></head><body>
{}</body></html>
"""
SLIDE = """<section><h1>{}</h1><p>{}</p>
{}
<p><strong>Ask first:</strong> {}</p></section>
"""
PICTURE = '<img alt="{}" src="data:image/png;base64,{}">'


def instructor(
    notebook: nbformat.NotebookNode, cost: dict[str, float] | None
) -> nbformat.NotebookNode:
    """Copy a whole lesson without outputs, with what it took when it was last run.

    `cost` is the lesson's entry of ``build/timings.json``, if it has one.
    """
    took = "`make tutorial` measures what this lesson takes on your machine."
    if cost:
        took = (
            f"This lesson took {cost['cpu_s']:.0f} s of one core and "
            f"{cost['peak_mb'] / 1000:.1f} GB when it was last built here."
        )
    edition, _ = ClearOutputPreprocessor().preprocess(copy.deepcopy(notebook), {})
    note = nbformat.v4.new_markdown_cell(NOTE.format(took), id="for-who-teaches")
    edition.cells.insert(1, note)
    return edition


class Lead(NamedTuple):
    """A lesson's question, its main figure, and what to ask before it is shown."""

    question: str
    picture: dict  # data of the output, "image/png" among them; empty if there is none
    ask: str


def lead(notebook: nbformat.NotebookNode) -> Lead:
    """Find what a lesson leads with: its main figure shows the first bet.

    Without a bet it is the first figure, and the question is that of the lesson.
    """
    first = notebook.cells[0].source
    question = re.search(r"^\*\*(?:Question\.\*\* )?([^*]+\?)(?:\*\*)?$", first, re.M)
    asked = question[1] if question else ""
    code = [c for c in notebook.cells if c.cell_type == "code"]
    bets = [re.search(r'bet\(\s*"([^"]+)', c.source) for c in code]
    drawn = [c for c in code if "bet.draw(" in c.source]
    pictures = [
        output.data
        for cell in drawn or code
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    ask = next((bet[1] for bet in bets if bet), asked or "What do you expect to see?")
    return Lead(asked, pictures[0] if pictures else {}, ask)


def slide(notebook: nbformat.NotebookNode) -> str:
    """Write a lesson's slide: its question, its main figure, and what to ask first."""
    (question, data, ask), title = lead(notebook), notebook.cells[0].source
    words = title.splitlines()[0].removeprefix("# "), question
    alt, png = escape(data.get("text/plain", "")), data.get("image/png", "")
    picture = png and PICTURE.format(alt, escape(png))
    return SLIDE.format(*map(escape, words), picture, escape(ask))


def main() -> None:
    """Write edition and slides."""
    timings, folder = Path("build/timings.json"), Path("build/instructor")
    costs = json.loads(timings.read_text("utf-8")) if timings.is_file() else {}
    paths = build.select(Path("notebooks"), [])
    build.copy_companions(Path("notebooks"), folder)
    slides = ""
    for path in paths:
        whole = solutions.whole(path)
        save(instructor(whole, costs.get(path.stem)), folder / path.name)
        slides += slide(whole)
    guards.write(folder.parent / "slides.html", DECK.format(slides))
    print(f"{len(paths)} lessons with solutions: {folder}; build/slides.html")


if __name__ == "__main__":
    main()
