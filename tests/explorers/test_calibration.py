"""The calibration explorer gives what `calibrate` gives, at once, for any control."""

import numpy as np
import pytest

from tpainn_lite import calibrate, data, datasets, explorers
from tpainn_lite.units import KCAL_MOL

FREE = datasets.atomic_energies("qm9-sample")
CHEAP = {"MMFF94": "mmff94", "GFN2-xTB": "gfn2_xtb"}
card = datasets.card("qm9-sample")["gfn2_xtb_atomic_energies_eV"]
XTB = {int(z): energy for z, energy in card.items()}


@pytest.fixture(scope="module")
def sample():
    splits = datasets.load("qm9-sample")
    return splits["pool"][:400], splits["test"][:300]


@pytest.fixture
def explorer(sample):
    return explorers.Calibration(*sample, CHEAP, FREE, {"GFN2-xTB": XTB})


def trace(explorer, name: str):
    return next(t for t in explorer.figure.data if t.name == name)


def test_the_explorer_calibrates_as_the_library_does(explorer, sample):
    pool, test = sample
    explorer.terms.value, explorer.cheap.value = "bonds+rings", "GFN2-xTB"
    explorer.n.value, explorer.seed.value = 50, 2
    (some,) = data.split(pool, 50, seed=2)
    energies = [
        np.array([a.info["gfn2_xtb"] for a in frames]) for frames in (some, test)
    ]
    how = dict(atomic_energies=FREE, cheap_atoms=XTB)
    model = calibrate.molecules(some, energies[0], **how)
    truth = np.array([a.get_potential_energy() for a in test])
    gaps = (model.energies(test, energies[1]) - truth) / KCAL_MOL
    found = explorer.numbers
    assert found["mae"] == pytest.approx(np.abs(gaps).mean(), rel=1e-9)
    assert found["rmse"] == pytest.approx(np.sqrt((gaps**2).mean()), rel=1e-9)
    assert found["factor"] == pytest.approx(model.factor, rel=1e-9)
    assert found["penalty"] == min(model.left_out, key=model.left_out.get)
    points = trace(explorer, "test molecules")
    np.testing.assert_allclose(np.subtract(points.y, points.x), gaps, atol=1e-9)
    title = explorer.figure.layout.title.text
    assert title.startswith(f"{found['mae']:.3g} kcal/mol with 50 labels")


def test_the_plot_shows_what_no_composition_explains(explorer, sample):
    explorer.n.value, explorer.terms.value = 300, "composition"
    y, x = (np.array(trace(explorer, "test molecules")[k]) for k in "yx")
    N = data.compositions(sample[1], sorted(FREE))
    np.testing.assert_allclose(N.T @ x, 0, atol=1e-6)
    assert np.std(y) < 0.3 * np.std(x)  # composition alone predicts none of it


def test_each_control_moves_the_curve_and_the_last_one_stays(explorer):
    now, before = trace(explorer, "these settings"), trace(explorer, "settings before")
    assert list(now.x) == [3, 10, 30, 100, 300]
    moves = dict(terms="bonds", prior="textbook bond energies", cheap="MMFF94")
    for name, value in (moves | dict(seed=4)).items():
        old = list(now.y)
        getattr(explorer, name).value = value
        assert list(now.y) != old
        assert list(before.y) == old
    old = list(now.y), list(before.y)
    explorer.n.value = 300
    assert (list(now.y), list(before.y)) == old  # n moves the star alone
    star = trace(explorer, "n chosen")
    assert (star.x[0], star.y[0]) == (300, now.y[-1])
    assert explorer.error is None


def test_small_pools_and_curves_of_a_grid(sample):
    pool, test = sample
    curve = np.array([[10, 100], [24.0, 6.6], [23.0, 6.0], [25.0, 7.0]])
    few, one = calibrate.counted(pool[:1]), {"UFF": "uff"}
    new = explorers.Calibration(few, test, one, FREE, curves={"scratch": curve})
    assert new.n.options == (1,)
    assert new.cheap.options == ("none", "UFF")
    assert list(trace(new, "scratch").y) == [24.0, 6.6]
    again = explorers.Calibration(pool, test, CHEAP, FREE, before=new)
    assert again.n.value == 30  # 1 is not offered
    again.n.value, again.cheap.value = 100, "MMFF94"
    last = explorers.Calibration(pool, test, CHEAP, FREE, before=again)
    assert (last.n.value, last.cheap.value) == (100, "MMFF94")
    assert last.numbers["mae"] == again.numbers["mae"]
    assert all(control.tooltip for control in last.widget.children[0].children)


def test_what_cannot_be_calibrated_is_refused(sample):
    pool, test = sample
    with pytest.raises(ValueError, match=r"info\['dftb'\]"):
        explorers.Calibration(pool, test, {"DFTB": "dftb"}, FREE)
    bare = [a.copy() for a in pool[:3]]
    with pytest.raises(ValueError, match="test: frames, frame 0: needs an energy"):
        explorers.Calibration(pool, bare, CHEAP, FREE)
