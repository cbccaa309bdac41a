"""What an asset is that ``reproduce`` makes: rows of ``table``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class Asset:
    """Something that is shipped, and how it is made.

    `tasks()` are the tasks, `count` says how many, so that nobody need make them to
    know. `compute(task, path)` writes the result of one. Of the results
    `write(name, results, folder)` makes the shipped file, or `train(results, path,
    work, share)` the shipped checkpoint, with a `share` of the steps. `settings()` are
    what else decides the results of all tasks: where they change, all are made anew.
    """

    kind: str
    name: str
    count: int = 0
    tasks: Callable[[], Sequence] = tuple
    compute: Callable | None = None
    write: Callable[[str, Sequence[Path], Path], None] | None = None
    train: Callable[[Sequence[Path], Path, Path, float], None] | None = None
    settings: Callable[[], object] | None = None
    needs: tuple[str, ...] = ()
    shares: str = ""  # the asset whose tasks, and results, these are, if another's

    @property
    def label(self) -> str:
        """What the command line calls it."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Later:
    """A function whose module is imported when it is called, `first` before the rest.

    It can be sent to another process, as a plain function can.
    """

    module: str
    function: str
    first: tuple = ()

    def __call__(self, *rest):
        """What the function returns."""
        module = import_module(f".{self.module}", __package__)
        return getattr(module, self.function)(*self.first, *rest)
