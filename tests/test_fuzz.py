"""Hostile arguments at every public door: finite values or words, and nothing else.

Each test spoils one argument at a time of the good call of one door (good_calls.py).
Some hostile values are drawn, by a seed; TPAINN_FUZZ=all tries all of them.
"""

import copy
import dataclasses
import faulthandler
import inspect
import itertools
import os
import random
import re
import signal
import traceback
from functools import partial
from pathlib import Path

import good_calls
import numpy as np
import openmm
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms

from tpainn_lite import data
from tpainn_lite.model import Potential

resource = pytest.importorskip("resource", reason="Windows has no limits, no alarm")
DOORS = good_calls.doors()
LIBRARY = str(Path(data.__file__).parent)
LONGEST = 10.0  # s for one call
SOME = 5  # hostile values drawn for each argument
ROOM = 3 << 30  # B of memory that calls may take
# warnings are errors here; a UserWarning of ours says in words what is odd
FAIR = (ValueError, TypeError, OSError, FloatingPointError, UserWarning)
NAN, INF = float("nan"), float("inf")
# what a wrong structure may be called
STRUCTURE = {"atoms", "frame", "frames", "numbers"}
STRUCTURE |= {"positions", "cell", "energy", "label"}
GEOMETRY = ("nan", "inf", "nan cell", "no volume", "mixed")  # of a structure
WORK = {"steps", "n", "rounds"}  # so much is asked for: a huge number takes its time
POTENTIALS = {"potential", "classical", "energy_forces", "source", "teacher", "network"}
AT_EACH_STEP = {  # of dynamics: they see to NaN only, and may fail as they do
    "model.Potential.energy_forces",
    "tune.DeltaPotential.energy_forces",
    "analysis.nearest_image",
    "analysis.displacements",
}
HANDED_ON = {  # they keep structures as they came; `data.check` is for who uses them
    *("data.cell_of", "data.with_labels", "data.reordered", "data.split"),
    *("data.split_free_atoms", "molecules.reorder", "water.ordered"),
    *("tune.Replay", "tune.DeltaPotential"),
}
ALLOWED = {  # door, argument, value: why it may fail
    (f"course.own_data.{door}", "frames", "frame mixed"): "a slab becomes a box"
    for door in ("tuning.tune", "intake.look")
}


class Hang(BaseException):
    """A call took longer than `LONGEST`."""


def numbers(value, name: str):
    """Make hostile numbers: what no call may take, and what it may."""
    never = dict(nan=NAN, inf=INF, minus_inf=-INF, bool=True, text="1", list=[1.0])
    never |= dict(array=np.ones(2), imaginary=1j, thing=object())
    never |= dict(np_nan=np.float64(NAN))
    never |= {"2.5": 2.5} if isinstance(value, int) else {}
    maybe = {"-1": -1, "0": 0, "-0.0": -0.0, "1e-308": 1e-308}
    huge = {"1e308": 1e308, "10**400": 10**400, "10**12": 10**12}
    return never, maybe | ({} if name in WORK else huge)


def texts(value, name: str):
    """Make hostile texts."""
    never = {"3": 3, "bytes": b"CCO", "nan": NAN, "list": ["CCO"], "thing": object()}
    maybe = {"empty": "", "null": "\0", "up": "../../x", "html": "<b>&", "ü": "ü"}
    return never, maybe | {"long": "x" * 5000, "root": "/etc/passwd", "C400": "C" * 400}


def paths(value, name: str):
    """Make hostile files."""
    maybe, folder = {}, Path(value).parent
    rubbish = {"empty": b"", "text": b"no such thing\n", "binary": bytes(range(256))}
    for word, content in rubbish.items():
        maybe[word] = folder / f"{word}.xyz"
        maybe[word].write_bytes(content)
        maybe[word].with_suffix(".safetensors").write_bytes(content)
    maybe |= dict(missing=folder / "no such", folder=folder, below=maybe["empty"] / "a")
    maybe |= dict(long=folder / ("x" * 5000), stem=folder / "text")
    never = {"3": 3, "bytes": b"x", "null": "\0", "nan": NAN}
    return never | ({} if name == "paths" else {"list": [value]}), maybe


def changed(atoms: Atoms, **how) -> Atoms:
    """Copy a structure with its labels and set some of its arrays."""
    found = copy.deepcopy(atoms)
    if "x" in how:
        found.positions[0, 0] = how["x"]
    if "cell" in how:
        found.set_cell(how["cell"])
        found.pbc = how.get("pbc", True)
    return found


def told(atoms: Atoms, **labels) -> Atoms:
    """Copy a structure with any labels."""
    found = atoms.copy()
    found.calc = SinglePointCalculator(found)
    found.calc.results = {"energy": 1.0, "forces": np.zeros((len(atoms), 3))} | labels
    return found


def structures(value: Atoms, name: str):
    """Make hostile structures; `GEOMETRY` must be refused if it changes a result."""
    never = {"none": None, "text": "H2O", "list": [value], "3": 3}
    odd = {"nan": changed(value, x=NAN), "inf": changed(value, x=INF)}
    odd |= {"far": changed(value, x=1e300), "mixed": np.eye(3) * 20}
    odd |= {"nan cell": np.full((3, 3), NAN), "no volume": np.zeros((3, 3))}
    odd |= {"tiny": np.eye(3) * 1e-3, "flat": [9, 9, 1e-9], "vast": np.eye(3) * 1e200}
    odd |= {"skew": [[1, 0, 0], [1, 1e-7, 0], [0, 0, 1]]}
    for word, cell in odd.items():
        if not isinstance(cell, Atoms):
            pbc = [True, True, word != "mixed"]
            odd[word] = changed(value, cell=cell, pbc=pbc)
    odd |= {"empty": Atoms(), "alone": value[:1], "bare": value.copy()}
    spoilt = "overlap", "ghost", "fixed", "heavy"
    odd |= {word: copy.deepcopy(value) for word in spoilt}
    odd["overlap"].positions[1] = odd["overlap"].positions[0]
    odd["ghost"].numbers[0] = 0
    odd["fixed"].set_constraint(FixAtoms([0]))
    odd["heavy"].set_masses(np.full(len(value), NAN))
    odd |= {"nan energy": told(value, energy=NAN), "bool": told(value, energy=True)}
    odd |= {"text energy": told(value, energy="x")}
    return never, odd | {"one force": told(value, forces=np.zeros((1, 3)))}


def lists(value: list[Atoms], name: str):
    """Make hostile lists: each hostile structure in the second place, and more."""
    parts = structures(value[min(1, len(value) - 1)], name)
    never, maybe = (
        {f"frame {k}": [*value[:1], one, *value[2:]] for k, one in part.items()}
        for part in parts
    )
    never |= {"none": None, "one": value[0], "text": "H2O", "3": 3, "thing": object()}
    maybe |= {"empty": [], "single": value[:1], "others": [*value, Atoms("H")]}
    return never, maybe | {"tuple": tuple(value)}


def arrays(value: np.ndarray, name: str):
    """Make hostile arrays."""
    never = {"text": "x", "thing": object(), "words": np.full(value.shape, "a")}
    never |= {"ragged": [[1.0], [1.0, 2.0]], "objects": np.full(value.shape, None)}
    maybe = {"empty": value[:0], "deeper": value[None], "flat": value.ravel()}
    maybe |= {"longer": np.concatenate([value, value]), "imaginary": value + 0j}
    maybe |= {"zero": value * 0, "3": 3, "none": None}
    if value.dtype.kind == "f":
        maybe |= {"huge": np.full(value.shape, 1e300), "-1": -np.ones_like(value)}
        for word, bad in dict(nan=NAN, inf=INF).items():
            never[word] = value.copy()
            never[word].flat[-1] = bad
    return never, maybe


def energies(value: dict, name: str):
    """Make hostile dictionaries of free atoms."""
    z = next(iter(value))
    never = {"nan": value | {z: NAN}, "inf": value | {z: INF}, "list": [1.0], "3": 3}
    never |= {"word": value | {z: "x"}, "symbol": {"C": 1.0}, "element": {-1: 1.0}}
    return never, {"empty": {}, "one": {z: 1.0}, "huge": value | {z: 1e300}}


def sources(value, name: str):
    """Make hostile potentials."""
    never = {"none": None, "text": "x", "3": 3, "class": Potential, "thing": object()}
    maybe = {"nan": lambda z, r, c=None: (NAN, np.full((len(z), 3), NAN))}
    maybe |= {"shape": lambda z, r, c=None: (1.0, np.zeros((1, 3)))}
    maybe |= {"words": lambda z, r, c=None: ("a", "b")}
    return never, maybe | {"single": lambda z, r, c=None: 1.0}


def hostile(name: str, value):
    """Choose by what the good value is: what no call may take, and what it may."""
    if isinstance(value, bool):
        return {"2": 2, "text": "yes", "nan": NAN, "array": np.ones(2), "list": []}, {}
    kinds = {int: numbers, float: numbers, str: texts, Path: paths, Atoms: structures}
    kinds |= {np.ndarray: arrays}
    for kind, make in kinds.items():
        if isinstance(value, kind):
            return make(value, name)
    first = next(iter(value), None) if isinstance(value, list | tuple | dict) else None
    if isinstance(value, list) and isinstance(first, Atoms):
        return lists(value, name)
    if isinstance(value, dict) and isinstance(first, int):
        return energies(value, name)
    if isinstance(value, list | tuple) and isinstance(first, int | float | Path):
        parts = hostile(name, first)
        return ({k: (v, *value[1:]) for k, v in part.items()} for part in parts)
    if name in POTENTIALS:
        return sources(value, name)
    return {"3": 3, "text": "x", "thing": object(), "nan": NAN}, {"none": None}


def drawn(door: str, name: str, value, optional: bool) -> list[tuple]:
    """Draw hostile values: label, value, True, "matters" or False for never."""
    never, maybe = hostile(name, value)
    every = [(k, v, True) for k, v in never.items()]
    for label, bad in maybe.items():
        matters = label.removeprefix("frame ") in GEOMETRY
        every.append((label, bad, matters and "matters"))
    every = [one for one in every if not (one[1] is None and optional)]
    some = len(every) if os.environ.get("TPAINN_FUZZ") == "all" else SOME
    return random.Random(f"{door} {name}").sample(every, min(some, len(every)))


def variants(value) -> dict:
    """Make other scalars that are the same number."""
    if isinstance(value, bool):
        return {"np.bool": np.bool_(value)}
    if isinstance(value, int):
        return {"np.int64": np.int64(value), "np.int32": np.int32(value)}
    if isinstance(value, float):
        whole = {"int": int(value)} if value == int(value) else {}
        return whole | {"np.float64": np.float64(value), "0-d": np.array(value)}
    return {}


def leaves(value):
    """Walk through a result down to numbers, arrays and texts."""
    if isinstance(value, Atoms):
        yield from (value.numbers, value.positions, value.cell.array)
        yield from leaves(dict(getattr(value.calc, "results", {})))
    elif isinstance(value, torch.Tensor):
        yield value.detach().numpy()
    elif isinstance(value, torch.nn.Module):
        yield from leaves([*value.state_dict().values()])
        yield from leaves(vars(value).get("reference_energies"))
    elif isinstance(value, openmm.System):
        yield openmm.XmlSerializer.serialize(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        compared = [f.name for f in dataclasses.fields(value) if f.compare]
        yield from leaves([getattr(value, name) for name in compared])
    elif isinstance(value, dict):
        yield from itertools.chain(value, *map(leaves, value.values()))
    elif isinstance(value, list | tuple | set):
        yield from itertools.chain.from_iterable(map(leaves, value))
    elif isinstance(value, int | float | complex | str | np.ndarray | np.generic):
        yield value


def finite(result) -> bool:
    """Tell whether all numbers of a result are finite."""
    found = (np.asarray(x) for x in leaves(result))
    return all(np.isfinite(x).all() for x in found if x.dtype.kind in "fc")


def alike(one, other) -> bool:
    """Tell whether two results hold the same."""
    pairs = itertools.zip_longest(leaves(one), leaves(other))
    return all(np.array_equal(a, b) for a, b in pairs)


def outside() -> tuple:
    """Note everything global that a call has to leave alone."""
    _, words, place, *_ = np.random.get_state()  # noqa: NPY002
    return (
        (words.tobytes(), place, torch.get_rng_state().numpy().tobytes()),
        (random.getstate(), torch.get_default_dtype(), torch.get_num_threads()),
        (os.getcwd(), np.geterr(), torch.is_grad_enabled(), dict(os.environ)),
    )


def call(door, how: dict):
    """Call a door with arguments by name."""
    how, places = dict(how), []
    if isinstance(how.get("self"), partial):  # what cannot be copied is made
        how["self"] = how["self"]()
    rest = good_calls.parameters(door)
    several = any(p.kind is p.VAR_POSITIONAL for p in rest.values())
    for name, p in rest.items():
        if name in how and p.kind is p.VAR_POSITIONAL:
            places += how.pop(name)
        elif name == "self" or several and p.kind is not p.KEYWORD_ONLY:
            places += [how.pop(name)] if name in how else []
    return door(*places, **how)


def fault(error: Exception, door: str, name: str, value) -> str:
    """Say what is wrong with an error, if anything is."""
    words, kind = str(error), type(error).__name__
    if door in AT_EACH_STEP:
        return ""
    if not isinstance(error, FAIR):
        return kind
    if isinstance(error, OSError | FloatingPointError):
        return "" if len(words) > 15 else f"{kind} without words"
    value = value[0] if isinstance(value, tuple) and value else value  # of *paths
    called = {name, name.removesuffix("s"), *good_calls.parameters(DOORS[door])}
    called -= {"self"}
    called |= STRUCTURE if isinstance(value, Atoms | list) else set()
    called |= {"potential", "energy", "forces"} if name in POTENTIALS else set()
    where = isinstance(value, str | Path) and str(value)[:40] in words
    if not (where or called & {*re.findall(r"\w+", words)}):
        return f"{kind} without the name"
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    ours = last.startswith(LIBRARY) or last == inspect.__file__
    return "" if ours else f"{kind} out of {Path(last).name}"


def tried(door: str, how: dict, name: str, never, expected=None) -> str:
    """Call with one spoiled argument; say what went wrong, if anything did."""

    def ring(*_):
        raise Hang

    before, old = outside(), signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    faulthandler.dump_traceback_later(3 * LONGEST, exit=True)  # if C never comes back
    try:
        result = call(DOORS[door], how)
        wrong = "" if finite(result) else "not finite"
        if never is True or never and not wrong and not alike(result, expected):
            wrong = "taken"
        if door in HANDED_ON and never is not True:
            wrong = ""
        if door in AT_EACH_STEP and finite(how[name]) and finite(result):
            wrong = ""
    except Hang:
        wrong = f"took over {LONGEST:g} s"
    except Exception as error:
        wrong = fault(error, door, name, how[name])
        wrong = wrong and f"{wrong}: {error!s:.150}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        faulthandler.cancel_dump_traceback_later()
    return wrong + ("" if outside() == before else " and changed something global")


def trials(door: str, good: dict) -> list[tuple]:
    """List what to spoil: argument, label, value, whether it must be refused."""
    known = good_calls.parameters(DOORS[door])
    return [
        (name, *one)
        for name, value in good.items()
        if name != "self"
        for one in drawn(door, name, value, known[name].default is None)
    ]


def clean(folder: Path) -> None:
    """Remove what a call has written."""
    for path in folder.glob("out*"):
        path.unlink()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def good(folder):
    calls = good_calls.calls(folder)
    torch.set_num_threads(1)
    return calls


@pytest.fixture
def bounded():
    """Bound memory: a bomb is an error, not the end of the machine."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = Path("/proc/self/statm")
    if used.exists():
        taken = int(used.read_text("utf-8").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_thousand_calls_and_what_is_no_door_is_there(good):
    inner = {*" ".join(good_calls.INNER.values()).split()}
    assert inner <= good_calls.doors(closed=False).keys()
    assert sum(len(trials(door, good[door])) for door in DOORS) >= 1000


@pytest.mark.parametrize("door", DOORS)
def test_numpy_scalars_are_numbers(door, good, folder, monkeypatch):
    monkeypatch.chdir(folder)
    values = {k: v for k, v in good[door].items() if variants(v)}
    if not values:
        return
    clean(folder)
    expected, wrong = call(DOORS[door], copy.deepcopy(good[door])), []
    for name, value in values.items():
        for label, same in variants(value).items():
            clean(folder)
            found = call(DOORS[door], copy.deepcopy(good[door]) | {name: same})
            if not alike(found, expected):
                wrong.append(f"{name} | {label} | another result")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("door", DOORS)
def test_finite_values_or_words(door, good, folder, bounded, monkeypatch):
    monkeypatch.chdir(folder)
    clean(folder)
    expected, wrong = call(DOORS[door], copy.deepcopy(good[door])), []
    for name, label, bad, never in trials(door, good[door]):
        clean(folder)
        how = copy.deepcopy(good[door]) | {name: bad}
        said = tried(door, how, name, never, expected)
        if said and (door, name, label) not in ALLOWED:
            wrong.append(f"{name} | {label} | {said}")
    assert not wrong, "\n".join(wrong)
