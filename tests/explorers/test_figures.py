"""Figures carry the data, units on axes, and lines told apart without colour."""

import numpy as np
import pytest

from tpainn_lite.explorers import figures

N = np.array([3, 10, 30, 100])
TUNED = np.array([493.0, 446.0, 377.0, 303.0])
SCRATCH = np.array([1140.0, 885.0, 723.0, 529.0])


def every_figure():
    x = np.linspace(0.1, 1, 40)
    pair = {"scratch": x, "tuned": x**2}
    curves = {name: (x, y) for name, y in pair.items()}
    errors = {
        "scratch": (N, SCRATCH, 0.9 * SCRATCH, 1.2 * SCRATCH),
        "tuned": (N, TUNED, 0.9 * TUNED, 1.1 * TUNED),
    }
    return {
        "parity": figures.parity(x, pair, "force", "eV/Å"),
        "overlay": figures.parity(x, pair, "force", "eV/Å", overlay=True),
        "learning_curve": figures.learning_curve(errors, "force MAE", "meV/Å"),
        "histogram": figures.histogram(pair, "force", "eV/Å"),
        "bars": figures.bars({"scratch": 3.0, "tuned": 1.0}, "E", "eV", "who"),
        "groups": figures.bars(
            {name: {"within": y, "between": 1.0} for y, name in enumerate(pair)},
            *("force MAE", "meV/Å", "part"),
        ),
        "points": figures.lines(curves, "Two", "t (fs)", "E (eV)", mode="markers"),
    }


@pytest.mark.parametrize("name", every_figure())
def test_title_axes_legend_and_looks(name):
    figure = every_figure()[name]
    assert figure.layout.title.text
    assert figure.layout.showlegend
    assert figure.layout.template.layout.legend.orientation == "h"  # above the plot
    assert figure.layout.legend.y is None
    assert all(trace.name for trace in figure.data)
    x, y = figure.layout.xaxis.title.text, figure.layout.yaxis.title.text
    units = {"learning_curve": ("", "(meV/Å)"), "points": ("(fs)", "(eV)")}
    units |= {"bars": ("", "(eV)"), "groups": ("", "(meV/Å)")}
    x_unit, y_unit = units.get(name, ("(eV/Å)", "(eV/Å)"))
    assert y_unit in y
    assert x_unit in x != ""
    traces = [t for t in figure.data if t.name != "y = x"]
    colours = {t.marker.color or t.line.color for t in traces}
    if name in ("bars", "groups"):
        shapes = {t.marker.pattern.shape for t in traces}
    else:
        shapes = {(t.mode, t.marker.symbol, t.line.dash) for t in traces}
    assert len(colours) == len(shapes) == len(traces)
    assert colours <= {*figures.PALETTE}


def test_an_arm_looks_the_same_in_every_figure():
    colours = {look[0] for look in (*figures.LOOKS, *figures.ARMS.values())}
    for colour in colours:  # WCAG's contrast of a line on white
        parts = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        linear = np.where(parts < 0.04, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        assert 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) > 3, colour
    alone = figures.looks(["scratch"])["scratch"]
    assert alone == figures.looks(["mine", "tuned", "scratch"])["scratch"]
    every = figures.looks([*"abcd", *figures.ARMS])
    assert len({look[:2] for look in every.values()}) == len(every)
    for names in ("", "abcdefghi"):
        with pytest.raises(ValueError, match="1 to 8 named"):
            figures.looks([*names])


def test_a_slider_moves_traces_without_a_kernel():
    figure = figures.lines({"tuned": (N, TUNED)}, "One", "n", "error (meV/Å)")
    states = {"10 fs": {0: (N, TUNED)}, "20 fs": {0: (N, SCRATCH)}}
    (slider,) = figures.slide(figure, states, active=1).layout.sliders
    assert [step.label for step in slider.steps] == [*states]
    assert slider.active == 1
    moved, which = slider.steps[1].args
    assert [*which] == [0]
    np.testing.assert_array_equal([moved["x"], moved["y"]], [[N], [SCRATCH]])


def test_panels_share_one_legend():
    curves = {"tuned": (N, TUNED, 0.1 * TUNED)}
    shown = {"at 300 K": curves, "at 500 K": curves | {"scratch": (N, SCRATCH)}}
    figure = figures.panels(shown, "Two", "n", "error (meV/Å)")
    assert [t.showlegend for t in figure.data] == [True, False, True]
    assert [t.xaxis for t in figure.data] == ["x", "x2", "x2"]
    assert figure.data[0].line == figure.data[1].line
    assert [a.text for a in figure.layout.annotations] == [*shown]
    np.testing.assert_allclose(figure.data[1].error_y.array, 0.1 * TUNED)


def test_parity_carries_the_data_and_its_error():
    reference = np.arange(6.0).reshape(2, 3)
    predictions = {"scratch": reference + 2, "tuned": reference - 0.5}
    figure = figures.parity(reference, predictions, "force", "eV/Å")
    scratch, tuned, *lines = figure.data
    np.testing.assert_array_equal(scratch.x, reference.ravel())
    np.testing.assert_array_equal(tuned.y, reference.ravel() - 0.5)
    assert "MAE 2000 meV/Å" in scratch.name
    assert "MAE 500 meV/Å" in tuned.name
    assert scratch.xaxis != tuned.xaxis
    assert len(lines) == 2
    assert all((line.x == line.y).all() for line in lines)
    assert list(figure.layout.xaxis2.range) == list(figure.layout.yaxis.range)
    overlay = figures.parity(reference, predictions, "force", "eV/Å", overlay=True)
    assert len(overlay.data) == 3
    assert {t.xaxis for t in overlay.data} == {"x"}
    many = np.zeros(figures.MANY + 1)  # WebGL draws them
    assert figures.parity(many, {"a": many}, "E", "eV").data[0].type == "scattergl"


def test_curves_carry_the_data_and_their_spread():
    figure = every_figure()["learning_curve"]
    scratch, tuned = figure.data
    np.testing.assert_array_equal(scratch.x, N)
    np.testing.assert_array_equal(tuned.y, TUNED)
    np.testing.assert_allclose(scratch.error_y.array, 0.2 * SCRATCH)
    np.testing.assert_allclose(scratch.error_y.arrayminus, 0.1 * SCRATCH)
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "log"
    assert list(figure.layout.xaxis.tickvals) == list(N)


def test_histogram_is_a_density_over_common_bins():
    samples = {"MMFF94": np.arange(100.0), "DFT": np.arange(50.0)}
    first, second = figures.histogram(samples, "energy", "eV", bins=10).data
    assert first.fillpattern.shape != second.fillpattern.shape
    np.testing.assert_array_equal(first.x, second.x)
    for trace in (first, second):
        assert np.sum(np.diff(trace.x) * trace.y[:-1]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("function", "values", "words"),
    [
        ("parity", ([1, 2], {"a": [1]}), "predictions.*one size"),
        ("parity", ([1], {"a": [np.nan]}), "predictions.*NaN"),
        ("parity", ([1], {}), "1 to 8 named"),
        ("learning_curve", ({"a": ([1], [1])},), "'a'.*4 arrays"),
        ("learning_curve", ({"a": ([1], [1], [0], [2])},), "'a'.*positive"),
        ("histogram", ({"a": []},), "'a'.*not empty"),
    ],
)
def test_bad_input_is_refused_in_words(function, values, words):
    with pytest.raises(ValueError, match=words):
        getattr(figures, function)(*values, "E", "eV")


def test_a_waterfall_has_the_factor_of_each_step():
    errors = {"naive": 80.0, "references": 20.0, "pretrained": 25.0, "tuned": 5.0}
    figure = figures.waterfall(errors, "energy error", "kcal/mol")
    ends = [(bar.base[0], bar.base[0] + bar.y[0]) for bar in figure.data]
    assert ends == [(20, 80), (25, 20), (5, 25), (5, 80)]
    factors = ["÷ 4", "× 1.2", "÷ 5", "÷ 16"]
    assert [bar.text for bar in figure.data] == factors
    assert [bar.x[0] for bar in figure.data] == [*errors][1:] + ["total"]
    assert figure.layout.yaxis.type == "log"
    with pytest.raises(ValueError, match="two positive errors or more"):
        figures.waterfall({"naive": 80.0, "best": 0.0}, "E", "kcal/mol")
