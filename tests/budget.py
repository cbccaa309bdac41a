"""Print what each lesson asks of a reader and of a machine; `make lint` runs it.

Words are those of the prose: code, tables, links' targets and formulas do not count. A
lesson above a budget fails, unless it stands in `EXCEPTIONS` with today's value.
"""

import re
import sys
from pathlib import Path

import nbformat

from tpainn_lite.course import build, claims

ROOT = Path(__file__).parents[1]
BUDGET = {  # of a lesson
    "words": 2000,
    "code": 200,  # lines
    "cell": 25,  # lines of the longest
    "figures": 6,
    "long": 5.0,  # per cent of the sentences have more than `LONG` words
    "CPU s": 300,  # in the binder profile, as the first cell states
    "GB": 1.2,  # at peak, as the first cell states
    "bare": 0,  # sentences with a number that no claim covers
}
EXCEPTIONS: dict[str, dict[str, float]] = {}
LONG = 28  # words
CUT = re.compile(r"^```.*?^```|^\|.*?$|\$\$.*?\$\$|<[^>\n]+>", re.M | re.S)
BLOCKS = re.compile(r"\n\s*\n|^\s*(?:[-*>]|\d+\.) |^#.*$|^\*\*\d+\.\*\*", re.M)
NO_FIGURE = ("slider from", "A button that uploads")  # in the alt text of a control


def blocks(notebook: nbformat.NotebookNode) -> list[str]:
    """List paragraphs and items of the prose, plain, without references."""
    text = "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    text = CUT.sub(" ", claims.LINK.sub(r"\1", text))
    text, _, _ = text.partition("## Further reading")
    parts = (claims.plain(part) for part in BLOCKS.split(text))
    return [part for part in parts if part]


def measure(path: Path) -> dict[str, float]:
    """Measure a lesson as it was committed."""
    notebook = nbformat.read(path, as_version=4)
    prose = blocks(notebook)
    sentences = [s for block in prose for s in re.split(r"(?<=[.?!])\s+", block)]
    lengths = [len(sentence.split()) for sentence in sentences]
    code = [c for c in notebook.cells if c.cell_type == "code"]
    cells = [len(c.source.splitlines()) for c in code]
    alts = [
        output.metadata["image/png"]["alt"]
        for cell in code
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    memory = re.search(r"\*\*Memory\*\* \| ([\d.]+) GB", notebook.cells[0].source)
    values = sum(lengths), sum(cells), max(cells)
    values += (sum(not any(w in alt for w in NO_FIGURE) for alt in alts),)
    values += (100 * sum(n > LONG for n in lengths) / len(lengths),)
    values += build.seconds(path, "binder"), float(memory[1])
    values += (len(claims.uncovered(path)),)
    return dict(zip(BUDGET, values, strict=True))


def main() -> int:
    """Print the table; return whether a lesson is above a budget."""
    above = []
    print("lesson".ljust(8), *(f"{name:>8}" for name in BUDGET))
    print("budget".ljust(8), *(f"{value:8.4g}" for value in BUDGET.values()))
    for path in build.select(ROOT / "notebooks", []):
        number, found = path.name[:2], measure(path)
        print(number.ljust(8), *(f"{value:8.3g}" for value in found.values()))
        caps = BUDGET | EXCEPTIONS.get(number, {})
        above += [
            f"{number}: {name} is {value:.4g}, above {caps[name]:.4g}"
            for name, value in found.items()
            if value > caps[name]
        ]
    print(*above, sep="\n", end="\n" if above else "")
    return bool(above)


if __name__ == "__main__":
    sys.exit(main())
