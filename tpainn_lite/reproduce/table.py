"""The shipped assets, one row each; made by ``reproduce``.

To add a data set is to add a row. What needs torch is imported where it is called, so
that the list of the assets is there at once.
"""

from collections.abc import Callable
from functools import partial

from . import ethanol as ethanol
from . import molecule_sets as data
from . import water_sets as liquids
from .assets import Asset, Later
from .cards import write_set
from .liquid import RUNS, liquid_tasks, sample_liquid, settings


def learning_curves(name: str, count: int, *needs: str) -> Asset:
    """The grid of a race."""
    return Asset(
        kind="grid",
        name=name,
        count=count,
        tasks=Later("grid_rows", "tasks", (name,)),
        compute=Later("grid_rows", "point", (name,)),
        write=Later("grid_rows", "write_grid"),
        needs=needs,
    )


def computed(label: str, count: int, made: tuple[str, ...], *needs: str) -> Asset:
    """Tasks, what computes one and what writes are functions of one module: `made`."""
    kind, name = label.split()
    tasks, compute, write = (Later(made[0], function) for function in made[1:])
    return Asset(kind, name, count, tasks, compute, write, needs=needs)


def labelled(
    name: str, count: int, tasks: Callable, compute: Callable, settings: Callable
) -> Asset:
    """A set of quantum labels."""
    if name == "water-dft":  # with frames that tell the noise
        write = liquids.write_water
    else:
        about = data.ABOUT | ethanol.ABOUT | liquids.ABOUT
        write = partial(write_set, about=about[name])
    settings = partial(settings, name)
    return Asset("data", name, count, tasks, compute, write, settings=settings)


def pretrained(
    name: str,
    count: int,
    tasks: Callable,
    compute: Callable,
    settings: Callable,
    *others: str,
) -> tuple[Asset, ...]:
    """Classical structures, none of which ship, and what is pretrained on them.

    The checkpoints are NAME and, after it, NAME-OTHER for each of `others`.
    """
    made = dict(count=count, tasks=tasks, compute=compute, settings=settings)
    trained = made | dict(train=Later("students", "train"), shares=name)
    first = Asset("checkpoint", name, needs=(f"data {name}",), **trained)
    trained["needs"] = (*first.needs, first.label)  # from which they may go on
    rest = (Asset("checkpoint", f"{name}-{other}", **trained) for other in others)
    return Asset("data", name, **made), first, *rest


def liquid(teacher: str, *others: str) -> tuple[Asset, ...]:
    """A classical liquid, and its students."""
    tasks = partial(liquid_tasks, teacher)
    compute = sample_liquid
    how = partial(settings, teacher)
    return pretrained(teacher, RUNS, tasks, compute, how, *others)


def tuned(name: str, *needs: str) -> Asset:
    """A potential tuned on quantum labels, or its twin from scratch."""
    train = Later("tuned", "train")
    return Asset(kind="checkpoint", name=name, train=train, needs=needs)


def tuned_water(arm: str, n: int) -> Asset:
    """A water potential to be run: tuned on `n` boxes, or its twin from scratch."""
    return tuned(f"water-{arm}-{n}", "data water-dft", "checkpoint water-qtip4pf")


DATA, ETHANOL, WATER = data.settings, ethanol.settings, liquids.settings
ARMS = ("tuned", "scratch")
STUDENTS = ("longer", "3-layers", "32-features", "4-angstrom", "10-runs")
VARIED = tuple(f"water-qtip4pf-{name}" for name in STUDENTS)
WATER_STUDENTS = ("checkpoint water-qtip4pf", "checkpoint water-spcfw")
PUBLIC_ORDER = "order water-pbe0ts-order"
ASSETS = (  # each after those it needs
    labelled("molecules-dft", 639, data.molecules_tasks, data.label_molecule, DATA),
    labelled("methanol-scan", 13, lambda: data.SCAN, data.label_scan, DATA),
    labelled("ethanol-dft", 500, ethanol.ethanol_tasks, ethanol.label_dft, ETHANOL),
    labelled("ethanol-ccsdt", 340, ethanol.ccsdt_tasks, ethanol.label_ccsdt, ETHANOL),
    labelled("water-dft", 114, liquids.water_tasks, liquids.label_water, WATER),
    labelled("water-scans", 33, liquids.scan_tasks, liquids.label_scan, WATER),
    *pretrained(
        "molecules-mmff94",
        124,
        data.classical_tasks,
        data.sample_classical,
        data.classical_settings,
    ),
    *liquid("water-qtip4pf", *STUDENTS),
    *liquid("water-spcfw"),
    learning_curves(
        "molecules-grid", 72, "data molecules-dft", "checkpoint molecules-mmff94"
    ),
    computed(PUBLIC_ORDER, 1, ("order", "tasks", "compute", "write")),
    learning_curves("water-dft-grid", 105, "data water-dft", *WATER_STUDENTS),
    computed(
        "grid selection",
        120,
        ("selection", "tasks", "compute", "write"),
        *("data molecules-dft", "data water-dft", "checkpoint molecules-mmff94"),
        "checkpoint water-qtip4pf",
    ),
    Asset(
        kind="data",
        name="teachers-xtb",
        count=13,
        tasks=Later("ladder", "structure_tasks"),
        compute=Later("ladder", "label_structures"),
        write=Later("ladder", "write_structures"),
        settings=Later("ladder", "settings"),
    ),
    computed(
        "grid ladder",
        3,
        ("ladder", "tasks", "compute", "write"),
        *("data teachers-xtb", "data molecules-dft"),
    ),
    tuned("ethanol-dft-tuned", "data ethanol-dft", "checkpoint molecules-mmff94"),
    tuned("ethanol-ccsdt-tuned", "data ethanol-ccsdt", "checkpoint ethanol-dft-tuned"),
    computed(
        "data ethanol-modes",
        43,
        ("modes", "tasks", "compute", "write"),
        "checkpoint ethanol-ccsdt-tuned",
    ),
    computed(
        "grid ways",
        213,
        ("ways", "tasks", "compute", "write"),
        *(f"data {d}-dft" for d in ("ethanol", "molecules", "water")),
        *("data ethanol-ccsdt", "data teachers-xtb", "checkpoint ethanol-dft-tuned"),
        *("checkpoint molecules-mmff94", "checkpoint water-qtip4pf"),
    ),
    *(tuned_water(arm, n) for n in (1, 8, 80) for arm in ARMS),
    learning_curves(
        "water-pbe0ts-grid",
        171,
        *WATER_STUDENTS,
        "checkpoint water-tuned-80",
        PUBLIC_ORDER,
    ),
    learning_curves(
        "water-students-grid",
        36,
        *(f"checkpoint {name}" for name in ("water-qtip4pf", *VARIED)),
        PUBLIC_ORDER,
    ),
    learning_curves("water-pull-grid", 3, "checkpoint water-qtip4pf", PUBLIC_ORDER),
    learning_curves(
        "water-patient-grid", 9, "checkpoint water-qtip4pf-longer", PUBLIC_ORDER
    ),
    computed(
        "properties water-stability",
        55,
        ("runs", "stability_tasks", "judge_run", "write_stability"),
        "checkpoint water-tuned-80",
        *(f"checkpoint water-{arm}-{n}" for arm in ARMS for n in (1, 8)),
    ),
    computed(
        "properties water-runs",
        8,
        ("runs", "property_tasks", "pack_run", "write_runs"),
        *(f"checkpoint water-{m}" for m in ("tuned-8", "tuned-80", "scratch-8")),
    ),
    computed("properties spcfw-liquid", 1, ("spcfw", "tasks", "measure", "write")),
    Asset(
        kind="figure",
        name="headline",
        write=Later("headline", "write_headline"),
        needs=("grid molecules-grid",),
    ),
)
