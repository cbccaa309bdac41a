"""What lessons state of their time: compared with a run, and written from one."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tpainn_lite.course import build, stated

FIRST = """# 03 · Title

| | |
|---|---|
| **Reading** | 20 minutes |
| **Running** | ci 30 s, binder 120 s, laptop 300 s, full 3600 s (one core) |
| **Memory** | 0.8 GB at peak |
"""
README = """
| lesson | what you do | reading | running (one core) |
|---|---|---|---|
| [02 · X](notebooks/02_x.ipynb) | this, that | 10 min | 65 s |
| [03 · Y](notebooks/03_y.ipynb) | the other | 10 min | 65 s |
"""
PICKS = "n = lessons.pick(ci=1, binder=2, laptop=3, full=4)"


def lesson(code=PICKS):
    return new_notebook(cells=[new_markdown_cell(FIRST), new_code_cell(code)])


def times(notebook):
    first = notebook.cells[0].source
    return [stated.seconds(first, p) for p in ("ci", "binder", "laptop", "full")]


def test_a_run_is_stated_for_its_profile():
    before = lesson()
    after = stated.restated(before, "binder", {"cpu_s": 203.0, "peak_mb": 1240.0})
    assert times(after) == [30, 200, 300, 3600]
    assert "| **Memory** | 1.2 GB at peak |" in after.cells[0].source
    assert times(before) == [30, 120, 300, 3600]
    one_size = stated.restated(lesson("1"), "ci", {"cpu_s": 42.0, "peak_mb": 800.0})
    assert times(one_size) == [40] * 4


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_authors_build_writes_what_it_measured(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks/03_y.ipynb"
    nbformat.write(lesson("print(sum(range(10)))"), path)
    (tmp_path / "README.md").write_text(README)
    monkeypatch.chdir(tmp_path)
    assert build.main(["notebooks"]) == 0
    cost = json.loads((tmp_path / "build/timings.json").read_text())["03_y"]
    written = nbformat.read(path, as_version=4)
    assert times(written) == [stated.rounded(cost["cpu_s"])] * 4
    assert times(written)[0] < 30
    readme = (tmp_path / "README.md").read_text()
    new = f"the other | 10 min | {times(written)[0]:.0f} s |"
    assert readme == README.replace("the other | 10 min | 65 s |", new)


def test_noise_changes_nothing():
    for seconds in (100, 145):
        cost = {"cpu_s": seconds, "peak_mb": 800.0}
        assert stated.restated(lesson(), "binder", cost).cells[0].source == FIRST


def test_a_cell_that_states_nothing_stays():
    other = new_notebook(cells=[new_markdown_cell("# 00 · Title")])
    cost = {"cpu_s": 10.0, "peak_mb": 800.0}
    assert stated.restated(other, "binder", cost) == other


@pytest.mark.parametrize(
    ("measured", "words"), [(61, ""), (239, ""), (59, "59 s"), (241, "241 s")]
)
def test_a_time_wrong_by_more_than_two_is_named(
    tmp_path, monkeypatch, capsys, measured, words
):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "build").mkdir()
    nbformat.write(lesson(), tmp_path / "notebooks/03_y.ipynb")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="run make tutorial first"):
        stated.main()
    timings = {"03_y": {"cpu_s": measured}, "04_gone": {"cpu_s": None}}
    (tmp_path / "build/timings.json").write_text(json.dumps(timings))
    assert stated.main() == bool(words)
    printed = capsys.readouterr().out
    assert words in printed
    assert ("03_y: states 120 s for binder" in printed) == bool(words)
