"""The ladder of teachers: one student, the same structures, labels by UFF, MMFF94, xTB.

The structures and their GFN2-xTB labels ship (`teachers-xtb`); the force fields label
them again in seconds. Every student is trained and tuned alike.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from .. import datasets, molecules, tune, units
from ..data import EnergyForces, from_calculator, label, split
from ..model import Potential, PotentialConfig
from ..train import evaluate, fit
from ..tune import FIT, references
from ..units import UNPAIRED
from . import molecule_sets
from .cards import About, write_set
from .grid_rows import free_atoms
from .grids import SEEDS
from .tasks import belongs, write_card

PORTIONS = 13  # of 500 structures of 25 molecules; the last validates
STEPS = 3000
SIZES = (3, 10, 30, 100)
TEACHERS = ("UFF", "MMFF94", "GFN2-xTB")
TIMED = 100  # structures that tell what a label costs
DATA = "teachers-xtb"


def structure_tasks() -> list[tuple[int, list[str], str]]:
    """(seed, SMILES, split) of the first portions of `molecules-mmff94`.

    The last of them validates.
    """
    portions = molecule_sets.classical_tasks()[:PORTIONS]
    splits = [*["pool"] * (len(portions) - 1), "valid"]
    return [(*task, split) for task, split in zip(portions, splits, strict=True)]


def label_structures(task: tuple[int, list[str], str], path: Path) -> None:
    """Sample with MMFF94, label with GFN2-xTB; write extxyz."""
    seed, smiles, part = task
    molecule_sets.sample_classical((seed, smiles), path)
    frames = ase.io.read(path, ":", format="extxyz")
    for atoms in frames:
        atoms.positions = atoms.positions.round(4)  # as they will be written
    labelled = label(frames, gfn2_xtb())
    for atoms, old in zip(labelled, frames, strict=True):
        atoms.info = {"smiles": old.info["smiles"], "split": part}
    ase.io.write(path, labelled, format="extxyz")


def settings() -> tuple:
    """Return what decides structures and labels, apart from the tasks."""
    return ABOUT.said, molecule_sets.classical_settings()


def _program() -> str:
    return f"tblite {version('tblite')}"


def gfn2_xtb(unpaired: int = 0) -> EnergyForces:
    """GFN2-xTB, doi 10.1021/acs.jctc.8b01176, with tblite (extra `quantum`)."""
    from tblite.ase import TBLite

    kelvin = 300 * 3.166808578545117e-6 * units.HARTREE / units.KB  # its own constant
    options = {"method": "GFN2-xTB", "cache_api": False, "verbosity": 0}
    options |= {"electronic_temperature": kelvin, "multiplicity": unpaired + 1}
    return from_calculator(TBLite(**options))


def _free_atoms() -> dict[int, float]:
    places = np.zeros((1, 3))
    return {z: gfn2_xtb(UNPAIRED[z])([z], places)[0] for z in (1, 6, 7, 8)}


ABOUT = About(
    level="GFN2-xTB",
    program=_program,
    geometries="MMFF94 Langevin dynamics at 300-1000 K (RDKit, OpenMM)",
    splits="by molecule; none shares its heavy-atom graph with a test molecule of "
    "molecules-dft",
    limits="neutral closed-shell C, H, N, O molecules of up to 7 heavy atoms",
    atomic_energies=_free_atoms,
    suffix=".extxyz.xz",
    noise="charges converged to tblite's default: forces within 1e-4 eV/Å of the "
    "derivative of the energy",
)


def write_structures(name: str, portions: Sequence[Path], shipped: Path) -> None:
    """Ship structures and labels."""
    write_set(name, portions, shipped, ABOUT)


def by_teacher(teacher: str, frames: Sequence[Atoms]) -> list[Atoms]:
    """`frames`, grouped by molecule, labelled by a teacher."""
    known, labelled = {}, []
    for atoms in frames:
        smiles = atoms.info["smiles"]
        if smiles not in known:
            known = {smiles: energy_forces(teacher, smiles)}
        labelled += label([atoms], known[smiles])
    return labelled


def energy_forces(teacher: str, smiles: str):
    """The `EnergyForces` of a teacher for a molecule."""
    if teacher == "GFN2-xTB":
        return gfn2_xtb()
    return {"UFF": molecules.uff, "MMFF94": molecules.mmff94}[teacher](smiles)


def tasks() -> list[tuple[str, str]]:
    """A teacher each, with the digest of what its rows depend on."""
    used = belongs(
        datasets.sources((DATA, "molecules-dft")),
        free_atoms("molecules-dft"),
        (PotentialConfig(), replace(FIT, steps=STEPS), tune.CONFIGS["tuned"]),
        (SIZES, SEEDS, TIMED),
    )
    return [(teacher, used) for teacher in TEACHERS]


def compute(task: tuple[str, str], path: Path) -> None:
    """Pretrain on a teacher's labels, tune on DFT; writes the rows as JSON."""
    teacher, _ = task
    sets, quantum = datasets.load(DATA), datasets.load("molecules-dft")
    if teacher != "GFN2-xTB":
        sets = {name: by_teacher(teacher, part) for name, part in sets.items()}
    start = Potential(PotentialConfig(), references(sets["pool"]), seed=0)
    config = replace(FIT, steps=STEPS)
    student, _ = fit(start, sets["pool"], config, seed=0)
    row = {"teacher": teacher, "student": asdict(evaluate(student, sets["valid"]))}
    row |= of_teacher(teacher, quantum["test"]) | {"rows": []}
    for seed in SEEDS:
        for n in SIZES:
            (frames,) = split(quantum["pool"], n, seed=seed)
            for arm in ("zero-shot", "tuned"):
                tuned, _ = tune.train_arm(
                    arm, student, frames, free_atoms("molecules-dft"), seed=seed
                )
                errors = asdict(evaluate(tuned, quantum["test"]))
                row["rows"].append(dict(arm=arm, n=n, seed=seed) | errors)
    path.write_text(json.dumps(row))


def of_teacher(teacher: str, test: Sequence[Atoms]) -> dict[str, float]:
    """The teacher's own force error against DFT (meV/Å), and what a label costs (s)."""
    labelled = by_teacher(teacher, test)
    gaps = [
        np.abs(
            a.get_forces(apply_constraint=False) - b.get_forces(apply_constraint=False)
        )
        for a, b in zip(labelled, test, strict=True)
    ]
    calls = [(energy_forces(teacher, a.info["smiles"]), a) for a in test[:TIMED]]
    begin = time.process_time()
    for call, a in calls:
        call(a.numbers, a.positions)
    cost = (time.process_time() - begin) / len(calls)
    error = 1e3 * float(np.mean(np.concatenate(gaps)))
    return {"teacher_force_mae": error, "label_cpu_s": cost}


def write(name: str, results: Sequence[Path], shipped: Path) -> None:
    """Gather the teachers."""
    found = {
        "from": datasets.sources((DATA, "molecules-dft")),
        "pretraining": asdict(replace(FIT, steps=STEPS)),
        "units": "force_mae, teacher_force_mae meV/Å; energy_mae meV/atom; "
        "label_cpu_s s",
        "teachers": [json.loads(p.read_text()) for p in results],
    }
    write_card(f"grid {name}", found, shipped)
