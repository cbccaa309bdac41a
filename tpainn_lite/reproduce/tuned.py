"""Tune the potentials that ship: water to be run, ethanol in two steps.

All have more steps than a grid point. Those of water keep the weights that did best on
boxes of the pool they did not learn from; their twins from scratch do the same.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from .. import __version__, datasets, tune
from ..train import evaluate
from .parts import Part, sources
from .points import LONGER, WATER, Spec, free_atoms, train_point, watched

LIMITS = {
    "water-dft": "liquid water; made to be run and looked at, not to be relied on",
    "ethanol-dft": "ethanol near its conformers (MMFF94 at 300-600 K), nothing else",
    "ethanol-ccsdt": "ethanol near its conformers (MMFF94 at 300-600 K), nothing else",
}
ALONE = replace(tune.TUNED, steps=3000, l2_sp=0.0, energy_weight=1.0, force_weight=0.0)
TUNINGS = {
    "ethanol-dft-tuned": Spec(
        *("ethanol-dft", "molecules-mmff94", "tuned", 400, 0),
        # on pool structures left out of 400: 24 meV/Å with this rate
        replace(tune.SCRATCH, steps=3000, batch_size=10),
    ),
    "ethanol-ccsdt-tuned": Spec(
        "ethanol-ccsdt", "ethanol-dft-tuned", "tuned", 300, 0, ALONE
    ),
} | {
    f"water-{arm}-{n}": Spec(
        *("water-dft", "water-qtip4pf", arm, n, 0),
        replace(WATER[arm], steps=LONGER * WATER[arm].steps),
        watch=16,
    )
    for n in (1, 8, 80)
    for arm in WATER
}
FILES = {name: [f"{name}.safetensors"] for name in TUNINGS}


def whole(name: str) -> Part:
    """Tell what decides the potential."""
    spec = TUNINGS[name]
    return Part(name, spec.reads, (spec, free_atoms(spec.data)))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Train with a `share` of the steps, and save with a card; it takes minutes."""
    spec = TUNINGS[name]
    spec = replace(spec, how=replace(spec.how, steps=round(share * spec.how.steps)))
    potential, valid = train_point(spec)
    card = {
        "name": name,
        "made_by": f"tpainn_lite {__version__}, reproduce {name}",
        "labels": datasets.card(spec.data)["level"],
        "structures": spec.n,
        "from": sources(spec.reads),
        "training": asdict(watched(spec.how, spec.n) if valid else spec.how),
        "watched": len(valid),
        "test": asdict(evaluate(potential, datasets.load(spec.data)["test"])),
        "limits": LIMITS[spec.data],
    }
    potential.save(folder / name, card)
