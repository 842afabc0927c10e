"""What tracing costs, beside other ways to do it.

    python bench/tracing.py [--repeat N] [--cruxeval FILE] [--peers PYTHON]

Ours: CPU time of all runs of a trace, processes and their start included, as a multiple of one run of the same program
untraced in the same sandbox (semantics `official`, which rewrites nothing). `steps` is a trace with its first 5,000
steps. Others: CPU time of the program under them as a multiple of its own time, in one process of the interpreter
PYTHON without a sandbox; what it has not installed is left out. `settrace` and `monitoring` (Python 3.12 and later)
keep the local variables of the running function at each line, by reference; PySnooper, snoop and hunter (its
`VarsSnooper`) write each change to /dev/null. These three are given a small size of each program, because they would
take minutes otherwise, and are compared with an untraced run of that size. All take turns, and the best of N counts.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coderlplus.records import CallInput, Limits, StdioInput
from coderlplus.sandbox import Job, Outcome, Sandbox
from coderlplus.tracing import Semantics, TraceRequest, trace_many

STEPS = 5_000
OURS = ("final", "binding", "steps")
FULL, SMALL = ("settrace", "monitoring"), ("PySnooper", "snoop", "hunter")
"""Others, by the size of the programs that they are given."""
WAYS = (*OURS, *FULL, *SMALL)

PROGRAMS: dict[str, tuple[str, int, int]] = {
    "loop": (
        """
total = 0
state = 1
for i in range(SIZE):
    state = (state * 69069 + 1) % 4294967296
    if state > 2147483648:
        total += i
    else:
        total -= state % 5
print(total)
""",
        600_000,
        5_000,
    ),
    "recursive calls": (
        """
def fib(n):
    if n < 2:
        return n
    left = fib(n - 1)
    right = fib(n - 2)
    return left + right
print(fib(SIZE))
""",
        25,
        14,
    ),
    "dijkstra": (
        """
import heapq
def edges(n, m):
    graph = {i: [] for i in range(n)}
    seed = 11
    for _ in range(m):
        seed = seed * 16807 % 2147483647
        a = seed % n
        seed = seed * 16807 % 2147483647
        b = seed % n
        graph[a].append((b, seed % 50 + 1))
        graph[b].append((a, seed % 50 + 1))
    return graph
def shortest(graph, start):
    best = {start: 0}
    queue = [(0, start)]
    while queue:
        distance, node = heapq.heappop(queue)
        if distance > best[node]:
            continue
        for other, weight in graph[node]:
            candidate = distance + weight
            if candidate < best.get(other, 10**9):
                best[other] = candidate
                heapq.heappush(queue, (candidate, other))
    return best
print(sum(shortest(edges(SIZE, 5 * SIZE), 0).values()))
""",
        6000,
        100,
    ),
    "longest common subsequence": (
        """
def lcs(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a)):
        for j in range(len(b)):
            if a[i] == b[j]:
                table[i + 1][j + 1] = table[i][j] + 1
            else:
                table[i + 1][j + 1] = max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]
print(lcs('tracing' * SIZE, 'trajectory' * SIZE))
""",
        75,
        5,
    ),
    "flood fill of a grid": (
        """
import sys
sys.setrecursionlimit(50_000)
def fill(grid, i, j):
    if not (0 <= i < len(grid) and 0 <= j < len(grid[0])) or grid[i][j] != 1:
        return 0
    grid[i][j] = 2
    size = 1
    for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        size += fill(grid, i + di, j + dj)
    return size
best = 0
for k in range(SIZE):
    grid = [[int((i * j + k) % 5 > 0) for j in range(60)] for i in range(60)]
    for i in range(60):
        for j in range(60):
            best = max(best, fill(grid, i, j))
print(best)
""",
        8,
        1,
    ),
    "methods": (
        """
class Account:
    def __init__(self, balance):
        self.balance = balance
        self.log = []
    def move(self, amount):
        before = self.balance
        self.balance = before + amount
        self.log.append(amount)
        return self.balance
account = Account(0)
for i in range(SIZE):
    last = account.move(i % 7 - 3)
print(last)
""",
        200_000,
        2_000,
    ),
}
TINY = "def f(a, b):\n    c = [a, b]\n    c.append(a + b)\n    return c\nresult = f(int(input()), 2)\nprint(result)"

OTHERS = """
import contextlib, io, json, os, sys, tempfile, time

def settrace(code, namespace):
    last = {}
    def line(frame, event, argument):
        last[frame.f_code.co_name] = frame.f_locals.copy()
        return line
    sys.settrace(line)
    try: exec(code, namespace)
    finally: sys.settrace(None)

def monitoring(code, namespace):
    events, last = sys.monitoring, {}
    def line(code, number):
        if code.co_filename.startswith(folder):
            last[code.co_name] = sys._getframe(1).f_locals.copy()
    events.use_tool_id(2, "bench")
    events.register_callback(2, events.events.LINE, line)
    events.set_events(2, events.events.LINE)
    try: exec(code, namespace)
    finally: events.set_events(2, 0); events.free_tool_id(2)

def pysnooper(code, namespace):
    import pysnooper
    with pysnooper.snoop(os.devnull, depth=100_000):
        exec(code, namespace)

def snoop(code, namespace):
    import snoop
    with snoop.Config(out=open(os.devnull, "w"), color=False).snoop(depth=100_000):
        exec(code, namespace)

def hunter(code, namespace):
    import hunter
    action = hunter.VarsSnooper(stream=open(os.devnull, "w"))
    with hunter.trace(hunter.Q(filename_startswith=folder, action=action)):
        exec(code, namespace)

ways = {"untraced": exec, "settrace": settrace, "monitoring": monitoring, "PySnooper": pysnooper, "snoop": snoop}
ways["hunter"] = hunter
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    job = json.load(sys.stdin)
    seconds = 0.0
    for number, program in enumerate(job["programs"]):
        path = os.path.join(folder, f"program{number}.py")  # a name of its own: PySnooper keeps the source by name
        with open(path, "w", encoding="utf-8") as file:
            file.write(program)
        code, namespace = compile(program, path, "exec"), {"__name__": "__main__"}
        started = time.process_time()
        ways[job["way"]](code, namespace)
        seconds += time.process_time() - started
print(seconds)
"""


class Metered(Sandbox):
    """A sandbox that adds up the CPU time of its jobs."""

    cpu_s = 0.0

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = super().run(jobs)
        self.cpu_s += sum(outcome.cpu_s for outcome in outcomes)
        return outcomes


def traced_s(sandbox: Metered, requests: Sequence[TraceRequest]) -> float:
    """CPU seconds of all runs of the traces."""
    sandbox.cpu_s = 0.0
    for result in trace_many(sandbox, requests):
        if result.ending.kind != "finished" or not result.deterministic:
            raise SystemExit(f"the program did not run as it should: {result.ending}")
    return sandbox.cpu_s


def untraced_s(sandbox: Metered, requests: Sequence[TraceRequest]) -> float:
    """CPU seconds of one run of each program as it is: half of a trace that rewrites nothing."""
    plain = [
        TraceRequest(program=each.program, input=each.input, limits=each.limits, semantics="official")
        for each in requests
    ]
    return traced_s(sandbox, plain) / 2


def others_s(python: str, way: str, programs: Sequence[str]) -> float:
    """CPU seconds of the programs under another tracer, or under none; NaN if it fails or is not installed."""
    job = json.dumps({"way": way, "programs": list(programs)})
    result = subprocess.run([python, "-c", OTHERS], input=job, capture_output=True, text=True)
    if result.returncode == 0:
        return float(result.stdout)
    error = result.stderr.strip().splitlines()[-1]
    if error.startswith("ModuleNotFoundError") or "'sys' has no attribute 'monitoring'" in error:
        return math.nan
    print(f"{way} failed: {error}", file=sys.stderr)  # as `settrace` of 3.12.1 does in a comprehension
    return math.nan


def factors(
    sandbox: Metered,
    requests: Sequence[TraceRequest],
    programs: Sequence[str],
    small: Sequence[str],
    repeat: int,
    python: str,
) -> list[float]:
    """Untraced seconds, and how much longer each of `WAYS` takes; all take turns, the best of each counts."""
    best: dict[str, float] = {}

    def took(name: str, seconds: float) -> None:
        if not math.isnan(seconds):
            best[name] = min(best.get(name, math.inf), seconds)

    with_steps = [
        TraceRequest(program=each.program, input=each.input, limits=each.limits, max_steps=STEPS) for each in requests
    ]
    for _ in range(repeat):
        took("sandboxed", untraced_s(sandbox, requests))
        for semantics in ("final", "binding"):
            took(semantics, traced_s(sandbox, [_with(each, semantics) for each in requests]))
        took("steps", traced_s(sandbox, with_steps))
        took("untraced", others_s(python, "untraced", programs))
        took("small", others_s(python, "untraced", small))
        for way in (*FULL, *SMALL):
            took(way, others_s(python, way, programs if way in FULL else small))
    against = dict.fromkeys(OURS, "sandboxed") | dict.fromkeys(FULL, "untraced") | dict.fromkeys(SMALL, "small")
    return [best["sandboxed"], *(best.get(way, math.nan) / best[against[way]] for way in WAYS)]


def _with(request: TraceRequest, semantics: Semantics) -> TraceRequest:
    return TraceRequest(program=request.program, input=request.input, limits=request.limits, semantics=semantics)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each, of which the best counts")
    parser.add_argument("--cruxeval", type=Path, help="cruxeval.jsonl: its 800 programs count as one more")
    parser.add_argument("--peers", default=sys.executable, help="interpreter that has the other tracers installed")
    arguments = parser.parse_args()
    table = Table("program", "untraced, ms", *WAYS, title="CPU time as a multiple of an untraced run")
    rows: list[list[float]] = []
    console = Console(width=120)
    with Metered(workers=1) as sandbox, console.status("measuring") as status:
        for name, (template, full, small) in PROGRAMS.items():
            status.update(name)
            program = template.replace("SIZE", str(full))
            request = TraceRequest(program=program, input=StdioInput(""), limits=Limits(cpu_s=20))
            smaller = [template.replace("SIZE", str(small))]
            rows.append(factors(sandbox, [request], [program], smaller, arguments.repeat, arguments.peers))
            table.add_row(name, *_cells(rows[-1]))
        if arguments.cruxeval is not None:
            status.update("CRUXEval")
            programs = [json.loads(line) for line in arguments.cruxeval.read_text().splitlines()]
            called = [f"{row['code']}\nf({row['input']})" for row in programs]
            requests = [
                TraceRequest(program=f"{row['code']}\ndef call(): return f({row['input']})", input=CallInput("call"))
                for row in programs
            ]
            rows.append(factors(sandbox, requests, called, called, 1, arguments.peers))
            table.add_row("CRUXEval, 800 programs", *_cells(rows[-1]))
        means = [
            math.exp(sum(math.log(row[column]) for row in rows) / len(rows)) for column in range(1, len(WAYS) + 1)
        ]
        table.add_row("geometric mean", "", *_cells([0.0, *means])[1:])
        largest = [max(row[column] for row in rows) for column in range(1, len(WAYS) + 1)]
        table.add_row("largest", "", *_cells([0.0, *largest])[1:])
        requests = [TraceRequest(program=TINY, input=StdioInput("1\n"))] * 300
        trace_many(sandbox, requests[:10])
        started = time.perf_counter()
        cpu_s = traced_s(sandbox, requests)
        tiny = (
            f"a tiny program: {cpu_s / 300 * 1e3:.1f} ms CPU and "
            f"{(time.perf_counter() - started) / 300 * 1e3:.1f} ms on one worker"
        )
    console.print(table)
    console.print(tiny)


def _cells(row: Sequence[float]) -> list[str]:
    return [f"{row[0] * 1e3:.1f}", *("–" if math.isnan(factor) else f"{factor:,.1f}" for factor in row[1:])]


if __name__ == "__main__":
    main()
