"""Shipped quantum labels, as a stranger would check them; slow ones ask the engine."""

import numpy as np
import pytest

from tpainn_lite import datasets, molecules
from tpainn_lite.data import check
from tpainn_lite.reproduce import cards, ethanol, ladder, molecule_sets, water_sets

SETS = sorted(p.name.split(".")[0] for p in datasets.SHIPPED.glob("*.extxyz*"))
H = 1e-3  # Å, of finite differences
OXYGENS = range(0, 96, 3)  # of 32 molecules


def frames_of(name):
    return [a for part in datasets.load(name).values() for a in part]


def some(frames, n=3):
    return [frames[k] for k in np.linspace(0, len(frames) - 1, n).astype(int)]


def label_again(engine, frame):
    """The engine says what the set says, and its force is a derivative."""
    energy, forces = engine(frame.numbers, frame.positions)
    assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-6)
    np.testing.assert_allclose(forces, frame.get_forces(), atol=1e-5)
    step = np.zeros_like(frame.positions)
    step[0, 0] = H
    high, low = (
        engine(frame.numbers, p)[0]
        for p in (frame.positions + step, frame.positions - step)
    )
    assert forces[0, 0] == pytest.approx(-(high - low) / (2 * H), abs=2e-4)


@pytest.mark.parametrize("name", SETS)
def test_no_structure_twice_and_labels_all_along(name):
    frames = frames_of(name)
    check(frames, name, labelled=False)
    assert len({a.positions.round(3).tobytes() for a in frames}) == len(frames)
    for atoms in frames:
        assert np.isfinite(atoms.get_potential_energy())
    with_forces = [a for a in frames if "forces" in a.calc.results]
    assert len(with_forces) == datasets.card(name)["structures_with_forces"]


@pytest.mark.parametrize("name", SETS)
def test_forces_are_plausible(name):
    card = datasets.card(name)
    net = 0.2 if name.startswith("water") else 1e-6  # eV/Å: a grid holds molecules
    for atoms in frames_of(name):
        if "forces" in atoms.calc.results:
            forces = atoms.get_forces()
            assert np.abs(forces).max() <= card["largest_force_eV_per_A"] + 1e-6 < 30
            assert np.abs(forces.sum(0)).max() < net


@pytest.mark.parametrize("name", SETS)
def test_energies_bind(name):
    low, high = datasets.card(name)["energy_from_free_atoms_eV_per_atom"]
    energies = datasets.atomic_energies(name)
    found = [
        (a.get_potential_energy() - sum(energies[int(z)] for z in a.numbers)) / len(a)
        for a in frames_of(name)
    ]
    assert min(found) == pytest.approx(low, abs=1e-3)
    assert max(found) == pytest.approx(high, abs=1e-3)
    assert -8 < low <= high < -1.5  # eV/atom


@pytest.mark.parametrize("name", SETS)
def test_splits_do_not_touch(name):
    splits, card = datasets.load(name), datasets.card(name)
    if not {"pool", "test"} <= set(splits):
        assert "nearest_test_to_pool_A" not in card
        return
    if name == "molecules-dft":
        skeletons = [
            {molecules.skeleton(a.info["smiles"]) for a in splits[s]}
            for s in ("pool", "test")
        ]
        assert not set.intersection(*skeletons)
    else:
        seeds = [{a.info["seed"] for a in splits[s]} for s in ("pool", "test")]
        assert not set.intersection(*seeds)
    if card["nearest_test_to_pool_A"] is not None:
        found = cards.nearest(splits["test"], splits["pool"])
        assert found == pytest.approx(card["nearest_test_to_pool_A"], abs=1e-4)
        assert found > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n in SETS if n in ("molecules-dft", "ethanol-dft")]
)
def test_three_structures_again(name):
    quantum = pytest.importorskip(
        "tpainn_lite.reproduce.quantum", reason="PySCF is an extra"
    )
    for frame in some(datasets.load(name)["pool"]):
        label_again(quantum.pyscf_dft(), frame)


def test_three_structures_of_the_ladder_again():
    pytest.importorskip("tblite", reason="tblite is an extra")
    for frame in some(datasets.load("teachers-xtb")["pool"]):
        label_again(ladder.gfn2_xtb(), frame)


def test_the_ladder_has_no_test_molecule():
    skeletons = {
        molecules.skeleton(s)
        for part in datasets.load("teachers-xtb").values()
        for s in {a.info["smiles"] for a in part}
    }
    assert not skeletons & molecule_sets.test_skeletons()
    pool, valid = (
        {a.info["smiles"] for a in datasets.load("teachers-xtb")[s]}
        for s in ("pool", "valid")
    )
    assert not pool & valid


@pytest.mark.slow
def test_three_coupled_cluster_energies_again():
    quantum = pytest.importorskip(
        "tpainn_lite.reproduce.quantum", reason="PySCF is an extra"
    )
    for frame in some(datasets.load("ethanol-ccsdt")["pool"]):
        energy = quantum.ccsdt_energy(frame.numbers, frame.positions)
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-6)
    frame = datasets.load("ethanol-ccsdt")["test"][0]
    step = np.zeros_like(frame.positions)
    step[1, 2] = H
    high, low = (
        quantum.ccsdt_energy(frame.numbers, p)
        for p in (frame.positions + step, frame.positions - step)
    )
    slope = -(high - low) / (2 * H)
    assert frame.get_forces()[1, 2] == pytest.approx(slope, abs=2e-4)


def test_molecules_are_those_of_their_tasks():
    for frame in some(datasets.load("molecules-dft")["pool"]):
        kelvin, seed = frame.info["temperature"], int(frame.info["seed"])
        again = molecules.sample(frame.info["smiles"], 1, temperature=kelvin, seed=seed)
        np.testing.assert_allclose(again[0].positions, frame.positions, atol=1e-6)


def test_structures_are_those_of_their_tasks():
    frame = datasets.load("ethanol-dft")["pool"][1]
    kelvin, seed = frame.info["temperature"], int(frame.info["seed"])
    task = (kelvin, seed, frame.info["split"])
    again = ethanol.sample_ethanol(task)
    np.testing.assert_allclose(again.positions, frame.positions, atol=1e-4)


@pytest.mark.slow
def test_boxes_are_those_of_their_tasks():
    by_seed = {a.info["seed"]: a for a in frames_of("water-dft")}
    tasks = [t for t in water_sets.water_tasks() if t[4] != "noise"]
    assert {t[3] for t in tasks} == set(by_seed)
    for task in some(tasks, 6):
        again, frame = water_sets.sample_water(*task[:4]), by_seed[task[3]]
        np.testing.assert_allclose(again.positions, frame.positions, atol=1e-6)


def test_noise_of_the_water_labels():
    noise = datasets.card("water-dft")["noise_meV_per_A"]
    assert len(noise) == 2
    assert max(noise) <= 15


def test_water_covers_what_it_should():
    frames = frames_of("water-dft")
    lengths = np.concatenate(
        [a.get_distances(o, [o + 1, o + 2], mic=True) for a in frames for o in OXYGENS]
    )
    assert np.quantile(lengths, 0.001) < 0.91  # Å
    assert np.quantile(lengths, 0.999) > 1.09
    assert {a.info["model"] for a in frames} == set(water_sets.water.MODELS)
    for atoms in frames:
        assert len(atoms) == 96
        assert np.isfinite(atoms.get_stress()).all()


def test_scans_of_water_are_waters():
    splits = datasets.load("water-scans")
    energy = {
        (a.info["scan"], float(a.info["value"])): a.get_potential_energy()
        for part in splits.values()
        for a in part
    }
    alone = energy["both", water_sets.BOND]
    shape = {v: e for (scan, v), e in energy.items() if scan == "both"}
    assert min(shape, key=shape.get) in (0.97, 1.0)  # Å; experiment 0.957
    depth = {v: e - 2 * alone for (scan, v), e in energy.items() if scan == "dimer"}
    assert min(depth, key=depth.get) in (2.9, 3.0)  # Å; experiment 2.98
    assert -0.25 < min(depth.values()) < -0.15  # eV; CCSD(T) says -0.22
