"""Make editions of the lessons: ``python -m tpainn_lite.course.editions``.

Writes ``build/student`` and ``build/instructor``, without outputs. A solution is a cell
tagged "solution"; the cell after it checks what it computes.
"""

import ast
import copy
import json
from pathlib import Path

import nbformat
from nbconvert.preprocessors import ClearOutputPreprocessor

from .build import copy_companions
from .normalise import save

REFUSE = 'raise NotImplementedError("Write it here; the next cell checks it.")'


def student(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Copy a lesson without outputs; of a solution stay title, signature, an error."""
    edition = _bare(notebook)
    for cell in edition.cells:
        if "solution" in cell.metadata.get("tags", []):
            cell.source = _stub(cell.source)
    return edition


def _stub(source: str) -> str:
    lines = source.splitlines()
    title = lines[0].replace("Solution", "Your solution")
    functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    if not functions:
        return f"{title}\n{REFUSE}"
    function, first = functions[0], functions[0].body[0]
    end = first.end_lineno if ast.get_docstring(function) else first.lineno - 1
    return "\n".join([title, *lines[function.lineno - 1 : end], f"    {REFUSE}"])


def instructor(
    notebook: nbformat.NotebookNode, cost: dict[str, float] | None
) -> nbformat.NotebookNode:
    """Copy a lesson without outputs, with what it took when it was last run.

    `cost` is the lesson's entry of ``build/timings.json``, if it has one.
    """
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
    edition = _bare(notebook)
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
        copy_companions(Path("notebooks"), folder)
        for path in paths:
            lesson = nbformat.read(path, as_version=4)
            cost = costs.get(path.stem)
            made = student(lesson) if name == "student" else instructor(lesson, cost)
            save(made, folder / path.name)
    print(f"{len(paths)} lessons: see build/student and build/instructor")


if __name__ == "__main__":
    main()
