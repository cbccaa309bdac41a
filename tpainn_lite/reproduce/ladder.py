"""Compare teachers: one student, the same structures, labels by UFF, MMFF94, xTB.

The structures and their GFN2-xTB labels ship (`teachers-xtb`); the force fields label
them again in seconds. Every student is trained and tuned alike.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms
from rdkit.Chem import rdForceFieldHelpers

from .. import datasets, molecules, tune
from ..data import EnergyForces, label, split
from ..model import Potential, PotentialConfig
from ..train import evaluate, fit
from ..tune import FIT, references
from . import rivals
from .cards import words
from .molecule_labels import gfn2_xtb
from .parts import Part, sources
from .trainings import DELTA, SEEDS, Spec, free_atoms, train_point

STEPS = 3000
SIZES = (3, 10, 30, 100)
TEACHERS = ("UFF", "MMFF94", "GFN2-xTB")
BENEATH = "GFN2-xTB"  # the teacher that stays in a delta potential
STUDENT = "molecules-mmff94"  # delta's networks have its size and elements
TIMED = 100  # structures that tell what a label costs
DATA, QUANTUM = "teachers-xtb", "molecules-dft"
FILES = {"ladder": ["ladder.json"]}


def parts(name: str) -> dict[str, Part]:
    """List the teachers."""
    fits = PotentialConfig(), replace(FIT, steps=STEPS), tune.TUNED
    settings = free_atoms(QUANTUM), fits, SIZES, SEEDS, TIMED, DELTA
    return {one: Part(one, (DATA, QUANTUM, STUDENT), settings) for one in TEACHERS}


def uff(smiles: str) -> EnergyForces:
    """Build UFF, as `molecules.mmff94`; Rappé et al., doi 10.1021/ja00051a040."""
    mol = molecules.parse(smiles)
    if not rdForceFieldHelpers.UFFHasAllMoleculeParams(mol):
        raise ValueError(f"smiles: UFF has no parameters for some atom of {smiles!r}")
    build = rdForceFieldHelpers.UFFGetMoleculeForceField
    return molecules.force_field("UFF", smiles, mol, build)


@lru_cache(1)  # structures of a molecule follow each other
def energy_forces(teacher: str, smiles: str) -> EnergyForces:
    """Make the `EnergyForces` of a teacher for a molecule."""
    if teacher == "GFN2-xTB":
        return gfn2_xtb()
    return {"UFF": uff, "MMFF94": molecules.mmff94}[teacher](smiles)


def by_teacher(teacher: str, frames: Sequence[Atoms]) -> list[Atoms]:
    """Label `frames` by a teacher."""
    return [label([a], energy_forces(teacher, a.info["smiles"]))[0] for a in frames]


def compute(name: str, teacher: str) -> dict:
    """Pretrain on a teacher's labels, tune on DFT."""
    sets, test = datasets.load(DATA), datasets.load(QUANTUM)["test"]
    if teacher != "GFN2-xTB":
        sets = {split: by_teacher(teacher, part) for split, part in sets.items()}
    start = Potential(PotentialConfig(), references(sets["pool"]), seed=0)
    student, _ = fit(start, sets["pool"], replace(FIT, steps=STEPS), seed=0)
    row = {"teacher": teacher, "student": asdict(evaluate(student, sets["valid"]))}
    row |= of_teacher(teacher, test) | {"rows": []}
    arms = ("zero-shot", None), ("tuned", tune.TUNED)
    for seed, n, (arm, how) in product(SEEDS, SIZES, arms):
        spec = Spec(QUANTUM, "", arm, n, seed, how)
        errors = asdict(evaluate(train_point(spec, student)[0], test))
        row["rows"].append(dict(arm=arm, n=n, seed=seed) | errors)
    if teacher == BENEATH:
        row["rows"] += beneath(teacher)
    return row


def beneath(teacher: str) -> list[dict]:
    """Learn what a teacher leaves over, and keep the teacher: delta learning."""
    sets, found = datasets.load(QUANTUM), []
    known = rivals.known([a for f in sets.values() for a in by_teacher(teacher, f)])
    for seed, n in product(SEEDS, SIZES):
        (frames,) = split(sets["pool"], n, seed=seed)
        how = tune.Delta(known, DELTA, datasets.atomic_energies(DATA))
        one = datasets.checkpoint(STUDENT), frames, free_atoms(QUANTUM), how
        potential, _ = tune.autotune(*one, seed=seed)
        errors = asdict(evaluate(potential, sets["test"]))
        found.append(dict(arm="delta", n=n, seed=seed) | errors)
    return found


def of_teacher(teacher: str, test: Sequence[Atoms]) -> dict[str, float]:
    """Tell a teacher's force error against DFT (meV/Å), and what a label costs (s)."""
    pairs = zip(by_teacher(teacher, test), test, strict=True)
    gaps = [a.calc.results["forces"] - b.calc.results["forces"] for a, b in pairs]
    calls = [(energy_forces(teacher, a.info["smiles"]), a) for a in test[:TIMED]]
    begin = time.process_time()
    for call, a in calls:
        call(a.numbers, a.positions)
    cost = (time.process_time() - begin) / len(calls)
    error = 1e3 * float(np.abs(np.concatenate(gaps)).mean())
    return {"teacher_force_mae": error, "label_cpu_s": cost}


def whole(name: str) -> Part:
    """Tell what decides the table beside its rows."""
    return Part(name, (DATA, QUANTUM), replace(FIT, steps=STEPS))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> dict:
    """Gather the teachers."""
    return {
        "from": sources((DATA, QUANTUM)),
        "pretraining": asdict(replace(FIT, steps=STEPS)),
        **words("ladder"),
        "teachers": [json.loads(p.read_bytes()) for p in results],
    }
