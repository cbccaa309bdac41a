"""The build: what runs, what is recorded, what fails it, what is written back."""

import base64
import contextlib
import io
import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tpainn_lite.course import build, lessons, normalise

# the kernel's event loop and sockets are closed by nbclient when it likes
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
CLAIMS = """
rounded = answer // 10
claim("Title", rounded == 4)
claim("✓ *Right.*", answer == 41)
claim("Nobody says so", missing)
wrong(1, "answer = 41", "answer = 42", "answer = unknown")
"""
REFUSES = "the check of exercise 1 refuses: answer = "
SHOW = """
import io, sys, time
from PIL import Image
from ipywidgets import IntSlider
from tpainn_lite.course import lessons
file = io.BytesIO()
Image.new("RGB", (40, 40), "navy").save(file, format="PNG")
print("noise", file=sys.stderr)
lessons.show(IntSlider(), "A blue square", file.getvalue())
"""


def write(folder, name, sources, tags=(), first="# 00 · Title"):
    cells = [new_markdown_cell(first)]
    cells += [new_code_cell(s, metadata={"tags": list(tags)}) for s in sources]
    folder.mkdir(exist_ok=True)
    nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory):
    """A course of three lessons, built once: one has false claims, one raises."""
    root = tmp_path_factory.mktemp("course")
    threads = "import os\nprint(os.environ['OMP_NUM_THREADS'], os.getcwd())"
    block = "block = bytearray(300_000_000)"
    exercise = "# Solution of exercise 1\nanswer = 42"
    check = "from tpainn_lite.course import lessons\n"
    check += "lessons.self_check(answer == 42, 'Right.', 'Again.')"
    write(root / "notebooks", "00_good", [threads, block, exercise, check])
    (root / "tests/claims").mkdir(parents=True)
    (root / "tests/claims/00.py").write_text(CLAIMS)
    write(root / "notebooks", "01_raises", ["1 / 0", "1"])
    write(root / "notebooks", "02_short", ["1"])
    before = {p.name: p.read_bytes() for p in (root / "notebooks").iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        status = build.main(["tutorial"])
    after = {p.name: p.read_bytes() for p in (root / "notebooks").iterdir()}
    return root, status, before == after


def test_tutorial_fails_and_leaves_the_lessons_alone(tutorial):
    root, status, untouched = tutorial
    assert status == 1
    assert untouched
    copies = {path.name for path in (root / "build/notebooks").iterdir()}
    assert copies == {"00_good.ipynb", "01_raises.ipynb", "02_short.ipynb"}
    copy = nbformat.read(root / "build/notebooks/00_good.ipynb", as_version=4)
    assert copy.cells[1].outputs[0].text == f"1 {root / 'build/notebooks'}\n"
    assert len(copy.cells) == 5  # the cells that measure and check are not kept
    assert "".join(o.text for o in copy.cells[-1].outputs) == "✓ Right.\n"


def test_claims_and_timings_are_collected(tutorial):
    claims, timings = (
        json.loads((tutorial[0] / f"build/{name}.json").read_text())
        for name in ("claims", "timings")
    )
    assert claims == [
        {"lesson": "00_good", "text": "Title", "holds": True},
        {"lesson": "00_good", "text": "✓ *Right.*", "holds": False},
        {"lesson": "00_good", "text": "Nobody says so", "holds": False},
        {"lesson": "00_good", "text": f"{REFUSES}41", "holds": True},
        {"lesson": "00_good", "text": f"{REFUSES}42", "holds": False},
        {"lesson": "00_good", "text": f"{REFUSES}unknown", "holds": False},
    ]
    assert set(timings) == {"00_good", "01_raises", "02_short"}
    for cost in timings.values():
        assert set(cost) == {"cpu_s", "wall_s", "peak_mb"}
        assert min(cost["cpu_s"], cost["wall_s"]) > 0
    assert timings["00_good"]["peak_mb"] > timings["02_short"]["peak_mb"] + 250


def test_problems_are_named(tutorial, monkeypatch, capsys):
    monkeypatch.chdir(tutorial[0])
    assert build.main(["tutorial", "01", "02_short"]) == 1
    printed = capsys.readouterr().out
    assert "01_raises: cell 1: CellExecutionError" in printed
    assert "ZeroDivisionError" in printed
    claims = json.loads((tutorial[0] / "build/claims.json").read_text())
    assert [c["lesson"] for c in claims] == ["00_good"] * 6  # they are kept
    assert build.main(["tutorial", "00"]) == 1
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "00_good: claim does not hold: '✓ *Right.*'",
        "00_good: claim does not stand in the lesson: 'Nobody says so'",
        "00_good: claim does not hold: 'Nobody says so' (NameError: name 'missing' is "
        "not defined)",
        f"00_good: claim does not hold: '{REFUSES}42' (✓ Right.)",
        f"00_good: claim does not hold: '{REFUSES}unknown' (NameError: name 'unknown' "
        "is not defined)",
    ]


def test_numbers_that_no_claim_covers_are_listed(tmp_path, monkeypatch, capsys):
    prose = """## 2 sections

Lesson 03 has **3 labels**; MMFF94 has `7`; [9 groups](https://x.org/9) found 8.
Try 5 or (2) run it. Errors fall by
*four* to 20 %.

| 5 | a table |

- Ten to 12 boxes.

1. Ten in 1999, or 11?

## Exercises

**1.** Make it 12."""
    (tmp_path / "tests/claims").mkdir(parents=True)
    path = tmp_path / "notebooks/03_x.ipynb"
    path.parent.mkdir()
    cells = [new_markdown_cell("# 03 · 99"), new_markdown_cell(prose)]
    nbformat.write(new_notebook(cells=cells), path)
    cells[1] = new_markdown_cell("5 Å are long.")
    nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks/04_y.ipynb")
    monkeypatch.chdir(tmp_path)
    ascii_only = io.TextIOWrapper(io.BytesIO(), "ascii")
    with contextlib.redirect_stdout(ascii_only):
        assert build.main(["claims"]) == 0
    ascii_only.flush()
    assert b"04_y: 5 \\xc5 are long." in ascii_only.buffer.getvalue()
    (tmp_path / "notebooks/04_y.ipynb").unlink()
    assert build.main(["claims"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "03_x: has 3 labels;",
        "03_x: Errors fall by four to 20 %.",
        "03_x: Ten to 12 boxes.",
        "3 sentences or claims to look at",
    ]
    file = tmp_path / "tests/claims/03.py"
    file.write_text('claim("by four to 20 %", x < 1)\nclaim("ten boxes", n == 10)')
    build.main(["claims", "03"])
    printed = capsys.readouterr().out
    assert "four" not in printed
    assert "claim does not stand in the lesson: 'ten boxes'" in printed


@pytest.mark.parametrize(("measured", "wrong"), [(31, 0), (239, 0), (29, 1), (241, 1)])
def test_a_time_too_long_or_far_too_short_is_named(
    tmp_path, monkeypatch, capsys, measured, wrong
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "PROFILE", "binder")
    first = (
        "# 03 · Y\n\n| **Running** | ci 30 s, binder 120 s, laptop 300 s (one core) |"
    )
    write(tmp_path / "notebooks", "03_y", [], first=first)
    with pytest.raises(SystemExit, match="run make tutorial first"):
        build.main(["times"])
    (tmp_path / "build").mkdir()
    timings = {"03_y": {"cpu_s": measured}, "04_gone": {"cpu_s": None}}
    (tmp_path / "build/timings.json").write_text(json.dumps(timings))
    assert build.main(["times"]) == wrong
    words = f"03_y: states 120 s for binder, took {measured} s"
    assert (words in capsys.readouterr().out) == wrong


def test_bad_arguments_are_refused(tutorial, monkeypatch):
    monkeypatch.chdir(tutorial[0])
    for arguments in (["tutorial", "07"], ["nonsense"], []):
        with pytest.raises(SystemExit, match="2"):
            build.main(arguments)
    with pytest.raises(ValueError, match="holds no lesson; run this in the repository"):
        build.select(tutorial[0] / "build", [])


def test_notebooks_written_back_are_stable(tmp_path, monkeypatch):
    clock = "import time\nprint(time.time_ns())"
    write(tmp_path / "notebooks", "00_show", [SHOW, "1 + 1"])
    write(tmp_path / "notebooks", "01_clock", [clock], tags=["volatile"])
    monkeypatch.chdir(tmp_path)
    runs = []
    for _ in range(2):
        assert build.main(["notebooks"]) == 0
        runs.append({p.name: p.read_text() for p in tmp_path.glob("notebooks/*")})
    assert runs[0] == runs[1]
    text = runs[0]["00_show.ipynb"]
    assert "widget" not in text.replace("ipywidgets", "")
    assert "noise\\n" not in text
    cell = nbformat.reads(text, as_version=4).cells[1]
    [output] = cell.outputs
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.metadata["image/png"]["alt"] == "A blue square"
    assert "execution" not in cell.metadata


def png(colour="navy", dot=None) -> str:
    image = Image.new("RGB", (100, 100), colour)
    for k in range(dot or 0):
        image.putpixel((k % 100, k // 100), (255, 255, 255))
    file = io.BytesIO()
    image.save(file, format="PNG", compress_level=0 if dot == 0 else 6)
    return base64.b64encode(file.getvalue()).decode()


def notebook(*outputs, tags=()):
    cell = new_code_cell("1", id="one", outputs=list(outputs))
    cell.metadata.tags = list(tags)
    return new_notebook(cells=[cell])


def picture(data, alt="A square"):
    kinds = {"image/png": data, "text/plain": "<Figure>"}
    return new_output("display_data", kinds, metadata={"image/png": {"alt": alt}})


def test_an_unchanged_picture_keeps_its_bytes():
    same, other = png(dot=0), [png(dot=5), png("black"), png("red")]
    assert same != png()  # other bytes, same picture
    old, new = notebook(picture(same)), notebook(picture(png()))
    result = normalise.normalised(new, old)
    assert result.cells[0].outputs[0].data["image/png"] == same
    assert new.cells[0].outputs[0].data["image/png"] == png()  # argument untouched
    for data in other:
        changed = normalise.normalised(notebook(picture(data)), old)
        assert changed.cells[0].outputs[0].data["image/png"] == data


@pytest.mark.parametrize(
    ("tags", "expected"), [((), "2 s\n"), (("volatile",), "1 s\n")]
)
def test_only_volatile_cells_keep_old_texts(tags, expected):
    old = notebook(new_output("stream", name="stdout", text="1 s\n"))
    bar = "0%\r50%\r2 s\n"  # a progress bar leaves its last state
    new = notebook(new_output("stream", name="stdout", text=bar), tags=tags)
    assert normalise.normalised(new, old).cells[0].outputs[0].text == expected


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        ({lessons.PLOTLY: {}, "text/plain": "A line"}, [normalise.NO_TWIN]),
        ({lessons.WIDGET: {"model_id": "x"}, "text/plain": ""}, []),
    ],
)
def test_what_has_no_twin_says_so_and_what_is_invisible_goes(data, kept):
    new = notebook(new_output("display_data", data))
    outputs = normalise.normalised(new, new).cells[0].outputs
    assert [output.data["text/plain"] for output in outputs] == kept
