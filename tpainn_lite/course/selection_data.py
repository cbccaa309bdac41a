"""Describe the candidates of lesson 09, label them cheaply, fit heads to a choice.

All is computed once in a process. The design of a head is the same whatever is chosen,
so tuning on a choice is one linear solve.
"""

from functools import cache

import numpy as np
from ase import Atoms
from sklearn.decomposition import PCA

from .. import datasets, engine, molecules, ridge_head, water
from ..data import fit_reference_energies, label
from ..model import Potential
from ..select import standardised

STUDENTS = {"molecules-dft": "molecules-mmff94", "water-dft": "water-qtip4pf"}
COMPONENTS = 8  # principal ones of the descriptor: what "alike" means
TESTED = 1 / 3  # of the molecules


@cache
def frames(name: str) -> tuple[list[Atoms], list[Atoms]]:
    """Return the candidates, and the structures to be judged on."""
    sets = datasets.load(name)
    return sets["pool"], sets["test"]


@cache
def student(name: str) -> Potential:
    """Return the pretrained potential that describes the set `name`."""
    return datasets.checkpoint(STUDENTS[name])


def descriptors(potential: Potential, structures: list[Atoms]) -> np.ndarray:
    """Find principal components (frames, COMPONENTS) of scalars averaged over atoms."""
    scalars = ridge_head.atom_scalars(potential, structures)
    pooled = [h.mean(dim=0).numpy() for h in scalars]
    rank = min(COMPONENTS, len(structures))
    return PCA(rank, random_state=0).fit_transform(standardised(np.array(pooled)))


def classical(structures: list[Atoms]) -> list[Atoms]:
    """Label structures by MMFF94, water by q-TIP4P/F."""
    if "smiles" in structures[0].info:
        return [label([a], molecules.mmff94(a.info["smiles"]))[0] for a in structures]
    labelled = []
    for a in structures:
        system = water.water_system(water.MODELS["q-tip4p-f"], a)
        labelled += label([a], engine.system_energy_forces(system, a))
    return labelled


def left_over(structures: list[Atoms]) -> np.ndarray:
    """Return energies less the best sum over elements, (frames,) meV/atom."""
    E = np.array([a.get_potential_energy() for a in structures])
    reference = fit_reference_energies(structures, E, None)
    return 1e3 * (E - _sums(reference, structures)) / [len(a) for a in structures]


@cache
def energies(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return descriptors, classical and quantum energies (meV/atom) of all."""
    both = [a for part in frames(name) for a in part]
    X = descriptors(student(name), both)
    return X, left_over(classical(both)), left_over(both)


def held_out(name: str, seed: int) -> np.ndarray:
    """Draw a third of the molecules to be judged on, (frames,) bool."""
    names = np.array([a.info["smiles"] for part in frames(name) for a in part])
    known = np.unique(names)
    drawn = np.random.default_rng(seed).permutation(known)
    return np.isin(names, drawn[: round(TESTED * len(known))])


@cache
def candidates(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors and classical energies (meV/atom) of the pool."""
    pool, _ = frames(name)
    return descriptors(student(name), pool), left_over(classical(pool))


@cache
def designs(name: str) -> tuple[list[ridge_head.Rows], list[ridge_head.Rows]]:
    """Design the rows of pool and test, which is the slow part."""
    like, parts = student(name), frames(name)
    phi = ridge_head.draw_features(like, parts[0], ridge_head.HeadConfig(), seed=0)
    rows, tested = (ridge_head.design(like, part, phi) for part in parts)
    return rows, tested


def head_error(name: str, chosen: np.ndarray) -> float:
    """Return the test set's force MAE (meV/Å) of a head fitted to the `chosen`.

    Each energy's row is moved to the reference energies that fit the chosen ones.
    """
    (pool, _), potential, config = frames(name), student(name), ridge_head.HeadConfig()
    root = np.sqrt(config.energy_weight)
    rows, test = designs(name)
    some, mine = [pool[k] for k in chosen], [rows[k] for k in chosen]
    gap = np.array([row.y[0] / root for row in mine]) + potential.reference_sum(some)
    reference = fit_reference_energies(some, gap, datasets.atomic_energies(name))
    left = root * (gap - _sums(reference, some))
    pairs = zip(mine, left, strict=True)
    moved = [ridge_head.Rows(row.X, np.r_[e, row.y[1:]]) for row, e in pairs]
    w, _ = ridge_head.solve(moved, config)
    return 1e3 * float(np.abs(ridge_head.force_errors(test, w, config)).mean())


def _sums(reference: dict[int, float], structures: list[Atoms]) -> np.ndarray:
    return np.array([sum(reference[int(z)] for z in a.numbers) for a in structures])
