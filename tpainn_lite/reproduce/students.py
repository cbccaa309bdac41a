"""How the shipped checkpoints are trained; called by ``reproduce``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import ase.io
from ase import Atoms
from tqdm import tqdm

from .. import __version__, datasets
from ..model import Potential, PotentialConfig
from ..train import FitConfig, evaluate, fit
from ..tune import FIT, references
from .tasks import belongs


@dataclass(frozen=True)
class Pretraining:
    """What is learnt, by how large a network, and how."""

    labels: str
    limits: str
    fit: FitConfig
    size: PotentialConfig = field(default_factory=PotentialConfig)
    groups: str = "smiles"  # key of `Atoms.info`: what validation shares nothing of
    portions: int | None = None  # learnt from, the first ones; none: all
    validation: int = 1  # portions, the last ones
    start: str = ""  # the checkpoint it goes on from; none: fresh weights


# After 2,000 steps on 20,000 structures 20 Bessel functions stood at 328 meV/Å, ten or
# 20 Gaussians at 410; with twice the rate 341.
MOLECULES = Pretraining(
    labels="MMFF94 (RDKit)",
    limits="C, H, N, O; neutral closed-shell molecules; no bond breaking",
    fit=FIT,
)


def _water(labels: str) -> Pretraining:
    """A liquid's potential: fast enough for a nanosecond a day of 64 molecules.

    With the weight on energies, sums over 192 atoms, ten times higher and the rate of
    `FIT` it missed its teacher's forces by 31 meV/Å, not 17, and energies by no less.
    """
    return Pretraining(
        labels=labels,
        limits="liquid water, 260-600 K, 0.80-1.20 g/cm³; no surface, no dissociation",
        fit=replace(FIT, lr=3e-3, batch_size=1, energy_weight=1e-3, force_weight=0.99),
        size=PotentialConfig(64, 2, cutoff=5.0, n_rbf=10),
        groups="run",
        validation=5,
    )


WATER = _water("q-TIP4P/F (OpenMM)")
PRETRAININGS = {
    "molecules-mmff94": MOLECULES,
    "water-qtip4pf": WATER,
    "water-spcfw": _water("SPC/Fw (OpenMM)"),
}
STUDENTS = {  # of q-TIP4P/F, each unlike `WATER` in one thing
    "longer": replace(
        WATER, start="water-qtip4pf", fit=replace(WATER.fit, steps=30_000)
    ),
    "3-layers": replace(WATER, size=replace(WATER.size, layers=3)),
    "32-features": replace(WATER, size=replace(WATER.size, features=32)),
    "4-angstrom": replace(WATER, size=replace(WATER.size, cutoff=4.0)),
    "10-runs": replace(WATER, portions=10),
}
PRETRAININGS |= {f"water-qtip4pf-{name}": how for name, how in STUDENTS.items()}


def train(results: Sequence[Path], path: Path, work: Path, share: float) -> None:
    """Train the checkpoint that `path` names, with a `share` of its steps."""
    how = PRETRAININGS[path.name]
    less = replace(how.fit, steps=round(share * how.fit.steps))
    pretrain(results, path, work, replace(how, fit=less))


def pretrain(
    portions: Sequence[Path], path: Path, work: Path, how: Pretraining
) -> None:
    """Train PaiNN on classical structures and save it as `path` with its card.

    `portions` are extxyz files; the last validate. A killed training goes on from the
    state in `work`, whose name tells other portions or another configuration apart.
    """
    start = how.start and datasets.digest(how.start)
    state = f"state-{belongs(how, start, [p.name for p in portions])}.pt"
    parts = [ase.io.read(p, ":", format="extxyz") for p in tqdm(portions, desc="read")]
    kept = min(how.validation, len(parts) - 1)
    train = [a for part in parts[:-kept][: how.portions] for a in part]
    valid = [a for part in parts[-kept:] for a in part]
    potential, history = fit(
        begun(how, train),
        train,
        how.fit,
        seed=0,
        valid=valid,
        checkpoint=work / state,
        checkpoint_every=1,
        progress=True,
    )
    card = {
        "name": path.name,
        "made_by": f"tpainn_lite {__version__}, reproduce checkpoint {path.name}",
        "labels": how.labels,
        "structures": len(train),
        {"smiles": "molecules"}.get(how.groups, f"{how.groups}s"): len(
            {a.info[how.groups] for a in train}
        ),
        "training": asdict(how.fit),
        "validation": asdict(evaluate(potential, valid)),
        "epochs": len(history.rows),
        "limits": how.limits,
    }
    if how.start:
        card["from"] = datasets.sources([how.start])
    potential.save(path, card)


def begun(how: Pretraining, train: Sequence[Atoms]) -> Potential:
    """What a pretraining begins with."""
    if how.start:
        return datasets.checkpoint(how.start)
    return Potential(how.size, references(train), seed=0)
