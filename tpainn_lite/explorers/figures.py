"""Plotly figures of the lessons: one palette, one template, one function a figure.

Every figure has a title, axes with units and a legend, and its lines differ by marker
or dash as well as by colour. ``plotly.graph_objects.FigureWidget(figure)`` makes a
figure live; its traces are then ``.data``, in the order that the functions state.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

LOOKS = (  # Okabe and Ito's colour, marker, dash, hatching
    ("#0072B2", "circle", "solid", "/"),  # blue
    ("#D55E00", "square", "dash", "\\"),  # vermillion
    ("#009E73", "diamond", "dot", "x"),  # bluish green
    ("#000000", "x", "dashdot", "."),  # black
    ("#CC79A7", "triangle-up", "longdash", "-"),  # reddish purple
    ("#E69F00", "cross", "longdashdot", "|"),  # orange
    ("#56B4E9", "star", "solid", "+"),  # sky blue
    ("#F0E442", "pentagon", "dash", ""),  # yellow
)
PALETTE = [look[0] for look in LOOKS]
ARMS = ("tuned", "scratch", "zero-shot", "composition")  # the same in every figure
MANY = 2000  # from so many points on, WebGL draws a scatter plot
LOG = dict(type="log", minorloglabels="complete", exponentformat="none")
_axis = dict(showline=True, linecolor="black", ticks="outside", gridcolor="#E5E5E5")
TEMPLATE = go.layout.Template(
    layout=dict(
        font=dict(family="Arial, Helvetica, sans-serif", size=14, color="black"),
        title=dict(font_size=17, x=0.02, xanchor="left"),
        colorway=PALETTE,
        xaxis=_axis | {"zeroline": False},
        yaxis=_axis | {"zeroline": False},
        margin=dict(l=70, r=20, t=60, b=60),
        width=760,
        height=440,
    )
)


def looks(names: Sequence[str]) -> dict[str, tuple[str, str, str, str]]:
    """One of `LOOKS` for each name; `ARMS` have theirs, others the first free one."""
    if not 0 < len(names) <= len(LOOKS):
        raise ValueError(f"needs 1 to {len(LOOKS)} named arrays, got {len(names)}")
    known = {name: ARMS.index(name) for name in names if name in ARMS}
    free = (i for i in range(len(LOOKS)) if i not in known.values())
    return {n: LOOKS[known[n] if n in known else next(free)] for n in names}


def parity(
    reference: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    quantity: str,
    unit: str,
    overlay: bool = False,
) -> go.Figure:
    """Predicted against reference values, with the line of perfect agreement.

    `reference` and each of `predictions` have one shape, any, in `unit`; forces (N, 3)
    are compared by component. Each prediction has a panel unless they `overlay`.
    Traces: each prediction (its legend gives the mean absolute error), then y = x of
    each panel.
    """
    x, *ys = _arrays("predictions", [reference, *predictions.values()])
    panels = 1 if overlay else max(1, len(predictions))
    figure = make_subplots(cols=panels, shared_yaxes=True, horizontal_spacing=0.04)
    kind = go.Scattergl if len(x) > MANY else go.Scatter
    for k, (name, look) in enumerate(looks([*predictions]).items()):
        label = f"{name}: MAE {abs(ys[k] - x).mean():.3g} {unit}"
        marker = dict(color=look[0], symbol=look[1], size=6, opacity=0.6)
        points = kind(x=x, y=ys[k], name=label, mode="markers", marker=marker)
        figure.add_trace(points, row=1, col=1 if overlay else k + 1)
    low, high = np.min([x, *ys]), np.max([x, *ys])
    ends = np.array([low, high]) + np.array([-0.05, 0.05]) * (high - low or 1.0)
    for k in range(panels):
        line = dict(mode="lines", line=dict(color="black", width=1), showlegend=k == 0)
        figure.add_trace(go.Scatter(x=ends, y=ends, name="y = x", **line), 1, k + 1)
    _finish(figure, f"Parity: {quantity}", f"reference {quantity} ({unit})")
    figure.update_xaxes(range=ends).update_yaxes(range=ends)
    figure.update_yaxes(title=f"predicted {quantity} ({unit})", col=1)
    figure.update_layout(width=max(560, 100 + 290 * panels), height=480, margin_b=120)
    return figure.update_layout(legend=dict(orientation="h", y=-0.2))


def learning_curve(curves, quantity: str, unit: str, points=None) -> go.Figure:
    """Error against the number of labels, both axes logarithmic.

    `curves`: arm -> (n, mean, low, high), each (points,): number of labels and, in
    `unit`, the mean and the two ends of the spread (for example over seeds).
    `points`: name -> (n, value), scalars or (points,): single results drawn as stars,
    for example one that the reader has just trained.
    Traces: each arm with error bars, then the stars of each of `points`.
    """
    figure, points = go.Figure(), points or {}
    look, counts = looks([*curves, *points]), set()
    for arm, curve in curves.items():
        n, mean, low, high = _arrays(f"curves[{arm!r}]", curve, 4, positive=True)
        counts |= set(n)
        bars = dict(symmetric=False, array=high - mean, arrayminus=mean - low)
        figure.add_trace(_line(n, mean, arm, look[arm]).update(error_y=bars))
    for name, point in points.items():
        n, value = _arrays(f"points[{name!r}]", point, 2, positive=True)
        star = dict(symbol="star", size=16, color=look[name][0], line_width=1)
        figure.add_scatter(x=n, y=value, name=name, mode="markers", marker=star)
    figure.update_xaxes(type="log", tickvals=sorted(counts) or None).update_yaxes(LOG)
    title, y = f"Learning curve: {quantity}", f"{quantity} ({unit})"
    return _finish(figure, title, "number of quantum labels n", y)


def convergence(curves: Mapping[str, tuple], quantity: str, unit: str) -> go.Figure:
    """Error (logarithmic) against steps; `curves`: arm -> (steps, error in `unit`)."""
    figure = _lines(curves).update_yaxes(LOG)
    title, y = f"Convergence: {quantity}", f"{quantity} ({unit})"
    return _finish(figure, title, "optimisation steps", y)


def loss(training=(), validation=(), unit: str = "no unit") -> go.Figure:
    """Training (trace 0) and validation loss (trace 1), (epochs,) each, in `unit`.

    To watch a run: ``widget = go.FigureWidget(figures.loss())``, and after each epoch
    ``figures.update_loss(widget, training, validation)`` with the losses so far.
    """
    figure = go.Figure(
        [_line([], [], *look) for look in looks(["training", "validation"]).items()]
    )
    update_loss(figure, training, validation)
    figure.update_yaxes(LOG)
    return _finish(figure, "Loss", "epoch", f"loss ({unit})")


def update_loss(figure: go.Figure, training, validation) -> None:
    """Put the losses so far, (epochs,) each, into a figure or widget made by `loss`."""
    with figure.batch_update():
        for trace, values in zip(figure.data, (training, validation), strict=True):
            trace.x, trace.y = np.arange(1, len(values) + 1), np.asarray(values, float)


def histogram(
    samples: Mapping[str, np.ndarray], quantity: str, unit: str, bins: int = 50
) -> go.Figure:
    """Probability densities over the same bins; `samples`: name -> values in `unit`."""
    flat = {name: _arrays(f"samples[{name!r}]", [x])[0] for name, x in samples.items()}
    edges = np.histogram_bin_edges(np.concatenate([*flat.values()]), bins)
    figure = go.Figure()
    for name, (colour, _, dash, hatching) in looks([*flat]).items():
        density, _ = np.histogram(flat[name], edges, density=True)
        outline = dict(color=colour, dash=dash, shape="hv")
        hatch = dict(shape=hatching, fgcolor=colour, fgopacity=0.5, size=7)
        x, y = np.r_[edges[0], edges], np.r_[0, density, 0]  # closed at both ends
        figure.add_scatter(x=x, y=y, name=name, mode="lines", line=outline)
        figure.data[-1].update(fill="tozeroy", fillpattern=hatch)
    title, y = f"Distribution: {quantity}", f"probability density (1/({unit}))"
    return _finish(figure, title, f"{quantity} ({unit})", y)


def bars(
    values: Mapping[str, float], quantity: str, unit: str, x_title=""
) -> go.Figure:
    """Draw a hatched bar with its number above it for each of `values`, in `unit`."""
    figure = go.Figure()
    for name, (colour, _, _, shape) in looks([*values]).items():
        pattern = dict(shape=shape, fillmode="overlay", fgcolor="white", solidity=0.15)
        style = dict(color=colour, pattern=pattern)
        figure.add_bar(x=[name], y=[values[name]], name=name, marker=style)
        figure.data[-1].update(text=f"{values[name]:.0f}", textposition="outside")
    return _finish(figure, quantity.capitalize(), x_title, f"{quantity} ({unit})")


def series(x, curves, quantity: str, unit: str, x_title="time (fs)") -> go.Figure:
    """`curves`, name -> (points,) in `unit`, against one `x` (points,), say time."""
    figure = _lines({name: (x, y) for name, y in curves.items()})
    title = f"{quantity.capitalize()} against {x_title.partition(' (')[0]}"
    return _finish(figure, title, x_title, f"{quantity} ({unit})")


def lines(curves, title: str, x: str, y: str, mode: str = "lines+markers") -> go.Figure:
    """Draw named curves over one pair of axes, with titles `x` and `y`.

    `curves`: name -> (x, y), (x, y, error) or (x, y, low, high), (points,) each.
    `mode`: "markers" draws points alone, "lines" lines alone.
    """
    return panels({"": curves}, title, x, y, mode)


def panels(parts, title: str, x: str, y: str, mode: str = "lines+markers") -> go.Figure:
    """Draw `parts`, title -> curves as in `lines`, side by side with one legend."""
    names = dict.fromkeys(name for curves in parts.values() for name in curves)
    look, known = looks([*names]), set()
    figure = make_subplots(cols=len(parts), subplot_titles=[*parts])
    for column, curves in enumerate(parts.values(), start=1):
        for name, (across, up, *ends) in curves.items():
            trace = _line(across, up, name, look[name])
            trace.update(mode=mode, showlegend=name not in known, legendgroup=name)
            if ends:
                low, high = ends if len(ends) == 2 else (up - ends[0], up + ends[0])
                bars = dict(array=high - up, arrayminus=up - low, symmetric=False)
                trace.update(error_y=bars)
            if mode == "markers":
                trace.update(marker_maxdisplayed=0)
            figure.add_trace(trace, row=1, col=column)
            known.add(name)
    _finish(figure, title, x).update_yaxes(title=y, col=1)
    if len(parts) > 1:
        figure.update_layout(width=200 + 300 * len(parts), margin_t=90, title_y=0.98)
    return figure


def _lines(curves: Mapping[str, tuple]) -> go.Figure:
    figure = go.Figure()
    for name, look in looks([*curves]).items():
        x, y = _arrays(f"curves[{name!r}]", curves[name], 2)
        figure.add_trace(_line(x, y, name, look))
    return figure


def _line(x, y, name: str, look: tuple) -> go.Scatter:
    colour, symbol, dash, _ = look
    style = dict(mode="lines+markers", line=dict(color=colour, dash=dash))
    marker = dict(symbol=symbol, size=8, maxdisplayed=12)  # not at every point
    return go.Scatter(x=x, y=y, name=name, marker=marker, **style)


def _finish(figure: go.Figure, title: str, x: str, y: str | None = None) -> go.Figure:
    figure.update_layout(template=TEMPLATE, title=title, showlegend=True)
    return figure.update_xaxes(title=x).update_yaxes(title=y)


def _arrays(name: str, values, count: int | None = None, positive: bool = False):
    if count and len(values) != count:
        raise ValueError(f"{name}: needs {count} arrays, got {len(values)}")
    arrays = [np.asarray(v, float).ravel() for v in values]
    sizes = [a.size for a in arrays]
    if min(sizes) == 0 or len(set(sizes)) > 1:
        raise ValueError(f"{name}: needs arrays of one size, not empty; got {sizes}")
    if not all(np.isfinite(a).all() for a in arrays):
        raise ValueError(f"{name}: a number is NaN or infinite")
    if positive and min(a.min() for a in arrays) <= 0:
        raise ValueError(f"{name}: needs positive numbers for its logarithmic axis")
    return arrays
