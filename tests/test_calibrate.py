"""Calibrated models against brute force, finite differences and left-out labels."""

from dataclasses import astuple

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from sklearn.linear_model import Ridge

from tpainn_lite import analysis, calibrate, data, datasets, dynamics, molecules, water
from tpainn_lite.engine import system_energy_forces
from tpainn_lite.units import KCAL_MOL, KJ_MOL


@pytest.fixture(scope="module")
def labelled():
    """Pool and test molecules by DFT, one structure each, and their free atoms."""
    splits = datasets.load("molecules-dft")
    one = [[*{a.info["smiles"]: a for a in part}.values()] for part in splits.values()]
    found = dict(zip(splits, one, strict=True))
    return found["pool"], found["test"], datasets.atomic_energies("molecules-dft")


def energies_of(frames) -> np.ndarray:
    return np.array([a.get_potential_energy() for a in frames])


def force_field(frames) -> np.ndarray:
    """MMFF94 energies (frames,) eV."""
    fields = [molecules.mmff94(a.info["smiles"]) for a in frames]
    return np.array(
        [f(a.numbers, a.positions)[0] for f, a in zip(fields, frames, strict=True)]
    )


@pytest.mark.parametrize("shape", [(12, 4), (6, 30), (2, 5)])
def test_ridge_is_sklearns_and_leaves_out_by_brute_force(shape, rng):
    X, y = rng.normal(size=shape), rng.normal(size=shape[0])
    penalties = (0.1, 1.0, 10.0)

    def solved(X, y, penalty):
        return Ridge(alpha=penalty, fit_intercept=False, solver="svd").fit(X, y).coef_

    w, left_out = calibrate.ridge(X, y, penalties)
    others = [np.arange(len(y)) != k for k in range(len(y))]
    for penalty, error in left_out.items():
        gaps = [
            (y[~rest] - X[~rest] @ solved(X[rest], y[rest], penalty))[0]
            for rest in others
        ]
        assert error == pytest.approx(np.mean(np.square(gaps)), rel=1e-9)
    best = min(left_out, key=left_out.get)
    np.testing.assert_allclose(w, solved(X, y, best), rtol=1e-9, atol=1e-12)
    alone, nothing = calibrate.ridge(X[:1], y[:1], penalties)
    np.testing.assert_allclose(alone, solved(X[:1], y[:1], 10.0), rtol=1e-9)
    assert nothing == {}


def test_terms_of_a_molecule():
    assert calibrate.count("C1CC1C=O") == {
        **{"C": 4, "O": 1, "H": 6, "C-C": 4, "C=O": 1, "C-H": 6, "ring of 3": 1}
    }
    pyridine = calibrate.count("c1ccncc1")
    bonds = {"C:C": 4, "C:N": 2, "C-H": 5}
    assert pyridine == {"C": 5, "N": 1, "H": 5, "ring of 6": 1} | bonds


def test_labels_that_are_sums_of_terms_are_found_again():
    smiles = ["CCO", "CC", "C=C", "CO", "O", "CC=O", "COC", "CCC", "C1CC1", "C1CO1"]
    smiles += ["OO", "COO", "C=CO", "C1CCC1", "CC(C)C", "OCO", "C=O", "C"]
    atoms = {1: -13.0, 6: -1030.0, 8: -2040.0}
    truth = {"C-H": -4.1, "C-C": -3.4, "C=C": -6.0, "C-O": -3.6, "H-O": -4.9}
    truth |= {"C=O": -7.7, "O-O": -1.2, "ring of 3": 1.1, "ring of 4": 1.0}
    frames = []
    for one in smiles:
        (a,) = molecules.conformers(one, seed=0)
        energy = sum(atoms[z] for z in a.numbers)
        energy += sum(n * truth.get(k, 0) for k, n in calibrate.count(one).items())
        frames.append(data.with_labels(a, energy))
    start = {z: e + 0.3 for z, e in atoms.items()}
    model = calibrate.molecules(frames[:-3], atomic_energies=start)
    gaps = model.energies(frames[-3:]) - energies_of(frames[-3:])
    assert np.abs(gaps).max() < 0.05  # eV of 30 to 60 that bonds make; a prior
    bare = [data.with_labels(Atoms(a.numbers, a.positions), 0.0) for a in frames]
    np.testing.assert_allclose(model.energies(bare), model.energies(frames))


def test_bonds_and_a_force_field_predict_other_molecules(labelled):
    pool, test, free = labelled
    truth, errors = energies_of(test), {}
    cheap = [force_field(part) for part in (pool, test)]
    for n in (3, 10, len(pool)):
        for name, known, how in (
            ("composition", (None, None), dict(terms="composition")),
            ("bonds", (None, None), {}),
            ("textbook", (None, None), dict(bonds=calibrate.TEXTBOOK)),
            ("MMFF94", cheap, dict(bonds=calibrate.TEXTBOOK)),
        ):
            some = known[0] if known[0] is None else known[0][:n]
            model = calibrate.molecules(pool[:n], some, atomic_energies=free, **how)
            gaps = model.energies(test, known[1]) - truth
            errors[name, n] = np.abs(gaps).mean() / KCAL_MOL
    print({k: round(float(v), 1) for k, v in errors.items()})
    last = len(pool)
    assert errors["textbook", 3] < 0.8 * errors["composition", 3]
    assert errors["bonds", last] < 0.75 * errors["composition", last]
    assert errors["MMFF94", last] < errors["bonds", last]


def test_counted_molecules_give_what_frames_give(labelled):
    pool, test, free = labelled
    cheap, rows = force_field(pool), np.array([4, 1, 7, 5])
    known, others = calibrate.counted(pool), calibrate.counted(test)
    for terms in calibrate.TERMS:
        how = dict(terms=terms, atomic_energies=free)
        model = calibrate.molecules([pool[k] for k in rows], cheap[rows], **how)
        assert calibrate.molecules(known.take(rows), cheap[rows], **how) == model
        found = model.energies(others, np.arange(len(test)))
        assert (found == model.energies(test, np.arange(len(test)))).all()
    np.testing.assert_array_equal(others.energies, energies_of(test))


def test_an_exact_cheap_method_is_kept(labelled):
    pool, test, free = labelled
    bound = [
        energies_of(part) - [sum(free[z] for z in a.numbers) for a in part]
        for part in (pool, test)
    ]  # the labels, on another zero
    model = calibrate.molecules(pool, bound[0])
    left = model.energies(test, bound[1]) - energies_of(test)
    assert model.factor == pytest.approx(1, abs=0.01)
    assert np.abs(left).max() < 0.02  # eV


def test_the_calibrated_teacher_runs(numeric_forces, labelled):
    pool, _, free = labelled
    ours = calibrate.molecules(pool, force_field(pool), atomic_energies=free)
    teacher = ours.energy_forces("CCO", molecules.mmff94("CCO"))
    (atoms,) = molecules.conformers("CCO", seed=0)
    atoms.rattle(0.05, seed=1)
    energy, forces = teacher(atoms.numbers, atoms.positions, None)
    cheap = molecules.mmff94("CCO")(atoms.numbers, atoms.positions)[0]
    assert energy == pytest.approx(ours.energies([atoms], [cheap])[0], abs=1e-9)
    np.testing.assert_allclose(forces, numeric_forces(teacher, atoms), atol=1e-5)
    how = dict(temperature=300.0, friction=0.01, seed=0)
    frames = dynamics.simulate(atoms, teacher, steps=20_000, every=1000, **how)
    assert len(frames) == 20  # 10 ps
    assert data.label(frames, teacher)[-1].get_potential_energy() < energy + 2


def test_what_is_refused(labelled):
    pool, test, free = labelled
    model = calibrate.molecules(pool[:5], atomic_energies=free)
    torn = molecule("CH3CH2OH")
    torn.positions[0] += 9
    broken = [pool[0], torn, Atoms("CH3", molecule("CH3").positions)]
    other = pool[0].copy()
    other.info["smiles"] = "CCCCCCC"
    fluorine = Atoms("HF", [[0, 0, 0], [0, 0, 0.92]], info={"smiles": "F"})
    for call, words in (
        (lambda: model.energies(broken), r"bonds of 2 of 3 .*frames \[1, 2\]"),
        (lambda: model.energies([other]), "is another molecule"),
        (lambda: model.energies([fluorine]), r"elements \['F'\] have no energy"),
        (lambda: model.energies(test, np.zeros(len(test))), "cheap: needs None"),
        (
            lambda: calibrate.molecules(pool, np.zeros(3)),
            "cheap: needs a finite array of shape",
        ),
        (lambda: calibrate.molecules(pool, terms="bond"), "terms: needs one of"),
        (lambda: calibrate.molecules([torn]), "at least an energy|needs an energy"),
        (lambda: model.energy_forces("CCO", 3), "cheap: needs a Potential"),
        (lambda: calibrate.ridge(np.ones((3, 2)), np.ones(2)), "X, y: need rows"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(ValueError, match="numbers: needs the atoms of 'CO'"):
        model.energy_forces("CO", molecules.mmff94("CCO"))([1], np.zeros((1, 3)))


def test_fewer_labels_than_terms(labelled):
    pool, test, free = labelled
    for n in (1, 2):
        model = calibrate.molecules(
            pool[:n], atomic_energies=free, bonds=calibrate.TEXTBOOK
        )
        gaps = model.energies(test) - energies_of(test)
        assert np.abs(gaps).mean() < 40 * KCAL_MOL  # 1,700 kcal/mol of bonds


def test_textbook_energies_alone_are_near(labelled):
    _, test, free = labelled
    bound = energies_of(test) - [sum(free[z] for z in a.numbers) for a in test]
    sums = [
        sum(n * calibrate.TEXTBOOK.get(k, 0) for k, n in calibrate.count(s).items())
        for s in (a.info["smiles"] for a in test)
    ]
    assert np.abs(np.array(sums) * -KJ_MOL / bound - 1).mean() < 0.05


@pytest.fixture(scope="module")
def boxes():
    splits = datasets.load("water-dft")
    return splits["pool"], splits["test"]


@pytest.mark.parametrize("model", [water.Q_TIP4P_F, water.SPC_FW])
def test_water_from_one_box(model, boxes, numeric_forces):
    pool, test = boxes
    fitted, report = calibrate.water(model, pool[:1])
    errors = {m.name: calibrate._errors(m, test[:6])[1] for m in (model, fitted)}
    before, after = (np.abs(e).mean() for e in errors.values())
    assert after < 0.5 * before
    assert report["force_mae"][1] < 0.5 * report["force_mae"][0]
    assert report["r0"] == (model.r0, fitted.r0)
    cluster = Atoms(pool[0].numbers[:6], pool[0].positions[:6])
    cluster = water.ordered(cluster)
    system = water.water_system(fitted, cluster)
    teacher = system_energy_forces(system, cluster)
    forces = teacher(cluster.numbers, cluster.positions, None)[1]
    np.testing.assert_allclose(forces, numeric_forces(teacher, cluster), atol=1e-3)


def test_a_calibrated_water_finds_its_own_labels(boxes):
    pool, _ = boxes
    wanted = calibrate._moved(
        water.SPC_FW, dict(stiffness=0.5, r0=-0.4, k_angle=0.7, theta0=0.3, sigma=0.4)
    )
    frames = []
    for atoms in pool[:2]:
        known = system_energy_forces(water.water_system(wanted, atoms), atoms)
        frames += data.label([atoms], known)
    fitted, report = calibrate.water(water.SPC_FW, frames)
    assert report["force_mae"][1] < 0.05 * report["force_mae"][0]
    for name in ("r0", "k_angle", "theta0"):
        assert getattr(fitted, name) == pytest.approx(getattr(wanted, name), rel=0.01)


@pytest.mark.slow
def test_parameters_stay_physical(boxes):
    pool, _ = boxes
    chosen = np.random.default_rng(0).choice(len(pool), 20, replace=False)
    for k in chosen:
        fitted, report = calibrate.water(water.Q_TIP4P_F, [pool[k]])
        assert 0.93 < fitted.r0 < 0.99
        assert 100 < fitted.theta0 < 112
        assert 0.45 < fitted.charge < 0.65
        assert 0.05 < fitted.epsilon < 0.35
        assert 2.9 < fitted.sigma < 3.4
        assert 0.6 < fitted.gamma < 0.85
        assert 0.5 < fitted.stretch[0] / water.Q_TIP4P_F.stretch[0] < 1.5
        assert report["force_mae"][1] < 0.6 * report["force_mae"][0]


def test_a_calibrated_water_runs(boxes):
    fitted, _ = calibrate.water(water.SPC_FW, boxes[0][:1])
    box = water.water_box(16, density=0.95, seed=0)
    system = water.water_system(fitted, box)
    how = dict(temperature=300.0, every=500, friction=0.01, seed=0)
    frames = dynamics.simulate(box, system, steps=5000, **how)
    analysis.check_water(frames[-1])
    assert astuple(fitted) != astuple(water.SPC_FW)


def test_rows_that_no_penalty_holds_are_refused():
    with pytest.raises(ValueError, match="X: needs numbers near those of the penalt"):
        calibrate.ridge(np.eye(3) * 1e8, np.arange(3.0))
