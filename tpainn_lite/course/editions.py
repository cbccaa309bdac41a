"""Make editions of the lessons: ``python -m tpainn_lite.course.editions``.

Writes ``build/student`` and ``build/instructor``, without outputs. A solution begins at
a line ``# Solution`` and ends with its `lessons.self_check`.
"""

import ast
import copy
import json
import re
import shutil
import textwrap
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

SOLUTION = re.compile(r"^# Solution\b.*$", re.M)


def student(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy without outputs and solutions: each is a stub that gives its hint.

    Functions keep their signature and docstring; other code goes. The self-check stays,
    and claims about solutions go with them.
    """
    edition = _bare(notebook)
    edition.cells = [new for cell in edition.cells for new in stubs(cell) or [cell]]
    return edition


def stubs(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells that students get for a cell with solutions; none for another.

    Each raises `NotImplementedError` until it is filled in.
    """
    parts = _solutions(cell.source) if cell.cell_type == "code" else []
    return [
        new_code_cell(_stub(part), id=f"{cell.id[:58]}-{k}")
        for k, part in enumerate(parts)
    ]


def instructor(
    notebook: nbformat.NotebookNode, cost: dict[str, float] | None
) -> nbformat.NotebookNode:
    """A copy without outputs, with what the lesson took when it was last run.

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
        "edition has hints in their place."
    )
    edition.cells.insert(1, new_markdown_cell(note, id="for-who-teaches"))
    return edition


def _bare(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    edition = copy.deepcopy(notebook)
    for cell in edition.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return edition


def _solutions(source: str) -> list[str]:
    """The solutions in a cell, one string each; none for a cell that has none.

    Raises `ValueError` for code before the first one: it would be lost.
    """
    starts = [m.start() for m in SOLUTION.finditer(source)]
    if starts and source[: starts[0]].strip():
        raise ValueError(f"code before a solution: {source[: starts[0]]!r}")
    ends = [*starts[1:], len(source)][: len(starts)]
    return [source[a:b].strip() for a, b in zip(starts, ends, strict=True)]


def _stub(solution: str) -> str:
    """The solution as an exercise: comment, stubs with the hint, and the check."""
    statements, lines = ast.parse(solution).body, solution.splitlines()
    (check,) = (s for s in statements if _calls(s, "self_check"))
    hint = ast.literal_eval(check.value.args[2])
    refuse = textwrap.wrap(hint, 70, drop_whitespace=False)
    refuse = ["raise NotImplementedError(", *(f"    {w!r}" for w in refuse), ")"]
    functions = [s for s in statements if isinstance(s, ast.FunctionDef)]
    kept = [lines[0].replace("Solution", "Your solution")]
    for statement in statements[: statements.index(check) + 1]:
        end = statement.end_lineno
        if statement in functions:
            end = statement.body[0].end_lineno  # of its docstring
        if functions or statement is check:
            kept += lines[statement.lineno - 1 : end]
        if statement in functions:
            kept += ["    " + line for line in refuse]
        elif not functions and statement is statements[0]:
            kept += refuse
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            kept += ["", ""]
    return "\n".join(kept)


def _calls(statement: ast.stmt, name: str) -> bool:
    called = getattr(getattr(statement, "value", None), "func", None)
    return getattr(called, "attr", None) == name


def main() -> None:
    """Write all editions."""
    timings = Path("build/timings.json")
    costs = json.loads(timings.read_text("utf-8")) if timings.is_file() else {}
    paths = sorted(Path("notebooks").glob("[0-9][0-9]_*.ipynb"))
    for folder in (Path("build/student"), Path("build/instructor")):
        folder.mkdir(parents=True, exist_ok=True)
        for picture in Path("notebooks").glob("*.svg"):  # lessons show them
            shutil.copy(picture, folder)
    for path in paths:
        source = nbformat.read(path, as_version=4)
        taught = instructor(source, costs.get(path.stem))
        nbformat.write(student(source), Path("build/student") / path.name)
        nbformat.write(taught, Path("build/instructor") / path.name)
    print(f"{len(paths)} lessons: see build/student and build/instructor")


if __name__ == "__main__":
    main()
