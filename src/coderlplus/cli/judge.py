"""`coderlplus judge`: programs in, verdicts out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from coderlplus.cli.options import BACKEND, Address, BackEndName, Resume
from coderlplus.errors import DataError, SandboxError, counted
from coderlplus.judge import Judge
from coderlplus.problems import Pairs, read_pairs
from coderlplus.progress import Progress
from coderlplus.records import VERDICTS, Verdict
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
    tally = _Tally()
    files = {"problems": problems, "programs": programs}
    with open_output(output, fingerprint, overwrite=overwrite, files=files) as out:
        for verdict in _verdicts(out.path, pairs, open_judge, all_tests):
            tally.add(verdict)
        out.finish(tally.summary())
    if as_json:
        print(json.dumps(tally.summary() | {"left_out": len(left_out)}))
    else:
        _print_table(tally, len(left_out))
        print(shown(f"written to {output}"))
    if tally.fault is not None:
        detail = tally.fault.first_failure.detail if tally.fault.first_failure else ""
        is_test = "is at fault, not the program" in detail
        way_out = (
            f"correct it in {problems}, then judge with --overwrite" if is_test else "rerun the command to judge again"
        )
        raise SandboxError(
            f"{counted(tally.counts['sandbox_fault'], 'program')} without a verdict, the first is "
            f"{tally.fault.rollout_id!r}: {detail}; {way_out}"
        )
    if left_out:
        raise typer.Exit(1)


def _verdicts(output: Path, pairs: Pairs, open_judge: Callable[[], AnySandbox], all_tests: bool) -> Iterator[Verdict]:
    """The verdicts that the output has, then the others as they come, each when it is written. Faults of the sandbox
    do not count."""
    with Journal(
        output, Verdict.from_json, _rollout_id, lambda verdict: verdict.verdict != "sandbox_fault", is_held=True
    ) as journal:
        yield from journal.values()
        left = (pair for pair in pairs if pair[1].rollout_id not in journal)
        first = next(left, None)
        passed = 0
        if first is None:
            note(f"{output} is complete; use --overwrite to judge again")
            return
        if len(journal):
            note(f"continuing {output}: {len(journal)} of {counted(len(pairs), 'program')} judged already")
        with open_judge() as sandbox, Progress() as progress:
            count = progress.begin("judging", len(pairs), before=len(journal))
            for _, verdict in Judge(sandbox).judge_as_completed(chain((first,), left), all_tests=all_tests):
                journal.append(verdict)
                passed += verdict.passed
                progress.advance(count, detail=f"{passed} passed")
                yield verdict


def _rollout_id(verdict: Verdict) -> str:
    return verdict.rollout_id


@dataclass
class _Tally:
    """What the verdicts so far came to."""

    counts: Counter[str] = field(default_factory=Counter)
    cpu_s: dict[str, float] = field(default_factory=dict)
    isolation: set[str] = field(default_factory=set)
    fault: Verdict | None = None
    """The first."""

    def add(self, verdict: Verdict) -> None:
        name = verdict.verdict
        self.counts[name] += 1
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + verdict.cpu_s
        self.isolation.update(verdict.isolation)
        if name == "sandbox_fault" and self.fault is None:
            self.fault = verdict

    def summary(self) -> dict[str, object]:
        return {
            "programs": self.counts.total(),
            "verdicts": {name: self.counts[name] for name in VERDICTS if self.counts[name]},
            "cpu_s": round(sum(self.cpu_s.values()), 3),
            "isolation": sorted(self.isolation),
        }


def _print_table(tally: _Tally, left_out: int) -> None:
    table = Table("verdict", "programs", "share", "CPU s")
    whole = tally.counts.total()
    for name in VERDICTS:
        count = tally.counts[name]
        if count:
            table.add_row(name, str(count), f"{count / whole:.1%}", f"{tally.cpu_s[name]:.1f}")
    if left_out:
        table.add_row("rows left out", str(left_out))
    table.add_section()
    table.add_row("all", str(whole), "", f"{sum(tally.cpu_s.values()):.1f}")
    for column in table.columns[1:]:
        column.justify = "right"
    print_table(table, console(soft_wrap=False))
