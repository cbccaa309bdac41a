"""Molecular dynamics with OpenMM, for its ``System`` and any `EnergyForces` alike.

Å, fs, eV and K; ``engine`` speaks to OpenMM. A learned or Python potential enters
through ``openmm.PythonForce``.
"""

from collections.abc import Sequence

import numpy as np
import openmm
from ase import Atoms
from openmm import unit
from tqdm import tqdm

from . import units
from .data import EnergyForces, with_labels
from .engine import (
    ASE_VELOCITY,
    MD,
    Guard,
    cell_of_state,
    labels_of,
    make_context,
    python_system,
    system_energy_forces,
)

__all__ = [
    "make_context",
    "python_system",
    "simulate",
    "system_energy_forces",
    "temperatures",
]


def _snapshot(context: openmm.Context, atoms: Atoms, time: float) -> Atoms:
    state = context.getState(positions=True, velocities=True, energy=True, forces=True)
    frame = atoms.copy()
    n = len(atoms)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    frame.positions = positions[:n]
    frame.cell = cell_of_state(state) if frame.pbc.any() else frame.cell
    velocities = state.getVelocities(asNumpy=True).value_in_unit_system(MD)[:n]
    frame.set_velocities(velocities / ASE_VELOCITY)
    kinetic = state.getKineticEnergy().value_in_unit_system(MD) * units.KJ_MOL
    frame.info |= {"time_fs": time, "kinetic_energy": kinetic}
    energy, forces = labels_of(state, n)
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
        velocities = atoms.get_velocities() * ASE_VELOCITY
        sites = system.getNumParticles() - len(atoms)
        context.setVelocities(np.pad(velocities, ((0, sites), (0, 0))))
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
    guard = None if isinstance(potential, openmm.System) else Guard(potential)
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
