"""3D views of structures (nglview) and their static twins (PNG through matplotlib)."""

import contextlib
import io
import itertools
import math
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ase import Atoms
from ase.build import minimize_rotation_and_translation
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ase.utils import rotate
from ipywidgets import HTML, VBox
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Circle, PathPatch
from matplotlib.textpath import TextPath
from PIL import Image, ImageDraw
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from .. import analysis, engine, guards
from ..analysis import bonds

with warnings.catch_warnings():  # nglview 3.1.4 warns about its own pkg_resources
    warnings.simplefilter("ignore")
    import nglview
    from nglview.remote_thread import RemoteCallThread

WAITED_FOR = ["loadFile", "replaceStructure", "_exportImage"]  # as in nglview
RED = "#D00000"  # of a bond that breaks
LONGEST = 2.0  # Å: about the length of the longest arrow
CROWD = 60  # atoms: more are drawn small and without letters
CIVIDIS = colormaps["cividis"]  # dark blue to yellow, safe for colour-blind readers


class Calls(RemoteCallThread):
    """Send what a view asks of the page, one after the other, until it is closed."""

    def run(self) -> None:
        """Run until a call exits."""
        with contextlib.suppress(SystemExit):
            super().run()


class View(nglview.NGLWidget):
    """The widget of nglview, but its thread ends when it is closed.

    ``shown`` are the frames, and atoms in red; ``arrows`` the last arrows, if any.
    """

    shown: tuple[list[Atoms], np.ndarray]
    arrows: "Arrows | None" = None

    def _initialize_threads(self) -> None:
        self.on_msg(self._handle_nglview_custom_msg)
        self._remote_call_thread = Calls(self, registered_funcs=WAITED_FOR)
        self._remote_call_thread.start()

    def close(self) -> None:
        """Take the view off the page, and end its thread."""
        for part in (*self._iplayer.children, self._iplayer, self._ibtn_fullscreen):
            part.close()
        super().close()
        self._remote_call_thread.q[:] = [lambda _: sys.exit()]
        end = time.monotonic() + 1.0
        while self._remote_call_thread.is_alive() and time.monotonic() < end:
            self._event.set()  # it may wait for a page that is gone
            self._remote_call_thread.join(0.05)


class Molecules:
    """The molecules of a periodic box, shown whole and in the box in every frame.

    Bonds are those of the frame it begins with. A network that goes on through the
    faces has no molecules, and stays as it is.
    """

    def __init__(self, atoms: Atoms):
        """Find bonds and molecules; ``start`` is `atoms` with each molecule whole."""
        i, j, vectors = bonds(atoms)
        links = coo_array((np.ones(len(i)), (i, j)), shape=(len(atoms), len(atoms)))
        _, self.number = connected_components(links)  # of the molecule of each atom
        _, self._first = np.unique(self.number, return_index=True)
        self.start = engine.whole(atoms)
        R = self.start.positions
        if np.abs(R[j] - R[i] - vectors).max(initial=0) > 1e-6:  # Å
            self.start, self.number = atoms, np.arange(len(atoms))
            self._first = self.number
        self.bonds = np.array([i, j]).T[i < j]  # (B, 2)
        radii = covalent_radii[atoms.numbers[self.bonds]].sum(1)  # (B,) Å
        self._longest = analysis.BROKEN / analysis.O_H * radii

    def inside(self, atoms: Atoms) -> Atoms:
        """Copy a frame, each molecule whole, and its first atom in the box.

        An atom stands where it is nearest to its place in the molecule of ``start``.
        """
        moved, cell, first = atoms.copy(), atoms.cell.array, self._first[self.number]
        known = atoms.positions[first] + self.start.positions
        known -= self.start.positions[first]
        moved.positions = known + analysis.nearest_image(atoms.positions - known, cell)
        image = np.floor(atoms.positions[self._first] @ np.linalg.inv(cell) + 1e-9)
        moved.positions -= (image @ cell)[self.number]
        return moved

    def broken(self, atoms: Atoms) -> np.ndarray:
        """Return the bonds (K, 2) that are too long: O-H from `analysis.BROKEN` on.

        The limit of others goes with their radii. A molecule with one is broken.
        """
        vectors = analysis.displacements(atoms, *self.bonds.T)
        return self.bonds[np.linalg.norm(vectors, axis=1) > self._longest]

    def all_of(self, pairs: np.ndarray) -> list[int]:
        """List all atoms of the molecules that bonds `pairs` (K, 2) belong to."""
        return np.flatnonzero(np.isin(self.number, self.number[pairs])).tolist()


class Arrows(NamedTuple):
    """One arrow for the force on each atom, and one for its reference, if there is."""

    start: np.ndarray  # (N, 3) Å
    ends: list[np.ndarray]  # (N, 3) Å each
    values: np.ndarray  # (N,) eV/Å: what the colours mean
    label: str  # says what they mean
    legend: str  # says how long an arrow is


def arrows(
    atoms: Atoms, forces: np.ndarray, reference: np.ndarray | None = None
) -> Arrows:
    """Make the arrows of `forces` (N, 3) eV/Å, with the two scales that a reader needs.

    They are drawn thick and coloured (cividis) by their error ``|forces - reference|``,
    or without a reference by ``|forces|``; `reference` (N, 3) eV/Å is drawn thin and
    grey. 1 Å of arrow stands for a round number of eV/Å.
    """
    each = guards.array(len(atoms), 3)
    both = [each(forces, "forces")]
    if reference is not None:
        both.append(each(reference, "reference"))
    label = "force (eV/Å)" if reference is None else "force error (eV/Å)"
    values = np.linalg.norm(both[0] - sum(both[1:]), axis=1)
    # the next of 1, 2, 5, 10, ... that keeps arrows short enough
    needed = np.linalg.norm(both, axis=2).max() / LONGEST or 1.0
    decade = 10.0 ** math.floor(math.log10(needed))
    scale = next(k * decade for k in (1, 2, 5, 10) if k * decade >= needed)
    ends = [atoms.positions + f / scale for f in both]
    legend = f"1 Å of arrow = {scale:g} eV/Å" + "; thin grey: reference" * len(both[1:])
    return Arrows(atoms.positions, ends, values, label, legend)


def view(frames: Atoms | Sequence[Atoms], broken: Sequence = ()) -> View:
    """Show one structure, or a trajectory of the same atoms, as balls and sticks.

    A periodic cell is drawn too. The slider of a trajectory shows when the pointer is
    over the view. Bonds between the pairs of atoms `broken` (K, 2) are red.
    """
    frames, widget = _frames(frames), View()
    widget.stage.set_parameters(clip_dist=1)  # Å: lets the camera near small molecules
    widget.layout.width, widget.layout.height = "420px", "360px"
    change(widget, frames)
    widget.shown = frames, np.ravel(broken)
    for pair in np.reshape(broken, (-1, 2)).tolist():
        look = dict(color=RED, radius=0.2)
        widget.add_representation("licorice", selection=pair, **look)
    return widget


def view_forces(atoms, forces, reference=None) -> VBox:
    """Show one structure with its forces as arrows; arguments as in `arrows`.

    Returns the view (``.children[0]``) above a text that states both scales.
    """
    (atoms,) = _frames(guards.structure(atoms, "atoms"))
    drawn = arrows(atoms, forces, reference)
    box = VBox([view(atoms), HTML()])
    _add_arrows(box, drawn)
    return box


def change_forces(box, atoms, forces, reference=None, centre=True) -> None:
    """Show another structure in what `view_forces` returned; arguments as there.

    Without `centre` the camera stays.
    """
    (atoms,) = _frames(guards.structure(atoms, "atoms"))
    drawn = arrows(atoms, forces, reference)
    change(box.children[0], atoms, centre)
    _add_arrows(box, drawn)


def change(
    widget: View, frames: Atoms | Sequence[Atoms], centre=True, red: Sequence[int] = ()
) -> None:
    """Put frames in place of all that a view shows; without `centre` its camera stays.

    A new view for each structure would use up the browser's few. Atoms `red` are drawn
    so, and larger.
    """
    frames = _frames(frames)
    widget.shown, widget.arrows = (frames, np.array(red)), None
    for component in reversed([*widget._ngl_component_ids]):
        widget.remove_component(component)
    trajectory = nglview.ASETrajectory(frames)
    widget.add_trajectory(trajectory, default_representation=False)
    widget.add_ball_and_stick()
    if len(red):
        look = dict(color=RED, radius=0.2)
        widget.add_representation("ball+stick", selection=[*red], **look)
    if frames[0].pbc.any():
        widget.add_unitcell()
    if centre:
        widget.center()


def _add_arrows(box: VBox, drawn: Arrows) -> None:
    """Put arrows into the view of `box`, and both scales into its text."""
    top = drawn.values.max() or 1.0
    colours = CIVIDIS(drawn.values / top)[:, :3].tolist()
    styles = [(colours, 0.1), ([[0.5, 0.5, 0.5]] * len(colours), 0.05)]
    shapes = [
        ("arrow", *arrow, radius)
        for ends, (colours, radius) in zip(drawn.ends, styles, strict=False)
        for arrow in zip(drawn.start.tolist(), ends.tolist(), colours, strict=True)
    ]
    widget, text = box.children
    widget.arrows = drawn
    widget._add_shape(shapes, name="forces")  # all arrows are one component
    colour = f"Colour: {drawn.label} from 0 (dark blue) to {top:.3g} (yellow)."
    text.value = f"{drawn.legend}. {colour}"


def snapshot(
    frames,
    forces=None,
    reference=None,
    like: Atoms | None = None,
    broken: Sequence = (),
) -> bytes:
    """Draw as a PNG what `view` or `view_forces` shows; arguments as there.

    A trajectory shows its first, middle and last frame, and takes no forces. A molecule
    lies flat, or is seen from where `like` would lie flat.
    """
    frames = _frames(frames)
    if forces is not None and len(frames) > 1:
        raise ValueError(f"forces: go with one structure, got {len(frames)} frames")
    shown = sorted({0, len(frames) // 2, len(frames) - 1})
    width = 4 * len(shown) + 1.2 * (forces is not None)  # inches
    figure = Figure(figsize=(width, 4), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False, sharex=True, sharey=True)[0]
    turn = _orientation(frames[0] if like is None else like)
    for panel, k in zip(panels, shown, strict=True):
        _draw_atoms(panel, frames[k], turn)
        for pair in np.reshape(broken, (-1, 2)).astype(int):
            _draw_bond(panel, frames[k], pair, turn, color=RED, lw=3)
        if len(frames) > 1:
            panel.set_title(f"frame {k + 1} of {len(frames)}", fontsize=20)
    if forces is not None:
        drawn = arrows(frames[0], forces, reference)
        _draw_arrows(figure, panels[0], frames[0], drawn, turn)
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")  # titles whole
    return png.getvalue()


def film(runs: Mapping[str, Sequence[Atoms]], broken: Mapping[str, Sequence]) -> bytes:
    """Draw runs of a molecule side by side as a moving GIF, ten frames a second.

    Each frame is turned onto the first. A bond of `broken`, pairs of atoms (K, 2) a
    run, is broken and red while it is half as long again as at the start.
    """
    figure = Figure(figsize=(3.4 * len(runs), 3), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(runs), squeeze=False)[0]
    pictures, turn = [], _orientation(next(iter(runs.values()))[0])
    for k in range(max(map(len, runs.values()))):
        for panel, (name, frames) in zip(panels, runs.items(), strict=True):
            first, atoms = frames[0].copy(), frames[min(k, len(frames) - 1)].copy()
            first.positions -= first.positions.mean(axis=0)
            minimize_rotation_and_translation(first, atoms)
            panel.clear()
            _draw_atoms(panel, atoms, turn)
            pairs = np.reshape(broken[name], (-1, 2)).astype(int)
            now, before = (a.get_all_distances()[*pairs.T] for a in (atoms, first))
            long = now > 1.5 * before
            for pair, red in zip(pairs, long, strict=True):  # grey ones behind all else
                how = dict(color=RED, lw=3) if red else dict(color="gray", zorder=-9)
                _draw_bond(panel, atoms, pair, turn, **how)
            about = f"{name}; broken bonds: {long.sum()}"
            panel.set_title(about, color=RED if long.any() else "black", fontsize=10)
            panel.set(xlim=(-4, 4), ylim=(-3, 3))  # Å
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
        pictures.append(Image.open(drawn).convert("P", palette=Image.Palette.ADAPTIVE))
    gif, how = io.BytesIO(), dict(format="GIF", duration=100, loop=0)
    pictures[0].save(gif, save_all=True, append_images=pictures[1:], **how)
    return gif.getvalue()


def stacked(pngs: Sequence[bytes], words: Sequence[str] = ("", "")) -> bytes:
    """Put PNGs one below the other, each with its words, if any, in a line above it."""
    rows = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    tall = [row.height + 40 * bool(text) for row, text in zip(rows, words, strict=True)]
    size = max(row.width for row in rows), sum(tall)
    whole, file, top = Image.new("RGB", size, "white"), io.BytesIO(), 0
    for row, text, height in zip(rows, words, tall, strict=True):
        ImageDraw.Draw(whole).text((8, top + 4), text, "black", font_size=28)
        top += height
        whole.paste(row, (0, top - row.height))
    whole.save(file, "PNG")
    return file.getvalue()


def _orientation(atoms: Atoms) -> np.ndarray:
    """Return a rotation (3, 3): its rows point right, up and towards the reader."""
    tilt = rotate("15x,-20y,0z").T  # so that atoms behind others show
    if atoms.pbc.any():
        return tilt
    right, up, _ = np.linalg.svd(atoms.positions - atoms.positions.mean(0))[2]
    return tilt @ [right, up, np.cross(right, up)]


def _draw_atoms(panel, atoms: Atoms, turn: np.ndarray) -> None:
    """Draw balls in CPK colours with letters, bonds, and the unit cell."""
    xyz = atoms.positions @ turn.T
    first, second, vectors = bonds(atoms)
    gaps = atoms.positions[second] - atoms.positions[first] - vectors
    inside = np.abs(gaps).max(1, initial=0) < 1e-6  # Å: not across a face of the cell
    for i, j in zip(first[inside], second[inside], strict=True):
        ends = np.array([xyz[i], (xyz[i] + xyz[j]) / 2])  # j draws the other half
        panel.plot(*ends[:, :2].T, color="gray", lw=3, zorder=xyz[i, 2] - 0.01)
    for (x, y, z), atom in zip(xyz, atoms, strict=True):
        colour, r = jmol_colors[atom.number], covalent_radii[atom.number]
        r = r / 2 if len(atoms) > CROWD else 0.2 + r / 4
        panel.add_patch(Circle((x, y), r, fc=colour, ec="black", lw=r, zorder=z))
        if len(atoms) > CROWD:
            continue
        letters = TextPath((x - 0.16 * len(atom.symbol), y - 0.16), atom.symbol, 0.45)
        ink = "black" if colour @ [0.3, 0.6, 0.1] > 0.4 else "white"
        panel.add_patch(PathPatch(letters, fc=ink, lw=0, zorder=z, snap=False))
    for a, b in itertools.combinations(np.ndindex(2, 2, 2), 2):
        if atoms.pbc.any() and np.abs(np.subtract(a, b)).sum() == 1:
            edge = np.array([a, b]) @ atoms.cell.array @ turn.T
            panel.plot(*edge[:, :2].T, color="black", lw=1, zorder=xyz[:, 2].min())
    panel.set_aspect("equal")
    panel.axis("off")


def _draw_bond(panel, atoms: Atoms, pair, turn: np.ndarray, **style) -> None:
    """Draw a line between two atoms."""
    panel.plot(*(atoms.positions[pair] @ turn.T)[:, :2].T, **style)


def _draw_arrows(figure: Figure, panel, atoms, drawn: Arrows, turn) -> None:
    """Draw arrows from the edges of balls, a colour scale, and the length as title."""
    style = dict(angles="xy", scale_units="xy", scale=1, zorder=1000, color="gray")
    thick = dict(cmap=CIVIDIS, width=0.014, ec="black", lw=0.5)
    x, y, _ = turn @ drawn.start.T
    radius, quivers = 0.2 + covalent_radii[atoms.numbers] / 4, []
    for end, look in zip(drawn.ends, (thick, dict(width=0.005)), strict=False):
        u, v, _ = turn @ (end - drawn.start).T
        edge = radius / np.maximum(np.hypot(u, v), 1e-9)
        tail = np.array([x + edge * u, y + edge * v])
        quivers.append(panel.quiver(*tail, u, v, **style, **look))
        panel.update_datalim((tail + [u, v]).T)
    quivers[0].set(array=drawn.values, clim=(0, drawn.values.max() or 1.0))
    figure.colorbar(quivers[0], ax=panel, label=drawn.label)
    panel.set_title(drawn.legend, fontsize=12)


def _frames(frames: Atoms | Sequence[Atoms]) -> list[Atoms]:
    """Check that frames are of the same atoms; keep molecules of boxes whole."""
    frames = [frames] if isinstance(frames, Atoms) else frames
    for i, atoms in enumerate(guards.structures()(frames, "frames")):
        if not len(atoms) or not np.array_equal(atoms.numbers, frames[0].numbers):
            raise ValueError(f"frames: frame {i} has no atoms, or other than frame 0")
        for name in ("positions", "cell"):
            about = f"frames, {name} of frame {i}"
            guards.array(None, 3)(np.array(getattr(atoms, name)), about)
    if not frames[0].pbc.all():
        return [*frames]
    molecules = Molecules(frames[0])
    if not len(molecules.bonds):
        return [*frames]
    return [molecules.inside(atoms) for atoms in frames]
