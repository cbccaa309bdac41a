"""Structures as graphs: neighbour lists, batches, and PaiNN's messages along pairs.

Tensors are made from NumPy's arrays, so torch's default type and device do not matter.

A graph holds Z (N,), R (N, 3) Å, the pairs idx_i, idx_j (E,) within the cutoff, and for
periodic structures offsets (E, 3) Å: r_ij = R[j] - R[i] + offsets. A batch holds r_ij
(E, 3) Å instead, taken in float64: float32 positions far from the origin lose the bond
lengths. It adds idx_m (N,), the structure of each atom, n_atoms (B,) and volume (B,)
Å³, infinite for open structures.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from . import guards
from .analysis import neighbours
from .data import check, labels, stress_of

Graph = dict[str, torch.Tensor]
OPEN = torch.from_numpy(np.array(np.inf))  # Å³
PaiNN = Any  # SchNetPack's: its layers are more than torch.nn.Module tells


def best_device(now: torch.device) -> torch.device:
    """Choose a GPU, where there is one, for what is on the CPU; the rest stays."""
    found = now.type == "cpu" and torch.cuda.is_available()
    return torch.device("cuda") if found else now


def structure(numbers, positions, cell=None) -> Atoms:
    """Make the structure of an `EnergyForces` call; periodic where there is a cell.

    Raises `FloatingPointError` for NaN, as of a run that has blown up.
    """
    numbers = guards.elements(numbers, "numbers")
    for name, value in dict(positions=positions, cell=cell).items():
        floats = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        if floats and not np.isfinite(value).all():
            raise FloatingPointError(f"{name}: a number is NaN or infinite")
    positions = guards.array(len(numbers), 3)(positions, "positions")
    cell = guards.optional(guards.array(3, 3))(cell, "cell")
    return Atoms(numbers, positions, cell=cell, pbc=cell is not None)


def finite(*result):
    """Return a potential's result; raise `FloatingPointError` for NaN and infinity."""
    if not all(np.isfinite(part).all() for part in result):
        raise FloatingPointError(
            "the potential gives NaN or infinity for these positions; do atoms overlap?"
        )
    return result


def graph(atoms: Atoms, cutoff: float) -> Graph:
    """List all pairs (both directions, every image) within `cutoff` Å, in float64."""
    i, j, S = neighbours("ijS", atoms, guards.positive(cutoff, "cutoff"))
    g = {
        "Z": torch.from_numpy(atoms.numbers.astype(np.int64)),
        "R": torch.from_numpy(atoms.positions.copy()),
        "idx_i": torch.from_numpy(i.astype(np.int32)),
        "idx_j": torch.from_numpy(j.astype(np.int32)),
    }
    if atoms.pbc.any():
        g["offsets"] = torch.from_numpy(S @ atoms.cell.array)
        g["volume"] = torch.from_numpy(np.array(atoms.cell.volume))
    return g


def digest(state: dict[str, torch.Tensor], about: str = "") -> str:
    """Hash tensors, with names and shapes, and what else is told (SHA-256)."""
    whole = hashlib.sha256(about.encode())
    for name, value in sorted(state.items()):
        whole.update(f"{name} {value.dtype} {[*value.shape]}".encode())
        whole.update(value.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def vectors(g: Graph) -> torch.Tensor:
    """Compute r_ij (E, 3) Å of a graph's pairs, from atom i to atom j."""
    R = g["R"]
    return R[g["idx_j"]] - R[g["idx_i"]] + g.get("offsets", 0.0)


def batches(graphs: Iterable[Graph], most: int) -> Iterator[list[Graph]]:
    """Hand out graphs in turn, at most `most` atoms at a time; a larger one alone.

    One core took twice the time, and 700 MB more, for 28 boxes of 96 atoms at once.
    """
    batch: list[Graph] = []
    for g in graphs:
        if batch and sum(len(other["Z"]) for other in [*batch, g]) > most:
            yield batch
            batch = []
        batch.append(g)
    if batch:
        yield batch


def collate(graphs: Sequence[Graph], dtype=torch.float32, to=None) -> Graph:
    """Join graphs to one batch, floats as `dtype`, on the device `to`."""
    sizes = torch.from_numpy(np.array([len(g["Z"]) for g in graphs]))
    pairs = torch.from_numpy(np.array([len(g["idx_i"]) for g in graphs]))
    first = torch.cumsum(sizes, 0) - sizes  # (B,) number of each structure's first atom
    shift = first.repeat_interleave(pairs)  # (E,)
    batch = {
        "Z": torch.cat([g["Z"] for g in graphs]),
        "r_ij": torch.cat([vectors(g) for g in graphs]).to(dtype),
        "idx_i": torch.cat([g["idx_i"] for g in graphs]) + shift,
        "idx_j": torch.cat([g["idx_j"] for g in graphs]) + shift,
        "idx_m": torch.from_numpy(np.arange(len(graphs))).repeat_interleave(sizes),
        "n_atoms": sizes,
        "volume": torch.stack([g.get("volume", OPEN) for g in graphs]).to(dtype),
    }
    return {key: value.to(to) for key, value in batch.items()} if to else batch


def pair_forces(slope: torch.Tensor, batch: Graph) -> torch.Tensor:
    """Sum `slope` (..., E, 3) = dE/dr_ij eV/Å to the forces on atoms (..., N, 3)."""
    forces = slope.new_zeros(*slope.shape[:-2], len(batch["Z"]), 3)
    forces = forces.index_add(-2, batch["idx_i"], slope)
    return forces.index_add(-2, batch["idx_j"], -slope)


def pair_stress(slope: torch.Tensor, batch: Graph) -> torch.Tensor:
    """Sum `slope` (E, 3) = dE/dr_ij eV/Å to stresses (B, 3, 3) eV/Å³, tension positive.

    Strain of the cell, and of all positions with it, stretches every r_ij alike.
    """
    virial, owner = slope[:, :, None] * batch["r_ij"][:, None], batch["idx_m"]
    total = slope.new_zeros(len(batch["volume"]), 3, 3)
    total = total.index_add(0, owner[batch["idx_i"]], virial)
    return total / batch["volume"][:, None, None]


class Graphs(tuple[Atoms, ...]):
    """Checked frames with the graphs that all potentials of this `cutoff` (Å) use.

    The atoms must not be moved any more.
    """

    def __new__(cls, frames: Sequence[Atoms], *_, name: str = "frames", **__):
        """Hold `frames`."""
        return super().__new__(cls, guards.structures()(frames, name))

    def __init__(self, frames: Sequence[Atoms], cutoff: float, graphs=None, **how):
        """Check `frames` by ``data.check(frames, **how)``; build unknown graphs."""
        self.cutoff, self.graphs = cutoff, graphs or graphs_of(frames, cutoff)
        if self.graphs is None:
            check(frames, **how)
            self.graphs = [graph(a, cutoff) for a in frames]


def graphs_of(frames: Sequence[Atoms], cutoff: float) -> list[Graph] | None:
    """Return the graphs that `frames` carry for this cutoff; None where they do not."""
    if isinstance(frames, Graphs) and frames.cutoff == cutoff:
        return frames.graphs
    return None


class Samples(Graphs):
    """Labelled structures ready for training, handed out in batches."""

    def __init__(
        self, frames, cutoff, references, forces=True, name="train", stress=False
    ):
        """Know `references` (frames,) eV; refuse frames without a label."""
        super().__init__(frames, cutoff, name=name, labelled=False)
        truth = [labels(a, f"{name}, frame {k}", forces) for k, a in enumerate(frames)]
        self.energies = torch.from_numpy(np.array([e for e, _ in truth]))
        self.references = torch.from_numpy(np.asarray(references, float))
        self.forces = [torch.from_numpy(f) for _, f in truth] if forces else []
        boxes = enumerate(frames) if stress else ()
        known = (stress_of(a, f"{name}, frame {k}") for k, a in boxes)
        full = map(voigt_6_to_full_3x3_stress, known)
        self.stresses = [*map(torch.from_numpy, full)]

    def digests(self) -> tuple[str, str]:
        """Hash the structures, and the labels that are learnt."""
        graphs = enumerate(self.graphs)
        parts = {f"{k} {name}": x for k, g in graphs for name, x in g.items()}
        truth = enumerate([self.energies, *self.forces, *self.stresses])
        return digest(parts), digest({f"{k}": x for k, x in truth})

    def batch(self, chosen: Sequence[int] | np.ndarray, dtype=torch.float32, to=None):
        """Return the batch of the `chosen`, energies (B,), forces (N, 3) or None.

        With stress also that (B, 3, 3), as fourth.
        """
        batch = collate([self.graphs[i] for i in chosen], dtype, to)
        truth = [self.energies[chosen] - self.references[chosen], None]
        if self.forces:
            truth[1] = torch.cat([self.forces[i] for i in chosen])
        if self.stresses:
            truth.append(torch.stack([self.stresses[i] for i in chosen]))
        return batch, *(x if x is None else x.to(to, dtype) for x in truth)


def radials(painn: PaiNN, d: torch.Tensor) -> torch.Tensor:
    """Compute radial functions (..., B) at distances `d` (...) Å, the last a bias."""
    inside = painn.cutoff_fn(d)[..., None]
    return torch.cat([painn.radial_basis(d), torch.ones_like(inside)], -1) * inside


def filter_weights(painn: PaiNN) -> torch.Tensor:
    """Return the matrix from `radials` to the filters of all layers, (B, 3F layers)."""
    net = painn.filter_net
    return torch.cat([net.weight.T, net.bias[None]])


def message_passing(
    painn: PaiNN, Z: torch.Tensor, filters: Iterable, receive: Callable
) -> torch.Tensor:
    """Compute scalar features (N, F) of atoms Z (N,) after the last layer.

    ``receive(s, v, x, W)`` adds the messages of one layer to scalars s (N, F) and
    vectors v (N, 3, F), None before the first; x (N, 3F) is what atoms send, W that
    layer's of the `filters`. Then the scalars and vectors of each atom mix.
    arXiv 2102.03150, equations 7 to 10, with SchNetPack's layers.
    """
    s, v = painn.embedding(Z), None
    layers = zip(painn.interactions, painn.mixing, filters, strict=True)
    for interaction, mixing, W in layers:
        s, v = receive(s, v, interaction.interatomic_context_net(s), W)
        V, U = mixing.mu_channel_mix(v).chunk(2, dim=-1)  # (N, 3, F) each
        length = (V.square().sum(1) + mixing.epsilon).sqrt()
        x = mixing.intraatomic_context_net(torch.cat([s, length], -1))
        ds, dv, dsv = x.chunk(3, dim=-1)  # (N, F) each
        s, v = s + ds + dsv * (V * U).sum(1), v + dv[:, None] * U
    return s


def pairwise(painn: PaiNN, Z, idx_i, idx_j, r_ij) -> torch.Tensor:
    """Pass one message a pair: Z (N,); idx_i, idx_j (E,); r_ij (E, 3) Å -> (N, F).

    SchNetPack's own pass fails where torch's default type is not that of the weights.
    """
    d = r_ij.norm(dim=-1)  # (E,)
    arrow = (r_ij / d[:, None])[..., None]  # (E, 3, 1)
    filters = radials(painn, d) @ filter_weights(painn)

    def receive(s, v, x, W):
        to_scalar, to_arrow, to_vector = (W * x[idx_j]).chunk(3, dim=-1)  # (E, F)
        push = to_arrow[:, None] * arrow  # (E, 3, F)
        if v is None:
            v = s.new_zeros(len(s), *push.shape[1:])
        else:
            push = push + to_vector[:, None] * v[idx_j]
        return s.index_add(0, idx_i, to_scalar), v.index_add(0, idx_i, push)

    return message_passing(painn, Z, filters.split(3 * painn.n_atom_basis, -1), receive)


def padded(painn: PaiNN, Z, idx_i, idx_j, r_ij) -> torch.Tensor:
    """Pass the messages of `pairwise` (for sorted idx_i), sums over neighbours first.

    A filter is linear in the radial functions b(d), so that sum_j W(d_ij) x_j is
    sum_k W_k sum_j b_k(d_ij) x_j: a batched matrix product. 2-3 times as fast as
    `pairwise` in a liquid (many neighbours, few radial functions), slower in molecules.
    """
    n, F = len(Z), painn.n_atom_basis
    neighbours, r = _padded_pairs(idx_i, idx_j, r_ij, n, float(painn.cutoff))
    d = r.norm(dim=-1)  # (N, K)
    radial = radials(painn, d).transpose(1, 2)  # (N, B, K), zero at the cutoff
    arrows = (r / d[..., None]).transpose(1, 2)  # (N, 3, K)
    vector = (arrows[:, :, None] * radial[:, None]).flatten(1, 2)  # (N, 3B, K)

    def receive(s, v, x, W):
        to_scalar, to_arrow, to_vector = x.chunk(3, dim=-1)  # (N, F) each
        W_scalar, W_arrow, W_vector = W.chunk(3, dim=-1)  # (B, F) each
        if v is not None:
            to_scalar = torch.cat([to_scalar, (to_vector[:, None] * v).flatten(1)], -1)
        summed = torch.bmm(radial, to_scalar[neighbours])  # (N, B, F) or (N, B, 4F)
        s = s + (summed[..., :F] * W_scalar).sum(1)
        push = torch.bmm(vector, to_arrow[neighbours]).view(n, 3, len(W), F)
        dv = (push * W_arrow).sum(2)
        if v is None:
            return s, dv
        others = summed[..., F:].unflatten(-1, (3, F))  # (N, B, 3, F)
        return s, v + (dv + (others * W_vector[:, None]).sum(1))

    return message_passing(painn, Z, filter_weights(painn).split(3 * F, -1), receive)


def _padded_pairs(idx_i, idx_j, r_ij, n: int, far: float):
    """Arrange pairs as neighbours (n, K) of each atom and vectors to them (n, K, 3).

    `idx_i` (E,) is sorted. Empty places hold atom 0, farther away than `far`.
    """
    count = torch.bincount(idx_i, minlength=n)  # (n,)
    first = (count.cumsum(0) - count)[idx_i]
    place = torch.arange(len(idx_i), device=idx_i.device) - first
    size = (n, int(count.max()) if len(idx_i) else 0)
    neighbours = idx_j.new_zeros(size).index_put((idx_i, place), idx_j)
    return neighbours, r_ij.new_full((*size, 3), far).index_put((idx_i, place), r_ij)
