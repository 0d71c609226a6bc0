# SPDX-License-Identifier: Apache-2.0
"""`./build.sh bench`: measure, print and store."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import front_page, machine, report, watch
from benchmarks.bench import Bench, say
from benchmarks.control_group import ControlGroup
from benchmarks.measurements import Measurements
from benchmarks.node import CallError
from benchmarks.steps import (
    at_once,
    calls,
    chain,
    directory,
    growth,
    instructions,
    memory,
    status,
    traffic,
)

STEPS = {
    "instructions": instructions,
    "calls": calls,
    "directory": directory,
    "status": status,
    "chain": chain,
    "at-once": at_once,
    "growth": growth,
    "memory": memory,
    "traffic": traffic,
}
HERE = Path(__file__).parent
PARTIAL = HERE.parent / "dist/benchmarks"
README = HERE.parent / "README.md"
BUILT = HERE.parent / "dist/bin"
BUILT_SMALL = HERE.parent / "dist/client" / platform.machine() / "cnipy"


def main() -> int:
    """Run the steps that are asked for; exit status 1 only when one cannot run."""
    asked = _arguments()
    group = ControlGroup()
    try:
        with tempfile.TemporaryDirectory(prefix="cnipy-benchmark-") as room:
            say("building the measuring program")
            program = watch.build(Path(room))
            ours, small = _copies(Path(room))
            bench = Bench(program, ours, small, group, Measurements(), asked.quick, [])
            if not group.clock:
                bench.note("CPU time is not counted: no control group can be made")
            load, started = os.getloadavg()[0], time.monotonic()
            for name in asked.only or STEPS:
                say(name)
                bench.wait_for_quiet()
                try:
                    STEPS[name].measure(bench)
                except CallError as error:  # what the other steps gave is kept
                    bench.note(f"{name}: given up: {error}")
            seconds = time.monotonic() - started
    finally:
        group.remove()
    command = " ".join(["./build.sh bench", *sys.argv[1:]])
    described = machine.description(command, seconds, load)
    # A part of a run does not replace the results of a whole one.
    target = PARTIAL if asked.quick or asked.only else HERE
    target.mkdir(parents=True, exist_ok=True)
    print(report.store(target, bench.measurements, described, bench.notes))
    say(f"stored in {target}")
    if target == HERE:
        page = README.read_text(encoding="utf-8")
        page = front_page.updated(page, bench.measurements)
        README.write_text(page, encoding="utf-8")
        say(f"its medians are in {README}")
    return 0


def _copies(room: Path) -> tuple[Path, Path | None]:
    """Return copies of what was built, in `room`, so that the run measures one build.

    The second begins with the small client; None where it was not built.
    """
    ours, small = room / "bin", room / "small"
    shutil.copytree(BUILT, ours, symlinks=True)
    if not os.access(BUILT_SMALL, os.X_OK):
        return ours, None
    small.mkdir()
    shutil.copy(BUILT_SMALL, small / "cnipy")
    for name in set(os.listdir(BUILT)) - {"cnipy"}:
        (small / name).symlink_to("cnipy")
    return ours, small


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="build.sh bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="few rounds, small loads: no figures"
    )
    parser.add_argument(
        "--only", nargs="+", choices=STEPS, metavar="NAME", help=" ".join(STEPS)
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
