"""Structures as tensors: neighbour list once, then batches by concatenation.

Tensors are made from NumPy's arrays, so torch's default type and device do not matter.

A graph holds Z (N,), R (N, 3) Å, the pairs idx_i, idx_j (E,) within the cutoff, and for
periodic structures offsets (E, 3) Å = S @ cell, so that r_ij = R[j] - R[i] + offsets.
A batch holds these vectors r_ij (E, 3) Å instead of R and offsets: they are taken in
float64, because float32 positions far from the origin lose the bond lengths. It adds
idx_m (N,), the structure of each atom, and n_atoms (B,).
"""

import copy
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from ase import Atoms
from matscipy.neighbours import neighbour_list

from .data import check, labels

torch.set_num_threads(1)  # two threads on shared cores were 6-8 times slower

Graph = dict[str, torch.Tensor]


def best_device(now: torch.device) -> torch.device:
    """Choose the GPU, where there is one, for what is on the CPU `now`.

    What is elsewhere already stays. ``CUDA_VISIBLE_DEVICES=""`` hides every GPU.
    """
    found = now.type == "cpu" and torch.cuda.is_available()
    return torch.device("cuda") if found else now


def graph(atoms: Atoms, cutoff: float) -> Graph:
    """Tensors of one structure; positions in float64, indices in int32 to save memory.

    matscipy lists every pair i, j (both directions) and every periodic image within
    `cutoff` Å.
    """
    if not cutoff > 0:
        raise ValueError(f"cutoff: needs a positive length in Å, got {cutoff}")
    # An open structure still needs a box for the cell list; any box around it will do.
    cell = np.asarray(atoms.cell) if atoms.pbc.any() else np.eye(3)
    i, j, S = neighbour_list(
        "ijS",
        cutoff=float(cutoff),
        positions=atoms.positions,
        cell=cell,
        pbc=atoms.pbc,
        numbers=atoms.numbers.astype(np.int32),
    )
    g = {
        "Z": torch.from_numpy(atoms.numbers.astype(np.int64)),  # (N,)
        "R": torch.from_numpy(atoms.positions.copy()),  # (N, 3) Å
        "idx_i": torch.from_numpy(i.astype(np.int32)),  # (E,)
        "idx_j": torch.from_numpy(j.astype(np.int32)),  # (E,)
    }
    if atoms.pbc.any():
        g["offsets"] = torch.from_numpy(S @ cell)  # (E, 3) Å
    return g


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
    """One batch out of several graphs, floats as `dtype`, on the device `to`."""
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
    }
    return {key: value.to(to) for key, value in batch.items()} if to else batch


def vectors(g: Graph) -> torch.Tensor:
    """Compute r_ij (E, 3) Å of a graph's pairs, from atom i to atom j, in float64."""
    R = g["R"]
    return R[g["idx_j"]] - R[g["idx_i"]] + g.get("offsets", 0.0)


def pair_forces(pull: torch.Tensor, batch: Graph) -> torch.Tensor:
    """Sum `pull` (..., E, 3) = dE/dr_ij eV/Å to the forces on atoms (..., N, 3)."""
    forces = pull.new_zeros(*pull.shape[:-2], len(batch["Z"]), 3)
    forces = forces.index_add(-2, batch["idx_i"], pull)
    return forces.index_add(-2, batch["idx_j"], -pull)


class Graphs(list[Atoms]):
    """Checked frames, each with its graph: what takes frames need not do it again.

    `Potential.predict`, `tune.with_references` and `train.fit` do so for a potential
    of the same `cutoff` (Å). The frames must not be moved any more.
    """

    def __init__(self, frames: Sequence[Atoms], cutoff: float, **how):
        """Check `frames` as ``data.check(frames, **how)`` does, and build each graph.

        Those that are `Graphs` already are taken as they are.
        """
        super().__init__(frames)
        self.cutoff = cutoff
        if (known := graphs_of(frames, cutoff)) is not None:
            self.graphs = known
        else:
            check(frames, **how)
            self.graphs = [graph(a, cutoff) for a in frames]
        self.made_of = [id(a) for a in self]

    def relabelled(self, frames: Sequence[Atoms]) -> "Graphs":
        """Take the same structures with other labels."""
        other = copy.copy(self)
        other[:] = frames
        other.made_of = [id(a) for a in frames]
        return other


def graphs_of(frames: Sequence[Atoms], cutoff: float) -> list[Graph] | None:
    """Return the graphs that `frames` carry; None where they are not these frames'."""
    if not isinstance(frames, Graphs) or frames.cutoff != cutoff:
        return None
    return frames.graphs if frames.made_of == [id(a) for a in frames] else None


class Samples(Graphs):
    """Labelled structures in memory, ready for training, handed out in batches."""

    def __init__(
        self,
        frames: Sequence[Atoms],
        cutoff: float,
        references: np.ndarray,
        forces: bool = True,
        name: str = "train",
    ):
        """Build every graph once; subtract `references` (frames,) eV in float64.

        Raises `ValueError`, naming the frame, for structures nothing can learn from:
        without energy or, unless not `forces`, without forces.
        """
        super().__init__(frames, cutoff, name=name, labelled=False)
        truth = [labels(a, f"{name}, frame {k}", forces) for k, a in enumerate(frames)]
        energies = np.array([e for e, _ in truth]) - references
        self.energies = torch.from_numpy(energies)  # (frames,) eV, float64
        # (N, 3) eV/Å each
        self.forces = [torch.from_numpy(f) for _, f in truth] if forces else None

    def batch(self, chosen: Sequence[int], dtype=torch.float32, to=None):
        """The batch of the `chosen` structures, its energies (B,) and forces (N, 3).

        The forces are ``None`` where none were asked for.
        """
        batch = collate([self.graphs[i] for i in chosen], dtype, to)
        energies = self.energies[chosen].to(to, dtype)
        if self.forces is None:
            return batch, energies, None
        return (
            batch,
            energies,
            torch.cat([self.forces[i] for i in chosen]).to(to, dtype),
        )
