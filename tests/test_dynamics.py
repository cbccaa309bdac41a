"""Dynamics against closed forms; errors that surface as themselves."""

import copy

import numpy as np
import openmm
import pytest
from ase import Atoms
from ase.io import read, write

from tpainn_lite import data, dynamics, molecules, units
from tpainn_lite.dynamics import simulate

NVE = {"temperature": None}


def total_energies(frames):
    return np.array(
        [a.get_potential_energy() + a.info["kinetic_energy"] for a in frames]
    )


@pytest.fixture
def heated(ethanol):
    """Ethanol in MMFF94's order of atoms, with momenta of 300 K, and MMFF94."""
    potential = molecules.mmff94("CCO")
    (start,) = molecules.conformers("CCO", seed=0)
    return simulate(potential, start, steps=400, friction=0.05, every=400)[0], potential


@pytest.mark.parametrize("name", ["ethanol", "ice"])
def test_openmm_sees_what_the_potential_says(potential, request, name):
    atoms = request.getfixturevalue(name)
    if name == "ice":  # OpenMM wants reduced cell vectors: these are
        assert abs(atoms.cell[1, 0]) < atoms.cell[0, 0] / 2
    system = dynamics.python_system(potential.energy_forces, atoms)
    energy, forces = dynamics.system_energy_forces(system, atoms)(
        atoms.numbers, atoms.positions, data.cell_of(atoms)
    )
    expected, expected_forces = potential.energy_forces(
        atoms.numbers, atoms.positions, data.cell_of(atoms)
    )
    assert energy == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(forces, expected_forces, atol=1e-6)


def test_system_energy_forces_against_the_formula(dimer, numeric_forces):
    atoms, spring = dimer
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    bond = openmm.HarmonicBondForce()  # E = k/2 (r - r0)², in kJ/mol and nm
    bond.addBond(0, 1, 0.074, 30.0 / units.KJ_MOL * units.NM**2)
    system.addForce(bond)
    potential = dynamics.system_energy_forces(system, atoms)
    for shift in (0.0, 0.1):
        moved = atoms.positions + [[0, 0, 0], [0, 0.2, shift]]
        expected, forces = spring(atoms.numbers, moved)
        energy, found = potential(atoms.numbers, moved, None)
        assert energy == pytest.approx(expected, abs=1e-9)
        np.testing.assert_allclose(found, forces, atol=1e-9)
    frames = simulate(system, atoms, steps=10, every=5, **NVE)  # a System runs too
    assert len(frames) == 2


def test_frequency_of_a_dimer(dimer):
    # ω = sqrt(k / μ); leap-frog measures 2/dt asin(ω dt / 2) of it.
    atoms, spring = dimer
    dt, steps = 0.1, 1500  # fs
    frames = simulate(spring, atoms, steps=steps, timestep=dt, every=1, **NVE)
    stretch = np.array([a.get_distance(0, 1) for a in frames]) - 0.74
    mu = atoms.get_masses()[0] / 2
    omega = np.sqrt(30.0 / mu) * units.ASE_FS  # rad/fs; ASE's time is Å sqrt(u/eV)
    expected = 2 / dt * np.arcsin(omega * dt / 2)
    crossings = np.flatnonzero((stretch[:-1] < 0) & (stretch[1:] >= 0))
    exact = crossings - stretch[crossings] / (
        stretch[crossings + 1] - stretch[crossings]
    )
    period = (exact[-1] - exact[0]) / (len(exact) - 1) * dt
    assert 2 * np.pi / period == pytest.approx(expected, rel=1e-5)
    assert expected * 1e15 / (2 * np.pi * 2.9979e10) == pytest.approx(
        4030, abs=30
    )  # /cm


def test_the_dimer_keeps_energy_and_momentum(dimer):
    atoms, spring = dimer
    frames = simulate(spring, atoms, steps=500, timestep=0.1, every=1, **NVE)
    energies = total_energies(frames)
    assert np.ptp(energies) < 2e-3 * energies.mean()  # 15 eV/Å² (0.06 Å)² = 0.054 eV
    assert energies.mean() == pytest.approx(15 * 0.06**2, rel=5e-3)
    assert np.abs([a.get_momenta().sum(0) for a in frames]).max() < 1e-9


def test_nve_drift_of_a_force_field(heated):
    start, potential = heated
    frames = simulate(potential, start, steps=4000, timestep=0.25, every=20, **NVE)
    energies = total_energies(frames) / len(start)  # eV/atom, over 1 ps
    time = np.array([a.info["time_fs"] for a in frames]) / units.PS
    drift = np.polyfit(time, energies, 1)[0]
    assert abs(drift) < 1e-4  # eV/atom/ps: 1 K an atom is 1.3e-4 eV
    assert energies.std() < 5e-4
    assert np.ptp([a.get_potential_energy() for a in frames]) > 0.1  # it moved


def test_nve_drift_of_painn(potential, ethanol):
    frames = simulate(
        potential.energy_forces, ethanol, steps=100, timestep=0.5, every=2, **NVE
    )
    energies = total_energies(frames)
    kinetic = np.array([a.info["kinetic_energy"] for a in frames])
    assert kinetic.max() > 0.02
    assert np.ptp(energies) < 0.01 * kinetic.max()
    half = len(energies) // 2
    change = energies[half:].mean() - energies[:half].mean()
    assert abs(change) < 1e-3 * kinetic.max()


def test_nve_goes_on_where_it_stopped(heated):
    start, potential = heated
    run = {"timestep": 0.5, "every": 10} | NVE
    whole = simulate(potential, start, steps=20, **run)
    second = simulate(potential, whole[0], steps=10, **run)
    np.testing.assert_allclose(second[0].positions, whole[1].positions, atol=1e-9)


def test_nvt_has_its_temperature(heated):
    # 500 frames 20 fs apart, friction 0.05/fs: nearly independent. One frame spreads by
    # T sqrt(2 / 27) = 0.27 T; the mean of 500 by 0.012 T, twice that if they correlate.
    start, potential = heated
    frames = simulate(
        potential, start, steps=20_000, friction=0.05, every=40, temperature=400, seed=5
    )
    kinetic = dynamics.temperatures(frames)[20:]
    assert kinetic.mean() == pytest.approx(400, rel=0.06)
    assert kinetic.std() / kinetic.mean() == pytest.approx(np.sqrt(2 / 27), rel=0.2)


def test_seeds_and_labels(heated):
    start, potential = heated
    del start.arrays["momenta"]
    a, b, c = (
        simulate(potential, start, steps=40, every=20, seed=s) for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(a[1].positions, b[1].positions)
    assert np.abs(a[1].positions - c[1].positions).max() > 1e-3
    assert [f.info["time_fs"] for f in a] == [10.0, 20.0]
    relabelled = data.label(a, potential)
    for x, y in zip(a, relabelled, strict=True):
        assert x.get_potential_energy() == pytest.approx(
            y.get_potential_energy(), abs=1e-6
        )
        np.testing.assert_allclose(x.get_forces(), y.get_forces(), atol=1e-6)
    assert "momenta" not in start.arrays
    assert start.info["time_fs"] == 200.0  # of the run before


def test_the_kinetic_energy_is_that_of_the_momenta_in_nvt(heated):
    start, potential = heated
    for frame in simulate(potential, start, steps=40, every=10):
        assert frame.get_kinetic_energy() == pytest.approx(frame.info["kinetic_energy"])


def test_frames_survive_a_file(heated, tmp_path):
    start, potential = heated
    frames = simulate(potential, start, steps=20, every=10)
    write(tmp_path / "run.extxyz", frames)
    again = read(tmp_path / "run.extxyz", ":")
    np.testing.assert_allclose(
        dynamics.temperatures(again), dynamics.temperatures(frames), rtol=1e-6
    )


def fails_after(calls, error):
    """A potential of no force that raises (or returns) `error` at some call."""
    count = iter(range(10**6))

    def potential(numbers, positions, cell):
        forces = np.zeros_like(positions)
        if next(count) >= calls:
            if isinstance(error, BaseException):
                raise error
            return error, forces
        return 0.0, forces

    return potential


def test_exceptions_surface_as_themselves(ethanol):
    class Broken(Exception):
        pass

    with pytest.raises(Broken, match="my own words"):
        simulate(fails_after(25, Broken("my own words")), ethanol, steps=50)
    with pytest.raises(Broken, match="at once"):
        simulate(fails_after(0, Broken("at once")), ethanol, steps=50)


def test_interrupt_returns_the_frames_there_are(ethanol):
    frames = simulate(
        fails_after(35, KeyboardInterrupt()), ethanol, steps=100, every=10
    )
    assert 2 <= len(frames) <= 3
    data.check(frames)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_surfaces(ethanol, value):
    with pytest.raises(FloatingPointError, match="between steps 20 and 30.*shorten"):
        simulate(fails_after(25, value), ethanol, steps=50, every=10)


def test_nan_forces_surface(ethanol):
    def potential(numbers, positions, cell):
        return 0.0, np.full_like(positions, np.nan)

    with pytest.raises(FloatingPointError, match="NaN or infinity"):
        simulate(potential, ethanol, steps=10)


def test_a_system_that_blows_up(dimer):
    atoms, _ = dimer
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    bond = openmm.HarmonicBondForce()
    bond.addBond(0, 1, 0.074, 1e12)
    system.addForce(bond)
    with pytest.raises(FloatingPointError, match="blew up"):
        simulate(system, atoms, steps=1000, every=100)


def test_wrong_number_of_atoms(potential, ethanol):
    system = dynamics.python_system(potential.energy_forces, ethanol)
    with pytest.raises(ValueError, match="9 particles, the structure 2 atoms"):
        simulate(system, Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), steps=10)


@pytest.mark.parametrize(
    "name", ["steps", "every", "timestep", "friction", "temperature"]
)
@pytest.mark.parametrize("value", [0, -1])
def test_bad_sizes(dimer, name, value):
    atoms, spring = dimer
    options = {"steps": 10, "every": 5} | {name: value}
    with pytest.raises(ValueError, match=name):
        simulate(spring, atoms, **options)


def test_too_few_steps_for_a_frame(dimer):
    with pytest.raises(ValueError, match="at least every=10, got 5"):
        simulate(dimer[1], dimer[0], steps=5, every=10)


def test_a_changing_cell_reaches_the_frames(potential, ice):
    system = dynamics.python_system(potential.energy_forces, ice)
    system.addForce(openmm.MonteCarloBarostat(5000.0, 300.0, 1))
    frames = simulate(system, ice, steps=10, every=5)
    assert len({round(a.get_volume(), 9) for a in frames}) > 1
    for a, b in zip(frames, data.label(frames, potential.energy_forces), strict=True):
        assert a.get_potential_energy() == pytest.approx(
            b.get_potential_energy(), abs=1e-6
        )


def test_the_start_is_not_changed(potential, ethanol):
    before = copy.deepcopy(ethanol)
    simulate(potential.energy_forces, ethanol, steps=2, every=1)
    assert ethanol == before
    assert ethanol.arrays.keys() == before.arrays.keys()
