"""A result is known by what decides it: a changed configuration is computed anew."""

import importlib
from dataclasses import replace

import pytest

from tpainn_lite import datasets, train, water
from tpainn_lite.reproduce import __main__, cards, molecule_sets, tasks
from tpainn_lite.reproduce.table import ASSETS, Asset

LABELS = {asset.label: asset for asset in ASSETS}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A list of names in place of half a minute of enumeration."""
    names = [f"molecule {k}" for k in range(400)]
    monkeypatch.setattr(molecule_sets, "classical_molecules", lambda: names)


def named(label):
    """(task without its digest, file name of its result) of all tasks of an asset."""
    asset = LABELS[label]
    settings = tasks.belongs(asset.settings()) if asset.settings else ""
    points = []
    for k, task in enumerate(asset.tasks()):
        parts = task if isinstance(task, tuple) else (task,)
        known = parts if asset.settings else parts[:-1]
        points.append((known, tasks.result_name(k, task, settings)))
    return points


def everything(*task):
    """Every task depends on it."""
    return True


def experiment(*names):
    """Tasks of these experiments depend on it."""
    return lambda name, *rest: name in names


def hot(name, way, n, *rest):
    """Trainings of lesson 06 that a hot run follows."""
    ways = ("scratch", "all weights", "replay", "instant head")
    return name == "ethanol-dft" and n == 10 and way in ways


def tables(name, *rest):
    """Tables of the selection experiments."""
    return "water" not in name and name != "molecules-dft"


def cells(*keys):
    """`cells(a, b)` of a dict: the same with another value at [a][b]."""

    def change(value):
        key, *rest = keys
        other = cells(*rest)(value[key]) if rest else changed(value[key])
        return value | {key: other}

    return change


def changed(value):
    """Another value of the same kind."""
    if isinstance(value, train.FitConfig):
        return replace(value, lr=2 * value.lr)
    if isinstance(value, water.WaterModel):
        return replace(value, charge=2 * value.charge)
    if isinstance(value, cards.About):
        return replace(value, level="another level")
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, tuple):
        return (*value, value[-1])
    return 2 * value


def grid_seen_elsewhere(grids):
    """Test errors along the way, of other structures."""
    return grids | {"molecules-grid": replace(grids["molecules-grid"], stride=7)}


GRADUAL = "gradual unfreezing"
RECORDED = ("MOLECULES", "DENSITY", "TIMESTEP", "EVERY", "FRICTION")
JUDGED = ("BROKEN", "SETTLE", "FIT")
# label, module: constant -> how it changes, and which tasks depend on it
TABLE = {
    ("grid selection", "selection"): {
        "SIZES": (changed, experiment("molecules-dft", "water-dft")),
        "SEEDS": (cells("diabetes"), lambda name, *_: "diabetes" in name),
        "AFTER": (cells("batch"), tables),
    },
    ("grid selection", "selection_data"): {
        "COMPONENTS": (changed, lambda name, *_: "diabetes" not in name),
        "TESTED": (changed, lambda name, *_: name.partition(",")[0] == "molecules"),
    },
    ("grid selection", "bagging"): {"SHRINKAGE": (changed, everything)},
    ("grid ways", "ways"): {
        **dict.fromkeys(("HOT", "HOT_PS", "STRETCHED"), (changed, hot)),
        "WAYS": (cells(GRADUAL), lambda _, way, *__: way == GRADUAL),
        "CCSDT_WAYS": (cells("delta"), lambda *t: t[:2] == ("ethanol-ccsdt", "delta")),
    },
    ("grid ladder", "ladder"): dict.fromkeys(
        ("STEPS", "SIZES", "SEEDS", "TIMED", "FIT"), (changed, everything)
    ),
    ("grid ladder", "tune"): {"CONFIGS": (cells("tuned"), everything)},
    ("properties spcfw-liquid", "spcfw"): {
        "LENGTHS": (cells("npt"), everything),
        "EVERY": (cells("nvt"), everything),
        "FIT": (changed, everything),
        "SHOWN": (changed, everything),
    },
    ("properties spcfw-liquid", "water"): {"MODELS": (cells("spc-fw"), everything)},
    ("properties water-stability", "runs"): dict.fromkeys(
        (*RECORDED, *JUDGED), (changed, everything)
    ),
    ("properties water-runs", "runs"): dict.fromkeys(RECORDED, (changed, everything))
    | dict.fromkeys(JUDGED, (changed, experiment())),
    ("data ethanol-modes", "modes"): dict.fromkeys(
        ("LARGEST", "FMAX"), (changed, everything)
    ),
    ("grid molecules-grid", "grid_rows"): {"MARKS": (changed, everything)},
    ("grid molecules-grid", "grids"): {"GRIDS": (grid_seen_elsewhere, everything)},
    ("grid water-pbe0ts-grid", "formats"): {"POOL": (changed, everything)},
    ("data molecules-dft", "molecule_sets"): {
        "ABOUT": (cells("molecules-dft"), everything)
    },
    ("data ethanol-ccsdt", "ethanol"): {"ABOUT": (cells("ethanol-ccsdt"), everything)},
    ("data water-dft", "water_sets"): {
        "ABOUT": (cells("water-dft"), everything),
        "MOLECULES": (changed, everything),
        "WIDTH": (cells("dimer"), experiment()),
    },
    ("data water-dft", "cp2k"): {"FINAL": (cells("eps_scf"), everything)},
    ("data water-dft", "water"): {"MODELS": (cells("spc-fw"), everything)},
    ("data water-scans", "water_sets"): {
        "MOLECULES": (changed, experiment()),
        "WIDTH": (cells("dimer"), everything),
    },
    ("data water-spcfw", "water"): {"MODELS": (cells("spc-fw"), everything)},
    ("data water-qtip4pf", "water"): {"MODELS": (cells("spc-fw"), experiment())},
    ("checkpoint water-spcfw", "liquid"): {"FRAMES": (changed, everything)},
    ("data teachers-xtb", "ladder"): {"ABOUT": (changed, everything)},
}
CASES = [
    (*where, constant, *how)
    for where, constants in TABLE.items()
    for constant, how in constants.items()
]


@pytest.mark.parametrize(
    ("label", "module", "constant", "how", "depends"),
    CASES,
    ids=[" ".join(case[:3]) for case in CASES],
)
def test_other_configurations_have_other_names(
    label, module, constant, how, depends, monkeypatch
):
    before = named(label)
    owner = importlib.import_module(f"tpainn_lite.reproduce.{module}")
    value = getattr(owner, constant)
    if isinstance(value, dict):  # which others have imported
        for key, new in how(value).items():
            monkeypatch.setitem(value, key, new)
    else:
        monkeypatch.setattr(owner, constant, how(value))
    after = named(label)
    assert before
    for (task, old), (same, new) in zip(before, after, strict=True):
        assert task == same
        assert (old != new) == bool(depends(*task)), task


def test_sources_have_a_part_in_names(monkeypatch):
    """Another set, or other energies of free atoms, are another result."""
    before = {label: dict(named(label)) for label in ("grid ways", "grid ladder")}
    digest = datasets.digest
    monkeypatch.setattr(
        datasets, "digest", lambda n: "other" if n == "teachers-xtb" else digest(n)
    )
    for task, name in named("grid ways"):
        assert (name != before["grid ways"][task]) == (task[1] == "replay")
    for task, name in named("grid ladder"):
        assert name != before["grid ladder"][task]


def test_what_has_no_value_is_refused():
    with pytest.raises(ValueError, match="repr"):
        tasks.belongs(object())
    assert tasks.belongs(1, "a") != tasks.belongs(1, "b")


def test_a_changed_setting_is_computed_anew(tmp_path, monkeypatch):
    """Not the rows of old settings under a card of new ones."""
    setting = {"level": 1}

    def compute(task, path):
        path.write_text(f"{task} at level {setting['level']}")

    def write(name, results, folder):
        (folder / name).write_text("; ".join(p.read_text() for p in results))

    asset = Asset(
        "data",
        "small",
        2,
        lambda: [0, 1],
        compute,
        write,
        settings=lambda: setting["level"],
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(__main__, "SHIPPED", tmp_path)
    monkeypatch.setattr(__main__, "ASSETS", [asset])
    for level in (1, 2, 1):
        setting["level"] = level
        __main__.main(["data", "small"])
        made = (tmp_path / "small").read_text()
        assert made == f"0 at level {level}; 1 at level {level}"
    kept = list((tmp_path / "build/reproduce/small").iterdir())
    assert len(kept) == 4  # two of each level
