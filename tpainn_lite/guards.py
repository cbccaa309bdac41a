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
HUGE = sys.float_info.max


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


def made(needed: str, fits: Callable[[Any], Any], turn: Callable = lambda v: v) -> Kind:
    """Make the kind of what `fits`, given back as `turn` makes it."""

    def kind(value: Any, name: str) -> Any:
        value = _scalar(value)
        if not fits(value):
            raise refusal(name, needed, value)
        return turn(value)

    return kind


def _real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _bounds(**bounds: float) -> str:
    """Say which bounds there are."""
    given = {name.replace("_", " "): v for name, v in bounds.items() if abs(v) < HUGE}
    said = {name: v if isinstance(v, int) else f"{v:g}" for name, v in given.items()}
    return " and ".join(f"{name} {v}" for name, v in said.items())


def number(
    above: float = -math.inf,
    least: float = -HUGE,
    below: float = math.inf,
    most: float = HUGE,
) -> Kind:
    """Make the kind of a finite real number within bounds."""
    words = _bounds(above=above, at_least=least, below=below, at_most=most)

    def fits(value: Any) -> bool:
        return _real(value) and above < value < below and least <= value <= most

    return made(f"a finite number {words}".strip(), fits, float)


def whole(least: float = -HUGE, most: float = HUGE) -> Kind:
    """Make the kind of a whole number within bounds; 1e5 counts as one."""
    words = _bounds(at_least=least, at_most=most)

    def fits(value: Any) -> bool:
        return _real(value) and least <= value <= most and value == int(value)

    return made(f"a whole number {words}".strip(), fits, int)


def one_of(*options: Any) -> Kind:
    """Make the kind of a choice."""

    def fits(value: Any) -> bool:
        return any(type(value) is type(o) and value == o for o in options)

    return made(f"one of {list(options)}", fits)


def instance(*classes: type) -> Kind:
    """Make the kind of an object of one of some classes."""
    names = " or ".join(cls.__name__ for cls in classes)
    return made(f"an object of {names}", lambda value: isinstance(value, classes))


def _filled(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _path(value: Any) -> bool:
    return isinstance(value, str | os.PathLike) and _filled(os.fspath(value))


finite = number()
positive = number(above=0)
not_negative = number(least=0)
count = whole(least=1)
seed = whole(least=0, most=2**31 - 1)  # what NumPy, torch and OpenMM all take
flag = made("True or False", lambda value: isinstance(value, bool))
text = made("a text that is not empty", _filled, str)
file = made("the path of a file", _path, Path)
function = made("a function", lambda f: callable(f) and not isinstance(f, type))
structure = made("an ase.Atoms", lambda value: isinstance(value, Atoms))


def folder(value: Any, name: str) -> Path:
    """Take the path of a folder, which need not be there yet."""
    path = file(value, name)
    if any(part.is_file() for part in (path, *path.parents)):
        raise ValueError(f"{name}: needs a folder, got the file {path}; name another")
    return path


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


def named(
    kind: Kind,
    key: Kind = text,
    needed: str = "a dict of names and what they stand for",
) -> Kind:
    """Make the kind of a dict that is not empty: of keys of one kind, values of one."""

    def kinds(value: Any, name: str) -> dict:
        if not isinstance(value, Mapping) or not value:
            raise refusal(name, needed, value)
        return {
            key(k, f"{name}, key"): kind(each, f"{name}[{k!r}]")
            for k, each in value.items()
        }

    return kinds


def _element(value: Any, name: str) -> int:
    """Take an atomic number, also as the text that it is in JSON."""
    decimal = isinstance(value, str) and value.isdecimal()
    return whole(1, 118)(int(value) if decimal else value, name)


element_energies = named(finite, _element, "a dict of atomic numbers and energies (eV)")


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


def array(*shape: int | None, most: float = HUGE) -> Kind:
    """Make the kind of a finite array of numbers; None in `shape` is any length."""
    beyond = "infinity" if most == HUGE else f"beyond {most:g}"
    sizes = ", ".join("any" if n is None else str(n) for n in shape)
    needed = f"a finite array of shape ({sizes})"

    def kind(value: Any, name: str) -> np.ndarray:
        try:
            found = np.asarray(value)
        except (TypeError, ValueError, RuntimeError):  # ragged, or torch's with a grad
            raise refusal(name, needed, value) from None
        fits = len(found.shape) == len(shape) and all(
            n in (None, m) for n, m in zip(shape, found.shape, strict=True)
        )
        if not fits or (found.size and found.dtype.kind not in "iuf"):
            raise refusal(name, needed, value)
        found = found.astype(float, copy=False)
        if not (np.abs(found) <= most).all():
            raise ValueError(f"{name}: needs {needed}, got NaN or {beyond}")
        return found

    return kind


def elements(value: Any, name: str) -> np.ndarray:
    """Take the atomic numbers (N,) of a structure."""
    found = array(None)(value, name)
    if not (len(found) and ((found >= 1) & (found <= 118) & (found % 1 == 0)).all()):
        raise refusal(name, "atomic numbers (1 to 118)", value)
    return found.astype(int)


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
