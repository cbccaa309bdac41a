"""Guard the doors of the library: arguments that come in, files that go out.

A kind of argument is a function ``kind(value, name)``. It returns the value as plain
Python (no NumPy scalar gets into a file), or raises `ValueError` with the argument's
name, what was needed and what came.
"""

import contextlib
import errno
import functools
import glob
import inspect
import math
import numbers
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import psutil
from ase import Atoms
from filelock import SoftFileLock, Timeout

Kind = Callable[[Any, str], Any]
P = ParamSpec("P")
T = TypeVar("T")


def refusal(name: str, needed: str, value: Any) -> ValueError:
    """Make the error of an argument that is not what was `needed`."""
    shown = repr(value)
    if isinstance(value, np.ndarray):
        shown = f"an array of shape {value.shape}"
    elif len(shown) > 60:
        shown = f"{shown[:50]}… ({type(value).__name__})"
    return ValueError(f"{name}: needs {needed}, got {shown}")


def _scalar(value: Any) -> Any:
    """Unpack a NumPy or torch scalar."""
    return value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value


def number(
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
) -> Kind:
    """Make the kind of a finite real number within bounds."""
    bounds = {"above": above, "at least": least, "below": below, "at most": most}
    words = " and ".join(f"{k} {v:g}" for k, v in bounds.items() if v is not None)
    needed = f"a finite number {words}".strip()

    def kind(value: Any, name: str) -> float:
        value = _scalar(value)
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise refusal(name, needed, value)
        try:
            found = float(value)
        except OverflowError:
            raise refusal(name, needed, value) from None
        if not (
            math.isfinite(found)
            and (above is None or found > above)
            and (least is None or found >= least)
            and (below is None or found < below)
            and (most is None or found <= most)
        ):
            raise refusal(name, needed, value)
        return found

    return kind


def whole(least: int | None = None, most: int | None = None) -> Kind:
    """Make the kind of a whole number within bounds; 1e5 counts as one."""
    bounds = {"at least": least, "at most": most}
    words = " and ".join(f"{k} {v}" for k, v in bounds.items() if v is not None)
    needed = f"a whole number {words}".strip()
    inside = number(least=least, most=most)

    def kind(value: Any, name: str) -> int:
        value = _scalar(value)
        try:
            inside(value, name)
        except ValueError:
            raise refusal(name, needed, value) from None
        if value != int(value):
            raise refusal(name, needed, value)
        return int(value)

    return kind


finite = number()
positive = number(above=0)
not_negative = number(least=0)
count = whole(least=1)
seed = whole(least=0, most=2**31 - 1)  # what NumPy, torch and OpenMM all take


def flag(value: Any, name: str) -> bool:
    """Take True or False."""
    value = _scalar(value)
    if not isinstance(value, bool):
        raise refusal(name, "True or False", value)
    return value


def text(value: Any, name: str) -> str:
    """Take a string that is not empty."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise refusal(name, "a text that is not empty", value)
    return str(value)


def file(value: Any, name: str) -> Path:
    """Take the path of a file."""
    if not isinstance(value, str | os.PathLike) or not str(value) or "\0" in str(value):
        raise refusal(name, "the path of a file", value)
    return Path(value)


def folder(value: Any, name: str) -> Path:
    """Take the path of a folder, which need not be there yet."""
    path = file(value, name)
    if any(part.is_file() for part in (path, *path.parents)):
        raise ValueError(f"{name}: needs a folder, got the file {path}; name another")
    return path


def one_of(*options: Any) -> Kind:
    """Make the kind of a choice."""

    def kind(value: Any, name: str) -> Any:
        value = _scalar(value)
        for option in options:
            if type(value) is type(option) and value == option:
                return option
        raise refusal(name, f"one of {list(options)}", value)

    return kind


def function(value: Any, name: str) -> Callable:
    """Take what can be called."""
    if not callable(value) or isinstance(value, type):
        raise refusal(name, "a function", value)
    return value


def optional(kind: Kind) -> Kind:
    """Make the kind that also takes None."""
    return lambda value, name: None if value is None else kind(value, name)


def several(kind: Kind, least: int = 1) -> Kind:
    """Make the kind of a list or tuple of at least so many values of one kind."""

    def kinds(value: Any, name: str) -> tuple:
        if isinstance(value, np.ndarray) and value.ndim == 1:
            value = value.tolist()
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise refusal(name, "a list", value)
        if len(value) < least:
            raise refusal(name, f"a list of at least {least}", value)
        return tuple(kind(each, f"{name}[{k}]") for k, each in enumerate(value))

    return kinds


def named(kind: Kind) -> Kind:
    """Make the kind of a dict of at least one name, with a value of one kind each."""

    def kinds(value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, Mapping) or not value:
            raise refusal(name, "a dict of names and what they stand for", value)
        return {
            text(key, f"{name}, key"): kind(each, f"{name}[{key!r}]")
            for key, each in value.items()
        }

    return kinds


def instance(*classes: type) -> Kind:
    """Make the kind of an object of one of some classes."""
    needed = " or ".join(cls.__name__ for cls in classes)

    def kind(value: Any, name: str) -> Any:
        if not isinstance(value, classes):
            raise refusal(name, f"an object of {needed}", value)
        return value

    return kind


def structure(value: Any, name: str) -> Atoms:
    """Take one structure; `data.check` looks at its atoms."""
    if not isinstance(value, Atoms):
        raise refusal(name, "an ase.Atoms", value)
    return value


def structures(least: int = 1) -> Kind:
    """Make the kind of a list of at least so many structures."""
    words = "one structure" if least == 1 else f"{least} structures"
    needed = f"at least {words}, in a list"

    def kind(value: Any, name: str) -> Sequence[Atoms]:
        if isinstance(value, Atoms):
            raise ValueError(f"{name}: needs a list of structures, got one; write [it]")
        if not isinstance(value, Sequence) or len(value) < least:
            raise refusal(name, needed, value)
        for k, atoms in enumerate(value):
            structure(atoms, f"{name}, frame {k}")
        return value

    return kind


def array(*shape: int | None, most: float = sys.float_info.max) -> Kind:
    """Make the kind of a finite array of numbers; None in `shape` is any length."""
    beyond = "infinity" if most == sys.float_info.max else f"beyond {most:g}"
    needed = "a finite array of shape (" + ", ".join(
        "any" if n is None else str(n) for n in shape
    )

    def kind(value: Any, name: str) -> np.ndarray:
        try:
            found = np.asarray(value)
        except (TypeError, ValueError, RuntimeError):  # ragged, or torch's with a grad
            raise refusal(name, needed + ")", value) from None
        fits = len(found.shape) == len(shape) and all(
            n in (None, m) for n, m in zip(shape, found.shape, strict=True)
        )
        if not fits or (found.size and found.dtype.kind not in "iuf"):
            raise refusal(name, needed + ")", value)
        found = found.astype(float, copy=False)
        if not (np.abs(found) <= most).all():
            raise ValueError(f"{name}: needs {needed}), got NaN or {beyond}")
        return found

    return kind


def elements(value: Any, name: str) -> np.ndarray:
    """Take the atomic numbers (N,) of a structure."""
    found = array(None)(value, name)
    if not (len(found) and ((found >= 1) & (found <= 118) & (found % 1 == 0)).all()):
        raise refusal(name, "atomic numbers (1 to 118)", value)
    return found.astype(int)


def element_energies(value: Any, name: str) -> dict[int, float]:
    """Take an energy (eV) for each atomic number."""
    if not isinstance(value, Mapping) or not value:
        raise refusal(name, "a dict of atomic numbers and energies (eV)", value)
    element = whole(least=1, most=118)
    return {
        element(int(z) if isinstance(z, str) and z.isdigit() else z, f"{name}, key"): (
            finite(energy, f"{name}[{z!r}]")
        )
        for z, energy in value.items()
    }


@contextlib.contextmanager
def at(where: str) -> Iterator[None]:
    """Raise a `ValueError` again, with where it happened."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def checked(**kinds: Kind) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Check arguments by `kinds`, name by name, before a function runs.

    The function gets what the kinds return. Defaults are checked, too.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(function)
        if unknown := kinds.keys() - signature.parameters.keys():
            raise TypeError(f"{function.__qualname__} has no arguments {unknown}")

        @functools.wraps(function)
        def wrapper(*args: P.args, **given: P.kwargs) -> T:
            bound = signature.bind(*args, **given)
            bound.apply_defaults()
            for name, kind in kinds.items():
                bound.arguments[name] = kind(bound.arguments[name], name)
            return function(*bound.args, **bound.kwargs)

        return wrapper

    return decorate


def settle(config: Any, /, **kinds: Kind) -> None:
    """Check fields of a frozen dataclass, from its ``__post_init__``."""
    for name, kind in kinds.items():
        object.__setattr__(config, name, kind(getattr(config, name), name))


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Raise an `OSError` of writing `path` again, with the disk and what to do."""
    try:
        yield
    except OSError as error:
        full = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
        if error.errno in full or "requested and" in str(error):  # as NumPy says it
            why = "the disk is full, or takes no larger file; write to another one"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            why = "the folder may not be written to; choose another one"
        else:
            raise
        raise OSError(error.errno, f"cannot write {path}: {why}") from error


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a new name beside `path`; at the end that file takes the place of `path`.

    A reader, or a kill, finds the old file or the new one, never half of one. Processes
    that write at once do not meet: the last one wins.
    """
    path = Path(path)
    unique = f".{os.getpid()}.{os.urandom(4).hex()}.part"
    part = path.with_name(path.name + unique)
    try:
        with in_words(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_orphans(path, ".*.part", -3)
            yield part
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _remove_orphans(path: Path, ending: str, place: int) -> None:
    """Remove what killed processes of this machine left beside `path`."""
    for part in path.parent.glob(glob.escape(path.name) + ending):
        owner = part.name.split(".")[place]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            part.unlink(missing_ok=True)


def _remove_nameless(lock: Path) -> None:
    """Remove an old lock of a process that was killed before it could write its name.

    filelock would keep it for good.
    """
    with contextlib.suppress(FileNotFoundError):
        found = lock.stat()
        if not found.st_size and time.time() - found.st_mtime > 2:
            lock.unlink()


def write(path: str | Path, content: str | bytes) -> None:
    """Write a whole file (text in UTF-8), or leave what was there."""
    content = content.encode() if isinstance(content, str) else content
    with replacing(path) as part:
        part.write_bytes(content)


@contextlib.contextmanager
def locked(path: str | Path, name: str = "file") -> Iterator[None]:
    """Hold `path` for this process; refuse with who holds it already.

    The lock is the file PATH.lock. That of a process that was killed does not count.
    """
    path = Path(path)
    lock = SoftFileLock(path.with_name(path.name + ".lock"), thread_local=False)
    with in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _remove_nameless(Path(lock.lock_file))
            lock.acquire(timeout=0 if lock.pid else 3)  # filelock takes such in 2 s
        except Timeout:
            raise ValueError(
                f"{name}: {path} is being written by process {lock.pid or 'unknown'}; "
                "wait for its end, or take another name"
            ) from None
    try:
        _remove_orphans(path, ".lock.break.*", -2)  # of a kill while a lock was broken
        yield
    finally:
        lock.release()
