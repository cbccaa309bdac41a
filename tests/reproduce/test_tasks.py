"""Tasks: resumable, results whole or absent, one failure blocks nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tpainn_lite.reproduce import tasks
from tpainn_lite.reproduce.tasks import TasksFailed, result_name, run_tasks

ROOT = Path(__file__).parents[2]


def square(task, path):
    path.write_text(str(task**2))


def half_then_fail(task, path):
    path.write_text("half of")
    if task == 2:
        raise RuntimeError("no convergence")
    path.write_text(str(task**2))


def die_at_two(task, path):
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    square(task, path)


class TwoPartError(Exception):
    """Cannot be sent from one process to another: it needs two arguments."""

    def __init__(self, what, why):
        super().__init__(f"{what}: {why}")


def raise_two_parts(task, path):
    raise TwoPartError("SCF", "no convergence")


def die_once(task, path):
    """Kill the worker when task 3 first runs."""
    number, mark = task
    time.sleep(0.2)
    path.write_text("half of")
    if number == 3 and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    path.write_text(str(number**2))


def fail_or_die(task, path):
    """Task 1 always raises, task 2 always kills its worker."""
    if task == 1:
        raise RuntimeError("no convergence")
    die_at_two(task, path)


def results(folder):
    return {p.name: p.read_text() for p in folder.iterdir()}


NAMES = [result_name(i, i) for i in range(4)]
EXPECTED = {name: str(i**2) for i, name in enumerate(NAMES)}
OTHERS = {name: EXPECTED[name] for name in NAMES if name != NAMES[2]}


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_results(tmp_path, jobs):
    paths = run_tasks(tmp_path / "a", range(4), square, jobs)
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
def test_a_failure_blocks_no_other_task(tmp_path, jobs):
    with pytest.raises(TasksFailed, match="1 of 4 .*\n.*task 2: .*no convergence"):
        run_tasks(tmp_path, range(4), half_then_fail, jobs)
    assert results(tmp_path) == OTHERS  # and no ".part" of any kind
    run_tasks(tmp_path, range(4), square)
    assert results(tmp_path) == EXPECTED


def test_a_process_that_dies_blocks_no_other_task(tmp_path):
    with pytest.raises(TasksFailed, match="1 of 4 .*\n.*task 2: its process died"):
        run_tasks(tmp_path, range(4), die_at_two, 2)
    assert results(tmp_path) == OTHERS


def test_any_exception_is_reported(tmp_path):
    with pytest.raises(TasksFailed, match="2 of 2 .*\n.*SCF: no convergence"):
        run_tasks(tmp_path, range(2), raise_two_parts, 2)


def test_a_long_list_of_failures_is_cut(tmp_path):
    with pytest.raises(TasksFailed, match="and 5 more"):
        run_tasks(tmp_path, range(15), raise_two_parts)


def test_resume_computes_only_what_is_missing(tmp_path):
    run_tasks(tmp_path, range(4), square)
    (tmp_path / NAMES[1]).unlink()
    seen = []

    def spy(task, path):
        seen.append(task)
        square(task, path)

    run_tasks(tmp_path, range(4), spy)
    assert seen == [1]
    assert results(tmp_path) == EXPECTED


def test_a_task_that_changed_is_run_anew(tmp_path):
    run_tasks(tmp_path, [0, 1], square)
    paths = run_tasks(tmp_path, [0, 3], square)
    assert [p.read_text() for p in paths] == ["0", "9"]


def test_time_left_comes_from_the_speed_of_this_run(tmp_path, monkeypatch):
    run_tasks(tmp_path, range(90), square)
    bars = []

    class Bar(tasks.tqdm):
        def close(self):
            bars.append(self.format_dict | {"smoothing": self.smoothing})
            super().close()

    monkeypatch.setattr(tasks, "tqdm", Bar)
    run_tasks(tmp_path, range(100), square)
    bar = bars[0]
    assert (bar["initial"], bar["n"], bar["total"]) == (90, 100, 100)
    assert bar["smoothing"] == 0  # tqdm: (n - initial) / elapsed


KILLED = """
import os, signal
from pathlib import Path
from tpainn_lite.reproduce.tasks import run_tasks

def compute(task, path):
    path.write_text("half of")
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    path.write_text(str(task**2))

run_tasks(Path("work"), range(4), compute)
"""


def test_a_kill_leaves_nothing_half_written(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert results(tmp_path / "work") == {k: EXPECTED[k] for k in NAMES[:2]}
    run_tasks(tmp_path / "work", range(4), square)
    assert results(tmp_path / "work") == EXPECTED


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two worker processes that share no folder with this one."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=2,
        processes=True,
        threads_per_worker=1,
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("workers")),
    )
    with cluster:
        yield cluster


def test_a_cluster_that_loses_a_worker_gives_what_one_process_gives(cluster, tmp_path):
    mark = tmp_path / "killed"
    todo = [(i, str(mark)) for i in range(12)]
    address = cluster.scheduler_address
    workers = {w["pid"] for w in _workers(cluster)}
    assert len(workers) == 2
    run_tasks(tmp_path / "cluster", todo, die_once, scheduler=address)
    assert mark.exists()
    assert workers - {w["pid"] for w in _workers(cluster)}  # one is no more
    run_tasks(tmp_path / "here", todo, die_once)
    assert results(tmp_path / "cluster") == results(tmp_path / "here")
    assert len(results(tmp_path / "here")) == 12


def _workers(cluster):
    """Process ids of the workers, once there are two."""
    with cluster.get_client() as client:
        client.wait_for_workers(2, timeout=60)
        return [{"pid": pid} for pid in client.run(os.getpid).values()]


def test_a_failure_on_a_cluster_blocks_no_other_task(cluster, tmp_path):
    address = cluster.scheduler_address
    with pytest.raises(TasksFailed, match="2 of 4 tasks failed") as failed:
        run_tasks(tmp_path, range(4), fail_or_die, scheduler=address)
    assert "task 1: RuntimeError: no convergence" in str(failed.value)
    assert "task 2: KilledWorker" in str(failed.value)
    assert results(tmp_path) == {k: EXPECTED[k] for k in (NAMES[0], NAMES[3])}


def test_no_cluster_is_needed_when_all_is_done(tmp_path):
    run_tasks(tmp_path, range(4), square)
    run_tasks(tmp_path, range(4), square, scheduler="tcp://127.0.0.1:1")


def test_no_dask(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match="needs Dask, which is not installed"):
        run_tasks(tmp_path, range(4), square, scheduler="tcp://127.0.0.1:1")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://here"])
def test_no_scheduler(tmp_path, address, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("tpainn_lite.reproduce.cluster.TIMEOUT", 1)
    with pytest.raises(ValueError, match="no Dask scheduler answers"):
        run_tasks(tmp_path, range(4), square, scheduler=address)
