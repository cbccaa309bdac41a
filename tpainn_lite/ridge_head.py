"""An instant head: the representation stays, the read-out is one linear solve.

The read-out of an atom gains w · φ(h), with φ random features of the atom's scalars h.
Energies and forces are linear in w, so a ridge regression on what the potential gets
wrong finds w at once; its prior, w = 0, is the pretrained potential. Leaving out one
structure at a time chooses the ridge. FRANKEN's idea: Novelli et al., arXiv 2505.05652.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms

from . import guards
from .data import labels
from .graphs import Graphs, best_device, collate, pair_forces
from .guards import checked, count
from .model import Head, Potential, RandomFeatures


@dataclass(frozen=True)
class HeadConfig:
    """Settings of an instant head."""

    features: int = 128  # D, random features of an atom
    length: float = 3.0  # of the kernel, in standard deviations of the scalars
    energy_weight: float = 0.01  # on (eV per structure)², as in `FitConfig`
    force_weight: float = 0.99  # on the mean of (eV/Å)²
    ridges: tuple[float, ...] = tuple(10.0**k for k in range(-8, 3))  # to choose from

    def __post_init__(self):
        """Refuse values that cannot be."""
        size = guards.number(least=1e-30, most=1e30)
        kinds = dict.fromkeys(("length", "energy_weight", "force_weight"), size)
        guards.settle(self, features=count, ridges=guards.several(size), **kinds)


@dataclass(frozen=True)
class Rows:
    """A structure in the regression, X w ≈ y, energy first, times root weights."""

    X: np.ndarray  # (1 + 3N, D)
    y: np.ndarray  # (1 + 3N,)

    def __post_init__(self):
        """Refuse what is no such pair."""
        guards.settle(self, X=guards.array(None, None))
        guards.settle(self, y=guards.array(len(self.X)))


def _alike(value, name: str) -> tuple[Rows, ...]:
    """Take rows of one number of features."""
    rows = guards.several(guards.instance(Rows))(value, name)
    for row in rows:
        guards.array(None, rows[0].X.shape[1])(row.X, f"{name}, X")
    return rows


POTENTIAL, FRAMES = guards.instance(Potential), guards.structures()
CONFIG = guards.instance(HeadConfig)
PHI, HOW = guards.instance(RandomFeatures), HeadConfig()


@checked(potential=POTENTIAL, frames=FRAMES)
def atom_scalars(potential: Potential, frames: Sequence[Atoms]) -> list[torch.Tensor]:
    """Return the scalars (N, F) of each frame's atoms, on the CPU."""
    kept, bare = [], copy.deepcopy(potential)
    bare.readout.outnet.register_forward_pre_hook(lambda _, h: kept.append(h[0]))
    bare.predict(frames, batch_atoms=1, forces=False)  # one call a frame
    # after its atoms come elements alone
    return [h[: len(a)].cpu() for h, a in zip(kept, frames, strict=True)]


@checked(potential=POTENTIAL, frames=FRAMES, config=CONFIG, seed=guards.seed)
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


@checked(potential=POTENTIAL, frames=FRAMES, phi=PHI, config=CONFIG)
def design(
    potential: Potential,
    frames: Sequence[Atoms],
    phi: RandomFeatures,
    config: HeadConfig = HOW,
) -> list[Rows]:
    """Compute the rows of each labelled frame: slow, but once; `solve` is quick.

    The reference energies of `potential` should fit already (`tune.with_references`).
    """
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
        slopes = [torch.autograd.grad(s, r_ij, retain_graph=True)[0] for s in sums]
        forces_of = pair_forces(torch.stack(slopes), batch)  # (D, N, 3)
        X = torch.cat([sums.detach()[None], forces_of.flatten(1).T])
        y = np.r_[energy - energies[k], np.ravel(force - forces[k])]
        each = config.force_weight / force.size
        root = np.sqrt(np.r_[config.energy_weight, np.full(force.size, each)])
        rows.append(Rows(X.cpu().double().numpy() * root[:, None], y * root))
    return rows


@checked(rows=_alike, config=CONFIG)
def solve(rows: Sequence[Rows], config: HeadConfig = HOW):
    """Solve for w (D,) eV; return w and {ridge: squared error left out}.

    Minimises the mean over structures of |X w - y|² plus ridge |w|². One structure, of
    which nothing can be left out, takes the largest ridge.
    """
    n, left_out = len(rows), {}
    A = sum(row.X.T @ row.X for row in rows)  # (D, D)
    b = sum(row.X.T @ row.y for row in rows)  # (D,)
    eye = np.eye(len(b))
    for ridge in config.ridges if n > 1 else ():
        error = 0.0
        for row in rows:
            others = A - row.X.T @ row.X + (n - 1) * ridge * eye
            w = np.linalg.solve(others, b - row.X.T @ row.y)
            error += float(((row.X @ w - row.y) ** 2).sum())
        left_out[ridge] = error / n
    best = min(left_out, key=left_out.get, default=max(config.ridges))
    return np.linalg.solve(A + n * best * eye, b), left_out


@checked(rows=_alike, w=guards.array(None), config=CONFIG)
def force_errors(rows: Sequence[Rows], w: np.ndarray, config: HeadConfig) -> np.ndarray:
    """Compute predicted less labelled forces (eV/Å) with weights w (D,), in one row."""
    guards.array(rows[0].X.shape[1])(w, "w")
    gaps, weight = [(row.X @ w - row.y)[1:] for row in rows], config.force_weight
    return np.concatenate([gap / np.sqrt(weight / gap.size) for gap in gaps])


@checked(potential=POTENTIAL, phi=PHI)
def with_head(potential: Potential, phi: RandomFeatures, w: np.ndarray) -> Potential:
    """Copy `potential` and add w · φ(h) to its read-out, w (D,)."""
    w = guards.array(len(phi.phase))(w, "w")
    if np.abs(w).max() > np.finfo(np.float32).max:
        raise guards.refusal("w", "numbers that float32 can hold", w)
    tuned = copy.deepcopy(potential)
    tuned.readout.outnet = Head(tuned.readout.outnet, copy.deepcopy(phi))
    tuned.to(potential.device).readout.outnet.w.copy_(torch.from_numpy(w))
    return tuned.eval()


@checked(potential=POTENTIAL, frames=FRAMES, config=CONFIG, seed=guards.seed)
def instant(
    potential: Potential, frames: Sequence[Atoms], config: HeadConfig, *, seed: int
) -> Potential:
    """Copy `potential`, with the head that fits labelled `frames`."""
    frames = Graphs(frames, potential.config.cutoff, labelled=False)
    phi = draw_features(potential, frames, config, seed=seed)
    w, _ = solve(design(potential, frames, phi, config), config)
    return with_head(potential, phi, w)
