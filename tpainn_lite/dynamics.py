"""Molecular dynamics with OpenMM, for an OpenMM ``System`` and any `EnergyForces` alike.

OpenMM thinks in nm, ps and kJ/mol; everything that enters or leaves this file is in Å,
fs and eV. A learned or Python potential enters OpenMM through ``openmm.PythonForce``.
"""

from collections.abc import Sequence

import numpy as np
import openmm
from ase import Atoms
from openmm import unit
from tqdm import tqdm

from . import units
from .data import EnergyForces, cell_of, with_labels

PER_NM = units.NM / units.KJ_MOL  # eV/Å -> kJ/mol/nm


class _Callback:
    """What OpenMM calls for energy and forces; keeps the exception OpenMM would lose.

    OpenMM turns every exception (Ctrl-C too) into an ``OpenMMException`` without text
    and accepts NaN silently, so both are caught here and raised again by `simulate`.
    """

    def __init__(self, energy_forces: EnergyForces, atoms: Atoms):
        self.energy_forces = energy_forces
        self.numbers = atoms.numbers.copy()
        self.periodic = bool(atoms.pbc.any())
        self.error: BaseException | None = None

    def __call__(self, state: openmm.State) -> tuple[float, np.ndarray]:
        try:
            positions = state.getPositions(asNumpy=True)._value * units.NM  # (N, 3) Å
            cell = None
            if self.periodic:
                cell = state.getPeriodicBoxVectors(asNumpy=True)._value * units.NM
            energy, forces = self.energy_forces(self.numbers, positions, cell)
            if not (np.isfinite(energy) and np.isfinite(forces).all()):
                raise FloatingPointError("the potential returned NaN or infinity")
        except BaseException as error:
            self.error = error
            raise
        return energy / units.KJ_MOL, np.asarray(forces, float) * PER_NM


def python_system(energy_forces: EnergyForces, atoms: Atoms) -> openmm.System:
    """An OpenMM System whose only force is `energy_forces`."""
    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    callback = _Callback(energy_forces, atoms)
    force = openmm.PythonForce(callback)
    if callback.periodic:
        force.setUsesPeriodicBoundaryConditions(True)
        system.setDefaultPeriodicBoxVectors(*(cell_of(atoms) / units.NM))
    system.addForce(force)
    system.callback = callback  # for `simulate`, which raises its stored error
    return system


def make_context(
    system: openmm.System, atoms: Atoms, integrator: openmm.Integrator
) -> openmm.Context:
    """A Context on the Reference platform at the positions (and cell) of `atoms`.

    Reference is double precision, the same on every machine, and has no thread pool
    that would compete with torch.
    """
    if system.getNumParticles() != len(atoms):
        raise ValueError(
            f"atoms: the System has {system.getNumParticles()} particles, the structure "
            f"{len(atoms)} atoms; build both from the same structure"
        )
    platform = openmm.Platform.getPlatformByName("Reference")
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
    energy = state.getPotentialEnergy()._value * units.KJ_MOL  # eV
    return energy, state.getForces(asNumpy=True)._value / PER_NM  # (N, 3) eV/Å


def _snapshot(context: openmm.Context, atoms: Atoms, time: float) -> Atoms:
    state = context.getState(positions=True, velocities=True, energy=True, forces=True)
    frame = atoms.copy()
    frame.positions = state.getPositions(asNumpy=True)._value * units.NM
    velocities = state.getVelocities(asNumpy=True)._value  # nm/ps
    frame.set_velocities(velocities * units.NM / (units.PS * units.ASE_FS))
    frame.info["time_fs"] = time
    kinetic = state.getKineticEnergy()._value * units.KJ_MOL  # at time t, not t - dt/2
    frame.info["kinetic_energy"] = kinetic
    return with_labels(frame, *_labels(state))


def _integrator(temperature: float | None, timestep: float, friction: float, seed: int):
    if temperature is None:
        return openmm.VerletIntegrator(timestep * unit.femtosecond)
    integrator = openmm.LangevinMiddleIntegrator(
        temperature, friction * units.PS, timestep * unit.femtosecond
    )
    integrator.setRandomNumberSeed(seed + 1)  # 0 would mean: choose one at random
    return integrator


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
    """Molecular dynamics; returns a labelled frame every `every` steps (no start frame).

    With a `temperature` (K): NVT, Langevin dynamics (LangevinMiddleIntegrator, Zhang et
    al. 2019, doi 10.1021/acs.jpca.9b02771) with `friction` in 1/fs. With ``None``: NVE,
    velocity Verlet, from the momenta `atoms` carries. `timestep` in fs.

    Frames carry energy (eV), forces (eV/Å), momenta, ``info["time_fs"]`` and
    ``info["kinetic_energy"]`` (eV). Ctrl-C returns the frames there are.

    Raises `ValueError` for sizes that are not positive, `FloatingPointError` where the
    run leaves the finite numbers.
    """
    for name, value in dict(steps=steps, timestep=timestep, every=every).items():
        if not value > 0:
            raise ValueError(f"{name}: needs a positive number, got {value}")
    is_system = isinstance(potential, openmm.System)
    system = potential if is_system else python_system(potential, atoms)
    integrator = _integrator(temperature, timestep, friction, seed)
    context = make_context(system, atoms, integrator)
    if temperature is not None and not atoms.has("momenta"):
        context.setVelocitiesToTemperature(temperature, seed + 1)
    else:
        ase_velocity = units.PS * units.ASE_FS / units.NM  # -> nm/ps
        context.setVelocities(atoms.get_velocities() * ase_velocity)
    frames: list[Atoms] = []
    callback = None if is_system else system.callback
    for block in tqdm(range(steps // every), desc="MD", disable=not progress):
        try:
            integrator.step(every)
            frames.append(_snapshot(context, atoms, (block + 1) * every * timestep))
        except (openmm.OpenMMException, KeyboardInterrupt) as error:
            cause = (callback.error if callback else None) or error
            if isinstance(cause, KeyboardInterrupt):
                return frames
            raise _explain(cause, block * every, every) from cause
        if not np.isfinite(frames[-1].get_potential_energy()):
            raise _explain(FloatingPointError("NaN energy"), block * every, every)
    return frames


def _explain(cause: BaseException, step: int, every: int) -> BaseException:
    if not isinstance(cause, (FloatingPointError, openmm.OpenMMException)):
        return cause
    return FloatingPointError(
        f"the run blew up between steps {step} and {step + every} ({cause}); shorten "
        "the time step, start from a relaxed structure, or give the potential labelled "
        "frames of this kind to learn from"
    )


def temperatures(frames: Sequence[Atoms]) -> np.ndarray:
    """Kinetic temperature (K) of each frame, (frames,), 3N degrees of freedom."""
    kinetic = np.array([a.info["kinetic_energy"] for a in frames])
    atoms = np.array([len(a) for a in frames])
    return 2 * kinetic / (3 * atoms * units.KB)
