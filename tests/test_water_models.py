"""Three flexible water models against their published formulas; sites stay hidden."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from ase import units

from tpainn_lite import dynamics, engine, water

KCAL = units.kcal / units.mol  # eV
COULOMB = 14.399645  # eV Å / e²: 1 / (4 pi epsilon_0)
MODELS = list(water.MODELS.values())


def by_name(model):
    return model.name


def stretch(model, x):
    """Energy of one O-H bond (eV), as the papers write it."""
    if model is water.Q_TIP4P_F:  # Habershon 2009, equation 4
        a = 2.287 * x
        return 116.09 * KCAL * (a**2 - a**3 + 7 / 12 * a**4)
    constant = {"SPC/Fw": 1059.162 / 2, "flexible TIP3P": 450.0}[model.name]
    return constant * KCAL * x**2


def energy_of(model, atoms):
    """Springs, charges and Lennard-Jones of an open cluster (eV), in NumPy."""
    energy, charges, places = 0.0, [], []
    for o, h1, h2 in atoms.positions.reshape(-1, 3, 3):
        arms = np.array([h1 - o, h2 - o])
        lengths = np.linalg.norm(arms, axis=1)
        angle = np.degrees(np.arccos(arms[0] @ arms[1] / lengths.prod()))
        energy += sum(stretch(model, r - model.r0) for r in lengths)
        bend = np.radians(angle - model.theta0)
        energy += model.k_angle / 2 * KCAL * bend**2
        m = model.gamma * o + (1 - model.gamma) / 2 * (h1 + h2)
        places.append([m, h1, h2])
        charges.append([-2 * model.charge, model.charge, model.charge])
    oxygens = atoms.positions[::3]
    for a in range(len(places)):
        for b in range(a):
            s6 = (model.sigma / np.linalg.norm(oxygens[a] - oxygens[b])) ** 6
            energy += 4 * model.epsilon * KCAL * (s6**2 - s6)
            apart = np.array(places[a])[:, None] - np.array(places[b])
            q = np.outer(charges[a], charges[b])
            energy += COULOMB * (q / np.linalg.norm(apart, axis=2)).sum()
    return energy


@pytest.fixture(scope="module")
def cluster():
    atoms = water.water_box(8, seed=3)[:12]
    atoms.pbc, atoms.cell = False, None
    atoms.rattle(0.05, seed=4)
    return atoms


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_energy_is_the_published_one(model, cluster):
    labels = engine.system_energy_forces(water.water_system(model, cluster), cluster)
    energy, forces = labels(cluster.numbers, cluster.positions, None)
    assert energy == pytest.approx(energy_of(model, cluster), abs=2e-5)
    assert forces.shape == (12, 3)  # the fourth site never shows
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-9)


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_forces_are_the_gradient(model, cluster, numeric_forces):
    system = water.water_system(model, cluster)
    labels = engine.system_energy_forces(system, cluster)
    _, forces = labels(cluster.numbers, cluster.positions, None)
    np.testing.assert_allclose(numeric_forces(labels, cluster), forces, atol=2e-6)


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_wrapped_molecules_are_the_same_molecules(model):
    box = water.water_box(16, seed=2)
    box.rattle(0.05, seed=1)
    wrapped = box.copy()
    wrapped.positions += 3.0
    wrapped.wrap()
    assert not np.allclose(wrapped.positions, box.positions + 3.0)  # some were split
    answers = []
    for atoms in (box, wrapped):
        labels = engine.system_energy_forces(
            water.water_system(model, atoms, tolerance=1e-6), atoms
        )
        answers.append(labels(atoms.numbers, atoms.positions, atoms.cell.array))
    assert answers[0][0] == pytest.approx(answers[1][0], abs=2e-3)
    np.testing.assert_allclose(answers[0][1], answers[1][1], atol=2e-3)


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_energy_is_conserved(model):
    box = water.water_box(16, density=0.9, seed=1)
    system = water.water_system(model, box)
    warm = dynamics.simulate(box, system, steps=400, every=400, friction=0.05)[-1]
    frames = dynamics.simulate(warm, system, steps=400, every=40, temperature=None)
    total = np.array(
        [a.get_potential_energy() + a.info["kinetic_energy"] for a in frames]
    )
    assert np.ptp(total) / len(box) < 1e-3  # eV/atom; half-step kinetic energies
    assert len(frames[0]) == len(box)


@pytest.mark.parametrize("model", MODELS, ids=by_name)
def test_parameters_may_come_from_numpy(model, cluster):
    stretch = np.array(model.stretch)
    plain = {k: v for k, v in asdict(model).items() if isinstance(v, float)}
    same = replace(
        model, stretch=stretch, **{k: np.float64(v) for k, v in plain.items()}
    )
    assert same == model
    assert hash(same) == hash(model)
    labels = engine.system_energy_forces(water.water_system(same, cluster), cluster)
    energy, _ = labels(cluster.numbers, cluster.positions, None)
    assert energy == pytest.approx(energy_of(model, cluster), abs=1e-6)
    with pytest.raises(ValueError, match="charge: needs finite numbers, got nan"):
        replace(model, charge=np.nan)
