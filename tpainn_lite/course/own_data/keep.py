"""Write what a user takes home: potential, report, structures to label."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from matplotlib.figure import Figure

from ... import __version__, data, guards
from .running import Trial, bare
from .tuning import Tuned

USE = '''"""Use the potential in this folder: with ASE, and with OpenMM.

Needs the package tpainn-lite, {version}.
"""

import time
from pathlib import Path

from tpainn_lite import dynamics
from tpainn_lite.data import read
from tpainn_lite.model import Potential

here = Path(__file__).parent
potential = Potential.load(here / "potential")
atoms = read(here / "start.extxyz", labelled=False)[0]

atoms.calc = potential.calculator()  # any tool of ASE
print(f"energy {{atoms.get_potential_energy():.3f}} eV")

STEPS, TIMESTEP = 1000, 0.5  # fs
began, frozen = time.perf_counter(), potential.frozen()
frames = dynamics.simulate(  # OpenMM, Langevin dynamics
    atoms, frozen, steps=STEPS, timestep=TIMESTEP, temperature=300.0, seed=0
)
days = (time.perf_counter() - began) / 86_400
print(f"{{len(frames)}} frames at {{dynamics.temperatures(frames).mean():.0f}} K")
print(f"{{STEPS * TIMESTEP / 1e6 / days:.2g}} ns a day on this machine")
'''
NAMES = ("potential.safetensors", "label_next.extxyz", "start.extxyz")
NAMES += ("errors.png", "report.md", "use_me.py")
BLUE = "#0072B2"  # of what is tuned, in all figures
REPORT = """# A potential of my own

Made on {today} with tpainn-lite {version}.

- **Labels:** {labels}
- **Start:** {start}
- **Test:** {split}; each structure was tested by a potential that had not seen its fold
- **Error:** {error}; of other structures of this kind, at 90 %, between {interval}

| potential | error ({unit}) |
|---|---|
{rivals}

![Predicted against given labels, and the error of each structure](errors.png)

## A trial run

{trial}

## Notes

{notes}

## Other programs

i-PI, and what else speaks its protocol, takes the potential as a client, by ASE:

```python
from ase.calculators.socketio import SocketClient

atoms.calc = potential.calculator()  # as in use_me.py
SocketClient(host="localhost", port=31415).run(atoms)
```

LAMMPS would need a compiled plug-in, which this package does not have.
"""


@guards.checked(
    tuned=guards.instance(Tuned),
    folder=guards.folder,
    wanted=guards.structures(0),
    trial=guards.optional(guards.instance(Trial)),
)
def keep(
    tuned: Tuned,
    folder: str | Path,
    wanted: Sequence[Atoms] = (),
    trial: Trial | None = None,
) -> list[Path]:
    """Write a folder to take home; return the paths of its files.

    potential.safetensors, with a card; report.md, with errors.png; label_next.extxyz,
    the structures `wanted`, without the network's own labels; start.extxyz, a frame to
    run from; and use_me.py. Files of the same names are replaced.
    """
    folder = Path(folder)
    if taken := [name for name in NAMES if (folder / name).is_dir()]:
        raise ValueError(f"folder: {taken[0]} in {folder} is a folder; name another")
    card = {
        "labels": f"{len(tuned.frames)} structures",
        "start": tuned.start,
        "error": {"mean": tuned.error, "interval": tuned.interval, "unit": tuned.unit},
        "split": tuned.split,
    }
    weights = tuned.potential.save(folder / "potential", card=card)
    structures = {"label_next.extxyz": wanted, "start.extxyz": [bare(tuned.frames[0])]}
    for name, some in structures.items():
        with guards.replacing(folder / name) as part:
            ase.io.write(part, some, format="extxyz")
    with guards.replacing(folder / "errors.png") as part:
        _figure(tuned).savefig(part, format="png", dpi=150)
    guards.write(folder / "report.md", _report(tuned, trial))
    guards.write(folder / "use_me.py", USE.format(version=__version__))
    return [weights, *(folder / name for name in NAMES[1:])]


def _report(tuned: Tuned, trial: Trial | None) -> str:
    """Write down, in Markdown, what was tuned on what, and how wrong it is."""
    formulas = sorted({a.get_chemical_formula() for a in tuned.frames})
    more = f" and {len(formulas) - 6} more" if len(formulas) > 6 else ""
    rows = [f"| {name} | {error:.1f} |" for name, error in tuned.rivals.items()]
    said = trial.lines() if trial else ["there was none"]
    return REPORT.format(
        today=date.today(),
        version=__version__,
        labels=f"{len(tuned.frames)} structures of {', '.join(formulas[:6])}{more}",
        start=tuned.start,
        split=tuned.split,
        error=f"{tuned.error:.1f} {tuned.unit}",
        interval="{:.1f} and {:.1f}".format(*tuned.interval),
        unit=tuned.unit,
        rivals="\n".join(rows),
        trial="\n".join(f"- {line}" for line in said),
        notes="\n".join(f"- {n}" for n in tuned.notes or ["nothing odd was found"]),
    )


def _figure(tuned: Tuned) -> Figure:
    """Draw predicted against given labels, and the error of each structure."""
    given, predicted, quantity = compared(tuned)
    drawn = Figure(figsize=(9, 4), layout="constrained")
    left, right = drawn.subplots(1, 2)
    ends = np.array([given, predicted])
    left.axline([ends.min()] * 2, slope=1, color="black", linewidth=0.8)
    left.plot(given, predicted, ".", color=BLUE, markersize=3)
    left.set(xlabel=f"given {quantity}", ylabel=f"predicted {quantity}")
    left.set_title("Structures the potential had not seen")
    right.plot(tuned.errors, "o", color=BLUE, markersize=3)
    right.axhspan(*tuned.interval, color=BLUE, alpha=0.2)
    right.set(xlabel="structure, in order of the file", ylabel=f"error ({tuned.unit})")
    right.set_ylim(0, None)
    right.set_title(f"Error {tuned.error:.1f} {tuned.unit}, and its interval")
    return drawn


@guards.checked(tuned=guards.instance(Tuned))
def compared(tuned: Tuned) -> tuple[np.ndarray, np.ndarray, str]:
    """Gather given and predicted labels, and name them."""
    forces = tuned.unit == "meV/Å"
    both, name = (tuned.frames, tuned.tested), "forces" if forces else "energy"
    values = [[data.result(a, name) for a in some] for some in both]
    if forces:
        return *(np.concatenate(v).ravel() for v in values), "force component (eV/Å)"
    energies = np.array(values) / [len(a) for a in tuned.frames]
    return *(energies - energies[0].mean()), "energy less the mean (eV/atom)"
