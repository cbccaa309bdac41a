"""Speed, on one thread: ``make bench``. Tests never time; this never tests."""

import time
from collections.abc import Callable

from tpainn_lite import datasets, dynamics, head, molecules, train, water
from tpainn_lite.graphs import Samples


def rate(run: Callable[[], None], seconds: float = 5.0) -> float:
    """Runs per second, after one to warm up."""
    run()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        run()
        count += 1
    return count / (time.perf_counter() - start)


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
    phi = head.draw_features(student, thirty, head.HeadConfig(), seed=0)
    rows = head.design(student, thirty, phi)
    print(
        f"instant head on 30 molecules: {1e3 / rate(lambda: head.solve(rows)):.0f} ms"
    )
    labels = rate(lambda: mmff94(ethanol.numbers, ethanol.positions, None))
    print(f"MMFF94, ethanol: {1e6 / labels:.0f} µs a label")
    labels = rate(lambda: student.energy_forces(ethanol.numbers, ethanol.positions))
    print(f"PaiNN, ethanol: {1e3 / labels:.1f} ms a label")
    graphs = rate(lambda: Samples(pool, 5.0, student.reference_sum(pool)))
    print(f"neighbour lists of 10 molecules: {1e3 / graphs:.1f} ms")
    speed = rate(lambda: dynamics.simulate(mmff94, ethanol, steps=100, every=100))
    print(f"MMFF94 dynamics of ethanol: {100 * speed:.0f} steps/s")
    box = water.water_box(32, seed=0)
    system = water.spc_fw(box)
    speed = rate(lambda: dynamics.simulate(system, box, steps=10, every=10))
    print(f"SPC/Fw, 32 molecules: {10 * speed:.0f} steps/s")


if __name__ == "__main__":
    main()
