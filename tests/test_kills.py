"""Killed at any moment, the same call goes on, and one unit at most is lost.

A unit is an epoch, a frame or a saved file. Every case runs in processes of its own,
which are killed (SIGKILL) at seeded random moments and started again. `make test` kills
ten times, ``pytest -m slow tests/test_kills.py`` 200 times.
"""

import hashlib
import json
import multiprocessing
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from conftest import REFERENCES, SMALL
from tqdm import tqdm

from tpainn_lite import guards, water
from tpainn_lite.data import with_labels
from tpainn_lite.dynamics import simulate
from tpainn_lite.model import Potential
from tpainn_lite.reproduce import cards, job, pretraining
from tpainn_lite.train import FitConfig, fit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
CONFIG = FitConfig(steps=90, batch_size=2)  # 30 epochs of six structures
FRAMES, SAVES = 25, 100


def digest(*values) -> str:
    """Hash arrays and plain values."""
    plain = [v.tobytes() if isinstance(v, np.ndarray) else repr(v) for v in values]
    return hashlib.sha256(repr(plain).encode()).hexdigest()[:16]


def log(folder: Path, unit: int, content: str) -> None:
    """Note that a unit is done; the line outlives a kill."""
    with open(f"{folder}.log", "ab", buffering=0) as file:
        file.write(f"{unit} {content}\n".encode())


def logged(folder: Path) -> list[tuple[int, str]]:
    """Read the units in the order in which they were done."""
    path = Path(f"{folder}.log")
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [(int(unit), content) for unit, content in map(str.split, lines)]


def end(folder: Path, units: list[str], *whole) -> None:
    """Note the digests of all units, and of what came out."""
    guards.write(f"{folder}.result", json.dumps([units, digest(*whole)]))


def ethanols(n: int) -> list:
    """Make structures with labels that nobody computed."""
    rng, frames = np.random.default_rng(0), []
    for _ in range(n):
        atoms = molecule("CH3CH2OH")
        atoms.positions += 0.05 * rng.normal(size=(9, 3))
        energy = sum(REFERENCES[z] for z in atoms.numbers) + rng.normal()
        frames.append(with_labels(atoms, energy, rng.normal(size=(9, 3))))
        frames[-1].info["smiles"] = "CCO"
    return frames


def train(folder: Path) -> None:
    """Fit with a checkpoint after each epoch."""
    frames, start = ethanols(8), Potential(SMALL, REFERENCES, seed=0)
    how = dict(valid=frames[6:], checkpoint=folder / "state", checkpoint_every=1)
    told = partial(on_epoch, folder)
    tuned, history = fit(start, frames[:6], CONFIG, seed=1, on_epoch=told, **how)
    weights = [value.numpy() for value in tuned.state_dict().values()]
    end(folder, [digest(row) for row in history.rows], *weights)


def on_epoch(folder: Path, potential: Potential, rows: list[dict]) -> None:
    """Note an epoch."""
    log(folder, len(rows), digest(rows[-1]))


def run(folder: Path, pressure: float | None = None) -> None:
    """Record dynamics of water."""
    box = water.water_box(8, density=1.0, seed=0)
    system = water.water_system(water.SPC_FW, box)
    every, file = 4, folder / "run.traj"

    def content(frame):
        momenta, energy = frame.get_momenta(), frame.get_potential_energy()
        return digest(frame.positions, np.array(frame.cell), momenta, energy)

    def on_frame(frame):
        log(folder, round(frame.info["time_fs"] / every), content(frame))

    how = dict(steps=FRAMES * every, every=every, timestep=1.0, pressure=pressure)
    frames = simulate(box, system, file=file, seed=3, on_frame=on_frame, **how)
    units = [content(frame) for frame in frames]
    assert units == [content(frame) for frame in ase.io.read(file, ":")]
    volumes = np.array([frame.get_volume() for frame in frames]) / box.get_volume()
    assert (abs(volumes - 1) < 0.2).all()
    assert pressure is not None or len(set(volumes)) == 1
    end(folder, units)


def save(folder: Path) -> None:
    """Save one potential after the other over the same file."""
    potential, path = Potential(SMALL, REFERENCES, seed=0), folder / "one"
    done = logged(folder)[-1][0] if logged(folder) else 0
    if (folder / "one.safetensors").exists():  # of the last one, or the one begun
        assert (last := saved(path)) in (done, done + 1)
        if last > done:
            log(folder, done := last, str(last))
    for k in range(done + 1, SAVES + 1):
        for parameter in potential.parameters():
            parameter.data.fill_(k)
        potential.save(path, {"number": k})
        log(folder, k, str(k))
    end(folder, [str(k + 1) for k in range(SAVES)], saved(path))


def saved(path: Path) -> int:
    """Tell which potential a file holds; weights and card must be those of one."""
    potential, about = Potential._load(path)
    number = about["card"]["number"]
    assert all((p == number).all() for p in potential.parameters())
    return number


def reproduce(folder: Path) -> None:
    """Pretrain as a job of the workflow does, after its parts."""
    os.chdir(folder)
    files = [f"{k}.part" for k in range(3)]
    for k, file in enumerate(files):
        cards.save(compute("tiny", k), file)
    Path("made").mkdir(exist_ok=True)
    job.whole(__name__, "tiny", "1", "made", *files)


def compute(name: str, task: int) -> list:
    """Give a portion of structures."""
    return ethanols(9)[3 * task : 3 * task + 3]


def write(name: str, results: list[Path], folder: Path, share: float = 1) -> None:
    """Pretrain as for what ships."""
    how = pretraining.Pretraining(CONFIG, SMALL)
    pretraining.PRETRAININGS[name] = how
    here = Path.cwd()
    told = partial(on_epoch, here)
    pretraining.fit = lambda *given, progress, **how: fit(*given, on_epoch=told, **how)
    pretraining.write(name, results, folder, share)
    end(here, [], (folder / f"{name}.safetensors").read_bytes())


CASES = {
    "fit": train,
    "NVT": run,
    "NPT": partial(run, pressure=1.0),
    "save": save,
    "reproduce": reproduce,
}
KILLS = dict(fit=50, NVT=40, NPT=30, save=50, reproduce=30)
SHORT = [(case, 2) for case in CASES]  # of Snakemake: test_workflow.py


def begin(case: str, folder: Path) -> None:
    """Run a case, in its process."""
    tqdm.set_lock(threading.RLock())  # its own would outlive a kill
    folder.mkdir(exist_ok=True)
    try:
        CASES[case](folder)
    except ValueError as error:
        guards.write(f"{folder}.{os.getpid()}.refused", str(error))
        raise


def start(case: str, folder: Path) -> multiprocessing.Process:
    """Start a case in a process that a server forks, which has imported all."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["test_kills"])
    process = server.Process(target=begin, args=(case, folder))
    process.start()
    return process


def finish(case: str, folder: Path) -> tuple[list, list[str]]:
    """Run a case to its end; return its result, and the files it leaves."""
    process = start(case, folder)
    process.join()
    assert process.exitcode == 0
    files = (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    names = sorted(files)
    assert not [n for n in names if n.endswith(".lock") or ".unfinished" in n]
    return json.loads(Path(f"{folder}.result").read_bytes()), names


def kill_until_it_ends(case: str, folder: Path, rng, longest: float, most: int) -> int:
    """Kill and start a case again until it ends, or `most` times; count the kills."""
    for kills in range(most):
        process = start(case, folder)
        process.join(rng.uniform(0, longest))
        process.kill()
        process.join()
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -9
    return most


@pytest.fixture(autouse=True)
def server(tmp_path, monkeypatch):
    """Start what forks processes; it finds this file where pytest does."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    finish("save", tmp_path / "warm")


@pytest.mark.parametrize(
    "case", ["fit", "NVT", pytest.param("reproduce", marks=pytest.mark.slow)]
)
def test_of_three_processes_one_works(case, tmp_path):
    whole = finish(case, tmp_path / "whole")
    some = [start(case, tmp_path / "some") for _ in range(3)]
    for process in some:
        process.join()
    codes = [process.exitcode for process in some]
    refused = [p.read_text("utf-8") for p in tmp_path.glob("some.*.refused")]
    assert 0 < codes.count(0) == 3 - len(refused)  # they do not wait
    done = [unit for unit, _ in logged(tmp_path / "some")]
    assert len(done) == len({*done})  # who came when all was done did none again
    assert all("is being written by process" in words for words in refused)
    assert finish(case, tmp_path / "some") == whole


@pytest.mark.parametrize(
    ("case", "kills"),
    SHORT + [pytest.param(*row, marks=pytest.mark.slow) for row in KILLS.items()],
)
def test_a_killed_call_goes_on(case, kills, tmp_path):
    before, rng, lost = time.monotonic(), np.random.default_rng(kills), 0
    (units, out), names = finish(case, tmp_path / "whole")
    told, length = dict(logged(tmp_path / "whole")), time.monotonic() - before
    for n in range(kills):
        folder = tmp_path / str(n)
        kills -= kill_until_it_ends(case, folder, rng, length / 2, kills)
        (found, found_out), left = finish(case, folder)
        order = [unit for unit, _ in logged(folder)]
        steps = np.diff([0, *order])  # 2 and more: killed before a unit was noted
        assert steps.min() >= 0, order
        lost, done = lost + (steps == 0).sum(), dict(logged(folder))
        assert left == names
        if case == "NPT":  # other moves of the volume; what was told is kept
            assert len(found) == len(units)
            assert all(found[unit - 1] == content for unit, content in done.items())
        else:
            assert done.items() <= told.items()
            assert (found, found_out) == (units, out)
        if not kills:
            break
    print(f"{case}: {n + 1} calls, {lost} units done twice, {length:.1f} s each")
