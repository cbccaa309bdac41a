"""The training loop: energies and forces, EMA weights, one-cycle rate, early stopping.

One loop serves pretraining on classical labels and tuning on quantum labels. It returns
a new `Potential` (the exponential moving average of the weights) and a `History`.
"""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from .errors import evaluate
from .graphs import Samples
from .model import Potential


@dataclass(frozen=True)
class FitConfig:
    """How to train; the defaults suit tuning on a handful of molecules."""

    steps: int = 600  # optimiser steps: the budget that comparisons keep equal
    lr: float = 1e-3  # peak of the one-cycle schedule
    batch_size: int = 10  # structures
    energy_weight: float = 0.01  # on (eV per structure)²; forces carry the shape
    force_weight: float = 0.99  # on (eV/Å)²
    ema: float = 0.99  # decay of the averaged weights per step; 0: none
    clip: float = 10.0  # largest norm of the gradient
    warmup: float = 0.1  # fraction of the steps with a rising rate
    patience: int | None = None  # validations without a gain before stopping
    validate_every: int = 1  # epochs

    def __post_init__(self):
        """Refuse values that cannot be."""
        for name, value in asdict(self).items():
            least = 0 if name in ("energy_weight", "force_weight", "ema") else 1e-12
            if value is not None and not value >= least:
                raise ValueError(f"{name}: needs a positive number, got {value}")


@dataclass(frozen=True)
class History:
    """One row (dict) an epoch: epoch, step, lr, loss and, with validation, errors."""

    rows: list[dict] = field(default_factory=list)

    def column(self, name: str) -> np.ndarray:
        """One column; NaN in epochs that did not measure it."""
        return np.array([row.get(name, math.nan) for row in self.rows])


class _Run:
    """Everything that must survive a kill: weights, optimiser, schedule, history."""

    def __init__(self, potential: Potential, config: FitConfig, seed: int):
        self.config, self.seed = config, seed
        self.potential = copy.deepcopy(potential).train()
        self.optimizer = torch.optim.AdamW(
            self.potential.parameters(), lr=config.lr, weight_decay=0.0
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            config.lr,
            total_steps=config.steps + 1,
            pct_start=config.warmup,
            cycle_momentum=False,
        )
        self.average = AveragedModel(
            self.potential, multi_avg_fn=get_ema_multi_avg_fn(config.ema)
        )
        self.step, self.epoch, self.bad = 0, 0, 0
        self.rows: list[dict] = []
        self.best = {"score": math.inf, "state": None}

    PARTS = ("potential", "optimizer", "schedule", "average")
    PLAIN = ("step", "epoch", "bad", "rows", "best")

    def save(self, path: Path) -> None:
        """Write the whole state, in one step."""
        state = {name: getattr(self, name).state_dict() for name in self.PARTS}
        state |= {name: getattr(self, name) for name in self.PLAIN}
        state["config"] = asdict(self.config)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        torch.save(state, part)
        part.replace(path)

    def load(self, path: Path) -> None:
        """Go on where `save` left off; refuses another configuration."""
        state = torch.load(path, weights_only=True)
        if state["config"] != asdict(self.config):
            raise ValueError(
                f"checkpoint: {path} was written with {state['config']}, not with "
                f"{asdict(self.config)}; use the same configuration or another file"
            )
        for name in self.PARTS:
            getattr(self, name).load_state_dict(state[name])
        for name in self.PLAIN:
            setattr(self, name, state[name])

    def run_epoch(self, samples: Samples, bar: tqdm) -> None:
        """One pass over the samples, or what is left of the budget."""
        n, size = len(samples.graphs), self.config.batch_size
        order = np.random.default_rng([self.seed, self.epoch]).permutation(n)
        dtype, device = self.potential.dtype, self.potential.device
        losses = []
        for start in range(0, n, size):
            if self.step >= self.config.steps:
                break
            chosen = order[start : start + size]
            losses.append(self.run_step(*samples.batch(chosen, dtype, device)))
            bar.update()
        self.epoch += 1
        rate = self.schedule.get_last_lr()[0]
        self.rows.append(
            dict(epoch=self.epoch, step=self.step, lr=rate, loss=float(np.mean(losses)))
        )

    def run_step(self, batch, energies, forces) -> float:
        """One optimiser step; returns the loss."""
        config = self.config
        with_forces = config.force_weight > 0
        energy, force = self.potential(batch, forces=with_forces)
        loss = config.energy_weight * (energy - energies).square().mean()
        if with_forces:
            loss = loss + config.force_weight * (force - forces).square().mean()
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"the loss is not finite at step {self.step}: lower lr ({config.lr}), or "
                "look for a label far outside the others"
            )
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.potential.parameters(), config.clip)
        self.optimizer.step()
        self.schedule.step()
        self.average.update_parameters(self.potential)
        self.step += 1
        return loss.item()

    def validate(self, valid: Sequence[Atoms]) -> bool:
        """Note the errors, keep the best weights; true when patience has run out."""
        errors = evaluate(self.average.module, valid)
        config, row = self.config, self.rows[-1]
        row |= {"energy_mae": errors.energy_mae, "force_mae": errors.force_mae}
        score = errors.force_mae if config.force_weight > 0 else errors.energy_mae
        if score < self.best["score"]:
            state = copy.deepcopy(self.average.module.state_dict())
            self.best, self.bad = {"score": score, "state": state}, 0
        else:
            self.bad += 1
        return config.patience is not None and self.bad >= config.patience

    def result(self) -> tuple[Potential, History]:
        """The best weights validation saw, else the averaged ones."""
        potential = copy.deepcopy(self.average.module).eval()
        if self.best["state"] is not None:
            potential.load_state_dict(self.best["state"])
        return potential, History(self.rows)


def fit(
    potential: Potential,
    frames: Sequence[Atoms],
    config: FitConfig | None = None,
    *,
    seed: int,
    valid: Sequence[Atoms] | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 10,
    on_epoch: Callable[[Potential, list[dict]], bool | None] | None = None,
    progress: bool = False,
) -> tuple[Potential, History]:
    """Train a copy of `potential` on labelled frames; the original is untouched.

    Reference energies stay as they are: set them first (see `tune`). With `valid` frames
    the weights with the lowest validation force error (energy error where forces have no
    weight) are returned, and `config.patience` can stop early. With a
    `checkpoint` path the state is written every `checkpoint_every` epochs, and a run
    that finds one goes on from it. `on_epoch(averaged potential, rows)` may return True
    to stop; Ctrl-C stops as well. Either way the best weights so far come back.
    """
    config = config or FitConfig()
    run = _Run(potential, config, seed)
    samples = Samples(frames, potential.config.cutoff, potential.reference_sum(frames))
    if checkpoint is not None and Path(checkpoint).exists():
        run.load(Path(checkpoint))
    bar = tqdm(total=config.steps, initial=run.step, desc="fit", disable=not progress)
    try:
        with bar:
            while run.step < config.steps:
                run.run_epoch(samples, bar)
                last = run.step >= config.steps
                due = run.epoch % config.validate_every == 0 or last
                stop = valid is not None and due and run.validate(valid)
                if checkpoint and (run.epoch % checkpoint_every == 0 or last):
                    run.save(Path(checkpoint))
                if on_epoch and on_epoch(run.average.module, run.rows):
                    stop = True
                if stop:
                    break
    except KeyboardInterrupt:
        bar.write(f"stopped at step {run.step}; the best weights so far are kept")
    return run.result()
