"""How the shipped quantum data are made; called by ``reproduce``."""

from importlib.resources import files
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from .. import molecules
from ..data import label
from .cards import About

TEMPERATURES = (300.0, 600.0, 1000.0)  # K
TEST_FRACTION = 0.3
SEED = 2026
SCAN = (0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0)  # Å


def dft_molecules() -> dict[str, str]:
    """SMILES -> name of the molecules with quantum labels."""
    text = (files("tpainn_lite") / "shipped" / "molecules.smi").read_text()
    return dict(line.split(" ", 1) for line in text.splitlines())


def test_skeletons() -> set[str]:
    """Heavy-atom graphs that belong to the test split, for ever."""
    skeletons = sorted({molecules.skeleton(s) for s in dft_molecules()})
    rng = np.random.default_rng(SEED)
    n_test = round(TEST_FRACTION * len(skeletons))
    return {skeletons[i] for i in rng.permutation(len(skeletons))[:n_test]}


def molecules_tasks() -> list[tuple[str, float, int]]:
    """(SMILES, temperature in K, seed) of each structure of `molecules-dft`.

    Three passes over the molecules in one shuffled order, so that any beginning of the
    list is a fair sample of molecules and temperatures.
    """
    smiles = sorted(dft_molecules())
    order = np.random.default_rng(SEED).permutation(len(smiles))
    tasks = []
    for turn in range(len(TEMPERATURES)):
        for rank, i in enumerate(order):
            temperature = TEMPERATURES[(rank + turn) % len(TEMPERATURES)]
            tasks.append((smiles[i], temperature, SEED + 1000 * turn + int(i)))
    return tasks


def label_molecule(task: tuple[str, float, int], path: Path) -> None:
    """Sample one structure with MMFF94 dynamics, label it with DFT, write extxyz."""
    smiles, temperature, seed = task
    frame = molecules.sample(smiles, 1, temperature=temperature, seed=seed)[0]
    split = "test" if molecules.skeleton(smiles) in test_skeletons() else "pool"
    info = {"smiles": smiles, "temperature": temperature, "seed": seed, "split": split}
    _label(frame, info, path)


def label_scan(distance: float, path: Path) -> None:
    """Label methanol with its O-H bond at `distance` (Å), all else as in MMFF94."""
    frame = molecules.conformers("CO", seed=0)[0]
    frame.set_distance(1, 5, distance, fix=0)  # oxygen is atom 1, its hydrogen atom 5
    _label(frame, {"smiles": "CO", "distance": distance, "split": "scan"}, path)


def _label(frame: Atoms, info: dict, path: Path) -> None:
    from . import quantum

    labelled = label([frame], quantum.pyscf_dft())[0]
    labelled.info = info
    labelled.arrays.pop("momenta", None)
    ase.io.write(path, labelled, format="extxyz")


def classical_molecules(max_heavy: int = 7, keep: int = 1000) -> list[str]:
    """SMILES for pretraining: enumerated molecules and those of the quantum pool.

    None shares its heavy-atom graph with a test molecule.
    """
    forbidden = test_skeletons()
    enumerated = molecules.enumerate_smiles(max_heavy, keep, SEED)
    both = sorted(set(enumerated) | set(dft_molecules()))
    return [s for s in both if molecules.skeleton(s) not in forbidden]


def classical_tasks(per_task: int = 25) -> list[tuple[int, list[str]]]:
    """(seed, SMILES) of each portion of the classical pretraining set."""
    smiles = classical_molecules()
    order = np.random.default_rng(SEED).permutation(len(smiles))
    starts = range(0, len(smiles), per_task)
    return [(SEED + k, [smiles[i] for i in order[k : k + per_task]]) for k in starts]


def sample_classical(task: tuple[int, list[str]], path: Path) -> None:
    """20 MMFF94 structures of each molecule, each run at its own temperature."""
    seed, smiles = task
    rng = np.random.default_rng(seed)
    frames = []
    for one in smiles:
        temperature = rng.uniform(TEMPERATURES[0], TEMPERATURES[-1])
        try:
            frames += molecules.sample(
                one, 20, temperature=temperature, seed=seed, spacing=50.0
            )
        except ValueError as error:  # a strained cage that cannot be embedded
            print(f"left out: {error}")
    for frame in frames:
        del frame.arrays["momenta"]
        frame.info = {"smiles": frame.info["smiles"]}
    ase.io.write(path, frames, format="extxyz")


def settings(name: str) -> tuple:
    """Return what decides the labels of a set, apart from its tasks."""
    split = sorted(test_skeletons()) if name == "molecules-dft" else ""
    return ABOUT[name].said, split


def classical_settings() -> tuple:
    """Return what decides the classical structures, apart from their tasks."""
    return TEMPERATURES


def _program() -> str:
    import pyscf

    return f"PySCF {pyscf.__version__}"


def _free_atoms() -> dict[int, float]:
    from . import quantum

    return quantum.isolated_atom_energies()


DFT_LEVEL = (
    "B3LYP/6-31G(2df,p), density fitting (def2-universal-jkfit), PySCF grid level 2 "
    "with grid response in the forces"
)
DFT_NOISE = "forces are the exact derivative of the energy (net force below 1e-7 eV/Å)"
ABOUT = {
    "molecules-dft": About(
        level=DFT_LEVEL,
        program=_program,
        geometries="MMFF94 Langevin dynamics at 300, 600, 1000 K (RDKit, OpenMM)",
        splits="by heavy-atom graph: no test graph occurs in the pool",
        limits="neutral closed-shell C, H, N, O molecules of up to 7 heavy atoms; "
        "a teaching set, not a benchmark; PySCF's basis of this name has spherical d "
        "functions, so total energies are some millihartree from QM9's",
        atomic_energies=_free_atoms,
        noise=DFT_NOISE,
    ),
    "methanol-scan": About(
        level=DFT_LEVEL,
        program=_program,
        geometries="methanol relaxed with MMFF94, its O-H bond set to a distance",
        splits="one split, scan",
        limits="closed-shell DFT: wrong for a bond that is nearly broken",
        atomic_energies=_free_atoms,
        noise=DFT_NOISE,
    ),
}
