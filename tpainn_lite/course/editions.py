"""Make editions of the lessons: ``python -m tpainn_lite.course.editions``.

Writes ``build/student`` and ``build/instructor``, without outputs. A solution is a cell
tagged "solution"; the cell after it checks what it computes.
"""

import copy
import json
import shutil
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor, Preprocessor

REFUSE = 'raise NotImplementedError("Write it here; the next cell checks it.")'


class NoSolutions(Preprocessor):
    """Leave of each solution its first line, and an error until it is filled in."""

    def preprocess_cell(self, cell, resources, index):
        """Change one cell."""
        if "solution" in cell.metadata.get("tags", []):
            title = cell.source.splitlines()[0].replace("Solution", "Your solution")
            cell.source = f"{title}\n{REFUSE}"
        return cell, resources


def student(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Copy a lesson without outputs and without solutions."""
    return NoSolutions().preprocess(_bare(notebook), {})[0]


def instructor(
    notebook: nbformat.NotebookNode, cost: dict[str, float] | None
) -> nbformat.NotebookNode:
    """Copy a lesson without outputs, with what it took when it was last run.

    `cost` is the lesson's entry of ``build/timings.json``, if it has one.
    """
    edition = _bare(notebook)
    took = "`make tutorial` measures what this lesson takes on your machine."
    if cost:
        took = (
            f"This lesson took {cost['cpu_s']:.0f} s of one core and "
            f"{cost['peak_mb'] / 1000:.1f} GB when it was last built here."
        )
    note = (
        f"**For who teaches.** {took} Solutions are below each exercise; the student "
        "edition leaves them out."
    )
    cell = nbformat.v4.new_markdown_cell(note, id="for-who-teaches")
    edition.cells.insert(1, cell)
    return edition


def _bare(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return ClearOutputPreprocessor().preprocess(copy.deepcopy(notebook), {})[0]


def main() -> None:
    """Write all editions."""
    timings = Path("build/timings.json")
    costs = json.loads(timings.read_text("utf-8")) if timings.is_file() else {}
    paths = sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))
    for name in ("student", "instructor"):
        folder = Path("build") / name
        folder.mkdir(parents=True, exist_ok=True)
        for picture in Path("notebooks").glob("*.svg"):  # lessons show them
            shutil.copy(picture, folder)
        for path in paths:
            lesson = nbformat.read(path, as_version=4)
            cost = costs.get(path.stem)
            made = student(lesson) if name == "student" else instructor(lesson, cost)
            nbformat.write(made, folder / path.name)
    print(f"{len(paths)} lessons: see build/student and build/instructor")


if __name__ == "__main__":
    main()
