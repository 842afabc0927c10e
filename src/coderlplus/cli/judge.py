"""`coderlplus judge`: programs in, verdicts out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from coderlplus.cli.options import BACKEND, Address, BackEndName, Resume
from coderlplus.errors import DataError, SandboxError, counted
from coderlplus.judge import Judge
from coderlplus.problems import read_pairs
from coderlplus.progress import Progress
from coderlplus.records import VERDICTS, Problem, Rollout, Verdict
from coderlplus.records.journal import Journal
from coderlplus.records.outputs import digest, open_output
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends import check_backend, open_sandbox
from coderlplus.terminal import console, name_left_out, note, print_table, shown


def judge(
    problems: Annotated[
        Path,
        typer.Argument(help="Problems: coderlplus JSONL or a public format (see docs/data.md), optionally gzipped."),
    ],
    programs: Annotated[
        Path,
        typer.Argument(
            help="Programs: coderlplus JSONL, recorded programs, samples of a run or an eval, or of other tools."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File for the verdicts (JSONL, in order of completion).")
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Programs judged in parallel. [default: one per core]")
    ] = None,
    backend: BackEndName = BACKEND,
    address: Address = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Judge again and replace the verdicts in OUTPUT.")
    ] = False,
    resume: Resume = False,
    all_tests: Annotated[
        bool,
        typer.Option("--all-tests", help="Run every test, even after a failure; tests_passed counts all passes."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Judge programs on the tests of their problems.

    Verdicts are written one by one; rerun the command to resume after an interruption. Rows that cannot be used are
    reported and left out; the exit code is then 1.
    """
    check_backend(backend, address)
    open_judge = partial(open_sandbox, backend, workers=workers, address=address)
    left_out: list[DataError] = []
    pairs = read_pairs(problems, programs, left_out)
    name_left_out(left_out)
    fingerprint = {"problems": digest(problems), "programs": digest(programs), "all_tests": all_tests}
    verdicts: list[Verdict] = []
    files = {"problems": problems, "programs": programs}
    with open_output(output, fingerprint, overwrite=overwrite, files=files) as out:
        for verdict in _verdicts(out.path, pairs, open_judge, all_tests):
            verdicts.append(verdict)
        out.finish(_summary(verdicts))
    if as_json:
        print(json.dumps(_summary(verdicts) | {"left_out": len(left_out)}))
    else:
        _print_table(verdicts, len(left_out))
        print(shown(f"written to {output}"))
    faults = [verdict for verdict in verdicts if verdict.verdict == "sandbox_fault"]
    if faults:
        detail = faults[0].first_failure.detail if faults[0].first_failure else ""
        raise SandboxError(
            f"{counted(len(faults), 'program')} without a verdict, the first is {faults[0].rollout_id!r}: {detail}; "
            "rerun the command to judge again"
        )
    if left_out:
        raise typer.Exit(1)


def _verdicts(
    output: Path, pairs: Sequence[tuple[Problem, Rollout]], open_judge: Callable[[], AnySandbox], all_tests: bool
) -> Iterator[Verdict]:
    """The verdicts that the output has, then the others as they come, each when it is written. Faults of the sandbox
    do not count."""
    with Journal(
        output, Verdict.from_json, _rollout_id, lambda verdict: verdict.verdict != "sandbox_fault", is_held=True
    ) as journal:
        yield from journal.values()
        left = [pair for pair in pairs if pair[1].rollout_id not in journal]
        passed = 0
        if not left:
            note(f"{output} is complete; use --overwrite to judge again")
            return
        if len(journal):
            note(f"continuing {output}: {len(journal)} of {counted(len(pairs), 'program')} judged already")
        with open_judge() as sandbox, Progress() as progress:
            count = progress.begin("judging", len(pairs), before=len(journal))
            for _, verdict in Judge(sandbox).judge_as_completed(left, all_tests=all_tests):
                journal.append(verdict)
                passed += verdict.passed
                progress.advance(count, detail=f"{passed} passed")
                yield verdict


def _rollout_id(verdict: Verdict) -> str:
    return verdict.rollout_id


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
    print_table(table, console(soft_wrap=False))
