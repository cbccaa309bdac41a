"""The structures of `teachers-xtb`: which validate, and that they can be made again."""

import numpy as np
import pytest
from ase.build import molecule
from ase.io import read
from ase.io.extxyz import write_extxyz as write

from tpainn_lite import data, datasets
from tpainn_lite.reproduce import ladder, molecule_sets


def shipped():
    """Pool and validation structures as they ship, in the order of their portions."""
    sets = datasets.load("teachers-xtb")
    return [*sets["pool"], *sets["valid"]]


def test_the_last_portion_validates(monkeypatch):
    """Splits of all tasks, from a list of names: enumerating takes half a minute."""
    names = [f"molecule {k}" for k in range(400)]
    monkeypatch.setattr(molecule_sets, "classical_molecules", lambda: names)
    tasks = ladder.structure_tasks()
    splits = [split for *_, split in tasks]
    assert splits == ["pool"] * 12 + ["valid"]
    molecules = [set(smiles) for _, smiles, _ in tasks]
    assert [len(m) for m in molecules] == [25] * 13
    assert not set.union(*molecules[:-1]) & molecules[-1]


def remade(portion, tmp_path):
    """The first molecule of a portion, made again, and as it ships."""
    expected = shipped()[500 * portion :][:20]
    seed, smiles = molecule_sets.SEED + 25 * portion, expected[0].info["smiles"]
    task = (seed, [smiles], expected[0].info["split"])
    ladder.label_structures(task, tmp_path / "portion")
    return read(tmp_path / "portion", ":", format="extxyz"), expected


@pytest.mark.parametrize("split", ["pool", "valid"])
def test_a_portion_carries_its_split(split, tmp_path, monkeypatch):
    pytest.importorskip("tblite")
    water = molecule("H2O")
    water.info["smiles"] = "O"
    monkeypatch.setattr(
        molecule_sets, "sample_classical", lambda _, path: write(path, [water] * 2)
    )
    task = (molecule_sets.SEED, ["O"], split)
    ladder.label_structures(task, tmp_path / "portion")
    made = read(tmp_path / "portion", ":", format="extxyz")
    assert [a.info for a in made] == [{"smiles": "O", "split": split}] * 2
    data.check(made)


@pytest.mark.slow  # dynamics of another processor may part from the shipped one
@pytest.mark.parametrize("portion", [0, 12])
def test_shipped_structures_are_made_again(portion, tmp_path):
    pytest.importorskip("tblite")
    for new, old in zip(*remade(portion, tmp_path), strict=True):
        np.testing.assert_allclose(new.positions, old.positions, atol=1e-4)
        np.testing.assert_allclose(new.get_forces(), old.get_forces(), atol=1e-4)
        energies = new.get_potential_energy(), old.get_potential_energy()
        assert energies[0] == pytest.approx(energies[1], abs=1e-5)


@pytest.mark.slow
def test_shipped_structures_are_those_of_the_tasks():
    expected = [
        (smiles, split)
        for _, portion, split in ladder.structure_tasks()
        for smiles in portion
        for _ in range(20)
    ]
    assert [(a.info["smiles"], a.info["split"]) for a in shipped()] == expected
