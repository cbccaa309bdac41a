"""Print lines a room, and what is longer than it may be; `make lint` runs it."""

import ast
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "tpainn_lite"
ROOMS = ("inference", "public", "explorers", "course", "reproduce")
GOALS = {"core": 3200, "library": 8000, "tests": 8500}  # not reached yet
CAPS = {  # with what is above its goal at today's size: it may only shrink
    "core files": 18,
    "core": 5310,
    "library": 16833,
    "tests": 17612,
    "lesson code": 2012,
    "longest file": 400,
    "longest function": 40,
    "longest cell": 25,
}


def lines(path: Path) -> int:
    """Count the lines of a file."""
    return len(path.read_text("utf-8").splitlines())


def functions(path: Path) -> dict[str, int]:
    """Count the lines of each function of a file."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    nodes = [n for n in ast.walk(ast.parse(path.read_text("utf-8")))]
    return {
        f"{path.name}: {n.name}": n.end_lineno - n.lineno + 1
        for n in nodes
        if isinstance(n, kinds)
    }


def cells() -> dict[str, int]:
    """Count the lines of each code cell of the lessons."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for k, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"]):
            if cell["cell_type"] == "code":
                found[f"{path.name}: {k}"] = len("".join(cell["source"]).splitlines())
    return found


def measure() -> tuple[dict[str, int], dict[str, str]]:
    """Return what `CAPS` limits and the rooms, by name, and which thing is longest."""
    core = {p.name: lines(p) for p in LIBRARY.glob("*.py")}
    rooms = {r: sum(map(lines, (LIBRARY / r).rglob("*.py"))) for r in ROOMS}
    files = {str(p.relative_to(ROOT)): lines(p) for p in LIBRARY.rglob("*.py")}
    longest = {
        "longest file": files,
        "longest function": {
            k: v for p in LIBRARY.rglob("*.py") for k, v in functions(p).items()
        },
        "longest cell": cells(),
    }
    found = {"core files": len(core), "core": sum(core.values())} | rooms
    found |= {"library": sum(files.values())}
    found |= {"tests": sum(map(lines, (ROOT / "tests").rglob("*.py")))}
    found |= {"lesson code": sum(longest["longest cell"].values())}
    which = {name: max(of, key=of.get) for name, of in longest.items()}
    return found | {name: longest[name][k] for name, k in which.items()}, which


if __name__ == "__main__":
    found, which = measure()
    for name, value in found.items():
        cap = f"of {CAPS[name]:,}" if name in CAPS else ""
        goal = f"(goal {GOALS[name]:,})" if name in GOALS else which.get(name, "")
        wrong = "  <- too many" if value > CAPS.get(name, value) else ""
        print(f"{name:16s} {value:6,} {cap:9s} {goal}{wrong}".rstrip())
    sys.exit(any(found[name] > cap for name, cap in CAPS.items()))
