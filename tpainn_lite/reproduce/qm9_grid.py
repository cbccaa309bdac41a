"""Race arms on energies of QM9: closed forms, networks from scratch, and tuned ones.

All arms see the same labelled molecules. Each network arm tries its rates at two
sizes; 1,000 molecules that are in no draw and no test judge. Energies are electronic
(U0 less the zero-point energy).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
from ase import Atoms

from .. import __version__, calibrate, data, datasets, tune
from ..data import labels, with_labels
from ..graphs import Graphs
from ..model import Potential, PotentialConfig
from ..train import FitConfig, fit
from ..units import KCAL_MOL
from . import qm9, qm9_students
from .cards import words
from .parts import Part, rows_of, slug, sources
from .qm9 import FREE
from .qm9_students import POOL, TAUGHT, TEST, cheap_energies, start_of

SIZES = (10, 30, 100, 300, 1000, 3000, 10_000)
DRAWS, MANY = 3, 1000  # of larger sizes there is one
STEPS = {300: 600, 1000: 1200, 3000: 2400, 10_000: 3600}  # up to this many labels
PLACES = {  # in the draw: first, and after the last
    "test": (0, TEST),
    "pool": (TEST, TEST + POOL),
    "judges": (TEST + TAUGHT, TEST + TAUGHT + 1000),
}
TRIED = (100, 1000)  # sizes of the trials
LONGER = {"scratch, references": (30, 100, 1000)}  # also five times the steps
BESIDE = "tuned beside calibrated GFN2-xTB"
CLOSED: dict[str, tuple[str, dict]] = {  # cheap method and settings of `calibrate`
    "composition": ("", dict(terms="composition")),
    "bonds and rings": ("", dict(bonds=calibrate.TEXTBOOK)),
    "GFN2-xTB + composition": ("gfn2_xtb", dict(terms="composition")),
    "calibrated MMFF94": ("mmff94", dict(bonds=calibrate.TEXTBOOK)),
    "calibrated GFN2-xTB": ("gfn2_xtb", {}),
}
TAUGHT_BY = {  # arm -> student, and the closed form that it starts as
    "tuned from MMFF94 energies": ("MMFF94", ("mmff94", dict(terms="composition"))),
    "tuned from calibrated MMFF94": ("terms", CLOSED["calibrated MMFF94"]),
    "tuned from calibrated GFN2-xTB": ("GFN2-xTB", CLOSED["calibrated GFN2-xTB"]),
    BESIDE: ("GFN2-xTB", CLOSED["calibrated GFN2-xTB"]),
}
START = (100, 0)  # labels and seed of the draw that the shipped student belongs to
FRESH = "scratch, no references", "scratch, references"
USUAL = (3e-4, 1e-3, 3e-3)  # rates; where the lowest or highest won, one more was tried
RATES = dict.fromkeys((*FRESH, "tuned from molecules-mmff94", *TAUGHT_BY), USUAL)
RATES["tuned from MMFF94 energies"] = (*USUAL, 1e-2)
RATES["tuned from calibrated GFN2-xTB"] = (3e-5, 1e-4, 3e-4, 1e-3)
RATES[BESIDE] = (1e-4, *USUAL, 1e-2)
FILES = {"qm9-grid": ["qm9-grid.json"], "qm9-student": ["qm9-student.safetensors"]}


def steps(n: int) -> int:
    """Choose the number of steps for n labels."""
    return next(k for most, k in STEPS.items() if n <= most)


@cache
def molecules(part: str) -> Graphs:
    """Return the test molecules, the pool or the judges."""
    first, last = PLACES[part]
    return Graphs(qm9.drawn(last)[first:], 5.0, labelled=False)


def cheap_of(part: str, method: str) -> np.ndarray:
    """Return the energies (eV) of a cheap method of `molecules(part)`."""
    first, last = PLACES[part]
    return cheap_energies(method, last)[first:]


student_of = cache(qm9_students.train)


def chosen(n: int, seed: int) -> list[int]:
    """Draw n of the pool, of its first 4,000 where n fits."""
    size = POOL if n > qm9.POOL else qm9.POOL
    return np.random.default_rng(seed).permutation(size)[:n].tolist()


def calibrated(
    n: int, seed: int, method: str, how: dict
) -> tuple[list[Atoms], np.ndarray | None, calibrate.MoleculeModel]:
    """Calibrate on a draw; return it, its cheap energies, and the model."""
    places = chosen(n, seed)
    frames = [molecules("pool")[k] for k in places]
    known = cheap_of("pool", method)[places] if method else None
    model = calibrate.molecules(frames, known, **settings(method, how))
    return frames, known, model


def settings(method: str, how: dict) -> dict:
    """Add the free atoms of the labels, and of the method, to settings."""
    own = qm9.xtb_atoms() if method == "gfn2_xtb" else None
    return how | dict(atomic_energies=FREE, cheap_atoms=own)


def trained(
    arm: str, n: int, seed: int, config: FitConfig
) -> tuple[Callable, Callable]:
    """Train a network arm; return what predicts energies of a part of `molecules`.

    First before training, with reference energies fitted, then after it.
    """
    frames, free = [molecules("pool")[k] for k in chosen(n, seed)], FREE
    if arm == FRESH[0]:
        return (naive(frames, seed, config),) * 2
    outside = 0.0
    if arm in TAUGHT_BY:
        student, closed = TAUGHT_BY[arm]
        frames, known, model = calibrated(n, seed, *closed)
        cheap, outside = ("", model.factor) if arm == BESIDE else (closed[0], 0.0)
        potential = start_of(student_of(student), model, cheap)
        free = potential.reference_energies
        frames = [moved(a, -outside * e) for a, e in zip(frames, known, strict=True)]
    elif arm == FRESH[1]:
        potential = Potential(PotentialConfig(), dict.fromkeys(FREE, 0.0), seed=seed)
    else:  # it has seen no fluorine
        potential = datasets.checkpoint("molecules-mmff94")
        potential.reference_energies = potential.reference_energies | {9: 0.0}
    before = tune.with_references(potential, frames, free)
    tuned, _ = tune.autotune(potential, frames, free, config, seed=seed)

    def predict(network: Potential, part: str) -> np.ndarray:
        energies = network.predict(molecules(part), forces=False)[0]
        return energies + (outside * cheap_of(part, "gfn2_xtb") if outside else 0)

    return partial(predict, before), partial(predict, tuned)


def moved(atoms: Atoms, shift: float) -> Atoms:
    """Label a copy with another energy (eV)."""
    return with_labels(atoms, labels(atoms, forces=False)[0] + shift)


def naive(frames: Sequence[Atoms], seed: int, config: FitConfig) -> Callable:
    """Train on atomisation energies less their mean: no energy for an element."""
    fresh = Potential(PotentialConfig(), FREE, seed=seed)
    truth = [labels(a, forces=False)[0] for a in frames]
    mean = np.mean(truth - fresh.reference_sum(frames))
    some = [moved(a, -mean) for a in frames]
    potential, _ = fit(fresh, some, config, seed=seed)
    return lambda part: potential.predict(molecules(part), forces=False)[0] + mean


def errors(predict: Callable, part: str) -> dict[str, float]:
    """Tell the errors (kcal/mol) on a part of `molecules`."""
    truth = [labels(a, forces=False)[0] for a in molecules(part)]
    gap = (predict(part) - truth) / KCAL_MOL
    return {"mae": float(np.abs(gap).mean()), "rmse": float(np.sqrt((gap**2).mean()))}


def config_of(n: int, rate: float, longer: int = 1) -> FitConfig:
    """Choose settings for n labels."""
    how = dict(batch_size=10, energy_weight=1.0, force_weight=0.0)
    return FitConfig(steps=longer * steps(n), lr=rate, **how)


def trial(arm: str, n: int, rate: float) -> dict:
    """Try a rate on the first draw."""
    found = errors(trained(arm, n, 0, config_of(n, rate))[1], "judges")
    return dict(arm=arm, n=n, lr=rate) | found


def rate_of(arm: str, n: int, trials: Sequence[dict]) -> float:
    """Choose the rate that did best at the nearest size."""
    near = min(TRIED, key=lambda size: abs(math.log(size / n)))
    tried = [t for t in trials if t["arm"] == arm and t["n"] == near]
    return min(tried, key=lambda t: t["mae"])["lr"]


def row(
    arm: str, n: int, seed: int, rate: float | None = None, longer: int = 1
) -> dict:
    """Compute one point of the table; `rate` is for networks."""
    begin = time.process_time()
    found: dict = dict(arm=arm, n=n, seed=seed)
    if arm in CLOSED:
        method, how = CLOSED[arm]
        model = calibrated(n, seed, method, how)[2]

        def predict(part: str) -> np.ndarray:
            known = cheap_of(part, method) if method else None
            return model.energies(molecules(part), known)

        found |= dict(steps=0)
    else:
        config = config_of(n, rate, longer)
        before, predict = trained(arm, n, seed, config)
        found |= dict(steps=config.steps, lr=rate)
        if arm in TAUGHT_BY:
            start = errors(before, "test")
            found |= {f"before_{key}": round(e, 4) for key, e in start.items()}
    found |= {key: round(e, 4) for key, e in errors(predict, "test").items()}
    return found | dict(cpu_s=round(time.process_time() - begin, 1))


def tasks(arm: str) -> list[tuple[int, int, int]]:
    """List (n, seed, times the steps) of an arm."""
    found = [(n, s, 1) for n in SIZES for s in range(DRAWS if n <= MANY else 1)]
    return found + [(n, 0, 5) for n in LONGER.get(arm, ())]


def parts(name: str) -> dict[str, Part]:
    """List the arms; one that has a student trains it first."""
    if name != "qm9-grid":
        return {}
    found = {}
    for arm in (*CLOSED, *RATES):
        student = qm9_students.STUDENTS[TAUGHT_BY[arm][0]] if arm in TAUGHT_BY else None
        reads = ("qm9", "molecules-mmff94") if "molecules" in arm else ("qm9",)
        how = student, RATES.get(arm), CLOSED.get(arm), tasks(arm)
        found[slug(arm)] = Part(arm, reads, how)
    return found


def compute(name: str, arm: str) -> list[dict]:
    """Try the rates of an arm, then compute its rows."""
    trials = [trial(arm, n, rate) for n, rate in product(TRIED, RATES.get(arm, ()))]
    found = [dict(trial=True) | one for one in trials]
    for n, seed, longer in tasks(arm):
        rate = rate_of(arm, n, trials) if trials else 0.0
        found.append(row(arm, n, seed, rate, longer))
    return found


def whole(name: str) -> Part:
    """Tell what decides the student that ships."""
    return Part(name, ("qm9", "qm9-sample"), (qm9_students.STUDENTS["GFN2-xTB"], START))


def write(
    name: str, results: Sequence[Path], folder: Path, share: float = 1
) -> dict | None:
    """Gather the rows, or save what the best arm starts from on one draw."""
    if name == "qm9-student":
        student, closed = TAUGHT_BY[BESIDE]
        n, seed = START
        (frames,) = data.split(datasets.load("qm9-sample")["pool"], n, seed=seed)
        known = np.array([a.info["gfn2_xtb"] for a in frames])
        model = calibrate.molecules(frames, known, **settings(*closed))
        potential = start_of(student_of(student), model, "")
        card = dict(name=name, made_by=f"tpainn_lite {__version__}, reproduce {name}")
        card |= dict(structures=n, seed=seed)
        card |= dict(training=asdict(qm9_students.STUDENTS[student]))
        potential.save(folder / name, card | words("qm9-student"))
        return None
    rows = rows_of(results)
    trials = [r for r in rows if r.pop("trial", False)]
    rest = [r for r in rows if "seed" in r]
    return {
        "from": sources(["molecules-mmff94"]),
        **words("qm9-grid"),
        "trials": trials,
        "rows": rest,
    }
