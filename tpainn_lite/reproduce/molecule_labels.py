"""Sample molecules with MMFF94 and label them: DFT, MP2, CCSD(T), GFN2-xTB."""

from collections.abc import Sequence
from functools import cache, partial
from importlib.metadata import version
from importlib.resources import files
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.optimize import BFGS

from .. import datasets, molecules, units
from ..data import EnergyForces, from_calculator, label, with_labels
from ..model import EnergyForcesCalculator
from .cards import grouped, write_set
from .parts import SMILES, Part

TEMPERATURES = (300.0, 600.0, 1000.0)  # K
TEST_FRACTION = 0.3
SEED = 2026
SCAN = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0)  # Å
ETHANOL, METHYLAMINE = "CCO", "CN"
ALONE = {"ethanol": ETHANOL, "methylamine": METHYLAMINE}
ALONE_TEMPERATURES = (300.0, 600.0)  # K, of a set of one molecule
STRUCTURES = {ETHANOL: 500, METHYLAMINE: 300}
ENERGIES = {ETHANOL: 300, METHYLAMINE: 200}  # with coupled clusters, of the pool
FORCES, FORCED = 40, {ETHANOL: 0, METHYLAMINE: 100}  # of the test; of the pool
MP2 = 100  # pool structures with its forces
STEP, FMAX = 0.005, 1e-3  # Å, of a Hessian; eV/Å, at the minimum
PORTIONS = 13  # of 500 structures of 25 molecules for GFN2-xTB; the last validates
Task = tuple[str, float, int, str]  # SMILES, temperature in K, seed, split


def dft_molecules() -> dict[str, str]:
    """Read SMILES -> name of the molecules with quantum labels."""
    text = (files("tpainn_lite") / "shipped" / "molecules.smi").read_text("utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


@cache
def test_skeletons() -> frozenset[str]:
    """Draw the heavy-atom graphs that belong to the test split, for ever."""
    skeletons = sorted({molecules.skeleton(s) for s in dft_molecules()})
    rng = np.random.default_rng(SEED)
    n_test = round(TEST_FRACTION * len(skeletons))
    return frozenset(skeletons[i] for i in rng.permutation(len(skeletons))[:n_test])


def molecules_tasks() -> list[Task]:
    """List the structures of `molecules-dft`.

    Three passes over the molecules in one shuffled order, so that any beginning of the
    list is a fair sample of molecules and temperatures.
    """
    smiles, held_out = sorted(dft_molecules()), test_skeletons()
    splits = ["test" if molecules.skeleton(s) in held_out else "pool" for s in smiles]
    order = np.random.default_rng(SEED).permutation(len(smiles)).tolist()
    return [
        (smiles[i], TEMPERATURES[(rank + k) % 3], SEED + 1000 * k + i, splits[i])
        for k in range(3)
        for rank, i in enumerate(order)
    ]


def alone_tasks(smiles: str) -> list[Task]:
    """List the structures of a set of one molecule, each from a run of its own.

    Every fifth one is kept for testing.
    """
    count = STRUCTURES[smiles]
    u = np.random.default_rng(SEED).uniform(size=count)
    low, high = ALONE_TEMPERATURES
    kelvin = np.round(low + u * (high - low), 1).tolist()
    splits = ["test" if k % 5 == 4 else "pool" for k in range(count)]
    return [(smiles, kelvin[k], SEED + k, splits[k]) for k in range(count)]


def pool_tasks(smiles: str) -> list[Task]:
    """List the first pool structures, whose energies CCSD(T) tells."""
    pool = [t for t in alone_tasks(smiles) if t[3] == "pool"]
    return pool[: ENERGIES[smiles]]


def mp2_tasks(name: str) -> list[tuple[str, int]]:
    """List the first pool structures of a set, whose forces MP2 tells, too."""
    return [(name, k) for k in range(MP2)]


def ccsdt_tasks(smiles: str) -> list[Task]:
    """List the first pool structures, and test structures, which come in between."""
    pool = pool_tasks(smiles)
    test = [t for t in alone_tasks(smiles) if t[3] == "test"][:FORCES]
    rank = {t: k for k, t in enumerate(pool)}
    rank |= {t: (k + 1) * len(pool) / FORCES - 0.5 for k, t in enumerate(test)}
    return sorted(pool + test, key=rank.get)


def hessian_tasks() -> list[tuple[int, int, int]]:
    """List (atom, axis, sign): the minimum of methylamine, then steps of each atom."""
    atoms = range(len(molecules.conformers(METHYLAMINE, seed=0)[0]))
    return [(0, 0, 0), *product(atoms, range(3), (1, -1))]


def portions() -> list[tuple[int, list[str]]]:
    """List (seed, 25 SMILES) of each portion of the classical structures."""
    smiles = Path(SMILES).read_text("utf-8").split()
    order = np.random.default_rng(SEED).permutation(len(smiles))
    starts = range(0, len(smiles), 25)
    return [(SEED + k, [smiles[i] for i in order[k : k + 25]]) for k in starts]


def sample_molecule(smiles: str, kelvin: float, seed: int, split: str) -> Atoms:
    """Take one structure from MMFF94 dynamics, with its origin in ``info``."""
    frame = molecules.sample(smiles, 1, temperature=kelvin, seed=seed)[0]
    frame.arrays.pop("momenta", None)
    frame.info = dict(smiles=smiles, temperature=kelvin, seed=seed, split=split)
    return frame


def stretched(distance: float) -> Atoms:
    """Make methanol with its O-H bond at `distance` (Å), all else as in MMFF94."""
    frame = molecules.conformers("CO", seed=0)[0]
    frame.set_distance(1, 5, distance, fix=0)  # oxygen is atom 1, its hydrogen atom 5
    frame.info = {"smiles": "CO", "distance": distance, "split": "scan"}
    return frame


def displaced(atom: int, axis: int, sign: int) -> Atoms:
    """Make the minimum of methylamine, or move one of its atoms along an axis."""
    atoms = minimum().copy()
    atoms.positions[atom, axis] += sign * STEP
    atoms.info = dict(
        smiles=METHYLAMINE, atom=atom, axis=axis, sign=sign, split="hessian"
    )
    return atoms


def of_pool(name: str, k: int) -> Atoms:
    """Take a structure of a shipped pool, without its labels."""
    atoms = datasets.load(name)["pool"][k].copy()
    atoms.info["split"] = "pool"
    return atoms


def sample_classical(seed: int, smiles: Sequence[str]) -> list[Atoms]:
    """Take 20 MMFF94 structures of each molecule, each run at its own temperature."""
    rng = np.random.default_rng(seed)
    frames = []
    for one in smiles:
        kelvin = rng.uniform(TEMPERATURES[0], TEMPERATURES[-1])
        how = dict(temperature=kelvin, seed=seed, spacing=50.0)
        try:
            frames += molecules.sample(one, 20, **how)
        except ValueError as error:  # a strained cage that cannot be embedded
            print(f"left out: {error}")
    for frame in frames:
        del frame.arrays["momenta"]
        frame.info = {"smiles": frame.info["smiles"]}
    return frames


def label_xtb(seed: int, smiles: Sequence[str], split: str) -> list[Atoms]:
    """Sample with MMFF94, label with GFN2-xTB."""
    frames = sample_classical(seed, smiles)
    for atoms in frames:
        atoms.positions = atoms.positions.round(8).round(4)  # as they will be written
        atoms.info["split"] = split
    return label(frames, gfn2_xtb())


def gfn2_xtb(unpaired: int = 0) -> EnergyForces:
    """GFN2-xTB, doi 10.1021/acs.jctc.8b01176, with tblite (extra `quantum`)."""
    from tblite.ase import TBLite

    kelvin = 300 * 3.166808578545117e-6 * units.HARTREE / units.KB  # its own constant
    options = {"method": "GFN2-xTB", "cache_api": False, "verbosity": 0}
    options |= {"electronic_temperature": kelvin, "multiplicity": unpaired + 1}

    def energy_forces(numbers, positions, cell=None):  # anew: no guess from before
        return from_calculator(TBLite(**options))(numbers, positions, cell)

    return energy_forces


@cache
def minimum() -> Atoms:
    """Relax methylamine with CCSD(T)."""
    from . import quantum

    atoms = molecules.conformers(METHYLAMINE, seed=0)[0]
    atoms.calc = EnergyForcesCalculator(quantum.pyscf_ccsdt())
    BFGS(atoms, logfile=None).run(fmax=FMAX, steps=100)
    atoms.positions, atoms.calc = atoms.positions.round(8), None  # as written
    return atoms


SETS = {  # tasks, the structure of one, its level, tasks a part
    "molecules-dft": (molecules_tasks, sample_molecule, "DFT", 9),
    "methanol-scan": (lambda: [(d,) for d in SCAN], stretched, "DFT", 13),
    "methylamine-hessian": (hessian_tasks, displaced, "CCSD(T)", 43),
    "teachers-xtb": (lambda: list(range(PORTIONS)), None, "GFN2-xTB", 1),
}
for name, one in ALONE.items():
    SETS |= {
        f"{name}-dft": (partial(alone_tasks, one), sample_molecule, "DFT", 10),
        f"{name}-mp2": (partial(mp2_tasks, f"{name}-ccsdt"), of_pool, "MP2", 20),
        f"{name}-ccsdt": (partial(ccsdt_tasks, one), sample_molecule, "CCSD(T)", 5),
    }
FILES = {name: [f"{name}.extxyz", f"{name}.json"] for name in SETS}
FILES["teachers-xtb"] = ["teachers-xtb.extxyz.xz", "teachers-xtb.json"]


def parts(name: str) -> dict[str, Part]:
    """List the parts of a set."""
    tasks, _, _, each = SETS[name]
    reads = {f"{one}-mp2": (f"{one}-ccsdt",) for one in ALONE}
    reads["teachers-xtb"] = (SMILES,)
    more = {
        "methylamine-hessian": (STEP, FMAX),
        "methylamine-ccsdt": FORCED[METHYLAMINE],
        "teachers-xtb": (TEMPERATURES, PORTIONS),
    }
    return grouped(name, tasks(), each, more.get(name), reads=reads.get(name, ()))


def compute(name: str, tasks: Sequence) -> list[Atoms]:
    """Label the structures of a part.

    CCSD(T) forces cost 15 times the energy: of the pool, only `FORCED` have them.
    """
    _, structure, level, _ = SETS[name]
    if level == "GFN2-xTB":
        kinds = {k: "valid" if k == PORTIONS - 1 else "pool" for k in tasks}
        return [a for k, kind in kinds.items() for a in label_xtb(*portions()[k], kind)]
    from . import quantum

    methods = {"DFT": quantum.pyscf_dft, "MP2": quantum.pyscf_mp2}
    method, frames = methods.get(level, quantum.pyscf_ccsdt)(), []
    alone = []  # energies are enough
    if name.endswith("-ccsdt"):
        smiles = tasks[0][0]
        alone = pool_tasks(smiles)[FORCED[smiles] :]
    for task in tasks:
        frame = structure(*task)
        if task in alone:
            energy = quantum.ccsdt_energy(frame.numbers, frame.positions)
            frames.append(with_labels(frame, energy))
        else:
            frames += label([frame], method)
    return frames


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Write a set and its card."""
    if name == "teachers-xtb":
        place = np.zeros((1, 3))
        atoms = {z: gfn2_xtb(units.UNPAIRED[z])([z], place)[0] for z in (1, 6, 7, 8)}
        program = f"tblite {version('tblite')}"
        write_set(name, results, folder, program, atoms, suffix=".extxyz.xz")
        return
    from . import quantum

    energies = quantum.atom_energies(SETS[name][2])
    write_set(name, results, folder, f"PySCF {version('pyscf')}", energies)
