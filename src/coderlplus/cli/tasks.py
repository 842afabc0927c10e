"""`coderlplus tasks`: judge programs and make alignment tasks of those that fail."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from coderlplus.alignment import AlignmentConfig, JudgedRollout, mine
from coderlplus.alignment.kinds import DEFAULT, KINDS
from coderlplus.alignment.mining import same_question
from coderlplus.cli.export import Export, export_tasks
from coderlplus.cli.options import BACKEND, Address, BackEndName, Resume
from coderlplus.errors import ConfigError, DataError, counted
from coderlplus.judge import Judge
from coderlplus.problems import Pairs, read_pairs
from coderlplus.programs import extract_program
from coderlplus.progress import Progress
from coderlplus.records import AlignmentTask, Problem, Rollout, write_jsonl
from coderlplus.records.journal import Fields, Journal
from coderlplus.records.outputs import digest, open_output
from coderlplus.records.places import Places
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends import check_backend, open_sandbox, tracing_sandbox
from coderlplus.terminal import console, name_left_out, note, print_table, shown

CHUNK = 64
"""Programs judged and traced between two updates of the progress bar, and between two lines of the journal."""


def tasks(
    problems: Annotated[
        Path,
        typer.Argument(help="Problems: coderlplus JSONL, MBPP, HumanEval or recorded programs.", show_default=False),
    ],
    programs: Annotated[
        Path,
        typer.Argument(
            help="Programs: coderlplus JSONL, recorded programs, samples of a run or an eval, or of other tools.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the tasks (JSONL).", show_default=False)],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(KINDS)}; repeatable with shares (--kind branch=0.5), drawn per program among the "
            f"kinds that apply to it. [default: {DEFAULT}]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for the choice of kinds, variables and moments.")] = 0,
    max_variables: Annotated[int, typer.Option(min=1, help="Maximum number of variables besides the output.")] = 3,
    prompt_style: Annotated[str, typer.Option(help="full, or compact for very small models.")] = "full",
    backend: BackEndName = BACKEND,
    address: Address = None,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Also write the tasks as Parquet, for datasets and TRL.")
    ] = False,
    rationales: Annotated[
        bool,
        typer.Option("--rationales", help="Also write the traces as worked answers (Parquet), to imitate."),
    ] = False,
    push_to_hub: Annotated[
        str | None,
        typer.Option(help="Push problems and tasks to a private data set (owner/name).", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write and print what --push-to-hub would push; push nothing.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace OUTPUT, even if it is complete or was made from other programs."),
    ] = False,
    resume: Resume = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Make alignment tasks from programs that fail their tests.

    Finished tasks are kept in OUTPUT.unfinished; rerun the command to resume after an interruption.
    Rows that cannot be used are reported and left out; the exit code is then 1.
    """
    settings = AlignmentConfig(kinds=_kinds(kind or []), max_variables=max_variables, prompt_style=prompt_style)  # type: ignore[arg-type]
    check_backend(backend, address)
    open_judge = partial(open_sandbox, backend, address=address)
    export = Export(parquet=parquet, rationales=rationales, push_to_hub=push_to_hub, dry_run=dry_run)
    left_out: list[DataError] = []
    pairs = read_pairs(problems, programs, left_out)
    name_left_out(left_out)
    fingerprint = {"problems": digest(problems), "programs": digest(programs), "seed": seed, **asdict(settings)}
    unfinished = output.with_name(output.name + ".unfinished")
    tally = Tally()
    files = {"problems": problems, "programs": programs}
    with open_output(output, fingerprint, unfinished=unfinished, overwrite=overwrite, files=files) as out:
        if out.summary is None:
            with Journal(unfinished, Fields, _start, is_held=True) as journal:
                _make(pairs, journal, tally, settings, seed, open_judge)
                write_jsonl(output, _kept(journal, tally.repeated))
            out.finish(tally.summary())
            unfinished.unlink()
        else:
            note(f"{output} is complete; use --overwrite to replace it")
        summary = dict(out.summary or tally.summary())
    if not export.nothing:
        found = list({problem.problem_id: problem for problem, _ in pairs}.values())
        export_tasks(export, output, found, {"seed": seed, "kinds": settings.shares, **summary})
    _print_summary(summary | {"left_out": len(left_out)}, output, as_json=as_json)
    if left_out:
        raise typer.Exit(1)


@dataclass
class Tally:
    """What the programs so far came to; the same question counts once."""

    programs: int = 0
    tasks: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    variables: Counter[int] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    questions: Places = field(default_factory=Places)
    repeated: bytearray = field(default_factory=bytearray)
    """For each task of the notes: 1 if its question is that of an earlier one."""

    def add(self, done: Mapping[str, Any]) -> None:
        """Add one note: `programs`, `tasks`, `rejects`, `verdicts` of a chunk, as JSON."""
        self.programs += done["programs"]
        self.rejects.update(done["rejects"])
        self.verdicts.update(done["verdicts"])
        for data in done["tasks"]:
            task = AlignmentTask.from_json(data)
            key = same_question(task.program, task.input)
            self.repeated.append(key in self.questions)
            if key in self.questions:
                self.rejects["duplicate"] += 1
                continue
            self.questions[key] = self.tasks
            self.tasks += 1
            self.kinds[task.kind] += 1
            self.variables[sum(target.scope is not None for target in task.targets)] += 1

    def summary(self) -> dict[str, Any]:
        return {
            "programs": self.programs,
            "failed": self.programs - self.verdicts["passed"] - self.verdicts["sandbox_fault"],
            "tasks": self.tasks,
            "tasks_by_kind": dict(self.kinds.most_common()),
            "share_with_variable": round(1 - self.variables[0] / self.tasks, 4) if self.tasks else 0.0,
            "tasks_by_variables": {str(count): self.variables[count] for count in sorted(self.variables)},
            "verdicts": dict(self.verdicts.most_common()),
            "rejects": {reason: count for reason, count in self.rejects.most_common() if count},
        }


def _kept(journal: Journal[int, Fields], repeated: bytearray) -> Iterator[AlignmentTask]:
    """The tasks of the journal, of each question the first."""
    made = (data for done in journal.values() for data in done["tasks"])
    return (AlignmentTask.from_json(data) for data, is_again in zip(made, repeated, strict=True) if not is_again)


def _make(
    pairs: Pairs,
    journal: Journal[int, Fields],
    tally: Tally,
    settings: AlignmentConfig,
    seed: int,
    open_judge: Callable[[], AnySandbox],
) -> None:
    """Judge and trace the programs that the journal does not have, and count all of them."""
    for done in journal.values():
        tally.add(done)
    if tally.programs:
        note(f"continuing: {tally.programs} of {counted(len(pairs), 'program')} done already")
    with open_judge() as sandbox, tracing_sandbox(sandbox) as tracer, Progress() as progress:
        judge = Judge(sandbox)
        count = progress.begin("judging and tracing", len(pairs), before=tally.programs)
        left = islice(pairs, tally.programs, None)
        while chunk := list(islice(left, CHUNK)):
            done = Fields(start=tally.programs, **_done(tracer, judge, chunk, settings, seed))
            journal.append(done)
            tally.add(done)
            progress.advance(count, done["programs"], counted(tally.tasks, "task"))


def _start(line: Fields) -> int:
    return int(line["start"])


def _kinds(given: Sequence[str]) -> str | dict[str, float]:
    """`["branch"]`, `["final_values=0.75", "exception=0.25"]`; names without a share have equal parts of what is
    left."""
    shares: dict[str, float | None] = {}
    for item in given:
        name, found, share = item.partition("=")
        try:
            shares[name] = float(share) if found else None
        except ValueError as error:
            raise ConfigError(f"--kind {item}: the share of {name} must be a number, such as {name}=0.5") from error
    if not shares:
        return DEFAULT
    open_names = [name for name, share in shares.items() if share is None]
    left = 1 - sum(share for share in shares.values() if share is not None)
    return {name: left / len(open_names) if share is None else share for name, share in shares.items()}


def _done(
    tracer: AnySandbox, judge: Judge, chunk: Sequence[tuple[Problem, Rollout]], settings: AlignmentConfig, seed: int
) -> dict[str, Any]:
    judged = [
        JudgedRollout(problem, rollout, _program(problem, rollout), verdict)
        for (problem, rollout), verdict in zip(chunk, judge.judge_many(chunk), strict=True)
    ]
    mined = mine(tracer, judged, settings=settings, seed=seed)
    verdicts = Counter(item.verdict.verdict for item in judged)
    return {
        "programs": len(chunk),
        "tasks": [task.to_json() for task in mined.tasks],
        "rejects": dict(mined.rejects),
        "verdicts": dict(verdicts),
    }


def _program(problem: Problem, rollout: Rollout) -> str | None:
    if rollout.completion is None:
        return rollout.program
    return extract_program(rollout.completion, problem.entry_point, starter_code=problem.starter_code)


def _print_summary(summary: dict[str, Any], output: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
        return
    table = Table(show_header=False, box=None)
    table.add_row("programs", str(summary["programs"]))
    table.add_row("failed", str(summary["failed"]))
    table.add_row("tasks", f"{summary['tasks']}, {summary['share_with_variable']:.1%} with at least one variable")
    for kind, count in summary["tasks_by_kind"].items():
        table.add_row(f"  of the kind {kind}", str(count))
    for reason, count in summary["rejects"].items():
        table.add_row(f"  no task: {reason}", str(count))
    if summary["left_out"]:
        table.add_row("rows left out", str(summary["left_out"]))
    out = console()
    print_table(table, out)
    out.print(shown(f"written to {output}"))
