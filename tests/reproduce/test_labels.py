"""The tasks behind the shipped sets: enough, spread out, and without leaks."""

from pathlib import Path

import ase.io
import numpy as np
import pytest

from tpainn_lite import data, datasets, engine, molecules, water
from tpainn_lite.reproduce import cards, parts, pretraining, trainings, water_labels
from tpainn_lite.reproduce import molecule_labels as sets

MOLECULE = "smiles temperature seed split"
TASKS = {  # what the cards of the structures say, and the tasks behind them
    "molecules-dft": (MOLECULE, sets.molecules_tasks()),
    "ethanol-dft": (MOLECULE, sets.alone_tasks("CCO")),
    "ethanol-ccsdt": (MOLECULE, sets.ccsdt_tasks("CCO")),
    "methylamine-dft": (MOLECULE, sets.alone_tasks("CN")),
    "methylamine-ccsdt": (MOLECULE, sets.ccsdt_tasks("CN")),
    "methylamine-hessian": ("atom axis sign", sets.hessian_tasks()),
    "methanol-scan": ("distance", [(d,) for d in sets.SCAN]),
    "water-dft": ("model temperature density seed split", water_labels.water_tasks()),
}


@pytest.mark.parametrize("name", TASKS)
def test_what_ships_are_the_structures_of_the_tasks_in_their_order(name):
    """So temperatures, models and splits stay as evenly spread as they ship."""
    keys, tasks = TASKS[name]
    tasks = [t for t in tasks if t[-1] != "noise"]
    splits, found = datasets.load(name), []
    for split, frames in splits.items():
        known = [a.info | {"split": split} for a in frames]
        some = [tuple(info[k] for k in keys.split()) for info in known]
        assert some == [t for t in tasks if t in set(some)]
        found += some
    assert sorted(found) == sorted(tasks)


def test_a_small_box_is_sampled(monkeypatch):
    monkeypatch.setattr(water_labels, "MOLECULES", 8)
    atoms = water_labels.sample_water("spc-fw", 400.0, 1.0, seed=1)
    assert len(atoms) == 24
    assert "momenta" not in atoms.arrays


def test_no_test_skeleton_is_ever_pretrained_on():
    forbidden = sets.test_skeletons()
    smiles = pretraining.classical_molecules(max_heavy=4, keep=30)
    assert smiles == pretraining.classical_molecules(max_heavy=4, keep=30)
    assert not {molecules.skeleton(s) for s in smiles} & forbidden
    kept = {s for s in sets.dft_molecules() if molecules.skeleton(s) not in forbidden}
    assert kept < set(smiles)  # the molecules of the pool, and many others


def listed(folder, monkeypatch, smiles):
    """List the classical molecules in a folder, as the workflow does."""
    monkeypatch.chdir(folder)
    parts.WORK.mkdir(parents=True)
    Path(parts.SMILES).write_text("\n".join(smiles) + "\n")


@pytest.mark.slow  # enumerates for half a minute
def test_there_are_as_many_portions_as_said(tmp_path, monkeypatch):
    listed(tmp_path, monkeypatch, pretraining.classical_molecules(*parts.ENUMERATED))
    assert len(sets.portions()) == pretraining.PORTIONS
    expected = [
        (one, "valid" if k == sets.PORTIONS - 1 else "pool")
        for k, (_, portion) in enumerate(sets.portions()[: sets.PORTIONS])
        for one in portion
        for _ in range(20)
    ]
    loaded = datasets.load("teachers-xtb")
    shipped = [(a.info["smiles"], s) for s in loaded for a in loaded[s]]
    assert shipped == expected


def same_labels(frame, potential):
    energy, forces = potential(frame.numbers, frame.positions)
    assert frame.get_potential_energy() == pytest.approx(energy, abs=1e-5)
    np.testing.assert_allclose(frame.get_forces(), forces, atol=1e-4)


def test_classical_portions(tmp_path, monkeypatch):
    listed(tmp_path, monkeypatch, ["CO", "CC=O"])
    for name in "ab":
        frames = pretraining.compute("molecules-mmff94", 0)
        cards.save(frames, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    data.check(frames)
    assert sorted(a.info["smiles"] for a in frames) == ["CC=O"] * 20 + ["CO"] * 20
    for frame in ase.io.read(tmp_path / "a", "::10", format="extxyz"):
        same_labels(frame, molecules.mmff94(frame.info["smiles"]))


def test_quantum_portions(tmp_path, monkeypatch):
    quantum = pytest.importorskip("tpainn_lite.reproduce.quantum")
    cheap = quantum.pyscf_dft(basis="sto-3g")
    monkeypatch.setattr(quantum, "pyscf_dft", lambda: cheap)
    task = next(t for t in sets.molecules_tasks() if t[0] == "O")
    (frame,) = sets.compute("molecules-dft", [task])
    assert frame.info["split"] in ("pool", "test")
    assert "momenta" not in frame.arrays
    same_labels(frame, cheap)


def test_coupled_clusters_give_forces_where_they_are_asked_for(monkeypatch):
    quantum = pytest.importorskip("tpainn_lite.reproduce.quantum")
    monkeypatch.setattr(quantum, "ccsdt_energy", lambda numbers, positions: -1.0)
    zero = lambda numbers, positions, cell: (-2.0, 0 * positions)  # noqa: E731
    monkeypatch.setattr(quantum, "pyscf_ccsdt", lambda: zero)
    wanted = []
    for name, smiles in (("ethanol", "CCO"), ("methylamine", "CN")):
        pool = [t for t in sets.ccsdt_tasks(smiles) if t[3] == "pool"]
        test = next(t for t in sets.ccsdt_tasks(smiles) if t[3] == "test")
        made = sets.compute(f"{name}-ccsdt", [pool[0], pool[-1], test])
        wanted.append(["forces" in a.calc.results for a in made])
    assert wanted == [[False, False, True], [True, False, True]]


@pytest.mark.slow  # dynamics of another processor may part from the shipped one
@pytest.mark.parametrize(("portion", "split"), [(0, "pool"), (12, "valid")])
def test_shipped_structures_are_made_again(portion, split):
    pytest.importorskip("tblite")
    loaded = datasets.load("teachers-xtb")
    expected = [*loaded["pool"], *loaded["valid"]][500 * portion :][:20]
    smiles = expected[0].info["smiles"]
    made = sets.label_xtb(sets.SEED + 25 * portion, [smiles], split)
    for new, old in zip(made, expected, strict=True):
        assert new.info == old.info
        np.testing.assert_allclose(new.positions, old.positions, atol=1e-4)
        np.testing.assert_allclose(new.get_forces(), old.get_forces(), atol=1e-4)
        energies = new.get_potential_energy(), old.get_potential_energy()
        assert energies[0] == pytest.approx(energies[1], abs=1e-5)


def test_the_hessian_is_one_of_a_minimum():
    centre, *moved = datasets.load("methylamine-hessian")["hessian"]
    assert np.abs(centre.get_forces()).max() < sets.FMAX
    steps = [a.positions - centre.positions for a in moved]
    largest = np.abs(steps).reshape(len(steps), -1)
    np.testing.assert_allclose(largest.max(axis=1), sets.STEP, atol=1e-7)
    F = np.array([a.get_forces().ravel() for a in moved])
    hessian = -(F[::2] - F[1::2]) / (2 * sets.STEP)  # eV/Å²
    np.testing.assert_allclose(hessian, hessian.T, atol=0.02)
    root = np.sqrt(np.repeat(centre.get_masses(), 3))
    values = np.linalg.eigvalsh((hessian + hessian.T) / 2 / np.outer(root, root))
    assert np.abs(values[:6]).max() < 0.02 * values[6] < values[6]


def test_mp2_labels_are_of_the_same_structures():
    for name in ("ethanol", "methylamine"):
        pool = datasets.load(f"{name}-ccsdt")["pool"][: sets.MP2]
        others = datasets.load(f"{name}-mp2")["pool"]
        both = trainings.with_forces(pool, others)
        for known, mp2, joined in zip(pool, others, both, strict=True):
            assert joined.get_potential_energy() == known.get_potential_energy()
            np.testing.assert_array_equal(joined.get_forces(), mp2.get_forces())


def test_liquid_tasks_cover_the_ladder():
    tasks = pretraining.liquid_tasks("spc-fw")
    assert len(tasks) * pretraining.FRAMES >= 2000
    state = np.array([t[1:3] for t in tasks])
    low, high = np.array([pretraining.KELVIN, pretraining.DENSITIES]).T
    scaled = np.sort((state - low) / (high - low), axis=0)
    steps = (np.arange(len(tasks)) + 0.5) / len(tasks)
    np.testing.assert_allclose(scaled, np.stack([steps, steps], axis=1), atol=3e-3)
    assert abs(np.corrcoef(state.T)[0, 1]) < 0.2


def test_a_run_of_the_liquid(monkeypatch):
    monkeypatch.setattr(pretraining, "MOLECULES", 16)
    monkeypatch.setattr(pretraining, "FRAMES", 2)
    frames = pretraining.sample_liquid(*pretraining.liquid_tasks("q-tip4p-f")[0])
    assert len(frames) == 2
    system = water.water_system(water.MODELS["q-tip4p-f"], frames[0])
    exact = engine.system_energy_forces(system, frames[0])
    for atoms in frames:
        same_labels(atoms, lambda z, x: exact(z, x, frames[0].cell.array))
