"""The race on QM9: its students, its draws, and what ships of it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tpainn_lite import calibrate, data, datasets
from tpainn_lite.graphs import collate, graph
from tpainn_lite.reproduce import qm9, qm9_grid, qm9_students
from tpainn_lite.units import KCAL_MOL

CARD = datasets.card("qm9-grid")


@pytest.fixture(scope="module")
def sample():
    return datasets.load("qm9-sample")


@pytest.fixture
def drawn(sample, monkeypatch):
    """Let 200 molecules of the sample be the draw, of which the last 150 teach."""
    frames = [*sample["test"][:50], *sample["pool"][:150]]
    monkeypatch.setattr(qm9, "drawn", lambda n: frames[:n])
    monkeypatch.setattr(
        qm9_students,
        "cheap_energies",
        lambda name, n: np.array([a.info[name] for a in frames[:n]]),
    )
    for name, size in dict(TEST=50, TAUGHT=150, RARE=5).items():
        monkeypatch.setattr(qm9_students, name, size)
    return frames


def test_a_student_adds_up_to_its_calibrated_teacher(drawn):
    names, scale = ["gfn2_xtb", "C-H", "ring of 3"], np.array([0.7, 1.5, 0.4])
    network = qm9_students.network(3, seed=1)
    apart = np.arange(15.0).reshape(5, 3)
    student = qm9_students.Student(network, names, scale, apart)
    energies = dict(H=-13.0, C=-1030.0, N=-1480.0, O=-2040.0, F=-2710.0)
    terms = energies | {"C-H": -0.3, "ring of 3": 0.8, "O-O": 7.0}
    model = calibrate.MoleculeModel(terms, 0.9, {})
    batch = collate([graph(a, 5.0) for a in drawn])
    with torch.no_grad():
        outputs = network.outputs(batch, batch["r_ij"]).double().numpy() * scale
    N = data.compositions(drawn, qm9_students.ELEMENTS)
    outputs += N @ apart
    for cheap, factor in {"gfn2_xtb": 0.9, "": 0.0}.items():
        potential = qm9_students.start_of(student, model, cheap)
        wanted = N @ [*energies.values()] + outputs @ [factor, -0.3, 0.8]
        found, _ = potential.predict(drawn, forces=False)
        np.testing.assert_allclose(found, wanted, atol=2e-4)  # float32


def test_a_student_learns_its_terms_and_goes_on_where_it_was_killed(
    drawn, monkeypatch, tmp_path
):
    how = replace(qm9_students.STUDENTS["terms"], steps=500, batch=10, average=0.9)
    monkeypatch.setattr(qm9_students, "STUDENTS", {"terms": how})
    monkeypatch.setattr(qm9_students, "WORK", tmp_path)
    student = qm9_students.train("terms")
    names, values = qm9_students.terms(how)
    assert student.names == names
    assert names[0] == "mmff94"
    assert "C-H" in names
    batch = collate([graph(a, 5.0) for a in drawn[50:]])
    with torch.no_grad():
        found = student.network.outputs(batch, batch["r_ij"]).double().numpy()
    N = data.compositions(drawn[50:], qm9_students.ELEMENTS)
    gap = found * student.scale + N @ student.composition - values[50:]
    assert np.abs(gap / student.scale).mean() < 0.35
    again = qm9_students.train("terms")  # from the state, without a step
    weights = again.network.state_dict()
    for name, weight in student.network.state_dict().items():
        assert torch.equal(weight, weights[name])


def test_what_ships_are_the_points_of_the_race():
    arms = [*qm9_grid.CLOSED, *qm9_grid.RATES]
    known = [
        (arm, n, seed, qm9_grid.steps(n) * longer if arm in qm9_grid.RATES else 0)
        for arm in arms
        for n, seed, longer in qm9_grid.tasks(arm)
    ]
    rows = [tuple(r[k] for k in ("arm", "n", "seed", "steps")) for r in CARD["rows"]]
    assert sorted(rows) == sorted(known)
    for row in CARD["rows"]:
        if row["steps"]:
            rate = qm9_grid.rate_of(row["arm"], row["n"], CARD["trials"])
            assert row["lr"] == rate
    assert {*qm9_grid.parts("qm9-grid")} == {qm9_grid.slug(arm) for arm in arms}


def test_the_shipped_student_is_where_the_best_arm_starts(sample):
    """On the 2,000 test molecules that ship, of the 4,000 of the table."""
    n, seed = qm9_grid.START
    (some,) = data.split(sample["pool"], n, seed=seed)
    own = datasets.card("qm9-sample")["gfn2_xtb_atomic_energies_eV"]
    model = calibrate.molecules(
        some,
        np.array([a.info["gfn2_xtb"] for a in some]),
        atomic_energies=qm9.FREE,
        cheap_atoms={int(z): e for z, e in own.items()},
    )
    rest, _ = datasets.checkpoint("qm9-student").predict(sample["test"], forces=False)
    known = np.array([a.info["gfn2_xtb"] for a in sample["test"]])
    truth = [a.get_potential_energy() for a in sample["test"]]
    error = np.abs(rest + model.factor * known - truth).mean() / KCAL_MOL
    rows = [r for r in CARD["rows"] if (r["arm"], r["n"]) == (qm9_grid.BESIDE, n)]
    draws = [row["before_mae"] for row in rows]  # of other molecules
    assert 0.8 * min(draws) < error < 1.2 * max(draws)


def test_the_naive_race_has_one_energy_for_all(drawn, monkeypatch):
    parts = {"test": drawn[:5]}
    monkeypatch.setattr(qm9_grid, "molecules", parts.get)
    config = qm9_grid.config_of(100, 1e-9)
    predict = qm9_grid.naive(drawn[50:80], 0, replace(config, steps=1))
    elements, free = [*qm9.FREE], [*qm9.FREE.values()]
    bound = data.compositions(drawn[:80], elements) @ free
    mean = np.mean([a.get_potential_energy() for a in drawn[50:80]] - bound[50:])
    assert np.abs(predict("test") - bound[:5] - mean).max() < 5  # of a fresh network
