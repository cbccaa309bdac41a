"""The committed lessons: what every reader, on every site, must be able to see."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import nbformat
import pytest

from tpainn_lite.course import build, normalise

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST = [  # of the first cell, in this order; CONTRIBUTING.md has the template
    r"\A# \d\d · \S",
    r"^\[!\[Open in Colab\]\(colab\.svg\)\]\(https://colab\.research\.google\.com/",
    r"^> \*\*Claim\.\*\* \S",
    r"^\*\*Aims\.\*\*",
    r"^- ",
    r"^\| \*\*Prerequisites\*\* \| \S",
    r"^\| \*\*Reading\*\* \| \d+ minutes",
    r"^\| \*\*Running\*\* \| ci \d+ s, binder \d+ s, laptop \d+ s, full \d+ s \(",
    r"^\| \*\*Memory\*\* \| [\d.]+ GB",
    r"^\| \*\*Network\*\* \| (not )?needed",
    r"^\*\*Previous:\*\* .*\*\*Next:\*\* ",
]
LAST = ["## Take-aways", "## Quiz", "## Exercises", "## Further reading"]
VAGUE = re.compile(r"^- (understand|know|learn|be aware)\b", re.I | re.M)
LOCAL = re.compile(r"(?<![\w./:])/(?:home|root|Users|private|tmp|usr|opt|var)/\S+")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)[^)]*\)")
KINDS = {"text/plain", "text/markdown", "text/latex", "text/html", "image/png"}

GLOSSARY = (ROOT / "notebooks/glossary.md").read_text("utf-8")
ENTRIES = {  # as GitHub and the site name a heading -> what it says
    re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-"): text
    for head, text in re.findall(r"^## (.+)\n\n(.+)$", GLOSSARY, re.M)
}

every = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def outputs(path: Path) -> list[nbformat.NotebookNode]:
    return [o for c in read(path).cells if c.cell_type == "code" for o in c.outputs]


def prose(path: Path) -> str:
    """Everything in Markdown, without code blocks."""
    cells = [c.source for c in read(path).cells if c.cell_type == "markdown"]
    return re.sub(r"^```.*?^```", "", "\n\n".join(cells), flags=re.S | re.M)


def test_the_course_has_eleven_lessons_in_order():
    numbers = [int(path.name[:2]) for path in NOTEBOOKS]
    assert numbers == list(range(11))


@every
def test_notebook_is_valid_small_and_has_a_kernel(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert path.stat().st_size < 1_000_000
    # without it JupyterLab stops at "Select Kernel"
    assert notebook.metadata.kernelspec.name == "python3"
    assert "widgets" not in notebook.metadata  # GitHub shows an error in its place
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@every
def test_notebook_was_run_in_order_and_without_an_error(path):
    code = [c for c in read(path).cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    for output in outputs(path):
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text[:200]


@every
def test_outputs_are_texts_and_pictures_with_alt_and_no_authors_path(path):
    texts = [cell.source for cell in read(path).cells]
    for output in outputs(path):
        data = output.get("data", {})
        texts.append(output.get("text", "") + data.get("text/plain", ""))
        assert set(data) <= KINDS, f"{set(data) - KINDS}: run make notebooks"
        assert "<script" not in data.get("text/html", "")
        assert data.get("text/plain") != normalise.NO_TWIN
        if "image/png" in data:
            assert output.metadata["image/png"]["alt"].strip()
    assert not LOCAL.search("\n".join(texts)), LOCAL.search("\n".join(texts))


@every
def test_first_cell_says_what_awaits_the_reader(path):
    source = read(path).cells[0].source
    assert source.startswith(f"# {path.name[:2]} · ")
    position = 0
    for pattern in FIRST:
        match = re.compile(pattern, re.MULTILINE).search(source[position:])
        assert match, f"first cell: {pattern!r} is missing, or out of order"
        position += match.start()
    assert not VAGUE.search(source), "aims: verbs that can be checked"


def colab(path: Path) -> str:
    """The code for Google Colab: the first code cell."""
    return next(c for c in read(path).cells if c.cell_type == "code").source


@every
def test_colab_is_offered_and_its_cell_does_nothing_elsewhere(
    path, capsys, monkeypatch
):
    address = "https://colab.research.google.com/github/tpainn-lite/tpainn-lite"
    badge = f"[![Open in Colab](colab.svg)]({address}/blob/main/notebooks/{path.name})"
    first, cell, *_ = read(path).cells
    assert first.source.splitlines()[2] == badge
    assert cell.source == colab(path) == colab(NOTEBOOKS[0])
    assert cell.outputs == []
    monkeypatch.setattr(subprocess, "run", None)
    names = {}
    exec(cell.source, names)
    assert set(names) == {"__builtins__"}
    assert capsys.readouterr() == ("", "")


def test_the_cell_for_colab_installs_the_package_there(capsys, monkeypatch):
    done = []
    for name in ("google", "google.colab"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    manager = SimpleNamespace(enable_custom_widget_manager=lambda: done.append("on"))
    sys.modules["google.colab"].output = manager
    monkeypatch.setattr(
        subprocess, "run", lambda command, check: done.append((command, check))
    )
    exec(colab(NOTEBOOKS[0]), {})
    package = "tpainn-lite @ git+https://github.com/tpainn-lite/tpainn-lite"
    assert done == [(["pip", "install", "-q", package], True), "on"]
    [line] = capsys.readouterr().out.splitlines()
    assert "may stay still" in line


@every
def test_last_cells_close_the_lesson(path):
    text = prose(path)
    places = [text.find(f"\n{heading}\n") for heading in LAST]
    assert -1 not in places, f"missing: {LAST[places.index(-1)]}"
    assert places == sorted(places)
    quiz = text[places[1] : places[2]]
    assert quiz.count("<details>") == quiz.count("</details>") in (3, 5)


@every
def test_headings_are_an_outline(path):
    levels = [len(m[1]) for m in re.finditer(r"^(#{1,6}) \S", prose(path), re.M)]
    assert levels.count(1) == 1
    for above, below in zip(levels, levels[1:], strict=False):
        assert below <= above + 1, "a heading level is skipped"


@every
def test_links_lead_somewhere_and_say_where(path):
    for image, text, target in LINK.findall(prose(path)):
        assert text.strip(), f"{'image without alt' if image else 'link'}: {target}"
        assert text.strip().lower() not in {"here", "link", "this"}, target
        if "://" not in target and not target.startswith(("#", "mailto:")):
            file, _, entry = target.partition("#")
            assert (path.parent / file).exists(), target
            assert file != "glossary.md" or entry in ("", *ENTRIES), target
    for tag in re.findall(r"<img\b[^>]*>", prose(path)):
        assert re.search(r"alt=['\"]\S", tag), tag


def test_the_glossary_is_in_order_and_whole():
    assert [*ENTRIES] == sorted(ENTRIES)
    assert len(ENTRIES) == GLOSSARY.count("## ")
    assert {target[1:] for *_, target in LINK.findall(GLOSSARY)} <= {*ENTRIES}


@every
def test_every_lesson_records_a_claim(path):
    code = [c.source for c in read(path).cells if c.cell_type == "code"]
    file = ROOT / f"tests/claims/{path.name[:2]}.py"
    assert file.is_file() or any(re.search(r"\bclaim\(", s) for s in code)


@every
def test_the_readme_states_the_time_of_the_first_cell(path):
    readme = (ROOT / "README.md").read_text("utf-8")
    (row,) = re.findall(rf"^\| \[.*\(notebooks/{path.name}\).*$", readme, re.M)
    assert row.endswith(f" | {build.seconds(path, 'binder'):g} s |")


def test_the_template_of_contributing_is_the_one_held_here():
    template = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    first = re.search(r"```markdown\n(.*?)```", template, re.S)[1]
    for pattern in FIRST:
        assert re.search(pattern, first, re.MULTILINE), pattern
    assert all(f"`{heading}`" in template for heading in LAST)
