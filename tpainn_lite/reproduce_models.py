"""How the shipped checkpoints are trained; called by ``reproduce``."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import ase.io
from ase import Atoms
from tqdm import tqdm

from . import __version__
from .data import fit_reference_energies
from .errors import evaluate
from .model import Potential, PotentialConfig
from .train import FitConfig, fit

PRETRAIN = FitConfig(
    steps=15_000,
    lr=1e-3,
    batch_size=10,
    energy_weight=0.05,
    force_weight=0.95,
    ema=0.999,
    pull=0.0,
    warmup=0.05,
)


def pretrain(
    portions: Sequence[Path], path: Path, work: Path, config: FitConfig = PRETRAIN
) -> None:
    """Train PaiNN on classical structures and save it as `path` with its card.

    `portions` are extxyz files; the last one (other molecules) validates. Goes on from
    the state in `work` where there is one.
    """
    parts = [ase.io.read(p, ":", format="extxyz") for p in tqdm(portions, desc="read")]
    train, valid = [a for part in parts[:-1] for a in part], parts[-1]
    potential = Potential(PotentialConfig(), _references(train), seed=0)
    potential, history = fit(
        potential,
        train,
        config,
        seed=0,
        valid=valid,
        checkpoint=work / "state.pt",
        checkpoint_every=1,
        progress=True,
    )
    card = {
        "name": path.name,
        "made_by": f"tpainn_lite {__version__}, reproduce checkpoint {path.name}",
        "labels": "MMFF94 (RDKit)",
        "structures": len(train),
        "molecules": len({a.info["smiles"] for a in train}),
        "training": asdict(config),
        "validation": asdict(evaluate(potential, valid)),
        "epochs": len(history.rows),
        "limits": "C, H, N, O; neutral closed-shell molecules; no bond breaking",
    }
    potential.save(path, card)


def _references(frames: Sequence[Atoms]) -> dict[int, float]:
    """One MMFF94 energy per element (eV); prior zero: MMFF94 knows no free atoms."""
    energies = [a.get_potential_energy() for a in frames]
    elements = sorted({int(z) for a in frames for z in a.numbers})
    return fit_reference_energies(frames, energies, dict.fromkeys(elements, 0.0))
