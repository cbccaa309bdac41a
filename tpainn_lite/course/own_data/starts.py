"""Find a potential to tune: a checkpoint, or a network that a cheap teacher taught."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.emt import EMT
from ase.data import atomic_numbers

from ... import analysis, data, datasets, guards, molecules, tune
from ...guards import checked, instance, optional
from ...model import Potential, PotentialConfig
from ...train import FitConfig
from .intake import STRUCTURES

UNTRAINED = "an untrained network"
METALS = {atomic_numbers[s] for s in ("Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au")}
PAIRS = 1000  # of neighbours, in a batch: a step then takes about 30 ms
MOST = 3500  # more take fewer steps: the whole is to take three minutes
TAUGHT = 400  # structures that a teacher labels
KELVIN = (300.0, 600.0, 1000.0)  # wider than what the potential will be used at
TEACHING = replace(tune.HOW, steps=1000)
RATTLE = 0.02, 0.15  # Å: standard deviations of the moves of such structures
LARGEST = 100  # atoms: GFN2-xTB takes 7 s for a periodic box of so many
PERIODIC = 8  # times the cost of an open structure of as many atoms


@dataclass(frozen=True)
class Start:
    """A potential to tune, its name, and notes about it."""

    potential: Potential
    name: str
    notes: list[str] = field(default_factory=list)


@checked(
    frames=STRUCTURES,
    teacher=optional(instance(Calculator)),
    seed=guards.seed,
    on_step=optional(guards.function),
)
def start(
    frames: Sequence[Atoms],
    *,
    teacher: Calculator | None = None,
    seed: int,
    on_step: Callable[[str], None] | None = None,
) -> Start:
    """Find a potential to tune on `frames`, or teach one (a minute or so of one core).

    In this order: the `teacher`, an ASE calculator; the shipped checkpoints of water
    and of molecules of H, C, N, O; MMFF94 where it types the molecules; EMT for metals,
    where GFN2-xTB does not converge; GFN2-xTB where tblite is installed; an untrained
    network. ``on_step(text)`` is told what happens.
    """
    name, say, refused = _shipped(frames), on_step or str, []
    if name and teacher is None:
        return Start(datasets.checkpoint(name), name)
    ladder = dict(MMFF94=_by_mmff94, EMT=_by_emt) | {"GFN2-xTB": _by_xtb}
    if teacher is not None:
        ladder = {type(teacher).__name__: partial(_by, teacher)}
    for name, by in ladder.items():
        try:
            taught = by(frames, seed)
        except ValueError as error:
            refused.append(f"{name}: {error}")
            continue
        say(f"{name} teaches a network, with {len(taught)} structures")
        student, _ = tune.pretrain(taught, sized(TEACHING, taught), seed=seed)
        return Start(student, f"a network taught by {name}")
    why = "; ".join(refused)
    if teacher is not None:
        raise ValueError(f"teacher: {why}")
    student = Potential(PotentialConfig(), tune.references(frames), seed=seed)
    note = f"No teacher knows these structures ({why}). The network starts untrained"
    return Start(student, UNTRAINED, [f"{note}, and needs many more labels."])


def _shipped(frames: Sequence[Atoms]) -> str | None:
    """Name the checkpoint that knows the frames: liquid water, or open molecules."""
    elements = {int(z) for a in frames for z in a.numbers}
    hydrogen, oxygen = data.compositions(frames, [1, 8]).T
    if not frames[0].pbc.any():
        return "molecules-mmff94" if elements <= {1, 6, 7, 8} else None
    water = elements == {1, 8} and (hydrogen == 2 * oxygen).all()
    return "water-qtip4pf-longer" if water else None


def _by(teacher: Calculator, frames: Sequence[Atoms], seed: int, n=None) -> list[Atoms]:
    """Label `n` structures; leave out what does not converge, but for the first."""
    labelled: list[Atoms] = []
    for atoms in _rattled(frames, n or TAUGHT, seed):
        try:
            labelled += data.label([atoms], teacher)
        except RuntimeError as error:  # of an element, or no convergence
            if not labelled:
                raise ValueError(str(error)) from None
    return labelled


def _by_mmff94(frames: Sequence[Atoms], seed: int) -> list[Atoms]:
    if frames[0].pbc.any():
        raise ValueError("is for open molecules")
    return heated(known_molecules(frames), TAUGHT, seed=seed)


def _by_emt(frames: Sequence[Atoms], seed: int) -> list[Atoms]:
    if not {int(z) for a in frames for z in a.numbers} <= METALS:
        raise ValueError("is for Al, Ni, Cu, Pd, Ag, Pt and Au")
    return _by(EMT(), frames, seed)


def _by_xtb(frames: Sequence[Atoms], seed: int) -> list[Atoms]:
    try:
        from tblite.ase import TBLite
    except ImportError:
        raise ValueError("needs the package tblite; pip install tblite") from None
    each = max(map(len, frames))
    if each > LARGEST:
        raise ValueError(f"is too slow for {each} atoms, more than {LARGEST}")
    dear = each * (PERIODIC if frames[0].pbc.any() else 1)
    n = min(TAUGHT, max(10, 20 * TAUGHT // dear))
    return _by(TBLite(method="GFN2-xTB", verbosity=0), frames, seed, n)


@checked(frames=guards.structures())
def pairs(frames: Sequence[Atoms]) -> float:
    """Count neighbours in a structure, the mean of some: what a step costs."""
    some, cutoff = frames[:: len(frames) // 10 + 1], PotentialConfig().cutoff
    return float(np.mean([len(analysis.neighbours("i", a, cutoff)) for a in some]))


@checked(config=instance(FitConfig), frames=guards.structures())
def sized(config: FitConfig, frames: Sequence[Atoms]) -> FitConfig:
    """Cut the batch to `PAIRS`, and where `MOST` are in a structure, the steps."""
    each = max(1.0, pairs(frames))
    batch = max(1, min(config.batch_size, int(PAIRS / each)))
    steps = max(100, int(config.steps * MOST / each))
    return replace(config, batch_size=batch, steps=min(config.steps, steps))


def _rattled(frames: Sequence[Atoms], n: int, seed: int) -> list[Atoms]:
    """Move the atoms of `frames` at random, `n` structures, each by its own amount."""
    rng, moved = np.random.default_rng(seed), []
    for k in range(n):
        atoms = frames[k % len(frames)].copy()
        atoms.positions += rng.normal(0, rng.uniform(*RATTLE), atoms.positions.shape)
        moved.append(atoms)
    return moved


@checked(smiles=guards.several(guards.text), n=guards.count, seed=guards.seed)
def heated(smiles: Sequence[str], n: int, *, seed: int) -> list[Atoms]:
    """Sample about `n` MMFF94-labelled structures, some of each at each of `KELVIN`."""
    each = max(1, round(n / (len(smiles) * len(KELVIN))))
    return [
        atoms
        for k, one in enumerate(smiles)
        for kelvin in KELVIN
        for atoms in molecules.sample(one, each, temperature=kelvin, seed=seed + k)
    ]


@checked(frames=STRUCTURES)
def known_molecules(frames: Sequence[Atoms]) -> list[str]:
    """Name the molecules in `frames`, one a composition, by SMILES for MMFF94.

    Bonds are read from distances, which fails for hot structures now and then: of each
    composition up to ten are tried. Raises `ValueError` where none of them will do.
    """
    alike, found = {}, []
    for atoms in frames:
        alike.setdefault(atoms.get_chemical_formula(), []).append(atoms)
    for some in alike.values():
        for atoms in some[:10]:
            try:
                found.append(molecules.perceive(atoms))
                break
            except ValueError as error:
                refused = error
        else:
            raise ValueError(f"frames: {refused}") from refused
    return [*dict.fromkeys(found)]
