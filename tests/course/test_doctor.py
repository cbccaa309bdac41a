"""The doctor: every FAIL can happen, and says what to do."""

import json
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import binder
from tpainn_lite.course import doctor


def test_this_environment_is_fine():
    run = [sys.executable, "-m", "tpainn_lite.course.doctor"]
    done = subprocess.run(run, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("OK  ") for line in lines), done.stdout
    assert done.returncode == 0


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_missing_packages_and_little_memory_fail(monkeypatch, capsys, cgroup):
    write(cgroup / "memory.max", "1000000000\n")
    fake = {"ipywidgets": "7.7.3", "numpy": "2.0"}
    monkeypatch.setattr(doctor, "version", fake.get)
    assert doctor.report() is False
    printed = capsys.readouterr().out
    assert "FAIL memory: 1.0 GB allowed, 1.2 GB needed" in printed
    assert "FAIL packages: missing ['scipy'" in printed
    assert "FAIL ipywidgets: 7.7.3; pip install 'ipywidgets>=8" in printed
    assert "FAIL anywidget: missing: pip install anywidget" in printed


def test_nglview_needs_its_half_in_jupyterlab(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "LAB", tmp_path / "package.json")
    *failed, found = doctor.versions()[-1]
    assert (failed, "make setup" in found) == ([False, "nglview"], True)


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """A folder in place of the system's control groups; the process is in no group."""
    monkeypatch.setattr(doctor, "CGROUP", tmp_path)
    monkeypatch.setattr(doctor, "OWN_GROUP", tmp_path / "own")
    return tmp_path


def test_groups_up_to_the_root_limit_memory(cgroup, monkeypatch):
    monkeypatch.setattr(doctor, "CGROUP", cgroup / "root")
    write(cgroup / "own", "0::/job/step\n")
    write(cgroup / "memory.max", "1\n")
    assert "no limit" in doctor.memory()[2]
    for name, limit, ok in [
        ("job/step", "max", 1),
        ("job/step", 4 * 10**9, 1),
        ("job", 10**9, 0),
    ]:
        write(cgroup / "root" / name / "memory.max", f"{limit}\n")
        assert doctor.memory()[0] == ok
    assert "1.0 GB" in doctor.memory()[2]


def test_more_threads_than_the_quota_allows_fail(cgroup, monkeypatch):
    eight = SimpleNamespace(sched_getaffinity=lambda _: range(8))
    monkeypatch.setattr(doctor, "os", eight)
    assert "8 core(s)" in doctor.threads()[2]
    write(cgroup / "own", "0::/job/step\n")  # Slurm limits the job, not its step
    write(cgroup / "job/step/cpu.max", "max 100000\n")
    write(cgroup / "job/cpu.max", "200000 100000\n")
    assert "2 core(s)" in doctor.threads()[2]
    eight.sched_getaffinity = lambda _: []
    fine, _, found = doctor.threads()
    assert not fine
    assert "OMP_NUM_THREADS=1" in found


def lesson(folder, *sources):
    """A notebook with these code cells, alone in a folder."""
    folder.mkdir()
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells), folder / "00_lesson.ipynb")
    return folder


def test_imports_of_a_lesson_are_those_it_cannot_do_without(tmp_path):
    folder = lesson(
        tmp_path / "lessons",
        "import json\nfrom json import nothing",
        "%matplotlib inline\ndef f():\n    import copy\n    return copy",
        "try:\n    import google.colab\n    !pip list\nexcept ImportError:\n    pass",
        "if False:\n    import dask",
    )
    found = ["from json import nothing", "import copy", "import json"]
    assert sorted(doctor.lesson_imports(folder)) == found
    (_, failed) = doctor.imports(folder)
    assert failed[:2] == (False, "from json import nothing")
    assert not doctor.imports(tmp_path)[0][0]


def test_lessons_lie_beside_the_package_or_in_it(tmp_path, monkeypatch):
    module = tmp_path / "tpainn_lite/course/doctor.py"
    monkeypatch.setattr(doctor, "__file__", str(module))
    assert doctor.lessons_folder() == tmp_path / "tpainn_lite/notebooks"
    (tmp_path / "notebooks").mkdir()
    assert doctor.lessons_folder() == tmp_path / "notebooks"


IMPORTS = """
import importlib.machinery
import sys
from pathlib import Path

class Missing:  # fails on loading: torch only asks whether tabulate is there
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[2:]:
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Missing())
from tpainn_lite.course import doctor
found = doctor.imports(Path(sys.argv[1]))
print(*found, sep="\\n")
sys.exit(not all(fine for fine, *_ in found))
"""


def owners() -> dict[str, set[str]]:
    """Top-level module to the names of the installed distributions that bring it."""
    # in a fresh process: setuptools, once used, puts its own copies on the path
    code = "import importlib.metadata as m, json; print(json.dumps(m."
    code += "packages_distributions()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    found = json.loads(done.stdout).items()
    return {m: {canonicalize_name(name) for name in names} for m, names in found}


@pytest.fixture(scope="module")
def in_the_image():
    """A function that imports a folder's lessons with what the image has, no more."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    image = {Requirement(line).name for line in binder.brought(python)}
    image = {canonicalize_name(name) for name in image | {*binder.listed()}}
    image |= {"torch", "tpainn-lite"}
    missing = {module for module, names in owners().items() if not image & names}
    assert {"pyscf", "tblite", "latex2mathml"} <= missing

    def run(folder):
        command = [sys.executable, "-c", IMPORTS, folder, *missing]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


def test_lessons_import_what_the_image_of_binder_has(in_the_image):
    failed, printed = in_the_image(doctor.lessons_folder())
    assert not failed, printed


def test_a_lesson_that_needs_more_than_the_image_fails(tmp_path, in_the_image):
    source = "from tpainn_lite.course import site"
    failed, printed = in_the_image(lesson(tmp_path / "lessons", source))
    assert failed
    assert f"(False, '{source}', \"ModuleNotFoundError: No module" in printed
