"""`coderlplus tasks`: judge programs and make alignment tasks of those that fail."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from coderlplus.alignment import AlignmentSettings, JudgedRollout, mine
from coderlplus.alignment.mining import same_question
from coderlplus.alignment.settings import Kind
from coderlplus.errors import ConfigError, DataError
from coderlplus.judge import Judge
from coderlplus.problems import read_pairs
from coderlplus.programs import extract_program
from coderlplus.records import AlignmentTask, Problem, Rollout, write_jsonl
from coderlplus.sandbox import Sandbox
from coderlplus.terminal import console, name_left_out, note, shown

CHUNK = 64
"""Programs judged and traced between two updates of the progress bar, and between two notes for `--resume`."""


def tasks(
    problems: Annotated[
        Path,
        typer.Argument(help="Problems: coderlplus JSONL, MBPP, HumanEval or recorded programs.", show_default=False),
    ],
    programs: Annotated[
        Path, typer.Argument(help="Programs: coderlplus JSONL or recorded programs.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the tasks (JSONL).", show_default=False)],
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="final_values, output, official, exception, state_at or branch; repeatable with "
            "shares (--kind branch=0.5), "
            "drawn per program among the kinds that apply to it. [default: final_values]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed for choosing kinds, variables and moments.")] = 0,
    max_variables: Annotated[int, typer.Option(min=1, help="Maximum number of variables besides the output.")] = 3,
    prompt_style: Annotated[str, typer.Option(help="full, or compact for very small models.")] = "full",
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume an interrupted run with the same arguments.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Make alignment tasks of the programs that fail their tests.

    Rows that cannot be used are named and left out; the exit code is then 1.
    """
    settings = AlignmentSettings(kinds=_kinds(kind or []), max_variables=max_variables, prompt_style=prompt_style)  # type: ignore[arg-type]
    left_out: list[DataError] = []
    pairs = read_pairs(problems, programs, left_out)
    name_left_out(left_out)
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"cannot write {output}: its folder does not exist; make it first")
    notes = Notes(output.with_name(output.name + ".unfinished"), _digest(pairs, settings, seed))
    tally = Tally()
    for done in notes.read() if resume else notes.begin():
        tally.add(done)
    try:
        with Sandbox() as sandbox, _progress(len(pairs), tally) as show:
            judge = Judge(sandbox)
            for start in range(tally.programs, len(pairs), CHUNK):
                done = _done(sandbox, judge, pairs[start : start + CHUNK], settings, seed)
                tally.add(done)
                notes.append(done)
                show()
    except KeyboardInterrupt:
        note(f"stopped after {tally.programs} of {len(pairs)} programs; continue with --resume")
        raise
    write_jsonl(output, tally.tasks.values())
    notes.path.unlink()
    _print_summary(tally.summary() | {"left_out": len(left_out)}, output, as_json=as_json)
    if left_out:
        raise typer.Exit(1)


@dataclass
class Tally:
    """What the programs so far came to; the same question counts once."""

    programs: int = 0
    tasks: dict[str, AlignmentTask] = field(default_factory=dict)
    rejects: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)

    def add(self, done: Mapping[str, Any]) -> None:
        """Add one note: `programs`, `tasks`, `rejects`, `verdicts` of a chunk, as JSON."""
        self.programs += done["programs"]
        self.rejects.update(done["rejects"])
        self.verdicts.update(done["verdicts"])
        for data in done["tasks"]:
            task = AlignmentTask.from_json(data)
            key = same_question(task.program, task.input)
            self.rejects["duplicate"] += key in self.tasks
            self.tasks.setdefault(key, task)

    def summary(self) -> dict[str, Any]:
        made = self.tasks.values()
        variables = Counter(sum(target.scope is not None for target in task.targets) for task in made)
        return {
            "programs": self.programs,
            "failed": self.programs - self.verdicts["passed"] - self.verdicts["sandbox_fault"],
            "tasks": len(made),
            "tasks_by_kind": dict(Counter(task.kind for task in made).most_common()),
            "share_with_variable": round(1 - variables[0] / len(made), 4) if made else 0.0,
            "tasks_by_variables": {str(count): variables[count] for count in sorted(variables)},
            "verdicts": dict(self.verdicts.most_common()),
            "rejects": {reason: count for reason, count in self.rejects.most_common() if count},
        }


class Notes:
    """The file beside the output that says what is done: a first line with what it is made of, then one line a
    chunk."""

    def __init__(self, path: Path, made_of: str) -> None:
        self.path = path
        self.made_of = made_of

    def begin(self) -> list[Any]:
        """Start over; nothing is done yet."""
        self._write("w", {"made_of": self.made_of})
        return []

    def read(self) -> list[Any]:
        """What is done. A last line without an end was being written when the run stopped, and is dropped."""
        try:
            whole, _, _ = self.path.read_text(encoding="utf-8").rpartition("\n")
        except FileNotFoundError:
            return self.begin()
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"cannot read {self.path}: it is not UTF-8 text; remove the file to start over") from error
        lines = []
        for number, line in enumerate(whole.split("\n"), 1):
            try:
                lines.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{self.path}:{number}: not valid JSON; remove the file to start over") from error
        if not lines or lines[0] != {"made_of": self.made_of}:
            raise ConfigError(
                f"{self.path} was started with other problems, programs or settings; use the same, or remove it to "
                f"start over"
            )
        self._write("w", *lines)
        return lines[1:]

    def append(self, done: Mapping[str, Any]) -> None:
        self._write("a", done)

    def _write(self, mode: str, *lines: Mapping[str, Any]) -> None:
        try:
            with self.path.open(mode, encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
        except OSError as error:
            raise DataError(
                f"cannot write {self.path}: {error.strerror}; finished programs are kept, continue with --resume"
            ) from error


def _kinds(given: Sequence[str]) -> Kind | dict[Kind, float]:
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
        return "final_values"
    open_names = [name for name, share in shares.items() if share is None]
    left = 1 - sum(share for share in shares.values() if share is not None)
    return {cast(Kind, name): left / len(open_names) if share is None else share for name, share in shares.items()}


def _done(
    sandbox: Sandbox, judge: Judge, chunk: Sequence[tuple[Problem, Rollout]], settings: AlignmentSettings, seed: int
) -> dict[str, Any]:
    judged = [
        JudgedRollout(problem, rollout, _program(problem, rollout), verdict)
        for (problem, rollout), verdict in zip(chunk, judge.judge_many(chunk), strict=True)
    ]
    mined = mine(sandbox, judged, settings=settings, seed=seed)
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


def _digest(pairs: Sequence[tuple[Problem, Rollout]], settings: AlignmentSettings, seed: int) -> str:
    """A text that is the same for the same problems, programs, settings and seed."""
    text = hashlib.sha256(repr((settings, seed)).encode())
    for problem, rollout in pairs:
        text.update(repr((problem, rollout)).encode("utf-8", "surrogatepass"))
    return text.hexdigest()


@contextlib.contextmanager
def _progress(total: int, tally: Tally) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr: programs, tasks, time left. Yields a function that shows the tally as it is."""
    columns = (
        TextColumn("judging and tracing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[tasks]} tasks"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        shown = bar.add_task("", total=total, completed=tally.programs, tasks=len(tally.tasks))
        yield lambda: bar.update(shown, completed=tally.programs, tasks=len(tally.tasks))


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
    out.print(table)
    out.print(shown(f"written to {output}"))
