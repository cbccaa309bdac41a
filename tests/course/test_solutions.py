"""Solutions beside the lessons: the student edition, the instructor edition, checks."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tpainn_lite.course import editions, solutions

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
every = pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
# lessons whose checks are not yet proven to refuse wrong answers; may only shrink
NOT_PROVEN: list[str] = []
NOT_APART: list[str] = []  # nor built since
SOLVED = "# Solution of exercise 1\nanswer = 6 * 7\n\n\n# gives it away"
FUNCTION = '# Solution of exercise 2\ndef f(x):\n    "Halve."\n    return x / 2'
CHECK = "assert answer == 42"
TASKS = "## Exercises\n\n**1.** Compute.\n\n**2.** *Change.* Halve,\n\nwell."
RUBRIC = "<details><summary>How to judge a plan</summary>\n\n- A test.\n</details>"
END = "\n\n## Further reading\n\n<details><summary>Answer</summary>Six.</details>"


@pytest.fixture
def lesson() -> nbformat.NotebookNode:
    tags = {"tags": ["solution"]}
    first, second = (new_code_cell(s, metadata=tags) for s in (SOLVED, FUNCTION))
    cells = [new_markdown_cell("# 07 · Title\n\n**1.** No exercise.")]
    cells += [new_markdown_cell(TASKS), first, new_code_cell(CHECK), second]
    cells += [new_markdown_cell(f"**3.** Design.\n{RUBRIC}{END}")]
    return new_notebook(cells=cells)


def test_solutions_and_rubrics_move_to_their_page_and_back(lesson):
    before = nbformat.writes(lesson)
    edition, page = solutions.split(lesson, "solutions_07.md")
    assert nbformat.writes(lesson) == before
    stub, check, function = (c.source for c in edition.cells[2:5])
    assert check == CHECK
    assert stub.splitlines()[0] == "# Your solution of exercise 1"
    assert function.splitlines()[1:3] == ["def f(x):", '    "Halve."']
    exec(function, names := {})
    for call in (lambda: exec(stub, {}), lambda: names["f"](1)):
        with pytest.raises(NotImplementedError, match="the next cell checks it"):
            call()
    shown = "\n".join(c.source for c in edition.cells if c.cell_type == "markdown")
    links = re.findall(r"(\w+\.) \[Show a solution\]\((\S+)\)", shown)
    texts, targets = zip(*links, strict=True)
    assert texts == ("Compute.", "well.", "Design.")
    assert targets == tuple(f"solutions_07.md#exercise-{n}" for n in (1, 2, 3))
    assert "A test." not in shown
    assert shown.endswith(END)
    assert page.startswith("# Solutions of 07 · Title\n\n## Exercise 1\n\n```python\n")
    assert page.endswith("## Exercise 3\n\n- A test.\n")
    joined = solutions.join(edition, page)
    assert [c.source for c in joined.cells[2:5]] == [SOLVED, CHECK, FUNCTION]
    assert "- A test.\n</details>\n\n## Further" in joined.cells[5].source
    again, same = solutions.split(joined, "solutions_07.md")
    assert (same, again) == (page, edition)


def test_run_all_goes_on_after_an_open_exercise_and_the_build_stops(lesson):
    edition, page = solutions.split(lesson, "solutions_07.md")
    tags = [c.metadata.get("tags", []) for c in edition.cells[2:5]]
    assert tags == [["solution", solutions.OPEN], [solutions.OPEN], tags[0]]
    joined = solutions.join(edition, page)
    assert not any(solutions.OPEN in c.metadata.get("tags", []) for c in joined.cells)


def test_a_lesson_without_exercises_has_no_page(lesson):
    lesson.cells = lesson.cells[:1]
    assert solutions.split(lesson, "solutions_07.md") == (lesson, "")


@every
def test_a_lesson_is_its_student_edition_and_its_page_is_whole(path):
    if path.name[:2] in NOT_APART:
        pytest.skip("still with its solutions")
    whole = solutions.whole(path)
    edition, page = solutions.split(whole, solutions.page(path).name)
    committed = nbformat.read(path, as_version=4)
    assert [c.source for c in edition.cells] == [c.source for c in committed.cells]
    assert page == solutions.page(path).read_text("utf-8")
    code = [c for c in whole.cells if c.cell_type == "code"]
    first = next(k for k, cell in enumerate(code) if solutions.is_solution(cell))
    for solution, check in zip(code[first::2], code[first + 1 :: 2], strict=True):
        assert solutions.is_solution(solution)
        assert solutions.REFUSE not in solution.source
        assert "self_check(" not in solution.source
        assert "lessons.self_check(" in check.source


@every
def test_three_wrong_answers_are_given_to_each_check(path):
    """The build runs them; see `tpainn_lite.course.claims`."""
    text = (ROOT / f"tests/claims/{path.name[:2]}.py").read_text("utf-8")
    calls = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Call)]
    calls = [n for n in calls if getattr(n.func, "id", "") == "wrong"]
    given = {n.args[0].value: len(n.args) - 1 for n in calls}
    stubs = filter(solutions.is_solution, nbformat.read(path, as_version=4).cells)
    numbers = [int(re.search(r"exercise (\d+)", c.source)[1]) for c in stubs]
    proven = all(given.get(number, 0) >= 3 for number in numbers)
    assert proven or path.name[:2] in NOT_PROVEN


def test_the_instructor_edition(lesson, tmp_path, monkeypatch, capsys):
    teacher = editions.instructor(lesson, {"cpu_s": 12.3, "peak_mb": 810.0})
    assert "12 s of one core and 0.8 GB" in teacher.cells[1].source
    (tmp_path / "notebooks").symlink_to(LESSONS[0].parent)
    monkeypatch.chdir(tmp_path)
    editions.main()
    slides = (tmp_path / "build/slides.html").read_text("utf-8")
    assert slides.count("<section>") == slides.count("data:image/png") == len(LESSONS)
    assert "<p><strong>Ask first:</strong> Force MAE of a network from" in slides
    assert 'src="http' not in slides
    assert "<img" not in editions.slide(lesson)  # it has no figure
    folder = tmp_path / "build/instructor"
    assert (folder / "idea.svg").is_file()
    assert f"{len(LESSONS)} lessons" in capsys.readouterr().out
    for path in LESSONS:
        edition = nbformat.read(folder / path.name, as_version=4)
        nbformat.validate(edition)
        assert "`make tutorial` measures" in edition.cells[1].source
        assert not any(c.get("outputs") for c in edition.cells)
        assert solutions.REFUSE not in "".join(c.source for c in edition.cells)
