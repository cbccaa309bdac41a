"""Shipped assets by name: whole, labelled, and refused in words where they are not."""

import shutil

import numpy as np
import pytest

from tpainn_lite import datasets
from tpainn_lite.data import check


@pytest.mark.parametrize("name", ["molecules-dft", "methanol-scan"])
def test_a_set_is_what_its_card_says(name):
    splits, card = datasets.load(name), datasets.card(name)
    assert {split: len(frames) for split, frames in splits.items()} == card[
        "structures"
    ]
    frames = [atoms for part in splits.values() for atoms in part]
    check(frames)
    forces = np.concatenate([a.get_forces() for a in frames])
    assert np.abs(forces).max() == pytest.approx(card["largest_force_eV_per_A"])
    assert max(np.abs(a.get_forces().sum(0)).max() for a in frames) < 1e-6  # eV/Å
    positions = [a.positions.round(3).tobytes() for a in frames]
    assert len(set(positions)) == len(frames)  # no frame twice


def test_atomic_energies_are_those_of_free_atoms():
    energies = datasets.atomic_energies("molecules-dft")
    assert sorted(energies) == [1, 6, 7, 8]
    assert energies[1] == pytest.approx(-13.6, abs=0.1)  # eV


def test_names_that_are_wrong():
    with pytest.raises(ValueError, match="there are .*molecules-dft"):
        datasets.card("molecules")
    with pytest.raises(ValueError, match="public sets .*'rmd17-ethanol'.*'water-pbe"):
        datasets.load("rmd17")
    for name in ("molecules-mmff94", "molecules-grid"):
        with pytest.raises(ValueError, match="holds no structures"):
            datasets.load(name)
    with pytest.raises(ValueError, match="no such file"):
        datasets.checkpoint("molecules-dft")


def test_an_altered_file_is_refused(tmp_path, monkeypatch):
    for suffix in ("extxyz", "json"):
        shutil.copy(datasets.SHIPPED / f"methanol-scan.{suffix}", tmp_path)
    monkeypatch.setattr(datasets, "SHIPPED", tmp_path)
    assert datasets.load("methanol-scan")
    file = tmp_path / "methanol-scan.extxyz"
    file.write_text(file.read_text().replace("1", "2", 1))
    with pytest.raises(ValueError, match="altered or truncated"):
        datasets.load("methanol-scan")
