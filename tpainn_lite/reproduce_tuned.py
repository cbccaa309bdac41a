"""How the water potentials that are run for properties are tuned; and their twins.

Each has five times the steps of a grid point, and the weights that did best on boxes of
the pool it did not learn from.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from . import __version__, datasets, tune
from .errors import evaluate
from .reproduce_grids import LONGER, WATER, digest, draw, watched

DATA, TEACHER = "water-dft", "water-qtip4pf"
SIZES = (1, 8, 80)
WATCH, SEED = 16, 0
TUNED = {f"water-{arm}-{n}": (arm, n) for n in SIZES for arm in ("tuned", "scratch")}


def train(results: Sequence[Path], path: Path, work: Path, share: float) -> None:
    """Train the potential that `path` names; it takes minutes, and starts anew."""
    arm, n = TUNED[path.name]
    sets = datasets.load(DATA)
    frames, valid = draw(sets["pool"], n, WATCH, SEED)
    config = WATER[arm]
    config = watched(replace(config, steps=round(share * LONGER * config.steps)), n)
    potential = tune.train_arm(
        arm,
        datasets.checkpoint(TEACHER),
        frames,
        datasets.atomic_energies(DATA),
        config,
        seed=SEED,
        valid=valid,
    )
    used = [DATA, TEACHER] if arm == "tuned" else [DATA]
    card = {
        "name": path.name,
        "made_by": f"tpainn_lite {__version__}, reproduce checkpoint {path.name}",
        "labels": datasets.card(DATA)["level"],
        "structures": n,
        "from": [{"name": name, "sha256": digest(name)} for name in used],
        "training": asdict(config),
        "watched": len(valid),
        "test": asdict(evaluate(potential, sets["test"])),
        "limits": "liquid water; made to be run and looked at, not to be relied on",
    }
    potential.save(path, card)
