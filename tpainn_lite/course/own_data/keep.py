"""Write what a user takes home: potential, report, structures to label."""

from collections.abc import Sequence
from datetime import date
from functools import partial
from pathlib import Path

import ase.io
from ase import Atoms

from ... import __version__, guards
from ...data import check
from .tuning import Tuned

USE = '''"""Use the potential in this folder: with ASE, and with OpenMM.

Needs the package tpainn-lite, {version}.
"""

from pathlib import Path

from tpainn_lite import dynamics
from tpainn_lite.data import read
from tpainn_lite.model import Potential

here = Path(__file__).parent
potential = Potential.load(here / "potential")
atoms = read(here / "start.extxyz", labelled=False)[0]

atoms.calc = potential.calculator()  # any tool of ASE
print(f"energy {{atoms.get_potential_energy():.3f}} eV")

frames = dynamics.simulate(  # OpenMM, Langevin dynamics
    atoms, potential.frozen(), steps=1000, temperature=300.0, seed=0
)
print(f"{{len(frames)}} frames at {{dynamics.temperatures(frames).mean():.0f}} K")
'''


STRUCTURES = partial(check, labelled=False)


@guards.checked(
    tuned=guards.instance(Tuned), frames=STRUCTURES, wanted=guards.structures(0)
)
def keep(
    tuned: Tuned, frames: Sequence[Atoms], wanted: Sequence[Atoms], folder: str | Path
) -> list[Path]:
    """Write a folder to take home; return the paths of its files.

    potential.safetensors, with a card; report.md; label_next.extxyz, the structures
    `wanted`, without the network's own labels; start.extxyz, a frame to run from; and
    use_me.py. Files of the same names are replaced.
    """
    folder = guards.file(folder, "folder")
    card = {
        "labels": f"{len(frames)} structures",
        "start": tuned.start,
        "error": {"mean": tuned.error, "interval": tuned.interval, "unit": tuned.unit},
        "split": tuned.split,
    }
    paths = [tuned.potential.save(folder / "potential", card=card)]
    for name, structures in (
        ("label_next.extxyz", wanted),
        ("start.extxyz", [a.copy() for a in frames[:1]]),
    ):
        with guards.replacing(folder / name) as part:
            ase.io.write(part, structures, format="extxyz")
        paths.append(folder / name)
    texts = {
        "report.md": report(tuned, frames),
        "use_me.py": USE.format(version=__version__),
    }
    for name, text in texts.items():
        guards.write(folder / name, text)
        paths.append(folder / name)
    return paths


@guards.checked(tuned=guards.instance(Tuned), frames=STRUCTURES)
def report(tuned: Tuned, frames: Sequence[Atoms]) -> str:
    """Write down, in Markdown, what was tuned on what, and how wrong it is."""
    formulas = sorted({a.get_chemical_formula() for a in frames})
    low, high = tuned.interval
    rows = [f"| {name} | {error:.1f} |" for name, error in tuned.rivals.items()]
    notes = [f"- {note}" for note in tuned.notes] or ["- nothing odd was found"]
    return "\n".join(
        [
            "# A potential of my own",
            "",
            f"Made on {date.today()} with tpainn-lite {__version__}.",
            "",
            f"- **Labels:** {len(frames)} structures of {', '.join(formulas[:6])}",
            f"- **Start:** {tuned.start}",
            f"- **Test:** {tuned.split}; each structure was tested by a potential that "
            "had not seen its fold",
            f"- **Error:** {tuned.error:.1f} {tuned.unit}; of other structures of this "
            f"kind, at 90 %, between {low:.1f} and {high:.1f}",
            "",
            f"| potential | error ({tuned.unit}) |",
            "|---|---|",
            *rows,
            "",
            "## Notes",
            "",
            *notes,
            "",
            "## Files",
            "",
            "- `potential.safetensors`: the potential, tuned on all structures",
            "- `label_next.extxyz`: structures to label next, with your method",
            "- `use_me.py`: how to use the potential with ASE and OpenMM",
            "",
        ]
    )
