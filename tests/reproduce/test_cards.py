"""Data cards: what they say is what the structures are."""

import hashlib
import json

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from ase.constraints import FixAtoms

from tpainn_lite.data import with_labels
from tpainn_lite.reproduce import cards

ATOMS = {1: -13.0, 8: -430.0}  # eV
WORDS = dict.fromkeys(("level", "geometries", "splits", "noise", "limits"), "words")


@pytest.fixture
def write(monkeypatch, tmp_path):
    """Write a set of the frames, grouped by run; returns its card."""

    def written(frames, groups="run", **more):
        about = {"w": WORDS | {"groups": groups}}
        monkeypatch.setattr(cards, "about", lambda: about)
        (tmp_path / "in").mkdir(exist_ok=True)
        made = portions(frames, tmp_path / "in")
        cards.write_set("w", made, tmp_path, "a program 1.0", ATOMS, **more)
        return json.loads((tmp_path / "w.json").read_text())

    return written


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


def test_the_card_says_what_is_there(write, tmp_path):
    frames = waters(6)
    card = write(frames, noise_meV_per_A=[1.5])
    written = tmp_path / "w.extxyz"
    assert card["sha256"] == hashlib.sha256(written.read_bytes()).hexdigest()
    assert card["command"] == "python -m tpainn_lite.reproduce w"
    assert card["structures"] == {"pool": 4, "test": 2}
    assert card["runs"] == {"pool": 2, "test": 1}
    assert card["structures_with_forces"] == 6
    largest = max(np.abs(a.get_forces()).max() for a in frames)
    assert card["largest_force_eV_per_A"] == pytest.approx(largest, abs=1e-7)
    assert card["energy_from_free_atoms_eV_per_atom"] == [-6.3333, -4.6667]
    assert card["noise_meV_per_A"] == [1.5]
    assert card["nearest_test_to_pool_A"] > 0
    assert len(ase.io.read(written, ":")) == 6


def test_the_card_counts_molecules_and_forces_where_there_are_some(write, tmp_path):
    frames = waters(6)
    names = ["CCO", "C(O)C", "CCO", "O", "N", "N"]  # of three molecules
    for atoms, smiles in zip(frames, names, strict=True):
        atoms.info["smiles"] = smiles
    del frames[0].calc.results["forces"]
    largest = max(np.abs(a.get_forces()).max() for a in frames[1:])
    for atoms in frames:
        atoms.set_constraint(FixAtoms(range(len(atoms))))
    card = write(frames, "smiles")
    assert card["molecules"] == {"pool": 2, "test": 1}
    assert card["structures_with_forces"] == 5
    assert card["largest_force_eV_per_A"] == pytest.approx(largest, abs=1e-7)
    assert all(not a.constraints for a in ase.io.read(tmp_path / "w.extxyz", ":"))


def test_a_structure_twice_is_refused(write, tmp_path):
    frames = waters(4)
    with pytest.raises(ValueError, match="occurs twice"):
        write([*frames, frames[1]])
    assert not list(tmp_path.glob("w*"))
