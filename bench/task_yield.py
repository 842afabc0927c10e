"""What share of recorded programs becomes an alignment task with at least one variable: ours, and the published
extractor's.

    python bench/task_yield.py DATA [--published CHECKOUT] [--limit N]

DATA is a folder with `llm_runs` (function programs with recorded verdicts) and `lcb` (programs for standard input);
CHECKOUT one of github.com/jiangxxxue/CODERLPLUS, of which `CodeExecutor` in `recipe/code_extractor.py` runs in a
process of its own. It has no isolation: it is given the same programs as we, and runs them as you.

Function programs: those that the judge finds wrong, on the input on which it saw them fail. Programs for standard
input: all of them on the first public test. A program *runs* if it ends by itself and without an exception. A task
asks for at most three variables; the published code counts a task as one if the program prints something.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.alignment.tasks import Lineage, make_task
from coderlplus.judge import Judge
from coderlplus.problems import RecordedProgram, read_recorded
from coderlplus.records import CallInput, Limits, ProgramInput, StdioInput, StdioTest, Trace
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, trace_many

SETTINGS = AlignmentConfig(max_prompt_chars=100_000)
"""The default settings, but for the length of prompts: the published extractor has no limit of its own."""
TIMEOUT_S = 5
"""What the published extractor gives a program, wall time; ours has as much CPU time."""


@dataclass(frozen=True)
class Item:
    """One program to make a task of."""

    name: str
    program: str
    setup_code: str
    input: ProgramInput


@dataclass(frozen=True)
class Yield:
    """What came of one program: whether it ran, the variables of its trace, and those that its task asks for (`None`:
    no task)."""

    ran: bool
    traced: int
    asked: int | None


def failing_functions(sandbox: Sandbox, recorded: Sequence[RecordedProgram]) -> list[Item]:
    """The programs that the judge finds wrong and whose failing input is known."""
    verdicts = Judge(sandbox).judge_many((each.problem, each.rollout) for each in recorded)
    return [
        Item(each.rollout.rollout_id, each.rollout.program or "", each.problem.setup_code, verdict.first_failure.input)
        for each, verdict in zip(recorded, verdicts, strict=True)
        if verdict.first_failure is not None and verdict.first_failure.input is not None
    ]


def stdin_programs(recorded: Sequence[RecordedProgram]) -> list[Item]:
    """All programs of problems with standard input, with their first test."""
    return [
        Item(each.rollout.rollout_id, each.rollout.program or "", "", StdioInput(each.problem.tests[0].stdin))
        for each in recorded
        if isinstance(each.problem.tests[0], StdioTest)
    ]


def ours(sandbox: Sandbox, items: Sequence[Item]) -> list[Yield]:
    limits = Limits(cpu_s=TIMEOUT_S)
    requests = [
        TraceRequest(program=item.program, input=item.input, setup_code=item.setup_code, limits=limits)
        for item in items
    ]
    return [_ours(trace, item) for trace, item in zip(trace_many(sandbox, requests), items, strict=True)]


def _ours(trace: Trace, item: Item) -> Yield:
    task = make_task(
        trace, Lineage(problem_id=item.name, rollout_id=item.name), settings=SETTINGS, setup_code=item.setup_code
    )
    asked = None if isinstance(task, str) else sum(not target.is_output for target in task.targets)
    ran = trace.ending.kind == "finished" or (trace.ending.kind == "exit" and trace.ending.message in (None, "0"))
    return Yield(ran, sum(map(len, trace.variables.values())), asked)


_PUBLISHED = """
import importlib.util, json, sys, types
recipe, timeout = sys.argv[1], int(sys.argv[2])

def stub(name, **attributes):
    try:
        return __import__(name)
    except ImportError:
        module = sys.modules[name] = types.ModuleType(name)
        module.__dict__.update(attributes)
        return module

stub("numpy", ndarray=list, array=list)
stub("ray", remote=lambda *a, **k: (a[0] if a else lambda f: f))
stub("tqdm", tqdm=lambda x, **k: x)
sys.modules["verl"] = types.ModuleType("verl")
sys.modules["verl"].DataProto = object
package = sys.modules["recipe"] = types.ModuleType("recipe")
package.__path__ = [recipe]
real_stdout, sys.stdout = sys.stdout, sys.stderr
executor = importlib.import_module("recipe.code_extractor").CodeExecutor()
for line in sys.stdin:
    item = json.loads(line)
    output, variables = executor.execute_code(item["program"], item["stdin"], timeout=timeout)
    print(json.dumps([output.startswith("ERROR:"), output == "", len(variables)]), file=real_stdout, flush=True)
"""


def published(checkout: Path, items: Sequence[Item]) -> list[Yield]:
    """What the published `CodeExecutor` gives: the program with its set-up code as a script. A function program is
    called by nobody there."""
    lines = [
        json.dumps(
            {
                "program": f"{item.setup_code}\n{item.program}",
                "stdin": "" if isinstance(item.input, CallInput) else item.input.stdin,
            }
        )
        for item in items
    ]
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run(
            [sys.executable, "-c", "import importlib\n" + _PUBLISHED, str(checkout / "recipe"), str(TIMEOUT_S)],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", ""), "HOME": folder, "LANG": "C.UTF-8"},
        )
    if result.returncode:
        raise SystemExit(f"the published extractor in {checkout} failed: {result.stderr.strip().splitlines()[-1]}")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [
        Yield(not failed, variables, None if failed or silent else min(variables, 3))
        for failed, silent, variables in found
    ]


def row(table: Table, name: str, who: str, yields: Sequence[Yield]) -> None:
    ran = sum(each.ran for each in yields)
    useful = [each.asked for each in yields if each.asked]
    traced = [each.traced for each in yields if each.ran]
    table.add_row(
        name,
        who,
        f"{len(yields)}",
        f"{ran}",
        f"{len(useful)}",
        f"{len(useful) / max(1, ran):.1%}",
        f"{len(useful) / max(1, len(yields)):.1%}",
        f"{sum(traced) / max(1, len(traced)):.1f}",
        f"{sum(useful) / max(1, len(useful)):.2f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with llm_runs and lcb")
    parser.add_argument(
        "--published", type=Path, help="checkout of the published code; without it only ours is measured"
    )
    parser.add_argument("--limit", type=int, help="at most so many programs of each kind")
    arguments = parser.parse_args()
    table = Table(
        *(
            "programs",
            "by",
            "number",
            "run",
            "tasks with a variable",
            "of those that run",
            "of all",
            "variables in a trace",
            "asked in a task",
        ),
        title="Task yield",
    )
    with Sandbox() as sandbox:
        functions = [
            each for path in sorted((arguments.data / "llm_runs").glob("*.jsonl*")) for each in read_recorded(path)
        ]
        scripts = [each for path in sorted((arguments.data / "lcb").glob("*.jsonl*")) for each in read_recorded(path)]
        people: Callable[[Item], bool] = lambda item: "/human/" in item.name  # noqa: E731
        stdin = stdin_programs(scripts)
        groups = {
            "failing function programs (llm_runs)": failing_functions(sandbox, functions[: arguments.limit]),
            "model-written stdin programs (lcb)": [item for item in stdin if not people(item)][: arguments.limit],
            "human stdin programs (lcb)": [item for item in stdin if people(item)][: arguments.limit],
        }
        for name, items in groups.items():
            row(table, name, "coderlplus", ours(sandbox, items))
            if arguments.published is not None:
                row(table, "", "published", published(arguments.published, items))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
