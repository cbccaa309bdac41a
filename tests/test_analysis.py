"""Analysis against closed forms, ASE, and the same lattice written in other ways."""

from itertools import product

import numpy as np
import openmm
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell, molecule, niggli_reduce
from ase.geometry import find_mic
from scipy.signal import lfilter
from scipy.spatial.transform import Rotation

from tpainn_lite import analysis, data, datasets, dynamics, engine, units, water

SKEWED = np.array([[8.0, 0, 0], [2.5, 7.0, 0], [-2.0, 1.5, 9.0]])


# --- periodic geometry


def test_the_cell_of_an_open_structure_makes_no_images():
    plain, boxed = molecule("CH3CH2OH"), molecule("CH3CH2OH")
    boxed.set_cell([3.0, 3.0, 3.0])
    bonds = [analysis.bonds(atoms) for atoms in (plain, boxed)]
    assert len(bonds[0][0]) == 2 * 8
    assert np.linalg.norm(bonds[0][2], axis=1).max() < 1.6
    for one, other in zip(*bonds, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_array_equal(boxed.cell.lengths(), 3.0)  # it is the user's


def test_the_closest_pair():
    atoms = molecule("H2O")
    first, second, distance = data.closest_pair(atoms, 2.0)
    assert {first, second} in ({0, 1}, {0, 2})
    assert distance == pytest.approx(atoms.get_distance(0, 1), abs=1e-12)
    atoms.positions[2] = atoms.positions[0] + [0.0, 0.0, 10.2]
    atoms.set_cell([10.0, 10.0, 10.0])
    assert data.closest_pair(atoms, 0.5) is None
    atoms.pbc = True
    assert data.closest_pair(atoms, 0.5)[2] == pytest.approx(0.2)


def test_a_cut_molecule_is_mended():
    box = water.water_box(27, seed=0)
    cut = box.copy()
    cut.positions += 4.0
    cut.wrap()
    assert max(cut.get_distance(o, o + 1) for o in range(0, 81, 3)) > 5
    mended = engine.whole(cut)
    for o in range(0, 81, 3):
        bonds = [a.get_distances(o, [o + 1, o + 2]) for a in (mended, box)]
        np.testing.assert_allclose(*bonds)
        np.testing.assert_allclose(mended.positions[o], cut.positions[o])
    assert np.abs(engine.whole(box).positions - box.positions).max() < 1e-9


CELLS = {
    "box": np.diag([9.0, 7.0, 8.0]),
    "skewed": SKEWED,
    "fcc": 5.0 * (1 - np.eye(3)),  # angles of 60 degrees
    "bcc": 5.0 * (1 - 2 * np.eye(3)),  # angles of 109.5 degrees
    "hexagonal": np.array([[6.0, 0, 0], [-3.0, 27**0.5, 0], [0, 0, 5.0]]),
    "flat": np.array([[20.0, 0, 0], [9.9, 3.0, 0], [-9.0, 1.4, 4.0]]),
}
FAR = np.array([[1, 0, 0], [3, 1, 0], [-2, 4, 1]])


WAYS = {
    "as it is": np.eye(3),
    "added": np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]]),
    "far": FAR,
    "left-handed": np.eye(3)[[1, 0, 2]],
}


@pytest.fixture(params=product(CELLS, WAYS), ids=", ".join)
def described(request):
    """A lattice, a way to write its cell, and the vectors."""
    name, way = request.param
    return name, way, WAYS[way] @ CELLS[name]


def test_nearest_image_is_the_shortest_of_all(rng, described, monkeypatch):
    """In each description of a lattice, against ASE and all images in reach."""
    *_, cell = described
    vectors = rng.uniform(-15, 15, (300, 3))
    monkeypatch.setattr(analysis, "AT_ONCE", 100)
    _, lengths = find_mic(vectors, cell)
    found = analysis.nearest_image(vectors, cell)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), lengths, atol=1e-9)
    shifts = np.array(list(np.ndindex(9, 9, 9))) - 4
    images = found[:, None] + shifts @ analysis.reduced(cell)
    assert (np.linalg.norm(images, axis=2).min(axis=1) > lengths - 1e-9).all()
    moved = (found - vectors) @ np.linalg.inv(cell)
    np.testing.assert_allclose(moved, moved.round(), atol=1e-9)  # by cell vectors
    for k in (7, int(lengths.argmin())):  # one alone, and one that is near already
        one = analysis.nearest_image(vectors[k], cell)
        np.testing.assert_allclose(one, found[k], atol=1e-12)


def test_reach_is_that_of_the_lattice_not_of_its_description():
    for name, half in {"box": 3.5, "fcc": 5 / 2**0.5, "bcc": 5 * 3**0.5 / 2}.items():
        for cell in (CELLS[name], FAR @ CELLS[name]):
            assert analysis.reach(cell) == pytest.approx(half)


@pytest.mark.parametrize("turned", [False, True])
def test_openmm_takes_the_box_of_any_cell(described, turned):
    name, way, cell = described
    cell = cell @ Rotation.from_rotvec(turned * np.ones(3)).as_matrix()
    box = engine.Box.of(cell)
    for scale in (0.1, 0.0973, 0.1031):  # nm; a barostat scales too
        system = openmm.System()
        system.setDefaultPeriodicBoxVectors(*(scale * box.vectors))
    np.testing.assert_allclose(box.cell(box.vectors), cell, atol=1e-9)
    np.testing.assert_allclose(box.turn @ box.turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(box.turn) == pytest.approx(1)  # no mirror
    assert abs(np.linalg.det(box.combine)) == pytest.approx(1)  # the same lattice
    if way == "as it is" and name in ("box", "skewed", "hexagonal") and not turned:
        np.testing.assert_array_equal(box.turn, np.eye(3))
    if name != "fcc":  # which has more than one shortest triangle
        assert box.height() == pytest.approx(engine.Box.of(CELLS[name]).height())


# --- means and error bars


def autoregressive(phi, *shape):
    """Series (shape) with x_t = phi x_(t-1) + noise, stationary from the start."""
    noise = np.random.default_rng(0).normal(size=shape)
    noise[0] /= np.sqrt(1 - phi**2)
    return lfilter([1.0], [1.0, -phi], noise, axis=0)


@pytest.mark.parametrize("phi", [0.0, 0.8, 0.95])
def test_error_of_an_autoregressive_series(phi):
    # the variance of the mean tends to var x (1 + phi) / (1 - phi) / n
    n = 4096
    found = [analysis.mean_and_error(x)[1] for x in autoregressive(phi, n, 40).T]
    exact = np.sqrt((1 + phi) / (1 - phi) / (1 - phi**2) / n)
    assert np.mean(found) == pytest.approx(exact, rel=0.06)
    assert np.std(found) < 0.3 * exact


def test_two_standard_errors_hold_the_mean_of_a_short_series():
    """As of a shipped run: 500 frames, each like the one before (26 times g)."""
    series = autoregressive(0.9, 500, 1000).T
    means, errors = np.transpose([analysis.mean_and_error(x) for x in series])
    assert 0.88 < np.mean(np.abs(means) < 2 * errors) < 0.97


def test_mean_and_error_of_a_constant():
    assert analysis.mean_and_error([3.0] * 32) == (3.0, 0.0)
    assert analysis.mean_and_error([0.1] * 100) == (pytest.approx(0.1), 0.0)


# --- structure


@pytest.mark.parametrize("cell", [np.diag([12.0, 12, 12]), 1.5 * SKEWED])
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


def dimer_of_water(distance, angle):
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
    assert water.hydrogen_bonds(dimer_of_water(distance, angle)) == bonds


@pytest.fixture
def liquid_forces(rng):
    box = water.water_box(8, density=0.9, seed=3)
    box.wrap()  # molecules cut by the faces
    return box, rng.normal(size=(24, 3))


def test_force_parts_add_up_and_are_what_they_say(liquid_forces):
    box, forces = liquid_forces
    parts = water.force_parts(box, forces)
    np.testing.assert_allclose(sum(parts.values()), forces, atol=1e-12)
    again = {k: water.force_parts(box, v) for k, v in parts.items()}
    for name, part in parts.items():  # projections: a part has no other parts
        for other in parts:
            expected = part if other == name else 0.0
            np.testing.assert_allclose(again[name][other], expected, atol=1e-10)
    inner = parts["vibration"].reshape(-1, 3, 3)
    np.testing.assert_allclose(inner.sum(axis=1), 0, atol=1e-12)  # moves nothing


def test_springs_only_vibrate_and_gravity_only_translates(liquid_forces):
    box, _ = liquid_forces
    springs = np.zeros((24, 3))
    for o in range(0, 24, 3):
        for h in (1, 2):
            bond = box.get_distance(o, o + h, mic=True, vector=True)
            springs[o + h] -= 0.7 * bond
            springs[o] += 0.7 * bond
    weight = box.get_masses()[:, None] * [0.0, 0.0, -0.1]
    for name, forces in {"vibration": springs, "translation": weight}.items():
        part = water.force_parts(box, forces)[name]
        np.testing.assert_allclose(part, forces, atol=1e-12)


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
    assert water.hydrogen_bonds(labelled_box) == 49
    assert water.hydrogen_bonds(other) == 49
    found, expected = (analysis.bond_vectors(a) for a in (other, labelled_box))
    np.testing.assert_allclose(found, expected @ turn, atol=1e-8)
    forces = labelled_box.get_forces()
    parts = water.force_parts(other, forces @ turn)
    for name, part in water.force_parts(labelled_box, forces).items():
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
    pair = engine.whole(dimer_of_water(2.9, 10))
    pair.pbc, pair.cell = False, None
    assert water.hydrogen_bonds(pair) == 0  # its halves are in different images
    pair.positions[3:] += [12, 0, 0]
    assert water.hydrogen_bonds(pair) == 1


def swapped(atoms):
    """Water with one hydrogen for one of the nearest neighbour."""
    h = np.flatnonzero(atoms.numbers == 1)
    d = atoms.get_all_distances(mic=True)[np.ix_(h // 3 * 3, h)]
    longer = np.maximum(d, d.T)  # of the two bonds after each swap
    longer[h[:, None] // 3 == h // 3] = np.inf
    i, j = np.unravel_index(longer.argmin(), longer.shape)
    assert longer[i, j] < 2.6
    other = atoms.copy()
    other.positions[h[[i, j]]] = atoms.positions[h[[j, i]]]
    return other


@pytest.mark.parametrize(
    "call",
    [
        water.hydrogen_bonds,
        lambda a: water.force_parts(a, np.zeros((len(a), 3))),
        lambda a: water.scaled(a, 1.0),
        lambda a: water.water_system(water.MODELS["q-tip4p-f"], a),
    ],
    ids=["hydrogen_bonds", "force_parts", "scaled", "water_system"],
)
def test_hydrogens_of_other_molecules_are_refused(labelled_box, call):
    call(labelled_box)
    with pytest.raises(ValueError, match=r"order may be another .*water.ordered"):
        call(swapped(labelled_box))
    call(water.ordered(swapped(labelled_box)))


def test_stretched_and_dissociating_water_is_water():
    frames = [a for split in datasets.load("water-dft").values() for a in split]
    for r in np.linspace(0.7, 2.8, 8):
        frames.append(Atoms("OHH", [[0, 0, 0], [r, 0, 0], [-0.24, 0.93, 0]]))
    box = water.water_box(8, density=0.9, seed=0)
    system = water.water_system(water.MODELS["spc-fw"], box)
    frames += dynamics.simulate(
        box, system, steps=400, every=20, temperature=1000, friction=0.1, seed=0
    )
    for atoms in frames:
        analysis.check_water(atoms)


# --- motion


def walk(D, n, steps, dt, seed, length=10.0, drift=0.0):
    """Wrapped frames of `n` oxygens that diffuse with D (1e-9 m²/s)."""
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(2 * D / analysis.A2_PER_FS * dt)  # Å a step
    R = rng.uniform(0, length, (n, 3)) + np.cumsum(
        rng.normal(0, sigma, (steps, n, 3)) + drift, axis=0
    )
    frames = [Atoms(f"O{n}", r, cell=[length] * 3, pbc=True) for r in R]
    for atoms in frames:
        atoms.wrap()
    return frames


def diffusion(frames, dt=50.0, window=(0, 400), **how):
    return analysis.self_diffusion(frames, dt, fit_window=window, **how)


def test_diffusion_of_random_walks():
    found, errors = [], []
    for seed in range(12):
        frames = walk(2.3, 60, 400, 50.0, seed, drift=0.02)
        result = diffusion(frames, window=(500, 4000))
        found.append(result.value)
        errors.append(result.error)
    exact = 2.3 * (1 - 1 / 60)  # the common drift that is taken out is a 60th of it
    assert np.mean(found) == pytest.approx(exact, rel=0.03)
    assert np.mean(errors) == pytest.approx(np.std(found, ddof=1), rel=0.6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # their own
def test_mdanalysis_gives_the_same_structure_and_motion():
    mda = pytest.importorskip("MDAnalysis", reason="needs MDAnalysis")
    msd = pytest.importorskip("MDAnalysis.analysis.msd")
    rdf = pytest.importorskip("MDAnalysis.analysis.rdf")
    frames = datasets.runs("water-runs")["NVT"]["water-tuned-8"][-200:]
    R, masses = analysis.unwrap(frames), frames[0].get_masses()
    R -= np.average(R, axis=1, weights=masses)[:, None]  # drift
    universe = mda.Universe.empty(len(masses), trajectory=True)
    universe.add_TopologyAttr("name", frames[0].get_chemical_symbols())
    box = np.tile(frames[0].cell.cellpar(), (200, 1))
    universe.load_new(R, dimensions=box, dt=0.05)
    oxygens = universe.select_atoms("name O")
    theirs = rdf.InterRDF(
        oxygens, oxygens, 59, (0.0, 5.9), exclusion_block=(1, 1)
    ).run()
    r, g = analysis.rdf(frames, 8, 8, r_max=5.9, bins=59)
    np.testing.assert_allclose(theirs.results.bins, r)
    np.testing.assert_allclose(theirs.results.rdf, g, atol=2e-3)  # they use float32
    theirs = msd.EinsteinMSD(universe, select="name O", fft=False).run().results
    ours = analysis.self_diffusion(frames, fit_window=(1000, 4000))
    np.testing.assert_allclose(theirs.timeseries, ours.msd, rtol=1e-3, atol=1e-3)
    part = slice(20, 81)
    slope = np.polyfit(ours.times[part], theirs.timeseries[part], 1)[0]
    assert ours.value == pytest.approx(slope / 6 * analysis.A2_PER_FS, rel=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # their own
def test_kinisi_gives_the_same_diffusion_and_twice_the_error():
    """Theirs knows that displacements are correlated: why we ask for several runs."""
    kinisi = pytest.importorskip("kinisi.analyze", reason="needs kinisi")
    scipp = pytest.importorskip("scipp")
    fs, seed = scipp.Unit("fs"), np.random.RandomState(0)
    lags = scipp.arange("time interval", 50.0, 7001.0, 50.0, unit="fs")
    how = dict(time_step=50.0 * fs, step_skip=1 * scipp.Unit("one"), progress=False)
    for frames in datasets.runs("water-runs")["NVT"].values():
        ours = analysis.self_diffusion(frames[100:], fit_window=(2000, 7000))
        theirs = kinisi.DiffusionAnalyzer.from_ase(frames[100:], "O", dt=lags, **how)
        theirs.diffusion(2000.0 * fs, progress=False, random_state=seed)
        np.testing.assert_allclose(theirs.msd.values, ours.msd[1:141], rtol=0.02)
        D = theirs.D.values * 1e5  # from cm²/s
        assert D.mean() == pytest.approx(ours.value, rel=0.05)
        assert 1.6 < D.std() / ours.error < 2.2


def test_msd_by_fourier_transform_is_the_sum(rng):
    R = rng.normal(size=(17, 3, 3)).cumsum(axis=0)
    expected = [
        ((R[lag:] - R[: len(R) - lag]) ** 2).sum(axis=2).mean(axis=0)
        for lag in range(len(R))
    ]
    found = analysis.mean_square_displacements(R)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    flight = np.arange(10.0)[:, None, None] * np.array([[[0.1, 0, 0]]])
    msd = analysis.mean_square_displacements(flight)[:, 0]  # of free flight: quadratic
    np.testing.assert_allclose(msd, (0.1 * np.arange(10)) ** 2, atol=1e-12)


def test_unwrapping_in_a_skewed_cell(rng):
    steps = rng.normal(0, 0.4, (50, 4, 3)).cumsum(axis=0)
    R = rng.uniform(size=(4, 3)) @ SKEWED + steps
    frames = [Atoms("O4", r, cell=SKEWED, pbc=True) for r in R]
    for atoms in frames:
        atoms.wrap()
    found = analysis.unwrap(frames)
    np.testing.assert_allclose(found - found[0], R - R[0], atol=1e-9)


def test_open_structures_need_no_unwrapping():
    """An unwrapped trajectory without its box diffuses as it did in the box."""
    boxed = walk(2.3, 20, 100, 50.0, 0)
    R = analysis.unwrap(boxed)
    frames = [Atoms("O20", r) for r in R]
    frames[3].cell = [10] * 3  # a cell alone makes no images
    np.testing.assert_array_equal(analysis.unwrap(frames), R)
    found = [diffusion(f, window=(500, 2000)) for f in (boxed, frames)]
    assert found[0].value == pytest.approx(found[1].value, rel=1e-12)
    exact = 2.3 * (1 - 1 / 20)
    assert found[1].value == pytest.approx(exact, abs=4 * found[1].error)


def test_frequency_of_a_spring(dimer):
    atoms, spring = dimer
    frames = dynamics.simulate(
        atoms, spring, steps=8000, timestep=0.1, every=10, temperature=None, seed=0
    )
    wavenumber, weight = analysis.spectrum(frames, 1.0)
    omega = np.sqrt(30.0 / (atoms.get_masses()[0] / 2)) * units.ASE_FS  # rad/fs
    expected = omega * 1e15 / (2 * np.pi * 2.99792458e10)  # 1/cm: 4030
    peak = (wavenumber * weight).sum() / weight.sum()
    assert peak == pytest.approx(expected, rel=5e-3)
    assert weight.sum() == pytest.approx(1)
    assert weight[np.abs(wavenumber - expected) < 100].sum() > 0.99


def test_size_correction_of_64_waters():
    # 12.43 Å, 298.15 K, 0.890 mPa s: 0.560e-9 m²/s
    assert analysis.yeh_hummer(12.43, 298.15, 0.890) == pytest.approx(0.560, abs=2e-3)


def timed(frames, times):
    for atoms, t in zip(frames, times, strict=True):
        atoms.info["time_fs"] = t
        atoms.set_momenta(np.ones((len(atoms), 3)))
    return frames


def test_the_interval_is_what_the_frames_say():
    plain = diffusion(walk(2.3, 20, 100, 50.0, 0), window=(500, 2000))
    frames = timed(walk(2.3, 20, 100, 50.0, 0), 1000 + 50.0 * np.arange(100))
    for dt in (50.0, None):
        found = diffusion(frames, dt, window=(500, 2000))
        assert (found.value, found.error) == (plain.value, plain.error)
    assert diffusion(frames[::2], None).times[1] == 100
    del frames[0].info["time_fs"]  # a start without a time does not end the check
    assert analysis.frame_interval(frames, 50.0) == 50.0
    with pytest.raises(ValueError, match="need to be 25 fs apart, .* 50 to 50 fs"):
        analysis.frame_interval(frames, 25.0)


@pytest.mark.parametrize("dt", [1.0, None])
@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([*range(10), *range(11, 21)], "are 1 to 2 fs apart"),  # one is gone
        ([*range(10), *range(10)], "are -9 to 1 fs apart"),  # two runs
        ([5.0] * 20, "are 0 to 0 fs apart"),
        ([*range(19), np.nan], "frames need to be"),
    ],
)
def test_frames_that_are_not_evenly_spaced_in_time_are_refused(dt, times, words):
    frames = timed(walk(1.0, 5, 20, 1.0, 0), times)
    for quantity in (diffusion, analysis.spectrum):
        with pytest.raises(ValueError, match=words):
            quantity(frames, dt)


def test_one_atom_has_no_error_over_atoms():
    frames = walk(1.0, 5, 20, 50.0, 0)
    for atoms in frames:
        atoms.numbers[0] = 3
    found = diffusion(frames, element=3)
    assert np.isfinite(found.value)
    assert found.error == np.inf


# --- what is refused, in words


def changed(atoms, **changes):
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


def breathing(frames):
    for k, atoms in enumerate(frames):
        atoms.set_cell(atoms.cell * (1 + 0.001 * k), scale_atoms=True)
    return frames


def lost_its_box():
    """Water wrapped in a box that is not periodic."""
    return Atoms("OHH", [[0.1, 5, 5], [9.3, 5, 5.3], [0.7, 5.7, 5]], cell=[10] * 3)


R = 0.25 + 0.5 * np.arange(8)  # Å: the middle of each bin, up to 4 Å
FLAT = np.array([[5.0, 0, 0], [0, 5, 0], [5, 5, 0]])
SPAN = "cell: needs three vectors that span"


@pytest.mark.parametrize(
    ("call", "words"),
    [  # of a box of water b, and frames f of atoms that walk
        (lambda b, f: analysis.nearest_image(np.ones((2, 3)), FLAT), SPAN),
        (lambda b, f: engine.Box.of(0 * FLAT), SPAN),
        (lambda b, f: analysis.rdf([b], 8, 8, r_max=9.0), "r_max: .* up to 4.6"),
        (lambda b, f: analysis.rdf([], 8, 8, r_max=3.0), "frames: .* at least one"),
        (lambda b, f: analysis.rdf([b], 6, 8, r_max=3.0), "no pair"),
        (lambda b, f: analysis.rdf([b, b[3:]], 8, 8, r_max=3.0), "same atoms"),
        (lambda b, f: analysis.densities([b, Atoms("OHH")]), "frame 1 has pbc"),
        (lambda b, f: analysis.densities([changed(b, cell=None)]), SPAN),
        (lambda b, f: analysis.coordination(R, R, 1.0, 4.01), "cutoff: .* 0 to 4.00"),
        (lambda b, f: analysis.coordination(R, R, np.nan, 1.0), "density: .* got nan"),
        (lambda b, f: analysis.coordination(R, R * np.nan, 1.0, 1.0), "g: .* NaN"),
        (lambda b, f: analysis.mean_and_error([1.0] * 15), "needs 16 values"),
        (lambda b, f: analysis.mean_and_error([np.nan] + [1.0] * 31), "series: .* NaN"),
        (lambda b, f: water.force_parts(b, np.ones((3, 3))), "forces: .* .81, 3."),
        (lambda b, f: water.hydrogen_bonds(b[1:]), "O H H"),
        (lambda b, f: water.hydrogen_bonds(b, r_max=4.7), "r_max: .* up to 4.6"),
        (lambda b, f: water.hydrogen_bonds(b, r_max=np.nan), "r_max: .* got nan"),
        (lambda b, f: water.hydrogen_bonds(b, angle=np.nan), "angle: .* got nan"),
        (lambda b, f: analysis.reach(FLAT * np.nan), "cell: .* NaN"),
        (lambda b, f: analysis.nearest_image(R[:3] * np.nan, 9 * np.eye(3)), "vectors"),
        (lambda b, f: analysis.bonds(changed(b, pbc=[1, 1, 0])), "pbc=.True"),
        (lambda b, f: analysis.neighbours("ix", b, 3.0), "quantities: .* letters"),
        (lambda b, f: analysis.neighbours("ii", b, 3.0), "quantities: .* each once"),
        (lambda b, f: analysis.neighbours("i", b, np.inf), "cutoff: .* got inf"),
        (lambda b, f: analysis.rdf([b], 8, 8, r_max=3.0, bins=0), "bins: .* least 1"),
        (lambda b, f: diffusion(f, window=(0, 9, 10)), "fit_window: "),
        (lambda b, f: analysis.bond_vectors(changed(b, pbc=[1, 1, 0])), "pbc=.True"),
        (lambda b, f: analysis.check_water(lost_its_box()), "hydrogen 1 .* 9.2. Å fr"),
        (lambda b, f: analysis.yeh_hummer(12.0, 300.0, 0.0), "viscosity"),
        (lambda b, f: diffusion(f, None), "dt: needs .* None"),
        (lambda b, f: diffusion(f, np.nan), "dt: .* above 0"),
        (
            lambda b, f: diffusion(f, window=(0, 9000)),
            "fit_window: .* within 0 and 475",
        ),
        (lambda b, f: diffusion(f, element=1), "element: number 1 is not in O5"),
        (lambda b, f: diffusion(breathing(f)), "constant volume .* 0.19 Å"),
        (
            lambda b, f: analysis.unwrap([changed(f[1], pbc=False), f[2]]),
            "all periodic",
        ),
        (lambda b, f: analysis.unwrap([f[1], f[2][:4]]), "1 is O4 and frame 0 O5"),
        (
            lambda b, f: analysis.unwrap([changed(f[1], positions=R[:3] * np.nan)]),
            "NaN",
        ),
        (lambda b, f: analysis.unwrap([f[1], changed(f[2], cell=None)]), SPAN),
        (lambda b, f: analysis.spectrum(f, 1.0), "frames: need two or more with veloc"),
    ],
)
def test_words_for_what_cannot_be(call, words):
    with pytest.raises(ValueError, match=words):
        call(water.water_box(27, seed=0), walk(1.0, 5, 20, 50.0, 0))


@pytest.mark.parametrize("edge", [300.0, 50_000.0])
def test_empty_space_costs_nothing(edge):
    """Neighbours within 0.5 Å in so large a cell would need 10^8 bins and more."""
    box = molecule("H2O")
    box.set_cell([edge] * 3)
    box.pbc = True
    assert len(analysis.neighbours("i", box, 0.5)) == 0
    first, second, distance = analysis.neighbours("ijd", box, 1.2)
    np.testing.assert_allclose(distance, box.get_all_distances()[first, second])
    assert len(first) == 4
