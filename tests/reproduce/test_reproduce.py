"""Rebuilding the data: resumable, whole or absent, and without leaks."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import psutil
import pytest
from rdkit import Chem

from tpainn_lite import data, molecules
from tpainn_lite.course import lessons
from tpainn_lite.reproduce import __main__, molecule_sets
from tpainn_lite.reproduce.table import ASSETS, Asset

ROOT = Path(__file__).parents[2]


TINY = """
import time
from pathlib import Path
from tpainn_lite import reproduce
from tpainn_lite.reproduce.table import Asset

def tasks():
    return list(range(6))

def square(task, path):
    path.write_text("half of")
    while task >= 2 and not Path("go").exists():
        time.sleep(0.01)
    path.write_text(str(task**2))

def gather(name, results, folder):
    part = folder / "part"
    part.write_text(" ".join(p.read_text() for p in results))
    part.replace(folder / f"{name}.extxyz")

reproduce.SHIPPED = Path("shipped")
reproduce.ASSETS = (Asset("data", "tiny", 6, tasks, square, gather),)
if __name__ == "__main__":
    reproduce.main()
"""


def start(folder, *arguments, go=True):
    """The whole command, on a tiny asset, as a process; `go`: past the second task."""
    folder.mkdir(exist_ok=True)
    if go:
        (folder / "go").touch()
    (folder / "tiny.py").write_text(TINY)
    return subprocess.Popen(
        [sys.executable, "tiny.py", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def files(folder):
    """Path -> bytes of all that was made."""
    made = [p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".py", "")]
    made = [p for p in made if "__pycache__" not in p.parts]
    return {str(p.relative_to(folder)): p.read_bytes() for p in made}


def stop_in_the_middle(folder, jobs, number):
    """Send a signal once two results are there; the workers must be gone as well."""
    process = start(folder, "data", "tiny", "--jobs", jobs, go=False)
    family = psutil.Process(process.pid)
    while len(list(folder.rglob("*.out"))) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    children = family.children(recursive=True)
    process.send_signal(number)
    words = process.communicate(timeout=30)[1]
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert len(list(folder.rglob("*.out"))) == 2
    assert not list(folder.rglob("*part*"))
    assert not (folder / "shipped/tiny.extxyz").exists()
    return process.returncode, words


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unkilled")
    start(folder, "data", "tiny").communicate()
    return files(folder)


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_command_goes_on_to_the_same_bytes(tmp_path, unkilled, jobs, number):
    status, words = stop_in_the_middle(tmp_path / "a", jobs, number)
    expected = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 128 + signal.SIGINT}
    assert status == expected[number], words
    again = start(tmp_path / "a", "data", "tiny", "--jobs", jobs)
    assert again.communicate()[1]
    assert again.returncode == 0
    assert files(tmp_path / "a") == unkilled
    assert unkilled["shipped/tiny.extxyz"] == b"0 1 4 9 16 25"


def test_a_smaller_profile_ships_nothing(tmp_path):
    done = start(tmp_path, "data", "tiny", "--profile", "laptop")
    assert done.communicate()[1]
    assert done.returncode == 0
    made = {name for name in files(tmp_path) if not name.endswith(".out")}
    assert made == {"build/reproduce/laptop/shipped/tiny.extxyz"}
    made = tmp_path / "build/reproduce/laptop/shipped/tiny.extxyz"
    assert made.read_text() == "0 1"  # 30 % of six tasks


def fail(task, path):
    raise RuntimeError("no convergence")


def test_all_makes_what_it_can(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(__main__, "SHIPPED", tmp_path)
    written = []

    def write(name, results, folder):
        written.append(name)

    rows = [
        Asset("data", "bad", 2, lambda: [0, 1], fail, write),
        Asset("data", "good", write=write),
        Asset("grid", "on-bad", write=write, needs=("data bad",)),
        Asset("figure", "of-it", write=write, needs=("grid on-bad",)),
        Asset("grid", "on-good", write=write, needs=("data good",)),
    ]
    monkeypatch.setattr(__main__, "ASSETS", rows)
    with pytest.raises(SystemExit) as stopped:
        __main__.main(["all"])
    assert written == ["good", "on-good"]
    words = str(stopped.value.code)
    assert "data bad: not made: 2 of 2 tasks failed" in words
    assert "task 1: RuntimeError: no convergence" in words
    assert "grid on-bad: not made: it needs data bad" in words
    assert "figure of-it: not made: it needs grid on-bad" in words


def test_needs_come_first():
    seen = set()
    for asset in ASSETS:
        assert asset.label not in seen
        assert seen.issuperset(asset.needs), asset.label
        seen.add(asset.label)


SLOW = {"molecules-mmff94"}  # enumerates molecules for half a minute


@pytest.mark.parametrize(
    "asset",
    [
        pytest.param(a, marks=[pytest.mark.slow] if a.name in SLOW else [])
        for a in ASSETS
    ],
    ids=lambda a: a.label,
)
def test_counts(asset):
    assert len(asset.tasks()) == asset.count


def test_list(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "build/reproduce/methanol-scan").mkdir(parents=True)
    for name in ("00003-01234567.out", "00004-01234567.part7", "00003-89abcdef.out"):
        (tmp_path / "build/reproduce/methanol-scan" / name).touch()
    __main__.main(["list"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [
        "data",
        "methanol-scan",
        "1",
        "13",
        "methanol-scan.json,",
        "there",
    ] in lines
    assert len(lines) == 1 + len(ASSETS)
    __main__.main(["list", "--profile", "ci"])
    assert "methanol-scan.json, missing" in capsys.readouterr().out


def test_list_loads_no_torch():
    code = (
        "import sys; from tpainn_lite import reproduce; print('torch' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


def test_profiles_are_those_of_the_lessons():
    assert tuple(__main__.PROFILES) == lessons.PROFILES


@pytest.mark.parametrize("arguments", [[], ["data"], ["data", "x"], ["x", "y"]])
def test_command_line(arguments, capsys):
    with pytest.raises(SystemExit):
        __main__.main(arguments)
    assert "usage" in capsys.readouterr().err


def test_there_are_no_properties_yet(capsys):
    if any(a.kind == "properties" for a in ASSETS):
        pytest.skip("there are some now")
    with pytest.raises(SystemExit):
        __main__.main(["properties", "water"])
    assert "no asset of the kind properties yet" in capsys.readouterr().err


def test_quantum_molecules_are_what_the_issue_asks():
    smiles = molecule_sets.dft_molecules()
    assert len(smiles) >= 50
    assert len({Chem.CanonSmiles(s) for s in smiles}) == len(smiles)
    for one in smiles:
        mol = Chem.MolFromSmiles(one)
        assert mol.GetNumAtoms() <= 7
        assert {a.GetSymbol() for a in mol.GetAtoms()} <= set("CNO")
        molecules.mmff94(one)


def test_quantum_tasks_are_a_fixed_list():
    tasks = molecule_sets.molecules_tasks()
    assert tasks == molecule_sets.molecules_tasks()
    smiles = molecule_sets.dft_molecules()
    assert len(tasks) == 3 * len(smiles)
    for one in smiles:  # each molecule once at each temperature, never the same seed
        mine = [t for t in tasks if t[0] == one]
        assert {t[1] for t in mine} == set(molecule_sets.TEMPERATURES)
        assert len({t[2] for t in mine}) == 3
    counts = [sum(t[1] == T for t in tasks[:90]) for T in molecule_sets.TEMPERATURES]
    assert counts == [30, 30, 30]  # any beginning is balanced


def test_the_test_split_is_the_same_in_every_process():
    here = molecule_sets.test_skeletons()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(molecule_sets.test_skeletons) == here
    everything = {molecules.skeleton(s) for s in molecule_sets.dft_molecules()}
    assert here < everything
    assert len(here) == pytest.approx(0.3 * len(everything), abs=1)


def test_no_test_skeleton_is_ever_pretrained_on():
    forbidden = molecule_sets.test_skeletons()
    smiles = molecule_sets.classical_molecules(max_heavy=4, keep=30)
    assert smiles == molecule_sets.classical_molecules(max_heavy=4, keep=30)
    assert not {molecules.skeleton(s) for s in smiles} & forbidden
    pool = {
        s
        for s in molecule_sets.dft_molecules()
        if molecules.skeleton(s) not in forbidden
    }
    assert pool < set(smiles)  # the molecules of the pool, and many others


def test_classical_portions(tmp_path):
    task = (7, ["CO", "CC=O"])
    molecule_sets.sample_classical(task, tmp_path / "a.out")
    molecule_sets.sample_classical(task, tmp_path / "b.out")
    assert (tmp_path / "a.out").read_bytes() == (tmp_path / "b.out").read_bytes()
    frames = ase.io.read(tmp_path / "a.out", ":", format="extxyz")
    data.check(frames)
    assert [a.info["smiles"] for a in frames] == ["CO"] * 20 + ["CC=O"] * 20
    for frame in frames[::10]:
        potential = molecules.mmff94(frame.info["smiles"])
        energy, forces = potential(frame.numbers, frame.positions, None)
        assert frame.get_potential_energy() == pytest.approx(energy, abs=1e-5)
        np.testing.assert_allclose(frame.get_forces(), forces, atol=1e-4)


def test_quantum_portions(tmp_path, monkeypatch):
    quantum = pytest.importorskip("tpainn_lite.reproduce.quantum")
    cheap = quantum.pyscf_dft(basis="sto-3g")
    monkeypatch.setattr(quantum, "pyscf_dft", lambda: cheap)
    task = next(t for t in molecule_sets.molecules_tasks() if t[0] == "O")
    molecule_sets.label_molecule(task, tmp_path / "a.out")
    frame = ase.io.read(tmp_path / "a.out", format="extxyz")
    data.check([frame])
    energy, _ = cheap(frame.numbers, frame.positions)
    assert frame.get_potential_energy() == pytest.approx(energy, abs=1e-4)
    test = molecules.skeleton("O") in molecule_sets.test_skeletons()
    assert frame.info["split"] == ("test" if test else "pool")
    assert frame.info["smiles"] == "O"
    assert frame.info["temperature"] == task[1]
