"""What mining a batch costs beside judging it, on recorded programs of models.

    python bench/mining.py RECORDED... [--rollouts N] [--failures SHARE] [--kind KIND...] [--repeat N]

RECORDED are files that `coderlplus judge` reads as problems and as programs (recorded runs). A batch of N rollouts is
drawn from their programs with the share of failures asked for, judged, and mined with the judge's verdicts, nothing
being kept from before. CPU time is that of this process (here) and that of the processes of the programs from their
fork to their end (sandbox). What they come to on 16 cores is calculated: the work of this process on one core, and
then that of the programs on all of them, as if nothing overlapped.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coderlplus.alignment import AlignmentConfig, JudgedRollout, Mined, mine
from coderlplus.judge import Judge
from coderlplus.problems import read_problems, read_rollouts
from coderlplus.records import Problem, Rollout
from coderlplus.sandbox import Job, Outcome, Sandbox

CORES, STEP_S = 16, 60.0


@dataclass(frozen=True)
class Cost:
    """Seconds: CPU time of this process, CPU time of the programs' processes, wall time."""

    own_s: float
    sandbox_s: float
    wall_s: float

    def on(self, cores: int) -> float:
        return self.own_s + self.sandbox_s / cores


class Metered(Sandbox):
    """A sandbox that adds up the CPU time of the jobs given to `run`; the judge's are in its verdicts."""

    cpu_s = 0.0

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        outcomes = super().run(jobs)
        self.cpu_s += sum(outcome.cpu_s for outcome in outcomes)
        return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded", nargs="+", type=Path)
    parser.add_argument("--rollouts", type=int, default=1024)
    parser.add_argument("--failures", type=float, default=0.6, help="share of the rollouts that fail")
    parser.add_argument("--kind", nargs="+", default=["final_values"], help="kinds to measure, each alone")
    parser.add_argument("--repeat", type=int, default=1, help="rounds, of which the median counts")
    settings = parser.parse_args()
    with Metered() as sandbox:
        judge = Judge(sandbox)
        pairs = batch(judge, settings.recorded, settings.rollouts, settings.failures)
        judged: list[JudgedRollout] = []

        def judge_all() -> None:
            verdicts = judge.judge_many(pairs)
            sandbox.cpu_s += sum(verdict.cpu_s for verdict in verdicts)
            judged[:] = [
                JudgedRollout(problem, rollout, rollout.program, verdict)
                for (problem, rollout), verdict in zip(pairs, verdicts, strict=True)
            ]

        costs = {"judging": [measured(sandbox, judge_all) for _ in range(settings.repeat)]}
        found: dict[str, Mined] = {}
        for kind in settings.kind:
            of_kind = AlignmentConfig(kinds=kind)
            mine(sandbox, judged[:8], settings=of_kind)  # a fork server for another hash seed starts once in a run

            def mine_all(kind: str = kind, of_kind: AlignmentConfig = of_kind) -> None:
                found[kind] = mine(sandbox, judged, settings=of_kind)

            costs[f"mining: {kind}"] = [measured(sandbox, mine_all) for _ in range(settings.repeat)]
    failed = sum(not item.verdict.passed for item in judged)
    Console().print(
        table(
            costs, f"{len(pairs)} rollouts, {failed} failed; {os.cpu_count()} cores here, median of {settings.repeat}"
        )
    )
    for kind, mined in found.items():
        print(
            f"{kind}: {mined.traced} traced, {len(mined.tasks)} tasks, rejected "
            f"{dict(Counter(mined.rejects).most_common())}"
        )


def batch(judge: Judge, files: list[Path], count: int, failures: float) -> list[tuple[Problem, Rollout]]:
    """`count` programs, the share `failures` of them failing, each as often as it takes; no two have the same text."""
    pairs = []
    for file in files:
        by_id = {problem.problem_id: problem for problem in read_problems(file)}
        pairs += [(by_id[rollout.problem_id], rollout) for rollout in read_rollouts(file)]
    failing, passing = [], []
    for pair, verdict in zip(pairs, judge.judge_many(pairs), strict=True):
        (passing if verdict.passed else failing).append(pair)
    wanted = round(count * failures)
    if not failing or (wanted < count and not passing):
        raise SystemExit(f"{len(failing)} programs fail and {len(passing)} pass; give files that hold both")
    rng = random.Random(0)
    chosen = rng.choices(failing, k=wanted) if wanted > len(failing) else rng.sample(failing, wanted)
    chosen += (
        rng.choices(passing, k=count - wanted)
        if count - wanted > len(passing)
        else rng.sample(passing, count - wanted)
    )
    rng.shuffle(chosen)
    rollouts = []
    for number, (problem, rollout) in enumerate(chosen):
        program = f"{rollout.program}\nserial_number = {number}"
        rollouts.append((problem, Rollout(rollout_id=str(number), problem_id=problem.problem_id, program=program)))
    return rollouts


def measured(sandbox: Metered, action: Callable[[], object]) -> Cost:
    def used() -> tuple[float, float, float]:
        here = resource.getrusage(resource.RUSAGE_SELF)
        return here.ru_utime + here.ru_stime, sandbox.cpu_s, time.perf_counter()

    before = used()
    action()
    return Cost(*(after - start for after, start in zip(used(), before, strict=True)))


def table(costs: dict[str, list[Cost]], title: str) -> Table:
    result = Table(
        "",
        "CPU s here",
        "CPU s sandbox",
        "wall s",
        "× judging",
        f"s on {CORES} cores",
        f"of a {STEP_S:g}-s step",
        title=title,
    )
    middle = {
        name: Cost(
            *(statistics.median(getattr(cost, part) for cost in of_name) for part in ("own_s", "sandbox_s", "wall_s"))
        )
        for name, of_name in costs.items()
    }
    base = middle["judging"]
    for name, cost in middle.items():
        share = (cost.own_s + cost.sandbox_s) / (base.own_s + base.sandbox_s)
        there = cost.on(CORES)
        result.add_row(
            name,
            f"{cost.own_s:.2f}",
            f"{cost.sandbox_s:.2f}",
            f"{cost.wall_s:.2f}",
            f"{share:.2f}",
            f"{there:.2f}",
            f"{there / STEP_S:.1%}",
        )
    for column in result.columns[1:]:
        column.justify = "right"
    return result


if __name__ == "__main__":
    main()
