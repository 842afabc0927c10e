"""Does an instrumented program behave as the original? Both run on every program of recorded data; outputs, results
and endings must be equal.

    python bench/fidelity.py DATA [--semantics final binding] [--every N] [--tests N]

DATA is a folder of folders with problem files that `coderlplus` reads (references run), recorded programs (they run),
EvalPlus rows and CRUXEval. Tests that are code run in the process of the program, traced like it; call tests and
inputs are the first `--tests` of each problem. A pair counts if two runs of the original agree; a limit reached by one
of them says nothing. Names every program that differs and exits with 1 if there is one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from coderlplus.errors import DataError
from coderlplus.problems import read_problems, read_recorded
from coderlplus.records import (
    CallInput,
    CallTest,
    CheckTest,
    Limits,
    Problem,
    ProgramInput,
    StdioInput,
    StdioTest,
    Trace,
)
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, trace_many

LIMITS = Limits(cpu_s=5, wall_s=30)
BATCH = 64
INPUTS_OF_EVALPLUS = 20
_LIMITED = ("time_limit", "memory_limit", "output_limit")


@dataclass(frozen=True)
class Item:
    """One program on one input."""

    name: str
    program: str
    setup_code: str
    input: ProgramInput


def items_of(path: Path, tests: int) -> Iterator[Item]:
    """Everything in a file that can be run."""
    first = _rows(path)[0]
    if {"code", "input", "output", "id"} <= first.keys():
        for row in _rows(path):
            yield Item(row["id"], f"{row['code']}\nprint(repr(f({row['input']})))", "", StdioInput(""))
    elif {"base_input", "canonical_solution"} <= first.keys():
        for row in _rows(path):
            called = (
                "for arguments in __import__('json').loads(input()):\n    "
                f"print(repr({row['entry_point']}(*arguments)))"
            )
            inputs = json.dumps([*row["base_input"], *row["plus_input"]][:INPUTS_OF_EVALPLUS])
            yield Item(row["task_id"], f"{row['prompt']}{row['canonical_solution']}\n{called}", "", StdioInput(inputs))
    else:
        try:
            recorded = [(each.rollout.rollout_id, each.problem, each.rollout.program) for each in read_recorded(path)]
        except (DataError, KeyError):
            recorded = []
        if not recorded:
            recorded = [(problem.problem_id, problem, problem.reference) for problem in read_problems(path)]
        for name, problem, program in recorded:
            if program:
                yield from _items(name, problem, program, tests)


def _items(name: str, problem: Problem, program: str, tests: int) -> Iterator[Item]:
    for index, test in enumerate(problem.tests[:tests]):
        match test:
            case StdioTest(stdin=stdin):
                yield Item(f"{name}, test {index}", program, problem.setup_code, StdioInput(stdin))
            case CallTest(args=args, kwargs=kwargs) if problem.entry_point:
                yield Item(
                    f"{name}, test {index}", program, problem.setup_code, CallInput(problem.entry_point, args, kwargs)
                )
    checks = [test.code for test in problem.tests if isinstance(test, CheckTest)]
    if checks:
        calls = [f"{code}\ncheck({problem.entry_point})" if "def check(" in code else code for code in checks]
        yield Item(name, "\n".join([program, *calls, "print('passed')"]), problem.setup_code, StdioInput(""))


def _rows(path: Path) -> list[dict[str, Any]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    rows: list[dict[str, Any]] = (
        json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--semantics", nargs="+", default=["final", "binding"], choices=["final", "binding"])
    parser.add_argument("--every", type=int, default=1, help="only every N-th program")
    parser.add_argument("--tests", type=int, default=2, help="inputs of each program")
    arguments = parser.parse_args()
    table = Table(
        "file",
        "runs",
        "compared",
        "withheld",
        *(f"differ under {each}" for each in arguments.semantics),
        title="Original and instrumented",
    )
    different: list[str] = []
    console = Console(stderr=True)
    with Sandbox() as sandbox:
        for path in sorted(path for path in arguments.data.glob("*/*.json*") if path.parent.name != "container"):
            try:
                items = list(items_of(path, arguments.tests))[:: arguments.every]
            except (DataError, KeyError) as error:
                console.print(f"{path}: {error}")
                continue
            counts = [0, 0]
            wrong: dict[str, int] = dict.fromkeys(arguments.semantics, 0)
            for start in track(range(0, len(items), BATCH), path.name, console=console):
                batch = items[start : start + BATCH]
                requests = [
                    TraceRequest(
                        program=i.program, input=i.input, setup_code=i.setup_code, limits=LIMITS, semantics="official"
                    )
                    for i in batch
                ]
                originals = trace_many(sandbox, requests)
                counts[0] += sum(original.deterministic for original in originals)
                counts[1] += sum(original.withheld is not None for original in originals)
                for semantics in arguments.semantics:
                    for item, original, instrumented in zip(
                        batch,
                        originals,
                        trace_many(sandbox, [replace(request, semantics=semantics) for request in requests]),
                        strict=True,
                    ):
                        if original.deterministic and _differ(original, instrumented):
                            wrong[semantics] += 1
                            different.append(
                                f"{path.name} {item.name} under {semantics}: {original.ending} / {instrumented.ending}"
                            )
            table.add_row(path.name, str(len(items)), *map(str, counts), *map(str, wrong.values()))
    Console(width=140).print(table)
    for name in different:
        print(name)
    sys.exit(bool(different))


def _differ(original: Trace, instrumented: Trace) -> bool:
    if instrumented.ending.kind in _LIMITED:
        return False
    return (original.output, original.ending, original.value) != (
        instrumented.output,
        instrumented.ending,
        instrumented.value,
    )


if __name__ == "__main__":
    main()
