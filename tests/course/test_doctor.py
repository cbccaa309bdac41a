"""The doctor: every FAIL can happen, and says what to do."""

import importlib.metadata
import json
import subprocess
import sys

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
    assert len(lines) == 8
    assert all(line.startswith("OK  ") for line in lines), done.stdout
    assert done.returncode == 0


def test_report_says_whether_all_is_well(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "memory_limit", lambda group: 10**9)
    assert doctor.report() is False
    printed = capsys.readouterr().out
    assert "FAIL memory: 1.0 GB allowed, 1.2 GB needed" in printed


def test_missing_and_old_packages_fail(monkeypatch):
    fake = {"ipywidgets": "7.7.3", "numpy": "2.0"}
    monkeypatch.setattr(doctor, "version", fake.get)
    packages = doctor.check_versions()[1]
    assert not packages.ok
    assert "missing scipy" in packages.found
    widgets, anywidget, _ = doctor.check_widgets()
    assert not widgets.ok
    assert "version 8 is needed" in widgets.found
    assert not anywidget.ok
    assert "pip install anywidget" in anywidget.found
    [torch] = doctor.check_torch()
    assert not torch.ok


@pytest.mark.parametrize(
    ("asked", "installed", "ok"),
    [
        ("3.1.4", "3.1.4", True),
        ("3.1.4", "3.1.5", True),
        ("4.0", "3.1.5", False),  # nglview 4.0's wheel: draws nothing
        ("3.1.4", "3.0.8", False),
        ("3.1.4", None, False),
        (None, None, False),
    ],
)
def test_nglview_halves_must_match(asked, installed, ok):
    check = doctor.check_nglview(asked, installed)
    assert check.ok is ok
    assert ok or "pip install nglview==3.1.4" in check.found


def test_nglview_halves_are_read_here():
    assert doctor.nglview_halves() == ("3.1.4", "3.1.4")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_memory_limit_of_cgroup_2_is_the_smallest_on_the_way_up(tmp_path):
    write(tmp_path / "pod/session/memory.max", "max\n")
    write(tmp_path / "pod/memory.max", "2147483648\n")
    assert doctor.memory_limit(tmp_path, "/pod/session") == 2**31
    write(tmp_path / "pod/session/memory.max", "1000000000\n")
    assert doctor.memory_limit(tmp_path, "/pod/session") == 10**9


def test_memory_limit_never_looks_above_the_root(tmp_path):
    write(tmp_path / "memory.max", "5\n")
    assert doctor.memory_limit(tmp_path / "root", "/pod") is None


@pytest.mark.parametrize("group", ["", "/docker/abc"])
def test_memory_limit_of_cgroup_1(tmp_path, group):
    write(tmp_path / "memory/memory.limit_in_bytes", "2000000000\n")
    assert doctor.memory_limit(tmp_path, group) == 2 * 10**9
    write(tmp_path / "memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert doctor.memory_limit(tmp_path, group) is None


def test_own_group_in_both_versions(tmp_path):
    write(tmp_path / "v2", "0::/pod/session\n")
    write(tmp_path / "v1", "5:cpu,cpuacct:/a\n4:memory:/docker/abc\n")
    assert doctor.own_group(tmp_path / "v2") == "/pod/session"
    assert doctor.own_group(tmp_path / "v1") == "/docker/abc"
    assert doctor.own_group(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("limit", "ok"), [(None, True), (2 * 10**9, True), (10**9, False)]
)
def test_memory_is_judged(limit, ok):
    assert doctor.check_memory(limit).ok is ok


def test_cpu_quota_counts_before_the_hosts_cores(tmp_path, monkeypatch):
    eight = set(range(8))
    monkeypatch.setattr(doctor.os, "sched_getaffinity", lambda _: eight, raising=False)
    assert doctor.cpus(tmp_path) == 8
    write(tmp_path / "cpu/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "cpu/cpu.cfs_quota_us", "-1\n")
    assert doctor.cpus(tmp_path) == 8
    write(tmp_path / "cpu/cpu.cfs_quota_us", "200000\n")
    assert doctor.cpus(tmp_path) == 2
    write(tmp_path / "cpu.max", "100000 100000\n")
    assert doctor.cpus(tmp_path) == 1
    write(tmp_path / "cpu.max", "max 100000\n")
    assert doctor.cpus(tmp_path) == 8


def test_too_many_threads_fail(monkeypatch):
    monkeypatch.setattr(doctor, "cpus", lambda: 0)
    threads, _ = doctor.check_torch()
    assert not threads.ok
    assert "OMP_NUM_THREADS=1" in threads.found


def lesson(folder, *sources):
    """A notebook with these code cells, alone in a folder."""
    folder.mkdir()
    cells = [new_code_cell(source) for source in sources]
    nbformat.write(new_notebook(cells=cells), folder / "00_lesson.ipynb")
    return folder


def test_imports_of_a_lesson_are_those_it_cannot_do_without(tmp_path):
    folder = lesson(
        tmp_path / "lessons",
        "import numpy as np\nfrom ase import units, Atoms",
        "%matplotlib inline\ndef f():\n    import copy\n    return copy",
        "try:\n    import google.colab\n    !pip list\nexcept ImportError:\n    pass",
        "if False:\n    import dask",
    )
    found = doctor.lesson_imports(folder)
    assert [*found] == ["import numpy as np", "from ase import units, Atoms"] + [
        "import copy"
    ]
    assert {*found.values()} == {"00_lesson"}


def test_an_import_that_fails_is_named_with_its_lesson(tmp_path, capsys):
    good = lesson(tmp_path / "good", "import json")
    bad = lesson(tmp_path / "bad", "import json", "from json import nothing")
    assert doctor.import_lessons(good) is True
    assert doctor.import_lessons(bad) is False
    assert doctor.import_lessons(tmp_path) is False
    good, bad, empty = capsys.readouterr().out.splitlines()
    assert good == "OK   lessons: 1 import statements work"
    assert bad.startswith("FAIL from json import nothing: 00_lesson needs it: Import")
    assert empty.startswith("FAIL lessons: no imports found in ")


def test_lessons_lie_beside_the_package_or_in_it(tmp_path, monkeypatch):
    module = tmp_path / "tpainn_lite/course/doctor.py"
    monkeypatch.setattr(doctor, "__file__", str(module))
    assert doctor.lessons_folder() == tmp_path / "tpainn_lite/notebooks"
    (tmp_path / "notebooks").mkdir()
    assert doctor.lessons_folder() == tmp_path / "notebooks"


IMPORTS = """
import sys
from pathlib import Path

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in sys.argv[2:]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from tpainn_lite import doctor
fine = doctor.import_lessons(Path(sys.argv[1]))
print(*{name.split(".")[0] for name in sys.modules})
sys.exit(not fine)
"""


@pytest.fixture(scope="module")
def owners():
    """Top-level module to the names of the installed distributions that bring it."""
    # in a fresh process: setuptools, once used, puts its own copies on the path
    code = "import importlib.metadata as m, json; print(json.dumps(m."
    code += "packages_distributions()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    found = json.loads(done.stdout).items()
    return {m: {canonicalize_name(name) for name in names} for m, names in found}


def asked_for(name):
    """What a distribution asks for, extras aside."""
    needed = map(Requirement, importlib.metadata.requires(name) or [])
    plain = [n for n in needed if not n.marker or n.marker.evaluate({"extra": ""})]
    return {canonicalize_name(n.name) for n in plain}


@pytest.fixture(scope="module")
def in_the_image(owners):
    """A function that imports a folder's lessons with what the image has, no more."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    image = {Requirement(line).name for line in binder.brought(python)}
    image = {canonicalize_name(name) for name in image | {*binder.listed()}}
    image |= {"torch", "tpainn-lite"}
    missing = {module for module, names in owners.items() if not image & names}
    assert {"pyscf", "tblite", "latex2mathml"} <= missing

    def run(folder):
        command = [sys.executable, "-c", IMPORTS, folder, *missing]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


def test_lessons_import_what_the_image_of_binder_has(in_the_image, owners):
    failed, printed = in_the_image(doctor.lessons_folder())
    assert not failed, printed
    # and the image has nothing that the lessons do without
    loaded = printed.splitlines()[-1].split()
    used = set().union(*(owners.get(module, set()) for module in loaded))
    used |= set().union(*(asked_for(name) for name in used - {"schnetpack"}))
    used |= {"vesin", "progressbar"}  # SchNetPack 2.2 imports them, on Python 3.12
    used |= {"anywidget", "psygnal"}  # plotly imports them when it shows a widget
    used |= {"jupyterlab-widgets", "widgetsnbextension"}  # for the browser
    assert {*binder.listed()} - used == set()


def test_a_lesson_that_needs_more_than_the_image_fails(tmp_path, in_the_image):
    needed = {"quantum": "pyscf", "site": "latex2mathml", "xtb": "tblite"}
    sources = [f"from tpainn_lite import {module}" for module in needed]
    failed, printed = in_the_image(lesson(tmp_path / "lessons", *sources))
    assert failed
    for source, missing in zip(sources, needed.values(), strict=True):
        error = f"ModuleNotFoundError: No module named '{missing}'"
        assert f"FAIL {source}: 00_lesson needs it: {error}" in printed
