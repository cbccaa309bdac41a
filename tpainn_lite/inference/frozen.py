"""A potential with frozen weights, for dynamics: four times as fast in a liquid.

Filters come from a table, each pair is visited once for both of its atoms, and
neighbours are listed with a skin, again when an atom has moved by half of it (Verlet).
In single precision, and nearer to the potential in double than its own single is.
"""

import copy
from functools import partial

import numpy as np
import torch
from ase import Atoms

from ..graphs import filter_weights, finite, graph, message_passing, radials, structure
from ..guards import checked, instance
from ..model import Potential
from . import kernels

GRID = 1024  # steps of the table
SKIN = 0.6  # Å: how much farther than the cutoff neighbours are listed


class FrozenPotential:
    """An `EnergyForces` of a copy of a potential; each run needs one of its own."""

    @checked(potential=instance(Potential))
    def __init__(self, potential: Potential):
        """Take the weights and tabulate the filters."""
        exact = copy.deepcopy(potential).to("cpu", torch.float64).requires_grad_(False)
        self._tables = tables(exact.representation)
        self._potential = exact.to(torch.float32).eval()
        self._cutoff = np.float32(potential.config.cutoff)
        self._listed, self._constants = None, {}

    def __call__(
        self, numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """Compute energy (eV) and forces (N, 3) eV/Å; refuse NaN and infinity."""
        i, j, offsets = self._pairs(numbers, positions, cell)
        R = torch.from_numpy(np.array(positions, np.float64))
        r = (R[j] - R[i] + offsets).float().requires_grad_()
        Z = torch.from_numpy(np.array(numbers, np.int64))
        energy = self._atoms(Z, i.numpy(), j.numpy(), r).double().sum()
        slope = torch.autograd.grad(energy, r)[0].double()
        forces = torch.zeros_like(R).index_add_(0, i, slope).index_add_(0, j, -slope)
        total = float(energy.detach()) + self._constant(numbers)
        return finite(total, forces.numpy())

    def _pairs(self, numbers, positions, cell):
        """List pairs that may be within the cutoff, once each, and offsets (P, 3) Å."""
        if self._listed is not None:
            known, where, box, pairs = self._listed
            still = np.array_equal(known, numbers) and np.array_equal(box, cell)
            still = still and getattr(positions, "dtype", None) == where.dtype
            still = still and positions.shape == where.shape
            # false for NaN, which `structure` refuses
            if still and np.square(positions - where).sum(1).max() < (SKIN / 2) ** 2:
                return pairs
        atoms = structure(numbers, positions, cell)
        g = graph(atoms, float(self._cutoff) + SKIN)
        i, j = g["idx_i"].long(), g["idx_j"].long()
        offsets = g.get("offsets", g["R"].new_zeros(len(i), 3))
        # an atom and its image are a pair with both ends listed under one number
        first = offsets.gather(1, (offsets != 0).int().argmax(1, keepdim=True))[:, 0]
        once = (i < j) | ((i == j) & (first > 0))
        pairs = i[once], j[once], offsets[once]
        self._listed = atoms.numbers, atoms.positions, copy.copy(cell), pairs
        return pairs

    def _atoms(self, Z, i, j, r) -> torch.Tensor:
        """Read each atom out, (N, 1) eV."""

        def receive(s, v, x, table):
            x = x.unflatten(-1, (3, -1))
            h = x[:, :2] if v is None else torch.cat([x[:, :2], x[:, 2:] * v], dim=1)
            ds, dv = _Messages.apply(h, r, i, j, table, self._cutoff)
            return s + ds, dv if v is None else v + dv

        painn, readout = self._potential.representation, self._potential.readout
        return readout.outnet(message_passing(painn, Z, self._tables, receive))

    def _constant(self, numbers: np.ndarray) -> float:
        """Sum reference energies (eV), less what the network says of atoms alone."""
        found = np.unique(numbers, return_counts=True)
        kinds, counts = found[0].tolist(), found[1].tolist()
        for z in {*kinds} - self._constants.keys():
            (reference,) = self._potential.reference_sum([Atoms([z])])
            none, r = np.zeros(0, np.int64), torch.from_numpy(np.zeros((0, 3), "f4"))
            alone = self._atoms(torch.from_numpy(np.array([z])), none, none, r)
            self._constants[z] = float(reference) - float(alone)
        pairs = zip(kinds, counts, strict=True)
        return sum(count * self._constants[z] for z, count in pairs)


def tables(painn: torch.nn.Module) -> list[np.ndarray]:
    """Tabulate filters and their slopes for each layer, (GRID + 1, 2, 3F), float32."""
    cutoff = float(painn.cutoff)
    d = torch.from_numpy(np.linspace(0, cutoff, GRID + 1))
    d[0] = 1e-6  # Bessel functions divide by it
    at = partial(radials, painn)
    values, slopes = torch.func.jvp(at, (d,), (torch.ones_like(d),))
    W = filter_weights(painn)  # (B, 3F layers)
    both = torch.stack([values @ W, slopes @ W * cutoff / GRID], dim=1).float()
    return [p.contiguous().numpy() for p in both.split(3 * painn.n_atom_basis, -1)]


class _Messages(torch.autograd.Function):
    """`kernels.messages` and its gradients, for PyTorch."""

    @staticmethod
    def forward(ctx, h, r, *rest):
        """Compute the messages; pairs, table and cutoff come as NumPy's."""
        i, j, table, cutoff = rest
        h = h.detach().contiguous().numpy()
        ctx.inputs = i, j, r.detach().numpy(), table, h, cutoff
        out = torch.from_numpy(kernels.messages(*ctx.inputs))
        ds, dv = out[:, 0], out[:, 1:]
        return ds.contiguous(), dv.contiguous()  # or what follows is slow

    @staticmethod
    def backward(ctx, to_ds, to_dv):
        """Compute the gradients by h and r."""
        g = torch.cat([to_ds[:, None], to_dv], dim=1).numpy()
        found = kernels.gradients(*ctx.inputs, g)
        return *map(torch.from_numpy, found), None, None, None, None
