"""A part is known by what decides it: a changed configuration is computed anew."""

import importlib
from dataclasses import is_dataclass, replace

import pytest

from tpainn_lite.reproduce import parts


def changed(value):
    """Another value of the same kind."""
    if is_dataclass(value):
        name = next(n for n in ("lr", "charge", "stride", "n") if hasattr(value, n))
        return replace(value, **{name: changed(getattr(value, name))})
    if isinstance(value, dict):
        key = next(iter(value))
        return value | {key: changed(value[key])}
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, tuple):
        return (*value, value[-1])
    return 2 * value


def keys(*words):
    """Parts depend on it whose name has all of these words."""
    return lambda part: all(word in part for word in words)


ALL, NONE = keys(""), keys("no part")


def hot(part):
    ways = ("ethanol-dft-scratch", "-all-weights", "-replay", "-instant-head")
    return part.startswith("ethanol-dft") and any(way in part for way in ways)


def not_diabetes(part):
    return "diabetes" not in part


# family, asset, module of the constant, its name, a key in it, parts that depend on it
TABLE = [
    ("selection", "selection", "selection", "SIZES", "", keys("-dft")),
    ("selection", "selection", "selection", "SEEDS", "diabetes", keys("diabetes")),
    ("selection", "selection", "selection", "AFTER", "", lambda p: "-dft" not in p),
    ("selection", "selection", "selection_data", "COMPONENTS", "", not_diabetes),
    ("selection", "selection", "select", "SHRINKAGE", "", ALL),
    ("ways", "ways", "ways", "HOT_PS", "", hot),
    ("ways", "ways", "ways", "STRETCHED", "", hot),
    ("ways", "ways", "ways", "WAYS", "gradual unfreezing", keys("gradual")),
    ("ways", "ways", "ways", "CCSDT_WAYS", "delta", keys("ethanol-ccsdt", "delta")),
    *[("ladder", "ladder", "ladder", c, "", ALL) for c in ("STEPS", "SIZES", "FIT")],
    ("ladder", "ladder", "tune", "TUNED", "", ALL),
    ("spcfw", "spcfw-liquid", "spcfw", "LENGTHS", "", ALL),
    ("spcfw", "spcfw-liquid", "spcfw", "FIT", "", ALL),
    ("spcfw", "spcfw-liquid", "water", "MODELS", "spc-fw", ALL),
    ("runs", "water-stability", "runs", "BROKEN", "", ALL),
    ("runs", "water-runs", "runs", "BROKEN", "", NONE),
    ("runs", "water-runs", "runs", "FRICTION", "", ALL),
    ("molecule_labels", "ethanol-modes", "molecule_labels", "LARGEST", "", ALL),
    ("grids", "molecules-grid", "grids", "MARKS", "", ALL),
    ("grids", "molecules-grid", "grids", "GRIDS", "molecules-grid", ALL),
    ("grids", "molecules-grid", "tune", "CONFIGS", "scratch", keys("scratch")),
    ("water_labels", "water-dft", "water_labels", "MOLECULES", "", ALL),
    ("water_labels", "water-scans", "water_labels", "MOLECULES", "", NONE),
    ("water_labels", "water-scans", "water_labels", "WIDTH", "", ALL),
    ("water_labels", "water-dft", "cp2k", "FINAL", "eps_scf", ALL),
    ("water_labels", "water-dft", "water", "MODELS", "spc-fw", ALL),
    ("pretraining", "water-spcfw", "water", "MODELS", "spc-fw", ALL),
    ("pretraining", "water-qtip4pf", "water", "MODELS", "spc-fw", NONE),
    ("pretraining", "water-spcfw", "pretraining", "FRAMES", "", ALL),
    ("molecule_labels", "molecules-dft", "cards", "about", "molecules-dft", ALL),
    ("molecule_labels", "molecules-dft", "cards", "about", "ethanol-dft", NONE),
]
PLACES = {"selection_data": "course.", "select": "", "tune": "", "water": ""}


@pytest.mark.parametrize(
    ("family", "asset", "module", "constant", "key", "depends"),
    TABLE,
    ids=[" ".join(case[1:5]) for case in TABLE],
)
def test_other_configurations_decide_otherwise(
    family, asset, module, constant, key, depends, monkeypatch
):
    family = importlib.import_module(f"tpainn_lite.reproduce.{family}")
    place = PLACES.get(module, "reproduce.")
    owner = importlib.import_module(f"tpainn_lite.{place}{module}")
    before = {k: part.decided() for k, part in family.parts(asset).items()}
    value = getattr(owner, constant)
    value = value() if callable(value) else value
    if key:  # in a table, which others have imported
        monkeypatch.setitem(value, key, changed(value[key]))
    else:
        monkeypatch.setattr(owner, constant, changed(value))
    after = {k: part.decided() for k, part in family.parts(asset).items()}
    for part, decided in before.items():
        assert (after[part] != decided) == bool(depends(part)), part


def test_parts_read_what_decides_them():
    ways = importlib.import_module("tpainn_lite.reproduce.ways").parts("ways")
    for name, part in ways.items():
        assert ("teachers-xtb" in part.reads) == ("replay" in name)
    grids = importlib.import_module("tpainn_lite.reproduce.grids")
    for name, part in grids.parts("water-pbe0ts-grid").items():
        assert ("water-spcfw" in part.reads) == ("SPC-Fw" in name)
        assert "water-pbe0ts-order" in part.reads
        assert parts.digest("water-pbe0ts") in part.decided()


def test_all_parts_can_be_told_and_are_different():
    for module in parts.modules().values():
        for name in module.FILES:
            told = [p.decided() for p in parts.parts_of(module, name).values()]
            assert len(set(told)) == len(told)
            assert parts.whole_of(module, name).decided()


def test_what_has_no_value_is_refused():
    with pytest.raises(TypeError, match="JSON"):
        parts.told(object())
    assert parts.mark(1, "a") != parts.mark(1, "b")
