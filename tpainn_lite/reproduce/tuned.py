"""How the shipped tuned potentials are made: water to be run, ethanol in two steps.

All have more steps than a grid point. Those of water keep the weights that did best on
boxes of the pool they did not learn from; their twins from scratch do the same.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .. import __version__, datasets, tune
from ..train import FitConfig, evaluate
from .grid_rows import draw, watched
from .grids import LONGER, WATER

SEED = 0
WATER_LIMITS = "liquid water; made to be run and looked at, not to be relied on"
ETHANOL_LIMITS = "ethanol near its conformers (MMFF94 at 300-600 K), nothing else"


@dataclass(frozen=True)
class Tuning:
    """`n` structures of a set, and up to `watch` others that say when to stop."""

    data: str
    teacher: str
    n: int
    config: FitConfig
    limits: str
    arm: str = "tuned"
    watch: int = 0


def _water(arm: str, n: int) -> Tuning:
    config = replace(WATER[arm], steps=LONGER * WATER[arm].steps)
    start = ("water-dft", "water-qtip4pf", n)
    return Tuning(*start, config, WATER_LIMITS, arm=arm, watch=16)


# On pool structures left out of 400: 24 meV/Å with this rate.
ETHANOL = replace(tune.SCRATCH, steps=3000, batch_size=10)
ALONE = replace(tune.TUNED, steps=3000, l2_sp=0.0, energy_weight=1.0, force_weight=0.0)
TUNINGS = {
    "ethanol-dft-tuned": Tuning(
        "ethanol-dft", "molecules-mmff94", 400, ETHANOL, ETHANOL_LIMITS
    ),
    "ethanol-ccsdt-tuned": Tuning(
        "ethanol-ccsdt", "ethanol-dft-tuned", 300, ALONE, ETHANOL_LIMITS
    ),
} | {f"water-{arm}-{n}": _water(arm, n) for n in (1, 8, 80) for arm in WATER}


def train(results: Sequence[Path], path: Path, work: Path, share: float) -> None:
    """Train the potential that `path` names; it takes minutes, and starts anew."""
    how = TUNINGS[path.name]
    sets = datasets.load(how.data)
    frames, valid = draw(sets["pool"], how.n, how.watch, SEED)
    config = replace(how.config, steps=round(share * how.config.steps))
    config = watched(config, how.n) if valid else config
    potential, _ = tune.train_arm(
        how.arm,
        datasets.checkpoint(how.teacher),
        frames,
        datasets.atomic_energies(how.data),
        config,
        seed=SEED,
        valid=valid,
    )
    used = [how.data, how.teacher] if how.arm == "tuned" else [how.data]
    card = {
        "name": path.name,
        "made_by": f"tpainn_lite {__version__}, reproduce checkpoint {path.name}",
        "labels": datasets.card(how.data)["level"],
        "structures": how.n,
        "from": datasets.sources(used),
        "training": asdict(config),
        "watched": len(valid or []),
        "test": asdict(evaluate(potential, sets["test"])),
        "limits": how.limits,
    }
    potential.save(path, card)
