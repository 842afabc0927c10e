"""`coderlplus judge`: programs in, verdicts out."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from coderlplus.errors import DataError, SandboxError
from coderlplus.judge import Judge
from coderlplus.problems import read_pairs
from coderlplus.problems.files import Row, json_object
from coderlplus.records import VERDICTS, Verdict, write_jsonl
from coderlplus.sandbox import Sandbox
from coderlplus.terminal import console, name_left_out, note


def judge(
    problems: Annotated[
        Path,
        typer.Argument(help="Problems: coderlplus JSONL or a public format (see docs/data.md), optionally gzipped."),
    ],
    programs: Annotated[
        Path, typer.Argument(help="Programs: coderlplus JSONL (`program` or `completion`) or recorded programs.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the verdicts (JSONL, in order of completion).")
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Programs judged in parallel. [default: one per core]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Keep the verdicts in OUTPUT and judge the rest.")] = False,
    all_tests: Annotated[
        bool,
        typer.Option("--all-tests", help="Run every test, even after a failure; tests_passed counts all passes."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Judge programs on the tests of their problems.

    Each verdict is written as soon as it is there: after an interruption, `--resume` goes on where it stopped. Rows
    that cannot be used are named and left out; the exit code is then 1.
    """
    left_out: list[DataError] = []
    pairs = read_pairs(problems, programs, left_out)
    name_left_out(left_out)
    kept = _Kept.read(output, resume)
    unknown = kept.verdicts.keys() - {rollout.rollout_id for _, rollout in pairs}
    if unknown:
        raise DataError(
            f"{output} has a verdict on {min(unknown)!r}, which is not in {programs}; resume with the same programs"
        )
    verdicts = list(kept.verdicts.values())
    try:
        with kept.open() as file, Sandbox(workers) as sandbox:
            left = [pair for pair in pairs if pair[1].rollout_id not in kept.verdicts]
            for verdict in _with_progress(Judge(sandbox).judge_as_completed(left, all_tests=all_tests), len(left)):
                _append(file, verdict, output)
                verdicts.append(verdict)
    except KeyboardInterrupt:
        note(f"stopped after {len(verdicts)} of {len(pairs)} programs; continue with --resume")
        raise
    if as_json:
        print(json.dumps(_summary(verdicts) | {"left_out": len(left_out)}))
    else:
        _print_table(verdicts, len(left_out))
    faults = [verdict for verdict in verdicts if verdict.verdict == "sandbox_fault"]
    if faults:
        detail = faults[0].first_failure.detail if faults[0].first_failure else ""
        raise SandboxError(
            f"{len(faults)} programs have no verdict, the first is {faults[0].rollout_id!r}: {detail}; --resume "
            "judges them again"
        )
    if left_out:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The verdicts that an output file has: of an interrupted run those that count."""

    path: Path
    verdicts: Mapping[str, Verdict]
    is_clean: bool
    """Nothing is in the file but these."""

    @classmethod
    def read(cls, path: Path, resume: bool) -> _Kept:
        """What to keep. A last line without an end was being written when the run stopped, and is dropped; so are
        faults of the sandbox."""
        if path.exists() and not path.is_file():
            return cls(path, {}, True)
        try:
            *lines, rest = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot resume {path}: {getattr(error, 'strerror', error)}") from error
        if not resume and (lines or rest):
            raise DataError(f"{path} already has verdicts; continue with --resume, choose another file or remove it")
        rows = [
            Row(json_object(line, f"{path}:{number}"), f"{path}:{number}")
            for number, line in enumerate(lines, 1)
            if line
        ]
        found = [row.read(Verdict.from_json) for row in rows]
        verdicts = {verdict.rollout_id: verdict for verdict in found if verdict.verdict != "sandbox_fault"}
        return cls(path, verdicts, not rest and len(verdicts) == len(found))

    def open(self) -> FileIO:
        """The file, to append to. What is dropped goes by writing the rest anew and putting that in its place, so
        nothing is lost if that fails."""
        try:
            if not self.is_clean:
                write_jsonl(self.path, self.verdicts.values())
            return FileIO(self.path, "a")
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}") from error


def _append(file: FileIO, verdict: Verdict, path: Path) -> None:
    line = (json.dumps(verdict.to_json()) + "\n").encode()
    try:
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise DataError(
            f"cannot write {path}: {error.strerror}; earlier verdicts are kept, free space and continue with --resume"
        ) from error


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


def _print_table(verdicts: list[Verdict], left_out: int) -> None:
    table = Table("verdict", "programs", "share", "CPU s")
    for name in VERDICTS:
        those = [verdict for verdict in verdicts if verdict.verdict == name]
        if those:
            table.add_row(
                name,
                str(len(those)),
                f"{len(those) / len(verdicts):.1%}",
                f"{sum(verdict.cpu_s for verdict in those):.1f}",
            )
    if left_out:
        table.add_row("rows left out", str(left_out))
    table.add_section()
    table.add_row("all", str(len(verdicts)), "", f"{sum(verdict.cpu_s for verdict in verdicts):.1f}")
    for column in table.columns[1:]:
        column.justify = "right"
    console(soft_wrap=False).print(table)
