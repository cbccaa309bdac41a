"""The tasks behind the shipped sets: enough, spread out, and without leaks."""

import ase.io
import numpy as np
import pytest

from tpainn_lite import engine, water
from tpainn_lite.reproduce import ethanol, liquid, water_sets


def test_ethanol_tasks():
    tasks = ethanol.ethanol_tasks()
    kelvin = np.array([t for t, _, _ in tasks])
    assert kelvin.min() >= 300
    assert kelvin.max() <= 600
    assert np.ptp(kelvin) > 290
    assert len({seed for _, seed, _ in tasks}) == len(tasks) >= 500
    assert sum(split == "test" for *_, split in tasks) == 100
    assert tasks == ethanol.ethanol_tasks()


def test_coupled_clusters_label_structures_of_the_dft_set():
    tasks, dft = ethanol.ccsdt_tasks(), ethanol.ethanol_tasks()
    assert set(tasks) < set(dft)
    assert sum(split == "pool" for *_, split in tasks) >= 300  # energies
    assert sum(split == "test" for *_, split in tasks) >= 40  # and forces
    assert sum(split == "test" for *_, split in tasks[:85]) == 10  # all along


def test_an_ethanol_task_is_one_structure_for_ever():
    task = ethanol.ethanol_tasks()[0]
    one, two = (ethanol.sample_ethanol(task) for _ in range(2))
    np.testing.assert_array_equal(one.positions, two.positions)
    assert one.get_chemical_formula() == "C2H6O"
    assert one.info["split"] == "pool"


def test_water_tasks():
    tasks = water_sets.water_tasks()
    frames = [t for t in tasks if t[4] != "noise"]
    kelvin, density = np.array([t[1:3] for t in frames]).T
    assert kelvin.min() >= 300
    assert kelvin.max() <= 500
    assert np.ptp(kelvin) > 190
    assert density.min() >= 0.9
    assert density.max() <= 1.1
    assert np.ptp(density) > 0.19
    assert len({t[3] for t in frames}) == len(frames) >= 100
    for split, at_least in (("pool", 80), ("test", 24)):
        models = [t[0] for t in frames if t[4] == split]
        assert len(models) >= at_least
        counts = [models.count(m) for m in water.MODELS]
        assert max(counts) - min(counts) <= 1  # every model, equally
    assert [t[:4] for t in tasks if t[4] == "noise"] == [t[:4] for t in frames[:2]]


def test_bond_lengths_of_the_models_cover_the_range():
    lengths = []
    for model in water.MODELS:
        atoms = water_sets.sample_water(model, 400.0, 1.0, seed=1)
        assert len(atoms) == 96
        for o in range(0, 96, 3):
            lengths += list(atoms.get_distances(o, [o + 1, o + 2], mic=True))
    assert min(lengths) < 0.92
    assert max(lengths) > 1.08
    assert min(lengths) > 0.8
    assert max(lengths) < 1.25


@pytest.mark.parametrize("task", water_sets.scan_tasks(), ids=str)
def test_scans_are_what_they_are_called(task):
    scan, value = task
    atoms = water_sets.scan_structure(task)
    first, second = atoms.get_distances(0, [1, 2])
    found = {"one": first, "both": second, "angle": atoms.get_angle(1, 0, 2)}
    if scan == "dimer":
        assert atoms.get_distance(0, 3) == pytest.approx(value)
        assert atoms.get_angle(0, 1, 3) == pytest.approx(180)
        bonds = atoms.get_distances(3, [4, 5])
        assert bonds == pytest.approx([water_sets.BOND] * 2)
        assert atoms.get_angle(4, 3, 5) == pytest.approx(water_sets.ANGLE)
        assert min(atoms.get_distances(1, [4, 5])) > value - 1  # hydrogens point away
    else:
        assert found[scan] == pytest.approx(value)
    assert atoms.cell.lengths()[0] >= 2 * np.ptp(atoms.positions)


@pytest.mark.parametrize("name", liquid.TEACHERS)
def test_liquid_tasks_cover_the_ladder(name):
    tasks = liquid.liquid_tasks(name)
    assert {t[0] for t in tasks} == {liquid.TEACHERS[name]}
    assert len(tasks) * liquid.FRAMES >= 2000
    state = np.array([t[1:3] for t in tasks])
    low, high = np.array([liquid.TEMPERATURES, liquid.DENSITIES]).T
    scaled = np.sort((state - low) / (high - low), axis=0)
    steps = (np.arange(len(tasks)) + 0.5) / len(tasks)
    np.testing.assert_allclose(scaled, np.stack([steps, steps], axis=1), atol=3e-3)
    assert abs(np.corrcoef(state.T)[0, 1]) < 0.2


def test_a_run_of_the_liquid(tmp_path, monkeypatch):
    monkeypatch.setattr(liquid, "MOLECULES", 16)
    monkeypatch.setattr(liquid, "FRAMES", 2)
    task = liquid.liquid_tasks("water-qtip4pf")[0]
    liquid.sample_liquid(task, tmp_path / "a.out")
    frames = ase.io.read(tmp_path / "a.out", ":", format="extxyz")
    assert len(frames) == 2
    system = water.water_system(water.MODELS["q-tip4p-f"], frames[0])
    exact = engine.system_energy_forces(system, frames[0])
    for atoms in frames:
        energy, forces = exact(atoms.numbers, atoms.positions, atoms.cell.array)
        assert atoms.get_potential_energy() == pytest.approx(energy, abs=1e-5)
        np.testing.assert_allclose(atoms.get_forces(), forces, atol=1e-4)
