"""Speed, on one thread: ``make bench``. Tests never time; this never tests."""

import time
from collections.abc import Callable

from ase import Atoms

from tpainn_lite import datasets, dynamics, molecules, ridge_head, train, water
from tpainn_lite.graphs import Samples
from tpainn_lite.model import Potential


def rate(run: Callable[[], None], seconds: float = 5.0) -> float:
    """Runs per second, after one to warm up."""
    run()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        run()
        count += 1
    return count / (time.perf_counter() - start)


def liquid_speeds(potential: Potential, box: Atoms, steps: int = 100) -> None:
    """Print what moving the liquid `box` costs: neighbour lists, integrator and all."""
    quick = potential.frozen()
    how = dict(steps=steps, every=steps, timestep=1.0, platform="CPU", seed=0)
    ways = {
        "simulate(Potential.energy_forces)": lambda: dynamics.simulate(
            box, potential.energy_forces, **how
        ),
        "simulate(frozen)": lambda: dynamics.simulate(box, quick, **how),
    }
    for name, call in ways.items():
        ms = 1e3 / (steps * rate(call))
        speed = 86.4 / ms  # ns/day at 1 fs
        print(f"64 waters, {name}: {ms:.1f} ms a step, {speed:.2f} ns/day at 1 fs")


def main() -> None:
    """Print one line a measurement."""
    pool = datasets.load("molecules-dft")["pool"][:10]
    student = datasets.checkpoint("molecules-mmff94")
    ethanol = molecules.conformers("CCO", seed=0)[0]
    mmff94 = molecules.mmff94("CCO")
    for name, weight in (("energies and forces", 0.99), ("energies only", 0.0)):
        config = train.FitConfig(steps=100, force_weight=weight)
        steps = 100 * rate(
            lambda config=config: train.fit(student, pool, config, seed=0)
        )
        print(f"training on 10 molecules, {name}: {1e3 / steps:.0f} ms a step")
    thirty = datasets.load("molecules-dft")["pool"][:30]
    phi = ridge_head.draw_features(student, thirty, ridge_head.HeadConfig(), seed=0)
    rows = ridge_head.design(student, thirty, phi)
    solves = rate(lambda: ridge_head.solve(rows))
    print(f"instant head on 30 molecules: {1e3 / solves:.0f} ms")
    labels = rate(lambda: mmff94(ethanol.numbers, ethanol.positions, None))
    print(f"MMFF94, ethanol: {1e6 / labels:.0f} µs a label")
    labels = rate(lambda: student.energy_forces(ethanol.numbers, ethanol.positions))
    print(f"PaiNN, ethanol: {1e3 / labels:.1f} ms a label")
    graphs = rate(lambda: Samples(pool, 5.0, student.reference_sum(pool)))
    print(f"neighbour lists of 10 molecules: {1e3 / graphs:.1f} ms")
    how = {"steps": 100, "every": 100}
    speed = rate(lambda: dynamics.simulate(ethanol, mmff94, seed=0, **how))
    print(f"MMFF94 dynamics of ethanol: {100 * speed:.0f} steps/s")
    settled = datasets.runs("water-runs")["NVT"]["water-tuned-8"][-1]
    liquid_speeds(datasets.checkpoint("water-tuned-8"), settled)
    box = water.water_box(32, seed=0)
    system = water.spc_fw(box)
    speed = rate(lambda: dynamics.simulate(box, system, steps=10, every=10, seed=0))
    print(f"SPC/Fw, 32 molecules: {10 * speed:.0f} steps/s")


if __name__ == "__main__":
    main()
