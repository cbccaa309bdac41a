"""What comes into lesson 10 and leaves it, and the alt texts beside the package."""

from datetime import UTC, datetime
from pathlib import Path

import ase.io
import nbformat
import pytest

from tpainn_lite.course import lessons, reopened, upload

ROOT = Path(__file__).parents[2]


def test_an_upload_comes_before_a_path_and_a_path_before_the_example(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(upload.Upload, "KEPT", {})
    bring = upload.Upload("A file")
    assert bring.path() == bring.example
    sent = ase.io.read(bring.example, ":")
    assert ["forces" in a.calc.results for a in sent] == [True] * 10 + [False]
    assert bring.path(str(tmp_path / "mine.xyz")) == tmp_path / "mine.xyz"
    sent = dict(name="../ethanol.extxyz", content=memoryview(b"2"), type="", size=1)
    bring.button.value = [sent | dict(last_modified=datetime.now(UTC))]
    path = bring.path("mine.xyz")
    assert path == bring.folder / "ethanol.extxyz" != bring.example
    assert path.read_bytes() == b"2"
    again = upload.Upload("A file")  # its cell runs again
    assert again.path() == path
    assert path.name in again._said.value
    assert again.path("mine.xyz").name == "mine.xyz"
    other = upload.Upload("Another file")
    assert other.path() == other.example
    monkeypatch.setattr(other, "folder", bring.example)  # a file
    other.button.value = [sent | dict(last_modified=datetime.now(UTC))]
    assert other._said.value.startswith("Failed: ethanol.extxyz was not kept.")
    assert other.path() == other.example


def test_a_saved_notebook_holds_what_stands_for_its_widgets():
    words = ("Errors of each round", "VBox(children=())", "")
    data = [{reopened.WIDGET: {"model_id": w}, "text/plain": w} for w in words]
    data[0]["image/png"] = "iVBORw0KGgo="
    cells = [{"outputs": [{"data": each}]} for each in data] + [{"source": ""}]
    model = dict(type="notebook", content={"cells": cells, "metadata": {}})
    reopened.keep(model, path="", contents_manager=None)
    state = model["content"]["metadata"]["widgets"][reopened.STATE]["state"]
    picture, button, theme = (state[w]["state"]["value"] for w in words)
    assert "base64,iVBORw0KGgo=" in picture
    assert words[0] in picture
    assert button == reopened.RUN in picture
    assert theme == ""
    own = dict(model_name="IntSliderModel", state={"value": 3, "max": 9})
    states = model["content"]["metadata"]["widgets"][reopened.STATE]["state"]
    states["theirs"] = states[words[1]] = own
    del cells[0]  # its widget is gone
    reopened.keep(model)
    merged = model["content"]["metadata"]["widgets"][reopened.STATE]["state"]
    assert merged == {"theirs": own, words[1]: own, "": state[""]}
    plain = dict(cells=[{"outputs": []}], metadata={"widgets": {"other": 1}})
    reopened.keep(dict(type="notebook", content=plain))
    assert plain["metadata"] == {"widgets": {"other": 1}}
    reopened.keep(dict(type="file", content="text"))


@pytest.mark.parametrize("file", sorted((ROOT / "tpainn_lite/course/alts").iterdir()))
def test_every_alt_text_has_its_figure(file):
    (path,) = (ROOT / "notebooks").glob(f"{file.stem}_*.ipynb")
    code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    names = set(lessons.re.findall(rf'"{file.stem}\.([\w-]+)"', "\n".join(code)))
    assert names == set(lessons.tomllib.loads(file.read_text("utf-8")))
    assert all(len(lessons._alt(f"{file.stem}.{name}")) > 20 for name in names)
