"""Trials of settings: who learns, who judges, and what is tried."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tpainn_lite import datasets, tune
from tpainn_lite.data import groups_of
from tpainn_lite.reproduce import trials


@pytest.mark.parametrize("kind", trials.DATA)
def test_what_judges_is_of_the_pool_and_was_not_learned(kind):
    name, _, group, _ = trials.DATA[kind]
    train, judge = trials.held_out(kind)
    pool = {a.positions.tobytes() for a in datasets.load(name)["pool"]}
    sides = [{a.positions.tobytes() for a in side} for side in (train, judge)]
    assert sides[0] | sides[1] == pool
    assert not sides[0] & sides[1]
    if group:
        assert not set(groups_of(train, group)) & set(groups_of(judge, group))
    assert len(judge) == pytest.approx(len(pool) / 4, rel=0.05)
    some = [sizes for key, (_, sizes) in trials.TRIALS.items() if key[0] == kind]
    sizes = [n for each in some for n in each]
    assert max(sizes, default=0) <= len(train)


def test_what_ships_are_the_trials_of_the_table():
    found = datasets.card(tune.TRIALS)["rows"]
    for part in trials.parts(tune.TRIALS).values():
        rows = [row for row in found if part.task.items() <= row.items()]
        wanted = trials.TRIALS[part.task["kind"], part.task["forces"]][0]
        tried = [tuple(row[name] for name in trials.TRIED[:3]) for row in rows]
        assert tried == [*wanted[part.task["arm"]]]
        found = [row for row in found if row not in rows]
    assert not found


def test_no_other_candidate_is_better_in_what_was_chosen_for():
    """Once more, with NumPy's sorting, from the rows that ship."""
    card = datasets.card(tune.TRIALS)
    different = {str(c | {"config": 0}) for c in card["choices"]}
    assert len(card["choices"]) == len(different)
    for choice in (c for c in card["choices"] if c["kind"] != "boxes"):
        forces = choice["aim"] != "energies alone"
        where = {k: choice[k] for k in ("kind", "arm", "n")} | {"forces": forces}
        rows = [row for row in card["rows"] if where.items() <= row.items()]
        seeds = len({row["seed"] for row in rows})
        errors = np.array([[row["force_mae"], row["energy_mae"]] for row in rows])
        errors = errors.reshape(seeds, -1, 2).mean(axis=0)  # (candidates, 2)
        mine = [choice["config"].items() <= row.items() for row in rows]
        (k,) = np.flatnonzero(mine[: len(errors)])
        assert not (errors < errors[k]).all(axis=1).any()
        if choice["aim"] == "forces":
            assert errors[k, 0] <= 1.03 * errors[:, 0].min()
        else:
            assert errors[k, 1] == errors[:, 1].min()


def test_both_arms_have_as_many_candidates():
    for candidates, _ in trials.TRIALS.values():
        assert len(candidates["tuned"]) == len(candidates["scratch"])


@pytest.mark.parametrize("forces", [True, False])
def test_a_trial(forces, monkeypatch):
    monkeypatch.setattr(tune, "SCRATCH", replace(tune.SCRATCH, steps=2))
    train, judge = trials.held_out("molecule")
    monkeypatch.setattr(trials, "held_out", lambda kind: (train, judge[:4]))
    task = dict(kind="molecule", forces=forces, arm="tuned", n=3, seed=0)
    rows = json.loads(json.dumps(trials.compute(tune.TRIALS, task)))
    assert len(rows) == 6
    for row in rows:
        assert task.items() <= row.items()
        assert 50 < row["force_mae"] < 1000
        assert (row["force_weight"] > 0) == forces
