"""The training loop: energies and forces, EMA weights, one-cycle rate, early stopping.

One loop serves pretraining on classical labels and tuning on quantum labels.
"""

import contextlib
import copy
import hashlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from . import guards, units
from .data import labels, result, split_free_atoms, stress_of
from .graphs import Samples, best_device, digest
from .model import FLAGS, Potential

OnEpoch = Callable[[Potential, list[dict]], bool | None]
POTENTIAL = guards.instance(Potential)
WATCHED = "energy", "force", "stress"


@dataclass(frozen=True)
class FitConfig:
    """Settings of a training; the defaults suit tuning on a handful of molecules."""

    steps: int = 600  # optimiser steps: the budget that comparisons keep equal
    lr: float = 1e-3  # peak of the one-cycle schedule
    batch_size: int = 5  # structures
    energy_weight: float = 0.01  # on (eV per structure)²; for large boxes a tenth
    force_weight: float = 0.99  # on (eV/Å)²
    stress_weight: float = 0.0  # on (eV/Å³)², of boxes
    ema_decay: float = 0.99  # decay of the averaged weights per step; 0: none
    max_grad_norm: float = 10.0  # largest norm of the gradient
    warmup_fraction: float = 0.1  # fraction of the steps with a rising rate
    l2_sp: float = 0.0  # pull to the first weights per step, divided by n structures
    lr_decay: float = 1.0  # of the rate, per block down from the read-out: `blocks`
    unfreeze: int = 0  # steps until the next block down joins; 0: all at once
    patience: int | None = None  # validations without a gain before stopping
    validate_every: int = 1  # epochs

    def __post_init__(self):
        """Refuse values that cannot be."""
        kinds = dict.fromkeys(("steps", "batch_size", "validate_every"), guards.count)
        size = guards.number(above=0, most=1e9)  # float32 must hold it
        kinds |= dict.fromkeys(("lr", "max_grad_norm"), size)
        kinds |= dict.fromkeys((f"{k}_weight" for k in WATCHED), guards.not_negative)
        kinds |= dict.fromkeys(("ema_decay", "l2_sp"), guards.number(least=0, below=1))
        kinds["warmup_fraction"] = guards.number(above=0, below=1)
        kinds["lr_decay"] = guards.number(least=0, most=1)
        kinds |= dict(unfreeze=guards.whole(0), patience=guards.optional(guards.count))
        guards.settle(self, **kinds)
        if self.energy_weight == self.force_weight == 0:
            raise ValueError("energy_weight, force_weight: one must be above 0")


@dataclass(frozen=True)
class History:
    """One row (dict) an epoch: epoch, step, lr, loss and, with validation, errors."""

    rows: list[dict] = field(default_factory=list)

    def column(self, name: str) -> np.ndarray:
        """Return one column; NaN in epochs that did not measure it."""
        return np.array([row.get(name, math.nan) for row in self.rows])


@dataclass(frozen=True)
class Metrics:
    """Errors of a potential on labelled frames; None for what was not compared."""

    energy_mae: float  # meV/atom
    energy_rmse: float  # meV/atom
    energy_mae_kcal: float  # kcal/mol per structure
    force_mae: float | None = None  # meV/Å
    force_rmse: float | None = None  # meV/Å
    force_mae_by_element: dict[int, float] | None = None  # meV/Å
    stress_mae: float | None = None  # MPa, of six components


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread; two on shared cores were 6-8 times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _predictor(value: Any, name: str) -> Any:
    if not hasattr(value, "predict"):
        raise guards.refusal(name, "a Potential, or what predicts like one", value)
    return value


@guards.checked(potential=_predictor, frames=guards.structures(), **FLAGS)
def evaluate(
    potential: Potential, frames: Sequence[Atoms], forces=True, stress=True
) -> Metrics:
    """Measure the `Metrics` of a potential on labelled frames, or of energies alone.

    Also of `stress` with `forces`, where all frames carry it and `potential` has it.
    Free atoms among the frames do not count. Refuses a frame without its labels.
    """
    frames, _ = split_free_atoms(frames)
    truth = [labels(a, f"frames, frame {k}", forces) for k, a in enumerate(frames)]
    known = [a for a in frames if a.pbc.all() and result(a, "stress") is not None]
    stress &= forces and len(known) == len(frames) and isinstance(potential, Potential)
    how = {"stress": True} if stress else {}
    energies, predicted, *strained = potential.predict(frames, forces=forces, **how)
    dE = energies - np.array([e for e, _ in truth])  # (frames,) eV
    per_atom = dE / np.array([len(a) for a in frames]) / units.MEV
    kcal = float(np.abs(dE).mean() / units.KCAL_MOL)
    if not forces:
        return Metrics(*_mae_rmse(per_atom), kcal)
    dF = np.concatenate(predicted) - np.concatenate([f for _, f in truth])
    dF, numbers = dF / units.MEV, np.concatenate([a.numbers for a in frames])
    each = {int(z): _mae_rmse(dF[numbers == z])[0] for z in np.unique(numbers)}
    told = [stress_of(a, f"frames, frame {k}") for k, a in enumerate(known) if stress]
    more = [_mae_rmse((s - told) / units.MPA)[0] for s in strained]
    return Metrics(*_mae_rmse(per_atom), kcal, *_mae_rmse(dF), each, *more)


def _mae_rmse(gaps: np.ndarray) -> tuple[float, float]:
    return float(np.abs(gaps).mean()), float(np.sqrt((gaps**2).mean()))


@guards.checked(potential=POTENTIAL)
def blocks(potential: Potential) -> dict[str, list[torch.nn.Parameter]]:
    """Sort all parameters by block: embedding and filters, the layers, the read-out."""
    painn = potential.representation
    parts = {"embedding, filters": [painn.embedding, painn.filter_net]}
    pairs = zip(painn.interactions, painn.mixing, strict=True)
    parts |= {f"layer {k}": list(pair) for k, pair in enumerate(pairs)}
    parts["read-out"] = [potential.readout]
    return {
        name: [p for module in modules for p in module.parameters()]
        for name, modules in parts.items()
    }


class _Run:
    """Everything that must survive a kill: weights, optimiser, schedule, history."""

    PARTS = ("potential", "optimizer", "schedule", "average")
    PLAIN = ("step", "epoch", "bad", "rows", "best")

    def __init__(self, potential: Potential, config: FitConfig, seed: int):
        self.config, self.seed = config, seed
        self.forces, self.stress = config.force_weight > 0, config.stress_weight > 0
        self.home = potential.device  # the result goes back there
        self.potential = copy.deepcopy(potential).to(best_device(self.home)).train()
        self.first = [p.detach().clone() for p in self.potential.parameters()]
        parts = [[*self.potential.parameters()]]
        if config.lr_decay < 1:  # a rate for each block; the read-out has the highest
            parts = [*blocks(self.potential).values()]
        rates = [config.lr * config.lr_decay**k for k in range(len(parts))][::-1]
        groups = [{"params": part} for part in parts]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
        total, warmup = config.steps + 1, config.warmup_fraction
        # OneCycleLR would divide by a phase of zero steps
        warmup *= 1 + 1e-9 if warmup * total == 1 else 1
        how: dict[str, Any] = dict(pct_start=warmup, cycle_momentum=False)
        one_cycle = torch.optim.lr_scheduler.OneCycleLR
        self.schedule = one_cycle(self.optimizer, rates, total, **how)
        average = get_ema_multi_avg_fn(config.ema_decay)
        self.average: Any = AveragedModel(self.potential, multi_avg_fn=average)
        self.step = self.epoch = self.bad = 0
        self.rows: list[dict] = []
        self.best: dict[str, Any] = {"score": math.inf, "state": None}

    def samples(self, frames: Sequence[Atoms], name: str) -> Samples:
        """Check `frames` and build their graphs, once; free atoms are left out."""
        frames, _ = split_free_atoms(frames)
        known = self.potential.config.cutoff, self.potential.reference_sum(frames)
        return Samples(frames, *known, self.forces, name, self.stress)

    def identify(self, frames: Samples, valid: Samples | None) -> dict:
        """Return what decides the result: settings, and digests of the inputs."""
        structures, labelled = frames.digests()
        return {
            "seed": self.seed,
            **asdict(self.config),
            **asdict(self.potential.config),
            "other frames": structures,
            "other labels": labelled,
            "other validation frames": valid and valid.digests(),
            "other first weights": digest(self.potential.state_dict()),
            "other reference energies": self.potential.reference_energies,
        }

    def save(self, path: Path) -> None:
        """Write the whole state, in one step."""
        state = {name: getattr(self, name).state_dict() for name in self.PARTS}
        state |= {name: getattr(self, name) for name in self.PLAIN}
        file = io.BytesIO()  # torch cannot say that a disk is full
        torch.save(state | {"identity": self.identity}, file)
        content = file.getvalue()
        guards.write(path, hashlib.sha256(content).digest() + content)

    def resume(self, path: Path | None, frames: Samples, valid: Samples | None) -> None:
        """Go on where `save` left off; refuse a broken state, or one of another run."""
        if path is None:
            return
        self.identity = identity = self.identify(frames, valid)
        if not path.exists():
            return
        data = path.read_bytes()
        known, content = data[:32], data[32:]
        try:
            if known != hashlib.sha256(content).digest():
                raise ValueError("its SHA-256 is another one")
            state = torch.load(io.BytesIO(content), "cpu", weights_only=True)
            found = state.get("identity", {})
        except Exception as error:  # whatever torch's unpickler raises
            raise ValueError(
                f"checkpoint: {path} is no whole training state; delete it, start anew"
            ) from error
        if found != identity:
            words = ["another version of this library"]
            if found.keys() == identity.keys():
                words = [k for k, now in identity.items() if found[k] != now]
                plain = {k: f"{k} {found[k]} (now {identity[k]})" for k in words}
                words = [k if k.startswith("other") else plain[k] for k in words]
            raise ValueError(
                f"checkpoint: {path} was written with {' and '.join(words)}; use what "
                "it was written with, or another file, or delete it"
            )
        for name in self.PARTS:
            getattr(self, name).load_state_dict(state[name])
        for name in self.PLAIN:
            setattr(self, name, state[name])

    def run_epoch(self, samples: Samples, bar: tqdm) -> None:
        """Pass once over the samples, or until the budget is spent."""
        n, size = len(samples), self.config.batch_size
        order = np.random.default_rng([self.seed, self.epoch]).permutation(n)
        where, losses = (self.potential.dtype, self.potential.device), []
        for start in range(0, n, size):
            if self.step >= self.config.steps:
                break
            batch, *truth = samples.batch(order[start : start + size], *where)
            losses.append(self.run_step(batch, truth, n))
            bar.update()
        self.epoch += 1
        row = dict(epoch=self.epoch, step=self.step, lr=self.schedule.get_last_lr()[-1])
        self.rows.append(row | {"loss": float(np.mean(losses))})

    def run_step(self, batch, truth: Sequence, n: int) -> float:
        """Take one optimiser step towards `n` structures; return the loss."""
        config = self.config
        energy, force, *more = self.potential(batch, self.forces, self.stress)
        loss = config.energy_weight * (energy - truth[0]).square().mean()
        if self.forces:
            loss = loss + config.force_weight * (force - truth[1]).square().mean()
        if self.stress:
            loss = loss + config.stress_weight * (more[0] - truth[2]).square().mean()
        if not torch.isfinite(loss):
            raise self.diverged("loss is")
        self.optimizer.zero_grad()
        loss.backward()
        parts = [*blocks(self.potential).values()] if config.unfreeze else []
        for part in parts[: -1 - self.step // (config.unfreeze or 1)]:
            for parameter in part:
                parameter.grad = None  # its block still waits for its turn
        weights = [*self.potential.parameters()]
        torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
        self.optimizer.step()
        if config.l2_sp > 0:
            # L2-SP (arXiv 1802.01483): a prior around the first weights, as decay,
            # decoupled and scheduled; against the mean loss of n structures it is 1/n
            share = self.schedule.get_last_lr()[-1] / config.lr * config.l2_sp / n
            torch._foreach_lerp_([p.data for p in weights], self.first, float(share))
        self.schedule.step()
        self.average.update_parameters(self.potential)
        self.step += 1
        return loss.item()

    def diverged(self, what: str) -> FloatingPointError:
        """Make the error of a training that ended in NaN or infinity."""
        return FloatingPointError(
            f"the {what} not finite at step {self.step}: lower lr ({self.config.lr}), "
            "or look for a label far outside the others"
        )

    def validate(self, valid: Samples | None) -> None:
        """Note the errors, keep the best weights, in epochs where it is due."""
        if valid is None or not self.due(self.config.validate_every):
            return
        errors = evaluate(self.average.module, valid, self.forces, self.stress)
        pairs = ((name, getattr(errors, f"{name}_mae")) for name in WATCHED)
        self.rows[-1] |= {f"{name}_mae": x for name, x in pairs if x is not None}
        score = errors.force_mae if self.forces else errors.energy_mae
        self.bad += 1
        if score < self.best["score"]:
            state = copy.deepcopy(self.average.module.state_dict())
            self.best, self.bad = {"score": score, "state": state}, 0

    def finished(self) -> bool:
        """Return whether the steps are spent or patience has run out."""
        patience = math.inf if self.config.patience is None else self.config.patience
        return self.bad >= patience or self.step >= self.config.steps

    def due(self, every: int) -> bool:
        """Return whether this epoch is one of every `every`, or the last."""
        return self.epoch % every == 0 or self.finished()

    def result(self) -> tuple[Potential, History]:
        """Return the best weights validation saw, else the averaged ones."""
        potential = copy.deepcopy(self.average.module).eval()
        if self.best["state"] is not None:
            potential.load_state_dict(self.best["state"])
        if not all(torch.isfinite(p).all() for p in potential.parameters()):
            raise self.diverged("weights are")
        return potential.to(self.home), History(self.rows)


TRAINING = dict(  # arguments that all trainings share
    seed=guards.seed,
    valid=guards.optional(guards.structures()),
    checkpoint=guards.optional(guards.file),
    on_epoch=guards.optional(guards.function),
)


@one_thread()
@guards.checked(
    potential=POTENTIAL,
    frames=guards.structures(),
    config=guards.optional(guards.instance(FitConfig)),
    checkpoint_every=guards.count,
    progress=guards.flag,
    **TRAINING,
)
def fit(
    potential: Potential,
    frames: Sequence[Atoms],
    config: FitConfig | None = None,
    *,
    seed: int,
    valid: Sequence[Atoms] | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 10,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> tuple[Potential, History]:
    """Train a copy of `potential` on labelled frames; the original is untouched.

    One torch thread, or a GPU where there is one. Reference energies stay: set them
    first (see `tune`). With `valid` frames `config.patience` counts, and the best
    weights so far come back, by force error (energy error where forces weigh nothing);
    else the last. The state goes to `checkpoint` every `checkpoint_every` epochs, and
    the same call goes on from it; other inputs, or another run, raise `ValueError`.
    ``on_epoch(averaged potential, rows)`` may return True to stop, as Ctrl-C does.
    """
    run = _Run(potential, config or FitConfig(), seed)
    samples = run.samples(frames, "train")
    watched = None if valid is None else run.samples(valid, "valid")
    alone = checkpoint and guards.locked(checkpoint, "checkpoint")
    bar = tqdm(total=run.config.steps, desc="fit", disable=not progress)
    with alone or contextlib.nullcontext(), bar:
        run.resume(checkpoint, samples, watched)
        bar.update(run.step)
        try:
            while not run.finished():
                run.run_epoch(samples, bar)
                run.validate(watched)
                if checkpoint is not None and run.due(checkpoint_every):
                    run.save(checkpoint)
                if on_epoch and on_epoch(run.average.module, run.rows):
                    break
        except KeyboardInterrupt:
            bar.write(f"stopped at step {run.step}; the best weights so far are kept")
    return run.result()
