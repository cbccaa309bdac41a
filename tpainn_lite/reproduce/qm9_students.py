"""Pretrain the students of the race on QM9, which predict the terms of teachers.

A student has an output for each term that a calibrated teacher adds up: the energy of
the cheap method, and each kind of bond and ring. Any such teacher is then a linear
read-out of the same network, which `start_of` folds into an ordinary potential.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from ase.data import chemical_symbols
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .. import calibrate, data, guards, tune
from ..graphs import best_device, collate, graph
from ..model import Potential, PotentialConfig
from . import qm9
from .parts import WORK, mark

TEST, POOL, TAUGHT = 4000, 10_000, 24_000  # the pool, and what students see, follow
ELEMENTS = sorted(qm9.FREE)
RARE = 50  # molecules: a term of fewer has no output
HEAVY = 5.0  # weight of the cheap energy in the loss, beside one for each other term


@dataclass(frozen=True)
class Training:
    """Settings of a pretraining: `cheap` methods and, if `bonded`, bonds and rings."""

    cheap: tuple[str, ...]
    bonded: bool = True
    steps: int = 6000
    batch: int = 128  # molecules
    lr: float = 1e-3
    average: float = 0.999  # of the weights, a step
    seed: int = 0


STUDENTS = {
    "GFN2-xTB": Training(("gfn2_xtb", "mmff94")),
    "terms": Training(("mmff94",)),
    "MMFF94": Training(("mmff94",), bonded=False),
}


@dataclass(frozen=True)
class Student:
    """A network with an output for each term, per `scale`, composition aside."""

    network: Potential
    names: list[str]
    scale: np.ndarray  # (terms,) eV, or a number of bonds
    composition: np.ndarray  # (elements, terms), taken off before


@cache
def cheap_energies(method: str, n: int) -> np.ndarray:
    """Compute a cheap method's energies (n,) eV of the first n molecules drawn."""
    return np.array([qm9.cheap(atoms)[method] for atoms in qm9.drawn(n)])


def terms(how: Training) -> tuple[list[str], np.ndarray]:
    """Name the outputs, and compute them (molecules, terms) for all that is drawn."""
    frames = qm9.drawn(TEST + TAUGHT)
    columns = {name: cheap_energies(name, len(frames)) for name in how.cheap}
    counts = [calibrate.count(a.info["smiles"]) for a in frames] if how.bonded else []
    for name in sorted({name for c in counts for name in c if not name.isalpha()}):
        column = np.array([c[name] for c in counts], float)
        if (column[TEST:] > 0).sum() >= RARE:
            columns[name] = column
    return [*columns], np.column_stack([*columns.values()])


def network(outputs: int, seed: int) -> Potential:
    """Build a potential whose last layer has several outputs."""
    found = Potential(PotentialConfig(), dict.fromkeys(ELEMENTS, 0.0), seed=seed)
    last = found.readout.outnet[-1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found.readout.outnet[-1] = type(last)(last.in_features, outputs)
    return found


def train(name: str) -> Student:
    """Pretrain a student on a GPU where there is one; killed, it goes on.

    What is learned is left of each term after the composition, per its spread.
    """
    how = STUDENTS[name]
    names, values = terms(how)
    N = data.compositions(qm9.drawn(len(values)), ELEMENTS)
    apart = np.linalg.lstsq(N[TEST:], values[TEST:], rcond=None)[0]
    values -= N @ apart
    scale = np.maximum(values[TEST:].std(axis=0), 1e-3)  # fluorine has one bond always
    model = network(len(names), how.seed)
    model.to(best_device(model.device)).train()
    file = WORK / "state" / f"qm9-{mark(how, names, scale.tolist(), len(values))}.pt"
    mean = _steps(model, values / scale, how, file)
    model.load_state_dict(mean.module.state_dict())
    return Student(model.to("cpu").eval(), names, scale, apart)


def _steps(model: Potential, values: np.ndarray, how: Training, file) -> AveragedModel:
    """Take all steps, keeping the state in `file`; return the averaged network."""
    mean = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(how.average))
    adam = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        adam, how.lr, how.steps + 1, pct_start=0.05, cycle_momentum=False
    )
    kept, first = dict(model=model, mean=mean, adam=adam, rates=rates), 0
    if file.exists():
        state = torch.load(file, map_location=model.device)
        first = state.pop("step")
        for key, value in state.items():
            kept[key].load_state_dict(value)
    frames = qm9.drawn(len(values)) if first < how.steps else []
    graphs = [graph(atoms, model.config.cutoff) for atoms in frames[TEST:]]
    truth = torch.from_numpy(values[TEST:]).float().to(model.device)
    weight = torch.ones(values.shape[1], device=model.device)
    weight[0] = HEAVY
    for step in range(first, how.steps):
        epoch, turn = divmod(step, TAUGHT // how.batch)
        if step == first or turn == 0:
            order = np.random.default_rng([how.seed, epoch]).permutation(TAUGHT)
        chosen = order[turn * how.batch :][: how.batch]
        batch = collate([graphs[k] for k in chosen], to=model.device)
        gap = model.outputs(batch, batch["r_ij"]) - truth[chosen]
        loss = (gap.square() * weight).sum(dim=1).mean() / weight.sum()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), tune.FIT.max_grad_norm)
        adam.step()
        rates.step()
        mean.update_parameters(model)
        if step % 500 == 499:
            state = {key: one.state_dict() for key, one in kept.items()}
            with guards.replacing(file) as part:
                torch.save(state | {"step": step + 1}, part)
    return mean


def start_of(student: Student, model: calibrate.MoleculeModel, cheap: str) -> Potential:
    """Fold a calibrated teacher, or its part beside `cheap`, into one output.

    `cheap` names the method that the network predicts, "" if it is added outside.
    Reference energies are those of the teacher.
    """
    named = {**model.terms, cheap: model.factor}
    share = np.array([named.get(name, 0.0) for name in student.names])
    elements = student.composition @ share
    elements += [model.terms[chemical_symbols[z]] for z in ELEMENTS]
    references = dict(zip(ELEMENTS, elements.tolist(), strict=True))
    found = Potential(PotentialConfig(), references, seed=0)
    found.representation.load_state_dict(student.network.representation.state_dict())
    first, last = student.network.readout.outnet, found.readout.outnet[-1]
    found.readout.outnet[0].load_state_dict(first[0].state_dict())
    factors = torch.from_numpy(share * student.scale).float()
    with torch.no_grad():
        last.weight.copy_((factors @ first[-1].weight)[None])
        last.bias.copy_((factors @ first[-1].bias)[None])
    return found.eval()
