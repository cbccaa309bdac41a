"""Molecular dynamics with OpenMM, for its ``System`` and any `EnergyForces` alike.

OpenMM thinks in nm, ps and kJ/mol; everything that enters or leaves this file is in Å,
fs and eV. A learned or Python potential enters OpenMM through ``openmm.PythonForce``.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import openmm
from ase import Atoms
from openmm import unit
from tqdm import tqdm

from . import units
from .data import EnergyForces, cell_of, with_labels

PER_NM = units.NM / units.KJ_MOL  # eV/Å -> kJ/mol/nm
ASE_VELOCITY = units.PS * units.ASE_FS / units.NM  # -> nm/ps
MD = unit.md_unit_system  # nm, ps, kJ/mol


class _Guard:
    """An `EnergyForces` that refuses NaN and keeps the exception OpenMM would lose.

    OpenMM turns every exception (Ctrl-C too) into an ``OpenMMException`` without text
    and accepts NaN silently, so both are caught here and raised again by `simulate`.
    """

    def __init__(self, energy_forces: EnergyForces):
        self.energy_forces = energy_forces
        self.error: BaseException | None = None

    def __call__(self, numbers, positions, cell) -> tuple[float, np.ndarray]:
        try:
            energy, forces = self.energy_forces(numbers, positions, cell)
            if not (np.isfinite(energy) and np.isfinite(forces).all()):
                raise FloatingPointError("the potential returned NaN or infinity")
        except BaseException as error:
            self.error = error
            raise
        return energy, forces


def _compute(energy_forces: EnergyForces, numbers, periodic: bool, state: openmm.State):
    """What OpenMM calls: energy in kJ/mol, forces (N, 3) in kJ/mol/nm."""
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)  # (N, 3)
    cell = _cell(state) if periodic else None
    energy, forces = energy_forces(numbers, positions, cell)
    return energy / units.KJ_MOL, np.asarray(forces, float) * PER_NM


def _cell(state: openmm.State) -> np.ndarray:
    return state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom)


def python_system(energy_forces: EnergyForces, atoms: Atoms) -> openmm.System:
    """An OpenMM System whose only force is `energy_forces`."""
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    numbers, cell = atoms.numbers.copy(), cell_of(atoms)
    force = openmm.PythonForce(
        partial(_compute, energy_forces, numbers, cell is not None)
    )
    if cell is not None:
        force.setUsesPeriodicBoundaryConditions(True)
        system.setDefaultPeriodicBoxVectors(*(cell / units.NM))
    system.addForce(force)
    return system


def make_context(
    system: openmm.System, atoms: Atoms, integrator: openmm.Integrator
) -> openmm.Context:
    """A Context on the Reference platform at the positions (and cell) of `atoms`."""
    if system.getNumParticles() != len(atoms):
        raise ValueError(
            f"atoms: the System has {system.getNumParticles()} particles, the "
            f"structure {len(atoms)} atoms; build both from the same structure"
        )
    platform = openmm.Platform.getPlatformByName("Reference")  # double; no threads
    context = openmm.Context(system, integrator, platform)
    if atoms.pbc.any():
        context.setPeriodicBoxVectors(*(cell_of(atoms) / units.NM))
    context.setPositions(atoms.positions / units.NM)
    return context


def system_energy_forces(system: openmm.System, atoms: Atoms) -> EnergyForces:
    """The `EnergyForces` of an OpenMM System (numbers are taken for granted)."""
    context = make_context(system, atoms, openmm.VerletIntegrator(0.001))

    def energy_forces(numbers, positions, cell):
        if cell is not None:
            context.setPeriodicBoxVectors(*(np.asarray(cell) / units.NM))
        context.setPositions(np.asarray(positions) / units.NM)
        return _labels(context.getState(energy=True, forces=True))

    return energy_forces


def _labels(state: openmm.State) -> tuple[float, np.ndarray]:
    energy = state.getPotentialEnergy().value_in_unit_system(MD) * units.KJ_MOL  # eV
    return energy, state.getForces(asNumpy=True).value_in_unit_system(MD) / PER_NM


def _snapshot(context: openmm.Context, atoms: Atoms, time: float) -> Atoms:
    state = context.getState(positions=True, velocities=True, energy=True, forces=True)
    frame = atoms.copy()
    frame.positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    frame.cell = _cell(state) if frame.pbc.any() else frame.cell
    velocities = state.getVelocities(asNumpy=True).value_in_unit_system(MD)
    frame.set_velocities(velocities / ASE_VELOCITY)
    kinetic = state.getKineticEnergy().value_in_unit_system(MD) * units.KJ_MOL
    frame.info |= {"time_fs": time, "kinetic_energy": kinetic}
    energy, forces = _labels(state)
    if not np.isfinite(energy + forces.sum()):
        raise FloatingPointError("the energy or a force is NaN")
    return with_labels(frame, energy, forces)


def _start(system, atoms, temperature, timestep, friction, seed) -> openmm.Context:
    """A Context with an integrator and velocities: those of `atoms`, else drawn."""
    dt = timestep / units.PS
    integrator = openmm.VerletIntegrator(dt)
    if temperature is not None:
        rate = friction * units.PS
        integrator = openmm.LangevinMiddleIntegrator(temperature, rate, dt)
        integrator.setRandomNumberSeed(seed + 1)  # 0 would mean: choose one at random
    context = make_context(system, atoms, integrator)
    if temperature is None or atoms.has("momenta"):
        context.setVelocities(atoms.get_velocities() * ASE_VELOCITY)
    else:
        context.setVelocitiesToTemperature(temperature, seed + 1)
    return context


def _check(steps: int, every: int, **positive: float | None) -> None:
    for name, value in dict(every=every, **positive).items():
        if value is not None and not value > 0:
            raise ValueError(f"{name}: needs a positive number, got {value}")
    if steps < every:
        raise ValueError(f"steps: needs at least every={every}, got {steps}")


def simulate(
    potential: openmm.System | EnergyForces,
    atoms: Atoms,
    *,
    steps: int,
    temperature: float | None = 300.0,
    timestep: float = 0.5,
    friction: float = 0.01,
    every: int = 10,
    seed: int = 0,
    progress: bool = False,
) -> list[Atoms]:
    """Molecular dynamics: a labelled frame every `every` steps of `timestep` fs.

    With a `temperature` (K): NVT, Langevin dynamics (LangevinMiddleIntegrator, Zhang et
    al. 2019, doi 10.1021/acs.jpca.9b02771), `friction` in 1/fs. With ``None``: NVE,
    leap-frog Verlet. Both start from the momenta of `atoms`; NVT draws missing ones.

    Frames carry energy (eV), forces (eV/Å), momenta (leap-frog: half a step early),
    ``info["time_fs"]`` and ``info["kinetic_energy"]`` (eV, at that time). Ctrl-C
    returns the frames there are; `FloatingPointError` says that the run blew up.
    """
    _check(steps, every, timestep=timestep, friction=friction, temperature=temperature)
    guard = None if isinstance(potential, openmm.System) else _Guard(potential)
    system = python_system(guard, atoms) if guard else potential
    frames: list[Atoms] = []
    try:
        context = _start(system, atoms, temperature, timestep, friction, seed)
        for block in tqdm(range(steps // every), desc="MD", disable=not progress):
            context.getIntegrator().step(every)
            frames.append(_snapshot(context, atoms, (block + 1) * every * timestep))
    except (openmm.OpenMMException, FloatingPointError, KeyboardInterrupt) as error:
        cause = (guard.error if guard else None) or error
        if isinstance(cause, KeyboardInterrupt):
            return frames
        raise _explain(cause, len(frames) * every, every) from cause
    return frames


def _explain(cause: BaseException, step: int, every: int) -> BaseException:
    if not isinstance(cause, (FloatingPointError, openmm.OpenMMException)):
        return cause
    return FloatingPointError(
        f"the run blew up between steps {step} and {step + every} ({cause}); shorten "
        "the time step, relax the start, or let the potential learn frames of this kind"
    )


def temperatures(frames: Sequence[Atoms]) -> np.ndarray:
    """Kinetic temperature (K) of each frame, (frames,), 3N degrees of freedom."""
    kinetic = np.array([a.info["kinetic_energy"] / len(a) for a in frames])  # eV/atom
    return 2 * kinetic / (3 * units.KB)
