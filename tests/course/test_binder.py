"""`make binder` can fail: its own parts on a small server, without an image."""

import sys

import nbformat
import pytest
from lab import Server
from nbformat.v4 import new_code_cell, new_notebook
from packaging.requirements import Requirement

from binder import brought, clean_environment

LESSONS = {
    "good": ["import os\nassert len(os.environ)", "x = 1", "assert x == 1"],
    "bad": ["1 / 0", "print('goes on')", "undefined"],
    "dead": ["x = 1", "import os\nos._exit(1)", "x"],
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs affinity")


def test_errors_and_dead_kernels_come_back_from_the_server(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for name, sources in LESSONS.items():
        notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
        nbformat.write(notebook, home / f"{name}.ipynb")
    run = [sys.executable, "-m", "jupyter_server"]
    with Server(home, run, clean_environment(HOME=str(home))) as server:
        assert server.execute("good.ipynb") == []
        first, last = server.execute("bad.ipynb")
        assert first.startswith("cell 0: ")
        assert "ZeroDivisionError: division by zero" in first
        assert last.startswith("cell 2: ")
        assert "NameError" in last
        assert server.execute("dead.ipynb") == ["cell 1: the kernel died"]
    assert server.process.poll() is not None


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_what_repo2docker_brings_can_be_read(python):
    found = [Requirement(line) for line in brought(python)]
    names = {requirement.name for requirement in found}
    assert len(names) == len(found) > 100
    assert {"jupyterlab", "notebook", "jupyterhub", "ipykernel", "pip"} <= names
    assert all(len(requirement.specifier) == 1 for requirement in found)


def test_nothing_of_this_environment_reaches_into_the_image(monkeypatch):
    names = {"PYTHONPATH", "VIRTUAL_ENV", "OMP_NUM_THREADS", "TPAINN_STATIC"}
    for name in names:
        monkeypatch.setenv(name, "1")
    found = clean_environment(HOME="/elsewhere")
    assert not names & {*found}
    assert found["HOME"] == "/elsewhere"
