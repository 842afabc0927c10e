"""CPU milliseconds per judged program, and programs per second, against other judges and the floor.

    python bench/judge.py [--programs 200] [--rounds 5] [--peers PYTHON] [--livecodebench CHECKOUT] [--verl CHECKOUT]
    [--coderlplus-published CHECKOUT] [--sandboxfusion URL PID]

Every way judges the same programs one at a time; all take turns in one run, and the median of the rounds is shown. CPU
time counts everything: the process that asks, its helpers and the programs. It is steadier than wall time on a machine
that does other things too, but it grows too when others use the caches: compare ratios of one run. The *floor* is a
fork of an interpreter with the same modules loaded, the same confinement, and the program run on its inputs, with
nothing compared, watched or reported; `fork alone` is the same without confinement, and the `floor of calls` calls the
program's function instead of running a script.

All programs are of one problem and give the same answers, as most rollouts that pass do. In the last of our ways each
program is of another problem, so that nothing which the judge remembers can help.

Other judges run in the interpreter `--peers`, in which evalplus is installed (it brings what LiveCodeBench's runner
and verl's `prime_code` need); one whose checkout is not given is left out. A SandboxFusion server is asked at its URL,
and its process id says whose CPU time counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from peers import PEERS

COLUMNS = (("trivial", 1), ("trivial", 5), ("10ms", 1), ("10ms", 5))
FAST = {"evalplus", "human-eval style"}
"""Of the others, those that are not measured on a tenth of the programs."""
OURS = (
    *("fork alone", "floor", "floor of calls", "coderlplus, stdio", "coderlplus, calls"),
    "coderlplus, checks of literals",
    *("coderlplus, planned checks", "coderlplus, expected exceptions", "coderlplus, pytest.raises"),
    *("coderlplus, unittest", "coderlplus, examined checks", "coderlplus, examined checks, each of another problem"),
)
KINDS = ("stdio", "calls")


class Driver:
    """A way of judging in a process of its own."""

    def __init__(self, python: str, name: str, arguments: list[str]) -> None:
        command = [python, str(Path(__file__).with_name("judge_ways.py")), name, *arguments]
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


def add_peers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peers", metavar="PYTHON", default=sys.executable, help="interpreter of the other judges")
    parser.add_argument("--livecodebench", metavar="CHECKOUT", help="a checkout of LiveCodeBench")
    parser.add_argument("--verl", metavar="CHECKOUT", help="a checkout of verl")
    parser.add_argument("--coderlplus-published", metavar="CHECKOUT", help="a checkout of the published CodeRL+")
    parser.add_argument("--sandboxfusion", nargs=2, metavar=("URL", "PID"), help="a SandboxFusion server")


def given_peers(settings: argparse.Namespace) -> dict[str, list[str]]:
    """The other judges that are there, with what they need to be told."""
    found = {
        "LiveCodeBench": settings.livecodebench,
        "verl prime_code": settings.verl,
        "published CodeRL+": settings.coderlplus_published,
    }
    peers: dict[str, list[str]] = {"human-eval style": [], "subprocess.run": []}
    if subprocess.run([settings.peers, "-c", "import evalplus.eval"], capture_output=True).returncode == 0:
        peers["evalplus"] = []
    peers |= {name: [checkout] for name, checkout in found.items() if checkout}
    return peers | ({"SandboxFusion": settings.sandboxfusion} if settings.sandboxfusion else {})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=200, help="programs per measurement")
    parser.add_argument("--rounds", type=int, default=5)
    add_peers(parser)
    parser.add_argument("--json", metavar="FILE", help="write the medians there too")
    settings = parser.parse_args()
    drivers = {name: Driver(sys.executable, name, []) for name in OURS}
    fast = {*OURS}
    for name, given in given_peers(settings).items():
        for kind in KINDS:
            if kind in PEERS[name][1]:
                drivers[f"{name}, {kind}"] = Driver(settings.peers, name, [kind, *given])
                fast |= {f"{name}, {kind}"} if name in FAST else set()
    measured: dict[str, dict[tuple[str, int], list[tuple[float, float]]]] = {
        name: {column: [] for column in COLUMNS} for name in drivers
    }
    for _ in range(settings.rounds):
        for work, tests in COLUMNS:
            for name, driver in drivers.items():
                count = settings.programs if name in fast else max(5, settings.programs // 10)
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
