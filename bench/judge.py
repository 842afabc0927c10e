"""CPU milliseconds per judged program, and programs per second, against other judges and the floor.

    python bench/judge.py [--programs 200] [--rounds 5] [--livecodebench CHECKOUT] [--coderlplus-published
    CHECKOUT]

Every way judges the same programs one at a time; all take turns in one run, and the median of the rounds is shown. CPU
time counts everything: the process that asks, its helpers and the programs. It is steadier than wall time on a machine
that does other things too, but it grows too when others use the caches: compare ratios of one run. The *floor* is a
fork of an interpreter with the same modules loaded, the same confinement, and the program run on its inputs, with
nothing compared, watched or reported; `fork alone` is the same without confinement.

A way whose library or checkout is not there is left out. `pip install --constraint constraints.txt '.[bench]'` brings
evalplus.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

COLUMNS = (("trivial", 1), ("trivial", 5), ("10ms", 1), ("10ms", 5))
SLOW = {"LiveCodeBench", "published CodeRL+", "subprocess.run"}
"""Measured on a tenth of the programs."""


class Driver:
    """A way of judging in a process of its own."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        command = [sys.executable, str(Path(__file__).with_name("judge_ways.py")), name, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, work: str, tests: int, count: int) -> tuple[float, float]:
        """CPU ms per program and programs per second."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(work, tests, count, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args!r} ended: see above")
        cpu_s, wall_s = map(float, line.split())
        return 1000 * cpu_s / count, count / wall_s

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=200, help="programs per measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--livecodebench", metavar="CHECKOUT", help="a checkout of LiveCodeBench")
    parser.add_argument("--coderlplus-published", metavar="CHECKOUT", help="a checkout of the published CodeRL+")
    parser.add_argument("--json", metavar="FILE", help="write the medians there too")
    settings = parser.parse_args()
    arguments: dict[str, list[str]] = {
        name: []
        for name in (
            *("fork alone", "floor", "coderlplus, stdio", "coderlplus, calls", "coderlplus, checks of literals"),
            *("coderlplus, planned checks", "coderlplus, expected exceptions", "coderlplus, pytest.raises"),
            *("coderlplus, unittest", "coderlplus, examined checks"),
        )
    }
    if importlib.util.find_spec("evalplus"):
        arguments["evalplus"] = []
    arguments["human-eval style"] = []
    if settings.livecodebench:
        arguments["LiveCodeBench"] = [settings.livecodebench]
    if settings.coderlplus_published:
        arguments["published CodeRL+"] = [settings.coderlplus_published]
    arguments["subprocess.run"] = []
    drivers = {name: Driver(name, extra) for name, extra in arguments.items()}
    measured: dict[str, dict[tuple[str, int], list[tuple[float, float]]]] = {
        name: {column: [] for column in COLUMNS} for name in drivers
    }
    for _ in range(settings.rounds):
        for work, tests in COLUMNS:
            for name, driver in drivers.items():
                count = max(5, settings.programs // 10) if name in SLOW else settings.programs
                measured[name][work, tests].append(driver.measure(work, tests, count))
    for driver in drivers.values():
        driver.close()
    medians = {
        name: {
            column: tuple(statistics.median(values) for values in zip(*rounds, strict=True))
            for column, rounds in columns.items()
        }
        for name, columns in measured.items()
    }
    print_table(medians, settings.programs, settings.rounds)
    if settings.json:
        flat = {
            name: {f"{tests} {work}": values for (work, tests), values in columns.items()}
            for name, columns in medians.items()
        }
        Path(settings.json).write_text(json.dumps(flat, indent=1) + "\n", encoding="utf-8")


def print_table(medians: dict[str, dict[tuple[str, int], tuple[float, ...]]], programs: int, rounds: int) -> None:
    title = (
        f"CPU ms per program (× floor); programs per second. {programs} programs, median of {rounds} rounds, "
        f"Python {sys.version.split()[0]}"
    )
    table = Table("", *(f"{tests} test{'s' * (tests > 1)}, {work}" for work, tests in COLUMNS), title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, columns in medians.items():
        cells = []
        for column in COLUMNS:
            cpu_ms, per_s = columns[column]
            cells.append(f"{cpu_ms:.2f} ({cpu_ms / medians['floor'][column][0]:.2f}) {per_s:5.0f}/s")
        table.add_row(name, *cells)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
