"""`coderlplus tasks`: judge programs and make alignment tasks of those that fail."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from coderlplus.alignment import AlignmentSettings, JudgedRollout, mine
from coderlplus.alignment.mining import same_question
from coderlplus.errors import ConfigError, DataError
from coderlplus.judge import Judge
from coderlplus.problems import read_problems, read_rollouts
from coderlplus.programs import extract_program
from coderlplus.records import AlignmentTask, Problem, Rollout, write_jsonl
from coderlplus.sandbox import Sandbox

CHUNK = 64
"""Programs judged and traced between two updates of the progress bar."""


def tasks(
    problems: Annotated[Path, typer.Argument(help="Problems: coderlplus JSONL, MBPP, HumanEval or recorded programs.", show_default=False)],
    programs: Annotated[Path, typer.Argument(help="Programs: coderlplus JSONL or recorded programs.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the tasks (JSONL).", show_default=False)],
    seed: Annotated[int, typer.Option(help="Seed of the choice of variables.")] = 0,
    max_variables: Annotated[int, typer.Option(min=1, help="Variables asked for beside the output, at most.")] = 3,
    kind: Annotated[str, typer.Option(help="final_values, or output for the output alone.")] = "final_values",
    prompt_style: Annotated[str, typer.Option(help="full, or compact for very small models.")] = "full",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Make alignment tasks of the programs that fail their tests."""
    settings = AlignmentSettings(kinds=kind, max_variables=max_variables, prompt_style=prompt_style)  # type: ignore[arg-type]
    pairs = with_problems(read_problems(problems), read_rollouts(programs), programs)
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"cannot write {output}: its folder does not exist; make it first")
    made: dict[str, AlignmentTask] = {}
    rejects: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    with Sandbox() as sandbox:
        judge = Judge(sandbox)
        starts = range(0, len(pairs), CHUNK)
        for start in track(starts, "judging and tracing", console=Console(stderr=True), disable=as_json):
            chunk = pairs[start : start + CHUNK]
            judged = [
                JudgedRollout(problem, rollout, _program(rollout), verdict)
                for (problem, rollout), verdict in zip(chunk, judge.judge_many(chunk), strict=True)
            ]
            verdicts.update(item.verdict.verdict for item in judged)
            mined = mine(sandbox, judged, settings=settings, seed=seed)
            rejects.update(mined.rejects)
            before = len(made)
            for task in mined.tasks:
                made.setdefault(same_question(task.program, task.input), task)
            rejects["duplicate"] += len(mined.tasks) - (len(made) - before)
    write_jsonl(output, made.values())
    _print_summary(_summary(list(made.values()), verdicts, rejects), output, as_json=as_json)


def with_problems(problems: list[Problem], rollouts: list[Rollout], path: Path) -> list[tuple[Problem, Rollout]]:
    """Each rollout with its problem. Raises `DataError` for a rollout whose problem is not there."""
    by_id = {problem.problem_id: problem for problem in problems}
    for rollout in rollouts:
        if rollout.problem_id not in by_id:
            raise DataError(f"{path}: rollout {rollout.rollout_id!r} answers problem {rollout.problem_id!r}, which the problems file does not have")
    return [(by_id[rollout.problem_id], rollout) for rollout in rollouts]


def _program(rollout: Rollout) -> str | None:
    return rollout.program if rollout.completion is None else extract_program(rollout.completion)


def _summary(made: list[AlignmentTask], verdicts: Counter[str], rejects: Counter[str]) -> dict[str, Any]:
    variables = Counter(len(task.targets) - 1 for task in made)
    return {
        "programs": verdicts.total(),
        "failed": verdicts.total() - verdicts["passed"] - verdicts["sandbox_fault"],
        "tasks": len(made),
        "share_with_variable": round(1 - variables[0] / len(made), 4) if made else 0.0,
        "tasks_by_variables": {str(count): variables[count] for count in sorted(variables)},
        "verdicts": dict(verdicts.most_common()),
        "rejects": {reason: count for reason, count in rejects.most_common() if count},
    }


def _print_summary(summary: dict[str, Any], output: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
        return
    table = Table(show_header=False, box=None)
    table.add_row("programs", str(summary["programs"]))
    table.add_row("failed", str(summary["failed"]))
    table.add_row("tasks", f"{summary['tasks']}, {summary['share_with_variable']:.1%} with at least one variable")
    for reason, count in summary["rejects"].items():
        table.add_row(f"  no task: {reason}", str(count))
    console = Console(soft_wrap=True)
    console.print(table)
    console.print(f"written to {output}", highlight=False)
