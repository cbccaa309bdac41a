"""What a training run is asked for (`FitConfig`) and what it reports (`History`)."""

import math
from dataclasses import asdict, dataclass, field

import numpy as np

MAY_BE_ZERO = ("energy_weight", "force_weight", "ema", "pull", "decay", "unfreeze")


@dataclass(frozen=True)
class FitConfig:
    """How to train; the defaults suit tuning on a handful of molecules."""

    steps: int = 600  # optimiser steps: the budget that comparisons keep equal
    lr: float = 1e-3  # peak of the one-cycle schedule
    batch_size: int = 5  # structures
    energy_weight: float = 0.01  # on (eV per structure)²; for large boxes a tenth
    force_weight: float = 0.99  # on (eV/Å)²
    ema: float = 0.99  # decay of the averaged weights per step; 0: none
    clip: float = 10.0  # largest norm of the gradient
    warmup: float = 0.1  # fraction of the steps with a rising rate
    pull: float = 0.0  # towards the first weights, per step and divided by n structures
    decay: float = 1.0  # of the rate, per block down from the read-out (see `blocks`)
    unfreeze: int = 0  # steps until the next block down joins; 0: all at once
    patience: int | None = None  # validations without a gain before stopping
    validate_every: int = 1  # epochs

    def __post_init__(self):
        """Refuse values that cannot be."""
        for name, value in asdict(self).items():
            least = 0 if name in MAY_BE_ZERO else 1e-12
            if value is not None and not value >= least:
                raise ValueError(f"{name}: needs a positive number, got {value}")
        if self.decay > 1:
            raise ValueError(f"decay: needs a number up to 1, got {self.decay}")
        for name, value in dict(
            ema=self.ema, warmup=self.warmup, pull=self.pull
        ).items():
            if not value < 1:
                raise ValueError(f"{name}: needs a number below 1, got {value}")
        if self.energy_weight == self.force_weight == 0:
            raise ValueError("energy_weight, force_weight: one must be above 0")


@dataclass(frozen=True)
class History:
    """One row (dict) an epoch: epoch, step, lr, loss and, with validation, errors."""

    rows: list[dict] = field(default_factory=list)

    def column(self, name: str) -> np.ndarray:
        """One column; NaN in epochs that did not measure it."""
        return np.array([row.get(name, math.nan) for row in self.rows])
