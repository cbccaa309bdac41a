"""Student and instructor editions: made of every lesson, and without its solutions."""

import ast
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tpainn_lite.course import editions, lessons

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
SOLVED = '''# Solution of exercise 1
answer = 6 * 7
lessons.self_check(answer == 42, "Right.", "Multiply six by seven.")
lessons.claim("the answer", answer, answer == 42)

# Solution of exercise 2
import numpy as np


def double(x):
    """Twice `x`."""
    y = x + x  # a comment that gives it away
    return y


found = double(np.arange(3))
lessons.self_check(found[2] == 4, "Doubled.", "Add x to itself.")'''


@pytest.fixture
def lesson():
    return new_notebook(cells=[new_markdown_cell("# A lesson"), new_code_cell(SOLVED)])


def code(notebook):
    return [c.source for c in notebook.cells if c.cell_type == "code"]


def test_solutions_become_stubs_that_give_their_hint(lesson):
    one, two = code(editions.student(lesson))
    assert "42, " in one  # the check stays
    assert "6 * 7" not in one
    assert "claim" not in one
    assert "gives it away" not in two
    assert '"""Twice `x`."""' in two
    for source, hint in ((one, "Multiply six by seven."), (two, "Add x to itself.")):
        with pytest.raises(NotImplementedError, match=hint):
            exec(source, {"lessons": lessons})
    assert code(lesson) == [SOLVED]  # the source is untouched


def test_who_fills_in_the_stub_passes(lesson, capsys):
    _, two = code(editions.student(lesson))
    start = two.index("raise NotImplementedError(")
    wrong, right = (
        two[:start] + f"return {what}" + two[two.index("    )") + 5 :]
        for what in ("x", "2 * x")
    )
    exec(right, {"lessons": lessons})
    assert "✓ Doubled." in capsys.readouterr().out
    exec(wrong, {"lessons": lessons})
    assert "✗ Not yet. Add x to itself." in capsys.readouterr().out


@every
def test_every_lesson_has_its_editions(path):
    source = nbformat.read(path, 4)
    pupil = editions.student(source)
    teacher = editions.instructor(source, {"cpu_s": 12.3, "peak_mb": 810.0})
    solutions = sum(len(editions.SOLUTION.findall(c)) for c in code(source))
    assert solutions >= 1
    stubs = [c for c in code(pupil) if "raise NotImplementedError(" in c]
    assert len(stubs) == solutions
    for cell in code(pupil):
        ast.parse(cell)
        assert not editions.SOLUTION.search(cell)
    assert sum(len(editions.SOLUTION.findall(c)) for c in code(teacher)) == solutions
    assert "12 s of one core and 0.8 GB" in teacher.cells[1].source
    for edition in (pupil, teacher):
        nbformat.validate(edition)
        assert not any(c.get("outputs") for c in edition.cells)


@every
def test_only_solutions_follow_a_solution(path):
    """So a run of the lesson, with stubs before solutions, is one of the students'."""
    solved = [bool(editions.SOLUTION.search(c)) for c in code(nbformat.read(path, 4))]
    assert solved == sorted(solved)


def test_code_before_a_solution_would_be_lost():
    lesson = new_notebook(cells=[new_code_cell("x = 1\n" + SOLVED)])
    with pytest.raises(ValueError, match="code before a solution"):
        editions.student(lesson)


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
