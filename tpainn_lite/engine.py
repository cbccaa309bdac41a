"""OpenMM as an engine: Systems, Contexts, and any `EnergyForces` as a force.

OpenMM has nm, ps and kJ/mol; what enters or leaves this file is in Å, fs and eV.
Particles beyond the atoms are virtual sites (of a water model), never seen outside.
"""

import contextlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakValueDictionary, ref

import numpy as np
import openmm
from ase import Atoms
from ase.cell import Cell
from openmm import unit

from . import guards, units
from .analysis import bonds as bonds_of
from .analysis import masses_of, nearest_image, neighbours, periodic, reduced
from .data import EnergyForces, cell_of, check, with_labels

PER_NM = units.NM / units.KJ_MOL  # eV/Å -> kJ/mol/nm
ASE_VELOCITY = units.PS * units.ASE_FS / units.NM  # -> nm/ps
MD = unit.md_unit_system  # nm, ps, kJ/mol
DIRECTED = (  # forces that a box turned in space would change
    openmm.CustomExternalForce,
    openmm.MonteCarloAnisotropicBarostat,
    openmm.MonteCarloMembraneBarostat,
)
LIKE_MASS = 0.01  # relative: tables of atomic masses differ by less, isotopes by more
LARGEST_FORCE = 1e4  # eV/Å: an atom would be flung too far for any neighbour list
BAROSTAT_EVERY = 25  # steps between two tries to change the volume
TIE = 1e-12  # relative: a hexagonal cell stays reduced when it is rounded
BELOW = (2, 1), (2, 0), (1, 0)  # the diagonal of a lower triangle


@dataclass(frozen=True, eq=False)
class Box:
    """A cell as OpenMM takes it, reduced and lower triangular, and the way back.

    Any cell can be written so: turn it, and combine its vectors by whole numbers.
    """

    vectors: np.ndarray  # (3, 3) Å: reduced, lower triangular
    turn: np.ndarray  # (3, 3): vectors (N, 3) @ turn.T go in, and @ turn come out
    combine: np.ndarray  # (3, 3) whole numbers: combine @ vectors @ turn is the cell

    @staticmethod
    def of(cell: np.ndarray | None) -> "Box":
        """Find the box of a cell (3, 3) Å with a volume, or of none."""
        if cell is None:
            return Box(np.zeros((3, 3)), np.eye(3), np.eye(3))
        cell = guards.array(3, 3)(cell, "cell")
        box, turn, shortest = np.array(cell, float), np.eye(3), reduced(cell)
        found, least = (np.sort(np.linalg.norm(c, axis=1)) for c in (box, shortest))
        fits = not np.triu(box, 1).any() and (np.diag(box) > 0).all()
        fits &= all(abs(box[i, j]) <= box[j, j] / 2 * (1 + TIE) for i, j in BELOW)
        if not (fits and np.allclose(found, least, rtol=1e-9)):
            triangle, turn = Cell(shortest).standard_form()
            box = np.tril(triangle) * np.sign(triangle[0, 0])  # -: left-handed
            for i, j in BELOW:
                box[i] -= box[j] * np.round(box[i, j] / box[j, j])
        for i, j in BELOW:
            half = box[j, j] / 2 * (1 - TIE)
            box[i, j] = np.clip(box[i, j], -half, half)
        return Box(box, turn, np.rint(cell @ turn.T @ np.linalg.inv(box)))

    def cell(self, vectors: np.ndarray) -> np.ndarray:
        """Turn box vectors (3, 3) Å, scaled by a barostat maybe, into the cell."""
        return self.combine @ vectors @ self.turn

    def height(self) -> float:
        """Return the least distance (Å) between two opposite faces."""
        return 1 / np.linalg.norm(np.linalg.inv(self.vectors), axis=0).max()


def whole(atoms: Atoms, reach: float | None = None) -> Atoms:
    """Copy `atoms`, each molecule (or all within `reach` Å) whole around its first."""
    periodic(atoms)
    bound = bonds_of(atoms) if reach is None else neighbours("ijD", atoms, reach)
    first, second, vectors = bound  # `first` is sorted
    starts = np.searchsorted(first, np.arange(len(atoms) + 1))
    mended, seen, stack = atoms.copy(), set(), [*range(len(atoms))[::-1]]
    while stack:
        seen.add(i := stack.pop())
        for k in range(starts[i], starts[i + 1]):
            if (j := int(second[k])) not in seen:
                seen.add(j)
                mended.positions[j] = mended.positions[i] + vectors[k]
                stack.append(j)
    return mended


@dataclass(eq=False)
class Guard:
    """An `EnergyForces` that refuses NaN and keeps the exception OpenMM would lose.

    OpenMM turns every exception (Ctrl-C too) into an ``OpenMMException`` without text
    and accepts NaN silently; `simulate` raises `error`, the last one, again.
    """

    energy_forces: EnergyForces
    error: BaseException | None = None
    started: bool = False

    def __call__(self, numbers, positions, cell) -> tuple[float, np.ndarray]:
        """Compute energy and forces, finite and not huge.

        A `ValueError` at the start is a set-up error; later the run itself led to
        positions that the potential refuses: a `FloatingPointError`.
        """
        try:
            found = self.energy_forces(numbers, positions, cell)
            got = [np.shape(part) for part in found] if isinstance(found, tuple) else []
            if got != [(), np.shape(positions)]:
                needs = "needs to return one energy and forces (N, 3)"
                raise ValueError(f"potential: {needs}, got shapes {got}")
            energy, forces = found
            if not (np.isfinite(energy) and np.abs(forces).max() < LARGEST_FORCE):
                raise FloatingPointError("the potential returned NaN or a huge force")
        except ValueError as error:
            self.error = FloatingPointError(str(error)) if self.started else error
            raise self.error from None
        except BaseException as error:
            self.error = error
            raise
        self.started = True
        return energy, forces


def cell_of_state(state: openmm.State) -> np.ndarray:
    """Read the box vectors (3, 3) Å."""
    return state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.angstrom)


class _Light(partial):
    """A function whose pickle is a key.

    OpenMM pickles the function of a force, to copy a System, and never frees the bytes:
    each run would leak the weights of its potential.
    """

    living: Any = WeakValueDictionary()

    def __reduce__(self):
        """Pickle a key."""
        self.living[key := uuid.uuid4().hex] = self
        return _living, (key,)


def _living(key: str) -> _Light:
    if key not in _Light.living:
        raise ValueError("system: its Python potential is gone, or of another process")
    return _Light.living[key]


def _compute(energy_forces: EnergyForces, numbers, box: Box, state: openmm.State):
    """Compute energy (kJ/mol) and forces (N, 3) (kJ/mol/nm) for OpenMM."""
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    cell = box.cell(cell_of_state(state)) if box.vectors.any() else None
    energy, forces = energy_forces(numbers, positions @ box.turn, cell)
    return energy / units.KJ_MOL, np.asarray(forces, float) @ box.turn.T * PER_NM


@guards.checked(energy_forces=guards.function, atoms=guards.structure)
def python_system(energy_forces: EnergyForces, atoms: Atoms) -> openmm.System:
    """Build an OpenMM System whose only force is `energy_forces`."""
    system = openmm.System()
    for mass in masses_of(atoms):
        system.addParticle(mass)
    numbers, box = atoms.numbers.copy(), Box.of(cell_of(atoms))
    force = openmm.PythonForce(_Light(_compute, energy_forces, numbers, box))
    if box.vectors.any():
        force.setUsesPeriodicBoundaryConditions(True)
        system.setDefaultPeriodicBoxVectors(*(box.vectors / units.NM))
    system.addForce(force)
    return system


def add_barostat(
    system: openmm.System, atoms: Atoms, pressure: float, temperature: float, seed: int
) -> openmm.MonteCarloBarostat:
    """Give `system` a Monte Carlo barostat (`pressure` in bar), and bonds of no force.

    It moves whole molecules, which OpenMM knows by their bonds.
    """
    if not atoms.pbc.all():
        raise ValueError("pressure: needs a structure periodic in all directions")
    bonds = openmm.HarmonicBondForce()
    bonds.setUsesPeriodicBoundaryConditions(True)
    first, second, _ = bonds_of(atoms)
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        if i < j:
            bonds.addBond(i, j, 0.1, 0.0)
    system.addForce(bonds)
    barostat = openmm.MonteCarloBarostat(pressure, temperature, BAROSTAT_EVERY)
    barostat.setRandomNumberSeed(_random(seed))
    return system.getForce(system.addForce(barostat))


def make_context(
    system: openmm.System,
    atoms: Atoms,
    integrator: openmm.Integrator,
    platform: str = "Reference",
) -> openmm.Context:
    """Build a Context at positions (and cell) of `atoms`; one thread on "CPU"."""
    particles, n = system.getNumParticles(), len(atoms)
    if particles < n or not all(map(system.isVirtualSite, range(n, particles))):
        raise ValueError(
            f"atoms: the System has {particles} particles, the structure {n} atoms; "
            "build both from the same structure"
        )
    box = Box.of(cell_of(atoms))
    fixed = {f.getName() for f in system.getForces() if isinstance(f, DIRECTED)}
    if fixed and not np.array_equal(box.turn, np.eye(3)):
        raise ValueError(
            f"atoms: the System's {sorted(fixed)} would not turn with the box; build "
            "it from a reduced, lower triangular cell, which OpenMM takes as it is"
        )
    where = openmm.Platform.getPlatformByName(platform)
    one = {"Threads": "1", "DeterministicForces": "true"}  # or sums differ each run
    how = one if platform == "CPU" else {}
    context = openmm.Context(system, integrator, where, how)
    place(context, atoms.positions, box)
    return context


def place(context: openmm.Context, positions: np.ndarray, box: Box) -> None:
    """Put the atoms at `positions` (N, 3) Å, and virtual sites where they belong.

    Positions have the user's axes, `box` knows OpenMM's. Molecules may be wrapped.
    """
    if box.vectors.any():
        context.setPeriodicBoxVectors(*(box.vectors / units.NM))
    positions = guards.array(None, 3)(positions, "positions") @ box.turn.T
    system, n = context.getSystem(), len(positions)
    sites = range(n, system.getNumParticles())
    if system.usesPeriodicBoundaryConditions():  # OpenMM would not look across a face
        cell = cell_of_state(context.getState())
        for site in map(system.getVirtualSite, sites):
            first, *others = map(site.getParticle, range(site.getNumParticles()))
            apart = nearest_image(positions[others] - positions[first], cell)
            positions[others] = positions[first] + apart
    context.setPositions(np.pad(positions, ((0, len(sites)), (0, 0))) / units.NM)
    if sites:
        context.computeVirtualSites()


@guards.checked(system=guards.instance(openmm.System), atoms=guards.structure)
def system_energy_forces(system: openmm.System, atoms: Atoms) -> EnergyForces:
    """Turn an OpenMM System into an `EnergyForces` (numbers are taken for granted)."""
    context = make_context(system, atoms, openmm.VerletIntegrator(0.001))

    def energy_forces(numbers, positions, cell):
        box = Box.of(cell)
        place(context, positions, box)
        state = context.getState(energy=True, forces=True)
        return labels_of(state, box, len(numbers))

    return energy_forces


def labels_of(state: openmm.State, box: Box, n: int) -> tuple[float, np.ndarray]:
    """Read energy (eV) and forces (n, 3) eV/Å on atoms, which carry those on sites."""
    energy = state.getPotentialEnergy().value_in_unit_system(MD) * units.KJ_MOL
    forces = state.getForces(asNumpy=True).value_in_unit_system(MD)[:n]
    return energy, forces / PER_NM @ box.turn


def snapshot(context: openmm.Context, atoms: Atoms, time: float) -> Atoms:
    """Copy `atoms` as they are now: labels, momenta, time (fs), kinetic energy (eV).

    Momenta are those of this time, as ASE has them; with a thermostat the Langevin
    integrator's own, which follow Maxwell's law to higher order.
    """
    state = context.getState(positions=True, velocities=True, energy=True, forces=True)
    frame, n, box = atoms.copy(), len(atoms), Box.of(cell_of(atoms))
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
    frame.positions = positions[:n] @ box.turn
    if frame.pbc.any():
        frame.cell = box.cell(cell_of_state(state))
    frame.set_velocities(_velocities(context, state)[:n] @ box.turn / ASE_VELOCITY)
    kinetic = state.getKineticEnergy().value_in_unit_system(MD) * units.KJ_MOL
    frame.info |= {"time_fs": time, "kinetic_energy": kinetic}
    energy, forces = labels_of(state, box, n)
    if not np.isfinite(energy + forces.sum()):
        raise FloatingPointError("the energy or a force is NaN")
    return with_labels(frame, energy, forces)


def _masses(system: openmm.System) -> np.ndarray:
    """Read masses (particles,) u; 0 for what does not move, and for sites."""
    masses = map(system.getParticleMass, range(system.getNumParticles()))
    return np.array([mass.value_in_unit(unit.dalton) for mass in masses])


def _half_kick(context: openmm.Context, state: openmm.State) -> np.ndarray:
    """Compute what forces add to velocities in half a step: (particles, 3) nm/ps.

    Leap-frog keeps velocities half a step before the positions; Langevin does not.
    """
    forces = state.getForces(asNumpy=True).value_in_unit_system(MD)
    integrator, masses = context.getIntegrator(), _masses(context.getSystem())[:, None]
    if not isinstance(integrator, openmm.VerletIntegrator):
        return np.zeros_like(forces)
    half = 0.5 * integrator.getStepSize().value_in_unit(unit.picosecond)
    return np.divide(half * forces, masses, where=masses > 0, out=np.zeros_like(forces))


def _velocities(context: openmm.Context, state: openmm.State) -> np.ndarray:
    """Compute velocities at the time of the positions, (particles, 3) nm/ps."""
    stored = state.getVelocities(asNumpy=True).value_in_unit_system(MD)
    now = stored + _half_kick(context, state)
    if context.getSystem().getNumConstraints():  # rigid bonds push back
        context.setVelocities(now)
        context.applyVelocityConstraints(1e-8)
        again = context.getState(velocities=True).getVelocities(asNumpy=True)
        now = again.value_in_unit_system(MD)
        context.setVelocities(stored)
    return now


def _random(seed: int) -> int:
    """Turn a `guards.seed` into one of OpenMM, where 0 means: choose one at random."""
    return seed % (2**31 - 1) + 1


def start(
    system, atoms, temperature, timestep, friction, seed, platform
) -> openmm.Context:
    """Build a Context with integrator and velocities: those of `atoms`, else drawn."""
    dt = timestep / units.PS
    integrator = openmm.VerletIntegrator(dt)
    if temperature is not None:
        rate = friction * units.PS
        integrator = openmm.LangevinMiddleIntegrator(temperature, rate, dt)
        integrator.setRandomNumberSeed(_random(seed))
    context = make_context(system, atoms, integrator, platform)
    found, wanted = _masses(system)[: len(atoms)], atoms.get_masses()
    for i in np.flatnonzero((found > 0) & (abs(found - wanted) > LIKE_MASS * wanted)):
        raise ValueError(  # momenta would be wrong
            f"atoms: atom {i} has a mass of {wanted[i]:g} u, in the System of "
            f"{found[i]:g} u; build it from this structure, or use atoms.set_masses"
        )
    kick = _half_kick(context, context.getState(forces=True))  # tells what does not fit
    if temperature is None or atoms.has("momenta"):
        turn = Box.of(cell_of(atoms)).turn
        velocities = atoms.get_velocities() @ turn.T * ASE_VELOCITY
        sites = len(kick) - len(atoms)
        context.setVelocities(np.pad(velocities, ((0, sites), (0, 0))) - kick)
    else:
        context.setVelocitiesToTemperature(temperature, _random(seed))
    return context


class Turns:
    """Let each Context go on with its own random numbers.

    OpenMM's Reference platform has one stream for the whole process: a run would draw
    what another one left there, in another thread too.
    """

    lock = threading.RLock()
    latest: Any = None  # a weak reference to whom the numbers in the stream are of

    def __init__(self, context: openmm.Context):
        """Take the numbers as they are, in the `lock` that `context` was made in."""
        self.context, self.state = context, context.createCheckpoint()
        self.shared = context.getPlatform().getName() == "Reference"
        Turns.latest = ref(self)

    @contextlib.contextmanager
    def take(self) -> Iterator[None]:
        """Hold the numbers for some steps; `state` is the checkpoint after them."""
        with self.lock if self.shared else contextlib.nullcontext():
            if self.shared and Turns.latest() is not self:
                self.context.loadCheckpoint(self.state)
                Turns.latest = ref(self)
            yield
            self.state = self.context.createCheckpoint()


def check_start(atoms: Atoms) -> None:
    """Raise `ValueError` for a structure that no run may start from."""
    check([guards.structure(atoms, "atoms")], "atoms", labelled=False)
    if atoms.constraints:
        kinds = ", ".join(sorted({type(c).__name__ for c in atoms.constraints}))
        raise ValueError(
            f"atoms: dynamics does not keep constraints of ASE ({kinds}); take them "
            "off (atoms.set_constraint()), or give atoms no mass in an openmm.System"
        )
    guards.array(None, 3)(atoms.get_momenta(), "atoms: momenta")
    masses_of(atoms)
