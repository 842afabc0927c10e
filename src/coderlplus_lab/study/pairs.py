"""What supervised training learns: conversations that end with the user, and their answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from coderlplus.errors import DataError
from coderlplus.exports.rationales import rationale_rows
from coderlplus.problems.prompts import conversation, user_message
from coderlplus.records import Problem, read_jsonl
from coderlplus.report.folders import json_lines
from coderlplus_lab.study.data import held_out_tasks
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.settings import Study, Supervised

Pair = tuple[list[dict[str, str]], str]


def pairs_to_learn(study: Study, layout: StudyFolder, settings: Supervised, passed: Path | None = None) -> list[Pair]:
    """The examples that `settings` name, made of the training problems; `passed` is the file of the initial model's
    own passing programs. References come before traces.

    Raises `DataError` where there are none, `SandboxError` if the sandbox fails.
    """
    problems = list(read_jsonl(layout.problems("train"), Problem))
    if settings.examples == "passed":
        assert passed is not None
        by_id = {problem.problem_id: problem for problem in problems}
        return [_asked(study, by_id[line["problem_id"]], line["completion"]) for line in json_lines(passed)]
    pairs: list[Pair] = []
    if settings.examples != "traces":
        pairs += [
            _asked(study, problem, study.answer_template.format(program=problem.reference))
            for problem in problems
            if problem.reference is not None
        ]
    if settings.examples != "references":
        pairs += _traced(study, problems)
    if not pairs:
        raise DataError(
            f"no problem in {layout.problems('train')} has a reference to learn {settings.examples.replace('_', ' ')} "
            "from; remove what learns from them"
        )
    return pairs


def _asked(study: Study, problem: Problem, answer: str) -> Pair:
    template, system = study.train.get("prompt_template"), study.train.get("system_prompt")
    return conversation(user_message(problem, template), system), answer


def _traced(study: Study, problems: list[Problem]) -> Iterator[Pair]:
    """An alignment task on the reference of each problem and its last input, answered by its run step by step."""
    with study.sandbox.open_for_tracing(1) as sandbox:
        tasks, _ = held_out_tasks(sandbox, problems, study.prompt_style)
        rows, _ = rationale_rows(sandbox, tasks)
    prompts = {task.task_id: task.prompt for task in tasks}
    for row in rows:
        yield conversation(prompts[row["task_id"]], study.train.get("system_prompt")), row["completion"][0]["content"]
