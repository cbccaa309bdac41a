"""What runs of a liquid say by name, with errors; and the explorer that shows it."""

import numpy as np
import pytest

from tpainn_lite import analysis, datasets, explorers, water
from tpainn_lite.explorers import properties


@pytest.fixture(scope="module")
def runs():
    """The first 8 ps of two shipped runs of each kind."""
    models = ("q-tip4p-f", "water-tuned-8")
    frames = {"NVT": 160, "NPT": 80}
    return {
        kind: {m: of_kind[m][: frames[kind]] for m in models}
        for kind, of_kind in datasets.runs("water-runs").items()
    }


@pytest.fixture
def explorer(runs):
    return explorers.Properties(runs["NVT"], runs["NPT"])


def test_numbers_are_those_of_the_functions_behind_them(runs):
    frames = runs["NVT"]["q-tip4p-f"]
    bonds = properties.sample("hydrogen bonds", frames)
    assert bonds[1] == 2 * water.hydrogen_bonds(frames[4]) / 64
    rows = properties.sample("g(r), O-H", frames)
    r, g = properties.curve("g(r), O-H", rows, 0.2)
    how = dict(r_max=properties.REACH, bins=properties.BINS)
    expected = analysis.rdf(frames[::4], 8, 1, molecules=np.arange(192) // 3, **how)
    np.testing.assert_allclose([r, g], expected)
    found = properties.estimate(properties.MSD, frames, 0.05)
    length = 159 * 50.0
    window = (properties.FIT[0] * length, properties.FIT[1] * length)
    by_hand = analysis.self_diffusion(frames, 50.0, fit_window=window)
    assert found == (by_hand.value, by_hand.error)

    rows = properties.sample("temperature", frames)
    with pytest.raises(ValueError, match="needs 16 or more .* got 15; take a longer"):
        properties.estimate("temperature", rows[:15], 0.05)


@pytest.mark.parametrize("quantity", properties.QUANTITIES)
def test_the_explorer_draws_each_quantity(explorer, quantity):
    explorer.quantity.value = quantity
    assert [*explorer.estimates] == ["q-tip4p-f", "water-tuned-8"]
    for k, (lengths, values, errors) in enumerate(explorer.estimates.values()):
        left, right = explorer.figure.data[k], explorer.figure.data[k + 2]
        assert len(left.x) == len(left.y) > 16
        np.testing.assert_allclose(right.y, values)
        np.testing.assert_allclose(right.error_y.array, errors)
        assert (np.diff(lengths) > 0).all()
        assert 0 < errors[-1] < values[-1]
        assert lengths[-1] == pytest.approx(8.0, abs=0.2)
    assert explorer.figure.layout.yaxis.title.text
    assert "±" in explorer._text.value


def test_known_points_show_with_their_quantity(runs):
    points = {"g(r), O-O": {"X-rays": ((2.8, 4.5), (2.6, 1.1))}}
    explorer = explorers.Properties(runs["NVT"], runs["NPT"], points)
    shown = explorer.figure.data[-1]
    assert (shown.name, len(shown.x)) == ("X-rays", 0)
    explorer.quantity.value = "g(r), O-O"
    assert (tuple(shown.x), tuple(shown.y)) == points["g(r), O-O"]["X-rays"]
    assert shown.showlegend
    explorer.quantity.value = "temperature"
    assert len(shown.x) == 0
    assert not shown.showlegend


def test_models_and_window_are_chosen(explorer):
    explorer.quantity.value = "temperature"
    before = explorer.estimates["water-tuned-8"]
    explorer.models.value = ("water-tuned-8",)
    assert [*explorer.estimates] == ["water-tuned-8"]
    assert len(explorer.figure.data[0].x or ()) == 0
    explorer.window.value = (4.0, 8.0)
    lengths, values, _ = explorer.estimates["water-tuned-8"]
    assert lengths[-1] == pytest.approx(4.0)
    assert values[-1] != before[1][-1]
    assert len(explorer.figure.data[1].x) == 80
    explorer.quantity.value, explorer.window.value = "density", (7.0, 8.0)
    assert explorer.estimates == {}
    assert "too short" in explorer._text.value


def test_a_broken_molecule_is_told(runs):
    nvt = {"whole": runs["NVT"]["q-tip4p-f"]}
    nvt["broken"] = [a.copy() for a in nvt["whole"]]
    nvt["broken"][100].positions[1] += [3.0, 3.0, 0.0]
    npt = dict.fromkeys(nvt, runs["NPT"]["q-tip4p-f"])
    explorer = explorers.Properties(nvt, npt)
    explorer.quantity.value = "hydrogen bonds"
    assert [*explorer.estimates] == ["whole"]
    assert "hydrogen 1 is 4." in explorer._text.value
    assert "the molecule broken" in explorer._text.value
    explorer.quantity.value = "temperature"
    assert [*explorer.estimates] == ["whole", "broken"]


def test_runs_that_do_not_go_together_are_refused(runs):
    nvt, npt = runs["NVT"], {"q-tip4p-f": runs["NPT"]["q-tip4p-f"]}
    gap = {"q-tip4p-f": nvt["q-tip4p-f"][:20] + nvt["q-tip4p-f"][30:]}
    for some, words in ((nvt, "npt: needs runs of"), (gap, "50 to 550 fs")):
        with pytest.raises(ValueError, match=words):
            explorers.Properties(some, npt)
