"""What `coderlplus tasks` writes beside the tasks: Parquet, rationales, and the data set that it pushes to the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError, DataError, counted
from coderlplus.exports.hub import check_name, is_writable, push, write_folder, write_parquet
from coderlplus.exports.rationales import rationale_rows, rationale_schema
from coderlplus.exports.rows import task_row, task_schema
from coderlplus.preparation.outputs import beside, parquet_row
from coderlplus.records import AlignmentTask, Problem, read_jsonl
from coderlplus.sandbox import Sandbox
from coderlplus.terminal import name_left_out, note


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What to write. Raises `ConfigError` before the work begins."""

    parquet: bool
    rationales: bool
    push_to_hub: str | None
    dry_run: bool

    def __post_init__(self) -> None:
        if self.push_to_hub is not None:
            check_name(self.push_to_hub)
        elif self.dry_run:
            raise ConfigError("--dry-run is for --push-to-hub; add --push-to-hub owner/name")

    @property
    def nothing(self) -> bool:
        return not self.parquet and not self.rationales and self.push_to_hub is None


def export_tasks(export: Export, output: Path, problems: Sequence[Problem], made: Mapping[str, Any]) -> None:
    """Write the files beside `output`, the file of tasks, and say which on stderr; push them unless it is a dry run.

    Raises `ConfigError` where a library is missing, `DataError` where a file cannot be written or the hub refuses.
    """
    if export.nothing:
        return
    if not output.is_file():
        raise ConfigError(f"{output} is no file that Parquet can lie beside; name a file with -o")
    left_out: list[DataError] = []
    tasks = [
        task
        for task in read_jsonl(output, AlignmentTask)
        if is_writable(task_row(task), f"{output}: task {task.task_id!r}", left_out)
    ]
    problems = [
        problem
        for place, problem in enumerate(problems)
        if is_writable(parquet_row(problem, place), f"problem {problem.problem_id!r}", left_out)
    ]
    if export.parquet:
        write_parquet(beside(output, "parquet"), task_schema, map(task_row, tasks))
        note(f"{beside(output, 'parquet')}: {counted(len(tasks), 'task')}")
    worked = None
    if export.rationales:
        with Sandbox() as sandbox:
            worked, rejects = rationale_rows(sandbox, tasks)
        worked = [row for row in worked if is_writable(row, f"the rationale of {row['task_id']!r}", left_out)]
        write_parquet(beside(output, "rationales.parquet"), rationale_schema, worked)
        told = "".join(f", {count} {reason}" for reason, count in rejects.most_common())
        note(f"{beside(output, 'rationales.parquet')}: {len(worked)} rationales{told}")
    name_left_out(left_out)
    if export.push_to_hub is not None:
        folder = beside(output, "hub")
        files = write_folder(folder, export.push_to_hub, problems, tasks, worked, made)
        if export.dry_run:
            note(f"would push to the private data set {export.push_to_hub}; nothing was sent:")
            for path in files:
                note(f"  {path.relative_to(folder)}: {path.stat().st_size:,} bytes")
            for line in files[0].read_text(encoding="utf-8").splitlines():
                note(line)
        else:
            note(f"pushed {len(files)} files to {push(export.push_to_hub, folder, files)}")
