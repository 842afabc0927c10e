"""CPU milliseconds per judged program, against a process per test (`subprocess.run`) and the floor.

    python benchmarks/judge.py [--programs 200] [--rounds 3]

All ways take turns in one run; the median of the rounds is shown. CPU time counts everything: this process, the fork servers and the programs. It is
steadier than wall time on a machine that does other things too. *Floor* is fork, exit and wait of an interpreter with the same modules loaded;
*confined floor* adds the layers of isolation and one reply.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coderlplus.judge import Judge
from coderlplus.records import CallTest, CheckTest, Problem, Rollout, StdioTest, Test
from coderlplus.sandbox import Job, Sandbox
from coderlplus.sandbox.zygote import PRELOADED

WORK = {"trivial": "", "10 ms": "\nfor _ in range(160_000): n += 1\nn -= 160_000\n"}
STDIO = "n = int(input()){work}\nprint(n * 2)"
CALL = "def f(n):{work}\n    return n * 2"
FLOOR = f"""
import gc, os, resource, sys
for name in {PRELOADED!r}.split(): __import__(name)
gc.collect(); gc.freeze(); gc.disable()
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(u.ru_utime + u.ru_stime for u in used))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=200, help="programs per measurement")
    parser.add_argument("--rounds", type=int, default=3)
    settings = parser.parse_args()
    count = settings.programs
    with Sandbox(workers=1) as sandbox:
        judge = Judge(sandbox)
        ways: dict[str, Callable[[], float]] = {
            "floor": lambda: floor(count),
            "confined floor": lambda: own_cpu_s(sandbox, lambda: sandbox.run([Job(guest="coderlplus.judge.guest:echo")] * count)),
        }
        for name, work in WORK.items():
            for tests in (1, 5):
                label = f"{name}, {tests} test{'s' * (tests > 1)}"
                stdio, call = STDIO.format(work=work), CALL.format(work=work.replace("\n", "\n    "))
                of_stdio = [StdioTest(f"{i}\n", f"{2 * i}\n") for i in range(tests)]
                of_calls = [CallTest((i,), 2 * i) for i in range(tests)]
                of_checks = [CheckTest(f"assert f({i}) == {2 * i}") for i in range(tests)]
                ways[f"stdio: {label}"] = judged(sandbox, judge, stdio, of_stdio, count)
                ways[f"calls: {label}"] = judged(sandbox, judge, call, of_calls, count)
                ways[f"checks: {label}"] = judged(sandbox, judge, call, of_checks, count)
                ways[f"subprocess.run: {label}"] = in_subprocesses(stdio, tests, max(5, count // 20))
        rounds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(settings.rounds):
            for name, way in ways.items():
                rounds[name].append(1000 * way() / (max(5, count // 20) if name.startswith("subprocess") else count))
    table = Table(
        "", "CPU ms per program", "× confined floor", title=f"{count} programs, median of {settings.rounds} rounds, Python {sys.version.split()[0]}"
    )
    base = statistics.median(rounds["confined floor"])
    for name, values in rounds.items():
        median = statistics.median(values)
        table.add_row(name, f"{median:.2f}", f"{median / base:.2f}")
    Console().print(table)


def judged(sandbox: Sandbox, judge: Judge, program: str, tests: list[Test], count: int) -> Callable[[], float]:
    problem = Problem(problem_id="p", statement="", tests=tuple(tests), entry_point="f")

    def way() -> float:
        pairs = [
            (problem, Rollout(rollout_id=str(i), problem_id="p", program=f"{program}\nserial = {time.perf_counter_ns() + i}")) for i in range(count)
        ]
        return own_cpu_s(sandbox, lambda: _all_pass(judge, pairs))

    return way


def _all_pass(judge: Judge, pairs: list[tuple[Problem, Rollout]]) -> None:
    assert all(verdict.passed for verdict in judge.judge_many(pairs))


def own_cpu_s(sandbox: Sandbox, action: Callable[[], object]) -> float:
    """CPU time of this process, the fork servers and their children during an action."""

    def used() -> float:
        here = resource.getrusage(resource.RUSAGE_SELF)
        return here.ru_utime + here.ru_stime + sum(_process_cpu_s(pid) for pid in sandbox.processes())

    before = used()
    action()
    return used() - before


def _process_cpu_s(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / 100


def in_subprocesses(program: str, tests: int, count: int) -> Callable[[], float]:
    def way() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(count):
            for i in range(tests):
                subprocess.run([sys.executable, "-c", program], input=f"{i}\n", capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return way


def floor(count: int) -> float:
    return float(subprocess.run([sys.executable, "-I", "-c", FLOOR, str(count)], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
