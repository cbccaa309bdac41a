"""Pretrain the shipped checkpoints on classical structures: MMFF94 and liquid water.

Structures are the parts; none of them ships. The files of an asset are its training.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from .. import __version__, calibrate, datasets, dynamics, engine, molecules, water
from ..data import label, split
from ..model import Potential, PotentialConfig
from ..train import FitConfig, evaluate, fit
from ..tune import FIT, references, with_references
from .cards import plural, words
from .molecule_labels import (
    SEED,
    TEMPERATURES,
    dft_molecules,
    portions,
    sample_classical,
    test_skeletons,
)
from .parts import SMILES, WORK, Part, mark, sources
from .water_labels import equilibrated

MOLECULES = 64  # of water
RUNS, FRAMES = 100, 24  # of each run, 250 fs apart
KELVIN = (260.0, 600.0)
DENSITIES = (0.80, 1.20)  # g/cm³
PORTIONS = 124  # of 25 molecules of `classical_molecules`


@dataclass(frozen=True)
class Pretraining:
    """Structures, network and settings of a pretraining."""

    fit: FitConfig
    size: PotentialConfig = field(default_factory=PotentialConfig)
    groups: str = "smiles"  # key of `Atoms.info`: what validation shares nothing of
    portions: int | None = None  # learnt from, the first ones; none: all
    validation: int = 1  # portions, the last ones
    start: str = ""  # the checkpoint it goes on from; none: fresh weights
    water: str = ""  # model of the liquid; none: molecules
    calibrated: tuple[str, int] | None = None  # on a box: data, seed of its draw


# After 2,000 steps on 20,000 structures 20 Bessel functions stood at 328 meV/Å, ten or
# 20 Gaussians at 410; with twice the rate 341.
MMFF94 = Pretraining(FIT)
# Fast enough for a nanosecond a day of 64 molecules. With the weight on energies, sums
# over 192 atoms, ten times higher and the rate of `FIT` it missed its teacher's forces
# by 31 meV/Å, not 17, and energies by no less.
QTIP4PF = Pretraining(
    fit=replace(FIT, lr=3e-3, batch_size=1, energy_weight=1e-3, force_weight=0.99),
    size=PotentialConfig(64, 2, cutoff=5.0, n_rbf=10),
    groups="run",
    validation=5,
    water="q-tip4p-f",
)
# What autotuning begins with. One box calibrates almost as well as eight do. Averaged
# as `FIT` does it, over too many of so few steps, it missed its teacher by 121 meV/Å,
# not 10.
CALIBRATED = {
    f"{data}-calibrated-{seed}": replace(
        QTIP4PF,
        start="water-qtip4pf-longer",
        fit=replace(QTIP4PF.fit, steps=1500, ema_decay=0.99),
        portions=60,
        calibrated=(data, seed),
    )
    for data in ("water-dft", "water-pbe0ts")
    for seed in range(3)  # draws of the races
}
PRETRAININGS = {
    "molecules-mmff94": MMFF94,
    "water-qtip4pf": QTIP4PF,
    "water-spcfw": replace(QTIP4PF, water="spc-fw"),
    "water-qtip4pf-longer": replace(
        QTIP4PF, start="water-qtip4pf", fit=replace(QTIP4PF.fit, steps=30_000)
    ),
    **CALIBRATED,
}
FILES = {name: [f"{name}.safetensors"] for name in PRETRAININGS}
LEARNED = "water-qtip4pf-longer", *CALIBRATED
HOMES = dict.fromkeys(LEARNED, "water-qtip4pf")  # whose boxes they learn, too


def classical_molecules(max_heavy: int, keep: int, seed: int = SEED) -> list[str]:
    """List SMILES for pretraining: enumerated molecules and those of the quantum pool.

    None shares its heavy-atom graph with a test molecule.
    """
    enumerated = molecules.enumerate_smiles(max_heavy, keep, seed)
    both = sorted({*enumerated, *dft_molecules()})
    return [s for s in both if molecules.skeleton(s) not in test_skeletons()]


def liquid_tasks(model: str) -> list[tuple[str, float, float, int]]:
    """List (model, temperature in K, density in g/cm³, seed) of each run.

    Temperatures and densities are spread evenly and independently over the ladder.
    """
    rng = np.random.default_rng(SEED)
    u = (np.stack([rng.permutation(RUNS) for _ in range(2)]) + 0.5) / RUNS
    low, high = np.array([KELVIN, DENSITIES]).T[..., None]
    kelvin, density = np.round(low + u * (high - low), 3)
    return [(model, float(kelvin[k]), float(density[k]), SEED + k) for k in range(RUNS)]


def sample_liquid(model: str, kelvin: float, density: float, seed: int) -> list[Atoms]:
    """Run a teacher at one state; its frames are labelled in double precision."""
    stages = (2000, KELVIN[1]), (4000, kelvin)
    atoms, system = equilibrated(
        model, MOLECULES, density, seed, *stages, platform="CPU"
    )
    how = dict(timestep=1.0, friction=0.02, seed=seed, platform="CPU")
    how |= dict(steps=250 * FRAMES, every=250, temperature=kelvin)
    frames = dynamics.simulate(atoms, system, **how)
    labelled = label(frames, engine.system_energy_forces(system, atoms))
    for frame in labelled:
        del frame.arrays["momenta"]
        frame.info = dict(temperature=kelvin, density=density, run=seed)
    return labelled


def parts(name: str) -> dict[str, Part]:
    """List the portions of structures; the last ones validate."""
    model = PRETRAININGS[name].water
    if not model:
        return {f"{k:03d}": Part(k, (SMILES,), TEMPERATURES) for k in range(PORTIONS)}
    how = water.MODELS[model], water.CUTOFF, MOLECULES, FRAMES, KELVIN
    tasks = liquid_tasks(model)
    return {f"{k:03d}": Part(task, (), how) for k, task in enumerate(tasks)}


def compute(name: str, task: int | tuple) -> list[Atoms]:
    """Sample and label a portion."""
    if PRETRAININGS[name].water:
        return sample_liquid(*task)
    return sample_classical(*portions()[task])


def whole(name: str) -> Part:
    """Tell what decides the training beside the structures."""
    how = PRETRAININGS[name]
    reads = (how.start,) if how.start else ()
    return Part(name, reads + (how.calibrated or ())[:1], how)


def calibrated(model: str, name: str, seed: int, n: int) -> water.WaterModel:
    """Calibrate a model of water on a draw of n boxes of a pool."""
    (boxes,) = split(datasets.load(name)["pool"], n, seed=seed)
    return calibrate.water(water.MODELS[model], boxes)[0]


def anew(model: water.WaterModel, frames: Sequence[Atoms]) -> list[Atoms]:
    """Label frames by a model of water."""
    found = []
    for atoms in frames:
        known = engine.system_energy_forces(water.water_system(model, atoms), atoms)
        found += label([atoms], known)
    return found


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Train on the portions, with a `share` of the steps, and save with a card.

    A killed training goes on from a state whose name tells other portions or another
    configuration apart.
    """
    how = PRETRAININGS[name]
    how = replace(how, fit=replace(how.fit, steps=round(share * how.fit.steps)))
    made_from = sources(whole(name).reads)
    contents = [mark(p.read_text("utf-8")) for p in results]
    state = WORK / "state" / f"{name}-{mark(how, made_from, contents)}.pt"
    parts = [ase.io.read(p, ":", format="extxyz") for p in results]
    kept = min(how.validation, len(parts) - 1)
    train = [a for part in parts[:-kept][: how.portions] for a in part]
    valid = [a for part in parts[-kept:] for a in part]
    if how.calibrated:
        model = calibrated(how.water, *how.calibrated, n=1)
        train, valid = anew(model, train), anew(model, valid)
        first = with_references(datasets.checkpoint(how.start), train, None)
    elif how.start:
        first = datasets.checkpoint(how.start)
    else:
        first = Potential(how.size, references(train), seed=0)
    recorded = dict(checkpoint=state, checkpoint_every=1, progress=True)
    potential, history = fit(first, train, how.fit, seed=0, valid=valid, **recorded)
    named = water.MODELS[how.water].name if how.water else ""
    if how.calibrated:
        named += f", calibrated on a box of {how.calibrated[0]}"
    about = words("liquid", model=named) if named else words("MMFF94")
    card = {
        "name": name,
        "made_by": f"tpainn_lite {__version__}, reproduce {name}",
        **about,
        "structures": len(train),
        plural(how.groups): len({a.info[how.groups] for a in train}),
        "training": asdict(how.fit),
        "validation": asdict(evaluate(potential, valid)),
        "epochs": len(history.rows),
    }
    potential.save(folder / name, card | ({"from": made_from} if made_from else {}))
