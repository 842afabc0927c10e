"""The back end `ray` on many nodes: what handing out programs costs, and how throughput grows with the nodes.

    python bench/cluster.py [--nodes 1 2 4 8 16] [--workers 8] [--programs 50000] [--wait-ms 100 400] [--json FILE]
    python bench/cluster.py --read FILE

All nodes are on this machine (`ray.cluster_utils`), so programs wait instead of working: the judge, the back end, its
actors and their sandboxes are the real ones, but in the place of judging a worker sleeps for a time between the two
bounds. 16 programs in a row are of the same problem, as rollouts are. The programs are shared out so that each number
of nodes takes as long as the others. Linear throughput is the number of workers over the mean wait. CPU time of the
driver is that of this whole process, which is that of a judging command but for reading and writing files; that of
the nodes is of their actors. *Busy* is what the whole machine did: where it comes near to its cores, they are the
limit.

The second table says what the driver would do with more nodes, by `load`: its CPU time is so much for a second, for a
program and for an exchange with a node, by least squares over the rows of the first and one more, for which programs
are judged one after the other, with an exchange each. `--read` makes both tables of a file that was written before.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from coderlplus.judge import Judge
from coderlplus.records import CallTest, Problem, Rollout, Verdict
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends.ray import RaySandbox
from coderlplus.sandbox.backends.ray_sending import AHEAD, pause_s

GROUP = 16
"""Programs in a row of the same problem."""


def waited(execute: Callable[..., Any], problem: Problem, program: str, all_tests: bool) -> Verdict:
    """In the place of judging: the program's first line is a comment with its milliseconds."""
    seconds = float(program.split(maxsplit=2)[1]) / 1000
    time.sleep(seconds)
    total = len(problem.tests)
    return Verdict(
        rollout_id="",
        problem_id=problem.problem_id,
        verdict="passed",
        tests_passed=total,
        tests_total=total,
        cpu_s=seconds,
    )


class Waiting(AnySandbox):
    """The sandboxes of a cluster, in which judging is waiting."""

    backend, can_trace = "ray", True

    def __init__(self, inner: RaySandbox) -> None:
        self.inner, self.workers, self.isolation = inner, inner.workers, inner.isolation

    def call(self, function: Callable[..., Any], *arguments: Any, weight: float = 0.0) -> Future[Any]:
        from cluster import waited  # this file under the name by which nodes import it, instead of by its code

        return self.inner.call(waited, *arguments, weight=weight)

    def close(self) -> None:
        self.inner.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One number of nodes: seconds of wall time, and CPU seconds of the driver, of all actors and of the machine."""

    nodes: int
    workers: int
    programs: int
    mean_wait_s: float
    wall_s: float
    driver_s: float
    actors_s: float
    busy_s: float
    exchanges: int
    driver_mb: float
    ahead: bool = True
    """Not one program after the other."""

    @property
    def rate(self) -> float:
        return self.programs / self.wall_s

    @property
    def of_linear(self) -> float:
        return self.rate * self.mean_wait_s / self.workers


def pairs(count: int, wait_ms: Sequence[float], seed: int) -> Iterator[tuple[Problem, Rollout]]:
    rng = random.Random(seed)
    tests = tuple(CallTest((n, "x" * 200), n) for n in range(8))
    for number in range(count):
        if number % GROUP == 0:
            problem = Problem(problem_id=str(number // GROUP), statement="s" * 1000, entry_point="f", tests=tests)
        program = f"# {rng.uniform(*wait_ms):.3f} {number}\n" + "x = 1\n" * 100
        yield problem, Rollout(rollout_id=str(number), problem_id=problem.problem_id, program=program)


def measure(count: int, wait_ms: Sequence[float], workers_per_node: int, ahead: bool = True) -> Measured:
    import ray

    with RaySandbox(workers_per_node=workers_per_node) as inner:
        judge = Judge(Waiting(inner))
        judge.judge_many(pairs(4 * inner.workers, wait_ms, 1))  # sets out all there is to set out
        driver = inner._driver
        pids = ray.get([node.actor.pid.remote() for node in driver.nodes.values()])
        exchange, exchanges = driver._exchange, itertools.count()
        driver._exchange = lambda *arguments: (next(exchanges), exchange(*arguments))  # type: ignore[method-assign]
        wait_s, judged = 0.0, 0
        before, cpu, busy = cpu_s(pids), own_cpu_s(), machine_cpu_s()
        began = time.perf_counter()
        given = pairs(count, wait_ms, 2)
        for verdict in (
            (one for _, one in judge.judge_as_completed(given)) if ahead else itertools.starmap(judge.judge, given)
        ):
            wait_s += verdict.cpu_s
            judged += 1
        wall_s, driver_s = time.perf_counter() - began, own_cpu_s() - cpu
        if judged != count:
            raise SystemExit(f"{judged} of {count} programs have a verdict")
        return Measured(
            nodes=len(pids),
            workers=inner.workers,
            programs=count,
            mean_wait_s=wait_s / count,
            wall_s=wall_s,
            driver_s=driver_s,
            actors_s=cpu_s(pids) - before,
            busy_s=machine_cpu_s() - busy,
            exchanges=next(exchanges),
            driver_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            ahead=ahead,
        )


def own_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds of processes so far, without those of their children."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def machine_cpu_s() -> float:
    """CPU seconds of everything on this machine so far."""
    user, nice, system, _, _, irq, soft, *_ = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds of the driver."""

    second_s: float
    """Of a second in which it does nothing."""
    program_s: float
    exchange_s: float


def fitted(rows: Sequence[Measured]) -> Costs:
    """By least squares of `driver_s = wall_s * second_s + programs * program_s + exchanges * exchange_s`, each row
    relative to its own CPU time."""
    parts = [[each / row.driver_s for each in (row.wall_s, row.programs, row.exchanges)] for row in rows]
    return Costs(*np.linalg.lstsq(np.array(parts), np.ones(len(rows)), rcond=None)[0].tolist())


def exchanges_a_second(nodes: int, workers: int, rate: float) -> float:
    """No more than one a program; one a pause and node; and as many as carry half of what nodes take ahead."""
    return max(min(rate, nodes / pause_s(nodes)), rate / (AHEAD * workers / 2))


def load(costs: Costs, nodes: int, workers: int, rate: float) -> float:
    """CPU seconds a second of the driver when nodes of so many workers judge `rate` programs a second in all."""
    exchanges = exchanges_a_second(nodes, workers, rate)
    return costs.second_s + rate * costs.program_s + exchanges * costs.exchange_s


def most(costs: Costs, nodes: int, workers: int) -> float:
    """Programs a second with which one core of the driver is full."""
    low, high = 0.0, 1e6
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if load(costs, nodes, workers, middle) < 1 else (low, middle)
    return low


def small_node() -> dict[str, Any]:
    """Settings of a node, its agents' ports among them: Ray gives up where they take long to choose one
    (ray-project/ray#65983)."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False} | ports


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--workers", type=int, default=8, help="programs at the same time on a node")
    parser.add_argument("--programs", type=int, default=50_000, help="for all numbers of nodes together")
    parser.add_argument("--wait-ms", type=float, nargs=2, default=[100, 400], metavar=("LEAST", "MOST"))
    parser.add_argument("--json", type=Path, help="write the numbers to a file as well")
    parser.add_argument("--read", type=Path, help="a file written by --json; nothing is measured")
    options = parser.parse_args()
    if options.read is None:
        rows = measured(options)
    else:
        rows = [Measured(**row) for row in json.loads(options.read.read_text())]
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    Console(width=150).print(table([row for row in rows if row.ahead]))
    if len(rows) > 2:
        Console(width=150).print(projected(fitted(rows)))


def measured(options: argparse.Namespace) -> list[Measured]:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=small_node())
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    rows: list[Measured] = []
    try:
        for nodes in sorted(options.nodes):
            while len(cluster.list_all_nodes()) < nodes:
                cluster.add_node(**small_node())
            count = options.programs * nodes // sum(options.nodes)
            rows.append(measure(count, options.wait_ms, options.workers))
            print(rows[-1], file=sys.stderr, flush=True)
            if len(rows) == 1:
                rows.append(measure(500, [0.0, 1.0], options.workers, ahead=False))
    finally:
        ray.shutdown()
        cluster.shutdown()
    return rows


def table(rows: Sequence[Measured]) -> Table:
    result = Table(
        *("nodes", "workers", "programs", "seconds", "programs/s", "of linear"),
        *("driver, ms CPU a program", "nodes, ms CPU a program", "programs an exchange", "busy, cores", "driver, MB"),
        title=f"{sum(row.programs for row in rows):,} programs that wait; {os.cpu_count()} cores for all nodes",
    )
    for row in rows:
        result.add_row(
            *(str(row.nodes), str(row.workers), f"{row.programs:,}", f"{row.wall_s:.1f}", f"{row.rate:.0f}"),
            *(f"{row.of_linear:.1%}", f"{1000 * row.driver_s / row.programs:.2f}"),
            *(f"{1000 * row.actors_s / row.programs:.2f}", f"{row.programs / row.exchanges:.1f}"),
            *(f"{row.busy_s / row.wall_s:.2f}", f"{row.driver_mb:.0f}"),
        )
    return right(result)


def projected(costs: Costs) -> Table:
    """What the driver does with nodes of 8 workers, by how long programs take."""
    seconds = (0.05, 0.25, 1.0, 4.0)
    result = Table(
        *("nodes of 8 workers", "most programs/s", "takes all with programs longer than"),
        *(f"cores, programs of {each:g} s" for each in seconds),
        title=f"CPU of the driver: {1000 * costs.second_s:.0f} ms a second, {1000 * costs.program_s:.3f} a program, "
        f"{1000 * costs.exchange_s:.2f} an exchange; where it is over 1.0 cores it breaks first",
    )
    for nodes in (1, 16, 100, 400):
        rate = most(costs, nodes, 8)
        result.add_row(
            *(str(nodes), f"{rate:,.0f}", f"{1000 * 8 * nodes / rate:,.0f} ms"),
            *(f"{load(costs, nodes, 8, 8 * nodes / each):.2f}" for each in seconds),
        )
    return right(result)


def right(result: Table) -> Table:
    for column in result.columns:
        column.justify = "right"
    return result


if __name__ == "__main__":
    main()
