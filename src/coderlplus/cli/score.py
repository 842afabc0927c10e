"""`coderlplus score`: score a model's answers to alignment tasks."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from rich.table import Table

from coderlplus.alignment import AlignmentConfig
from coderlplus.errors import DataError
from coderlplus.judge import Judge
from coderlplus.problems import read_answers, read_tasks
from coderlplus.progress import Progress
from coderlplus.records import AlignmentTask, Reward, write_jsonl
from coderlplus.records.outputs import digest, open_output
from coderlplus.rewards import answer_reward, answer_trial, trial_reward
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends import open_sandbox
from coderlplus.terminal import console, name_left_out, note, print_table, shown


@dataclass(frozen=True, slots=True)
class Score:
    """A line of the scores file: R_sem and which targets are right (`correct` is empty for an answer of no usable
    form)."""

    task_id: str
    kind: str
    reward: float
    correct: Mapping[str, bool]

    def to_json(self) -> dict[str, Any]:
        return {"task_id": self.task_id, "kind": self.kind, "reward": self.reward, "correct": dict(self.correct)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["task_id"], data["kind"], data["reward"], data["correct"])


def score(
    tasks: Annotated[
        Path,
        typer.Argument(help="Alignment tasks (of `coderlplus tasks`, or samples.jsonl of a run).", show_default=False),
    ],
    answers: Annotated[
        Path,
        typer.Argument(
            help='Answers: {"task_id": …, "answer": text} a line, completions of an eval, or samples.jsonl of a run.',
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the scores (JSONL).", show_default=False)],
    format_weight: Annotated[
        float, typer.Option(help="Reward of an answer of the right form without a right value; 0 is the paper's.")
    ] = 0.1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Score anew, also if OUTPUT is finished or of other answers.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score answers to alignment tasks; a task may be answered any number of times.

    Rows that cannot be used are reported and left out; the exit code is then 1.
    """
    AlignmentConfig(format_weight=format_weight)
    left_out: list[DataError] = []
    fingerprint = {"tasks": digest(tasks), "answers": digest(answers), "format_weight": format_weight}
    by_id = {task.task_id: task for task in read_tasks(tasks, left_out)}
    files = {"tasks": tasks, "answers": answers}
    with open_output(output, fingerprint, overwrite=overwrite, files=files) as out:
        if out.summary is None:
            given = read_answers(answers, list(by_id), tasks, left_out)
            scores = _scored(given, by_id, format_weight, left_out)
            write_jsonl(output, scores)
            out.finish(summarise(scores, by_id) | {"left_out": len(left_out)})
            summary: Mapping[str, Any] = summarise(scores, by_id) | {"left_out": len(left_out)}
        else:
            note(f"{output} is complete; use --overwrite to replace it")
            summary = out.summary
    name_left_out(left_out)
    if as_json:
        print(json.dumps(summary))
    else:
        _print_summary(summary, output)
    if summary["left_out"]:
        raise typer.Exit(1)


def _scored(
    given: Sequence[tuple[str, str]],
    by_id: Mapping[str, AlignmentTask],
    format_weight: float,
    left_out: list[DataError],
) -> list[Score]:
    """The scores of the answers that can be used. Raises `DataError` where none can."""
    scores: list[Score] = []
    with Progress() as progress, contextlib.ExitStack() as stack:
        sandbox = functools.cache(lambda: stack.enter_context(open_sandbox(workers=1)))
        for task_id, answer in progress.track(given, "scoring", len(given)):
            reward = _reward(by_id[task_id], answer, format_weight, sandbox)
            if reward.value is None:
                left_out.append(
                    DataError(f"an answer to task {task_id!r} has no score: the sandbox or coderlplus itself failed")
                )
                continue
            scores.append(Score(task_id, reward.kind, reward.value, reward.correct))
    if left_out and not scores:
        raise left_out[0]
    return scores


def _reward(task: AlignmentTask, answer: str, format_weight: float, sandbox: Callable[[], AnySandbox]) -> Reward:
    """The reward of an answer; the sandbox is opened for the first one that must be run."""
    run = answer_trial(task, answer)
    if run is None:
        return answer_reward(task, answer, format_weight=format_weight)
    return trial_reward(task, Judge(sandbox()).judge(*run), format_weight=format_weight)


def summarise(scores: Sequence[Score], tasks: Mapping[str, AlignmentTask]) -> dict[str, Any]:
    """Counts and means over all answers, and `by_kind`. A share of nothing is `None`: `output_accuracy` is over
    answers to tasks that ask for the output, `all_variables_accuracy` over those to tasks that ask for variables."""
    kinds = sorted({score.kind for score in scores})
    return {
        "tasks": len(tasks),
        "answered": len({score.task_id for score in scores}),
        **_means(scores, tasks),
        "by_kind": {kind: _means([score for score in scores if score.kind == kind], tasks) for kind in kinds},
    }


def _means(scores: Sequence[Score], tasks: Mapping[str, AlignmentTask]) -> dict[str, float | None]:
    targets = [(score, tasks[score.task_id].targets) for score in scores]
    outputs = [
        score.correct.get(target.label, False) for score, of_task in targets for target in of_task if target.is_output
    ]
    variables = [
        (score, [target.label for target in of_task if target.scope is not None]) for score, of_task in targets
    ]
    return {
        "answers": len(scores),
        "mean_reward": _mean(score.reward for score in scores),
        "usable_form": _mean(bool(score.correct) for score in scores),
        "all_right": _mean(len(score.correct) > 0 and all(score.correct.values()) for score in scores),
        "output_accuracy": _mean(outputs),
        "all_variables_accuracy": _mean(
            all(score.correct.get(label, False) for label in labels) for score, labels in variables if labels
        ),
    }


def _mean(values: Iterable[float]) -> float | None:
    items = list(values)
    return round(sum(items) / len(items), 4) if items else None


def _print_summary(summary: Mapping[str, Any], output: Path) -> None:
    by_kind = summary["by_kind"]
    table = Table("", "all", *map(shown, by_kind))
    for name, value in summary.items():
        if name != "by_kind":
            cells = [value, *(means.get(name, "") for means in by_kind.values())]
            table.add_row(name.replace("_", " "), *("–" if cell is None else str(cell) for cell in cells))
    for column in table.columns[1:]:
        column.justify = "right"
    out = console()
    print_table(table, out)
    out.print(shown(f"written to {output}"))
