"""What a job of the workflow is made from, and where its files lie.

A family is a module with `FILES` (asset -> names of its shipped files) and
`write(name, results, folder, share)`, which writes these or returns the content of
NAME.json. Where there are pieces to compute one by one, `parts(name)` lists them and
`compute(name, task)` returns one: frames, bytes, a text, or what JSON can hold.
`whole(name)` tells what decides the files beside the pieces, if anything does.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ..datasets import SHIPPED, card
from ..public.download import SETS

NAMES = (
    "molecule_labels qm9 water_labels pretraining races ladder trainings selection runs"
    " selection_forces trials order qm9_grid pictures"
)
FAMILIES = [f"{__package__}.{name}" for name in NAMES.split()]
WORK = Path("build/reproduce")
SMILES = f"{WORK}/classical-molecules.smi"  # what MMFF94 labels; one a line
ENUMERATED = (7, 1000, 2026)  # heavy atoms, molecules kept of each size, seed
OFF = [("stress_weight", 0.0), ("calibrated", None), ("later", {}), ("closed", ())]
OFF += [("timestep", 1.0), ("forces", ""), ("among", 0), ("molecules", None)]
OFF += [("held", None)]


@dataclass(frozen=True)
class Part:
    """A task, the names of the assets it reads, and what else decides its result."""

    task: object
    reads: tuple[str, ...] = ()
    settings: object = ()

    def decided(self) -> str:
        """Tell what decides the result, apart from the content of shipped files."""
        public = {name: digest(name) for name in self.reads if name in SETS}
        return told(self.task, self.settings, public)


def digest(name: str) -> str:
    """Return the SHA-256 of a shipped asset, or of a public set's list of files."""
    if about := SETS.get(name):
        return hashlib.sha256(repr(about.files).encode()).hexdigest()
    return card(name)["sha256"]


def sources(names: Iterable[str]) -> list[dict]:
    """List assets with their digests, for the card of what was made from them."""
    return [{"name": name, "sha256": digest(name)} for name in names]


def parts_of(module: ModuleType, name: str) -> dict[str, Part]:
    """List the parts of an asset; a training or a figure has none."""
    return module.parts(name) if hasattr(module, "parts") else {}


def whole_of(module: ModuleType, name: str) -> Part:
    """Tell what decides the files of an asset beside its parts."""
    return module.whole(name) if hasattr(module, "whole") else Part(name)


def told(*values) -> str:
    """Write values as JSON, dataclasses as dicts; raises `TypeError` for other objects.

    Equal values give equal texts, in every process.
    """
    return json.dumps(values, default=_plain, sort_keys=True)


def _plain(value: object) -> dict:
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__name__: asdict(value, dict_factory=switched_on)}
    raise TypeError(f"settings: need values that JSON can tell, got {value!r}")


def switched_on(pairs: Iterable[tuple[str, object]]) -> dict:
    """Leave out a setting that came later and is off: results of before still hold."""
    return {name: value for name, value in pairs if (name, value) not in OFF}


def mark(*values) -> str:
    """Hash values, for the name of a file that belongs to them."""
    return hashlib.sha256(told(*values).encode()).hexdigest()[:8]


def modules(families: Sequence[str] = FAMILIES) -> dict[str, ModuleType]:
    """Import the families: full name -> module."""
    return {family: import_module(family) for family in families}


def place(file: str) -> Path:
    """Name the folder where a file ships; pictures are the notebooks'."""
    return Path("notebooks") if file.endswith((".png", ".gif")) else SHIPPED


def path(family: str, module: ModuleType, name: str, part: str) -> Path:
    """Name the file of a part; students of one teacher share theirs (`HOMES`)."""
    home = getattr(module, "HOMES", {}).get(name, name)
    return WORK / family.rpartition(".")[2] / home / f"{part}.part"


def slug(*words: object) -> str:
    """Make the name of a part from words and numbers."""
    return re.sub(r"[^\w.]+", "-", "-".join(map(str, words)))


def rows_of(results: Sequence[Path]) -> list[dict]:
    """Read the rows of all parts."""
    return [row for path in results for row in json.loads(path.read_bytes())]
