"""Make the instructor edition: ``python -m tpainn_lite.course.editions``.

Writes ``build/instructor``: the lessons with solutions and rubrics, without outputs.
What stands in ``notebooks/`` is the student edition.
"""

import copy
import json
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor

from . import build, solutions
from .normalise import save

NOTE = (
    "**For who teaches.** {} Solutions and rubrics stand below the exercises; the "
    "student edition in `notebooks/` has stubs and links in their place."
)


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


def main() -> None:
    """Write the edition."""
    timings, folder = Path("build/timings.json"), Path("build/instructor")
    costs = json.loads(timings.read_text("utf-8")) if timings.is_file() else {}
    paths = build.select(Path("notebooks"), [])
    build.copy_companions(Path("notebooks"), folder)
    for path in paths:
        edition = instructor(solutions.whole(path), costs.get(path.stem))
        save(edition, folder / path.name)
    print(f"{len(paths)} lessons with solutions: see {folder}")


if __name__ == "__main__":
    main()
