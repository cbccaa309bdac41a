"""The doctor: every FAIL can happen, and says what to do."""

import subprocess
import sys

import pytest

import tpainn_lite
from tpainn_lite import doctor


def test_this_environment_is_fine():
    run = [sys.executable, "-m", "tpainn_lite.doctor"]
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


def test_a_module_that_cannot_be_imported_fails_but_extras_may(monkeypatch, capsys):
    missing = {"tpainn_lite.quantum": "pyscf", "tpainn_lite.units": "ase"}

    def fake(name):
        if name in missing:
            raise ModuleNotFoundError(f"No module {name}", name=missing[name])
        return tpainn_lite

    monkeypatch.setattr(doctor.importlib, "import_module", fake)
    assert doctor.import_everything() is False
    del missing["tpainn_lite.units"]
    assert doctor.import_everything() is True
    assert "OK   import tpainn_lite.quantum" in capsys.readouterr().out
