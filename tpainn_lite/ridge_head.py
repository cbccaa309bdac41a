"""An instant head: the representation stays, the read-out is one linear solve.

To what the pretrained read-out says of an atom comes w · φ(h), with φ random features
of the atom's scalars h. Energies and forces are linear in w, so a ridge regression on
what the pretrained potential gets wrong finds it at once, and its prior, w = 0, is the
pretrained potential. The idea is FRANKEN's: Novelli et al., arXiv 2505.05652. How
strong the ridge is, is chosen by leaving out one structure at a time.
"""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from ase import Atoms

from .data import labels
from .graphs import Graphs, best_device, collate, pair_forces
from .model import Head, Potential, RandomFeatures


@dataclass(frozen=True)
class HeadConfig:
    """How an instant head is found."""

    features: int = 128  # D, random features of an atom
    length: float = 3.0  # of the kernel, in standard deviations of the scalars
    energy_weight: float = 0.01  # on (eV per structure)², as in `FitConfig`
    force_weight: float = 0.99  # on the mean of (eV/Å)²
    ridges: tuple[float, ...] = tuple(10.0**k for k in range(-8, 3))  # to choose from

    def __post_init__(self):
        """Refuse values that cannot be."""
        for name, value in asdict(self).items():
            if not (np.size(value) and np.min(value) > 0):
                raise ValueError(f"{name}: needs positive numbers, got {value}")


@dataclass(frozen=True)
class Rows:
    """A structure in the regression, X w ≈ y, energy first, times root weights."""

    X: np.ndarray  # (1 + 3N, D)
    y: np.ndarray  # (1 + 3N,)


def atom_scalars(potential: Potential, frames: Sequence[Atoms]) -> list[torch.Tensor]:
    """The scalars (N, F) of each frame's atoms, of which the read-out makes energies.

    On the CPU, wherever the potential is. Their mean over a structure's atoms is a
    fixed-length description of it.
    """
    kept = []
    bare = copy.deepcopy(potential)
    bare.readout.outnet.register_forward_pre_hook(lambda _, h: kept.append(h[0]))
    bare.predict(frames, batch_atoms=1, forces=False)  # one call a frame
    # after its atoms come elements alone
    return [h[: len(a)].cpu() for h, a in zip(kept, frames, strict=True)]


def draw_features(
    potential: Potential, frames: Sequence[Atoms], config: HeadConfig, *, seed: int
) -> RandomFeatures:
    """Draw random features with the spread that the scalars of `frames` have."""
    h = torch.cat(atom_scalars(potential, frames))  # (atoms, F)
    rng, F = np.random.default_rng(seed), h.shape[1]
    omega = rng.normal(size=(F, config.features)) / (config.length * F**0.5)
    phase = rng.uniform(0, 2 * np.pi, config.features)
    spread = h.std(dim=0, correction=0)
    spread[spread == 0] = 1
    omega, phase = torch.from_numpy(omega).to(h), torch.from_numpy(phase).to(h)
    return RandomFeatures(h.mean(dim=0), omega / spread[:, None], phase)


def design(
    potential: Potential,
    frames: Sequence[Atoms],
    phi: RandomFeatures,
    config: HeadConfig | None = None,
) -> list[Rows]:
    """The rows of each labelled frame: the slow part, once; then any subset is solved.

    The reference energies of `potential` should fit already (`tune.with_references`).
    Raises `ValueError`, naming the frame, for a missing label.
    """
    config = config or HeadConfig()
    truth = [labels(a, f"frames, frame {k}") for k, a in enumerate(frames)]
    frames = Graphs(frames, potential.config.cutoff, labelled=False)
    energies, forces = potential.predict(frames)
    bare, rows = copy.deepcopy(potential).eval(), []
    bare.readout.outnet = copy.deepcopy(phi)
    bare.to(best_device(potential.device))
    for k, (g, (energy, force)) in enumerate(zip(frames.graphs, truth, strict=True)):
        batch = collate([g], bare.dtype, bare.device)
        r_ij = batch["r_ij"].requires_grad_()
        sums = bare.outputs(batch, r_ij)[0]  # (D,)
        slopes = [
            pair_forces(torch.autograd.grad(s, r_ij, retain_graph=True)[0], batch)
            for s in sums
        ]  # (D, N, 3)
        X = torch.cat([sums.detach()[None], torch.stack(slopes).flatten(1).T])
        y = np.r_[energy - energies[k], np.ravel(force - forces[k])]
        each = config.force_weight / force.size
        root = np.sqrt(np.r_[config.energy_weight, np.full(force.size, each)])
        rows.append(Rows(X.cpu().double().numpy() * root[:, None], y * root))
    return rows


def solve(rows: Sequence[Rows], config: HeadConfig | None = None):
    """Weights w (D,) eV, and the squared error of what is left out, by ridge.

    Minimises the mean over structures of |X w - y|² plus ridge |w|². Of one structure
    nothing can be left out: then it takes the largest ridge.
    """
    if len(rows) == 0:
        raise ValueError("rows: needs those of at least one structure, got none")
    ridges, n = (config or HeadConfig()).ridges, len(rows)
    A = sum(row.X.T @ row.X for row in rows)  # (D, D)
    b = sum(row.X.T @ row.y for row in rows)  # (D,)
    eye = np.eye(len(b))
    if n == 1:
        return np.linalg.solve(A + max(ridges) * eye, b), {}
    left_out = {}
    for ridge in ridges:
        error = 0.0
        for row in rows:
            others = A - row.X.T @ row.X + (n - 1) * ridge * eye
            w = np.linalg.solve(others, b - row.X.T @ row.y)
            error += float(((row.X @ w - row.y) ** 2).sum())
        left_out[ridge] = error / n
    best = min(left_out, key=left_out.get)
    return np.linalg.solve(A + n * best * eye, b), left_out


def force_errors(rows: Sequence[Rows], w: np.ndarray, config: HeadConfig) -> np.ndarray:
    """Predicted less labelled force (eV/Å) with weights w, all components in a row."""
    return np.concatenate(
        [
            (row.X[1:] @ w - row.y[1:])
            / np.sqrt(config.force_weight / (len(row.y) - 1))
            for row in rows
        ]
    )


def with_head(potential: Potential, phi: RandomFeatures, w: np.ndarray) -> Potential:
    """A copy of `potential` whose read-out also says w · φ(h)."""
    tuned = copy.deepcopy(potential)
    tuned.readout.outnet = Head(tuned.readout.outnet, copy.deepcopy(phi))
    tuned.to(potential.device).readout.outnet.w.copy_(torch.from_numpy(w))
    return tuned.eval()


def instant(
    potential: Potential, frames: Sequence[Atoms], config: HeadConfig, *, seed: int
) -> Potential:
    """All of the above at once: a copy of `potential` with the head that fits."""
    frames = Graphs(frames, potential.config.cutoff, labelled=False)
    phi = draw_features(potential, frames, config, seed=seed)
    w, _ = solve(design(potential, frames, phi, config), config)
    return with_head(potential, phi, w)
