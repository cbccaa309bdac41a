"""The race for forces: paired, drawn anew, without leaks, tuned as anywhere else."""

from dataclasses import replace

import numpy as np
import pytest

from tpainn_lite import datasets, select, tune
from tpainn_lite.course import selection_data
from tpainn_lite.reproduce import cards, selection_forces, trainings
from tpainn_lite.train import evaluate

WATER = "liquid water"


def test_test_molecules_are_others_and_all_is_drawn_anew():
    both = [a for part in selection_data.frames("molecules-dft") for a in part]
    one, again, other = (
        selection_forces.drawn("our molecules", repeat) for repeat in (0, 0, 1)
    )
    for k in range(2):
        np.testing.assert_array_equal(one[k], again[k])
        assert set(one[k]) != set(other[k])
    pool, test = ({both[k].info["smiles"] for k in places} for places in one)
    assert not pool & test
    assert [len(p) for p in one] == [selection_forces.POOL, selection_forces.TEST]


def test_a_repeat_is_tuned_on_its_choices_and_gathered(monkeypatch, tmp_path):
    known = selection_forces.EXPERIMENTS[WATER]
    monkeypatch.setitem(selection_forces.EXPERIMENTS, WATER, replace(known, sizes=(3,)))
    monkeypatch.setattr(selection_forces, "BOXES_TEST", 2)
    few = replace(trainings.WATER["tuned"], steps=3)
    monkeypatch.setitem(trainings.WATER, "tuned", few)
    rows, files = {}, []
    for repeat in (0, 1):
        rows[repeat] = selection_forces.compute("selection-forces", (WATER, repeat))
        files.append(tmp_path / f"{repeat}.part")
        cards.save(rows[repeat], files[-1])
    methods = [row["method"] for row in rows[0]]
    assert methods == [*selection_forces.METHODS, selection_forces.ORACLE]
    frames, X, _ = selection_forces.described(WATER)
    pool, test = selection_forces.drawn(WATER, 1)
    assert max(pool) < 84 <= min(test)  # boxes of the pool, and of the test
    first = [frames[k] for k in pool[select.random(X[pool], 3, seed=1)]]
    start, free = datasets.checkpoint(known.student), trainings.free_atoms(known.data)
    potential, _ = tune.autotune(start, first, free, few, seed=1)
    found = evaluate(potential, [frames[k] for k in test]).force_mae
    assert rows[1][0]["force_mae"] == pytest.approx(found)
    gathered = selection_forces.write("selection-forces", files, tmp_path)["rows"]
    assert gathered[0]["force_mae"][1] == pytest.approx(found, rel=1e-3)
    assert gathered[0]["difference"] == [0, 0, 0]


def test_the_oracle_prefers_boxes_that_the_force_field_gets_wrong():
    frames, *_ = selection_forces.described(WATER)
    model = selection_forces.rivals.fit("calibrated q-TIP4P/F", frames[:5], None)
    _, forces = model.predict(frames)
    pairs = zip(frames, forces, strict=True)
    errors = np.array([np.abs(a.get_forces() - f).mean() for a, f in pairs])
    found = {method: [] for method in ("random", selection_forces.ORACLE)}
    for repeat in range(3):
        for method, _, places in selection_forces.chosen(WATER, repeat):
            if method in found:
                found[method].append(errors[places].mean())
    assert np.mean(found[selection_forces.ORACLE]) > 1.03 * np.mean(found["random"])
