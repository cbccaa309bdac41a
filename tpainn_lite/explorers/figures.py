"""Plotly figures of the lessons: one palette, one template, one function a figure.

Every figure has a title, axes with units and a legend; lines differ without colour.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ..guards import refusal

LOOKS = (  # Okabe and Ito's colour (light ones darker), marker, dash, hatching
    ("#0072B2", "circle", "solid", "/"),  # blue
    ("#D55E00", "square", "dash", "\\"),  # vermillion
    ("#009E73", "diamond", "dot", "x"),  # bluish green
    ("#000000", "x", "dashdot", "."),  # black
    ("#CC79A7", "triangle-up", "longdash", "-"),  # reddish purple
    ("#B87A00", "cross", "longdashdot", "|"),  # orange
    ("#2391B5", "star", "solid", "+"),  # sky blue
    ("#8A8000", "pentagon", "dash", ""),  # yellow
)
PALETTE = [look[0] for look in LOOKS]
GREY = "#767676"
ARMS = {  # the same in every figure; a colour says what an arm starts from
    **dict(zip(("tuned", "scratch", "zero-shot", "composition"), LOOKS, strict=False)),
    "tuned, 5x longer": (PALETTE[0], "circle-open", "dot", "/"),
    "scratch, 5x longer": (PALETTE[1], "square-open", "dot", "\\"),
    "tuned for energies": (PALETTE[0], "triangle-down", "dashdot", "/"),
    "scratch for energies": (PALETTE[1], "triangle-left", "dashdot", "\\"),
    "tuned for energies, 5x longer": (PALETTE[0], "triangle-down-open", "dot", "/"),
    "scratch for energies, 5x longer": (PALETTE[1], "triangle-left-open", "dot", "\\"),
    "scratch, references": (PALETTE[1], "cross", "dash", "\\"),
    "scratch, no references": (PALETTE[1], "cross-open", "dot", "\\"),
    "tuned from molecules-mmff94": (PALETTE[0], "star", "solid", "/"),
    "GFN2-xTB": (PALETTE[4], "hexagon-open", "dot", "-"),
    "calibrated GFN2-xTB": (PALETTE[4], "hexagon", "longdash", "-"),
    "tuned from calibrated GFN2-xTB": (PALETTE[2], "star", "solid", "x"),
    "tuned beside calibrated GFN2-xTB": (PALETTE[3], "star", "dashdot", "."),
    "DFT": (PALETTE[3], "square", "solid", "."),
    "MMFF94": (GREY, "triangle-up", "longdash", "-"),
    "calibrated MMFF94": (GREY, "triangle-up-open", "dashdot", "+"),
    "q-TIP4P/F": (GREY, "square", "longdash", "-"),
    "calibrated q-TIP4P/F": (PALETTE[4], "pentagon", "longdash", "+"),
    "tuned, calibrated": (PALETTE[2], "pentagon", "solid", "x"),
    "SPC/Fw": (PALETTE[5], "square", "dash", "|"),
    "flexible TIP3P": (PALETTE[6], "diamond", "dot", "/"),
    "tuned-80": ("#003F63", "circle", "solid", "/"),  # darker: more labels
    "tuned-8": (PALETTE[0], "circle-dot", "longdash", "/"),
    "tuned-1": ("#4A90C2", "circle-x", "dot", "/"),
    "scratch-80": ("#7A3500", "square", "solid", "\\"),
    "scratch-8": (PALETTE[1], "square-dot", "dash", "\\"),
    "scratch-1": ("#B0700A", "square-x", "dot", "\\"),
    "tuned-80, stress": ("#003F63", "star", "solid", "/"),
    "tuned-8, stress": (PALETTE[0], "star-open", "longdash", "/"),
    "scratch-80, stress": ("#7A3500", "star", "solid", "\\"),
    "delta": ("#882255", "hexagon", "longdashdot", "|"),
    "from MMFF94": (PALETTE[6], "triangle-down", "dot", "x"),
    "MP2 forces, from MMFF94": (PALETTE[6], "hexagram", "solid", "x"),
    "instant head": (PALETTE[4], "diamond-open", "dash", "-"),
    "energies alone": (PALETTE[0], "bowtie", "dot", "/"),
}
MANY = 2000  # from so many points on, WebGL draws a scatter plot
TICKS = [m * 10.0**k for k in range(-6, 6) for m in (1, 2, 3, 5)]  # read with ease
LOG = {"type": "log", "tickvals": TICKS, "exponentformat": "none"}
_axis = dict(showline=True, linecolor="black", ticks="outside", gridcolor="#E5E5E5")
TEMPLATE = go.layout.Template(
    layout=dict(
        font=dict(family="Arial, Helvetica, sans-serif", size=14, color="black"),
        title=dict(font_size=17, x=0.02, xanchor="left", y=0.98, yanchor="top"),
        legend=dict(orientation="h", yref="container", y=0.91, yanchor="top", x=0),
        colorway=PALETTE,
        xaxis=_axis | {"zeroline": False},
        yaxis=_axis | {"zeroline": False},
        margin=dict(l=70, r=20, t=60, b=60),
        width=760,
        height=440,
    )
)


def looks(names: Sequence[str]) -> dict[str, tuple[str, str, str, str]]:
    """Give names of `ARMS` their own look, others the first free one of `LOOKS`."""
    known = {name: ARMS[name] for name in names if name in ARMS}
    free = [look for look in LOOKS if look not in known.values()]
    others = [name for name in names if name not in ARMS]
    most = len(free) + len(known)
    if not 0 < len(names) <= most:
        raise ValueError(f"needs 1 to {most} named arrays, got {len(names)}")
    return {name: known.get(name) or free[others.index(name)] for name in names}


def panels(
    shown: Mapping[str, Mapping[str, Sequence]],
    title: str,
    x_title: str,
    y_title: str,
    mode: str = "lines+markers",
) -> go.Figure:
    """Draw curves in panels side by side; `shown`: title of a panel -> curves.

    A curve is (x, y), (x, y, error) or (x, y, low, high), (points,) each. A name looks
    the same in all panels. `mode`: "lines", "markers" or "lines+markers".
    """
    look = looks([*dict.fromkeys(name for curves in shown.values() for name in curves)])
    where, known = dict(cols=len(shown), horizontal_spacing=0.2 / len(shown)), set()
    figure = make_subplots(subplot_titles=[*shown], **where)
    for column, curves in enumerate(shown.values(), start=1):
        for name, curve in curves.items():
            x, y, *ends = _arrays(f"curves[{name!r}]", curve)
            colour, symbol, dash, _ = look[name]
            every = 12 if "lines" in mode else 0  # no marker at every point of a line
            marker = dict(color=colour, symbol=symbol, size=8, maxdisplayed=every)
            bars = dict(array=ends[0]) if ends else None
            if len(ends) == 2:
                bars = dict(symmetric=False, array=ends[1] - y, arrayminus=y - ends[0])
            line = dict(color=colour, dash=dash)
            how = dict(mode=mode, marker=marker, line=line, row=1, col=column)
            how |= dict(name=name, showlegend=name not in known)
            figure.add_scatter(x=x, y=y, error_y=bars, **how)
            known.add(name)
    figure.update_layout(template=TEMPLATE, title=title, showlegend=True)
    if len(shown) > 1:  # the border keeps the legend off the panels' titles
        figure.update_layout(legend=dict(borderwidth=12, y=0.94), margin_t=95)
        figure.update_layout(legend_bordercolor="rgba(0,0,0,0)")
    return figure.update_xaxes(title=x_title).update_yaxes(title=y_title, col=1)


def lines(curves, title: str, x_title: str, y_title: str, mode="lines+markers"):
    """Draw `curves`, name -> a curve as `panels` takes it, in one figure."""
    return panels({"": curves}, title, x_title, y_title, mode)


def slide(
    figure: go.Figure, states: Mapping[str, Mapping[int, Sequence]], active: int = 0
) -> go.Figure:
    """Add a slider that moves traces without a kernel, on a web page too.

    `states`: label of a stop -> {index of a trace: its (x, y) there}. The figure should
    be drawn as at the stop of index `active`.
    """
    steps = []
    for label, curves in states.items():
        points = [np.asarray(curve, float).tolist() for curve in curves.values()]
        moved = {"x": [x for x, _ in points], "y": [y for _, y in points]}
        args = [moved, [*curves]]
        steps.append(dict(method="restyle", label=label, args=args))
    slider = dict(steps=steps, active=active, pad_t=60)
    return figure.update_layout(sliders=[slider], margin_b=150, height=520)


def learning_curve(curves, quantity: str, unit: str) -> go.Figure:
    """Draw errors against the number of labels, both axes logarithmic.

    `curves`: arm -> (n, mean, low, high), each (points,): number of labels, and mean
    and both ends of the spread in `unit`.
    """
    for name, curve in curves.items():
        if len(curve) != 4:
            raise ValueError(f"curves[{name!r}]: needs 4 arrays, got {len(curve)}")
        if min(np.min(values) for values in curve) <= 0:
            words = "needs positive numbers for its logarithmic axis"
            raise ValueError(f"curves[{name!r}]: {words}")
    title, y_title = f"Learning curve: {quantity}", f"{quantity} ({unit})"
    figure = lines(curves, title, "number of quantum labels n", y_title)
    counts = sorted({n for curve in curves.values() for n in curve[0]})
    return figure.update_xaxes(type="log", tickvals=counts).update_yaxes(LOG)


def parity(
    reference: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    quantity: str,
    unit: str,
    overlay: bool = False,
) -> go.Figure:
    """Draw predicted against reference values, of one shape, and the line y = x.

    Each prediction has a panel unless they `overlay`. Traces: each prediction (its
    legend gives the mean absolute error, of eV in meV), then y = x of each panel.
    """
    x, *ys = _arrays("predictions", [reference, *predictions.values()])
    columns = 1 if overlay else max(1, len(predictions))
    figure = make_subplots(cols=columns, shared_yaxes=True, horizontal_spacing=0.04)
    kind = go.Scattergl if len(x) > MANY else go.Scatter
    for k, (name, look) in enumerate(looks([*predictions]).items()):
        error, small = abs(ys[k] - x).mean(), unit.startswith("eV")
        label = f"{name}: MAE {error * 1000**small:.4g} {'m' * small}{unit}"
        marker = dict(color=look[0], symbol=look[1], size=6, opacity=0.6)
        points = kind(x=x, y=ys[k], name=label, mode="markers", marker=marker)
        figure.add_trace(points, row=1, col=1 if overlay else k + 1)
    low, high = np.min([x, *ys]), np.max([x, *ys])
    ends = np.array([low, high]) + np.array([-0.05, 0.05]) * (high - low or 1.0)
    for k in range(columns):
        line = dict(mode="lines", line=dict(color="black", width=1), showlegend=k == 0)
        figure.add_trace(go.Scatter(x=ends, y=ends, name="y = x", **line), 1, k + 1)
    figure.update_xaxes(range=ends, title=f"reference {quantity} ({unit})")
    figure.update_yaxes(range=ends)
    figure.update_yaxes(title=f"predicted {quantity} ({unit})", col=1)
    size = dict(width=max(560, 100 + 290 * columns), height=440)
    title = f"Parity: {quantity}"
    return figure.update_layout(template=TEMPLATE, title=title, showlegend=True, **size)


def histogram(
    samples: Mapping[str, np.ndarray], quantity: str, unit: str, bins: int = 50
) -> go.Figure:
    """Draw probability densities over the same bins; `samples`: name -> values."""
    flat = {name: _arrays(f"samples[{name!r}]", [x])[0] for name, x in samples.items()}
    edges = np.histogram_bin_edges(np.concatenate([*flat.values()]), bins)
    x, curves = np.r_[edges[0], edges], {}
    for name, values in flat.items():
        density, _ = np.histogram(values, edges, density=True)
        curves[name] = x, np.r_[0, density, 0]  # closed at both ends
    title, y_title = f"Distribution: {quantity}", f"probability density (1/({unit}))"
    figure = lines(curves, title, f"{quantity} ({unit})", y_title, mode="lines")
    for trace, look in zip(figure.data, looks([*flat]).values(), strict=True):
        hatch = dict(shape=look[3], fgcolor=look[0], fgopacity=0.5, size=7)
        trace.update(line_shape="hv", fill="tozeroy", fillpattern=hatch)
    return figure


def bars(
    values: Mapping[str, float | Mapping[str, float]],
    quantity: str,
    unit: str,
    x_title="",
) -> go.Figure:
    """Draw a hatched bar with its number above it for each of `values`, in `unit`.

    Several numbers of a name, {group: number}, are bars of one colour in these groups.
    """
    title, y_title = quantity.capitalize(), f"{quantity} ({unit})"
    layout = dict(template=TEMPLATE, title=title, showlegend=True)
    figure = go.Figure(layout=layout | dict(xaxis_title=x_title, yaxis_title=y_title))
    for name, (colour, _, _, shape) in looks([*values]).items():
        value = values[name]
        groups = value if isinstance(value, Mapping) else {name: value}
        pattern = dict(shape=shape, fillmode="overlay", fgcolor="white", solidity=0.15)
        text = [f"{number:.0f}" for number in groups.values()]
        how = dict(text=text, textposition="outside", name=name)
        figure.add_bar(x=[*groups], y=[*groups.values()], **how)
        figure.data[-1].update(marker=dict(color=colour, pattern=pattern))
    return figure


def waterfall(errors: Mapping[str, float], quantity: str, unit: str) -> go.Figure:
    """Draw by which factor each step lowers an error, on a logarithmic axis.

    `errors`: what was added last -> error in `unit` from then on, of the first: before
    anything was added. A bar reaches from the error before a step to that after it.
    """
    names = [*errors]
    (values,) = _arrays("errors", [[*errors.values()]])
    if len(values) < 2 or values.min() <= 0:
        raise refusal("errors", "two positive errors or more", errors)
    figure = go.Figure(layout=dict(template=TEMPLATE, showlegend=False))
    ends = [*values[:-1], values[0]], [*values[1:], values[-1]]
    for name, old, new in zip([*names[1:], "total"], *ends, strict=True):
        colour = GREY if name == "total" else LOOKS[2 if new <= old else 1][0]
        how = dict(name=name, marker_color=colour, insidetextfont_color="black")
        factor = f"÷ {old / new:.2g}" if new <= old else f"× {new / old:.2g}"
        figure.add_bar(x=[name], base=[new], y=[old - new], text=factor, **how)
    figure.update_layout(title=f"{names[0]}: {values[0]:.3g} {unit}")
    return figure.update_yaxes(LOG, title=f"{quantity} ({unit})")


def _arrays(name: str, values: Sequence) -> list[np.ndarray]:
    needed = "arrays of one size, not empty, of finite numbers"
    try:
        arrays = [np.asarray(v, float).ravel() for v in values]
    except (TypeError, ValueError):
        raise refusal(name, needed, values) from None
    sizes = [a.size for a in arrays]
    if min(sizes, default=0) == 0 or len(set(sizes)) > 1:
        raise ValueError(f"{name}: needs {needed}; got sizes {sizes}")
    if not all(np.isfinite(a).all() for a in arrays):
        raise ValueError(f"{name}: needs {needed}; got NaN or infinity")
    return arrays
