"""What tracing costs: CPU time of all runs of a trace against one run of the same program untraced, in the same sandbox.

    python benchmarks/tracing.py [--repeat N]

The untraced run is `semantics="official"`, which rewrites nothing. Times are CPU time of the program's process with its start, the best of N.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from coderlplus.records import Limits, StdioInput
from coderlplus.sandbox import Job, Outcome, Sandbox
from coderlplus.tracing import Semantics, TraceRequest, trace, trace_many

PROGRAMS = {
    "loop": """
total = 0
state = 1
for i in range(600_000):
    state = (state * 69069 + 1) % 4294967296
    if state > 2147483648:
        total += i
    else:
        total -= state % 5
print(total)
""",
    "recursive calls": """
def fib(n):
    if n < 2:
        return n
    left = fib(n - 1)
    right = fib(n - 2)
    return left + right
print(fib(25))
""",
    "dijkstra": """
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
print(sum(shortest(edges(6000, 30_000), 0).values()))
""",
    "longest common subsequence": """
def lcs(a, b):
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(len(a)):
        for j in range(len(b)):
            if a[i] == b[j]:
                table[i + 1][j + 1] = table[i][j] + 1
            else:
                table[i + 1][j + 1] = max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]
print(lcs('tracing' * 90, 'trajectory' * 60))
""",
    "flood fill of a grid": """
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
for k in range(8):
    grid = [[int((i * j + k) % 5 > 0) for j in range(60)] for i in range(60)]
    for i in range(60):
        for j in range(60):
            best = max(best, fill(grid, i, j))
print(best)
""",
    "methods": """
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
for i in range(200_000):
    last = account.move(i % 7 - 3)
print(last)
""",
}
TINY = "def f(a, b):\n    c = [a, b]\n    c.append(a + b)\n    return c\nresult = f(int(input()), 2)\nprint(result)"


class Metered(Sandbox):
    """A sandbox that adds up the CPU time of its jobs."""

    cpu_s = 0.0

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = super().run(jobs)
        self.cpu_s += sum(outcome.cpu_s for outcome in outcomes)
        return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each, of which the best counts")
    repeat = parser.parse_args().repeat
    table = Table("program", "untraced, ms", "final", "binding", title="CPU time of a trace (all its runs) as a multiple of an untraced run")
    factors: dict[str, list[float]] = {"final": [], "binding": []}
    with Metered(workers=1) as sandbox:
        for name, program in PROGRAMS.items():
            untraced = measure(sandbox, program, "official", repeat) / 2
            row = [f"{untraced * 1e3:.1f}"]
            for semantics in ("final", "binding"):
                factors[semantics].append(measure(sandbox, program, semantics, repeat) / untraced)
                row.append(f"{factors[semantics][-1]:.2f} x")
            table.add_row(name, *row)
        table.add_row("geometric mean", "", *(f"{math.exp(sum(map(math.log, found)) / len(found)):.2f} x" for found in factors.values()))
        requests = [TraceRequest(program=TINY, input=StdioInput("1\n"))] * 300
        trace_many(sandbox, requests[:10])
        sandbox.cpu_s, started = 0.0, time.perf_counter()
        trace_many(sandbox, requests)
        tiny = f"a tiny program: {sandbox.cpu_s / 300 * 1e3:.1f} ms CPU and {(time.perf_counter() - started) / 300 * 1e3:.1f} ms on one worker"
    console = Console()
    console.print(table)
    console.print(tiny)


def measure(sandbox: Metered, program: str, semantics: Semantics, repeat: int) -> float:
    """CPU seconds of all runs of one trace, the best of `repeat`."""
    best = math.inf
    for _ in range(repeat):
        sandbox.cpu_s = 0.0
        result = trace(sandbox, program, StdioInput(""), limits=Limits(cpu_s=20), semantics=semantics)
        if result.ending.kind != "finished" or not result.deterministic:
            raise SystemExit(f"the program did not run as it should: {result.ending}")
        best = min(best, sandbox.cpu_s)
    return best


if __name__ == "__main__":
    main()
