"""PaiNN, from SchNetPack, as a `Potential` that knows its units and its file format.

PaiNN: Schütt, Unke, Gastegger, ICML 2021, arXiv 2102.03150. Energies in eV, positions
in Å. The network sees float32 interaction energies; the (large) sum of reference
energies per element is added in float64, outside.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.utils.data.dataloader as _loader
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

if not hasattr(_loader, "T_co"):  # SchNetPack 2.0 imports a name that torch renamed
    _loader.T_co = _loader._T_co
os.environ.setdefault("LOGLEVEL", "WARNING")  # on import it sets the root logger's
from schnetpack.atomistic import Atomwise  # noqa: E402
from schnetpack.nn import BesselRBF, CosineCutoff, GaussianRBF  # noqa: E402
from schnetpack.representation import PaiNN  # noqa: E402

from .data import EnergyForces, cell_of, check  # noqa: E402
from .graphs import Graph, batches, best_device, collate, graph, graphs_of, pair_forces  # noqa: E402
from .inference.painn import padded, pairwise  # noqa: E402


class RandomFeatures(torch.nn.Module):
    """φ(h) = √(2/D) cos((h - mean) Ω + phase): (N, F) -> (N, D).

    Random Fourier features of a Gaussian kernel, Rahimi & Recht, NeurIPS 2007.
    """

    def __init__(self, scalars: int, features: int):
        """For F `scalars` and D `features`, not drawn yet."""
        super().__init__()
        sizes = {"mean": [scalars], "omega": [scalars, features], "phase": [features]}
        how = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are
        for name, size in sizes.items():
            self.register_buffer(name, torch.zeros(size, **how))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """The features of each atom."""
        angle = (h - self.mean) @ self.omega + self.phase
        return (2 / len(self.phase)) ** 0.5 * torch.cos(angle)


class Head(torch.nn.Module):
    """What a read-out says of each atom plus w · φ(h): (N, F) -> (N, 1), eV."""

    def __init__(self, outnet: torch.nn.Module, phi: RandomFeatures):
        """With w (D,) eV at zero."""
        super().__init__()
        self.outnet, self.phi = outnet, phi
        self.register_buffer("w", torch.zeros_like(phi.phase))

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """The energy of each atom."""
        return self.outnet(h) + (self.phi(h) @ self.w)[:, None]


FORMAT = 1  # raise when files of the older kind can no longer be read


def names(path: str | Path) -> tuple[Path, Path]:
    """PATH.pt and PATH.json, whether or not `path` ends in one of the suffixes."""
    base = Path(str(path).removesuffix(".pt").removesuffix(".json"))
    return base.with_name(base.name + ".pt"), base.with_name(base.name + ".json")


def write(path: str | Path, state: dict[str, torch.Tensor], about: dict) -> None:
    """Write both files under other names, then rename: whole or not at all."""
    buffer = io.BytesIO()
    torch.save({key: value.cpu() for key, value in state.items()}, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    text = json.dumps({"format": FORMAT, "sha256": digest, **about}, indent=1) + "\n"
    contents = dict(zip(names(path), (buffer.getvalue(), text.encode()), strict=True))
    for file, content in contents.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.with_name(file.name + ".part").write_bytes(content)
    for file in contents:
        file.with_name(file.name + ".part").replace(file)


def read(path: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Weights and description.

    Raises `ValueError` for files that are missing, truncated, altered, or of another
    format.
    """
    weights, description = names(path)
    for file in (weights, description):
        if not file.is_file():
            raise ValueError(f"{file}: no such file; a checkpoint is a .pt and a .json")
    try:
        about = json.loads(description.read_text())
        found, expected = about["format"], about["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{description}: not a whole checkpoint description ({error})"
        ) from None
    if found != FORMAT:
        raise ValueError(
            f"{description}: has format {found}, this version reads format {FORMAT}; "
            "rebuild the checkpoint, or install the version that wrote it"
        )
    if hashlib.sha256(weights.read_bytes()).hexdigest() != expected:
        raise ValueError(
            f"{weights}: truncated or altered (its SHA-256 is not the one in "
            f"{description.name}); copy or train it again"
        )
    return torch.load(weights, weights_only=True, map_location="cpu"), about


def write_run(path: Path, state: dict) -> None:
    """Write the state of a training run, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    torch.save(state, part)
    part.replace(path)


def read_run(path: Path, identity: dict, device: torch.device) -> dict:
    """The state that `write_run` wrote.

    `identity` holds "settings", named in words where they differ, and digests of
    "inputs". Raises `ValueError` for a broken file, or one of another run.
    """
    try:
        state = torch.load(path, weights_only=True, map_location=device)
        found = state.get("identity")
    except Exception as error:  # whatever torch's unpickler raises
        raise ValueError(
            f"checkpoint: {path} is no whole training state; delete it, start anew"
        ) from error
    if found != identity:
        raise ValueError(
            f"checkpoint: {path} was written with {_differences(found, identity)}; "
            "use what it was written with, or another file, or delete it"
        )
    return state


def _differences(found: dict | None, identity: dict) -> str:
    """How the run of a state is unlike this one, in words."""
    if not found:
        return "another version of this library"
    words = []
    for key, new in identity["settings"].items():
        if (old := found["settings"].get(key)) != new:
            words.append(f"{key} {old} (now {new})")
    known = found["inputs"]
    words += [f"other {k}" for k, new in identity["inputs"].items() if known[k] != new]
    return " and ".join(words)


def digest_of(weights: dict[str, torch.Tensor]) -> str:
    """Hash a state_dict: names, types, shapes and values."""
    whole = hashlib.sha256()
    for name, value in weights.items():
        whole.update(f"{name} {value.dtype} {[*value.shape]}".encode())
        whole.update(value.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()


class EnergyForcesCalculator(Calculator):
    """Refuses what `data.check` refuses."""

    implemented_properties = ("energy", "forces")

    def __init__(self, energy_forces: EnergyForces):
        """Wrap `energy_forces`."""
        super().__init__()
        self.energy_forces = energy_forces

    def calculate(self, atoms=None, properties=("energy",), changes=all_changes):
        """Called by ASE."""
        super().calculate(atoms, properties, changes)
        a = self.atoms
        check([a], "atoms", labelled=False)
        energy, forces = self.energy_forces(a.numbers, a.positions, cell_of(a))
        self.results = {"energy": energy, "forces": forces}


RADIAL = {"gaussian": GaussianRBF, "bessel": BesselRBF}
DENSE = 2.5  # neighbours per radial function from which `padded` is the faster pass


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
        if self.radial not in RADIAL:
            raise ValueError(f"radial: needs one of {[*RADIAL]}, got {self.radial!r}")
        for name, value in asdict(self).items():
            if name != "radial" and not value > 0:
                raise ValueError(f"{name}: needs a positive number, got {value}")


@contextmanager
def _fresh(seed: int) -> Iterator[None]:
    """Draw float32 weights with `seed` on the CPU, whatever torch's defaults are."""
    default = torch.get_default_dtype()
    with torch.device("cpu"), torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


class Potential(torch.nn.Module):
    """A PaiNN network plus one reference energy (eV) per element it knows."""

    def __init__(
        self,
        config: PotentialConfig,
        reference_energies: dict[int, float],
        *,
        seed: int,
    ):
        """Fresh weights, drawn with `seed`; the global generator is left alone."""
        super().__init__()
        self.config = config
        self.reference_energies = {
            int(z): float(e) for z, e in reference_energies.items()
        }
        with _fresh(seed):
            self.representation = PaiNN(
                n_atom_basis=config.features,
                n_interactions=config.layers,
                radial_basis=RADIAL[config.radial](config.n_rbf, config.cutoff),
                cutoff_fn=CosineCutoff(config.cutoff),
            )
            self.readout = Atomwise(n_in=config.features, output_key="energy")

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(
        self, batch: Graph, forces: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Interaction energies (B,) eV and forces (N, 3) eV/Å of a batch.

        An atom alone has none: what the network says of it is subtracted.
        Without `forces` no gradient graph of the positions is built.
        """
        with torch.set_grad_enabled(forces or torch.is_grad_enabled()):
            r_ij = batch["r_ij"].detach().requires_grad_(forces)  # (E, 3) Å
            energy = self.outputs(batch, r_ij)[:, 0]  # (B,)
            if not forces:
                return energy, None
            (pull,) = torch.autograd.grad(
                energy.sum(), r_ij, create_graph=self.training
            )
        force = pair_forces(pull, batch)
        return (energy if self.training else energy.detach()), force

    def outputs(self, batch: Graph, r_ij: torch.Tensor) -> torch.Tensor:
        """Sum the read-out over each structure, pairs at `r_ij` (E, 3): (B, outputs).

        An atom alone counts zero.
        """
        elements, kind = torch.unique(batch["Z"], return_inverse=True)  # (K,), (N,)
        Z = torch.cat([batch["Z"], elements])  # the last K have no neighbours
        s = self._scalars(Z, batch["idx_i"], batch["idx_j"], r_ij)
        each = self.readout.outnet(s)  # (N + K, outputs), eV
        bound = each[: len(kind)] - each[len(kind) :][kind]  # (N, outputs)
        sums = bound.new_zeros(len(batch["n_atoms"]), bound.shape[1])
        return sums.index_add(0, batch["idx_m"], bound)

    def _scalars(self, Z, idx_i, idx_j, r_ij) -> torch.Tensor:
        """Compute scalar features (N, F) the faster way for this many neighbours."""
        dense = len(idx_i) > DENSE * self.config.n_rbf * len(Z)
        way = padded if dense else pairwise
        return way(self.representation, Z, idx_i, idx_j, r_ij)

    def predict(
        self, frames: Sequence[Atoms], batch_atoms: int = 250, forces: bool = True
    ) -> tuple[np.ndarray, list[np.ndarray] | None]:
        """Predict energies (frames,) eV and forces, a list of (N, 3) eV/Å.

        Without `forces` these are None and are not computed. Checks the frames, unless
        they are `graphs.Graphs`. Runs on a GPU where there is one; the weights go back
        to where they were.
        """
        graphs = graphs_of(frames, self.config.cutoff)
        if graphs is None:
            check(frames, labelled=False)
        home = self.device
        self.to(best_device(home))
        try:
            return self._predict(frames, batch_atoms, forces, graphs)
        finally:
            self.to(home)

    @torch.no_grad()
    def _predict(
        self,
        frames: Sequence[Atoms],
        batch_atoms: int = 250,
        forces: bool = True,
        graphs: Iterable[Graph] | None = None,
    ) -> tuple[np.ndarray, list[np.ndarray] | None]:
        references = self.reference_sum(frames)  # (frames,) eV
        was_training, energies, found = self.training, [], []
        self.eval()
        graphs = graphs or (graph(a, self.config.cutoff) for a in frames)
        for part in batches(graphs, batch_atoms):
            energy, force = self(collate(part, self.dtype, self.device), forces)
            energies.append(energy.cpu().double().numpy())
            if forces:
                ends = np.cumsum([len(g["Z"]) for g in part])[:-1]
                found += np.split(force.cpu().double().numpy(), ends)
        self.train(was_training)
        return np.concatenate(energies) + references, found if forces else None

    def energy_forces(
        self, numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray | None = None
    ) -> tuple[float, np.ndarray]:
        """This potential as an `EnergyForces`; unchecked: dynamics calls often.

        Runs where the weights are: on a CPU unless they were sent elsewhere with `to`.
        """
        atoms = Atoms(numbers, positions, cell=cell, pbc=cell is not None)
        energies, forces = self._predict([atoms])
        return float(energies[0]), forces[0]

    def reference_sum(self, frames: Sequence[Atoms]) -> np.ndarray:
        """Sum of the reference energies of each frame, (frames,) eV, float64.

        Raises `ValueError` for an element the potential does not know.
        """
        known = self.reference_energies
        unknown = {int(z) for a in frames for z in a.numbers} - set(known)
        if unknown:
            raise ValueError(
                f"frames: atomic numbers {sorted(unknown)} are unknown to this "
                f"potential, which knows {sorted(known)}; choose "
                "another checkpoint"
            )
        return np.array([sum(known[int(z)] for z in a.numbers) for a in frames])

    def calculator(self) -> Calculator:
        """An ASE calculator: ``atoms.calc = potential.calculator()``."""
        return EnergyForcesCalculator(self.energy_forces)

    def frozen(self) -> EnergyForces:
        """Freeze a copy of the weights for dynamics: the same numbers, faster.

        The first call compiles for some seconds. Each run needs a copy of its own.
        """
        from .inference.compiled import FrozenPotential

        return FrozenPotential(self)

    def save(self, path: str | Path, card: dict | None = None) -> None:
        """Write PATH.pt (weights) and PATH.json (config, references, `card`)."""
        self._save(path, {"card": card or {}})

    def _save(self, path: str | Path, more: dict) -> None:
        known = self.reference_energies
        about = {"config": asdict(self.config), "reference_energies_eV": known}
        write(path, self.state_dict(), about | more)

    @staticmethod
    def load(path: str | Path) -> "Potential":
        """Read what `save` wrote.

        Raises `ValueError` for missing, truncated or altered files, another format,
        and for the network of a `tune.DeltaPotential`, which is no whole potential.
        """
        potential, about = Potential._load(path)
        if "difference" in about:
            raise ValueError(
                f"{path}: holds a network that learned differences from a classical "
                "part; load both with tune.DeltaPotential.load(path, classical)"
            )
        return potential

    @staticmethod
    def _load(path: str | Path) -> tuple["Potential", dict]:
        state, about = read(path)
        try:
            # files older than the choice do not name it
            config = PotentialConfig(**({"radial": "gaussian"} | about["config"]))
            potential = Potential(config, about["reference_energies_eV"], seed=0)
            heads = [key for key in state if key.endswith("outnet.w")]  # see `head`
            for key in sorted(heads, key=len, reverse=True):  # the innermost first
                phi = RandomFeatures(config.features, len(state[key]))
                potential.readout.outnet = Head(potential.readout.outnet, phi)
            potential.load_state_dict(state)
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{path}: the .json does not describe the weights in the .pt ({error});"
                " copy or train the checkpoint again"
            ) from None
        return potential.eval(), about
