"""Water models against their published formulas, boxes, and molecules in order."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from scipy.special import erfc

from tpainn_lite import analysis, datasets, dynamics, engine, water
from tpainn_lite.analysis import nearest_image
from tpainn_lite.data import cell_of

KCAL = units.kcal / units.mol  # eV
COULOMB = 14.399645  # eV Å / e²: 1 / (4 pi epsilon_0)
SPC_FW = water.MODELS["spc-fw"]
every_model = pytest.mark.parametrize("model", water.MODELS.values(), ids=water.MODELS)


@pytest.fixture(scope="module")
def cluster():
    """Five molecules from a box, opened, every atom displaced by about 0.05 Å."""
    atoms = water.water_box(8, seed=3)[:15]
    atoms.pbc, atoms.cell = False, None
    atoms.rattle(0.05, seed=4)
    return atoms


@pytest.fixture(scope="module")
def box():
    atoms = water.water_box(27, seed=5)
    atoms.rattle(0.05, seed=6)
    return atoms


def field(model, atoms, tolerance=None, **options):
    """Energy and forces of a System; `tolerance` is OpenMM's, of its Ewald sum."""
    system = water.water_system(model, atoms, **options)
    if tolerance:
        system.getForces()[-1].setEwaldErrorTolerance(tolerance)
    return engine.system_energy_forces(system, atoms)


def energy_forces(atoms, model=SPC_FW, **options):
    labels = field(model, atoms, **options)
    return labels(atoms.numbers, atoms.positions, cell_of(atoms))


def springs(model, atoms):
    """Energy of all bonds and angles (eV), as the papers write it."""
    arms = atoms.positions.reshape(-1, 3, 3)[:, 1:] - atoms.positions[::3, None]
    lengths = np.linalg.norm(arms, axis=2)
    x = lengths - model.r0
    if model.name == "q-TIP4P/F":  # Habershon 2009, equation 4
        a = 2.287 * x
        stretch = 116.09 * (a**2 - a**3 + 7 / 12 * a**4)
    else:
        stretch = {"SPC/Fw": 1059.162 / 2, "flexible TIP3P": 450.0}[model.name] * x**2
    angles = np.arccos((arms[:, 0] * arms[:, 1]).sum(1) / lengths.prod(1))
    bend = model.k_angle / 2 * (angles - np.radians(model.theta0)) ** 2
    return KCAL * (stretch.sum() + bend.sum())


def charges(model, atoms):
    """Where charges are, (molecules, 3, 3) Å, and their size (3,): M, H, H."""
    o, h1, h2 = atoms.positions.reshape(-1, 3, 3).swapaxes(0, 1)
    m = model.gamma * o + (1 - model.gamma) / 2 * (h1 + h2)
    return np.stack([m, h1, h2], 1), model.charge * np.array([-2, 1, 1])


def pairs(model, atoms, coulomb, lennard_jones, shifts=((0, 0, 0),)):
    """Energy (eV) of pairs of molecules and their images; each term is one of r."""
    places, q = charges(model, atoms)
    oxygens, energy = atoms.positions[::3], 0.0
    for shift in shifts @ atoms.cell.array:
        other = np.full([len(places)] * 2, True)
        np.fill_diagonal(other, shift.any())
        apart = places[:, None, :, None] - places[:, None] - shift
        r = np.linalg.norm(apart, axis=-1)[other]  # (pairs, 3, 3) Å
        energy += (COULOMB * np.outer(q, q) * coulomb(r)).sum() / 2
        r = np.linalg.norm(oxygens[:, None] - oxygens - shift, axis=-1)[other]
        energy += lennard_jones(model, r).sum() / 2
    return energy


def lennard_jones(model, r):
    s6 = (model.sigma / r) ** 6
    return 4 * model.epsilon * KCAL * (s6**2 - s6)


def switched(cutoff):
    """OpenMM's switching function: 1 - 10 x³ + 15 x⁴ - 6 x⁵ from 0.9 cutoff on."""

    def term(model, r):
        x = np.clip((r - 0.9 * cutoff) / (0.1 * cutoff), 0, 1)
        return lennard_jones(model, r) * (1 - 10 * x**3 + 15 * x**4 - 6 * x**5)

    return term


def tail(model, atoms, cutoff):
    """Correction for the Lennard-Jones energy that the switch removes, eV.

    OpenMM counts N(N + 1)/2 pairs of N particles: each pairs with its own images too.
    """
    r = np.linspace(0.9 * cutoff, 40 * cutoff, 400_001)
    missing = lennard_jones(model, r) - switched(cutoff)(model, r)
    integral = np.trapezoid(missing * 4 * np.pi * r**2, r)
    beyond = -16 * np.pi * model.epsilon * KCAL * model.sigma**6 / (3 * r[-1] ** 3)
    n, oxygens = len(atoms) * (1 if model.gamma == 1 else 4 / 3), len(atoms) / 3
    share = oxygens * (oxygens + 1) / (n * (n + 1))
    return n**2 * share / (2 * atoms.get_volume()) * (integral + beyond)


def ewald(model, atoms, alpha, reach):
    """Reciprocal, self and intramolecular parts of an Ewald sum (eV)."""
    places, q = charges(model, atoms)
    steps = np.array(list(np.ndindex(*[2 * reach + 1] * 3))) - reach
    k = 2 * np.pi * steps[np.any(steps, axis=1)] @ atoms.cell.reciprocal()
    k2 = (k**2).sum(axis=1)
    weight = 4 * np.pi / atoms.get_volume() * np.exp(-k2 / (4 * alpha**2)) / k2
    structure = (np.exp(1j * places @ k.T) * q[:, None]).sum((0, 1))
    energy = (weight * abs(structure) ** 2).sum() / 2
    energy -= alpha / np.sqrt(np.pi) * len(places) * q @ q
    for i, j in ((0, 1), (0, 2), (1, 2)):
        r = np.linalg.norm(places[:, i] - places[:, j], axis=1)
        energy -= (q[i] * q[j] * (1 - erfc(alpha * r)) / r).sum()
    return COULOMB * energy


@every_model
def test_open_cluster_has_the_published_energy(model, cluster):
    energy, forces = energy_forces(cluster, model)
    known = springs(model, cluster)
    known += pairs(model, cluster, lambda r: 1 / r, lennard_jones)
    assert energy == pytest.approx(known, abs=2e-5)
    assert forces.shape == (15, 3)  # the fourth site never shows
    np.testing.assert_allclose(forces.sum(0), 0, atol=1e-9)


@every_model
def test_periodic_box_equals_own_ewald_sum(model, box):
    cutoff, alpha = 4.0, 0.6
    energy, _ = energy_forces(box, model, cutoff=cutoff, tolerance=1e-7)
    images = np.array(list(np.ndindex(3, 3, 3))) - 1
    near = pairs(model, box, lambda r: erfc(alpha * r) / r, switched(cutoff), images)
    far = ewald(model, box, alpha, reach=11) + tail(model, box, cutoff)
    assert energy == pytest.approx(near + far + springs(model, box), abs=3e-5)


@every_model
def test_forces_are_the_derivative_of_the_energy(model, cluster, box, numeric_forces):
    for atoms, options, atol in ((cluster, {}, 2e-6), (box, {"tolerance": 1e-6}, 2e-4)):
        labels = field(model, atoms, **options)
        _, forces = labels(atoms.numbers, atoms.positions, cell_of(atoms))
        some = [0, 1, 5, 12]
        found = numeric_forces(labels, atoms, chosen=some)
        np.testing.assert_allclose(found, forces[some], atol=atol)


def test_default_tolerance_is_good_to_a_meV_per_angstrom(box):
    loose, tight = energy_forces(box)[1], energy_forces(box, tolerance=1e-7)[1]
    assert np.abs(loose - tight).max() < 5e-3
    assert np.abs(loose - tight).mean() < 1e-3


@every_model
def test_molecules_may_be_wrapped(model, box):
    wrapped = box.copy()
    wrapped.positions += 3.0
    wrapped.wrap()
    assert not np.allclose(wrapped.positions, box.positions + 3.0)  # some were split
    one, other = (energy_forces(a, model, tolerance=1e-6) for a in (box, wrapped))
    assert one[0] == pytest.approx(other[0], abs=2e-3)
    np.testing.assert_allclose(one[1], other[1], atol=2e-3)


@every_model
def test_energy_is_conserved(model):
    box = water.water_box(16, density=0.9, seed=1)
    system = water.water_system(model, box)
    how = dict(steps=400, every=400, friction=0.05, seed=0)
    warm = dynamics.simulate(box, system, **how)[-1]
    how = dict(steps=1000, every=10, temperature=None, timestep=0.25, seed=0)
    frames = dynamics.simulate(warm, system, **how)
    total = [a.get_potential_energy() + a.info["kinetic_energy"] for a in frames]
    drift = np.polyfit(np.arange(len(total)) * 2.5e-3, total, 1)[0]  # eV/ps
    assert abs(drift) / len(box) < 2e-4  # eV per atom and ps
    assert np.std(total) / len(box) < 5e-4
    assert len(frames[0]) == len(box)


@pytest.mark.parametrize("n", [2, 5, 17, 64, 125])
def test_box_has_the_density_and_no_overlap(n):
    atoms = water.water_box(n, density=0.9, seed=n)
    assert atoms == water.water_box(n, density=0.9, seed=n)
    assert atoms.get_chemical_symbols() == ["O", "H", "H"] * n
    grams = atoms.get_masses().sum() / 6.02214076e23
    assert grams / (atoms.get_volume() * 1e-24) == pytest.approx(0.9, rel=1e-6)
    assert np.ptp(atoms.cell.cellpar()[:3]) == pytest.approx(0)
    distances = atoms.get_all_distances(mic=True)
    own = np.kron(np.eye(n), np.ones((3, 3))) > 0
    assert distances[~own].min() > 1.4
    oh = distances[own].reshape(n, 3, 3)[:, 0, 1:]
    np.testing.assert_allclose(oh, 1.012, atol=1e-6)


@pytest.mark.parametrize("stretched", [False, True])
def test_a_scaled_box_keeps_its_molecules(stretched):
    box = water.water_box(8, density=0.9, seed=0)
    box.set_momenta(np.ones((24, 3)))
    bonds = analysis.bond_vectors(box)
    if stretched:
        box.positions[1] = box.positions[0] + 1.4 * bonds[0]  # 1.42 Å
    box.positions += 0.1 - box.positions[1]  # across a face
    box.wrap()
    dense = water.scaled(box, 1.1)
    assert analysis.densities([dense])[0] == pytest.approx(1.1, abs=1e-9)
    bonds = (analysis.bond_vectors(a) for a in (box, dense))
    np.testing.assert_allclose(*bonds, atol=1e-9)
    np.testing.assert_array_equal(dense.get_momenta(), box.get_momenta())


def test_water_is_put_in_order_with_all_that_it_carries():
    """Oxygens first, hydrogens shuffled, wrapped; heavy water among them."""
    right = datasets.load("water-dft")["test"][0]
    right.set_momenta(np.arange(288.0).reshape(96, 3))
    right.set_masses(np.where(right.numbers == 1, 2.014, 15.999))
    shuffle = np.argsort(-right.numbers + np.random.default_rng(0).random(96))
    mixed = right[shuffle]
    mixed.wrap()
    energy, forces = right.get_potential_energy(), right.get_forces()
    mixed.calc = SinglePointCalculator(mixed, energy=energy, forces=forces[shuffle])
    found = water.ordered(mixed)
    assert found.numbers.tolist() == [8, 1, 1] * 32
    assert found.get_potential_energy() == energy
    back = np.lexsort(found.get_momenta().T[::-1])  # each atom is known by its momenta
    np.testing.assert_array_equal(found.get_momenta()[back], right.get_momenta())
    np.testing.assert_array_equal(found.get_forces()[back], forces)
    np.testing.assert_array_equal(found.get_masses()[back], right.get_masses())
    gap = nearest_image(found.positions[back] - right.positions, right.cell.array)
    np.testing.assert_allclose(gap, 0, atol=1e-9)
    arms = found.positions.reshape(-1, 3, 3)[:, 1:] - found.positions[::3, None]
    bonds = analysis.bond_vectors(found)
    np.testing.assert_allclose(arms.reshape(-1, 3), bonds, atol=1e-9)  # none is cut
    right.positions[0] += 0.01  # only labels of these positions are carried along
    assert water.ordered(right).calc is None


def test_waters_made_whole_in_a_skewed_cell_and_in_none():
    rng = np.random.default_rng(1)
    cell = np.array([[9.0, 0, 0], [1.5, 8.5, 0], [-1.0, 0.7, 9.5]])
    oxygens = np.array(list(np.ndindex(2, 2, 2))) / 2 @ cell + 0.2 * rng.random((8, 3))
    shape = np.array([[0.96, 0, 0], [-0.24, 0.93, 0]])
    hydrogens = (oxygens[:, None] + shape).reshape(-1, 3)[rng.permutation(16)]
    cluster = Atoms("O8H16", np.concatenate([oxygens, hydrogens]))
    box = Atoms(cluster, cell=cell, pbc=True)
    box.positions += rng.integers(-2, 3, (24, 3)) @ cell
    for atoms in (cluster, box):
        found = water.ordered(atoms)
        assert found.numbers.tolist() == [8, 1, 1] * 8
        arms = found.positions.reshape(8, 3, 3)[:, 1:] - found.positions[::3, None]
        np.testing.assert_allclose(arms[:, :, 0].sum(1), shape[:, 0].sum())
        np.testing.assert_allclose(np.sort(arms[:, :, 1]), [[0, 0.93]] * 8, atol=1e-9)
        np.testing.assert_array_equal(found.positions[::3], atoms.positions[:8])
    box.positions[8:10] = box.positions[0] + [[0, 0, 0.9], [0, 0.9, 0]]
    with pytest.raises(ValueError, match="exactly two hydrogens"):
        water.ordered(box)


NONE = [{"charge": -0.4}, {"sigma": 0.0}, {"gamma": 2.5}, {"stretch": ()}]


@pytest.mark.parametrize("wrong", [*NONE, {"stretch": (-500.0, 1.0)}], ids=str)
def test_a_model_that_is_none_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name}.*: needs"):
        replace(SPC_FW, **wrong)


def odd(formula, pbc):
    return Atoms(formula, np.eye(3), cell=[9, 9, 9], pbc=pbc)


def eight(**options):
    return water.water_box(8, seed=0, **options)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: eight(density=4), "density"),
        (lambda: eight(density=1e30), "density"),  # a minute of empty cells
        (lambda: water.water_box(10**9, seed=0), "n_molecules"),
        (lambda: water.scaled(eight(), 0.0), "density"),
        (lambda: water.scaled(odd("OHH", False), 1.0), "periodic"),
        (lambda: water.scaled(odd("HOH", True), 1.0), "O H H"),
        (lambda: water.ordered(Atoms("OHHHe")), "got 1 oxygens, 2 .* 4 atoms"),
        (lambda: water.water_system(water.SPC_FW, odd("HOH", False)), "O H H"),
        (lambda: water.water_system(SPC_FW, eight(), cutoff=9.0), "cutoff"),
        (
            lambda: water.water_system(water.SPC_FW, odd("OHH", [True, True, False])),
            "three directions",
        ),
    ],
)
def test_bad_input_is_refused_in_words(call, word):
    with pytest.raises(ValueError, match=word):
        call()
