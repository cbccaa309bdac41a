"""Making shipped files: resumable, whole or absent, anew where something changed."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tpainn_lite import datasets, guards
from tpainn_lite.course import lessons
from tpainn_lite.reproduce import __main__, parts

pytest.importorskip("snakemake", reason="Snakemake is the extra `reproduce`")
ROOT = Path(__file__).parents[2]
TINY = """
import time
from pathlib import Path
from tpainn_lite.reproduce.parts import Part

LEVELS = {"tiny": 1, "other": 1}
FILES = {name: [f"{name}.txt"] for name in LEVELS}
SOURCE = "build/source"

def parts(name):
    return {f"{k}": Part(k, (SOURCE,) if k == 1 else (), LEVELS[name] if k < 1 else 0)
            for k in range(4)}

def compute(name, task):
    with open("log", "a") as log:
        log.write(f"{name}{task} ")
    while task >= 2 and not Path("go").exists():
        time.sleep(0.02)
    if task == 2 and Path("bad").exists():
        raise RuntimeError("no convergence")
    return f"{task}: {task**2} at {LEVELS[name]}"

def whole(name):
    return Part(name)

def write(name, results, folder, share=1):
    text = "; ".join(p.read_text() for p in results)
    (folder / f"{name}.txt").write_text(f"{text}; share {share}")
"""


@pytest.fixture
def tiny(tmp_path):
    """A folder with a family of two assets, which wait for a file called go."""
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "build").mkdir()
    (tmp_path / "build/source").write_text("one")
    (tmp_path / "go").touch()
    return tmp_path


def start(folder, *names, cores=2, **config):
    """Start Snakemake as the command line does, in a session of its own."""
    call = __main__.command(names, cores, families="tiny", **config)
    return subprocess.Popen(
        call,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{folder}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def make(folder, *names, **how):
    """Make assets; return which parts were computed, and whether all went well."""
    (folder / "log").unlink(missing_ok=True)
    process = start(folder, *names, **how)
    process.words = process.communicate(timeout=300)[1]
    log = folder / "log"
    done = sorted(log.read_text().split()) if log.exists() else []
    return done, process.returncode == 0


def shipped(folder):
    return {p.name: p.read_text() for p in folder.glob("build/reproduce/shipped/*.txt")}


def test_a_killed_run_goes_on_to_the_same_bytes(tiny):
    (tiny / "go").unlink()
    process = start(tiny, "tiny", cores=3)
    log = tiny / "log"  # the last part begins after the end of another
    while not log.exists() or len(log.read_text().split()) < 4:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    process.kill()
    time.sleep(2)  # jobs end with Snakemake
    (tiny / "go").touch()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not shipped(tiny)
    done, well = make(tiny, "tiny")
    assert well
    assert {"tiny2", "tiny3"} <= set(done) < {f"tiny{k}" for k in range(4)}
    one = shipped(tiny)["tiny.txt"]
    assert one == "; ".join(f"{k}: {k**2} at 1" for k in range(4)) + "; share 1.0"


def test_only_what_changed_is_made_anew(tiny):
    every = [f"{name}{k}" for name in ("other", "tiny") for k in range(4)]
    assert make(tiny, "all") == (every, True)
    one_worker = shipped(tiny)
    os.utime(tiny / "build/source")  # another time, as after a checkout
    assert make(tiny, "all") == ([], True)
    (tiny / "tiny.py").write_text(TINY.replace('"tiny": 1', '"tiny": 2'))
    assert make(tiny, "all") == (["tiny0"], True)
    assert shipped(tiny)["tiny.txt"].startswith("0: 0 at 2; 1: 1 at 1")
    assert shipped(tiny)["other.txt"] == one_worker["other.txt"]
    (tiny / "build/source").write_text("two")
    assert make(tiny, "all") == (["other1", "tiny1"], True)


def test_a_failure_blocks_no_other_part_and_a_share_ships_nothing(tiny):
    (tiny / "bad").touch()
    done, well = make(tiny, "all")
    assert not well
    assert len(done) == 8
    assert not shipped(tiny)
    assert len(list(tiny.glob("build/reproduce/tiny/*/*.part"))) == 6
    assert make(tiny, "tiny", share=0.5) == ([], True)
    made = (tiny / "build/reproduce/shipped-0.5/tiny.txt").read_text()
    assert made == "0: 0 at 1; 1: 1 at 1; share 0.5"


def test_the_command_line(monkeypatch, capsys, tmp_path):
    asked = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "execv", lambda program, call: asked.append(call))
    __main__.main(["ladder", "--cores", "3", "--profile", "ci", "--dry-run"])
    __main__.main(["ladder", "--ship", "--profile", "my-cluster"])
    first, second = asked
    assert first[:4] == [sys.executable, "-m", "snakemake", "ladder"]
    assert first[first.index("--cores") + 1] == "3"
    assert "share=0.02" in first
    assert first[-1] == "--dry-run"
    assert "ship-ladder" in second
    assert second[second.index("--profile") + 1] == "my-cluster"
    assert "-m snakemake ladder" in capsys.readouterr().out
    for wrong, message in (
        (["ladder", "--ship", "--profile", "ci"], "needs all of the work"),
        (["leadder"], "needs all, list or one of .*'ladder'.* got 'leadder'"),
        (["ladder", "--cores", "0"], "--cores: needs a whole number at least 1, got 0"),
    ):
        with pytest.raises(SystemExit):
            __main__.main(wrong)
        assert re.search(message, capsys.readouterr().err)
    assert tuple(__main__.PROFILES) == lessons.PROFILES
    with guards.locked(parts.WORK / "all"), pytest.raises(SystemExit):
        __main__.main(["ladder"])  # a second process, in the same folder
    assert f"is being written by process {os.getpid()}" in capsys.readouterr().err
    assert len(asked) == 2


def test_every_shipped_file_has_one_rule(capsys):
    __main__.main(["list"])
    lines = capsys.readouterr().out.splitlines()
    files = [f for m in parts.modules().values() for fs in m.FILES.values() for f in fs]
    assert len(files) == len(set(files))
    assert len(lines) == 1 + sum(len(m.FILES) for m in parts.modules().values())
    there = {p.name for p in datasets.SHIPPED.iterdir()} - {"molecules.smi"}
    assert there == {f for f in files if parts.place(f) == datasets.SHIPPED}


def sources(value):
    """All {"name", "sha256"} pairs within a card."""
    if isinstance(value, list):
        return [pair for one in value for pair in sources(one)]
    if not isinstance(value, dict):
        return []
    if set(value) == {"name", "sha256"}:
        return [(value["name"], value["sha256"])]
    return [pair for one in value.values() for pair in sources(one)]


def test_cards_name_sources_as_they_ship():
    found = 0
    shipped = datasets.SHIPPED.iterdir()
    for asset in [p.stem for p in shipped if p.suffix in (".json", ".safetensors")]:
        for name, sha256 in sources(datasets.card(asset)):
            assert sha256 == parts.digest(name), (asset, name)
            found += 1
    assert found > 40
