"""Keep solutions apart from lessons: ``notebooks/03_x.ipynb``, ``solutions_03.md``.

A lesson as committed is the student edition: cells tagged "solution" hold stubs, and
each exercise links to the page with its solution or rubric. `join` makes the instructor
edition of lesson and page, `split` makes both of that edition.
"""

import ast
import copy
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

REFUSE = 'raise NotImplementedError("Write it here; the next cell checks it.")'
OPEN = "raises-exception"  # a tag: "Run all" goes on after an open exercise
EXERCISE = re.compile(r"^\*\*(\d+)\..*?(?=\n\n\*\*|\n\n#|\Z)", re.M | re.S)
RUBRIC = re.compile(
    r"\s*<details><summary>(?!Answer<)[^<]*</summary>\s*(.*?)\s*</details>", re.S
)
LINK = re.compile(r"\s*\[Show a solution\]\([^)]*\)")
CODE = re.compile(r"```python\n(.*?)\n```\s*", re.S)


def page(lesson: Path) -> Path:
    """Return the path of a lesson's solutions."""
    return lesson.with_name(f"solutions_{lesson.name[:2]}.md")


def whole(lesson: Path) -> NotebookNode:
    """Read a lesson as its instructor edition."""
    file, notebook = page(lesson), nbformat.read(lesson, as_version=4)
    return join(notebook, file.read_text("utf-8") if file.is_file() else "")


def is_solution(cell: NotebookNode) -> bool:
    """Tell whether a cell holds a solution, or its stub."""
    return "solution" in cell.metadata.get("tags", [])


def join(notebook: NotebookNode, text: str) -> NotebookNode:
    """Copy a lesson with solutions and rubrics from the page `text` in their places."""
    joined, parts = copy.deepcopy(notebook), {}
    _, *found = re.split(r"^## Exercise (\d+)\n", text, flags=re.M)
    for number, body in zip(found[::2], found[1::2], strict=True):
        code = CODE.search(body)
        parts[number] = code and code[1], CODE.sub("", body, count=1).strip()

    def whole(exercise: re.Match) -> str:
        _, rubric = parts.get(exercise[1], (None, ""))
        told = f"\n\n<details><summary>Rubric</summary>\n\n{rubric}\n</details>"
        return LINK.sub("", exercise[0]).rstrip() + told if rubric else exercise[0]

    for cell in _exercises(joined):
        if cell.cell_type == "markdown":
            cell.source = EXERCISE.sub(whole, cell.source)
            continue
        cell.metadata["tags"] = [t for t in cell.metadata.get("tags", []) if t != OPEN]
        if is_solution(cell) and REFUSE in cell.source:
            code, _ = parts.get(_number(cell), (None, ""))
            cell.source = code or cell.source
    return joined


def split(notebook: NotebookNode, name: str) -> tuple[NotebookNode, str]:
    """Part an instructor edition into the student edition and the page `name`."""
    edition, codes, rubrics = copy.deepcopy(notebook), {}, {}

    def linked(exercise: re.Match) -> str:
        number, rubric = exercise[1], RUBRIC.search(exercise[0])
        if rubric:
            rubrics[number] = rubric[1]
        if number not in codes | rubrics:
            return exercise[0]
        bare = LINK.sub("", RUBRIC.sub("", exercise[0])).rstrip()
        return f"{bare} [Show a solution]({name}#exercise-{number})"

    cells = _exercises(edition)
    for cell in cells:
        if cell.cell_type == "code":
            if is_solution(cell):
                codes[_number(cell)] = cell.source
                cell.source = _stub(cell.source)
            cell.outputs = []
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), OPEN]
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = EXERCISE.sub(linked, cell.source)
    if not (numbers := sorted(codes | rubrics)):
        return edition, ""
    text = notebook.cells[0].source.splitlines()[0].replace("# ", "# Solutions of ", 1)
    for number in numbers:
        text += f"\n\n## Exercise {number}"
        text += f"\n\n```python\n{codes[number]}\n```" if number in codes else ""
        text += f"\n\n{rubrics[number]}" if number in rubrics else ""
    return edition, text + "\n"


def _exercises(notebook: NotebookNode) -> list[NotebookNode]:
    """List the cells from the heading "Exercises" on."""
    starts = [k for k, c in enumerate(notebook.cells) if "## Exercises" in c.source]
    return notebook.cells[starts[0] :] if starts else []


def _number(cell: NotebookNode) -> str:
    """Read of which exercise a cell is the solution, from its first line."""
    return re.match(r"# (?:Your s|S)olution of exercise (\d+)", cell.source)[1]


def _stub(source: str) -> str:
    """Leave of a solution its title, signature and docstring, and raise an error."""
    lines = source.splitlines()
    title = lines[0].replace("Solution", "Your solution")
    functions = [n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)]
    if not functions:
        return f"{title}\n{REFUSE}"
    function, first = functions[0], functions[0].body[0]
    end = first.end_lineno if ast.get_docstring(function) else first.lineno - 1
    return "\n".join([title, *lines[function.lineno - 1 : end], f"    {REFUSE}"])
