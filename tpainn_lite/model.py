"""PaiNN, from SchNetPack, as a `Potential` that knows its units and its file format.

PaiNN: Schütt, Unke, Gastegger, ICML 2021, arXiv 2102.03150. Energies in eV, positions
in Å. The network sees float32 interaction energies; the (large) sum of reference
energies per element is added in float64, outside.
"""

import json
import logging
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.utils.data.dataloader as _loader
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from torch.overrides import TorchFunctionMode

from . import graphs, guards
from .data import EnergyForces, cell_of, check
from .graphs import Graph, best_device, collate, digest, graph
from .guards import checked, element_energies, structures

if not hasattr(_loader, "T_co"):  # SchNetPack 2.0 imports a name that torch renamed
    _loader.T_co = _loader._T_co  # type: ignore[attr-defined]
_log = logging.root.level, logging.root.handlers[:]  # SchNetPack sets them on import
from schnetpack.atomistic import Atomwise  # noqa: E402
from schnetpack.nn import BesselRBF, CosineCutoff, GaussianRBF  # noqa: E402
from schnetpack.representation import PaiNN  # noqa: E402

logging.root.level, logging.root.handlers[:] = _log

RADIAL = {"gaussian": GaussianRBF, "bessel": BesselRBF}
DRAWS = ("uniform_", "normal_", "kaiming_uniform_")  # what layers draw weights by
DENSE = 2.5  # neighbours per radial function from which `padded` is faster
FORMAT = 2  # raise when files of the older kind can no longer be read
KEY = "tpainn_lite"  # of the description, in the header of a checkpoint


class RandomFeatures(torch.nn.Module):
    """Random features φ(h) = √(2/D) cos((h - mean) Ω + phase): (N, F) -> (N, D).

    Inner products approximate a Gaussian kernel (Rahimi & Recht, NeurIPS 2007).
    """

    mean: torch.Tensor
    omega: torch.Tensor
    phase: torch.Tensor

    def __init__(self, mean: torch.Tensor, omega: torch.Tensor, phase: torch.Tensor):
        """Keep mean (F,), Ω (F, D) and phase (D,)."""
        super().__init__()
        for name, value in dict(mean=mean, omega=omega, phase=phase).items():
            self.register_buffer(name, value)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Compute the features of each atom."""
        angle = (h - self.mean) @ self.omega + self.phase
        return (2 / len(self.phase)) ** 0.5 * torch.cos(angle)


class Head(torch.nn.Module):
    """A read-out plus w · φ(h), with w (D,) eV zero at first: (N, F) -> (N, 1) eV."""

    w: torch.Tensor

    def __init__(self, outnet: torch.nn.Module, phi: RandomFeatures):
        """Add `phi` to `outnet`."""
        super().__init__()
        self.outnet, self.phi = outnet, phi
        self.register_buffer("w", torch.zeros_like(phi.phase))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Compute the energy of each atom."""
        return self.outnet(h) + (self.phi(h) @ self.w)[:, None]


def _file(path: str | Path) -> Path:
    """Return PATH.safetensors, also of a `path` that ends in .pt or .safetensors."""
    base = str(guards.file(path, "path")).removesuffix(".pt")
    return Path(base.removesuffix(".safetensors") + ".safetensors")


def _told(about: dict, sort_keys: bool = True) -> str:
    """Write a description as JSON, always the same text for the same content."""
    style: dict = dict(sort_keys=sort_keys, allow_nan=False, separators=(",", ":"))
    return json.dumps(about, default=lambda value: value.tolist(), **style)


def _write(file: Path, state: dict[str, torch.Tensor], about: dict) -> None:
    """Write tensors and description to one file: whole or not at all."""
    try:
        about = json.loads(_told(about, sort_keys=False))  # NumPy's become plain
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(
            "card: needs what JSON can hold (texts, finite numbers, lists and dicts), "
            f"got something else ({error})"
        ) from None
    state = {key: value.cpu().contiguous() for key, value in state.items()}
    # one key, as safetensors writes several in any order
    header = {KEY: _told(about | {"sha256": digest(state, _told(about))})}
    guards.write(file, safetensors.torch.save(state, header))


def _read(file: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Read tensors and description; refuse a file that is not whole."""
    if not file.is_file():
        old = file.with_suffix(".pt")  # a pickle, which is not opened
        why = f"{old.name} is of an older version; train it anew"
        raise ValueError(why if old.exists() else "there is no such file")
    with safetensors.safe_open(file, "pt") as content:
        state = {k: content.get_tensor(k) for k in content.keys()}  # noqa: SIM118
        about = json.loads(content.metadata()[KEY])
    if about["format"] != FORMAT:
        raise ValueError(f"it has format {about['format']}, not {FORMAT}")
    if about.pop("sha256") != digest(state, _told(about)):
        raise ValueError("truncated or altered: its SHA-256 is another one")
    return state, about


class _Seeded(TorchFunctionMode):
    """Draw weights from an own generator: other threads draw from the global one."""

    def __init__(self, seed: int):
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in DRAWS:
            kwargs["generator"] = self.generator
        return function(*args, **kwargs)


class EnergyForcesCalculator(Calculator):
    """An ASE calculator of an `EnergyForces`; refuses what `data.check` refuses."""

    implemented_properties = ["energy", "forces"]

    @checked(energy_forces=guards.function)
    def __init__(self, energy_forces: EnergyForces):
        """Wrap `energy_forces`."""
        super().__init__()
        self.energy_forces = energy_forces

    def calculate(self, atoms=None, properties=("energy",), changes=all_changes):
        """Compute energy (eV) and forces (eV/Å) for ASE."""
        super().calculate(atoms, properties, changes)
        a = self.atoms
        check([a], "atoms", labelled=False)
        energy, forces = self.energy_forces(a.numbers, a.positions, cell_of(a))
        self.results = {"energy": energy, "forces": forces}


@dataclass(frozen=True)
class PotentialConfig:
    """Size of a PaiNN potential; the defaults have 157,313 parameters."""

    features: int = 64  # F, scalars and vectors an atom
    layers: int = 3  # message passing steps
    cutoff: float = 5.0  # Å
    n_rbf: int = 20  # radial basis functions
    radial: str = "bessel"  # the paper's; or "gaussian", which resolves bonds less well

    def __post_init__(self):
        """Refuse sizes that cannot be."""
        cutoff, radial = guards.number(above=0, most=100), guards.one_of(*RADIAL)
        guards.settle(self, layers=guards.whole(1, 100), cutoff=cutoff, radial=radial)
        least = 2 if self.radial == "gaussian" else 1  # as wide as two are apart
        size, n_rbf = guards.whole(1, 4096), guards.whole(least, 4096)
        guards.settle(self, features=size, n_rbf=n_rbf)


CONFIG = guards.instance(PotentialConfig)
FLAGS = dict(forces=guards.flag, stress=guards.flag)


class Potential(torch.nn.Module):
    """A PaiNN network plus one reference energy (eV) per element it knows."""

    @checked(config=CONFIG, reference_energies=element_energies, seed=guards.seed)
    def __init__(
        self,
        config: PotentialConfig,
        reference_energies: dict[int, float],
        *,
        seed: int,
    ):
        """Draw weights by `seed`, from no global generator."""
        super().__init__()
        self.config, self.reference_energies = config, reference_energies
        default = torch.get_default_dtype()  # of all threads: touched only if needed
        with torch.device("cpu"), _Seeded(seed):
            if default != torch.float32:
                torch.set_default_dtype(torch.float32)
            try:
                radial = RADIAL[config.radial](config.n_rbf, config.cutoff)
                parts = config.layers, radial, CosineCutoff(config.cutoff)
                self.representation = PaiNN(config.features, *parts)
                self.readout = Atomwise(n_in=config.features, output_key="energy")
            finally:
                if default != torch.float32:
                    torch.set_default_dtype(default)

    @property
    def dtype(self) -> torch.dtype:
        """Return the floating-point type of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Return where the weights are."""
        return next(self.parameters()).device

    def forward(self, batch: Graph, forces=True, stress=False) -> tuple:
        """Compute interaction energies (B,) eV and, if `forces`, forces (N, 3) eV/Å.

        With `stress` also that, (B, 3, 3) eV/Å³, as third; see `graphs.pair_stress`.
        """
        with torch.set_grad_enabled(forces or stress or torch.is_grad_enabled()):
            r_ij = batch["r_ij"].detach().requires_grad_(forces or stress)  # (E, 3) Å
            energy = self.outputs(batch, r_ij)[:, 0]  # (B,)
            if not (forces or stress):
                return energy, None
            total, keep = energy.sum(), self.training
            (slope,) = torch.autograd.grad(total, r_ij, create_graph=keep)
        more = [graphs.pair_stress(slope, batch)] if stress else []
        energy = energy if keep else energy.detach()
        return energy, graphs.pair_forces(slope, batch), *more

    def outputs(self, batch: Graph, r_ij: torch.Tensor) -> torch.Tensor:
        """Sum the read-out over each structure, pairs at `r_ij` (E, 3): (B, outputs).

        What the network says of each atom alone is subtracted: a free atom has zero.
        """
        elements, kind = torch.unique(batch["Z"], return_inverse=True)  # (K,), (N,)
        Z = torch.cat([batch["Z"], elements])  # the last K have no neighbours
        dense = len(r_ij) > DENSE * self.config.n_rbf * len(Z)
        way = graphs.padded if dense else graphs.pairwise
        s = way(self.representation, Z, batch["idx_i"], batch["idx_j"], r_ij)
        each = self.readout.outnet(s)  # (N + K, outputs), eV
        bound = each[: len(kind)] - each[len(kind) :][kind]  # (N, outputs)
        sums = bound.new_zeros(len(batch["n_atoms"]), bound.shape[1])
        return sums.index_add(0, batch["idx_m"], bound)

    @checked(frames=structures(), batch_atoms=guards.count, **FLAGS)
    def predict(
        self, frames: Sequence[Atoms], batch_atoms=250, forces=True, stress=False
    ) -> tuple:
        """Predict energies (frames,) eV and forces, (N, 3) eV/Å each, or None.

        With `stress` also that of boxes, (frames, 6) eV/Å³, as `data.stress_of` has it.
        Runs on a GPU where there is one; the weights go back to where they were. Raises
        `FloatingPointError` where the network gives NaN or infinity.
        """
        cutoff, home = self.config.cutoff, self.device
        known = graphs.graphs_of(frames, cutoff)
        if known is None:
            check(frames, labelled=False)
        if stress and (odd := [a for a in frames if not a.pbc.any()]):
            raise guards.refusal("frames", "boxes, which alone have a stress", odd[0])
        references = self.reference_sum(frames)
        parts = graphs.batches(known or (graph(a, cutoff) for a in frames), batch_atoms)
        self.to(best_device(home))
        try:
            arrays = [self._arrays(part, forces, stress) for part in parts]
        finally:
            self.to(home)
        energies, *more = zip(*arrays, strict=True)
        found = [np.concatenate(energies) + references, None]
        if forces:
            found[1] = [f for part in more[0] for f in part]
        if stress:
            found.append(full_3x3_to_voigt_6_stress(np.concatenate(more[1])))
        graphs.finite(found[0], *(found[1] or ()), *found[2:])
        return tuple(found)

    @torch.no_grad()
    def _arrays(self, part: Sequence[Graph], forces=True, stress=False) -> tuple:
        """Compute interaction energies, a list of forces, any stresses, in float64."""
        was_training = self.training
        self.eval()
        found = self(collate(part, self.dtype, self.device), forces, stress)
        self.train(was_training)
        ends = np.cumsum([len(g["Z"]) for g in part])[:-1]
        arrays = [x if x is None else x.cpu().double().numpy() for x in found]
        if forces:
            arrays[1] = np.split(arrays[1], ends)
        return tuple(arrays)

    def energy_forces(
        self, numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """Compute energy and forces as an `EnergyForces`, for dynamics, on its device.

        Looks at no distances. Raises `FloatingPointError` for NaN in or out.
        """
        atoms = graphs.structure(numbers, positions, cell)
        (reference,) = self.reference_sum([atoms])
        (energy,), (forces,) = self._arrays([graph(atoms, self.config.cutoff)])
        return graphs.finite(float(energy + reference), forces)

    @checked(frames=structures())
    def reference_sum(self, frames: Sequence[Atoms]) -> np.ndarray:
        """Sum the reference energies, (frames,) eV; refuse elements it has none of."""
        known = self.reference_energies
        if unknown := {int(z) for a in frames for z in a.numbers} - set(known):
            raise ValueError(
                f"frames: atomic numbers {sorted(unknown)} are unknown to this "
                f"potential, which knows {sorted(known)}; choose another checkpoint"
            )
        return np.array([sum(known[int(z)] for z in a.numbers) for a in frames])

    def calculator(self) -> Calculator:
        """Make an ASE calculator: ``atoms.calc = potential.calculator()``."""
        return EnergyForcesCalculator(self.energy_forces)

    def frozen(self) -> EnergyForces:
        """Freeze a copy of the weights for one run: the same numbers, faster."""
        from .inference.frozen import FrozenPotential

        return FrozenPotential(self)

    @checked(card=guards.optional(guards.instance(dict)))
    def save(
        self, path: str | Path, card: dict | None = None, difference: dict | None = None
    ) -> Path:
        """Write PATH.safetensors: weights, config, references, `card`; return its path.

        Whole or not at all; one SHA-256 covers everything. `difference` is that of a
        `tune.DeltaPotential`. Refuses a `card` that JSON cannot hold.
        """
        about = {"format": FORMAT, "config": asdict(self.config), "card": card or {}}
        about["reference_energies_eV"] = self.reference_energies
        about |= {"difference": difference} if difference else {}
        file = _file(path)
        _write(file, self.state_dict(), about)
        return file

    @staticmethod
    def load(path: str | Path) -> "Potential":
        """Read what `save` wrote.

        Refuses what is no whole checkpoint, or the network of a `tune.DeltaPotential`.
        """
        potential, about = Potential._load(path)
        if "difference" in about:
            raise ValueError(
                f"path: {path} holds a network that learned differences from a "
                "classical part; use tune.DeltaPotential.load(path, classical)"
            )
        return potential

    @staticmethod
    def _load(path: str | Path) -> tuple["Potential", dict]:
        file = _file(path)
        try:
            state, about = _read(file)
            config = PotentialConfig(**about["config"])
            potential = Potential(config, about["reference_energies_eV"], seed=0)
            heads = [key for key in state if key.endswith("outnet.w")]  # see `Head`
            for key in sorted(heads, key=len, reverse=True):  # the innermost first
                kept = (state[f"{key[:-1]}phi.{k}"] for k in ("mean", "omega", "phase"))
                phi = RandomFeatures(*kept).float()
                potential.readout.outnet = Head(potential.readout.outnet, phi)
            potential.load_state_dict(state)
        except Exception as error:  # whatever a damaged file raises
            why = textwrap.shorten(f"{type(error).__name__}: {error}", 200)
            raise ValueError(
                f"path: {file} is no whole checkpoint ({why}); copy or train it again"
            ) from error
        return potential.eval(), about
