"""Autotuning: fine-tune a classically pretrained potential on few quantum labels."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from . import data, datasets, guards
from .data import EnergyForces, cell_of, energy_forces_of, label, labels
from .graphs import Graphs, structure
from .guards import checked
from .model import EnergyForcesCalculator, Potential, PotentialConfig
from .ridge_head import HeadConfig, instant
from .train import POTENTIAL, TRAINING, FitConfig, History, OnEpoch, fit, one_thread

# The same steps for both, chosen for forces of few molecules; see `config_for`.
TUNED = FitConfig(steps=600, lr=1e-4, l2_sp=0.3)
SCRATCH = FitConfig(steps=600, lr=1e-3, l2_sp=0.0)
ARMS = ("composition", "zero-shot", "scratch", "tuned")
CONFIGS = {"scratch": SCRATCH, "tuned": TUNED}
TRIALS = "tune-trials"  # the shipped table of `config_for`
KINDS = ("molecule", "molecules", "boxes")
AIMS = ("forces", "energies", "energies alone")
_LOSS = dict(energy_weight=0.05, force_weight=0.95)
FIT = FitConfig(steps=15_000, lr=1e-3, batch_size=10, warmup_fraction=0.05, **_LOSS)
FIT = replace(FIT, ema_decay=0.999)  # of the shipped checkpoints
HOW = replace(FIT, steps=1500, ema_decay=0.99)  # fewer steps, a shorter memory
AGREE = 0.1  # eV: two energies of one free atom by one method
SAME = 1e-3  # eV, eV/Å: the same classical part, on whatever machine
FRAMES, ENERGIES = guards.structures(), guards.optional(guards.element_energies)
ARM, KIND, AIM = (guards.one_of(*names) for names in (CONFIGS, KINDS, AIMS))
SIZE, CONFIG = guards.instance(PotentialConfig), guards.instance(FitConfig)
LABELLED = dict(potential=POTENTIAL, frames=FRAMES, atomic_energies=ENERGIES)


def _source(value: Any, name: str) -> Any:
    energy_forces_of(value, name)
    return value


def _labelled(classical: EnergyForces, frames: Sequence[Atoms]):
    """Label frames, by whatever `data.label` takes: energy eV, forces (N, 3) each."""
    return [labels(a) for a in label(frames, classical)]


@dataclass(frozen=True)
class DeltaPotential:
    """A network that learned differences, plus the classical part it goes with.

    A file holds the classical part's labels of `probe`, by which `load` knows it again.
    """

    network: Potential
    classical: EnergyForces
    probe: Atoms | None = None

    def __post_init__(self):
        """Refuse what is no such part."""
        probe = guards.optional(guards.structure)
        guards.settle(self, network=POTENTIAL, classical=_source, probe=probe)

    def energy_forces(self, numbers, positions, cell=None) -> tuple[float, np.ndarray]:
        """Compute the sum as an `EnergyForces`."""
        energy, forces = self.network.energy_forces(numbers, positions, cell)
        more, rest = energy_forces_of(self.classical)(numbers, positions, cell)
        return energy + more, forces + rest

    def predict(self, frames: Sequence[Atoms], forces: bool = True):
        """Predict energies (frames,) eV and forces, (N, 3) eV/Å each, or None."""
        energies, found = self.network.predict(frames, forces=forces)
        more = _labelled(self.classical, frames)
        total = found and [f + rest for f, (_, rest) in zip(found, more, strict=True)]
        return energies + [e for e, _ in more], total

    def calculator(self) -> EnergyForcesCalculator:
        """Make an ASE calculator."""
        return EnergyForcesCalculator(self.energy_forces)

    def save(self, path: str | Path, card: dict | None = None) -> Path:
        """Write and return PATH.safetensors: network, `probe`, its classical labels."""
        a = guards.structure(self.probe, "probe")
        ((energy, forces),) = _labelled(self.classical, [a])
        rows = dict(numbers=a.numbers, positions=a.positions, cell=cell_of(a))
        rows |= dict(energy=energy, forces=forces)  # Å, eV, eV/Å
        plain = {k: v if v is None else np.asarray(v).tolist() for k, v in rows.items()}
        return self.network.save(path, card, plain)

    @staticmethod
    @checked(classical=_source)
    def load(path: str | Path, classical: EnergyForces) -> "DeltaPotential":
        """Read what `save` wrote; refuse a `classical` part that is another one."""
        network, about = Potential._load(path)
        if "difference" not in about:
            raise ValueError(
                f"path: {path} holds a whole potential; load it with Potential.load"
            )
        rows = about["difference"]
        probe = structure(*(rows[name] for name in ("numbers", "positions", "cell")))
        with guards.at(f"classical: refuses the structure that {path} was saved with"):
            ((energy, forces),) = _labelled(classical, [probe])
        gaps = [energy - rows["energy"], *np.ravel(forces - np.array(rows["forces"]))]
        if not np.abs(gaps).max() < SAME:
            raise ValueError(
                f"classical: needs the part that {path} was saved with, got another "
                f"one: labels of one structure differ by {np.abs(gaps).max():.4g} eV"
            )
        return DeltaPotential(network, classical, probe)


class ReferenceWarning(UserWarning):
    """The labels do not determine the reference energies of their elements."""


@one_thread()
@checked(**LABELLED)
def with_references(
    potential: Potential,
    frames: Sequence[Atoms],
    atomic_energies: Mapping[int, float] | None,
) -> Potential:
    """Copy a potential, with reference energies fitted to the labels of `frames`.

    Fits what the network leaves over (eV), with `atomic_energies` (isolated atoms, same
    method as the labels; None: labels alone) where labels leave it open: see
    `data.fit_reference_energies`. Frames of one atom are free atoms, too. Elements that
    neither has keep their reference energy, with a `ReferenceWarning`.
    """
    frames = Graphs(frames, potential.config.cutoff, forces=False)
    structures, prior = _prior(frames, atomic_energies)
    energies, _ = potential.predict(structures, forces=False)
    network = energies - potential.reference_sum(structures)  # (frames,) eV
    truth = [labels(a, forces=False)[0] for a in structures]
    known = potential.reference_energies  # the network was never shown other elements
    prior = prior and {z: e for z, e in prior.items() if z in known}
    fitted = data.fit_reference_energies(structures, truth - network, prior)
    if left := sorted(known.keys() - fitted):
        text = (
            f"atomic_energies: has no energy of the elements {left}, nor have frames: "
            "energies of structures with them keep another zero, forces are right"
        )
        warnings.warn(text, ReferenceWarning, stacklevel=4)
    tuned = copy.deepcopy(potential)
    tuned.reference_energies = known | fitted
    return tuned


def _prior(
    frames: Sequence[Atoms], atomic_energies: Mapping[int, float] | None
) -> tuple[Sequence[Atoms], dict[int, float] | None]:
    """Separate structures, and join free atoms that were given or are in `frames`."""
    structures, free = data.split_free_atoms(frames)
    if not structures:
        raise ValueError("frames: needs structures of atoms, got only free atoms")
    if atomic_energies is None:
        whole = free.keys() >= {int(z) for a in structures for z in a.numbers}
        return structures, free if whole else None
    for z in free.keys() & atomic_energies.keys():
        if abs(free[z] - atomic_energies[z]) > AGREE:
            raise ValueError(
                f"atomic_energies: says {atomic_energies[z]:.4f} eV of element {z}, a "
                f"frame of one atom says {free[z]:.4f} eV; keep the right one"
            )
    return structures, {**atomic_energies, **free}


@checked(frames=FRAMES)
def warn_if_undetermined(frames: Sequence[Atoms]) -> None:
    """Warn (`ReferenceWarning`) where compositions cannot tell the elements apart."""
    elements = sorted({int(z) for a in frames for z in a.numbers})
    rank, k = np.linalg.matrix_rank(data.compositions(frames, elements)), len(elements)
    if rank < k:
        n = len({a.get_chemical_formula() for a in frames})
        text = (
            f"frames: {n} composition(s) do not determine the reference energies of "
            f"{k} elements; the rest comes from atomic_energies (without them it is "
            "arbitrary). Forces, and energies of these compositions, are not touched; "
            "for energies of others label structures of more compositions"
        )
        warnings.warn(text, ReferenceWarning, stacklevel=5)


@dataclass(frozen=True)
class Delta:
    """A fresh network learns what `classical` leaves over; at first it adds nothing.

    Free atoms of the classical method (eV) are taken off those of the labels; a force
    field, whose zero is arbitrary, has none, and a Potential brings its own.
    """

    classical: EnergyForces
    config: FitConfig = SCRATCH
    atomic_energies: Mapping[int, float] | None = None

    def __post_init__(self):
        """Refuse what is no such part."""
        guards.settle(self, classical=_source, config=CONFIG, atomic_energies=ENERGIES)
        if weight := self.config.stress_weight:  # of the classical part none is known
            raise guards.refusal("config, stress_weight of a Delta", "0", weight)


@dataclass(frozen=True)
class Replay:
    """Gradient steps on the quantum frames and, against forgetting, on classical ones.

    `frames` carry labels on the zero of the reference energies of the potential.
    """

    frames: Sequence[Atoms]
    config: FitConfig = TUNED

    def __post_init__(self):
        """Refuse what is no such part."""
        guards.settle(self, frames=FRAMES, config=CONFIG)


Strategy = FitConfig | HeadConfig | Delta | Replay
STRATEGY = guards.optional(guards.instance(FitConfig, HeadConfig, Delta, Replay))


@checked(frames=FRAMES)
def kind_of(frames: Sequence[Atoms]) -> str:
    """Name the kind of `frames`, one of `KINDS`: periodic, one composition, several."""
    if any(atoms.pbc.any() for atoms in frames):
        return "boxes"
    one = len({atoms.get_chemical_formula() for atoms in frames}) == 1
    return "molecule" if one else "molecules"


@checked(n=guards.count, kind=KIND, arm=ARM, aim=AIM)
def config_for(n: int, kind: str, arm: str = "tuned", aim: str = "forces") -> FitConfig:
    """Choose settings of an arm for `n` labelled structures of a `kind` (`kind_of`).

    `aim` "forces" wants low force errors, "energies" low energy errors, "energies
    alone" has no forces to learn from. Choices come from trials that ship, those at the
    nearest n: see the card of "tune-trials", and `reproduce.trials` for the rule.
    """
    wanted, rows = dict(kind=kind, arm=arm, aim=aim), datasets.card(TRIALS)["choices"]
    rows = [row for row in rows if wanted.items() <= row.items()]
    near = min(rows, key=lambda row: abs(np.log(row["n"] / n)))
    return replace(SCRATCH, **near["config"])


def _default(frames: Sequence[Atoms], arm: str) -> FitConfig:
    frames, _ = data.split_free_atoms(frames)
    forces = any(data.result(atoms, "forces") is not None for atoms in frames)
    aim = "forces" if forces else "energies alone"
    return config_for(len(frames), kind_of(frames), arm, aim)


@checked(strategy=STRATEGY, progress=guards.flag, **LABELLED, **TRAINING)
def autotune(
    potential: Potential,
    frames: Sequence[Atoms],
    atomic_energies: Mapping[int, float] | None,
    strategy: Strategy | None = None,
    *,
    seed: int,
    valid: Sequence[Atoms] | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
    progress: bool = False,
) -> tuple[Potential | DeltaPotential, History]:
    """Tune a copy of `potential` on labelled quantum `frames`.

    First `with_references`, then by `strategy`: gradient steps (`FitConfig`; None: of
    `config_for`), one linear solve (`HeadConfig`), `Delta` or `Replay`. The rest is as
    in `train.fit`. Warns (`ReferenceWarning`) where reference energies stay open.
    """
    frames = Graphs(frames, potential.config.cutoff, forces=False)
    frames, prior = _prior(frames, atomic_energies)
    strategy = strategy or _default(frames, "tuned")
    valid = valid and data.split_free_atoms(valid)[0]
    if isinstance(strategy, Delta):
        potential = untrained(potential, seed=seed, silent=True)
        frames, valid = _left(strategy, frames), valid and _left(strategy, valid)
        prior = _without_classical(prior, strategy, frames)
    start = with_references(potential, frames, prior)
    warn_if_undetermined(frames)
    if isinstance(strategy, HeadConfig):
        return instant(start, frames, strategy, seed=seed), History()
    config = strategy if isinstance(strategy, FitConfig) else strategy.config
    if isinstance(strategy, Replay):
        frames = [*frames, *_moved_zero(strategy.frames, potential, start)]
    how: Any = dict(checkpoint=checkpoint, on_epoch=on_epoch, progress=progress)
    tuned, history = fit(start, frames, config, seed=seed, valid=valid, **how)
    if isinstance(strategy, Delta):
        return DeltaPotential(tuned, strategy.classical, frames[0]), history
    return tuned, history


def _without_classical(
    prior: Mapping[int, float] | None, strategy: Delta, frames: Sequence[Atoms]
) -> Mapping[int, float] | None:
    """Subtract the classical method's free atoms (eV) from those of the labels."""
    own = getattr(strategy.classical, "reference_energies", None)
    classical = own if strategy.atomic_energies is None else strategy.atomic_energies
    if prior is None or classical is None:
        return prior
    needed = {int(z) for a in frames for z in a.numbers}
    if missing := needed - classical.keys():
        raise ValueError(
            f"strategy: Delta.atomic_energies needs the free atoms {sorted(needed)} of "
            f"the classical method; missing {sorted(missing)}"
        )
    return {z: e - classical[z] for z, e in prior.items() if z in classical}


def _left(strategy: Delta, frames: Sequence[Atoms]) -> Sequence[Atoms]:
    """Label copies of `frames` with what the classical part leaves over."""
    forces, rest = strategy.config.force_weight > 0, []
    for k, (energy, force) in enumerate(_labelled(strategy.classical, frames)):
        e, f = labels(frames[k], f"frame {k}", forces)
        left = f - force if forces else None
        rest.append(data.with_labels(frames[k], e - energy, left))
    if isinstance(frames, Graphs):
        return Graphs(rest, frames.cutoff, frames.graphs)
    return rest


def _moved_zero(frames: Sequence[Atoms], old: Potential, new: Potential) -> list[Atoms]:
    """Move the energies of `frames` to the zero of the reference energies of `new`."""
    shift = new.reference_sum(frames) - old.reference_sum(frames)
    known = [labels(a, f"replay, frame {k}") for k, a in enumerate(frames)]
    stresses = [data.result(a, "stress") for a in frames]
    moved = zip(frames, known, shift, stresses, strict=True)
    return [data.with_labels(a, e + s, f, more) for a, (e, f), s, more in moved]


@checked(like=POTENTIAL, seed=guards.seed, silent=guards.flag)
def untrained(like: Potential, *, seed: int, silent: bool = False) -> Potential:
    """Draw a fresh network of the same size and precision, for the same elements.

    A `silent` one predicts its reference energies alone until it is trained.
    """
    fresh = Potential(like.config, like.reference_energies, seed=seed)
    for parameter in fresh.readout.outnet[-1].parameters() if silent else ():
        torch.nn.init.zeros_(parameter)
    return fresh.to(like.device, like.dtype)


@checked(arm=guards.one_of(*ARMS), teacher=POTENTIAL, config=STRATEGY, **TRAINING)
def train_arm(
    arm: str,
    teacher: Potential,
    frames: Sequence[Atoms],
    atomic_energies: Mapping[int, float] | None,
    config: Strategy | None = None,
    *,
    seed: int,
    valid: Sequence[Atoms] | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
) -> tuple[Potential | DeltaPotential, History]:
    """Train one arm of a fair comparison, from the same `frames`.

    "composition": reference energies and nothing else, forces zero; "zero-shot": the
    pretrained `teacher` with new reference energies; "scratch": an untrained network of
    its size, trained; "tuned": the teacher, tuned. The rest is as in `autotune`, and
    without `config` `config_for` chooses for the arm.
    """
    kept, silent = arm in ("zero-shot", "tuned"), arm == "composition"
    start = teacher if kept else untrained(teacher, seed=seed, silent=silent)
    if arm not in CONFIGS:
        return with_references(start, frames, atomic_energies), History()
    how: Any = dict(seed=seed, valid=valid, checkpoint=checkpoint, on_epoch=on_epoch)
    config = config or _default(frames, arm)
    return autotune(start, frames, atomic_energies, config, **how)


@checked(frames=FRAMES)
def references(frames: Sequence[Atoms]) -> dict[int, float]:
    """Fit one classical energy per element (eV); no force field has free atoms."""
    truth = [labels(a, f"frames, frame {k}", False)[0] for k, a in enumerate(frames)]
    return data.fit_reference_energies(frames, np.array(truth), None)


@checked(frames=guards.structures(2), config=CONFIG, size=guards.optional(SIZE))
def pretrain(
    frames: Sequence[Atoms],
    config: FitConfig = HOW,
    size: PotentialConfig | None = None,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> tuple[Potential, History]:
    """Teach a fresh potential classically labelled `frames`; a tenth validate."""
    start = Potential(size or PotentialConfig(), references(frames), seed=seed)
    tenth = max(1, len(frames) // 10)
    valid, train = data.split(frames, tenth, len(frames) - tenth, seed=seed)
    return fit(start, train, config, seed=seed, valid=valid, on_epoch=on_epoch)
