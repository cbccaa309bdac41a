"""Make shipped files again, with Snakemake.

``python -m tpainn_lite.reproduce list`` names them; ``NAME`` or ``all`` makes them from
what ships, under ``build/reproduce/shipped``; with ``--ship`` they replace what ships,
and what depends on them is made of the new ones. A killed run goes on where it was, and
what a changed file or configuration decides is made anew. The command is printed;
options that are not listed here are Snakemake's, such as ``--dry-run`` or, on a
cluster, ``--executor slurm --jobs 50``.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import guards
from . import parts

PROFILES = {"ci": 0.02, "binder": 0.1, "laptop": 0.3, "full": 1.0}  # share of the work
ALWAYS = (
    *("--rerun-triggers", "mtime", "params", "input", "--rerun-incomplete"),
    *("--max-checksum-file-size", "100000000"),  # other times of equal files: no rerun
    *("--keep-going", "--nolock"),  # a killed run leaves its lock; files are whole
)


def command(names: Sequence[str], cores: int, **config: object) -> list[str]:
    """Put together the call of Snakemake that makes `names`."""
    how = [f"{key}={value}" for key, value in config.items()]
    snakefile = str(Path(__file__).with_name("Snakefile"))
    call = [sys.executable, "-m", "snakemake", *names, "--snakefile", snakefile]
    call += ["--cores", str(cores), *ALWAYS]
    return call + (["--config", *how] if how else [])


def table() -> str:
    """List every asset: its family, parts that are there, and its files."""
    row = "{:28}{:17}{:>6}{:>7}  {}".format
    lines = [row("name", "family", "done", "parts", "files")]
    for family, module in parts.modules().items():
        for name, files in module.FILES.items():
            every = parts.parts_of(module, name)
            done = sum(parts.path(family, module, name, p).is_file() for p in every)
            short = family.rpartition(".")[2]
            lines.append(row(name, short, done, len(every), ", ".join(files)[:40]))
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tpainn_lite.reproduce", description=__doc__)
    parser.add_argument("name", help="an asset, all, or list")
    parser.add_argument("--cores", type=int, default=1, help="jobs at a time")
    parser.add_argument("--ship", action="store_true", help="replace what ships")
    shares = "ci, binder, laptop: the first parts only (2, 10, 30 %%) and fewer steps, "
    shares += "shipping nothing; any other is a profile of Snakemake"
    parser.add_argument("--profile", default="full", help=shares)
    options, rest = parser.parse_known_args(arguments)
    if options.name == "list":
        print(table())
        return
    known = [name for m in parts.modules().values() for name in m.FILES]
    if options.name not in ("all", *known):
        parser.error(f"name: needs all, list or one of {known}, got {options.name!r}")
    share = PROFILES.get(options.profile, 1.0)
    if options.profile not in PROFILES:
        rest += ["--profile", options.profile]
    if options.ship and share < 1:
        parser.error("--ship: needs all of the work, not a part of it")
    names, config = [options.name], {"share": share} if share < 1 else {}
    if options.ship:  # its rules alone are forced: parts that are there stay
        chosen = known if options.name == "all" else names
        names, config = [f"ship-{name}" for name in chosen], {"ship": options.name}
        rest += ["--force"]
    try:  # Snakemake takes the place of this process, and its lock
        cores = guards.count(options.cores, "--cores")
        call = command(names, cores, **config) + rest
        with guards.locked(parts.WORK / "all", "build/reproduce"):
            print(shlex.join(call), flush=True)
            os.execv(call[0], call)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
