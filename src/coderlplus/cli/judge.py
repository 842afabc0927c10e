"""`coderlplus judge`: programs in, verdicts out."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from coderlplus.errors import DataError
from coderlplus.judge import Judge
from coderlplus.problems import read_problems, read_rollouts
from coderlplus.records import VERDICTS, Problem, Rollout, Verdict, read_jsonl, write_jsonl
from coderlplus.sandbox import Sandbox


def judge(
    problems: Annotated[Path, typer.Argument(help="Problems: coderlplus JSONL, MBPP, HumanEval or recorded programs, gzipped or not.")],
    programs: Annotated[Path, typer.Argument(help="Programs: coderlplus JSONL (`program` or `completion`) or recorded programs.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the verdicts go, JSONL in the order in which they come.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Programs judged at the same time. [default: one per core]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the verdicts that OUTPUT has and judge the rest.")] = False,
    allow_missing: Annotated[list[str] | None, typer.Option(help="A layer of isolation to do without where this machine has none.")] = None,
    all_tests: Annotated[bool, typer.Option("--all-tests", help="Run every test, also after a failure: tests_passed counts all that pass.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on stdout.")] = False,
) -> None:
    """Judge programs on the tests of their problems.

    Each verdict is written as soon as it is there: after an interruption, `--resume` goes on where it stopped.
    """
    pairs = _pairs(read_problems(problems), read_rollouts(programs), programs)
    done = _verdicts_to_keep(output) if resume else {}
    unknown = done.keys() - {rollout.rollout_id for _, rollout in pairs}
    if unknown:
        raise DataError(f"{output} has a verdict on {min(unknown)!r}, which is not in {programs}; resume with the programs that it was made from")
    verdicts = list(done.values())
    with Sandbox(workers, allow_missing=allow_missing or ()) as sandbox, _open(output, done.values()) as file:
        left = [pair for pair in pairs if pair[1].rollout_id not in done]
        for verdict in _with_progress(Judge(sandbox).judge_as_completed(left, all_tests=all_tests), len(left)):
            _append(file, verdict, output)
            verdicts.append(verdict)
    if as_json:
        print(json.dumps(_summary(verdicts)))
    else:
        _print_table(verdicts)


def _pairs(problems: Iterable[Problem], rollouts: Iterable[Rollout], path: Path) -> list[tuple[Problem, Rollout]]:
    by_id = {problem.problem_id: problem for problem in problems}
    pairs = []
    for rollout in rollouts:
        if rollout.problem_id not in by_id:
            raise DataError(f"{path}: rollout {rollout.rollout_id!r} is of problem {rollout.problem_id!r}, which the problems file does not have")
        pairs.append((by_id[rollout.problem_id], rollout))
    return pairs


def _verdicts_to_keep(path: Path) -> dict[str, Verdict]:
    """The verdicts of an interrupted run. A last line without an end was being written when it stopped, and is dropped."""
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        if not text.endswith("\n"):
            path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot resume {path}: {error.strerror}") from error
    return {verdict.rollout_id: verdict for verdict in read_jsonl(path, Verdict) if verdict.verdict != "sandbox_fault"}


def _open(path: Path, keep: Iterable[Verdict]) -> FileIO:
    try:
        if path.is_file() or not path.exists():
            write_jsonl(path, keep)
        return FileIO(path, "a")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def _append(file: FileIO, verdict: Verdict, path: Path) -> None:
    line = (json.dumps(verdict.to_json()) + "\n").encode()
    try:
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; the verdicts before are kept, make room and go on with --resume") from error


def _with_progress(verdicts: Iterator[tuple[int, Verdict]], total: int) -> Iterator[Verdict]:
    columns = (
        TextColumn("judging"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[passed]} passed"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    passed = 0
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total, passed=0)
        for _, verdict in verdicts:
            passed += verdict.passed
            progress.update(task, advance=1, passed=passed)
            yield verdict


def _summary(verdicts: list[Verdict]) -> dict[str, object]:
    counts: Counter[str] = Counter(verdict.verdict for verdict in verdicts)
    return {
        "programs": len(verdicts),
        "verdicts": {name: counts[name] for name in VERDICTS if counts[name]},
        "cpu_s": round(sum(verdict.cpu_s for verdict in verdicts), 3),
        "isolation": sorted({layer for verdict in verdicts for layer in verdict.isolation}),
    }


def _print_table(verdicts: list[Verdict]) -> None:
    table = Table("verdict", "programs", "share", "CPU s")
    for name in VERDICTS:
        those = [verdict for verdict in verdicts if verdict.verdict == name]
        if those:
            table.add_row(name, str(len(those)), f"{len(those) / len(verdicts):.1%}", f"{sum(verdict.cpu_s for verdict in those):.1f}")
    table.add_section()
    table.add_row("all", str(len(verdicts)), "", f"{sum(verdict.cpu_s for verdict in verdicts):.1f}")
    for column in table.columns[1:]:
        column.justify = "right"
    Console().print(table)
