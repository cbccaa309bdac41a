"""A part is known by what decides it: a changed configuration is computed anew."""

import importlib
from dataclasses import is_dataclass, replace

import pytest

from tpainn_lite import tune
from tpainn_lite.reproduce import parts, pretraining, races


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


# Asset, family, constant (of another module with its name, outside of reproduce with
# ..), perhaps a key in it, and a word in the names of the parts that depend on it.
TABLE = """
selection      selection        SIZES                         -
selection      selection        LEAST                         -
selection      selection        ..course.selection_data.COMPONENTS -
selection      selection        ..select.SHRINKAGE            -
selection-forces selection_forces POOL                        -
selection-forces selection_forces WATER tuned                 liquid-water
ways           races            HOT_PS                        ethanol-dft
ways           races            STRETCHED                     ethanol-dft
ways           races            WAYS ethanol-dft              ethanol-dft-scratch
ways           races            WAYS ethanol-ccsdt            ethanol-ccsdt-scratch
molecules-grid races            MARKS                         -
molecules-grid races            GRIDS molecules-grid          -
ladder         ladder           STEPS                         -
ladder         ladder           SIZES                         -
ladder         ladder           FIT                           -
ladder         ladder           ..tune.TUNED                  -
spcfw-liquid   runs             SPC_FW lengths                -
spcfw-liquid   runs             ..water.SPC_FW                -
water-stability runs            ..analysis.BROKEN             -
water-runs     runs             ..analysis.BROKEN             none
water-runs     runs             FRICTION                      -
water-densities runs            BLOCK                         -
water-step    runs             FREE                          -
methylamine-hessian molecule_labels STEP                      -
molecules-dft  molecule_labels  cards.about molecules-dft     -
molecules-dft  molecule_labels  cards.about ethanol-dft       none
water-dft      water_labels     MOLECULES                     -
water-dft      water_labels     cp2k.FINAL eps_scf            -
water-dft      water_labels     ..water.MODELS spc-fw         -
water-spcfw    pretraining      ..water.MODELS spc-fw         -
water-spcfw    pretraining      FRAMES                        -
water-qtip4pf  pretraining      ..water.MODELS spc-fw         none
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines())
def test_other_configurations_decide_otherwise(line, monkeypatch):
    asset, family, constant, *key, depends = line.split()
    home = "tpainn_lite" if constant.startswith("..") else "tpainn_lite.reproduce"
    owner, _, constant = constant.strip(".").rpartition(".")
    family = importlib.import_module(f"tpainn_lite.reproduce.{family}")
    owner = importlib.import_module(f"{home}.{owner}") if owner else family
    before = {k: part.decided() for k, part in family.parts(asset).items()}
    value = getattr(owner, constant)
    value = value() if callable(value) else value
    if key:  # in a table, which others have imported
        monkeypatch.setitem(value, key[0], changed(value[key[0]]))
    else:
        monkeypatch.setattr(owner, constant, changed(value))
    after = {k: part.decided() for k, part in family.parts(asset).items()}
    for part, decided in before.items():
        assert (after[part] != decided) == (depends == "-" or depends in part), part


def test_parts_read_what_decides_them():
    for name, part in races.parts("ways").items():
        assert ("teachers-xtb" in part.reads) == ("replay" in name)
    for name, part in races.parts("water-pbe0ts-grid").items():
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


def test_a_setting_that_is_off_decides_nothing():
    assert "stress" not in parts.told(tune.TUNED)
    assert "stress_weight" in parts.told(replace(tune.TUNED, stress_weight=1.0))
    told = parts.told(pretraining.QTIP4PF, races.GRIDS["molecules-grid"])
    assert not any(f'"{new}"' in told for new in ("calibrated", "later", "closed"))
