"""Own data, from structures to a folder: start, cross-validate, run, keep."""

import re
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from functools import partial

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.socketio import SocketClient, SocketIOCalculator
from ase.constraints import FixAtoms
from ase.io import read

from tpainn_lite import data, datasets, water
from tpainn_lite.__main__ import main, shown
from tpainn_lite.course import own_data
from tpainn_lite.data import with_labels
from tpainn_lite.model import Potential, PotentialConfig
from tpainn_lite.train import FitConfig, evaluate

SIGNS = 1e-6, -1e-6  # Å: no other structure
FAST = FitConfig(steps=6, batch_size=2)


@pytest.fixture
def frames():
    """Twelve labelled ethanols."""
    return datasets.load("ethanol-dft")["pool"][:12]


@pytest.fixture(scope="module")
def tuned():
    """A potential that was tuned on the first twelve ethanols, for a moment."""
    frames = datasets.load("ethanol-dft")["pool"][:12]
    return own_data.tune(frames, config=FAST, seed=0)


@pytest.fixture
def soon(monkeypatch):
    """Teach for a moment only."""
    monkeypatch.setattr(own_data.starts, "TAUGHT", 12)
    monkeypatch.setattr(own_data.starts, "TEACHING", replace(FAST, steps=40))


@pytest.fixture
def metals():
    """Four crystals of copper, labelled by EMT."""
    some = [bulk("Cu", cubic=True) for _ in range(4)]
    for k, atoms in enumerate(some):
        atoms.rattle(0.05, seed=k)
    return data.label(some, EMT())


def turned(frames, factor=-1.0):
    return [
        with_labels(a, a.get_potential_energy(), factor * a.get_forces())
        for a in frames
    ]


def test_tune_tests_every_frame_by_a_potential_that_had_not_seen_it(frames, tuned):
    said = []
    again = own_data.tune(frames, config=FAST, seed=0, on_step=said.append)
    assert said == [*(f"fold {k} of 5" for k in range(1, 6)), "all frames"]
    parts, how = own_data.folds(tuned.frames)
    assert tuned.split == how == "5 folds, blocks in the order of the file"
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(12))
    for member, part in zip(tuned.committee, parts, strict=True):
        error = evaluate(member, [frames[i] for i in part]).force_mae
        np.testing.assert_allclose(tuned.errors[part].mean(), error, rtol=1e-5)
        forces = member.predict([frames[part[0]]])[1][0]
        np.testing.assert_allclose(tuned.tested[part[0]].get_forces(), forces, 1e-4)
    assert tuned.interval[0] < tuned.error < tuned.interval[1]
    assert tuned.error == tuned.rivals["tuned"] < tuned.rivals["composition"]
    np.testing.assert_array_equal(tuned.errors, again.errors)


def test_folds_of_mixed_order_test_frames_at_their_own_place(frames):
    """Groups need not stand together in the file."""
    for k, atoms in enumerate(frames):
        atoms.info = {"run": k % 5}
    start = own_data.start(frames, seed=0)
    tuned = own_data.cross_validate(start, frames, config=FAST, seed=0)
    assert tuned.split == "5 folds by run"
    given, predicted, _ = own_data.compared(tuned)
    gaps = np.abs(given - predicted).reshape(12, -1).mean(1)
    np.testing.assert_allclose(tuned.errors, 1e3 * gaps, rtol=1e-12)
    for a, b in zip(tuned.frames, tuned.tested, strict=True):
        np.testing.assert_array_equal(a.positions, b.positions)


def test_folds_are_of_like_size_and_cut_no_run_twice(frames):
    """One molecule with a few fragments; two runs that take turns in the file."""
    many = [a.copy() for a in frames] * 4
    rest = [molecule(name) for name in ("H2O", "CH4", "NH3", "C2H6")]
    parts, how = own_data.folds([*many, *rest])
    assert sorted(map(len, parts)) == [10, 10, 10, 11, 11]
    assert "blocks" in how
    for k, atoms in enumerate(frames):
        atoms.info = {"run": k % 2}
    parts, how = own_data.folds(frames)
    assert how == "5 folds, blocks in the order of each run"
    assert [len({k % 2 for k in part}) for part in parts] == [1] * 5
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(12))


def test_a_start_to_run_from_has_no_old_labels(frames, tuned, tmp_path):
    frames[0].info = {"energy_unit": "kcal/mol", "REF_energy": 1.0, "dft_energy": 2.0}
    frames[0].set_constraint(FixAtoms([0]))
    paths = own_data.keep(replace(tuned, frames=frames), tmp_path)
    assert "REF" not in paths[2].read_text("utf-8")
    (start,) = data.read(paths[2], labelled=False)
    np.testing.assert_allclose(start.positions, frames[0].positions, atol=1e-7)


def test_a_folder_that_cannot_be_written_is_refused_before(tuned, tmp_path):
    (tmp_path / "errors.png").mkdir()
    for folder, words in (
        (tmp_path, "errors.png in .* is a folder"),
        (__file__, "got"),
    ):
        with pytest.raises(ValueError, match=f"folder: .*{words}"):
            own_data.keep(tuned, folder)
    assert len([*tmp_path.iterdir()]) == 1


def test_fixed_atoms_have_forces(frames):
    for atoms in frames:
        atoms.set_constraint(FixAtoms(range(9)))
    tuned = own_data.tune(frames, config=FAST, seed=0)
    assert "12 structures had ASE constraints" in tuned.notes[0]
    assert np.abs(own_data.compared(tuned)[0]).max() > 1
    assert all(atoms.constraints for atoms in frames)


def test_what_was_tuned_runs_and_is_kept(tmp_path, frames, tuned):
    trial = own_data.trial_run(tuned.potential, frames[0], steps=200, seed=0)
    assert trial.broken == 0
    assert abs(trial.drift) < 5
    assert 100 < trial.kelvin < 500
    assert trial.ps == pytest.approx(0.1)
    wanted = own_data.label_next(tuned, frames[0], 3, steps=80, seed=0)
    paths = own_data.keep(tuned, tmp_path / "mein Ordner", wanted, trial)
    names = ["potential.safetensors", "label_next.extxyz", "start.extxyz"]
    assert [p.name for p in paths] == [*names, "errors.png", "report.md", "use_me.py"]
    energies, _ = Potential.load(paths[0]).predict(frames)
    np.testing.assert_array_equal(energies, tuned.potential.predict(frames)[0])
    text = paths[1].read_text("utf-8")
    assert text.count("\n9\n") == 2
    assert not re.search("energy|forces|momenta", text)
    report = paths[4].read_text("utf-8")
    assert f"{tuned.error:.1f} meV/Å" in report
    assert "no bond broke" in report
    assert "(errors.png)" in report
    assert paths[3].read_bytes()[1:4] == b"PNG"
    ran = subprocess.run([sys.executable, paths[5]], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "100 frames at" in ran.stdout
    assert "ns a day" in ran.stdout


def test_a_run_that_fails_is_told_in_words(frames):
    """A network that knows nothing lets a molecule fly apart, or blows up."""
    wild = Potential(PotentialConfig(), dict.fromkeys((1, 6, 8), 0.0), seed=1)
    for parameter in wild.readout.parameters():
        parameter.data *= 300.0
    trial = own_data.trial_run(wild, frames[0], steps=400, seed=0)
    assert trial.drift is None or trial.broken
    assert "nan" not in " ".join(trial.lines())


def test_the_potential_answers_in_the_protocol_of_i_pi(frames, tmp_path):
    """As the report says; the server is ASE's, which speaks i-PI's protocol."""
    potential, atoms = datasets.checkpoint("molecules-mmff94"), frames[0].copy()
    mine = atoms.copy()
    mine.calc = potential.calculator()
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = dict(port=free.getsockname()[1], timeout=60)
    with SocketIOCalculator(**where) as server:
        answer = partial(SocketClient(**where).run, mine)
        client = threading.Thread(target=answer, daemon=True)
        client.start()
        atoms.calc = server
        found = atoms.get_forces()
    client.join(60)
    expected = potential.predict([atoms])[1][0]
    np.testing.assert_allclose(found, expected, atol=1e-6 * units.Hartree)


def test_where_to_start(frames, soon):
    pytest.importorskip("tblite")
    for name, atoms in (
        ("water-qtip4pf-longer", water.water_box(8, seed=0)),
        ("molecules-mmff94", frames[0]),
        ("a network taught by MMFF94", molecule("CH3Cl")),
        ("a network taught by EMT", bulk("Cu")),
        ("a network taught by GFN2-xTB", molecule("BCl3")),
        ("a network taught by GFN2-xTB", bulk("NaCl", "rocksalt", a=5.64)),
    ):
        found = own_data.start([with_labels(atoms, -1.0)], seed=0)
        assert (found.name, found.notes) == (name, [])
    start = own_data.start([frames[0]], teacher=EMT(), seed=0)
    assert start.name == "a network taught by EMT"
    with pytest.raises(ValueError, match="teacher: EMT: "):
        own_data.start([molecule("BCl3")], teacher=EMT(), seed=0)


def test_without_a_teacher_the_network_starts_untrained(frames, monkeypatch, soon):
    monkeypatch.setitem(sys.modules, "tblite.ase", None)
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    some = [with_labels(salt, -40.0, np.zeros((8, 3)))]
    start = own_data.start(some, seed=0)
    assert start.name == own_data.starts.UNTRAINED
    assert re.search(r"MMFF94: is for open .*EMT.*pip install tblite", start.notes[0])
    assert "many more labels" in start.notes[0]


def test_a_taught_start_is_nearer_than_an_untrained_one(metals, soon, monkeypatch):
    taught = own_data.tune(metals, config=FAST, seed=0)
    assert taught.start == "a network taught by EMT"
    assert own_data.trial_run(taught.potential, metals[0], steps=80, seed=0).ps > 0
    assert "4 structures only" in taught.notes[-1]
    monkeypatch.setattr(own_data.starts, "METALS", set())
    monkeypatch.setitem(sys.modules, "tblite.ase", None)
    alone = own_data.tune(metals, config=FAST, seed=0)
    assert alone.start == own_data.starts.UNTRAINED
    assert taught.rivals["before tuning"] < alone.rivals["before tuning"]


def test_large_structures_take_smaller_batches_and_fewer_steps():
    small, large = molecule("CH4"), bulk("Cu", cubic=True) * (5, 5, 5)
    assert own_data.starts.pairs([small]) == 20
    assert own_data.starts.pairs([large]) == 500 * 42
    how = FitConfig(steps=1000, batch_size=10)
    assert own_data.starts.sized(how, [small]) == how
    sized = own_data.starts.sized(how, [large])
    assert (sized.batch_size, sized.steps) == (1, 166)


def test_tune_without_forces_measures_energies(frames):
    plain = [with_labels(a, a.get_potential_energy()) for a in frames]
    config = replace(FAST, energy_weight=1.0, force_weight=0.0)
    tuned = own_data.tune(plain, config=config, seed=0)
    assert tuned.unit == "meV/atom"
    assert own_data.compared(tuned)[2].endswith("(eV/atom)")


def test_tune_takes_frames_as_they_were_read(frames, tmp_path):
    """Free atoms, copies and forces that some frames lack, as own_data.read does."""
    free = [with_labels(Atoms(s), e) for s, e in (("H", -13.6), ("O", -2042.5))]
    bare = with_labels(frames[3], frames[3].get_potential_energy())
    energy, forces = frames[0].get_potential_energy(), frames[0].get_forces()
    copy = with_labels(frames[0], energy + 5.0, forces)
    ase.io.write(tmp_path / "m.xyz", [*frames[:3], *free, copy, bare, frames[4]])
    some = data.read(tmp_path / "m.xyz", labelled=False)
    tuned = own_data.tune(some, config=FAST, seed=0)
    assert len(tuned.frames) == 4
    assert any("H -13.6000 eV" in note for note in tuned.notes)
    assert any("1 copies" in note for note in tuned.notes)
    assert any("1 of these have another energy" in note for note in tuned.notes)
    near = [with_labels(Atoms("H2", [[x, 0, 0], [0.8, 0, 0]]), -31) for x in SIGNS]
    with pytest.raises(ValueError, match="frames: .*at least 2"):
        own_data.tune(near, seed=0)


def test_tune_stops_at_doubtful_labels_and_notes_sorted_files(frames):
    with pytest.raises(ValueError, match="frames: .*gradients=True"):
        own_data.tune(turned(frames), seed=0)
    growing = [turned([a], 1.4**k)[0] for k, a in enumerate(frames)]
    tuned = own_data.tune(growing, config=FAST, trust=True, seed=0)
    assert "If the file is sorted" in tuned.notes[0]


def test_wrong_free_atoms_are_noted_once(frames):
    wrong = {1: -13.6, 6: -150.0, 8: -430.0}  # of pseudopotentials
    tuned = own_data.tune(frames, atomic_energies=wrong, config=FAST, seed=0)
    assert sum("another method" in note for note in tuned.notes) == 1


def test_the_command_line_tunes_a_file(tmp_path, frames, capsys, monkeypatch):
    monkeypatch.setattr(own_data.tuning, "_usual", lambda *_: FAST)
    monkeypatch.setattr(own_data.running, "_steps", lambda atoms: 80)
    path, folder = tmp_path / "mine.extxyz", tmp_path / "mein Ordner"
    factor = units.kcal / units.mol
    ase.io.write(path, turned(frames, 1 / factor))
    with pytest.raises(SystemExit):
        main(["own", str(path), "--folder", str(folder)])
    assert "unit=" in capsys.readouterr().err
    assert not folder.exists()
    with pytest.raises(SystemExit):
        main(["own", str(path), "--folder", str(path / "below")])
    assert "--folder: needs a folder, got the file" in capsys.readouterr().err
    ase.io.write(path, frames)
    main(["own", str(path), "--folder", str(folder)])
    said = capsys.readouterr().out
    assert shown(folder / "report.md") in said
    assert "at 90 %, between" in said
    assert len(read(folder / "label_next.extxyz", ":")) == 10
