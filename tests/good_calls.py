"""One small call of every public function that works: test_fuzz.py spoils them.

Arguments are found by name: those of a door (function, class or method), else of its
room, else of the library. A new public function with other names needs them here.
"""

import copy
import hashlib
import inspect
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import ase.io
import numpy as np
from ase.build import molecule
from ase.calculators.emt import EMT
from conftest import REFERENCES, SMALL

from tpainn_lite import (
    calibrate,
    data,
    datasets,
    dynamics,
    model,
    molecules,
    ridge_head,
    select,
    train,
    tune,
    units,
    water,
)
from tpainn_lite.course import own_data
from tpainn_lite.public import download

LIBRARY = Path(datasets.__file__).parent
CLOSED = {  # files without a door; test_guards.py feeds the guards worse
    *("guards", "units", "inference.kernels"),
    *("explorers.base", "explorers.figures", "explorers.viewers"),
}
OWN = "intake", "scales", "starts", "tuning", "running", "keep"
INNER = {  # no doors, and why
    "records that the library makes and hands out": "analysis.Diffusion train.Metrics"
    " train.History train.History.column ridge_head.Rows"
    " course.own_data.intake.Intake course.own_data.tuning.Tuned public.formats.Source"
    " course.own_data.starts.Start course.own_data.running.Trial"
    " course.own_data.running.Trial.lines"
    " public.download.File public.download.PublicSet dynamics.BlowUp"
    " tune.ReferenceWarning explorers.parity.Values calibrate.MoleculeModel"
    " calibrate.Counted calibrate.Counted.take",
    "between graph and network, at each step": "graphs.vectors graphs.batches"
    " graphs.collate graphs.pair_forces graphs.pair_stress graphs.radials"
    " graphs.filter_weights graphs.digest graphs.Samples.digests"
    " graphs.message_passing graphs.pairwise graphs.padded graphs.graphs_of"
    " graphs.best_device graphs.finite graphs.Samples graphs.Samples.batch"
    " model.RandomFeatures model.RandomFeatures.forward model.Head model.Head.forward"
    " model.Potential.forward model.Potential.outputs inference.frozen.tables",
    "OpenMM's side of dynamics, which has checked all": "engine.Box engine.Box.cell"
    " engine.Box.height engine.Guard engine.cell_of_state engine.add_barostat"
    " engine.make_context engine.place engine.labels_of engine.snapshot engine.start"
    " engine.python_system engine.Turns engine.Turns.take dynamics.Run.frame",
    "bounds of cells, below the doors that name an argument": "analysis.heights"
    " analysis.check_cell analysis.check_reach",
    "behind data.read, whose files test_dialects.py writes": "public.dialects.read"
    " public.dialects.files public.dialects.complete public.dialects.shown"
    " public.dialects.boxed public.dialects.places public.doubts.doubts"
    " public.doubts.structures_and_forces public.doubts.energies public.doubts.line"
    " public.doubts.total_unit public.unpack.content_of public.xyz.blocks"
    " public.unpack.plain"
    " public.labels.energy_and_length public.labels.named_units"
    " public.xyz.frames_of public.xyz.units_of public.doubts.lengths"
    " public.labels.labels_of public.labels.all_values public.labels.stress_of"
    " public.formats.npz"
    " public.formats.commented public.formats.deepmd public.formats.database"
    " data.DataWarning data.result public.labels.keys_of",
    "called by ASE": "model.EnergyForcesCalculator.calculate",
    "steps of a public function beside them": "train.one_thread"
    " molecules.force_field public.formats.water_frames"
    " public.formats.water_split",
    "test_download.py, test_formats.py have servers and files": "public.download.load"
    " public.formats.water_blocks public.qm9.qm9 public.qm9.qm9_molecule"
    " public.qm9.qm9pack",
}
FIT = train.FitConfig(steps=2, batch_size=2)
HEAD = ridge_head.HeadConfig(features=4, ridges=(0.1, 1.0))
PRIOR = dict.fromkeys(REFERENCES, 0.0)


def rooms() -> list[str]:
    """Find the files of the core, inference, public and explorers, and own_data."""
    files = [*LIBRARY.glob("*.py"), *LIBRARY.glob("[ipe]*/*.py")]
    names = {".".join(f.relative_to(LIBRARY).with_suffix("").parts) for f in files}
    names = {name for name in names if not name.endswith("__")}
    names |= {f"course.own_data.{name}" for name in OWN}
    return sorted(names - CLOSED)


def public(room: str, owner) -> dict[str, object]:
    """Find what somebody outside may call of a module or a class."""
    found = {}
    for name, thing in vars(owner).items():
        thing = getattr(thing, "__func__", thing)
        own = getattr(thing, "__module__", "") == f"tpainn_lite.{room}"
        if own and callable(thing) and not name.startswith("_"):
            found[name] = getattr(owner, name)
    return found


def doors(closed=True) -> dict[str, object]:
    """Find all public functions, classes and methods; of explorers the constructors."""
    found, inner = {}, " ".join(INNER.values()).split() if closed else []
    for room in rooms():
        for name, thing in public(room, import_module(f"tpainn_lite.{room}")).items():
            explorer = room.startswith("explorers")
            if inspect.isclass(thing) or not explorer:
                found[f"{room}.{name}"] = thing
            if inspect.isclass(thing) and not explorer:
                for method, call in public(room, thing).items():
                    found[f"{room}.{name}.{method}"] = call
    return {name: door for name, door in found.items() if name not in inner}


@cache
def _frames():
    """Make labelled ethanols, and a run of eight molecules of water."""
    box = water.water_box(8, density=0.9, seed=0)
    how = dict(steps=40, every=2, temperature=300.0, seed=0)
    ethanols = molecules.sample("CCO", 4, temperature=500, seed=0, equilibration=100)
    return (
        ethanols,
        box,
        dynamics.simulate(box, water.water_system(water.SPC_FW, box), **how),
    )


def _new_run(box) -> dynamics.Run:
    """Start a run: OpenMM's contexts cannot be copied."""
    return dynamics.Run(
        box, water.water_system(water.SPC_FW, box), barostat=True, seed=0
    )


def _tables() -> dict[str, dict]:
    """Make arguments without structures."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (24, 3))
    y, B = X[:, 0] ** 2 + X[:, 1], rng.normal(size=(24, 8))
    row = dict(n=3, steps=12, force_mae=90.0, energy_mae_kcal=9.0)
    rows = [row | dict(arm=arm, seed=s) for arm in tune.ARMS for s in range(3)]
    plain = train.asdict(train.FitConfig(steps=12))
    configs = dict.fromkeys(("scratch", "tuned"), plain)
    any_room = dict(seed=0, n=3, X=X, y=y, B=B, features=B, quality=np.ones(24))
    any_room |= dict(power=2.0, length_scale=2.0, n_estimators=8, deterministic=False)
    any_room |= dict(n_features=8, variant="corrected", unit="eV", test=(X[:4], y[:4]))
    any_room |= dict(first=np.array([0, 1, 2]), way="committee", rounds=1, batch=2)
    any_room |= dict(grid=dict(configs=configs, rows=rows), row=rows[0], budget=12)
    any_room |= dict(quantity="force_mae", scores=y, method="DPP", temperature=300.0)
    any_room |= dict(ours=y[:5], theirs=y[5:10], bag=select.forest(X, y, 0, 8))
    any_room |= dict(probes=9, learner=select.forest, comparisons=2, raw=False)
    any_room |= dict(P=B, inside=np.arange(144).reshape(6, 24) % 5 < 2)
    any_room |= dict(smiles="CCO", max_heavy=2, keep=2, element=8, cutoff=2.9)
    any_room |= dict(density=0.9, n_molecules=4, reference_energies=dict(REFERENCES))
    any_room |= dict(name="methanol-scan", mirror=None, cache=None, before=None)
    runs = datasets.SHIPPED / "water-tuned-8-nvt-300K-0.npz"
    any_room |= dict(content=runs.read_bytes(), arm="tuned", cheap=y, progress=False)
    any_room |= dict(atomic_energies=dict(PRIOR), prior=PRIOR, known=dict(PRIOR))
    any_room |= dict.fromkeys(("forces", "stress", "labelled", "silent"), True)
    any_room |= dict(card={"a": 1}, difference=None)
    any_room |= dict(on_epoch=lambda potential, rows: None, how=None, graphs=None)
    curve = np.linspace(1, 5, 20)
    named = dict(r=curve, g=np.ones(20), curves={"a": (curve, curve)})
    names = {"e_unit": np.array("eV"), "r_unit": np.array("Ang")}
    return any_room | named | dict(arrays=names)


def _files(folder: Path, ethanols, small, delta) -> dict:
    """Write a file of each kind."""
    ase.io.write(folder / "ethanol.extxyz", ethanols)
    small.save(folder / "saved")
    delta.save(folder / "delta")
    npz, kcal = folder / "ethanol.npz", units.KCAL_MOL
    E = np.array([a.get_potential_energy() for a in ethanols]) / kcal
    F = np.array([a.get_forces() for a in ethanols]) / kcal
    R = np.array([a.positions for a in ethanols])
    np.savez(npz, z=ethanols[0].numbers, R=R, E=E, F=F)
    digest = f"sha256:{hashlib.sha256(npz.read_bytes()).hexdigest()}"
    file = download.File("ethanol.npz", digest, "http://127.0.0.1:9/x")
    read = "pool_and_test", "", "", "", "molecules-dft"
    about = download.PublicSet("a", (file,), *read)
    return dict(about=about, file=file, mirror=folder, cache=folder, told=(1.0, 1.0))


def arguments(folder: Path) -> dict[str, dict]:
    """Make good arguments, by name: of all, of a room, or of a door."""
    ethanols, box, run = copy.deepcopy(_frames())
    stressed = data.with_labels(box, 0.0, None, np.ones(6))
    ethanol, mmff94 = ethanols[0], molecules.mmff94("CCO")
    fresh = model.Potential(SMALL, REFERENCES, seed=1).eval()
    small = tune.with_references(fresh, ethanols, PRIOR)
    delta = tune.DeltaPotential(small, mmff94, ethanol)
    phi = ridge_head.draw_features(small, ethanols, HEAD, seed=0)
    rows = ridge_head.design(small, ethanols, phi, HEAD)
    files, xyz = _files(folder, ethanols, small, delta), folder / "ethanol.extxyz"
    plain = dict(numbers=ethanol.numbers, positions=ethanol.positions, cell=None)
    spc, cell, R = (
        water.water_system(water.SPC_FW, box),
        box.cell.array,
        np.ones((9, 5, 3)),
    )
    every = _tables() | dict(frames=ethanols, atoms=ethanol, potential=small)
    every |= dict(classical=mmff94, energy_forces=mmff94, cell=cell, config=FIT)
    every |= dict(valid=ethanols[:1], pool=ethanols[:2])
    every |= dict(like=small, before=small, after=small, teacher=small, network=small)
    every |= dict(probe=ethanol, strategy=FIT, size=SMALL, rows=rows, phi=phi)
    every |= dict(w=ridge_head.solve(rows, HEAD)[0], series=np.sin(np.arange(40.0)))
    every |= dict(path=xyz, cap=None, calculator=EMT(), source=small, R=R)
    every |= dict(group="smiles", sizes=(2, 1))
    every |= dict(one=ethanols[:2], other=ethanols[2:], batch_atoms=250)
    every |= dict(order=[*range(9)][::-1], elements=[1, 6, 8], frame=run[0])
    every |= dict(energies=np.array([1.0, 2, 3, 4]), start=lambda on_epoch: None)
    every |= dict(checkpoint=folder / "out.pt", checkpoint_every=1, system=spc)
    every |= dict(positions=ethanol.positions, timestep=0.5, friction=0.01, every=2)
    every |= dict(platform="Reference", file=folder / "out.traj", pressure=None)
    every |= dict(steps=4, on_frame=lambda frame: None, spacing=2.0, equilibration=2.0)
    every |= dict(paths=xyz, unit="eV/Å", energy_key=None, forces_key=None)
    every |= dict(gradients=False, on_step=lambda text: None, notes=None)
    tuned = own_data.Tuned(
        *(small, (small, fresh), ethanols, ethanols, "a start", "folds", "meV/Å"),
        *((1.0, 20.0), np.ones(4), {"tuned": 9.0}, []),
    )
    own_start = own_data.Start(small, "a start")
    trial = own_data.Trial([], 300.0, 300.0, 0, 0.0, 1.0, 1.0)
    rooms = {
        "analysis": dict(frames=run, atoms=box, dt=1.0, cutoff=2.0, element=8),
        "water": dict(atoms=box, model=water.Q_TIP4P_F),
        "ridge_head": dict(config=HEAD),
        "public.download": files,
        "explorers": dict(before=None, test=ethanols[2:], config=HEAD),
    }
    own = {
        "analysis.nearest_image": dict(vectors=box.positions),
        "analysis.neighbours": dict(quantities="ijd"),
        "analysis.self_diffusion": dict(fit_window=(2.0, 8.0)),
        "analysis.yeh_hummer": dict(length=12.0, viscosity=0.9),
        "analysis.displacements": dict(first=np.array([0, 3]), second=np.array([1, 6])),
        "analysis.rdf": dict(one=8, other=1, r_max=3.0, bins=20)
        | dict(molecules=np.arange(24) // 3),
        "analysis.coordination": dict(density=0.03, cutoff=3.0),
        "water.force_parts": dict(forces=np.ones((24, 3))),
        "water.hydrogen_bonds": dict(r_max=3.0, angle=30.0),
        "calibrate": dict(model=water.SPC_FW, penalties=[0.1, 1.0], terms="bonds"),
        "calibrate.molecules": dict(cheap=np.zeros(4), bonds=calibrate.TEXTBOOK)
        | dict(cheap_atoms=dict(PRIOR)),
        "calibrate.MoleculeModel": dict(
            self=calibrate.molecules(ethanols, np.zeros(4)), cheap=mmff94
        ),
        "calibrate.MoleculeModel.energies": dict(cheap=np.zeros(4)),
        "calibrate.water": dict(frames=run[:1]),
        "data.with_labels": dict(energy=1.0, forces=np.ones((9, 3)), stress=np.ones(6)),
        "data.stress_of": dict(atoms=stressed, where=None),
        "model.Potential.predict": dict(frames=[stressed]),
        "data.cell_of": dict(atoms=box),
        "data.label": dict(potential=mmff94),
        "data.labels": dict(where=None),
        "data.closest_pair": dict(atoms=box),
        "data.check": dict(name=None),
        "data.energy_forces_of": dict(name=None),
        "data.split": dict(group=None),
        "datasets.atomic_energies": dict(name="molecules-dft"),
        "datasets.checkpoint": dict(name="molecules-mmff94"),
        "datasets.runs": dict(name="water-runs"),
        "dynamics.temperatures": dict(frames=run),
        "dynamics.simulate": dict(potential=mmff94),
        "dynamics.Run": dict(self=partial(_new_run, box), atoms=box, potential=spc)
        | dict(barostat=True, steps=2, pressure=1.0),
        "graphs.structure": plain,
        "engine.whole": dict(atoms=box, reach=None),
        "engine.system_energy_forces": dict(atoms=box),
        "model.PotentialConfig": vars(SMALL),
        "model.Potential": dict(self=small, config=SMALL, path=folder / "out"),
        "model.Potential.load": dict(path=folder / "saved"),
        "model.Potential.energy_forces": plain,
        "molecules.sample": dict(smiles="CO", n=1),
        "molecules.conformers": dict(n=1),
        "ridge_head.HeadConfig": vars(HEAD),
        "select.acquire": dict(n=2),
        "train.FitConfig": vars(train.FitConfig(patience=3)),
        "tune.DeltaPotential": dict(self=delta, path=folder / "out"),
        "tune.DeltaPotential.load": dict(path=folder / "delta"),
        "tune.DeltaPotential.energy_forces": plain,
        "course.own_data.starts.heated": dict(smiles=["C"]),
        "tune.config_for": dict(n=3, kind="molecules", aim="forces"),
        "water.WaterModel": vars(water.Q_TIP4P_F),
        "public.formats.pool_and_test": dict(paths=(folder / "ethanol.npz",)),
        "course.own_data.starts.start": dict(teacher=None),
        "course.own_data.tuning": dict(start=own_start, trust=False),
        "course.own_data.tuning.tune": dict(teacher=None),
        "course.own_data.running": dict(tuned=tuned, committee=[small, fresh])
        | dict(steps=40),
        "course.own_data.keep": dict(tuned=tuned, wanted=[], folder=folder / "mine")
        | dict(trial=trial),
        "explorers.calibration.Calibration": dict(pool=ethanols, test=ethanols)
        | dict(cheap={"a": "temperature"}, cheap_atoms={"a": dict(PRIOR)})
        | dict(curves={"scratch": np.ones((4, 2))}),
        "explorers.gallery": dict(runs={"a": run[:2]}, quantity="q", choice="Run")
        | dict(broken={"a": np.array([[0, 1]])})
        | dict(entries={"a": (ethanol, *np.ones((2, 9, 3)))}),
        "explorers.live": dict(validated=True, on_end=lambda training: None)
        | dict(starts={"a": lambda on_epoch: 1}, measure=len, y_title="error"),
        "explorers.live_md.LiveMD": dict(potential=spc, atoms=box, longest=1.0),
        "explorers.parity.Parity": dict(potentials={"a": small}),
        "explorers.properties.Properties": dict(
            nvt={"a": run}, npt={"a": run}, known={"density": {"b": ((0.0,), (1.0,))}}
        ),
        "explorers.rounds.Rounds": dict(test=every["test"]),
        "explorers.selection_map.NinePoints": dict(L=np.eye(9)),
        "explorers.selection_map.SelectionMap": dict(frames=[molecule("H2O")] * 24),
    }
    return {"": every} | rooms | own


def parameters(door) -> dict[str, inspect.Parameter]:
    """Find the arguments of a door by name, without "self"."""
    made = inspect.isclass(door) and "__init__" in vars(door)
    found = dict(inspect.signature(door.__init__ if made else door).parameters)
    found.pop("self" if made else "", None)
    return {k: p for k, p in found.items() if p.kind is not p.VAR_KEYWORD}


def calls(folder: Path) -> dict[str, dict]:
    """Make one good call of each door; None stands for what is left out."""
    known, found = arguments(folder), {}
    for name, door in doors().items():
        parts = name.split(".")
        places = ["", *(".".join(parts[: k + 1]) for k in range(len(parts)))]
        values = {k: v for place in places for k, v in known.get(place, {}).items()}
        missing = parameters(door).keys() - values
        assert not missing, f"{name}: good_calls.py needs a good value of {missing}"
        wanted = {k: values[k] for k in parameters(door)}
        found[name] = {k: v for k, v in wanted.items() if v is not None}
    return found
