"""Student and instructor editions: made of every lesson, and without its solutions."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tpainn_lite.course import editions

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
SOLVED = "# Solution of exercise 1\nanswer = 6 * 7  # gives it away"
CHECK = "assert answer == 42"


def code(notebook):
    return [c.source for c in notebook.cells if c.cell_type == "code"]


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


FUNCTION = '# Solution of exercise 2\ndef f(x):\n    "Halve."\n    return x / 2'


def test_solutions_become_stubs_and_checks_stay():
    tagged = {"tags": ["solution"]}
    sources = [new_code_cell(s, metadata=tagged) for s in (SOLVED, FUNCTION)]
    lesson = new_notebook(
        cells=[new_markdown_cell("# 1"), *sources, new_code_cell(CHECK)]
    )
    stub, function, check = code(editions.student(lesson))
    assert check == CHECK
    assert stub.splitlines()[0] == "# Your solution of exercise 1"
    assert "6 * 7" not in stub
    assert function.splitlines()[1:3] == ["def f(x):", '    "Halve."']
    exec(function, names := {})
    for call in (lambda: exec(stub, {}), lambda: names["f"](1)):
        with pytest.raises(NotImplementedError, match="the next cell checks it"):
            call()
    assert code(lesson) == [SOLVED, FUNCTION, CHECK]  # the source is untouched


@every
def test_every_lesson_has_its_editions(path):
    source = nbformat.read(path, 4)
    pupil = editions.student(source)
    teacher = editions.instructor(source, {"cpu_s": 12.3, "peak_mb": 810.0})
    assert code(teacher) == code(source)
    assert "12 s of one core and 0.8 GB" in teacher.cells[1].source
    assert any(map(is_solution, source.cells))
    assert "# Solution" not in "\n".join(code(pupil))
    for edition in (pupil, teacher):
        nbformat.validate(edition)
        assert not any(c.get("outputs") for c in edition.cells)


@every
def test_a_check_follows_each_solution_and_nothing_else_needs_one(path):
    cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    first = next(k for k, cell in enumerate(cells) if is_solution(cell))
    for solution, check in zip(cells[first::2], cells[first + 1 :: 2], strict=True):
        assert is_solution(solution)
        assert solution.source.startswith("# Solution")
        assert "self_check(" not in solution.source
        assert not is_solution(check)
        assert "lessons.self_check(" in check.source


def test_the_command_writes_both(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").symlink_to(NOTEBOOKS[0].parent)
    monkeypatch.chdir(tmp_path)
    editions.main()
    for folder in ("student", "instructor"):
        written = sorted(p.name for p in (tmp_path / "build" / folder).glob("*.ipynb"))
        assert written == [p.name for p in NOTEBOOKS]
        assert (tmp_path / "build" / folder / "idea.svg").is_file()
    assert f"{len(NOTEBOOKS)} lessons" in capsys.readouterr().out
    first = nbformat.read(tmp_path / "build/instructor" / NOTEBOOKS[0].name, 4)
    assert "`make tutorial` measures" in first.cells[1].source
