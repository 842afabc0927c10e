"""`coderlplus score`: score a model's answers to alignment tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import typer

from coderlplus.alignment import AlignmentSettings, score_answer
from coderlplus.errors import DataError
from coderlplus.records import OUTPUT, AlignmentTask, read_jsonl, write_jsonl


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """A line of the answers file: what a model said to a task."""

    task_id: str
    answer: str

    def to_json(self) -> dict[str, Any]:
        return {"task_id": self.task_id, "answer": self.answer}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        for name in ("task_id", "answer"):
            if not isinstance(data.get(name), str):
                raise DataError(f"an answer needs {name!r} as a string")
        return cls(data["task_id"], data["answer"])


@dataclass(frozen=True, slots=True)
class Score:
    """A line of the scores file: R_sem and which targets are right (`correct` is empty for an answer of no usable form)."""

    task_id: str
    reward: float
    correct: Mapping[str, bool]

    def to_json(self) -> dict[str, Any]:
        return {"task_id": self.task_id, "reward": self.reward, "correct": dict(self.correct)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(data["task_id"], data["reward"], data["correct"])


def score(
    tasks: Annotated[Path, typer.Argument(help="Alignment tasks (JSONL, as `coderlplus tasks` writes them).", show_default=False)],
    answers: Annotated[Path, typer.Argument(help='Answers (JSONL): {"task_id": …, "answer": text of a completion}.', show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the scores (JSONL).", show_default=False)],
    format_weight: Annotated[float, typer.Option(help="w of R_sem = w + (1 − w) · fraction; 0 is the paper's formula.")] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Score answers to alignment tasks; a task may be answered any number of times."""
    AlignmentSettings(format_weight=format_weight)
    by_id = {task.task_id: task for task in read_jsonl(tasks, AlignmentTask)}
    scores: list[Score] = []
    for given in read_jsonl(answers, GivenAnswer):
        if given.task_id not in by_id:
            raise DataError(f"{answers}: task {given.task_id!r} is not in {tasks}")
        reward, correct = score_answer(by_id[given.task_id], given.answer, format_weight=format_weight)
        scores.append(Score(given.task_id, reward, correct))
    write_jsonl(output, scores)
    summary = _summary(scores, len(by_id))
    if as_json:
        print(json.dumps(summary))
    else:
        print("\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in summary.items()))
        print(f"written to {output}")


def _summary(scores: list[Score], tasks: int) -> dict[str, float]:
    def share(of: list[bool]) -> float:
        return round(sum(of) / len(of), 4) if of else 0.0

    with_variables = [score for score in scores if len(score.correct) != 1]
    return {
        "tasks": tasks,
        "answered": len({score.task_id for score in scores}),
        "answers": len(scores),
        "mean_reward": round(sum(score.reward for score in scores) / len(scores), 4) if scores else 0.0,
        "usable_form": share([bool(score.correct) for score in scores]),
        "output_accuracy": share([score.correct.get(OUTPUT, False) for score in scores]),
        "all_variables_accuracy": share([_variables_right(score) for score in with_variables]),
    }


def _variables_right(score: Score) -> bool:
    variables = [right for label, right in score.correct.items() if label != OUTPUT]
    return bool(variables) and all(variables)
