"""Grids of learning curves: what a point is, and one computed for real."""

import json
from dataclasses import replace

import pytest

from tpainn_lite import datasets, tune
from tpainn_lite.reproduce import grid_rows, grids


def test_points_of_one_size_see_the_same_structures():
    pool = datasets.load("molecules-dft")["pool"]
    one, none = grid_rows.draw(pool, 5, 0, seed=1)
    same, watched = grid_rows.draw(pool, 5, 20, seed=1)
    assert none is None
    assert [a.positions.tolist() for a in one] == [a.positions.tolist() for a in same]
    drawn = {id(a) for a in same}
    assert len(watched) == 20
    assert not drawn & {id(a) for a in watched}
    assert grid_rows.draw(pool, len(pool), 20, seed=1)[1] is None


@pytest.mark.parametrize("name", grids.GRIDS)
def test_every_arm_runs_at_every_size_and_seed(name):
    grid, tasks = grids.GRIDS[name], grid_rows.tasks(name)
    budget = grid.configs["tuned"].steps
    for arm in grid.arms:
        cells = {
            (n, seed)
            for a, _, n, seed, steps, _ in tasks
            if (a, steps) == (arm, budget)
        }
        assert len(cells) == len(grid.sizes) * len(grids.SEEDS)
    assert len({task[:5] for task in tasks}) == len(tasks)


@pytest.fixture
def small_grid(monkeypatch):
    """Two steps, and ten for the longer arm, on shipped molecules."""
    configs = {arm: replace(c, steps=2) for arm, c in tune.CONFIGS.items()}
    grid = replace(
        grids.GRIDS["molecules-grid"],
        teachers={"": "molecules-mmff94", "again": "molecules-mmff94"},
        sizes=(3,),
        longer={"scratch": (3,)},
        configs=configs,
        watch=2,
        stride=100,
    )
    monkeypatch.setitem(grids.GRIDS, "small", grid)
    monkeypatch.setattr(grid_rows, "SEEDS", (0,))
    return grid


def test_a_grid_is_made_of_its_points(small_grid, tmp_path):
    tasks = grid_rows.tasks("small")
    names = [f"{arm}, {teacher}" if teacher else arm for arm, teacher, *_ in tasks]
    assert names == [
        "composition",
        "zero-shot",
        "zero-shot, again",
        "scratch",
        "tuned",
        "tuned, again",
        "scratch",
    ]
    paths = []
    for k, task in enumerate(tasks):
        paths.append(tmp_path / f"{k}.out")
        grid_rows.point("small", task, paths[-1])
    grid_rows.write_grid("small", paths, tmp_path)
    made = json.loads((tmp_path / "small.json").read_text())
    errors = {(r["arm"], r["steps"]): r["force_mae"] for r in made["rows"]}
    assert set(errors) == set(zip(names, [2] * 6 + [10], strict=True))
    assert errors["tuned", 2] == errors["tuned, again", 2]  # the same teacher
    assert errors["zero-shot", 2] < errors["composition", 2]
    assert [t["name"] for t in made["teachers"]] == ["molecules-mmff94"] * 2
    curves = datasets.learning_curves(made, "force_mae")
    assert set(curves) == {*names, "scratch, 5x longer"}


def test_a_public_set_has_a_digest_and_no_free_atoms():
    assert len(datasets.digest("water-pbe0ts")) == 64
    assert datasets.digest("water-pbe0ts") != datasets.digest("qm9")
    assert grid_rows.free_atoms("water-pbe0ts") is None
