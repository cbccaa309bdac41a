"""Shipped quantum labels, as a stranger would check them; slow ones ask the engine."""

import numpy as np
import pytest

from tpainn_lite import analysis, datasets, molecules, train
from tpainn_lite.data import check
from tpainn_lite.reproduce import molecule_labels, water_labels
from tpainn_lite.reproduce.cards import nearest

SETS = sorted(p.name.split(".")[0] for p in datasets.SHIPPED.glob("*.extxyz*"))
H = 1e-3  # Å, of finite differences


def some(frames, n=3):
    return [frames[k] for k in np.linspace(0, len(frames) - 1, n).astype(int)]


def slope(energy, frame, i, k):
    """Central difference of an energy along one coordinate (eV/Å), with its sign."""
    step = np.zeros_like(frame.positions)
    step[i, k] = H
    high, low = (energy(frame.numbers, frame.positions + s) for s in (step, -step))
    return -(high - low) / (2 * H)


def quantum():
    return pytest.importorskip("tpainn_lite.reproduce.quantum", reason="needs PySCF")


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_what_its_card_says(name):
    splits, card = datasets.load(name), datasets.card(name)
    assert {s: len(part) for s, part in splits.items()} == card["structures"]
    frames = [a for part in splits.values() for a in part]
    check(frames, name, labelled=False)
    assert len({a.positions.round(3).tobytes() for a in frames}) == len(frames)
    with_forces = [a.get_forces() for a in frames if "forces" in a.calc.results]
    assert len(with_forces) == card["structures_with_forces"]
    net = 0.2 if name.startswith("water") else 1e-6  # eV/Å: a grid holds molecules
    for forces in with_forces:
        assert np.abs(forces).max() <= card["largest_force_eV_per_A"] + 1e-6 < 30
        assert np.abs(forces.sum(0)).max() < net
    free = datasets.atomic_energies(name)
    apart = [sum(free[int(z)] for z in a.numbers) for a in frames]
    sizes = zip(frames, apart, strict=True)
    bound = [(a.get_potential_energy() - e) / len(a) for a, e in sizes]
    known = card["energy_from_free_atoms_eV_per_atom"]
    assert [min(bound), max(bound)] == pytest.approx(known, abs=1e-3)
    assert -8 < known[0] <= known[1] < -1.5  # eV/atom
    if name == "molecules-dft":
        assert free[1] == pytest.approx(-13.6, abs=0.1)  # eV


@pytest.mark.parametrize("name", SETS)
def test_splits_do_not_touch(name):
    splits, card = datasets.load(name), datasets.card(name)
    if not {"pool", "test"} <= set(splits):
        assert "nearest_test_to_pool_A" not in card
        return
    pool, test = splits["pool"], splits["test"]
    known = {"molecules-dft": lambda a: molecules.skeleton(a.info["smiles"])}
    known["qm9-sample"] = lambda a: a.info["smiles"]
    kind = known.get(name, lambda a: a.info["seed"])
    kinds = [{kind(a) for a in part} for part in (pool, test)]
    assert not set.intersection(*kinds)
    if card["nearest_test_to_pool_A"] is not None:
        found = nearest(test, pool)
        assert found == pytest.approx(card["nearest_test_to_pool_A"], abs=1e-4)
        assert found > 0.01


KINDS = "molecules-dft", "ethanol-dft", "methylamine-dft", "ethanol-mp2"
KINDS += ("methylamine-mp2",)
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in KINDS]


@pytest.mark.parametrize("name", ["teachers-xtb", *SLOW])
def test_three_structures_again(name):
    """The engine says what the set says, and its force is a derivative."""
    if name == "teachers-xtb":
        pytest.importorskip("tblite", reason="tblite is an extra")
        engine = molecule_labels.gfn2_xtb()
    else:
        method = "pyscf_" + name.partition("-")[2]
        engine = getattr(quantum(), method)()
    for frame in some(datasets.load(name)["pool"]):
        energy, forces = engine(frame.numbers, frame.positions)
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-6)
        np.testing.assert_allclose(forces, frame.get_forces(), atol=1e-5)
        numeric = slope(lambda *a: engine(*a)[0], frame, 0, 0)  # noqa: B023
        assert forces[0, 0] == pytest.approx(numeric, abs=2e-4)


def test_the_ladder_has_no_test_molecule():
    splits = datasets.load("teachers-xtb")
    pool, valid = ({a.info["smiles"] for a in splits[s]} for s in ("pool", "valid"))
    assert not pool & valid
    skeletons = {molecules.skeleton(s) for s in pool | valid}
    assert not skeletons & molecule_labels.test_skeletons()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ethanol-ccsdt", "methylamine-ccsdt"])
def test_three_coupled_cluster_energies_again(name):
    ccsdt = quantum().ccsdt_energy
    for frame in some(datasets.load(name)["pool"]):
        energy = ccsdt(frame.numbers, frame.positions)
        assert energy == pytest.approx(frame.get_potential_energy(), abs=1e-6)
    frame = datasets.load(name)["test"][0]
    numeric = slope(ccsdt, frame, 1, 2)
    assert frame.get_forces()[1, 2] == pytest.approx(numeric, abs=2e-4)


def test_structures_are_those_of_their_tasks():
    for frame in some(datasets.load("molecules-dft")["pool"]):
        kelvin, seed = frame.info["temperature"], int(frame.info["seed"])
        again = molecules.sample(frame.info["smiles"], 1, temperature=kelvin, seed=seed)
        np.testing.assert_allclose(again[0].positions, frame.positions, atol=1e-6)
    frame = datasets.load("ethanol-dft")["pool"][1]
    kelvin, seed = frame.info["temperature"], int(frame.info["seed"])
    again = molecule_labels.sample_molecule("CCO", kelvin, seed, frame.info["split"])
    np.testing.assert_allclose(again.positions, frame.positions, atol=1e-4)


@pytest.mark.slow
def test_boxes_are_those_of_their_tasks():
    frames = [a for part in datasets.load("water-dft").values() for a in part]
    by_seed = {a.info["seed"]: a for a in frames}
    tasks = [t for t in water_labels.water_tasks() if t[4] != "noise"]
    assert {t[3] for t in tasks} == set(by_seed)
    for task in some(tasks, 6):
        again, frame = water_labels.sample_water(*task[:4]), by_seed[task[3]]
        np.testing.assert_allclose(again.positions, frame.positions, atol=1e-6)


def test_water_covers_what_it_should_and_its_noise_is_low():
    frames = [a for part in datasets.load("water-dft").values() for a in part]
    bonds = np.concatenate([analysis.bond_vectors(a) for a in frames])
    lengths = np.linalg.norm(bonds, axis=1)
    assert np.quantile(lengths, 0.001) < 0.91  # Å
    assert np.quantile(lengths, 0.999) > 1.09
    assert {a.info["model"] for a in frames} == set(water_labels.water.MODELS)
    assert all(len(a) == 96 and np.isfinite(a.get_stress()).all() for a in frames)
    tuned = train.evaluate(datasets.checkpoint("water-tuned-80"), frames[::40])
    assert tuned.stress_mae < 100  # MPa, never shown one: it is as ASE has it
    noise = datasets.card("water-dft")["noise_meV_per_A"]
    assert len(noise) == 2
    assert max(noise) <= 15
