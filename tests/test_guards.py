"""Guards: arguments in words, files whole, locks that say who holds them."""

import os
import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms

from tpainn_lite import guards

GOOD = {
    "numpy": (guards.positive, np.float32(0.5), 0.5),
    "0-d array": (guards.positive, np.array(2.0), 2.0),
    "numpy int": (guards.count, np.int64(3), 3),
    "1e5": (guards.count, 1e5, 100_000),
    "numpy bool": (guards.flag, np.True_, True),
    "choice": (guards.one_of("a", "b"), "b", "b"),
    "none": (guards.optional(guards.seed), None, None),
    "several": (guards.several(guards.count), np.array([1, 2]), (1, 2)),
    "function": (guards.function, len, len),
    "energies": (guards.element_energies, {"1": np.float64(-13)}, {1: -13.0}),
    "named": (guards.named(guards.count), {"a": np.int8(1)}, {"a": 1}),
    "instance": (guards.instance(str, int), "a", "a"),
}
BAD = {
    "nan": (guards.finite, np.nan, "a finite number"),
    "infinite": (guards.positive, np.inf, "above 0"),
    "bool": (guards.number(least=0), True, "at least 0"),
    "text": (guards.count, "3", "at least 1"),
    "fraction": (guards.whole(), 2.5, "a whole number"),
    "huge": (guards.whole(), 1e400, "a whole number"),
    "seed": (guards.seed, -1, "at least 0"),
    "array for a number": (guards.finite, np.ones(2), r"shape \(2,\)"),
    "choice": (guards.one_of(1, "b"), True, "one of"),
    "empty": (guards.text, " ", "not empty"),
    "null": (guards.file, "a\0b", "the path of a file"),
    "one structure": (guards.structures(), Atoms("H"), r"write \[it\]"),
    "no structure": (guards.structures(), [Atoms("H"), 1], "frame 1: needs an ase"),
    "too few": (guards.structures(2), [Atoms("H")], "at least 2"),
    "shape": (guards.array(None, 3), np.ones((2, 2)), r"\(any, 3\)"),
    "nan inside": (guards.array(1), [np.nan], r"\(1\), got NaN"),
    "unnamed": (guards.named(guards.count), {1: 1}, "key: needs a text"),
    "named": (guards.named(guards.count), {"a": 0}, r"\['a'\]: .* at least 1"),
    "instance": (guards.instance(str, int), 1.0, "an object of str or int"),
    "texts": (guards.array(1), ["1"], "finite array"),
    "truths": (guards.array(2), [True, False], "finite array"),
    "complex": (guards.array(1), [1j], "finite array"),
    "far": (guards.array(2, most=9), [1, -10], "got NaN or beyond 9"),
    "ragged": (guards.array(2, 2), [[1], [1, 2]], r"\(2, 2\)"),
    "inside": (guards.several(guards.positive), [1, -1], r"\[1\]: .* above 0"),
    "function": (guards.function, "len", "a function"),
    "class": (guards.function, Atoms, "a function"),
    "elements": (guards.elements, [1, 1.5], "1 to 118"),
    "no elements": (guards.elements, [], "1 to 118"),
    "energies": (guards.element_energies, {6: np.nan}, r"\[6\]"),
    "element": (guards.element_energies, {"C": 1.0}, "key"),
}


@pytest.mark.parametrize(("kind", "value", "expected"), GOOD.values(), ids=GOOD)
def test_kinds_return_plain_python(kind, value, expected):
    found = kind(value, "x")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("kind", "value", "words"), BAD.values(), ids=BAD)
def test_kinds_refuse_in_words(kind, value, words):
    with pytest.raises(ValueError, match=f"^x.*{words}"):
        kind(value, "x")


def test_checked_gives_what_the_kinds_return():
    @guards.checked(n=guards.count, rate=guards.optional(guards.positive))
    def run(n, *, rate=None):
        """Return both."""
        return n, rate

    assert run(np.int8(2), rate=1) == (2, 1.0)
    assert run.__doc__ == "Return both."
    with pytest.raises(ValueError, match="^rate: .* got -1"):
        run(2, rate=-1)
    with pytest.raises(TypeError, match="missing a required argument: 'n'"):
        run()
    with pytest.raises(TypeError, match="has no arguments"):
        guards.checked(m=guards.count)(lambda n: n)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "über [1].txt"
    guards.write(path, "old")
    (tmp_path / f"{path.name}.999999999.ab.part").write_text("of a killed process")
    (tmp_path / f"{path.name}.{os.getpid()}.ab.part").write_text("of a thread")

    def stop():
        with guards.replacing(path) as part:
            part.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        stop()
    assert path.read_text("utf-8") == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        [path.name, f"{path.name}.{os.getpid()}.ab.part"]
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named():
    with (
        pytest.raises(OSError, match="cannot write a.pt: the disk is full"),
        guards.in_words("a.pt"),
        open("/dev/full", "w") as full,
    ):
        full.write("x" * 10_000)


def test_a_kill_at_the_lock_leaves_nothing(tmp_path):
    path = tmp_path / "run.traj"
    lock = tmp_path / "run.traj.lock"
    lock.write_text("")  # killed before it said who
    os.utime(lock, (0, 0))
    (tmp_path / f"run.traj.lock.break.999999999.{'ab' * 16}").write_text("")
    with guards.locked(path):
        pass
    assert not [*tmp_path.iterdir()]


def test_a_lock_says_who_holds_it_and_ends_with_its_process(tmp_path):
    code = (
        "import sys, time; from tpainn_lite import guards\n"
        "with guards.locked(sys.argv[1]): print(1, flush=True); time.sleep(60)"
    )
    path = tmp_path / "run.traj"
    holder = subprocess.Popen([sys.executable, "-c", code, path], stdout=-1)
    try:
        holder.stdout.readline()
        words = f"is being written by process {holder.pid}"
        with pytest.raises(ValueError, match=words), guards.locked(path):
            pass
    finally:
        holder.kill()
        holder.wait()
    holder.stdout.close()
    with (
        guards.locked(path),
        pytest.raises(ValueError, match=f"^it: .* process {os.getpid()}"),
        guards.locked(path, "it"),
    ):
        pass
    assert not [*tmp_path.iterdir()]
