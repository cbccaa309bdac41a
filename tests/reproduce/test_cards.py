"""Data cards: what they say is what the structures are."""

import hashlib
import json
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from ase.constraints import FixAtoms

from tpainn_lite.data import with_labels
from tpainn_lite.reproduce import cards

ABOUT = cards.About(
    level="a level",
    program=lambda: "a program 1.0",
    geometries="made here",
    splits="by run",
    limits="a test",
    atomic_energies=lambda: {1: -13.0, 8: -430.0},
    groups="run",
    more=lambda: {"noise_meV_per_A": [1.5]},
)


def waters(n, seed=0):
    rng = np.random.default_rng(seed)
    frames = []
    for k in range(n):
        atoms = molecule("H2O")
        atoms.positions += rng.normal(0, 0.05, (3, 3))
        atoms.info = {"run": k // 2, "split": "test" if k >= n - 2 else "pool"}
        frames.append(with_labels(atoms, -470.0 - k, rng.normal(0, 1, (3, 3))))
    return frames


def portions(frames, folder):
    for k, atoms in enumerate(frames):
        ase.io.write(folder / f"{k:05d}.out", atoms, format="extxyz")
    return sorted(folder.glob("*.out"))


def test_the_card_says_what_is_there(tmp_path):
    frames = waters(6)
    (tmp_path / "in").mkdir()
    cards.write_set("w", portions(frames, tmp_path / "in"), tmp_path, ABOUT)
    card = json.loads((tmp_path / "w.json").read_text())
    written = tmp_path / "w.extxyz"
    assert card["sha256"] == hashlib.sha256(written.read_bytes()).hexdigest()
    assert card["structures"] == {"pool": 4, "test": 2}
    assert card["runs"] == {"pool": 2, "test": 1}
    assert card["structures_with_forces"] == 6
    largest = max(np.abs(a.get_forces()).max() for a in frames)
    assert card["largest_force_eV_per_A"] == pytest.approx(largest, abs=1e-7)
    assert card["energy_from_free_atoms_eV_per_atom"] == [-6.3333, -4.6667]
    assert card["noise_meV_per_A"] == [1.5]
    assert card["nearest_test_to_pool_A"] > 0
    assert len(ase.io.read(written, ":")) == 6
    assert sorted(p.name for p in tmp_path.glob("w*")) == ["w.extxyz", "w.json"]


def test_the_card_counts_molecules_not_spellings(tmp_path):
    frames = waters(6)
    for atoms, smiles in zip(
        frames, ["CCO", "C(O)C", "CCO", "O", "N", "N"], strict=True
    ):
        atoms.info["smiles"] = smiles
    (tmp_path / "in").mkdir()
    about = replace(ABOUT, groups="smiles")
    cards.write_set("w", portions(frames, tmp_path / "in"), tmp_path, about)
    card = json.loads((tmp_path / "w.json").read_text())
    assert card["molecules"] == {"pool": 2, "test": 1}


def test_the_card_counts_the_forces_on_fixed_atoms(tmp_path):
    frames = waters(6)
    largest = max(np.abs(a.get_forces()).max() for a in frames)
    for atoms in frames:
        atoms.set_constraint(FixAtoms(range(len(atoms))))
    (tmp_path / "in").mkdir()
    cards.write_set("w", portions(frames, tmp_path / "in"), tmp_path, ABOUT)
    card = json.loads((tmp_path / "w.json").read_text())
    assert card["largest_force_eV_per_A"] == pytest.approx(largest, abs=1e-7)
    assert all(not a.constraints for a in ase.io.read(tmp_path / "w.extxyz", ":"))


def test_energies_without_forces_are_counted(tmp_path):
    frames = waters(6)
    del frames[0].calc.results["forces"]
    (tmp_path / "in").mkdir()
    cards.write_set("w", portions(frames, tmp_path / "in"), tmp_path, ABOUT)
    card = json.loads((tmp_path / "w.json").read_text())
    assert card["structures_with_forces"] == 5


def test_a_structure_twice_is_refused(tmp_path):
    frames = waters(4)
    (tmp_path / "in").mkdir()
    with pytest.raises(ValueError, match="occurs twice"):
        cards.write_set(
            "w", portions([*frames, frames[1]], tmp_path / "in"), tmp_path, ABOUT
        )
    assert not list(tmp_path.glob("w*"))


def test_a_card_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    made = portions(waters(4), tmp_path / "in")
    about = replace(ABOUT, more=lambda: {"row": np.zeros(2)})
    with pytest.raises(TypeError, match="ndarray"):
        cards.write_set("w", made, tmp_path, about)
    assert not list(tmp_path.glob("w*"))
