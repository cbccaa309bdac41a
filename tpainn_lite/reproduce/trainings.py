"""Train one point of a race, and the tuned potentials that ship.

All shipped grids, tuned potentials and ways to tune are made of such points. The tuned
ones have more steps. Those of water, and their twins from scratch, keep the weights
that did best on boxes of the pool they did not learn from.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from ase import Atoms

from .. import __version__, datasets, molecules, tune
from ..data import label, labels, split, with_labels
from ..model import Potential
from ..public.download import SETS
from ..train import FitConfig, OnEpoch, evaluate
from . import rivals
from .cards import words
from .parts import WORK, Part, mark, sources

SEEDS = (0, 1, 2)
LONGER = 5  # times the budget
# One box a step: it has the forces of ten molecules. Its energy, a large sum, weighed
# as a molecule's drowns the forces of a fresh network: 165 meV/Å in a trial (8 boxes of
# water-dft), 104 now. Tuned with 8 of the public set: 36.7 on other boxes of its pool;
# lr 2e-3 37.2, 1e-3 39.7; decay 0.5 40.0; Huber loss (0.05, 0.01 eV/Å) 37.3, 48.2.
WATER = {
    arm: replace(tune.SCRATCH, batch_size=1, energy_weight=1e-3, lr=lr)
    for arm, lr in (("scratch", 1e-2), ("tuned", 3e-3))
}

# Delta learning on MMFF94: force MAE of structures of the pool, meV/Å, at n = 3 with
# rates of 1e-3, 3e-3, 1e-2: 376, 357, 328; at n = 10 with the first two: 413, 361.
# At n = 100, and on GFN2-xTB, trainings with 1e-2 diverged.
DELTA = replace(tune.SCRATCH, lr=3e-3, batch_size=5, energy_weight=0.01)


def delta_for(n: int) -> FitConfig:
    """Choose settings of delta learning for n labels."""
    return replace(DELTA, lr=1e-2) if n < 100 else DELTA


@dataclass(frozen=True)
class Spec:
    """One training, judged on the test structures of `data`.

    `arm` is one of `tune.ARMS`; "replay" and "delta" are further ways to be tuned.
    Up to `watch` other structures of the pool, as many as it has left, say which
    weights were best. Labels are drawn from the first structures, if `among` says how
    many; their forces are those of the set `forces`, if it is named.
    """

    data: str
    teacher: str
    arm: str
    n: int
    seed: int
    how: tune.Strategy | None = None
    watch: int = 0
    forces: str = ""
    among: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """Name the shipped assets that decide the result."""
        taught = self.arm not in ("composition", "scratch")
        more = ("teachers-xtb",) if self.arm == "replay" else ()
        order = ("water-pbe0ts-order",) if self.data == "water-pbe0ts" else ()
        more += (self.forces,) if self.forces else ()
        return (self.data, *order, *([self.teacher] if taught else []), *more)


def train_point(
    spec: Spec,
    teacher: Potential | None = None,
    on_epoch: OnEpoch | None = None,
    checkpoint: Path | None = None,
) -> tuple[Potential | tune.DeltaPotential, list[Atoms]]:
    """Train a point; return the potential and the structures that were watched.

    `teacher` is the checkpoint that `spec` names unless given. All arms see the same n
    structures of the pool, drawn with the seed.
    """
    teacher = teacher or datasets.checkpoint(spec.teacher)
    pool = datasets.load(spec.data)["pool"][: spec.among or None]
    frames, valid = draw(pool, spec.n, spec.watch, spec.seed)
    if spec.forces:
        frames = with_forces(frames, datasets.load(spec.forces)["pool"])
    if spec.arm in rivals.ARMS:
        return rivals.fit(spec.arm, frames, free_atoms(spec.data)), []
    arm, how = spec.arm, watched(spec.how, spec.n) if valid else spec.how
    if arm == "replay":
        how = tune.Replay(classical_frames()[: spec.n], how)
    elif arm == "delta" and spec.data == "ethanol-dft":
        how = tune.Delta(molecules.mmff94("CCO"), how)
    elif arm == "delta" and spec.data == "molecules-dft":
        how = tune.Delta(rivals.known_mmff94(spec.data), how)
    elif arm == "delta":  # to a teacher that learnt quantum labels
        how = tune.Delta(teacher.energy_forces, how, teacher.reference_energies)
    potential, _ = tune.train_arm(
        arm if arm in tune.ARMS else "tuned",
        teacher,
        frames,
        free_atoms(spec.data),
        how,
        seed=spec.seed,
        valid=valid,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
    return potential, valid or []


def with_forces(frames: Sequence[Atoms], others: Sequence[Atoms]) -> list[Atoms]:
    """Label copies with their own energies and the forces of equal structures."""
    known = {a.positions.tobytes(): labels(a)[1] for a in others}
    pairs = [(labels(a, forces=False)[0], known[a.positions.tobytes()]) for a in frames]
    return [with_labels(a, *pair) for a, pair in zip(frames, pairs, strict=True)]


def watched(config: FitConfig, n: int) -> FitConfig:
    """Validate about every fiftieth step on `n` structures."""
    each = -(-n // config.batch_size)
    return replace(config, validate_every=max(1, 50 // each))


def draw(
    pool: Sequence[Atoms], n: int, watch: int, seed: int
) -> tuple[list[Atoms], list[Atoms] | None]:
    """Draw `n` structures to learn from, and up to `watch` others, or None."""
    left = min(watch, len(pool) - n)
    parts = split(pool, *([n, left] if left else [n]), seed=seed)
    return parts[0], parts[1] if left else None


def free_atoms(name: str) -> dict[int, float] | None:
    """Return the free atoms (eV) of a shipped set; public sets come without them."""
    return None if name in SETS else datasets.atomic_energies(name)


@cache
def classical_frames() -> list[Atoms]:
    """Label 100 MMFF94 structures to replay: five of twenty molecules, in turns."""
    groups: dict[str, list[Atoms]] = {}
    for atoms in datasets.load("teachers-xtb")["pool"]:
        groups.setdefault(atoms.info["smiles"], []).append(atoms)
    chosen = [*groups.items()][:20]
    return [
        label([part[turn]], molecules.mmff94(smiles))[0]
        for turn in range(5)
        for smiles, part in chosen
    ]


# on pool structures of ethanol left out of 400: 24 meV/Å with this rate
ALL_FRAMES = replace(tune.SCRATCH, steps=3000, batch_size=10)
ALONE = replace(tune.TUNED, steps=3000, l2_sp=0.0, energy_weight=1.0, force_weight=0.0)
TUNINGS = {
    f"{name}-dft-tuned": Spec(
        f"{name}-dft", "molecules-mmff94", "tuned", n, 0, ALL_FRAMES
    )
    for name, n in (("ethanol", 400), ("methylamine", 240))
}
spec = Spec("ethanol-ccsdt", "ethanol-dft-tuned", "tuned", 300, 0, ALONE)
TUNINGS["ethanol-ccsdt-tuned"] = spec
LONG = {arm: replace(how, steps=LONGER * how.steps) for arm, how in WATER.items()}
DRAWS = [(arm, n, 0) for n in (1, 8, 80) for arm in LONG]
DRAWS += [("scratch", 8, seed) for seed in (1, 2)]
for arm, n, seed in DRAWS:
    spec = Spec("water-dft", "water-qtip4pf", arm, n, seed, LONG[arm], watch=16)
    TUNINGS[f"water-{arm}-{n}" + f"-{seed}" * bool(seed)] = spec
# Three boxes do not determine the stress: with its labels tuned on three it was worse.
STRESS = replace(LONG["tuned"], stress_weight=1000.0)
for n, seed in ((8, 0), (80, 0), (8, 1), (8, 2)):
    start = f"water-dft-calibrated-{seed}"
    spec = Spec("water-dft", start, "tuned", n, seed, STRESS, watch=16)
    TUNINGS[f"water-tuned-{n}-stress" + f"-{seed}" * bool(seed)] = spec
FILES = {name: [f"{name}.safetensors"] for name in TUNINGS}


def whole(name: str) -> Part:
    """Tell what decides the potential."""
    spec = TUNINGS[name]
    return Part(name, spec.reads, (spec, free_atoms(spec.data)))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Train with a `share` of the steps, and save with a card; killed, it goes on."""
    spec = TUNINGS[name]
    spec = replace(spec, how=replace(spec.how, steps=round(share * spec.how.steps)))
    made_from = sources(spec.reads)
    state = WORK / "state" / f"{name}-{mark(spec, free_atoms(spec.data), made_from)}.pt"
    potential, valid = train_point(spec, checkpoint=state)
    card = {
        "name": name,
        "made_by": f"tpainn_lite {__version__}, reproduce {name}",
        "labels": datasets.card(spec.data)["level"],
        "structures": spec.n,
        "from": made_from,
        "training": asdict(watched(spec.how, spec.n) if valid else spec.how),
        "watched": len(valid),
        "test": asdict(evaluate(potential, datasets.load(spec.data)["test"])),
        **words(f"tuned-{spec.data.partition('-')[0]}"),
    }
    potential.save(folder / name, card)
