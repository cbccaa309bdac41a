"""Rebuilding the data: resumable, whole or absent, and without leaks."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from rdkit import Chem

from tpainn_lite import data, molecules, reproduce, reproduce_data
from tpainn_lite.reproduce import run_tasks

ROOT = Path(__file__).parents[1]


def square(task, path):
    path.write_text(str(task**2))


def half_then_fail(task, path):
    path.write_text("half of")
    if task == 2:
        raise RuntimeError("no convergence")
    path.write_text(str(task**2))


def results(folder):
    return {p.name: p.read_text() for p in folder.iterdir()}


NAMES = [reproduce._name(i, i) for i in range(4)]
EXPECTED = {name: str(i**2) for i, name in enumerate(NAMES)}


def test_all_results(tmp_path):
    paths = run_tasks(tmp_path / "a", range(4), square, 1, None)
    assert results(tmp_path / "a") == EXPECTED
    assert [p.name for p in paths] == sorted(EXPECTED)


def test_limit(tmp_path):
    assert len(run_tasks(tmp_path, range(4), square, 1, 2)) == 2
    assert len(run_tasks(tmp_path, range(4), square, 1, 99)) == 4


@pytest.mark.parametrize(("jobs", "limit"), [(0, None), (-1, None), (1, 0), (1, -1)])
def test_bad_sizes(tmp_path, jobs, limit):
    with pytest.raises(ValueError, match="jobs, limit"):
        run_tasks(tmp_path, range(4), square, jobs, limit)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failure_leaves_nothing_half_written(tmp_path, jobs):
    with pytest.raises(RuntimeError, match="no convergence"):
        run_tasks(tmp_path, range(4), half_then_fail, jobs, None)
    left = results(tmp_path)
    assert NAMES[2] not in left
    assert left.items() <= EXPECTED.items()  # and no ".part" of any kind
    run_tasks(tmp_path, range(4), square, 1, None)
    assert results(tmp_path) == EXPECTED


def test_resume_computes_only_what_is_missing(tmp_path):
    run_tasks(tmp_path, range(4), square, 1, None)
    (tmp_path / NAMES[1]).unlink()
    seen = []

    def spy(task, path):
        seen.append(task)
        square(task, path)

    run_tasks(tmp_path, range(4), spy, 1, None)
    assert seen == [1]
    assert results(tmp_path) == EXPECTED


def test_a_task_that_changed_is_run_anew(tmp_path):
    run_tasks(tmp_path, [0, 1], square, 1, None)
    paths = run_tasks(tmp_path, [0, 3], square, 1, None)
    assert [p.read_text() for p in paths] == ["0", "9"]


KILLED = """
import os, signal
from pathlib import Path
from tpainn_lite.reproduce import run_tasks

def compute(task, path):
    path.write_text("half of")
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    path.write_text(str(task**2))

run_tasks(Path("work"), range(4), compute, 1, None)
"""


def test_a_kill_leaves_nothing_half_written(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    left = {k: v for k, v in results(tmp_path / "work").items() if k.endswith(".out")}
    assert left == {k: EXPECTED[k] for k in NAMES[:2]}
    run_tasks(tmp_path / "work", range(4), square, 1, None)
    again = {k: v for k, v in results(tmp_path / "work").items() if k.endswith(".out")}
    assert again == EXPECTED


@pytest.mark.parametrize("arguments", [[], ["data"], ["data", "nothing"], ["x", "y"]])
def test_command_line(arguments, capsys):
    with pytest.raises(SystemExit):
        reproduce.main(arguments)
    assert "usage" in capsys.readouterr().err


def test_quantum_molecules_are_what_the_issue_asks():
    smiles = reproduce_data.dft_molecules()
    assert len(smiles) >= 50
    assert len({Chem.CanonSmiles(s) for s in smiles}) == len(smiles)
    for one in smiles:
        mol = Chem.MolFromSmiles(one)
        assert mol.GetNumAtoms() <= 7
        assert {a.GetSymbol() for a in mol.GetAtoms()} <= set("CNO")
        molecules.mmff94(one)


def test_quantum_tasks_are_a_fixed_list():
    tasks = reproduce_data.molecules_tasks()
    assert tasks == reproduce_data.molecules_tasks()
    smiles = reproduce_data.dft_molecules()
    assert len(tasks) == 3 * len(smiles)
    for one in smiles:  # each molecule once at each temperature, never the same seed
        mine = [t for t in tasks if t[0] == one]
        assert {t[1] for t in mine} == set(reproduce_data.TEMPERATURES)
        assert len({t[2] for t in mine}) == 3
    counts = [sum(t[1] == T for t in tasks[:90]) for T in reproduce_data.TEMPERATURES]
    assert counts == [30, 30, 30]  # any beginning is balanced


def test_the_test_split_is_the_same_in_every_process():
    here = reproduce_data.test_skeletons()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(reproduce_data.test_skeletons) == here
    everything = {molecules.skeleton(s) for s in reproduce_data.dft_molecules()}
    assert here < everything
    assert len(here) == pytest.approx(0.3 * len(everything), abs=1)


def test_no_test_skeleton_is_ever_pretrained_on():
    forbidden = reproduce_data.test_skeletons()
    smiles = reproduce_data.classical_molecules(max_heavy=4, keep=30)
    assert smiles == reproduce_data.classical_molecules(max_heavy=4, keep=30)
    assert not {molecules.skeleton(s) for s in smiles} & forbidden
    pool = {
        s
        for s in reproduce_data.dft_molecules()
        if molecules.skeleton(s) not in forbidden
    }
    assert pool < set(smiles)  # the molecules of the pool, and many others


def test_classical_portions(tmp_path):
    task = (7, ["CO", "CC=O"])
    reproduce_data.sample_classical(task, tmp_path / "a.out")
    reproduce_data.sample_classical(task, tmp_path / "b.out")
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
    quantum = pytest.importorskip("tpainn_lite.quantum")
    cheap = quantum.pyscf_dft(basis="sto-3g")
    monkeypatch.setattr(quantum, "pyscf_dft", lambda: cheap)
    task = next(t for t in reproduce_data.molecules_tasks() if t[0] == "O")
    reproduce_data.label_molecule(task, tmp_path / "a.out")
    frame = ase.io.read(tmp_path / "a.out", format="extxyz")
    data.check([frame])
    energy, _ = cheap(frame.numbers, frame.positions)
    assert frame.get_potential_energy() == pytest.approx(energy, abs=1e-4)
    test = molecules.skeleton("O") in reproduce_data.test_skeletons()
    assert frame.info["split"] == ("test" if test else "pool")
    assert frame.info["smiles"] == "O"
    assert frame.info["temperature"] == task[1]
