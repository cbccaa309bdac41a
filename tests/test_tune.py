"""Autotuning: references first, then every weight; the original stays."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms

from tpainn_lite import data, datasets, molecules, ridge_head, tune
from tpainn_lite.course import own_data
from tpainn_lite.data import with_labels
from tpainn_lite.model import Potential, PotentialConfig
from tpainn_lite.reproduce import ladder
from tpainn_lite.train import FitConfig, evaluate
from tpainn_lite.tune import DeltaPotential

ATOMS = {1: -13.6, 6: -1029.9, 7: -1485.3, 8: -2042.6}  # eV, like DFT
SHORT = FitConfig(steps=150, lr=2e-2, ema_decay=0.9)


@pytest.fixture
def quantum(ethanols):
    """The MMFF94 frames with other labels: stiffer, and with DFT's huge energies."""
    base = 6 * ATOMS[1] + 2 * ATOMS[6] + ATOMS[8] - 32.0
    return [
        data.with_labels(a, base + 1.1 * a.get_potential_energy(), 1.1 * a.get_forces())
        for a in ethanols
    ]


def test_with_references(potential, quantum):
    before = copy.deepcopy(potential.reference_energies)
    energies, forces = potential.predict(quantum)
    truth = np.array([a.get_potential_energy() for a in quantum])
    tuned = tune.with_references(potential, quantum, ATOMS)
    new_energies, new_forces = tuned.predict(quantum)
    assert potential.reference_energies == before
    assert (new_energies - truth).mean() == pytest.approx(0, abs=1e-5)
    np.testing.assert_allclose(np.diff(new_energies), np.diff(energies), atol=1e-8)
    for a, b in zip(forces, new_forces, strict=True):
        np.testing.assert_array_equal(a, b)


def test_unknown_elements_stay_unknown(potential, quantum):
    tuned = tune.with_references(potential, quantum, ATOMS | {9: -2713.0})
    assert tuned.reference_energies.keys() == potential.reference_energies.keys()
    with pytest.raises(ValueError, match=r"missing \[8\]"):
        tune.with_references(potential, quantum, {1: -13.6, 6: -1029.9})


def test_autotune(potential, quantum):
    before = copy.deepcopy(potential.state_dict())
    references = dict(potential.reference_energies)
    tuned, history = tune.autotune(potential, quantum, ATOMS, SHORT, seed=0)
    assert all(torch.equal(before[k], v) for k, v in potential.state_dict().items())
    assert potential.reference_energies == references
    used = {k for k, v in tuned.state_dict().items() if not torch.equal(v, before[k])}
    for part in ("embedding", "filter_net", "interactions.0", "mixing.1", "readout"):
        assert any(part in name for name in used), part
    zero_shot = tune.with_references(potential, quantum, ATOMS)
    after, before = (evaluate(p, quantum).force_mae for p in (tuned, zero_shot))
    assert after < 0.9 * before
    assert history.rows[-1]["step"] == 150


def test_says_what_compositions_leave_open(potential, quantum):
    with pytest.warns(tune.ReferenceWarning, match="^frames: 1 comp.*3 elements"):
        tune.autotune(potential, quantum, ATOMS, replace(SHORT, steps=1), seed=0)
    known = [molecules.conformers(s, seed=0)[0] for s in ("CO", "CC", "O")]
    known = data.label(known, potential.energy_forces)
    with warnings.catch_warnings():
        warnings.simplefilter("error", tune.ReferenceWarning)
        tune.autotune(potential, known, ATOMS, replace(SHORT, steps=1), seed=0)


def test_arms(potential, quantum):
    teacher = potential
    run = teacher, quantum, ATOMS, SHORT
    arms = [tune.train_arm(arm, *run, seed=0)[0] for arm in tune.ARMS]
    composition, zero_shot, scratch, tuned = arms
    energies, forces = composition.predict(quantum)
    assert not np.concatenate(forces).any()
    assert np.ptp(energies) == pytest.approx(0, abs=1e-9)
    pair = (p.representation.embedding.weight for p in (zero_shot, teacher))
    assert torch.equal(*pair)
    start = tune.untrained(teacher, seed=0)
    assert start.config == scratch.config == teacher.config
    assert start.dtype == teacher.dtype
    assert not torch.equal(*(p.readout.outnet[0].weight for p in (start, teacher)))
    expected, _ = tune.autotune(teacher, quantum, ATOMS, SHORT, seed=0)
    for a, b in zip(tuned.parameters(), expected.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_stopped_arm_goes_on(potential, quantum, tmp_path):
    inputs, epochs = ("tuned", potential, quantum, ATOMS, replace(SHORT, steps=40)), []
    whole, expected = tune.train_arm(*inputs, seed=0)
    how = dict(seed=0, checkpoint=tmp_path / "state")  # every tenth epoch
    tune.train_arm(*inputs, on_epoch=lambda _, rows: len(rows) == 11, **how)
    note = lambda _, rows: epochs.append(len(rows))  # noqa: E731
    again, history = tune.train_arm(*inputs, on_epoch=note, **how)
    assert epochs[0] == 11
    assert history.rows == expected.rows
    for a, b in zip(again.parameters(), whole.parameters(), strict=True):
        assert torch.equal(a, b)


def test_delta_learns_what_is_left_over(potential, quantum):
    classical = molecules.mmff94("CCO")
    total, history = tune.autotune(
        potential, quantum, ATOMS, tune.Delta(classical, SHORT), seed=0, valid=quantum
    )
    left = [0.1 / 1.1 * a.get_forces() for a in quantum]  # labels are 1.1 MMFF94
    alone = 1e3 * np.abs(np.concatenate(left)).mean()  # meV/Å, of MMFF94 as it is
    assert evaluate(total, quantum).force_mae < 0.8 * alone
    assert np.nanmin(history.column("force_mae")) < 0.8 * alone
    atoms = quantum[0]
    energy, forces = total.energy_forces(atoms.numbers, atoms.positions)
    (same,), (also,) = total.predict([atoms])
    assert energy == pytest.approx(same, abs=1e-6)
    np.testing.assert_allclose(forces, also, atol=1e-6)
    known, push = classical(atoms.numbers, atoms.positions, None)
    more, rest = total.network.energy_forces(atoms.numbers, atoms.positions)
    assert energy == pytest.approx(known + more, abs=1e-9)
    np.testing.assert_allclose(forces, push + rest, atol=1e-12)
    copied = atoms.copy()
    copied.calc = total.calculator()
    np.testing.assert_allclose(copied.get_forces(), forces, atol=1e-6)


def test_delta_begins_with_the_classical_part(potential, quantum):
    still = tune.Delta(molecules.mmff94("CCO"), replace(SHORT, steps=1, lr=1e-12))
    total, _ = tune.autotune(potential, quantum, ATOMS, still, seed=0)
    _, forces = total.predict(quantum)
    for atoms, found in zip(quantum, forces, strict=True):  # labels are 1.1 MMFF94
        np.testing.assert_allclose(found, atoms.get_forces() / 1.1, atol=1e-6)


@pytest.mark.parametrize("way", ["gradients", "head", "delta"])
def test_a_graph_and_a_check_a_frame(potential, quantum, counted, way):
    strategy = {
        "gradients": SHORT,
        "head": ridge_head.HeadConfig(features=4),
        "delta": tune.Delta(molecules.mmff94("CCO"), replace(SHORT, steps=4)),
    }[way]
    tune.autotune(potential, quantum, ATOMS, strategy, seed=0, valid=quantum[:3])
    watched = 0 if way == "head" else 3
    assert counted["graphs"] == counted["checks"] == len(quantum) + watched


@pytest.fixture
def total(potential, quantum):
    """MMFF94 and what a network made of the rest in some steps."""
    way = tune.Delta(molecules.mmff94("CCO"), replace(SHORT, steps=4))
    found, _ = tune.autotune(potential.float(), quantum, ATOMS, way, seed=0)
    return found


def test_a_total_is_saved_and_read(total, quantum, potential, counted, tmp_path):
    file = total.save(tmp_path / "t", card={"labels": "a test"})
    assert [*tmp_path.iterdir()] == [file]
    again = DeltaPotential.load(tmp_path / "t", molecules.mmff94("CCO"))
    for a, b in zip(total.predict(quantum), again.predict(quantum), strict=True):
        np.testing.assert_array_equal(a, b)
    counted["derivatives"] = 0
    energies, none = again.predict(quantum, forces=False)  # which need no forces
    assert none is None
    assert counted["derivatives"] == 0
    assert energies.tolist() == total.predict(quantum)[0].tolist()
    with pytest.raises(ValueError, match=r"DeltaPotential\.load\(path, classical"):
        Potential.load(tmp_path / "t")
    potential.save(tmp_path / "p")
    with pytest.raises(ValueError, match=r"whole potential.*Potential\.load"):
        DeltaPotential.load(tmp_path / "p", total.classical)
    with pytest.raises(ValueError, match="probe: needs an ase.Atoms"):
        DeltaPotential(total.network, total.classical).save(tmp_path / "none")
    assert not [*tmp_path.glob("none*")]


@pytest.mark.parametrize("by", [(0.01, 1.0), (0.0, 1.01), (np.nan, 1.0)], ids=str)
def test_another_classical_part_is_refused(total, tmp_path, by):
    def other(numbers, positions, cell=None):
        energy, forces = total.classical(numbers, positions, cell)
        return energy + by[0], by[1] * forces

    total.save(tmp_path / "t")
    with pytest.raises(ValueError, match="classical: .*(another one|got nan)"):
        DeltaPotential.load(tmp_path / "t", other)
    for smiles in ("COC", "CCCO"):  # an isomer, and another formula
        with pytest.raises(ValueError, match="classical: .*(another one|refuses)"):
            DeltaPotential.load(tmp_path / "t", molecules.mmff94(smiles))


def test_an_instant_head_by_the_same_call(potential, quantum):
    way = ridge_head.HeadConfig(features=64, length=1.0)
    tuned, history = tune.autotune(potential, quantum, ATOMS, way, seed=0)
    again, _ = tune.autotune(potential, quantum, ATOMS, way, seed=0)
    zero_shot = tune.with_references(potential, quantum, ATOMS)
    before, after = (evaluate(p, quantum).force_mae for p in (zero_shot, tuned))
    assert after < 0.9 * before
    assert history.rows == []
    np.testing.assert_array_equal(tuned.predict(quantum)[0], again.predict(quantum)[0])


def test_replay_keeps_what_was_learnt(potential, quantum, ethanols, ice):
    config = FitConfig(steps=200, lr=1e-2, ema_decay=0.9)
    free = dict.fromkeys(ATOMS, 0)
    student, _ = tune.autotune(potential, ethanols, free, config, seed=0)
    few, rest = quantum[:1], ethanols[2:]
    plain, _ = tune.autotune(student, few, ATOMS, config, seed=1)
    way = tune.Replay(rest, config)
    kept, _ = tune.autotune(student, few, ATOMS, way, seed=1)
    forgot, remembers = (evaluate(p, rest).force_mae for p in (plain, kept))
    assert remembers < 0.8 * forgot
    way = tune.Replay([a.copy() for a in rest], config)
    with pytest.raises(ValueError, match="replay, frame 0"):
        tune.autotune(student, few, ATOMS, way, seed=1)
    box = data.with_labels(ice, -1.0, np.zeros((6, 3)), np.arange(6.0))
    (moved,) = tune._moved_zero([box], student, student)
    np.testing.assert_array_equal(data.stress_of(moved), np.arange(6.0))


KINDS_OF = {  # what they are of: a builder
    "molecule": lambda ethanol: [ethanol, ethanol.copy()],
    "molecules": lambda ethanol: [ethanol, ethanol[:-1]],
    "boxes": lambda ethanol: [ethanol, Atoms("Cu", cell=[3] * 3, pbc=(True, True, 0))],
}


@pytest.mark.parametrize("kind", tune.KINDS)
def test_the_kind_of_structures(kind, ethanols):
    assert tune.kind_of(KINDS_OF[kind](ethanols[0])) == kind


@pytest.mark.parametrize("arm", tune.CONFIGS)
@pytest.mark.parametrize("aim", tune.AIMS)
@pytest.mark.parametrize("kind", tune.KINDS)
def test_settings_are_of_the_nearest_size(kind, aim, arm):
    wanted = dict(kind=kind, arm=arm, aim=aim)
    rows = datasets.card(tune.TRIALS)["choices"]
    rows = {row["n"]: row["config"] for row in rows if wanted.items() <= row.items()}
    sizes = [1, *(n for size in rows for n in (size, size + 1)), 10**6]
    near = [min(rows), *(n for size in rows for n in (size, size)), max(rows)]
    for n, size in zip(sizes, near, strict=True):
        found = tune.config_for(n, kind, arm, aim)
        assert found == replace(tune.SCRATCH, **rows[size])  # the budget is everybody's
        assert found.steps == 600
        assert (found.force_weight == 0) == (aim == "energies alone")


@pytest.mark.parametrize("arm", ["tuned", "scratch"])
@pytest.mark.parametrize("forces", [True, False])
def test_without_settings_the_trials_decide(potential, ethanols, forces, arm):
    """Free atoms among the frames do not count."""
    known = [(a, *data.labels(a)) for a in ethanols[:2]]
    few = [data.with_labels(a, e, f if forces else None) for a, e, f in known]
    few += [data.with_labels(Atoms([z]), 0.0) for z in ATOMS]  # as MMFF94's
    aim = "forces" if forces else "energies alone"
    how = tune.config_for(2, "molecule", arm, aim)
    run = dict(seed=0, on_epoch=lambda _, rows: rows[-1]["step"] >= 3)
    pair = [tune.train_arm(arm, potential, few, None, c, **run) for c in (None, how)]
    for a, b in zip(*(p.parameters() for p, _ in pair), strict=True):
        assert torch.equal(a, b)
    assert pair[0][1].rows == pair[1][1].rows


def test_what_is_no_strategy_or_arm(potential, quantum):
    with pytest.raises(ValueError, match=r"strategy: needs an .*FitConfig.*HeadConfig"):
        tune.autotune(potential, quantum, ATOMS, "gently", seed=0)
    with pytest.raises(ValueError, match="aim: needs one of"):
        tune.config_for(3, "molecule", "tuned", "both")
    with pytest.raises(ValueError, match="arm: needs one of"):
        tune.train_arm("guess", potential, quantum, ATOMS, seed=0)


def test_only_the_elements_of_the_labels_move(potential):
    """Free atoms of H and C: N and O stay known, and it is said."""
    known = [molecules.conformers(s, seed=0)[0] for s in ("C", "CC", "C=C")]
    known = data.label(known, potential.energy_forces)
    few = {z: ATOMS[z] for z in (1, 6)}
    config = replace(SHORT, steps=1)
    with pytest.warns(tune.ReferenceWarning, match=r"elements \[7, 8\]"):
        tuned, _ = tune.autotune(potential, known, few, config, seed=0)
    assert tuned.reference_energies.keys() == potential.reference_energies.keys()
    ethanol = molecules.conformers("CCO", seed=0)
    forces = (p.predict(ethanol)[1][0] for p in (tuned, potential))
    np.testing.assert_allclose(*forces, atol=0.1)


@pytest.fixture
def additive(potential):
    """Molecules whose labels are the potential's, with free atoms of another method."""
    other = {1: -12.4, 6: -149.9, 7: -275.3, 8: -442.6}  # eV, like pseudopotentials
    names = ("C", "CC", "C=O", "CO", "N", "CN", "O", "C=C")
    frames = [molecules.conformers(s, seed=0)[0] for s in names]
    moved = copy.deepcopy(potential)
    moved.reference_energies = other
    return data.label(frames, moved.energy_forces), other


def test_free_atoms_of_another_method_are_refused_or_left_out(potential, additive):
    frames, other = additive
    with pytest.raises(ValueError, match="give energies and free atoms"):
        tune.with_references(potential, frames, ATOMS)
    moved = tune.with_references(potential, frames, None)
    assert moved.reference_energies == pytest.approx(other, abs=1e-4)
    with pytest.warns(UserWarning, match="eV an atom from these free"):
        labels_alone = own_data.atom_energies(frames, ATOMS)
    for atoms in (labels_alone, other):
        moved = tune.with_references(potential, frames, atoms)
        assert moved.reference_energies == pytest.approx(other, abs=0.1)
        assert evaluate(moved, frames).energy_mae < 10  # meV/atom


def test_free_atoms_among_the_frames(potential, additive):
    """They say what water alone leaves open, and nothing is trained on them."""
    frames, other = additive
    water = [a for a in frames if len(a) == 3]
    free = [data.with_labels(Atoms([z]), e) for z, e in other.items()]
    config = replace(SHORT, steps=1, patience=1)
    run = potential, [*free, *water], None, config
    tuned, history = tune.autotune(*run, seed=0, valid=[*water, *free])
    assert tuned.reference_energies == pytest.approx(other, abs=1e-4)
    assert np.isfinite(history.column("force_mae")).all()
    known = [evaluate(tuned, part).energy_mae for part in (water, [*free, *water])]
    assert known[0] == known[1]  # they are no structures to be judged on
    with pytest.raises(ValueError, match="of element 8, a frame of one atom says"):
        tune.with_references(potential, [*free, *water], ATOMS)


def test_delta_takes_off_the_free_atoms_of_its_classical_part(potential, additive):
    """From one method with its own atoms to another: only the zero differs."""
    frames, other = additive
    water = [a for a in frames if len(a) == 3]
    config = replace(SHORT, steps=1)
    way = tune.Delta(potential.energy_forces, config, potential.reference_energies)
    total, _ = tune.autotune(potential, water, other, way, seed=0)
    short = tune.Delta(potential, config)  # a Potential brings its own atoms
    same, _ = tune.autotune(potential, water, other, short, seed=0)
    assert same.network.reference_energies == total.network.reference_energies
    energies = [t.predict(water)[0] for t in (total, same)]
    np.testing.assert_array_equal(*energies)
    few = {z: potential.reference_energies[z] for z in (1, 8)}
    way = tune.Delta(potential.energy_forces, config, few)  # all that water needs
    with pytest.warns(tune.ReferenceWarning, match="elements .6, 7."):
        tune.autotune(potential, water, other, way, seed=0)
    left = {z: other[z] - e for z, e in potential.reference_energies.items()}
    assert total.network.reference_energies == pytest.approx(left, abs=1.0)
    way = tune.Delta(potential.energy_forces, config, {6: -1029.9})
    with pytest.raises(ValueError, match=r"Delta.atomic_energies .* missing \[1, 8"):
        tune.autotune(potential, water, other, way, seed=0)


def test_from_strange_elements_to_a_tuned_potential():
    """A pretraining of one's own, tuned on labels of another method: UFF, its zero."""
    mine = []
    for smiles, zero in {"CF": -3760.0, "CS": -11900.0}.items():  # eV, like DFT
        run = molecules.sample(smiles, 8, temperature=400.0, seed=1)
        for a in data.label(run, ladder.uff(smiles)):
            energy = a.get_potential_energy() + zero
            mine.append(with_labels(a, energy, a.get_forces()))
            mine[-1].info = {}
    broken = mine[0].copy()
    broken.positions[0] += 3.0  # one hot structure does not hide its molecule
    smiles = own_data.known_molecules([broken, *mine])
    assert smiles == ["CF", "CS"]
    with pytest.raises(ValueError, match="RDKit finds no bonds"):
        own_data.known_molecules([broken])
    taught = own_data.starts.heated(smiles, 60, seed=0)
    assert len(taught) == 60
    assert {a.info["temperature"] for a in taught} == set(own_data.starts.KELVIN)
    how = replace(tune.HOW, steps=150)
    size = PotentialConfig(features=32, layers=2, cutoff=4.0, n_rbf=12)
    student, history = tune.pretrain(taught, how, size, seed=0)
    assert history.rows[-1]["step"] == 150
    assert set(student.reference_energies) == {1, 6, 9, 16}
    before = 1e3 * np.abs(np.concatenate([a.get_forces() for a in taught])).mean()
    assert evaluate(student, taught).force_mae < 0.5 * before
    known = {1: -13.6, 6: -1029.9}
    free_atoms = own_data.atom_energies(mine, known)  # of new ones from the labels
    assert {z: free_atoms[z] for z in known} == known
    for a in mine:
        missed = sum(free_atoms[z] for z in a.numbers) - a.get_potential_energy()
        assert abs(missed) < 2
    assert own_data.atom_energies(mine, free_atoms) == free_atoms
    pool, test = mine[::2], mine[1::2]
    before = evaluate(tune.with_references(student, pool, free_atoms), test)
    config = replace(tune.TUNED, steps=100, lr=1e-3)
    after = evaluate(tune.autotune(student, pool, free_atoms, config, seed=0)[0], test)
    assert after.force_mae < 0.8 * before.force_mae
    assert after.energy_mae < 100  # meV/atom, of thousands of eV
