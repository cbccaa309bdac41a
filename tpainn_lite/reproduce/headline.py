"""Draw the README's figure from the shipped grid; needs kaleido and a Chromium."""

from collections.abc import Sequence
from pathlib import Path

from .. import datasets
from .parts import Part

GRID = "molecules-grid"
FILES = {"headline": ["headline.png"]}


def whole(name: str) -> Part:
    """Tell what the figure is drawn from."""
    return Part(name, (GRID,))


def write(name: str, results: Sequence[Path], folder: Path, share: float = 1) -> None:
    """Draw the figure."""
    from ..explorers import figures

    curves = datasets.learning_curves(datasets.card(GRID), "force_mae")
    figure = figures.learning_curve(curves, "force error", "meV/Å")
    figure.update_layout(title="Force error on molecules never seen")
    figure.write_image(folder / f"{name}.png", width=760, height=440, scale=1.5)
