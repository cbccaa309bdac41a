"""The training loop: it learns, goes on after a kill, and stops when asked."""

import copy
import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.stress import voigt_6_to_full_3x3_stress
from conftest import REFERENCES, SMALL
from tqdm import tqdm

from tpainn_lite import data, train, tune
from tpainn_lite.data import with_labels
from tpainn_lite.model import Potential
from tpainn_lite.train import FitConfig, evaluate, fit

SHORT = FitConfig(steps=12, batch_size=3, lr=2e-3, ema_decay=0.5)


@pytest.fixture
def start(ethanols):
    """A small float64 potential whose references fit the frames."""
    energies = [a.get_potential_energy() for a in ethanols]
    free = dict.fromkeys(REFERENCES, 0.0)
    references = data.fit_reference_energies(ethanols, energies, free)
    return Potential(SMALL, references, seed=0).double()


def weights(potential):
    return torch.cat([p.detach().flatten() for p in potential.parameters()])


def same(a, b):
    return torch.equal(weights(a), weights(b))


def test_overfits_one_structure(start, ethanols):
    config = FitConfig(steps=400, batch_size=1, lr=1e-2, ema_decay=0.9)
    before = evaluate(start, ethanols[:1])
    potential, history = fit(start, ethanols[:1], config, seed=0)
    after = evaluate(potential, ethanols[:1])
    assert after.force_mae < 0.05 * before.force_mae
    assert after.energy_mae < 0.05 * before.energy_mae
    loss = history.column("loss")
    assert loss[-20:].mean() < 1e-2 * loss[:20].mean()
    assert history.rows[-1]["step"] == 400


def test_seeds_and_the_original_is_untouched(start, ethanols):
    start.eval()
    before = copy.deepcopy(start.state_dict())
    runs = (fit(start, ethanols, SHORT, seed=s) for s in (0, 0, 1))
    (a, one), (b, two), (c, three) = runs
    assert same(a, b)
    assert one.rows == two.rows
    assert not same(a, c)
    assert one.rows != three.rows
    assert all(torch.equal(before[k], v) for k, v in start.state_dict().items())
    assert not same(a, start)
    assert (start.training, a.training) == (False, False)
    assert a.reference_energies == start.reference_energies


def test_torchs_default_type_changes_nothing(start, ethanols, request):
    start = start.float()
    options = {"seed": 0, "valid": ethanols[:2]}
    expected, history = fit(start, ethanols, SHORT, **options)
    request.getfixturevalue("double_by_default")
    found, rows = fit(start, ethanols, SHORT, **options)
    assert found.dtype == torch.float32
    assert rows.rows == history.rows
    assert same(found, expected)


@pytest.mark.parametrize("force_weight", [0.0, 0.9])
def test_a_fit_builds_each_graph_once(start, ethanols, counted, force_weight):
    config = replace(SHORT, force_weight=force_weight)  # four epochs, three steps each
    fit(start, ethanols[:7], config, seed=0, valid=ethanols[7:])
    assert counted["graphs"] == counted["checks"] == 8
    derivatives = 12 + 4 if force_weight else 0  # of steps and of validations
    assert counted["derivatives"] == derivatives


def test_the_budget_is_exact(start, ethanols):
    _, history = fit(start, ethanols, SHORT, seed=0)  # 3 batches an epoch
    assert history.column("step").tolist() == [3, 6, 9, 12]
    _, history = fit(start, ethanols, FitConfig(steps=4, batch_size=3), seed=0)
    assert history.column("step").tolist() == [3, 4]
    assert np.isnan(history.column("force_mae")).all()  # nothing was validated
    config = FitConfig(steps=5, batch_size=8, validate_every=2)
    _, history = fit(start, ethanols, config, seed=0, valid=ethanols[:2])
    measured = np.isfinite(history.column("force_mae"))
    assert measured.tolist() == [False, True, False, True, True]
    stop = lambda p, rows: len(rows) == 2  # noqa: E731
    _, history = fit(start, ethanols, SHORT, seed=0, on_epoch=stop)
    assert history.column("step").tolist() == [3, 6]


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.1), (9, 0.1), (19, 0.05)])
def test_any_number_of_steps(start, ethanols, steps, warmup):
    # OneCycleLR divides by zero where warmup * (steps + 1) is exactly 1.
    config = FitConfig(steps=steps, batch_size=2, warmup_fraction=warmup)
    _, history = fit(start, ethanols[:2], config, seed=0)
    assert history.rows[-1]["step"] == steps
    assert np.isfinite(history.column("loss")).all()


@pytest.fixture
def boxes(ice):
    """Four boxes, labelled by another potential of the same references."""
    teacher, frames = Potential(SMALL, REFERENCES, seed=7).double().eval(), []
    for seed in range(4):
        atoms = ice.copy()
        atoms.rattle(0.05, seed=seed)
        found = teacher.predict([atoms], stress=True)
        frames.append(with_labels(atoms, *(part[0] for part in found)))
    return frames


STRESS = FitConfig(steps=1, batch_size=8, energy_weight=0.3, stress_weight=20.0)


def test_one_step_by_hand(boxes):
    # Loss of the first step: the weighted squares, from the labels themselves.
    blank = Potential(SMALL, REFERENCES, seed=0).double()
    _, history = fit(blank, boxes, STRESS, seed=0)
    energies, forces, stresses = blank.predict(boxes, stress=True)
    dE = energies - [a.get_potential_energy() for a in boxes]
    dF = np.concatenate(forces) - np.concatenate([a.get_forces() for a in boxes])
    dS = np.array([*map(voigt_6_to_full_3x3_stress, stresses)])
    dS -= [a.get_stress(voigt=False) for a in boxes]  # eV/Å³
    expected = 0.3 * (dE**2).mean() + 0.99 * (dF**2).mean() + 20 * (dS**2).mean()
    assert history.rows[0]["loss"] == pytest.approx(expected, rel=1e-9)


def test_stress_alone_is_learnt_and_told(boxes):
    blank = Potential(SMALL, REFERENCES, seed=0).double()
    config = FitConfig(steps=150, lr=1e-2, ema_decay=0.9, energy_weight=1e-9)
    config = replace(config, force_weight=0.0, stress_weight=1e4)
    tuned, _ = fit(blank, boxes, config, seed=0)
    last = evaluate(tuned, boxes).stress_mae  # MPa
    assert last < 0.2 * evaluate(blank, boxes).stress_mae
    known = [a.get_stress() for a in boxes]
    gaps = tuned.predict(boxes, forces=False, stress=True)[2] - known
    assert last == pytest.approx(np.abs(gaps).mean() * 160217.6634, rel=1e-6)
    tuned, history = fit(blank, boxes, replace(STRESS, steps=2), seed=0, valid=boxes)
    told = history.column("stress_mae")[-1]
    assert told == evaluate(tuned, boxes).stress_mae


class Bare:
    """A calculator in the style of old, which keeps no results."""

    def get_potential_energy(self, atoms):
        return 0.0

    def get_forces(self, atoms):
        return np.zeros((len(atoms), 3))


def test_without_weight_stress_changes_nothing(boxes, counted):
    blank = Potential(SMALL, REFERENCES, seed=0).double()
    config = replace(SHORT, steps=2)
    tuned, history = fit(blank, boxes, config, seed=0, valid=boxes[:2])
    assert counted["derivatives"] == 2 + 1
    assert "stress_mae" not in history.rows[-1]
    for atoms in boxes:
        del atoms.calc.results["stress"]
    assert same(fit(blank, boxes, config, seed=0)[0], tuned)
    assert evaluate(tuned, boxes).stress_mae is None
    boxes[0].calc = Bare()
    assert evaluate(tuned, boxes).stress_mae is None


def test_bad_stresses(start, ethanols, boxes, tmp_path):
    how = dict(config=STRESS, seed=0)
    with pytest.raises(ValueError, match="train, frame 0: an open structure has no"):
        fit(start, ethanols, **how)
    bare = with_labels(boxes[1], -1.0, np.zeros((6, 3)))
    with pytest.raises(ValueError, match="frame 1: needs a stress, it is missing"):
        fit(start, [boxes[0], bare], **how)
    bare.calc.results["stress"] = np.full(6, np.nan)
    for call in (lambda: fit(start, [bare], **how), lambda: evaluate(start, [bare])):
        with pytest.raises(ValueError, match="frame 0, its stress: .*finite"):
            call()
    with pytest.raises(ValueError, match=r"stress_weight of a Delta: needs 0, got 20"):
        tune.Delta(start, STRESS)
    fit(start, boxes, **how, checkpoint=tmp_path / "s.pt")
    boxes[2].calc.results["stress"] += 1e-6
    with pytest.raises(ValueError, match="written with other labels;"):
        fit(start, boxes, **how, checkpoint=tmp_path / "s.pt")


def test_a_broken_run_goes_on_to_the_same_weights(start, ethanols, tmp_path):
    config, seen = FitConfig(steps=12, batch_size=3), []
    how = {"seed": 3, "valid": ethanols[5:]}
    whole, expected = fit(start, ethanols[:5], config, **how)
    how |= {"checkpoint": tmp_path / "deep" / "state.pt", "checkpoint_every": 2}

    def note(potential, rows):
        seen.append(rows[-1]["epoch"])
        if seen == [1, 2, 3]:  # an epoch that is not saved
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fit(start, ethanols[:5], config, on_epoch=note, **how)
    for _ in range(2):  # when it is finished there is nothing to do
        resumed, history = fit(start, ethanols[:5], config, on_epoch=note, **how)
        assert history.rows == expected.rows
        assert same(resumed, whole)
    assert seen == [1, 2, 3, 3, 4, 5, 6]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["state.pt"]


def test_a_state_that_is_not_whole_is_refused(start, ethanols, tmp_path):
    path = tmp_path / "state.pt"
    fit(start, ethanols, SHORT, seed=0, checkpoint=path)
    whole = path.read_bytes()
    state = torch.load(io.BytesIO(whole[32:]), weights_only=True)
    del state["identity"]
    torch.save(state, path)
    content = path.read_bytes()
    path.write_bytes(hashlib.sha256(content).digest() + content)
    with pytest.raises(ValueError, match="was written with another version"):
        fit(start, ethanols, SHORT, seed=0, checkpoint=path)
    k = len(whole) // 2  # in the weights: torch's own file would be read, and be wrong
    flipped = whole[:k] + bytes([whole[k] ^ 1]) + whole[k + 1 :]
    for damaged in (whole[:1000], flipped, b"", content):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="no whole training state"):
            fit(start, ethanols, SHORT, seed=0, checkpoint=path)


def changed(frames, energy=0.0, force=0.0, shift=0.0, pbc=None):
    """Copies with labels (eV, eV/Å) or an atom (Å) shifted, or in a box that counts."""
    found = []
    for atoms in frames:
        copy = atoms.copy()
        copy.positions[0] += shift
        if pbc is not None:
            copy.cell, copy.pbc = [12.0] * 3, pbc
        e, f = atoms.get_potential_energy() + energy, atoms.get_forces() + force
        found.append(with_labels(copy, e, f))
    return found


def test_a_checkpoint_knows_what_decides_its_result(start, ethanols, tmp_path):
    """Each input that decides the result is refused by its name when it differs."""
    frames, valid = ethanols[:5], ethanols[5:]
    how = {"seed": 0, "checkpoint": tmp_path / "state.pt"}
    fit(start, frames, SHORT, valid=valid, **how)
    weights = Potential(SMALL, start.reference_energies, seed=1).double()
    zero = Potential(SMALL, dict.fromkeys(REFERENCES, 0.0), seed=0).double()
    for words, potential, learnt, watched in (
        ("other frames", start, changed(frames, shift=0.01), valid),
        ("other frames", start, changed(frames, pbc=True), valid),
        ("other frames", start, frames[::-1], valid),
        ("other frames", start, frames[:4], valid),
        ("other labels", start, changed(frames, energy=1e-3), valid),
        ("other labels", start, changed(frames, force=1e-3), valid),
        ("other validation frames", start, frames, None),
        ("other validation frames", start, frames, changed(valid, shift=0.01)),
        ("other validation frames", start, frames, changed(valid, force=1e-3)),
        ("other first weights", weights, frames, valid),
        ("other reference energies", zero, frames, valid),
    ):
        with pytest.raises(ValueError, match=words) as refused:
            fit(potential, learnt, SHORT, valid=watched, **how)
        assert "seed" not in str(refused.value)
    both = changed(frames, energy=1e-3)
    with pytest.raises(ValueError, match=r"seed 0 \(now 1\) and other labels;"):
        fit(start, both, SHORT, valid=valid, **how | {"seed": 1})


def test_the_same_frames_from_elsewhere_go_on(start, ethanols, tmp_path):
    """What decides nothing is no reason to refuse: info, unused cell and forces."""
    config = replace(SHORT, energy_weight=1.0, force_weight=0.0)
    how = {"seed": 0, "checkpoint": tmp_path / "state.pt"}
    potential, _ = fit(start, ethanols, config, **how)
    again = changed(ethanols, pbc=False)
    for atoms in again:
        atoms.info["note"] = "read again"
        del atoms.calc.results["forces"]
    assert same(fit(start, again, config, **how)[0], potential)


def test_weights_that_are_not_finite_are_no_result(start, ethanols):
    run = train._Run(start, SHORT, seed=0)
    run.run_epoch(run.samples(ethanols, "train"), tqdm(disable=True))
    with torch.no_grad():  # as a last step may leave them, after a loss that was finite
        next(run.average.module.parameters()).fill_(np.nan)
    with pytest.raises(FloatingPointError, match="weights are not finite at step 3"):
        run.result()


def test_fit_computes_on_one_thread_and_gives_the_others_back(start, ethanols):
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        watch = lambda *_: seen.append(torch.get_num_threads())  # noqa: E731
        fit(start, ethanols, SHORT, seed=0, on_epoch=watch)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}


def test_interrupt_keeps_the_best_weights(start, ethanols, capsys):
    scores = []

    def on_epoch(potential, rows):
        scores.append((rows[-1]["force_mae"], weights(potential)))
        if len(rows) == 3:
            raise KeyboardInterrupt

    frames, valid = ethanols[:5], ethanols[5:]
    how = dict(seed=0, valid=valid, on_epoch=on_epoch)
    potential, history = fit(start, frames, SHORT, **how)
    assert len(history.rows) == 3
    best = min(scores, key=lambda pair: pair[0])
    assert torch.equal(weights(potential), best[1])
    assert evaluate(potential, valid).force_mae == pytest.approx(best[0], rel=1e-9)
    assert "stopped at step 6" in capsys.readouterr().out


def test_early_stopping(start, ethanols, monkeypatch, tmp_path):
    left, real, kept = iter([5.0, 3.0, 4.0, 3.5, 1.0]), train.evaluate, []

    def scripted(potential, frames, forces, stress):
        return replace(real(potential, frames), force_mae=next(left))

    monkeypatch.setattr(train, "evaluate", scripted)
    config = FitConfig(steps=100, batch_size=8, patience=2)
    options = {"seed": 0, "valid": ethanols[:1], "checkpoint": tmp_path / "s.pt"}
    note = lambda p, rows: kept.append(weights(p))  # noqa: E731
    potential, history = fit(start, ethanols, config, on_epoch=note, **options)
    assert history.column("force_mae").tolist() == [5.0, 3.0, 4.0, 3.5]
    assert torch.equal(weights(potential), kept[1])
    again, rows = fit(start, ethanols, config, **options)  # it had stopped: it stays so
    assert len(rows.rows) == 4
    assert same(again, potential)


def test_without_ema_the_average_is_the_last(start, ethanols):
    config = FitConfig(steps=3, batch_size=8, ema_decay=0.0)
    run = train._Run(start, config, seed=0)
    run.run_epoch(run.samples(ethanols, "train"), tqdm(disable=True))
    assert same(run.average.module, run.potential)


def test_pull_keeps_weights_near_the_start_and_weighs_one_over_n(start, ethanols):
    size = replace(SMALL, radial="gaussian")  # of which the bounds below were found
    start = Potential(size, start.reference_energies, seed=0).double()

    def moved(pull: float, n: int) -> float:
        config = FitConfig(steps=30, lr=1e-2, l2_sp=pull, ema_decay=0.0)
        potential, _ = fit(start, ethanols[:n], config, seed=0)
        pairs = zip(potential.parameters(), start.parameters(), strict=True)
        return sum((a - b).square().sum().item() for a, b in pairs) ** 0.5

    assert moved(0.9, 1) < 0.3 * moved(0.3, 1) < 0.3 * moved(0.0, 1)
    assert moved(0.9, 1) < moved(0.9, 6)


def test_a_loss_that_is_not_finite(start, ethanols):
    with torch.no_grad():
        start.readout.outnet[0].weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="not finite at step 0.*lr"):
        fit(start, ethanols, SHORT, seed=0)


@pytest.mark.parametrize(
    "bad",
    [
        *({name: 0} for name in ("steps", "lr", "batch_size", "max_grad_norm")),
        *({name: 0} for name in ("patience", "validate_every", "warmup_fraction")),
        *({name: 1.0} for name in ("warmup_fraction", "ema_decay", "l2_sp")),
        *({name: -0.1} for name in ("ema_decay", "l2_sp", "energy_weight", "lr_decay")),
        *({name: float("nan")} for name in ("force_weight", "lr")),
        {"lr_decay": 1.1},
        {"unfreeze": -1},
        {"energy_weight": 0.0, "force_weight": 0.0},
    ],
    ids=str,
)
def test_impossible_configurations(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        FitConfig(**bad)


def without_forces(frames):
    return [with_labels(a.copy(), -100.0 - k) for k, a in enumerate(frames)]


def test_bad_frames(start, ethanols):
    foreign = ethanols[1].copy()
    foreign.numbers[0] = 9
    bare = [ethanols[0], without_forces(ethanols)[1]]
    needs, how = "frame 1: needs an energy and forces", dict(config=SHORT, seed=0)
    alone = how | dict(config=replace(SHORT, force_weight=0.0))
    for call, words in (
        (lambda: fit(start, [], **how), "frames: needs .*at least"),
        (lambda: evaluate(start, []), "frames: needs .*at least"),
        (lambda: fit(start, [foreign], **how), r"\[9\] are unknown"),
        (lambda: fit(start, bare, **how), f"train, {needs}"),
        (lambda: fit(start, ethanols, valid=bare, **how), f"valid, {needs}"),
        (lambda: evaluate(start, bare), f"frames, {needs}"),
        (lambda: fit(start, [bare[0].copy()], **alone), "needs an energy, it is miss"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_energies_alone_suffice_for_energy_only(start, ethanols):
    """And the best weights are those of the least energy error."""
    frames = without_forces(ethanols)
    config = FitConfig(steps=6, batch_size=8, energy_weight=1.0, force_weight=0.0)
    potential, history = fit(start, frames, config, seed=0, valid=frames)
    errors = evaluate(potential, frames, forces=False)
    best = history.column("energy_mae").min()
    assert errors.energy_mae == pytest.approx(best, rel=1e-9)
    assert errors.force_mae is None
    assert np.isnan(history.column("force_mae")).all()
    free = dict.fromkeys(REFERENCES, 0.0)
    tuned, _ = tune.autotune(start, frames, free, config, seed=0)
    assert not same(tuned, start)


def test_metrics_by_hand(potential):
    with torch.no_grad():  # predicts the reference energies, and no force
        for parameter in potential.readout.parameters():
            parameter.zero_()
    pull = np.zeros((3, 3))
    pull[0] = [0.3, 0, 0]  # on the oxygen
    H, C, O = (REFERENCES[z] for z in (1, 6, 8))  # noqa: E741
    frames = [
        with_labels(molecule("H2O"), 2 * H + O + 0.03, pull),
        with_labels(molecule("CH4"), 4 * H + C - 0.10, np.zeros((5, 3))),
    ]
    errors = evaluate(potential, frames)
    assert errors.energy_mae == pytest.approx((10 + 20) / 2, abs=1e-6)  # meV/atom
    assert errors.energy_rmse == pytest.approx(np.sqrt((100 + 400) / 2), abs=1e-6)
    assert errors.energy_mae_kcal == pytest.approx(0.065 * 23.0605, rel=1e-5)
    assert errors.force_mae == pytest.approx(300 / 24)  # meV/Å, over 24 components
    assert errors.force_rmse == pytest.approx(300 / np.sqrt(24))
    assert errors.force_mae_by_element == pytest.approx({1: 0, 6: 0, 8: 100})


EIGHT = FitConfig(steps=8, batch_size=4, lr=1e-3, ema_decay=0.0)
BLOCKS = ["embedding, filters", "layer 0", "layer 1", "read-out"]


def test_blocks_are_all_parameters_once(start):
    parts = train.blocks(start)
    assert list(parts) == BLOCKS
    found = [id(p) for part in parts.values() for p in part]
    assert sorted(found) == sorted(id(p) for p in start.parameters())


def gaps(before, after):
    """How far the weights of each block went."""
    last = train.blocks(after)
    return {
        name: sum((p - q).square().sum().item() for p, q in zip(*two, strict=True))
        for name, *two in ((n, ps, last[n]) for n, ps in train.blocks(before).items())
    }


def test_rates_fall_from_the_read_out_down(start, ethanols):
    run = train._Run(start, replace(EIGHT, lr_decay=0.5), seed=0)
    groups = run.optimizer.param_groups
    assert [g["max_lr"] for g in groups] == pytest.approx([1.25e-4, 2.5e-4, 5e-4, 1e-3])
    plain, decayed, alone, nearly = (
        fit(start, ethanols, replace(EIGHT, lr_decay=decay), seed=0)[0]
        for decay in (1.0, 0.1, 0.0, 1 - 1e-12)
    )
    for p, q in zip(plain.parameters(), nearly.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-9)
    far, near = gaps(start, plain), gaps(start, decayed)
    # Adam moves every weight by about its rate a step, whatever the gradient's size
    for k, name in enumerate(reversed(BLOCKS)):
        assert (near[name] / far[name]) ** 0.5 == pytest.approx(0.1**k, rel=0.7)
    gone = gaps(start, alone)
    assert gone.pop("read-out") > 0
    assert set(gone.values()) == {0.0}


def test_blocks_wait_for_their_turn(start, ethanols):
    awake = []
    for steps in (3, 5, 7):  # of two structures each: a block every second step
        config = replace(EIGHT, steps=steps, unfreeze=2)
        tuned, _ = fit(start, ethanols, config, seed=0)
        awake.append([n for n, d in gaps(start, tuned).items() if d > 0])
    assert awake == [BLOCKS[2:], BLOCKS[1:], BLOCKS]
