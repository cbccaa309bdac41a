"""The README's figure, drawn from a shipped grid; called by ``reproduce``."""

from collections.abc import Sequence
from pathlib import Path

from .. import datasets
from ..explorers import figures


def write_headline(name: str, results: Sequence[Path], folder: Path) -> None:
    """Draw the README's figure from the shipped grid; needs kaleido and a Chromium."""
    curves = datasets.learning_curves(datasets.card("molecules-grid"), "force_mae")
    figure = figures.learning_curve(curves, "force error", "meV/Å")
    figure.update_layout(title="Force error on molecules never seen")
    figure.write_image(folder / f"{name}.png", width=760, height=440, scale=1.5)
