"""A pretraining of one's own: from structures with fluorine or sulfur to tuned."""

from dataclasses import replace

import numpy as np
import pytest
from ase.build import molecule

from tpainn_lite import molecules, tune
from tpainn_lite.course import own_data
from tpainn_lite.data import label, with_labels
from tpainn_lite.model import PotentialConfig
from tpainn_lite.train import evaluate

SMILES = ("CF", "CS")
ZERO = {"CF": -3760.0, "CS": -11900.0}  # eV: about what DFT gives
SMALL = PotentialConfig(features=32, layers=2, cutoff=4.0, n_rbf=12)


@pytest.fixture(scope="module")
def mine():
    """Fluoromethane and methanethiol, labelled by another method: UFF, and its zero."""
    frames = []
    for smiles in SMILES:
        run = molecules.sample(smiles, 8, temperature=400.0, seed=1)
        for a in label(run, molecules.uff(smiles)):
            energy = a.get_potential_energy() + ZERO[smiles]
            frames.append(with_labels(a, energy, a.get_forces()))
            frames[-1].info = {}
    return frames


@pytest.mark.parametrize(
    "smiles", ["CF", "CS", "CCl", "FCCF", "CC(=O)Cl", "c1ccsc1", "BrC#C", "CCO"]
)
def test_bonds_are_read_from_positions(smiles):
    (atoms,) = molecules.conformers(smiles, seed=0)
    shuffled = atoms[np.random.default_rng(0).permutation(len(atoms))]
    shuffled.rattle(0.03, seed=0)
    skeletons = {molecules.skeleton(s) for s in (molecules.perceive(shuffled), smiles)}
    assert len(skeletons) == 1
    numbers = molecules.conformers(molecules.perceive(shuffled), seed=0)[0].numbers
    assert sorted(numbers) == sorted(atoms.numbers)


def test_what_cannot_be_taught_is_said():
    with pytest.raises(ValueError, match="needs a neutral, closed-shell molecule"):
        molecules.perceive(molecule("CH3"))
    with pytest.raises(ValueError, match="MMFF94 has no parameters"):
        molecules.perceive(molecule("BF3"))


def test_one_hot_structure_does_not_hide_its_molecule(mine):
    broken = mine[0].copy()
    broken.positions[0] += 3.0
    assert own_data.known_molecules([broken, *mine]) == ["CF", "CS"]
    with pytest.raises(ValueError, match="RDKit finds no bonds"):
        own_data.known_molecules([broken])


def test_energies_of_new_atoms_come_from_the_labels(mine):
    known = {1: -13.6, 6: -1029.9}
    found = own_data.atom_energies(mine, known)
    assert {z: found[z] for z in known} == known
    for a in mine:
        missed = sum(found[z] for z in a.numbers) - a.get_potential_energy()
        assert abs(missed) < 2
    assert own_data.atom_energies(mine, found) == found


def test_from_strange_elements_to_a_tuned_potential(mine):
    assert own_data.start(mine) == own_data.OWN
    smiles = own_data.known_molecules(mine)
    taught = tune.structures(smiles, 60, seed=0)
    assert len(taught) == 60
    assert {a.info["temperature"] for a in taught} == set(tune.KELVIN)
    seen = []
    student, _ = tune.pretrain(
        taught,
        replace(tune.HOW, steps=150),
        SMALL,
        seed=0,
        on_epoch=lambda _, rows: seen.append(rows[-1]["step"]),
    )
    assert seen[-1] == 150
    assert set(student.reference_energies) == {1, 6, 9, 16}
    size = 1e3 * np.abs(np.concatenate([a.get_forces() for a in taught])).mean()
    assert evaluate(student, taught).force_mae < 0.5 * size
    free_atoms = own_data.atom_energies(mine, {1: -13.6, 6: -1029.9})
    pool, test = mine[::2], mine[1::2]
    before = evaluate(tune.with_references(student, pool, free_atoms), test)
    tuned, _ = tune.autotune(
        student, pool, free_atoms, replace(tune.TUNED, steps=100, lr=1e-3), seed=0
    )
    after = evaluate(tuned, test)
    assert after.force_mae < 0.8 * before.force_mae
    assert after.energy_mae < 100  # meV/atom, of thousands of eV
