"""The equivariance explorer: turn a molecule, and its forces turn with it.

Units: Å, eV, eV/Å.
"""

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ipywidgets import HTML, Checkbox, Dropdown, HBox, IntSlider, VBox
from scipy.spatial.transform import Rotation as Turn

from .. import analysis
from ..model import Potential
from . import controls, figures


class Rotation:
    """Turn or mirror a molecule: its energy stays, its forces turn with it.

    ``numbers`` holds what the last move gave: energies (eV) ``before`` and ``after``,
    and over all atoms the largest ``deviation`` |F(Qx) - Q F(x)| and ``change``
    |F(Qx) - F(x)| in eV/Å, Q being the rotation or reflection.
    """

    def __init__(
        self, potential: Potential, atoms: Atoms, before: "Rotation | None" = None
    ):
        """An explorer of one structure; it is moved about its centre.

        It begins with the controls of `before`, if given.
        """
        self.axis = Dropdown(options=["x", "y", "z"], value="z", description="Axis")
        self.angle = IntSlider(0, -180, 180, 5, description="Angle (°)")
        self.mirror = Checkbox(False, description="Mirror (x to -x)")
        self.numbers: dict[str, float] = {}
        self._potential, self._atoms = potential, atoms.copy()
        self._scene = _Scene(atoms, "Forces turn with the molecule")
        self._before = potential.energy_forces(atoms.numbers, self._scene.start)
        self._text, self.figure = HTML(), self._scene.figure
        sentences = {
            self.axis: "The line through the centre about which the molecule turns.",
            self.angle: "How far it turns; the arrow keys move it by 5 degrees.",
            self.mirror: "Reflect the molecule before it turns.",
        }
        self.widget = VBox([controls.rows(sentences), HBox([self.figure, self._text])])
        for control in sentences:
            control.observe(self._move, "value")
        self._move()
        controls.restore(self, before)

    def twin(self) -> bytes | None:
        """The figure as a PNG in the authors' build, else None."""
        return controls.twin(self.figure)

    def _move(self, _=None) -> None:
        Q = Turn.from_euler(self.axis.value, self.angle.value, degrees=True).as_matrix()
        Q = Q @ np.diag([-1.0 if self.mirror.value else 1.0, 1.0, 1.0])
        x = self._scene.start @ Q.T
        energy, forces = self._potential.energy_forces(self._atoms.numbers, x)
        before, old = self._before
        expected = old @ Q.T
        self.numbers = {
            "before": before,
            "after": energy,
            "deviation": float(np.linalg.norm(forces - expected, axis=1).max()),
            "change": float(np.linalg.norm(forces - old, axis=1).max()),
        }
        scale = 1.0 / np.linalg.norm(old, axis=1).max()  # Å of arrow per eV/Å
        self._scene.move(x, x + scale * forces, x + scale * expected)
        difference = energy - before
        rows = {
            "Energy before": f"{before:.6f} eV",
            "Energy now": f"{energy:.6f} eV",
            "Difference": f"{difference:.1e} eV",
            "Largest change of a force": f"{self.numbers['change']:.3f} eV/Å",
            "Largest |F(Qx) - Q F(x)|": f"{self.numbers['deviation']:.1e} eV/Å",
        }
        self._text.value = controls.table(rows)


class _Scene:
    """Traces of `figure`: bonds as they were, bonds, atoms, forces, expected tips."""

    def __init__(self, atoms: Atoms, title: str):
        """A cube around the centre of `atoms`, large enough for every rotation."""
        self.start = atoms.positions - atoms.positions.mean(axis=0)  # (N, 3) Å
        first, second, _ = analysis.bonds(atoms)
        self.bonds = np.stack([first, second], 1)[first < second]  # (bonds, 2)
        reach = np.linalg.norm(self.start, axis=1).max() + 0.6
        self.figure = go.FigureWidget(_empty(atoms, reach, title))
        self.figure.data[0].update(self._sticks(self.start))

    def move(self, x: np.ndarray, tips: np.ndarray, expected: np.ndarray) -> None:
        """Draw atoms at `x`, arrows to `tips`, circles at `expected`, (N, 3) Å each."""
        places = [self._sticks(x), _xyz(x), _segments(x, tips), _xyz(expected)]
        with self.figure.batch_update():
            for trace, place in zip(self.figure.data[1:], places, strict=True):
                trace.update(place)

    def _sticks(self, x: np.ndarray) -> dict[str, np.ndarray]:
        return _segments(x[self.bonds[:, 0]], x[self.bonds[:, 1]])


def _xyz(points: np.ndarray) -> dict[str, np.ndarray]:
    """Coordinates for a trace, with a last point that is not drawn.

    Its NaN equals nothing, so that every batch sends x, y and z: of a batch sent before
    the figure is on the page, plotly.js empties what did not change.
    """
    return dict(zip("xyz", np.vstack([points, [np.nan] * 3]).T, strict=True))


def _segments(start: np.ndarray, end: np.ndarray) -> dict[str, np.ndarray]:
    """Lines from each start to its end, with gaps between them."""
    gaps = np.full_like(start, np.nan)
    return _xyz(np.stack([start, end, gaps], axis=1).reshape(-1, 3))


def _empty(atoms: Atoms, reach: float, title: str) -> go.Figure:
    vermillion = figures.PALETTE[1]
    colours = [
        f"rgb({r:.0f},{g:.0f},{b:.0f})" for r, g, b in 255 * jmol_colors[atoms.numbers]
    ]
    balls = dict(color=colours, size=56 * covalent_radii[atoms.numbers])
    balls |= dict(line=dict(color="black", width=1), opacity=1)
    circle = dict(symbol="circle-open", size=9, color="black", line_width=2)
    lines = dict(mode="lines", hoverinfo="skip")
    figure = go.Figure(
        [
            go.Scatter3d(name="before", line=dict(color="silver", width=3), **lines),
            go.Scatter3d(name="now", line=dict(color="gray", width=8), **lines),
            go.Scatter3d(
                name="atoms",
                showlegend=False,
                textfont_size=14,
                mode="markers+text",
                text=atoms.get_chemical_symbols(),
                textposition="middle center",
                marker=balls,
            ),
            go.Scatter3d(
                name="forces F(Qx)", line=dict(color=vermillion, width=7), **lines
            ),
            go.Scatter3d(name="expected tips, Q F(x)", mode="markers", marker=circle),
        ]
    )
    axis = dict(
        range=[-reach, reach], showbackground=False, gridcolor="#E5E5E5", nticks=4
    )
    scene = {f"{k}axis": axis | {"title": f"{k} (Å)"} for k in "xyz"}
    scene["camera"] = dict(eye=dict(x=0.95, y=-1.2, z=0.55))
    figure.update_layout(template=figures.TEMPLATE, scene=scene)
    figure.update_layout(title=title, width=620, height=480)
    return figure.update_layout(
        margin=dict(l=0, r=0, b=0), legend=dict(orientation="h")
    )
