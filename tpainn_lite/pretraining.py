"""A short classical pretraining for somebody's own molecules, where none ships.

The teacher is MMFF94, run on the very molecules that are to be tuned on later.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ase import Atoms

from .data import split
from .fitting import FitConfig
from .model import Potential, PotentialConfig
from .molecules import sample
from .reproduce.students import FIT, references
from .train import fit

KELVIN = (300.0, 600.0, 1000.0)  # wider than what the potential will be used at
HOW = replace(FIT, steps=1500, ema=0.99)  # fewer steps, a shorter memory


def structures(smiles: Sequence[str], n: int, *, seed: int = 0) -> list[Atoms]:
    """About `n` MMFF94-labelled structures of these molecules, from dynamics.

    At least one of each molecule at each of `KELVIN`.
    """
    each = max(1, round(n / (len(smiles) * len(KELVIN))))
    return [
        atoms
        for k, one in enumerate(smiles)
        for kelvin in KELVIN
        for atoms in sample(one, each, temperature=kelvin, seed=seed + k)
    ]


def pretrain(
    frames: Sequence[Atoms],
    config: FitConfig = HOW,
    size: PotentialConfig | None = None,
    *,
    seed: int = 0,
    on_epoch: Callable[[Potential, list[dict]], bool | None] | None = None,
) -> Potential:
    """A fresh potential taught by classically labelled `frames`; a tenth validate.

    It knows their elements and no others.
    """
    start = Potential(size or PotentialConfig(), references(frames), seed)
    tenth = max(1, len(frames) // 10)
    valid, train = split(frames, tenth, len(frames) - tenth, seed=seed)
    potential, _ = fit(start, train, config, seed=seed, valid=valid, on_epoch=on_epoch)
    return potential
