"""Dynamics against closed forms; errors that surface as themselves."""

import contextlib
import copy
import gc
import math
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openmm
import psutil
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.morse import MorsePotential
from ase.constraints import FixAtoms
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from ase.neighborlist import neighbor_list
from scipy.spatial.transform import Rotation

from tpainn_lite import data, dynamics, engine, molecules, units, water
from tpainn_lite.dynamics import total_energy
from tpainn_lite.model import EnergyForcesCalculator

NVE = {"temperature": None}


def simulate(*args, seed=0, **how):
    return dynamics.simulate(*args, seed=seed, **how)


def total_energies(frames):
    return np.array([total_energy(a) for a in frames])


def pair_system(atoms, bond=None, rod=None):
    """An OpenMM System of two atoms: a spring (nm, kJ/mol/nm²), a rigid rod (nm)."""
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    if bond:
        force = openmm.HarmonicBondForce()  # E = k/2 (r - r0)²
        force.addBond(0, 1, *bond)
        system.addForce(force)
    if rod:
        system.addConstraint(0, 1, rod)
    return system


def push(strength):
    """A potential that pushes outwards, at no cost, or not at all."""

    def potential(numbers, positions, cell):
        return 0.0, strength * (positions - positions.mean(0))

    return potential


@pytest.fixture
def heated(ethanol):
    """Ethanol in MMFF94's order of atoms, with momenta of 300 K, and MMFF94."""
    potential = molecules.mmff94("CCO")
    (start,) = molecules.conformers("CCO", seed=0)
    return simulate(start, potential, steps=400, friction=0.05, every=400)[0], potential


def test_system_energy_forces_against_the_formula(dimer, numeric_forces):
    atoms, spring = dimer
    system = pair_system(atoms, (0.074, 30.0 / units.KJ_MOL * units.NM**2))
    potential = engine.system_energy_forces(system, atoms)
    for shift in (0.0, 0.1):
        moved = atoms.positions + [[0, 0, 0], [0, 0.2, shift]]
        expected, forces = spring(atoms.numbers, moved)
        energy, found = potential(atoms.numbers, moved, None)
        assert energy == pytest.approx(expected, abs=1e-9)
        np.testing.assert_allclose(found, forces, atol=1e-9)
    frames = simulate(atoms, system, steps=10, every=5, **NVE)  # a System runs too
    assert len(frames) == 2


def test_a_dimer_keeps_its_frequency_energy_and_momentum(dimer):
    # ω = sqrt(k / μ); leap-frog measures 2/dt asin(ω dt / 2) of it.
    atoms, spring = dimer
    dt, steps = 0.1, 1500  # fs
    frames = simulate(atoms, spring, steps=steps, timestep=dt, every=1, **NVE)
    stretch = np.array([a.get_distance(0, 1) for a in frames]) - 0.74
    mu = atoms.get_masses()[0] / 2
    omega = np.sqrt(30.0 / mu) * units.ASE_FS  # rad/fs; ASE's time is Å sqrt(u/eV)
    expected = 2 / dt * np.arcsin(omega * dt / 2)
    k = np.flatnonzero((stretch[:-1] < 0) & (stretch[1:] >= 0))
    exact = k - stretch[k] / (stretch[k + 1] - stretch[k])  # crossings
    period = (exact[-1] - exact[0]) / (len(exact) - 1) * dt
    assert 2 * np.pi / period == pytest.approx(expected, rel=1e-5)
    wavenumber = expected * 1e15 / (2 * np.pi * 2.9979e10)  # 1/cm
    assert wavenumber == pytest.approx(4030, abs=30)
    energies = total_energies(frames)
    assert np.ptp(energies) < 2e-3 * energies.mean()  # 15 eV/Å² (0.06 Å)² = 0.054 eV
    assert energies.mean() == pytest.approx(15 * 0.06**2, rel=5e-3)
    assert np.abs([a.get_momenta().sum(0) for a in frames]).max() < 1e-9


@pytest.mark.parametrize("how", [NVE, {"friction": 1e-12}])
def test_a_run_goes_on_from_its_frames(heated, how):
    # No friction, and the step of Langevin is Verlet's: its momenta stay what they are.
    start, potential = heated
    run = {"timestep": 0.5, "every": 10} | how
    whole = simulate(start, potential, steps=20, **run)
    second = simulate(whole[0], potential, steps=10, **run)
    np.testing.assert_allclose(second[0].positions, whole[1].positions, atol=1e-6)


@pytest.mark.parametrize("mass", [1.008, 2.014])
def test_nve_is_the_velocity_verlet_of_ase(heated, mass):
    start, potential = heated
    masses = start.get_masses()
    masses[start.numbers == 1] = mass
    start.set_masses(masses)
    start.set_velocities(
        np.random.default_rng(0).normal(size=(9, 3))
        * np.sqrt(units.KB * 600 / masses)[:, None]
    )
    frames = simulate(start, potential, steps=60, timestep=0.5, every=1, **NVE)
    twin = start.copy()
    twin.calc = EnergyForcesCalculator(potential)
    total = twin.get_total_energy()
    expected = VelocityVerlet(twin, 0.5 * units.ASE_FS)
    for frame in frames:
        expected.run(1)
        np.testing.assert_allclose(frame.positions, twin.positions, atol=1e-9)
        np.testing.assert_allclose(frame.get_momenta(), twin.get_momenta(), atol=1e-8)
        kinetic = twin.get_kinetic_energy()
        assert frame.info["kinetic_energy"] == pytest.approx(kinetic, abs=1e-8)
    # the energy at the start is that of the run: Verlet swings by 2 meV here
    np.testing.assert_allclose(total_energies(frames), total, atol=0.01)


def test_rigid_bonds_have_the_momenta_of_their_time(dimer):
    # Two atoms on a rigid rod turn about their centre at a constant speed.
    atoms, _ = dimer
    system = pair_system(atoms, rod=0.08)
    atoms.set_velocities([[0, -1, 0], [0, 1, 0]])
    kinetic = atoms.get_kinetic_energy()
    for frame in simulate(atoms, system, steps=200, every=20, timestep=0.2, **NVE):
        assert frame.get_kinetic_energy() == pytest.approx(kinetic, rel=1e-4)
        assert frame.info["kinetic_energy"] == pytest.approx(kinetic, rel=1e-4)
        rod = frame.positions[1] - frame.positions[0]
        assert abs(rod @ frame.get_velocities()[1]) < 1e-9


def with_heavy_hydrogen(box):
    box.set_masses([15.999, 2.014, 2.014] * 16)
    return box


def test_heavy_water_keeps_its_mass(liquid):
    heavy = with_heavy_hydrogen(liquid[0].copy())
    frame = simulate(heavy, water.water_system(water.SPC_FW, heavy), steps=10, **NVE)[0]
    assert frame.get_kinetic_energy() == pytest.approx(frame.info["kinetic_energy"])
    np.testing.assert_array_equal(frame.get_masses(), heavy.get_masses())


def test_nvt_has_its_temperature(heated):
    # 500 frames 20 fs apart, friction 0.05/fs: nearly independent. One frame spreads by
    # T sqrt(2 / 27) = 0.27 T; the mean of 500 by 0.012 T, twice that if they correlate.
    start, potential = heated
    how = dict(steps=20_000, friction=0.05, every=40, temperature=400, seed=5)
    frames = simulate(start, potential, **how)
    kinetic = dynamics.temperatures(frames)[20:]
    assert kinetic.mean() == pytest.approx(400, rel=0.06)
    assert kinetic.std() / kinetic.mean() == pytest.approx(np.sqrt(2 / 27), rel=0.2)


def test_seeds_and_labels(heated):
    start, potential = heated
    del start.arrays["momenta"]
    before = copy.deepcopy(start)
    run = dict(steps=40, every=20)
    a, b, c = (simulate(start, potential, seed=s, **run) for s in (0, 0, 1))
    assert start == before  # and 200 fs of the run before
    assert (start.arrays.keys(), start.info) == (before.arrays.keys(), before.info)
    np.testing.assert_array_equal(a[1].positions, b[1].positions)
    assert np.abs(a[1].positions - c[1].positions).max() > 1e-3
    assert [f.info["time_fs"] for f in a] == [10.0, 20.0]
    for x, y in zip(a, data.label(a, potential), strict=True):
        energies = x.get_potential_energy(), y.get_potential_energy()
        assert energies[0] == pytest.approx(energies[1], abs=1e-6)
        np.testing.assert_allclose(x.get_forces(), y.get_forces(), atol=1e-6)
        assert x.get_kinetic_energy() == pytest.approx(x.info["kinetic_energy"])


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


@pytest.mark.parametrize("calls", [0, 25])
def test_exceptions_surface_as_themselves(ethanol, calls):
    with pytest.raises(KeyError, match="my own words"):
        simulate(ethanol, fails_after(calls, KeyError("my own words")), steps=50)


def test_interrupt_returns_the_frames_there_are(ethanol):
    frames = simulate(ethanol, fails_after(35, KeyboardInterrupt()), steps=100)
    assert 2 <= len(frames) <= 3
    data.check(frames)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (lambda a, _: (a, fails_after(25, np.nan)), "between steps 20 and 30.*shorten"),
        (lambda a, _: (a, fails_after(25, np.inf)), "between steps 20 and 30.*shorten"),
        (lambda a, _: (a, lambda Z, R, cell: (0.0, R * np.nan)), "NaN or a huge force"),
        # a neighbour list of 1e20 Å hangs
        (lambda a, _: (a, lambda Z, R, cell: (0.0, 0 * R + 1e28)), "a huge force"),
        (lambda _, pair: (pair, pair_system(pair, (0.074, 1e12))), "blew up"),
    ],
)
def test_nan_and_huge_numbers_surface(ethanol, dimer, what, words):
    with pytest.raises(FloatingPointError, match=words):
        simulate(*what(ethanol, dimer[0]), steps=1000, every=10)


def test_a_python_system_takes_a_barostat(potential, ice):
    system = engine.python_system(potential.energy_forces, ice)
    run = dict(pressure=1.0, steps=10)
    found, expected = (simulate(ice, p, **run)[0] for p in (system, potential))
    np.testing.assert_array_equal(found.positions, expected.positions)
    assert system.getNumForces() == 1  # the barostat is in a copy


def test_runs_do_not_keep_their_potential(potential, ethanol):
    # each kept a pickle of the weights: 0.4 MB of this potential, 5 MB of a shipped one
    frozen, sizes = potential.frozen(), []
    for _ in range(11):
        for _ in range(20):
            simulate(ethanol, frozen, steps=1, every=1)
        gc.collect()
        sizes.append(psutil.Process().memory_info().rss / 1e6)
    assert sizes[-1] - sizes[0] < 5


@pytest.fixture(scope="module")
def liquid():
    """Sixteen SPC/Fw waters, warmed, and their System."""
    box = water.water_box(16, density=0.9, seed=1)
    system = water.water_system(water.SPC_FW, box)
    return simulate(box, system, steps=400, every=400, friction=0.05)[-1], system


@pytest.mark.parametrize("cut", [False, True])
def test_volume_moves_carry_rigid_molecules(liquid, cut, monkeypatch):
    # No forces, no speed, and a volume move every step: what changed lengths would be
    # the move.
    monkeypatch.setattr(engine, "BAROSTAT_EVERY", 1)
    start = liquid[0].copy()
    start.set_velocities(np.zeros((48, 3)))
    if cut:
        start.positions += 2.0
        start.wrap()
    before = [start.get_distances(o, [o + 1, o + 2], mic=True) for o in range(0, 48, 3)]
    run = dict(temperature=1e-6, pressure=1e-6, timestep=1e-9)
    after = simulate(start, push(0), steps=100, every=100, **run)[-1]
    assert abs(after.get_volume() / start.get_volume() - 1) > 0.01
    lengths = [after.get_distances(o, [o + 1, o + 2]) for o in range(0, 48, 3)]
    np.testing.assert_allclose(lengths, before, atol=1e-6)


def test_an_ideal_gas_of_molecules_has_its_volume(monkeypatch):
    # P V = (N + 1) kT for N molecules without forces, volume sampled by a barostat.
    n, pressure, kelvin = 27, 1000.0, 300.0
    kT = kelvin * 1.380649e-23
    expected = (n + 1) * kT / (pressure * 1e5) * 1e30  # Å³
    gas = water.water_box(n, density=0.5, seed=0)
    gas.set_cell([expected ** (1 / 3)] * 3, scale_atoms=False)
    monkeypatch.setattr(engine, "BAROSTAT_EVERY", 1)
    system = engine.python_system(push(0), gas)
    engine.add_barostat(system, gas, pressure, kelvin, 1)
    context = engine.make_context(system, gas, openmm.VerletIntegrator(1e-9))
    found = []
    for _ in range(6000):
        context.getIntegrator().step(1)
        found.append(engine.cell_of_state(context.getState())[0, 0] ** 3)
    # standard deviation of V is V / sqrt(N + 1) = 0.19 V; some 100 independent samples
    assert np.mean(found[500:]) == pytest.approx(expected, rel=0.08)


def test_what_may_be_a_potential(potential, ethanol):
    run = dict(steps=4, every=2, **NVE)
    expected = simulate(ethanol, potential.energy_forces, **run)[-1].positions
    for same in (potential, potential.calculator()):
        found = simulate(ethanol, same, **run)[-1].positions
        np.testing.assert_allclose(found, expected, atol=1e-9)
    twin = ethanol.copy()
    twin.calc = MorsePotential(epsilon=2.0, r0=1.1)  # a calculator of ASE's own
    frame = simulate(ethanol, twin.calc, **run)[-1]
    VelocityVerlet(twin, 0.5 * units.ASE_FS).run(4)
    np.testing.assert_allclose(frame.positions, twin.positions, atol=1e-9)


def test_a_particle_without_mass_stays(liquid):
    start, system = liquid
    system = copy.deepcopy(system)
    system.setParticleMass(0, 0.0)
    frames = simulate(start, system, steps=40, every=10, temperature=300)
    np.testing.assert_allclose(frames[-1].positions[0], start.positions[0], atol=1e-9)
    assert np.abs(frames[-1].positions[1] - start.positions[1]).max() > 0.01


NVT = {"every": 20, "friction": 0.02, "seed": 4}


@pytest.mark.parametrize("lost", [False, True])
def test_a_stopped_run_goes_on_as_if_it_had_not(liquid, tmp_path, lost):
    whole, file = simulate(*liquid, steps=120, **NVT), tmp_path / "runs" / "a.traj"
    run = NVT | {"steps": 120, "file": file}
    stopped = simulate(*liquid, on_frame=lambda f: len(read(file, ":")) == 3, **run)
    assert len(stopped) == 3
    if lost:
        write(file, stopped[:2])  # killed between state and frame
    with pytest.warns(match="lacked") if lost else contextlib.nullcontext():
        again = simulate(*liquid, **run)
    assert len(again) == len(read(file, ":")) == 6
    for a, b in zip(whole, again, strict=True):
        np.testing.assert_array_equal(a.positions, b.positions)
        np.testing.assert_array_equal(a.cell, b.cell)
        assert a.info["time_fs"] == b.info["time_fs"]
    assert len(simulate(*liquid, **run | {"steps": 60})) == 3


def test_npt_goes_on_from_the_volume_it_had(liquid, tmp_path):
    run = NVT | {"pressure": 1.0, "file": tmp_path / "a.traj"}
    first = simulate(*liquid, steps=200, **run)
    again = simulate(*liquid, steps=400, **run)
    assert len(again) == 20
    np.testing.assert_array_equal(again[9].cell, first[9].cell)
    assert len({round(a.get_volume(), 6) for a in again[10:]}) > 2
    assert abs(again[10].get_volume() / first[9].get_volume() - 1) < 0.05
    np.testing.assert_allclose(again[10].positions, first[9].positions, atol=1.5)


def test_a_run_does_not_go_on_with_another_potential(liquid, heated, tmp_path):
    start, _ = liquid
    run = NVT | {"steps": 40, "file": tmp_path / "a.traj"}
    simulate(*liquid, **run | {"steps": 20})
    other = water.water_system(water.MODELS["tip3p-flexible"], start)
    with pytest.raises(ValueError, match=r"a.traj holds another run \(other system\)"):
        simulate(start, other, **run)
    assert len(simulate(*liquid, **run)) == 2

    def changed(factor, shift):  # a Python potential is known by its forces
        def potential(*structure):
            energy, forces = heated[1](*structure)
            return factor * energy + shift, factor * forces

        return potential

    run["file"] = tmp_path / "b.traj"
    simulate(*heated, **run | {"steps": 20})
    for other in (changed(0.9, 0.0), changed(1.0, -1000.0)):
        with pytest.raises(ValueError, match="file: .*b.traj holds a run of another"):
            simulate(heated[0], other, **run)
    assert len(simulate(*heated, **run)) == 2


STARTS = {  # what of a start may differ, the formula being the same
    "numbers": lambda a: a.set_atomic_numbers(a.numbers[::-1]),
    "positions": lambda a: a.positions.__iadd__(1e-9),
    "cell": lambda a: a.set_cell(a.cell * 1.001),
    "pbc": lambda a: a.set_pbc(True),
    "masses": lambda a: a.set_masses(a.get_masses() * 2),
    "momenta": lambda a: a.set_momenta(a.get_momenta() * 0.9),
}


@pytest.mark.parametrize("name", STARTS)
def test_another_start_is_another_run(heated, tmp_path, name):
    start, potential = heated
    start.set_cell([20.0, 20.0, 20.0])
    run = dict(steps=20, file=tmp_path / "a.traj", **NVT)
    first = simulate(start, potential, **run)[0]
    other = start.copy()
    STARTS[name](other)
    with pytest.raises(ValueError, match=f"holds another run .*other {name}"):
        simulate(other, lambda *_: potential(start.numbers, *_[1:]), **run)
    with pytest.raises(ValueError, match="file: .* holds another run .seed 4, not 5"):
        simulate(start, potential, **run | {"seed": 5})
    again = simulate(start.copy(), potential, **run | {"temperature": 300})
    np.testing.assert_array_equal(again[0].positions, first.positions)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_trajectory_without_its_frames_is_refused(liquid, tmp_path, left):
    file = tmp_path / "a.traj"
    run = NVT | {"steps": 80, "file": file}
    simulate(*liquid, **run | {"steps": 60})
    frames = read(file, ":")
    file.unlink()
    if left:
        write(file, frames[-left:])  # the last ones: one is missing, or two
    with pytest.raises(ValueError, match="a.traj is no trajectory, or lacks some of 2"):
        simulate(*liquid, **run)
    assert file.exists() == bool(left)
    write(file, frames)
    again = simulate(*liquid, **run)
    assert [a.info["time_fs"] for a in again] == [10.0, 20.0, 30.0, 40.0]
    file.write_bytes(b"no trajectory")
    with pytest.raises(ValueError, match="no trajectory.*delete it"):
        simulate(*liquid, **run)
    file.with_name("a.traj.state").unlink()
    with pytest.raises(ValueError, match="file: .* is there, but not the state"):
        simulate(*liquid, **run)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: b"1" + state,
        lambda state: state[:-9],
        lambda state: state.replace(b'"done": 2', b'"done": 1'),
        lambda state: state.replace(b'"seed": 0', b'"seed": 1'),
    ],
)
def test_a_damaged_or_older_state_is_refused_in_words(heated, tmp_path, change):
    run = dict(every=10, steps=20, file=tmp_path / "a.traj")
    simulate(*heated, **run)
    state = tmp_path / "a.traj.state"
    state.write_bytes(change(state.read_bytes()))
    with pytest.raises(ValueError, match="a.traj.state is damaged.*delete it and"):
        simulate(*heated, **run)


@pytest.fixture
def recorded(dimer, tmp_path):
    """A run of three frames, how to call it again, and the bytes of its two files."""
    atoms, _ = dimer
    system = pair_system(atoms, (0.074, 30.0 / units.KJ_MOL * units.NM**2))
    file = tmp_path / "a.traj"

    def run(**how):
        how = {"steps": 15, "every": 5, "friction": 0.1, "file": file} | how
        return simulate(atoms, system, **how)

    run()
    return run, run(file=None, steps=20), [file, tmp_path / "a.traj.state"]


def same(frames, others):
    assert len(frames) == len(others)
    for a, b in zip(frames, others, strict=True):
        np.testing.assert_array_equal(a.positions, b.positions)
        np.testing.assert_array_equal(a.get_momenta(), b.get_momenta())
        assert a.info == b.info
        assert a.get_potential_energy() == b.get_potential_energy()


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.filterwarnings("ignore:file. .* lacked")
def test_a_file_cut_anywhere_goes_on_or_is_refused(recorded, which):
    run, expected, files = recorded
    contents = [file.read_bytes() for file in files]
    ends, words = [], []
    for cut in [*range(0, len(contents[which]), 13), len(contents[which]) - 1]:
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        files[which].write_bytes(contents[which][:cut])
        try:
            found = run(steps=20)
        except ValueError as error:
            words.append(str(error))
            assert files[which].read_bytes() == contents[which][:cut]
            ends.append(False)
        else:
            same(found, expected)
            same(read(files[0], ":"), expected)
            ends.append(True)
    assert all("file: " in told for told in words)
    first = ends.index(True) if which == 0 else len(ends)
    assert ends == [k >= first for k in range(len(ends))]
    assert first / len(ends) < 0.75 or which == 1  # cuts of the last frame go on
    assert sorted(files[0].parent.iterdir()) == files


def test_a_torn_frame_is_told(recorded):
    run, expected, (file, _) = recorded
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.warns(match="file: .*a.traj lacked 20 bytes of its last frame"):
        same(run(steps=20), expected)
    same(run(steps=20), expected)


def test_the_trajectory_of_another_run_is_refused(recorded):
    run, expected, (file, _) = recorded
    run(file=(other := file.with_name("b.traj")), seed=5)
    file.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="lacks some of 2 frames"):
        run(steps=20)


def test_a_run_of_another_potential_is_seen_without_its_last_frame(dimer, tmp_path):
    atoms, spring = dimer
    run = dict(steps=15, every=5, file=tmp_path / "a.traj")
    simulate(atoms, spring, **run)
    run["file"].write_bytes(run["file"].read_bytes()[:-20])
    with pytest.raises(ValueError, match="holds a run of another potential"):
        simulate(atoms, push(1.0), **run)


def test_two_runs_on_one_file(recorded):
    run, expected, (file, _) = recorded

    def meddle(_):
        with pytest.raises(ValueError, match=f"written by process {os.getpid()}"):
            run(steps=20)

    same(run(steps=20, on_frame=meddle), expected)
    assert not [*file.parent.glob("*.lock")]


@pytest.mark.parametrize("platform", dynamics.PLATFORMS)
def test_runs_that_take_turns_have_random_numbers_of_their_own(liquid, platform):
    # OpenMM's Reference platform has one stream for the whole process
    run = dict(steps=100, every=10, platform=platform)
    expected = [simulate(*liquid, seed=s, **run) for s in range(2)]
    found = [dynamics.Run(*liquid, seed=s, platform=platform) for s in range(2)]
    for k in range(10):
        same([run.step(10) for run in found], [frames[k] for frames in expected])


def test_runs_that_take_turns_keep_their_pressures(liquid):
    def runs():
        run = dynamics.Run(*liquid, barostat=True, seed=0)
        for pressure in (0.0, 9e4, 0.0, 9e4):
            yield run.step(25, pressure=pressure)
            assert run.context.getParameter("MonteCarloPressure") == pressure

    expected = [*runs()]
    for frames in zip(runs(), runs(), strict=True):
        same(frames, [expected.pop(0)] * 2)


def test_runs_in_threads_have_random_numbers_of_their_own(liquid):
    expected = [simulate(*liquid, steps=200, seed=s) for s in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = [*pool.map(lambda s: simulate(*liquid, steps=200, seed=s), range(3))]
    for a, b in zip(found, expected, strict=True):
        same(a, b)


FULL = """
import resource, sys
from ase.build import molecule
from ase.io import read
from tpainn_lite import dynamics
def limit(frame):
    size = int(sys.argv[2]) * (frame.info["time_fs"] == 15)
    if size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    dynamics.simulate(molecule("H2O"), lambda Z, R, cell: (0.0, 0 * R), steps=100,
                      seed=0, file=sys.argv[1], on_frame=limit)
except OSError as error:
    print(error, len(read(sys.argv[1], ":")))
"""


@pytest.mark.filterwarnings("ignore:file. .* lacked")
@pytest.mark.parametrize("room", [2900, 3000, 3200, 3500])
def test_a_full_disk_is_told_and_leaves_the_frames(tmp_path, room):
    pytest.importorskip("resource")
    file = tmp_path / "a.traj"
    run = [sys.executable, "-c", FULL, file, str(room)]
    found = subprocess.run(run, capture_output=True, text=True, check=True)
    assert re.search("cannot write .*: the disk is full, .* [345]$", found.stdout)
    assert "Exception" not in found.stderr
    still = dict(steps=50, file=file)
    frames = simulate(molecule("H2O"), lambda Z, R, cell: (0.0, 0 * R), **still)
    assert len(frames) == 5


FLYING = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
FLYING.set_velocities([[0, 0, 0.01], [0, 0, -0.01]])


@pytest.mark.parametrize(
    ("atoms", "strength", "how", "words"),
    [
        (molecule("CH3CH2OH"), 0.3, {}, "K where the thermostat is at 300 K"),
        (molecule("CH3CH2OH"), 0.3, NVE, "total energy rose by"),
        (FLYING, 0.0, NVE, r"two atoms are 0\.[45]\d Å apart"),
    ],
)
def test_a_runaway_says_when_and_why(atoms, strength, how, words):
    with pytest.raises(dynamics.BlowUp, match=words) as caught:
        simulate(atoms, push(strength), steps=2000, every=2, **how)
    assert caught.value.step == 2 * len(caught.value.frames) > 0


@pytest.mark.parametrize("n", [2, 4, 64])
def test_the_hottest_sound_frame_is_a_quantile(n):
    # With an even number 2k of degrees of freedom the upper tail of chi-squared is a
    # sum: exp(-y) (1 + y + ... + y^(k-1)/(k-1)!), with y half of its argument.
    limit = dynamics.hottest(1000.0, n) / (1000.0 + dynamics.HOT)  # mean is 1
    y, k = 3 * n * limit / 2, 3 * n // 2
    tail = sum(math.exp(i * math.log(y) - y - math.lgamma(i + 1)) for i in range(k))
    assert tail == pytest.approx(1e-12, rel=1e-6)


@pytest.mark.parametrize("smiles", ["O", "N#N", "C#N"])
def test_small_molecules_may_be_hot(smiles):
    # 2,000 frames that hardly remember each other: friction renews the momenta.
    potential, (start,) = molecules.mmff94(smiles), molecules.conformers(smiles, seed=0)
    run = dict(steps=2000, every=1, friction=2.0, temperature=1000.0)
    every = (simulate(start, potential, seed=seed, **run) for seed in range(3))
    kelvin = np.array([*map(dynamics.temperatures, every)])
    np.testing.assert_allclose(kelvin.mean(axis=1), 1000, rtol=0.1)
    assert kelvin.max() > 3000  # what a chance of one in a thousand frames comes to
    with pytest.raises(dynamics.BlowUp, match="K where the thermostat is at 1000 K"):
        simulate(start, push(0.5), **run | {"every": 10, "friction": 0.01})


def test_a_hot_run_without_a_thermostat_may_fluctuate(dimer):
    # Leap-frog at ω dt = 1 keeps K + 3/4 U, so that K + U swings with U.
    atoms, spring = dimer
    atoms.positions[1, 2] = 0.74 + 0.11
    omega = math.sqrt(2 * 300.0 / atoms.get_masses()[0]) * units.ASE_FS  # rad/fs

    def stiff(numbers, positions, cell):
        energy, forces = spring(numbers, positions)
        return 10 * energy, 10 * forces

    frames = simulate(atoms, stiff, steps=400, timestep=1 / omega, every=1, **NVE)
    highest = 150 * 0.11**2  # of U, eV; frames are 60 degrees apart, the first has 1/4
    swing = np.ptp(total_energies(frames))
    assert swing == pytest.approx(highest * 3 / 16, rel=1e-6)


def test_pressure_is_the_virial(potential, ice):
    # -dE/dV by volume moves of all positions, which is what a barostat feels, against
    # the stress that trainings learn; PaiNN in a box, energies from OpenMM.
    system = engine.python_system(engine.Guard(potential.energy_forces), ice)
    labels = engine.system_energy_forces(system, ice)

    def energy(scale):
        return labels(ice.numbers, ice.positions * scale, ice.cell.array * scale)[0]

    h = 1e-4
    slope = (energy(1 + h) - energy(1 - h)) / (2 * h)  # dE/d(ln L) = -3 P V
    virial = potential.predict([ice], stress=True)[2][0, :3].sum() * ice.get_volume()
    assert slope == pytest.approx(virial, abs=1e-6)
    assert abs(slope) > 1e-3


def test_the_fast_platform_gives_the_same_forces(liquid):
    run = {"steps": 4, "every": 4} | NVE
    exact, fast = (simulate(*liquid, platform=p, **run)[0] for p in dynamics.PLATFORMS)
    np.testing.assert_allclose(fast.positions, exact.positions, atol=1e-4)
    np.testing.assert_allclose(fast.get_forces(), exact.get_forces(), atol=5e-3)


def written_otherwise(atoms, how):
    """The same crystal: its atoms and cell turned, or other vectors of its lattice."""
    other, turn = atoms.copy(), np.eye(3)
    if "turned" in how:
        turn = Rotation.from_rotvec([0.7, -1.1, 0.4]).as_matrix()
    cell = atoms.cell.array @ turn
    if "vectors" in how:
        cell = np.array([[1, 0, 0], [1, 1, 0], [-1, 1, 1]]) @ cell
    if "left" in how:
        cell = cell[[1, 0, 2]]
    other.set_cell(cell)
    other.positions = atoms.positions @ turn
    other.set_momenta(atoms.get_momenta() @ turn)
    return other, turn


def soft(numbers, positions, cell):
    """A pair potential over all images, (1 - r / 4 Å)^3 eV."""
    atoms = Atoms(numbers, positions, cell=cell, pbc=True)
    i, r, vectors = neighbor_list("idD", atoms, 4.0)
    forces = np.zeros_like(positions)
    slope = -3 / 4 * (1 - r / 4) ** 2
    np.add.at(forces, i, (slope / r)[:, None] * vectors)
    return 0.5 * ((1 - r / 4) ** 3).sum(), forces


WAYS = ["turned", "vectors", "turned, left", "turned, vectors, left"]


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("model", ["spc-fw", "q-tip4p-f", "python"])
def test_a_lattice_written_otherwise_has_the_same_energy(liquid, how, model):
    start = liquid[0].copy()
    start.set_cell([[8.1, 0, 0], [1.2, 8.6, 0], [-2.1, 0.9, 9.3]], scale_atoms=True)
    start.wrap()
    found = []
    for atoms, turn in ((start, np.eye(3)), written_otherwise(start, how)):
        if model == "python":
            system = engine.python_system(soft, atoms)
            exact = soft(atoms.numbers, atoms.positions, atoms.cell.array)
        else:
            system = water.water_system(water.MODELS[model], atoms)
        labels = engine.system_energy_forces(system, atoms)
        energy, forces = labels(atoms.numbers, atoms.positions, atoms.cell.array)
        if model == "python":
            assert energy == pytest.approx(exact[0], abs=1e-6)
            np.testing.assert_allclose(forces, exact[1], atol=1e-6)
        found.append((energy, forces @ turn.T))
    assert found[1][0] == pytest.approx(found[0][0], abs=1e-6)
    np.testing.assert_allclose(found[1][1], found[0][1], atol=1e-6)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("model", ["spc-fw", "python"])
def test_a_run_stays_in_the_axes_and_cell_of_the_user(liquid, how, model):
    start = liquid[0]
    other, turn = written_otherwise(start, how)
    runs = []
    for atoms in (start, other):
        potential = (
            soft if model == "python" else water.water_system(water.SPC_FW, atoms)
        )
        runs.append(simulate(atoms, potential, steps=20, every=10, **NVE))
    for a, b in zip(*runs, strict=True):
        np.testing.assert_allclose(b.positions @ turn.T, a.positions, atol=1e-6)
        np.testing.assert_allclose(b.get_momenta() @ turn.T, a.get_momenta(), atol=1e-6)
        np.testing.assert_allclose(b.get_forces() @ turn.T, a.get_forces(), atol=1e-5)
        np.testing.assert_allclose(b.cell.array, other.cell.array, atol=1e-9)
    squeezed = simulate(other, potential, steps=50, every=50, pressure=5e4)[0]
    assert squeezed.get_volume() != pytest.approx(other.get_volume(), rel=1e-4)
    scale = (squeezed.get_volume() / other.get_volume()) ** (1 / 3)
    np.testing.assert_allclose(squeezed.cell, scale * other.cell.array, atol=1e-6)
    if model == "python":
        energy, forces = soft(other.numbers, squeezed.positions, squeezed.cell.array)
        assert squeezed.get_potential_energy() == pytest.approx(energy, abs=1e-6)
        np.testing.assert_allclose(squeezed.get_forces(), forces, atol=1e-6)


def small(box):
    """A box of which the cutoff, 0.45 of the larger one, is more than a half."""
    box.set_cell(0.8 * box.cell.array, scale_atoms=True)
    return box


def changed(atoms, **changes):
    for name, value in changes.items():
        setattr(atoms, name, value)
    return atoms


def moving(atoms, speed):
    atoms.set_momenta(np.full((len(atoms), 3), speed))
    return atoms


def weighing(atoms, mass):
    atoms.set_masses(np.full(len(atoms), mass))
    return atoms


def in_a_field(system):
    field = openmm.CustomExternalForce("z")
    field.addParticle(0)
    system = copy.deepcopy(system)
    system.addForce(field)
    return system


def test_a_field_does_not_mind_a_box_as_openmm_has_it(liquid):
    start, system = liquid
    assert len(simulate(start, in_a_field(system), steps=10, every=5)) == 2


HEAVY = "atom 1 has a mass of 2.014 u, .* of 1.008 u"
NO_POTENTIAL = "potential: needs a Potential, an ASE"
REFUSED = [
    (lambda a, s: (a, s, {"steps": 0}), "steps: needs a whole number at least 1"),
    (lambda a, s: (a, s, {"steps": 4}), "steps: needs at least every=5, got 4"),
    (lambda a, s: (a, s, {"every": -1}), "every: needs a whole number at least 1"),
    (lambda a, s: (a, s, {"timestep": 0}), "timestep: needs a finite number above 0"),
    (lambda a, s: (a, s, {"friction": -1}), "friction: needs a finite number above 0"),
    (lambda a, s: (a, s, {"temperature": 0}), "temperature: .* number above 0"),
    (lambda a, s: (a, s, {"temperature": 1e12}), "temperature: .* at most 1e.06"),
    (lambda a, s: (a, s, {"platform": "CUDA"}), "platform: needs one of"),
    (lambda a, s: (a, s, NVE | {"pressure": 1.0}), "pressure: needs a temperature"),
    (lambda a, s: (changed(a, pbc=False), push(0), {"pressure": 1.0}), "pressure: nee"),
    (lambda a, s: (a, s, {"pressure": -1.0}), "pressure: .* at least 0"),
    (lambda a, s: (a, s, {"seed": -1}), "seed: needs a whole number at least 0"),
    (lambda a, s: (a, s, {"steps": 1e308}), "steps: .* at most 2147483647"),
    (lambda a, s: (a, lambda *_: 0.0, {}), "potential: .* one energy and forces"),
    (lambda a, s: (changed(a, cell=np.eye(3) * 1e-9), soft, {}), "atoms.* crowd"),
    (lambda a, s: (moving(a, np.nan), soft, {}), "atoms: momenta: .* NaN"),
    (lambda a, s: (weighing(a, np.nan), soft, {}), "atoms: masses: .* NaN"),
    (lambda a, s: (weighing(a, -1.0), soft, {}), "atoms: masses need to be above 0"),
    (lambda a, s: (a, "painn", {}), NO_POTENTIAL),
    (lambda a, s: (a, Atoms("H"), {}), NO_POTENTIAL),
    (lambda a, s: (a, lambda *_: (0, np.zeros(3)), {}), r"got shapes \[\(\), \(3,\)\]"),
    (lambda a, s: (changed(a, constraints=[FixAtoms([0])]), s, {}), r"\(FixAtoms\)"),
    (lambda a, s: (with_heavy_hydrogen(a), s, NVE), HEAVY),
    (lambda a, s: (a[:2], s, {}), "48 particles, the structure 2 atoms"),
    (lambda a, s: (small(a), s, {}), "OpenMM cannot set up this run .*cutoff"),
    (lambda a, s: (changed(a, pbc=[1, 1, 0]), soft, {}), "atoms, .*needs to be"),
    (
        lambda a, s: (written_otherwise(a, "turned")[0], in_a_field(s), {}),
        "CustomExternalForce.* would not turn",
    ),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_what_cannot_be_set_up_is_no_blow_up(liquid, call, words):
    atoms, potential, how = call(liquid[0].copy(), liquid[1])
    with pytest.raises(ValueError, match=words):
        simulate(atoms, potential, **{"steps": 10, "every": 5} | how)


def test_a_run_whose_state_changes_keeps_its_context(liquid):
    start, system = liquid
    run = dynamics.Run(start, system, temperature=300.0, barostat=True, seed=0)
    context, sizes = run.context, []
    for pressure in (None, 5e4, None):
        frames = [run.step(25, temperature=500.0, pressure=pressure) for _ in range(4)]
        sizes += [a.get_volume() for a in frames]
    assert np.ptp(sizes[:4]) == np.ptp(sizes[7:]) == 0 < sizes[3] - sizes[7]
    assert run.context is context
    assert frames[-1].info["time_fs"] == 12 * 12.5
    assert system.getNumForces() == run.context.getSystem().getNumForces() - 2
    for how, words in (
        ({"temperature": -1}, "temperature: .* above 0"),
        ({"pressure": np.nan}, "pressure: .* got nan"),
        ({"steps": 0}, "steps: .* at least 1"),
    ):
        with pytest.raises(ValueError, match=words):
            run.step(**{"steps": 1} | how)
    with pytest.raises(ValueError, match="pressure: needs a run with barostat=True"):
        dynamics.Run(start, system, seed=0).step(1, pressure=1.0)
    with pytest.raises(ValueError, match="temperature: this run has no thermostat"):
        dynamics.Run(start, system, temperature=None, seed=0).step(1, temperature=1.0)


def test_a_box_that_shrinks_below_its_cutoff_is_no_blow_up(liquid):
    start, _ = liquid
    cutoff = 0.499 * start.cell.lengths().min()
    system = water.water_system(water.MODELS["spc-fw"], start, cutoff=cutoff)
    with pytest.raises(ValueError, match="pressure: .*cutoff.* smaller cutoff"):
        simulate(start, system, steps=2000, every=25, pressure=3e4)


def test_the_same_run_gives_the_same_bits_in_single_precision():
    atoms = water.water_box(27, density=1.0, seed=0)
    system = water.water_system(water.SPC_FW, atoms)
    how = dict(steps=1000, every=1000, timestep=1.0, platform="CPU")
    (one,), *others = (simulate(atoms, system, **how) for _ in range(3))
    for (other,) in others:
        np.testing.assert_array_equal(other.positions, one.positions)
