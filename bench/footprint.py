"""What a fork server and the processes of a program hold in memory, and how long the first verdict takes.

    python bench/footprint.py [--rounds 15]

*Resident*: all pages that a process has mapped; *private*: those that no other process has. A program's processes are
looked at while it waits in the middle of its test.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

from coderlplus.judge import Judge
from coderlplus.records import CallTest, CheckTest, Limits, Problem, Rollout, StdioTest, Test
from coderlplus.sandbox import Sandbox
from judge_ways import descendants

WAITING: dict[str, tuple[Test, str]] = {
    "script": (StdioTest("3\n", "6\n"), "import time\nprint(int(input()) * 2)\ntime.sleep(60)"),
    "call": (CallTest((3,), 6), "import time\ndef f(n):\n    time.sleep(60)"),
    "check": (CheckTest("x = f(3)\nassert x == 6"), "import time\ndef f(n):\n    time.sleep(60)"),
    "script that imports numpy": (StdioTest("3\n", "6\n"), "import numpy, time\ntime.sleep(60)"),
}
FIRST = """
import time
began = time.perf_counter()
from coderlplus import CallTest, Judge, Problem, Rollout, open_sandbox
print(time.perf_counter() - began)
problem = Problem(problem_id="p", statement="", entry_point="f", tests=(CallTest((3,), 6),))
with open_sandbox(workers=1) as sandbox:
    print(time.perf_counter() - began)
    judge = Judge(sandbox)
    for serial in range(2):
        judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program=f"def f(n): return 2 * n  # {serial}"))
        print(time.perf_counter() - began)
"""


def memory(pid: int) -> tuple[int, float, float]:
    """Private pages, private and resident MB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kb = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    private = kb["Private_Clean"] + kb["Private_Dirty"]
    return private // 4, private / 1024, kb["Rss"] / 1024


def held() -> None:
    print("| process | private pages | private MB | resident MB |\n|---|---|---|---|")
    for name, (test, program) in WAITING.items():
        with Sandbox(workers=1) as sandbox:
            entry = None if isinstance(test, StdioTest) else "f"
            problem = Problem(problem_id="p", statement="", tests=(test,), entry_point=entry, limits=Limits(wall_s=60))
            judge = Judge(sandbox)
            judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program="n = 3"))
            (server,) = sandbox.processes()
            before = descendants(server)
            rollout = Rollout(rollout_id="r", problem_id="p", program=program)
            thread = threading.Thread(target=judge.judge, args=(problem, rollout))
            thread.start()
            time.sleep(1.0)
            if name == "script":
                _print("fork server", server)
            for place, pid in enumerate(sorted(descendants(server).keys() - before.keys())):
                _print(f"{name}{', examiner' if place else ''}", pid)
            sandbox.close()
            thread.join()


def _print(name: str, pid: int) -> None:
    pages, private, resident = memory(pid)
    print(f"| {name} | {pages} | {private:.1f} | {resident:.1f} |")


def first(rounds: int) -> None:
    """Medians of what each part of a process's first two verdicts takes."""
    parts: list[list[float]] = []
    for _ in range(rounds):
        said = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=True).stdout
        times = [0.0, *map(float, said.split())]
        parts.append([1000 * (after - before) for before, after in pairwise(times)])
    names = ("import of coderlplus", "sandbox with one worker", "first verdict", "second verdict")
    for name, values in zip(names, zip(*parts, strict=True), strict=True):
        print(f"{name}: {statistics.median(values):.1f} ms ({min(values):.1f} to {max(values):.1f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    held()
    first(options.rounds)


if __name__ == "__main__":
    main()
