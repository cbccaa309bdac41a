"""SPC/Fw water against NumPy, term by term, and boxes that hold what they promise."""

import numpy as np
import openmm
import pytest
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from scipy.special import erfc

from tpainn_lite import analysis, datasets, dynamics, engine, water
from tpainn_lite.analysis import nearest_image

KCAL = units.kcal / units.mol  # eV
COULOMB = 14.399645  # eV Å / e²: 1 / (4 pi epsilon_0)
CHARGES = (-0.82, 0.41, 0.41)


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


def energy_forces(atoms, **options):
    system = water.spc_fw(atoms, **options)
    cell = atoms.cell.array if atoms.pbc.any() else None
    labels = engine.system_energy_forces(system, atoms)
    return labels(atoms.numbers, atoms.positions, cell)


def springs(atoms):
    """Bond and angle terms from the published parameters, with k/2 x² (Wu 2006)."""
    energy, forces = 0.0, np.zeros((len(atoms), 3))
    for o in range(0, len(atoms), 3):
        arms = atoms.positions[[o + 1, o + 2]] - atoms.positions[o]
        lengths = np.linalg.norm(arms, axis=1)
        units_ = arms / lengths[:, None]
        cosine = units_[0] @ units_[1]
        bend = np.arccos(cosine) - np.radians(113.24)
        energy += KCAL * 1059.162 / 2 * ((lengths - 1.012) ** 2).sum()
        energy += KCAL * 75.90 / 2 * bend**2
        for k in (0, 1):
            push = -KCAL * 1059.162 * (lengths[k] - 1.012) * units_[k]
            gradient = -(units_[1 - k] - cosine * units_[k]) / lengths[k]
            push -= KCAL * 75.90 * bend * gradient / np.sqrt(1 - cosine**2)
            forces[o + 1 + k] += push
            forces[o] -= push
    return energy, forces


def pairs(atoms, coulomb, lennard_jones, shifts=((0, 0, 0),)):
    """Sum of pair terms over images; each term maps r to (energy, -dE/dr)."""
    energy, forces = 0.0, np.zeros((len(atoms), 3))
    q = np.tile(CHARGES, len(atoms) // 3)
    oxygen, molecule = atoms.numbers == 8, np.arange(len(atoms)) // 3
    for shift in shifts:
        vectors = atoms.positions[:, None] - atoms.positions - shift @ atoms.cell.array
        r = np.linalg.norm(vectors, axis=2)
        r[r == 0] = np.inf
        if not np.any(shift):
            r[molecule[:, None] == molecule] = np.inf
        e, f = coulomb(r)
        e, f = e * np.outer(q, q), f * np.outer(q, q)
        e_lj, f_lj = lennard_jones(r)
        both = np.outer(oxygen, oxygen)
        energy += (e + e_lj * both).sum() / 2
        forces += np.einsum("ij,ijk->ik", (f + f_lj * both) / r, np.nan_to_num(vectors))
    return energy, forces


def lennard_jones(r):
    s6 = (3.165492 / r) ** 6
    energy = 4 * 0.1554253 * KCAL * (s6**2 - s6)
    return energy, 24 * 0.1554253 * KCAL * (2 * s6**2 - s6) / r


def switched(cutoff):
    """OpenMM's switching function: 1 - 10 x³ + 15 x⁴ - 6 x⁵ from 0.9 cutoff on."""

    def term(r):
        energy, force = lennard_jones(r)
        width = 0.1 * cutoff
        x = np.clip((r - 0.9 * cutoff) / width, 0, 1)
        s = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5
        slope = (-30 * x**2 + 60 * x**3 - 30 * x**4) / width
        return energy * s, force * s - energy * slope

    return term


def tail(atoms, cutoff):
    """Correction for the Lennard-Jones energy that the switch removes, eV.

    OpenMM counts N(N + 1)/2 pairs of N particles: each pairs with its own images too.
    """
    r = np.linspace(0.9 * cutoff, 40 * cutoff, 400_001)
    missing = lennard_jones(r)[0] - switched(cutoff)(r)[0]
    integral = np.trapezoid(missing * 4 * np.pi * r**2, r)
    beyond = -4 * 0.1554253 * KCAL * 3.165492**6 * 4 * np.pi / (3 * r[-1] ** 3)
    n, oxygens = len(atoms), (atoms.numbers == 8).sum()
    share = oxygens * (oxygens + 1) / (n * (n + 1))
    return n**2 * share / (2 * atoms.get_volume()) * (integral + beyond)


def ewald(atoms, alpha, reach):
    """Reciprocal, self and intramolecular parts of an Ewald sum, eV and eV/Å."""
    q = np.tile(CHARGES, len(atoms) // 3)
    steps = np.array(list(np.ndindex(*[2 * reach + 1] * 3))) - reach
    k = 2 * np.pi * steps[np.any(steps, axis=1)] @ atoms.cell.reciprocal()
    k2 = (k**2).sum(axis=1)
    weight = 4 * np.pi / atoms.get_volume() * np.exp(-k2 / (4 * alpha**2)) / k2
    phase = np.exp(1j * atoms.positions @ k.T)  # (N, K)
    structure = q @ phase
    energy = (weight * abs(structure) ** 2).sum() / 2 - alpha / np.sqrt(np.pi) * q @ q
    forces = q[:, None] * ((weight * (phase * structure.conj()).imag) @ k)
    for o in range(0, len(atoms), 3):
        for i, j in ((o, o + 1), (o, o + 2), (o + 1, o + 2)):
            d = atoms.positions[i] - atoms.positions[j]
            r = np.linalg.norm(d)
            full, f_full = 1 / r, 1 / r**2
            real, f_real = screened(alpha)(r)
            energy -= q[i] * q[j] * (full - real)
            push = -q[i] * q[j] * (f_full - f_real) * d / r
            forces[i] += push
            forces[j] -= push
    return COULOMB * energy, COULOMB * forces


def screened(alpha):
    def term(r):
        gauss = 2 * alpha / np.sqrt(np.pi) * np.exp(-((alpha * r) ** 2))
        return erfc(alpha * r) / r, erfc(alpha * r) / r**2 + gauss / r

    return term


def test_open_cluster_equals_numpy(cluster):
    energy, forces = energy_forces(cluster)
    e_springs, f_springs = springs(cluster)
    e_pairs, f_pairs = pairs(
        cluster, lambda r: (COULOMB / r, COULOMB / r**2), lennard_jones
    )
    assert energy == pytest.approx(e_springs + e_pairs, abs=2e-5)
    np.testing.assert_allclose(forces, f_springs + f_pairs, atol=2e-5)


def test_periodic_box_equals_own_ewald_sum(box):
    cutoff, alpha = 4.0, 0.6
    energy, forces = energy_forces(box, cutoff=cutoff, tolerance=1e-7)
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
    e_real, f_real = pairs(
        box,
        lambda r: tuple(COULOMB * x for x in screened(alpha)(r)),
        switched(cutoff),
        shifts,
    )
    e_far, f_far = ewald(box, alpha, reach=11)
    e_springs, f_springs = springs(box)
    expected = e_real + e_far + e_springs + tail(box, cutoff)
    assert energy == pytest.approx(expected, abs=2e-5)
    np.testing.assert_allclose(forces, f_real + f_far + f_springs, atol=5e-6)


@pytest.mark.parametrize("name", ["cluster", "box"])
def test_forces_are_the_derivative_of_the_energy(name, request):
    atoms, step = request.getfixturevalue(name).copy(), 1e-4
    options = {"tolerance": 1e-6} if name == "box" else {}
    labels = engine.system_energy_forces(water.spc_fw(atoms, **options), atoms)
    cell = atoms.cell.array if atoms.pbc.any() else None
    _, forces = labels(atoms.numbers, atoms.positions, cell)
    for i, k in ((0, 0), (1, 1), (5, 2), (12, 0)):
        ends = []
        for sign in (1, -1):
            moved = atoms.positions.copy()
            moved[i, k] += sign * step
            ends.append(labels(atoms.numbers, moved, cell)[0])
        slope = -(ends[0] - ends[1]) / (2 * step)
        assert forces[i, k] == pytest.approx(slope, abs=2e-4)


def test_default_tolerance_is_good_to_a_meV_per_angstrom(box):
    loose, tight = energy_forces(box)[1], energy_forces(box, tolerance=1e-7)[1]
    assert np.abs(loose - tight).max() < 5e-3
    assert np.abs(loose - tight).mean() < 1e-3


def test_a_stretched_bond_vibrates_at_the_frequency_of_k(cluster):
    """The factor 1/2: with E = k/2 x², omega = sqrt(k / mu), 3,630 cm⁻¹ for O-H."""
    theta, r0 = np.radians(113.24), 1.012
    arms = [[np.sin(theta), np.cos(theta), 0], [0, 1, 0]]

    def energy(stretch):
        ends = (r0 + np.array([stretch, 0.0]))[:, None] * arms
        return energy_forces(Atoms("OHH", [[0, 0, 0], *ends]))[0]

    h = 0.01
    k = (energy(h) - 2 * energy(0) + energy(-h)) / h**2  # eV/Å²
    assert k == pytest.approx(1059.162 * KCAL, rel=1e-6)
    mu = 15.999 * 1.008 / (15.999 + 1.008)  # u
    omega = np.sqrt(k / mu) * units.fs  # per fs
    wavenumber = omega / (2 * np.pi * 2.99792458e-5)  # cm⁻¹
    assert wavenumber == pytest.approx(3630, abs=10)


def test_bonds_are_flexible_and_atoms_whole():
    system = water.spc_fw(water.water_box(8, seed=0))
    assert system.getNumConstraints() == 0
    assert system.getNumParticles() == 24


def test_molecules_may_be_wrapped(box):
    wrapped = box.copy()
    wrapped.positions += 3.0
    wrapped.wrap()
    energy, forces = energy_forces(box, cutoff=4.0, tolerance=1e-6)
    again, forces_again = energy_forces(wrapped, cutoff=4.0, tolerance=1e-6)
    assert again == pytest.approx(energy, abs=1e-3)
    np.testing.assert_allclose(forces_again, forces, atol=1e-4)


def test_nve_keeps_its_energy():
    start = water.water_box(16, seed=1)
    system = water.spc_fw(start)
    warm = dynamics.simulate(start, system, steps=1000, friction=0.1, every=1000)[-1]
    frames = dynamics.simulate(
        warm, system, steps=2000, temperature=None, timestep=0.25, every=10
    )
    total = [a.get_potential_energy() + a.info["kinetic_energy"] for a in frames]
    drift = np.polyfit(np.arange(len(total)) * 2.5e-3, total, 1)[0]  # eV/ps
    assert abs(drift) / len(start) < 1e-4  # eV per atom and ps
    assert np.std(total) / len(start) < 5e-4


def test_langevin_holds_the_temperature():
    start = water.water_box(27, seed=2)
    system = water.spc_fw(start)
    run = dict(steps=2000, friction=0.1, every=20, seed=3)
    warm = dynamics.simulate(start, system, **run)[-1]
    frames = dynamics.simulate(warm, system, **run | {"steps": 4000})
    assert dynamics.temperatures(frames).mean() == pytest.approx(300, rel=0.05)


@pytest.mark.parametrize("n", [2, 5, 9, 17, 28, 64, 65, 125])
def test_box_has_the_density_and_no_overlap(n):
    atoms = water.water_box(n, density=0.9, seed=n)
    assert atoms.get_chemical_symbols() == ["O", "H", "H"] * n
    grams = atoms.get_masses().sum() / 6.02214076e23
    assert grams / (atoms.get_volume() * 1e-24) == pytest.approx(0.9, rel=1e-6)
    assert np.allclose(atoms.cell.lengths(), atoms.cell.lengths()[0])
    distances = atoms.get_all_distances(mic=True)
    molecule = np.arange(3 * n) // 3
    own = molecule[:, None] == molecule
    assert distances[~own].min() > 1.4
    oh = distances[own].reshape(n, 3, 3)[:, 0, 1:]
    np.testing.assert_allclose(oh, 1.012, atol=1e-6)


def test_box_is_the_same_for_a_seed():
    one, same, other = (water.water_box(20, seed=s).positions for s in (7, 7, 8))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


def test_a_scaled_box_keeps_its_molecules():
    box = water.water_box(8, density=0.9, seed=0)
    box.set_momenta(np.ones((24, 3)))
    box.positions += 1.7
    box.wrap()
    dense = water.scaled(box, 1.1)
    assert analysis.densities([dense])[0] == pytest.approx(1.1, abs=1e-9)
    bonds = (analysis.bond_vectors(a) for a in (box, dense))
    np.testing.assert_allclose(*bonds, atol=1e-9)
    np.testing.assert_array_equal(dense.get_momenta(), box.get_momenta())


def test_a_stretched_molecule_is_not_deformed_by_scaling():
    box = water.water_box(8, density=0.9, seed=0)
    bonds = analysis.bond_vectors(box)
    box.positions[1] = box.positions[0] + 1.4 * bonds[0]  # 1.42 Å
    box.positions += 0.1 - box.positions[1]  # across a face
    box.wrap()
    dense = water.scaled(box, 1.1)
    bonds = (analysis.bond_vectors(a) for a in (box, dense))
    np.testing.assert_allclose(*bonds, atol=1e-9)


def test_water_is_put_in_order_with_all_that_it_carries():
    """Oxygens first, hydrogens shuffled, wrapped; heavy water among them."""
    right = datasets.load("water-dft")["test"][0]
    right.set_momenta(np.arange(288.0).reshape(96, 3))
    right.set_masses(np.where(right.numbers == 1, 2.014, 15.999))
    shuffle = np.argsort(-right.numbers + np.random.default_rng(0).random(96))
    mixed = right[shuffle]
    mixed.wrap()
    mixed.calc = SinglePointCalculator(
        mixed,
        energy=right.get_potential_energy(),
        forces=right.get_forces()[shuffle],
    )
    found = water.ordered(mixed)
    assert found.numbers.tolist() == [8, 1, 1] * 32
    assert analysis.hydrogen_bonds(found) == 49
    assert found.get_potential_energy() == right.get_potential_energy()
    assert found.info == right.info
    # the same atoms: each is known by its momenta
    back = np.lexsort(found.get_momenta().T[::-1])
    np.testing.assert_array_equal(found.get_momenta()[back], right.get_momenta())
    np.testing.assert_array_equal(found.get_forces()[back], right.get_forces())
    np.testing.assert_array_equal(found.get_masses()[back], right.get_masses())
    gap = nearest_image(found.positions[back] - right.positions, right.cell.array)
    np.testing.assert_allclose(gap, 0, atol=1e-9)
    bonds = analysis.bond_vectors(found)
    np.testing.assert_allclose(  # no molecule is cut
        found.positions[found.numbers == 1],
        np.repeat(found.positions[::3], 2, axis=0) + bonds,
        atol=1e-9,
    )


def test_only_labels_of_these_positions_are_carried_along():
    atoms = datasets.load("water-dft")["test"][0]
    atoms.positions[0] += 0.01
    assert water.ordered(atoms).calc is None


def test_an_open_cluster_is_put_in_order_too():
    pair = Atoms("OOHHHH", [[0, 0, 0], [5, 0, 0], *np.eye(3)[:2], [5, 1, 0], [5, 0, 1]])
    found = water.ordered(pair[[0, 1, 4, 2, 5, 3]])
    assert found.numbers.tolist() == [8, 1, 1] * 2
    np.testing.assert_allclose(np.linalg.norm(analysis.bond_vectors(found), axis=1), 1)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: water.water_box(0, seed=0), "n_molecules"),
        (lambda: water.scaled(water.water_box(8, seed=0), 0.0), "density"),
        (lambda: water.scaled(Atoms("OHH", np.eye(3)), 1.0), "periodic"),
        (
            lambda: water.scaled(Atoms("HOH", np.eye(3), cell=[9] * 3, pbc=True), 1.0),
            "O H H",
        ),
        (lambda: water.ordered(Atoms()), "two hydrogens for each oxygen"),
        (lambda: water.ordered(Atoms("OHHHe")), "got 1 oxygens, 2 .* 4 atoms"),
        (lambda: water.water_box(2.5, seed=0), "n_molecules"),
        (lambda: water.water_box(8, density=-1, seed=0), "density"),
        (lambda: water.water_box(8, density=float("nan"), seed=0), "density"),
        (lambda: water.water_box(8, density=4, seed=0), "density"),
        (lambda: water.spc_fw(Atoms()), "O H H"),
        (lambda: water.spc_fw(Atoms("HOH", np.eye(3))), "O H H"),
        (lambda: water.spc_fw(Atoms("OHHO", np.ones((4, 3)))), "O H H"),
        (lambda: water.spc_fw(water.water_box(8, seed=0), cutoff=9.0), "cutoff"),
        (lambda: water.spc_fw(water.water_box(8, seed=0), cutoff=-1.0), "cutoff"),
        (
            lambda: water.spc_fw(
                Atoms("OHH", np.eye(3), cell=[9, 9, 9], pbc=[True, True, False])
            ),
            "three directions",
        ),
    ],
)
def test_bad_input_is_refused_in_words(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_it_is_particle_mesh_ewald_only_where_there_is_a_box(cluster, box):
    for atoms, method in ((cluster, "NoCutoff"), (box, "PME")):
        forces = water.spc_fw(atoms).getForces()
        nonbonded = [f for f in forces if isinstance(f, openmm.NonbondedForce)]
        assert nonbonded[0].getNonbondedMethod() == getattr(
            openmm.NonbondedForce, method
        )
