"""Sample molecules with MMFF94 and label them: DFT, CCSD(T), GFN2-xTB."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from ase.vibrations import Vibrations

from .. import datasets, molecules, units
from ..data import EnergyForces, from_calculator, label, with_labels
from .cards import grouped, write_set
from .parts import SMILES, Part, sources

TEMPERATURES = (300.0, 600.0, 1000.0)  # K
TEST_FRACTION = 0.3
SEED = 2026
SCAN = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0)  # Å
ETHANOL, ETHANOL_TEMPERATURES = "CCO", (300.0, 600.0)  # K
STRUCTURES = 500
ENERGIES, FORCES = 300, 40  # with coupled clusters: pool energies, test forces
POTENTIAL = "ethanol-ccsdt-tuned"  # whose normal modes are walked along
LARGEST = 0.02  # Å, of the atom that moves most
FMAX = 1e-3  # eV/Å, at the minimum
RIGID = 6  # translations and rotations come first
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


def ethanol_tasks() -> list[Task]:
    """List the structures of `ethanol-dft`, each from a run of its own.

    Every fifth one is kept for testing.
    """
    u = np.random.default_rng(SEED).uniform(size=STRUCTURES)
    low, high = ETHANOL_TEMPERATURES
    kelvin = np.round(low + u * (high - low), 1).tolist()
    splits = ["test" if k % 5 == 4 else "pool" for k in range(STRUCTURES)]
    return [(ETHANOL, kelvin[k], SEED + k, splits[k]) for k in range(STRUCTURES)]


def ccsdt_tasks() -> list[Task]:
    """List the first pool structures (energies) and test structures (forces).

    Test structures come in between, so that any beginning of the list has both.
    """
    pool = [t for t in ethanol_tasks() if t[3] == "pool"][:ENERGIES]
    test = [t for t in ethanol_tasks() if t[3] == "test"][:FORCES]
    rank = {t: k for k, t in enumerate(pool)}
    rank |= {t: (k + 1) * ENERGIES / FORCES - 0.5 for k, t in enumerate(test)}
    return sorted(pool + test, key=rank.get)


def mode_tasks() -> list[tuple[int, int]]:
    """List (mode, sign): the minimum, then both ways along each mode."""
    return [(0, 0), *((mode, sign) for mode in range(21) for sign in (1, -1))]


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


def displaced(mode: int, sign: int) -> Atoms:
    """Make the minimum of ethanol, or move it along a mode."""
    atoms, modes = minimum_and_modes()
    atoms = atoms.copy()
    atoms.positions = (atoms.positions + sign * modes[mode]).round(8)  # as written
    atoms.info = dict(smiles=ETHANOL, mode=mode, sign=sign, split="modes")
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
def minimum_and_modes() -> tuple[Atoms, np.ndarray]:
    """Find the minimum and displacements (21, 9, 3) Å along its normal modes.

    Anti or gauche, as it comes; modes in the order of their frequencies. A full CCSD(T)
    Hessian would take hours, the curvature along a direction takes two energies. The
    directions are the modes of the shipped CCSD(T) potential at its minimum, which must
    be near that of CCSD(T) itself: where a bond is still pulled at, a straight step
    sideways stretches it, and a torsion seems to have another curvature.
    """
    atoms = molecules.conformers(ETHANOL, seed=0)[0]
    atoms.calc = datasets.checkpoint(POTENTIAL).double().calculator()
    BFGS(atoms, logfile=None).run(fmax=FMAX, steps=500)
    with TemporaryDirectory() as folder:
        vibrations = Vibrations(atoms, name=f"{folder}/modes")
        vibrations.run()
        modes = vibrations.get_vibrations().get_modes(all_atoms=True)  # (27, 9, 3)
    atoms.calc = None
    kept = modes[RIGID:]
    size = np.linalg.norm(kept, axis=2).max(axis=1)
    return atoms, LARGEST * kept / size[:, None, None]


SETS = {  # tasks, the structure of one, its level, tasks a part
    "molecules-dft": (molecules_tasks, sample_molecule, "DFT", 9),
    "methanol-scan": (lambda: [(d,) for d in SCAN], stretched, "DFT", 13),
    "ethanol-dft": (ethanol_tasks, sample_molecule, "DFT", 10),
    "ethanol-ccsdt": (ccsdt_tasks, sample_molecule, "CCSD(T)", 5),
    "ethanol-modes": (mode_tasks, displaced, "CCSD(T)", 11),
    "teachers-xtb": (lambda: list(range(PORTIONS)), None, "GFN2-xTB", 1),
}
FILES = {name: [f"{name}.extxyz", f"{name}.json"] for name in SETS}
FILES["teachers-xtb"] = ["teachers-xtb.extxyz.xz", "teachers-xtb.json"]


def parts(name: str) -> dict[str, Part]:
    """List the parts of a set."""
    tasks, _, _, each = SETS[name]
    reads = {"ethanol-modes": (POTENTIAL,), "teachers-xtb": (SMILES,)}.get(name, ())
    more = {
        "ethanol-modes": (LARGEST, FMAX, RIGID),
        "teachers-xtb": (TEMPERATURES, PORTIONS),
    }
    return grouped(name, tasks(), each, more.get(name), reads=reads)


def compute(name: str, tasks: Sequence) -> list[Atoms]:
    """Label the structures of a part.

    CCSD(T) forces cost twenty times the energy: only test structures and the minimum
    have them, as nobody would train on them.
    """
    _, structure, level, _ = SETS[name]
    if level == "GFN2-xTB":
        kinds = {k: "valid" if k == PORTIONS - 1 else "pool" for k in tasks}
        return [a for k, kind in kinds.items() for a in label_xtb(*portions()[k], kind)]
    from . import quantum

    frames = []
    for frame in (structure(*task) for task in tasks):
        if level == "DFT":
            frames += label([frame], quantum.pyscf_dft())
        elif frame.info["split"] == "test" or frame.info.get("sign") == 0:
            frames += label([frame], quantum.pyscf_ccsdt())
        else:
            energy = quantum.ccsdt_energy(frame.numbers, frame.positions)
            frames.append(with_labels(frame, energy))
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

    more = {"potential": sources([POTENTIAL])[0]} if "modes" in name else {}
    energies = quantum.atom_energies(coupled=SETS[name][2] == "CCSD(T)")
    program = f"PySCF {version('pyscf')}"
    write_set(name, results, folder, program, energies, **more)
