"""Properties against closed forms: ideal gas, lattice, AR(1) noise, one dimer."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell, niggli_reduce

from tpainn_lite import analysis, datasets, dynamics, water
from tpainn_lite.analysis import whole


@pytest.mark.parametrize("phi", [0.0, 0.8, 0.95])
def test_error_of_an_autoregressive_series(phi):
    # x_t = phi x_(t-1) + noise: var of the mean -> var x (1 + phi) / (1 - phi) / n
    n, found = 4096, []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(size=n)
        x = np.empty(n)
        x[0] = noise[0] / np.sqrt(1 - phi**2)
        for t in range(1, n):
            x[t] = phi * x[t - 1] + noise[t]
        found.append(analysis.mean_and_error(x)[1])
    exact = np.sqrt((1 + phi) / (1 - phi) / (1 - phi**2) / n)
    assert np.mean(found) == pytest.approx(exact, rel=0.06)
    assert np.std(found) < 0.3 * exact


def test_mean_and_error_of_a_constant():
    assert analysis.mean_and_error([3.0] * 32) == (3.0, 0.0)
    assert analysis.mean_and_error([0.1] * 100) == (pytest.approx(0.1), 0.0)
    with pytest.raises(ValueError, match="needs 16 finite values"):
        analysis.mean_and_error([1.0] * 15)
    with pytest.raises(ValueError, match="got 32 with mean nan"):
        analysis.mean_and_error([np.nan, *[1.0] * 31])


def test_two_standard_errors_hold_the_mean_of_a_short_series():
    """As of a shipped run: 500 frames, each like the one before (26 times g)."""
    noise = np.random.default_rng(0).normal(size=(600, 1000))
    x = np.zeros_like(noise)
    for t in range(1, len(x)):
        x[t] = 0.9 * x[t - 1] + noise[t]
    found = np.array([analysis.mean_and_error(series) for series in x[100:].T])
    assert 0.88 < np.mean(np.abs(found[:, 0]) < 2 * found[:, 1]) < 0.97


def test_density_of_a_box():
    box = water.water_box(32, density=0.9, seed=0)
    np.testing.assert_allclose(analysis.densities([box, box]), 0.9, rtol=1e-12)


SKEWED = np.array([[12.0, 0, 0], [4.0, 11.0, 0], [-3.0, 2.0, 13.0]])


@pytest.mark.parametrize("cell", [np.diag([12.0, 12, 12]), SKEWED])
def test_an_ideal_gas_has_no_structure(rng, cell):
    frames = [
        Atoms("O40H80", rng.uniform(size=(120, 3)) @ cell, cell=cell, pbc=True)
        for _ in range(100)
    ]
    for one, other in ((8, 8), (8, 1), (1, 1)):
        r, g = analysis.rdf(frames, one, other, r_max=5.0, bins=10)
        assert r[0] == 0.25
        np.testing.assert_allclose(g[2:], 1.0, atol=0.06)


def test_a_lattice_has_its_neighbours():
    crystal = bulk("Po", "sc", a=3.0).repeat(4)
    r, g = analysis.rdf([crystal], 84, 84, r_max=5.9, bins=236)
    density = (len(crystal) - 1) / crystal.get_volume()  # of the others
    for cutoff, neighbours in ((3.5, 6), (4.5, 18), (5.5, 26)):
        found = analysis.coordination(r, g, density, cutoff)
        assert found == pytest.approx(neighbours, rel=2e-3)
    assert set(r[g > 0].round(1)) == {3.0, 4.2, 5.2}


def test_pairs_within_a_molecule_can_be_left_out():
    box = water.water_box(27, seed=1)
    r, with_bonds = analysis.rdf([box], 8, 1, r_max=4.0)
    molecules = np.arange(81) // 3
    _, between = analysis.rdf([box], 8, 1, r_max=4.0, molecules=molecules)
    assert with_bonds[r < 1.2].max() > 1
    assert between[r < 1.2].max() == 0
    density = 54 / box.get_volume()
    assert analysis.coordination(r, with_bonds, density, 1.2) == pytest.approx(2, 0.01)


def test_an_equal_element_is_not_its_own_neighbour():
    pair = Atoms("O2", [[0, 0, 0], [0, 0, 3.0]], cell=[10] * 3, pbc=True)
    r, g = analysis.rdf([pair], 8, 8, r_max=5.0, bins=50)
    assert (r[g > 0]).tolist() == pytest.approx([3.05])
    assert analysis.coordination(r, g, 1 / 1000, 4.0) == pytest.approx(1.0, rel=1e-3)


def dimer(distance, angle):
    """Two molecules; the donor's bond leaves the O-O axis by `angle` degrees."""
    a = np.radians(angle)
    donor = [[0, 0, 0], [np.cos(a), np.sin(a), 0], [-0.3, 0.95, 0.1]]
    acceptor = [[distance, 0, 0], [distance + 0.6, 0, 0.8], [distance + 0.6, 0, -0.8]]
    atoms = Atoms("OHHOHH", donor + acceptor, cell=[12] * 3, pbc=True)
    atoms.positions += [10.5, 6, 6]  # across a face
    atoms.wrap()
    return atoms


@pytest.mark.parametrize(
    ("distance", "angle", "bonds"),
    [(2.9, 0, 1), (2.9, 29, 1), (2.9, 31, 0), (3.4, 10, 1), (3.6, 10, 0)],
)
def test_hydrogen_bonds_of_a_dimer(distance, angle, bonds):
    assert analysis.hydrogen_bonds(dimer(distance, angle)) == bonds


R = 0.25 + 0.5 * np.arange(8)  # Å: the middle of each bin, up to 4 Å


def _with(box, **changes):
    for name, value in changes.items():
        setattr(box, name, value)
    return box


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda box: analysis.rdf([box], 8, 8, r_max=9.0), "r_max: .* up to 4.6"),
        (lambda box: analysis.rdf([], 8, 8, r_max=3.0), "frames: .* at least one"),
        (lambda box: analysis.rdf([box], 6, 8, r_max=3.0), "no pair"),
        (lambda box: analysis.rdf([Atoms("O2")], 8, 8, r_max=1.0), "periodic"),
        (lambda box: analysis.rdf([box, box[3:]], 8, 8, r_max=3.0), "same atoms"),
        (lambda box: analysis.densities([box, Atoms("OHH")]), "frame 1 with pbc"),
        (lambda box: analysis.densities([_with(box, pbc=False)]), "frame 0 with pbc"),
        (lambda box: analysis.densities([_with(box, cell=None)]), "frame 0 with pbc"),
        (lambda box: analysis.coordination(R, R, 0.03, 4.01), "cutoff: .* up to 4.00"),
        (lambda box: analysis.coordination(R, R, 0.03, -1.0), "cutoff: .* positive"),
        (lambda box: analysis.coordination(R, R, np.nan, 1.0), "density: .* got nan"),
        (lambda box: analysis.coordination(R, R[1:], 0.03, 1.0), "one finite g"),
        (lambda box: analysis.coordination(R, R * np.nan, 0.03, 1.0), "one finite g"),
        (lambda box: analysis.mean_and_error(np.ones((20, 2))), r"got shape .20, 2."),
        (
            lambda box: analysis.hydrogen_bonds(
                _with(box, positions=[[np.nan] * 3] * 81)
            ),
            "position is NaN",
        ),
        (lambda box: analysis.force_parts(box, np.ones((3, 3))), "forces: .* .81, 3."),
        (lambda box: analysis.hydrogen_bonds(box[1:]), "O H H"),
        (lambda box: analysis.hydrogen_bonds(box[:0]), "O H H"),
        (lambda box: analysis.hydrogen_bonds(box, r_max=4.7), "r_max: .* up to 4.6"),
        (lambda box: analysis.hydrogen_bonds(box, r_max=0.0), "r_max: .* positive"),
        (lambda box: analysis.rdf([box], 8, 8, r_max=np.nan), "r_max: .* got nan"),
    ],
)
def test_words_for_what_cannot_be(call, words):
    with pytest.raises(ValueError, match=words):
        call(water.water_box(27, seed=0))


@pytest.fixture
def liquid_forces(rng):
    box = water.water_box(8, density=0.9, seed=3)
    box.wrap()  # molecules cut by the faces
    return box, rng.normal(size=(24, 3))


def test_force_parts_add_up_and_are_what_they_say(liquid_forces):
    box, forces = liquid_forces
    parts = analysis.force_parts(box, forces)
    np.testing.assert_allclose(sum(parts.values()), forces, atol=1e-12)
    again = {k: analysis.force_parts(box, v) for k, v in parts.items()}
    for name, part in parts.items():  # projections: a part has no other parts
        for other in parts:
            expected = part if other == name else 0.0
            np.testing.assert_allclose(again[name][other], expected, atol=1e-10)
    inner = parts["vibration"].reshape(-1, 3, 3)
    np.testing.assert_allclose(inner.sum(axis=1), 0, atol=1e-12)  # moves nothing


def test_forces_within_molecules_are_vibration(liquid_forces):
    box, _ = liquid_forces
    forces = np.zeros((24, 3))
    for o in range(0, 24, 3):
        for h in (1, 2):
            bond = box.get_distance(o, o + h, mic=True, vector=True)
            forces[o + h] -= 0.7 * bond
            forces[o] += 0.7 * bond
    parts = analysis.force_parts(box, forces)
    np.testing.assert_allclose(parts["vibration"], forces, atol=1e-12)


def test_gravity_only_translates(liquid_forces):
    box, _ = liquid_forces
    weight = box.get_masses()[:, None] * [0.0, 0.0, -0.1]
    parts = analysis.force_parts(box, weight)
    np.testing.assert_allclose(parts["translation"], weight, atol=1e-12)


def test_force_parts_are_for_water():
    with pytest.raises(ValueError, match="O H H"):
        analysis.force_parts(bulk("Cu"), np.zeros((1, 3)))


def test_bonds_are_known_across_the_faces_of_the_box():
    box = water.water_box(8, density=1.0, seed=0)
    expected = [
        box.get_distance(3 * (k // 2), 3 * (k // 2) + 1 + k % 2, mic=True, vector=True)
        for k in range(16)
    ]
    np.testing.assert_allclose(analysis.bond_vectors(box), expected, atol=1e-12)
    moved = box.copy()
    moved.positions += [1.3, -0.7, 2.9]
    moved.wrap()
    np.testing.assert_allclose(analysis.bond_vectors(moved), expected, atol=1e-12)
    with pytest.raises(ValueError, match="ordered O H H"):
        analysis.bond_vectors(bulk("Cu"))


MIXED = ([[1, 0, 0], [1, 1, 0], [-1, 1, 1]], [[1, 0, 0], [2, 1, 0], [3, -2, 1]])


@pytest.fixture(scope="module")
def labelled_box():
    """A box of 32 waters with 49 hydrogen bonds in its cubic cell."""
    return datasets.load("water-dft")["test"][0]


@pytest.fixture(params=["added", "far", "niggli", "turned"])
def same_lattice(request, labelled_box):
    """The same box by other cell vectors, and what turns vectors (1 for most)."""
    turn, atoms = np.eye(3), labelled_box.copy()
    bonds = analysis.bond_vectors(labelled_box)
    if request.param == "added":
        atoms.set_cell(MIXED[0] @ atoms.cell.array)
    else:
        atoms = make_supercell(atoms, MIXED[1])
        assert len(atoms) == 96
    if request.param == "niggli":
        niggli_reduce(atoms)  # which turns it
        turn = np.linalg.lstsq(bonds, analysis.bond_vectors(atoms), rcond=None)[0]
    if request.param == "turned":
        atoms.rotate(37, (1, 2, 3), rotate_cell=True)
        turn = np.linalg.solve(MIXED[1] @ labelled_box.cell.array, atoms.cell.array)
    return atoms, turn


def test_a_lattice_written_in_another_way_is_the_same_box(labelled_box, same_lattice):
    other, turn = same_lattice
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-9)
    assert analysis.hydrogen_bonds(labelled_box) == 49
    assert analysis.hydrogen_bonds(other) == 49
    np.testing.assert_allclose(
        analysis.bond_vectors(other),
        analysis.bond_vectors(labelled_box) @ turn,
        atol=1e-8,
    )
    forces = labelled_box.get_forces()
    parts = analysis.force_parts(other, forces @ turn)
    for name, part in analysis.force_parts(labelled_box, forces).items():
        np.testing.assert_allclose(parts[name], part @ turn, atol=1e-8)
    for pair in ((8, 8), (8, 1)):
        of = [analysis.rdf([a], *pair, r_max=5.0)[1] for a in (labelled_box, other)]
        np.testing.assert_allclose(*of, atol=1e-8)
    i, j = np.triu_indices(96, 1)
    found = np.linalg.norm(analysis.displacements(other, i, j), axis=1)
    for atoms in (labelled_box, other):  # by ASE
        distances = atoms.get_all_distances(mic=True)[i, j]
        np.testing.assert_allclose(found, distances, atol=1e-8)


def test_an_open_cluster_has_no_images(labelled_box):
    cluster = labelled_box[:12]
    cluster.pbc = False
    vectors = analysis.displacements(cluster, [0, 0], [3, 6])
    expected = cluster.positions[[3, 6]] - cluster.positions[0]
    np.testing.assert_array_equal(vectors, expected)
    pair = whole(dimer(2.9, 10))
    pair.pbc, pair.cell = False, None
    assert analysis.hydrogen_bonds(pair) == 0  # its halves are in different images
    pair.positions[3:] += [12, 0, 0]
    assert analysis.hydrogen_bonds(pair) == 1
    cluster.cell, cluster.pbc = [10] * 3, [True, True, False]
    with pytest.raises(ValueError, match="pbc=.True, True, False."):
        analysis.bond_vectors(cluster)


def permuted(atoms):
    """Water with its hydrogens shuffled among the molecules."""
    hydrogens, order = np.flatnonzero(atoms.numbers == 1), np.arange(len(atoms))
    order[hydrogens] = np.random.default_rng(0).permutation(hydrogens)
    return atoms[order]


@pytest.mark.parametrize(
    "call",
    [
        analysis.hydrogen_bonds,
        lambda a: analysis.force_parts(a, np.zeros((len(a), 3))),
        lambda a: water.scaled(a, 1.0),
        lambda a: water.water_system(water.MODELS["q-tip4p-f"], a),
    ],
    ids=["hydrogen_bonds", "force_parts", "scaled", "water_system"],
)
def test_hydrogens_of_other_molecules_are_refused(labelled_box, call):
    call(labelled_box)
    for atoms in (permuted(labelled_box), swapped(labelled_box)):
        with pytest.raises(ValueError, match=r"order may be another .*water.ordered"):
            call(atoms)
        call(water.ordered(atoms))
    assert analysis.hydrogen_bonds(water.ordered(permuted(labelled_box))) == 49


def swapped(atoms):
    """One hydrogen for one of the nearest neighbour."""
    h = np.flatnonzero(atoms.numbers == 1)
    d = atoms.get_all_distances(mic=True)[np.ix_(h // 3 * 3, h)]
    longer = np.maximum(d, d.T)  # of the two bonds after each swap
    longer[h[:, None] // 3 == h // 3] = np.inf
    i, j = np.unravel_index(longer.argmin(), longer.shape)
    assert longer[i, j] < 2.6
    other = atoms.copy()
    other.positions[h[[i, j]]] = atoms.positions[h[[j, i]]]
    return other


def test_a_wrapped_molecule_that_lost_its_box_is_refused():
    one = Atoms("OHH", [[0.1, 5, 5], [9.3, 5, 5.3], [0.7, 5.7, 5]], cell=[10] * 3)
    one.pbc = True
    analysis.check_water(one)
    one.pbc = False
    with pytest.raises(ValueError, match="hydrogen 1 is 9.2. Å .* not periodic"):
        analysis.check_water(one)


def test_stretched_and_dissociating_water_is_water():
    frames = [a for name in ("water-dft", "water-scans") for a in _all_of(name)]
    for r in np.linspace(0.7, 2.8, 8):
        frames.append(Atoms("OHH", [[0, 0, 0], [r, 0, 0], [-0.24, 0.93, 0]]))
    box = water.water_box(8, density=0.9, seed=0)
    system = water.water_system(water.MODELS["spc-fw"], box)
    frames += dynamics.simulate(
        system, box, steps=400, every=20, temperature=1000, friction=0.1
    )
    for atoms in frames:
        analysis.check_water(atoms)


def _all_of(name):
    return sum(datasets.load(name).values(), [])
