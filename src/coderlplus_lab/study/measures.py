"""What a model can do, problem by problem: write programs that pass, and predict what programs compute.

A measured file holds, for the test split:

    greedy             a digit a problem: does the greedy program pass?
    sampled            a number a problem: how many of `samples` at temperature 1 pass
    sampled_again      the same at the study's second temperature, where it has one
    greedy_without     a digit a problem: does the greedy program pass when the study's `without` is forbidden?
    claims             for each problem [claims made, claims true] of the greedy program
    output, all        a digit an alignment task: is the output right, is everything right? (greedy)
    test_output        a digit a question that shows the statement alone
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coderlplus.engines.models import load_tokenizer
from coderlplus.errors import SandboxError
from coderlplus.evaluation.generate import generate
from coderlplus.evaluation.metrics import mean, pass_at_k
from coderlplus.judge import Judge
from coderlplus.programs import extract_program
from coderlplus.records import OUTPUT, AlignmentTask, Problem, Reward, read_jsonl
from coderlplus.rewards import reward_rows
from coderlplus.sandbox.backends import tracing_sandbox
from coderlplus_lab.study.claims import count_true
from coderlplus_lab.study.differences import known_mean
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.settings import Measured, Study

LABELS: dict[Measured, str] = {
    "pass_at_1_sampled": "pass@1 sampled",
    "pass_at_1_again": "pass@1 at T = {t}",
    "pass_at_1_greedy": "pass@1 greedy",
    "pass_at_1_without": "pass@1 greedy without {w}",
    "pass_at_k": "pass@{k}",
    "output_accuracy": "output predicted",
    "all_variables_accuracy": "all variables",
    "test_output_accuracy": "test output",
    "claims_true": "comments true",
}
CURVE_SAMPLES = 4
"""Samples of a problem for a point of the curve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What a model did, one entry a problem (its greedy text, and what passed) or a task (the score of its answer)."""

    greedy: list[str]
    greedy_passed: list[bool]
    sampled_passed: list[list[bool]]
    scores: list[Reward]

    @property
    def output_right(self) -> list[bool]:
        return [score.correct.get(OUTPUT, False) for score in self.scores]

    @property
    def all_right(self) -> list[bool]:
        return [bool(score.correct) and all(score.correct.values()) for score in self.scores]


def outcomes(
    study: Study,
    model: Any,
    tokenizer: Any,
    judge: Judge,
    problems: Sequence[Problem],
    tasks: Sequence[AlignmentTask],
    samples: int,
) -> Outcomes:
    """Let a model write programs, greedily and `samples` times, and answer tasks greedily. Raises `SandboxError` if
    the sandbox fails."""
    greedy = _complete(study, model, tokenizer, problems, greedy=True)
    sampled = _complete(study, model, tokenizer, problems, samples)
    answers = [texts[0] for texts in _complete(study, model, tokenizer, tasks, greedy=True)]
    passed = which_pass(judge, problems, [[*first, *others] for first, others in zip(greedy, sampled, strict=True)])
    return Outcomes(
        greedy=[texts[0] for texts in greedy],
        greedy_passed=[marks[0] for marks in passed],
        sampled_passed=[marks[1:] for marks in passed],
        scores=reward_rows(judge, tasks, answers),
    )


def _complete(
    study: Study,
    model: Any,
    tokenizer: Any,
    rows: Sequence[Problem | AlignmentTask],
    samples: int = 1,
    *,
    greedy: bool = False,
    temperature: float = 1.0,
    without: str | None = None,
) -> list[list[str]]:
    """What a model writes for each row; with `without`, no token that holds this text."""
    tokens = range(len(tokenizer)) if without is not None else ()
    forbidden = [token for token in tokens if without in tokenizer.decode([token])]
    return generate(
        model,
        tokenizer,
        [study.messages(row) for row in rows],
        samples=samples,
        greedy=greedy,
        temperature=temperature,
        forbidden=forbidden,
        **generation(study),
    )


def generation(study: Study) -> dict[str, Any]:
    """How models generate when they are measured."""
    return {
        "max_new_tokens": study.measure.max_new_tokens,
        "batch_size": study.measure.batch_size,
        "seed": study.world.seed if study.world else 0,
    }


def which_pass(judge: Judge, problems: Sequence[Problem], texts: Sequence[Sequence[str]]) -> list[list[bool]]:
    """Which texts of each problem pass. Raises `SandboxError` if the sandbox fails."""
    rows = [problem for problem, group in zip(problems, texts, strict=True) for _ in group]
    rewards = iter(reward_rows(judge, rows, [text for group in texts for text in group], in_process_checks=True))
    passed = [[next(rewards) for _ in group] for group in texts]
    if any(reward.value is None for group in passed for reward in group):
        raise SandboxError(
            "the sandbox failed on a program of the evaluation; run coderlplus doctor, then evaluate again"
        )
    return [[reward.value == 1.0 for reward in group] for group in passed]


def raw_numbers(
    study: Study, layout: StudyFolder, split: str, model: Any, model_name: str, judge: Judge
) -> dict[str, Any]:
    """The raw numbers of a model on a split. Raises `SandboxError` if the sandbox fails."""
    began, samples = time.monotonic(), study.measure.samples
    problems = list(read_jsonl(layout.problems(split), Problem))
    tasks = list(read_jsonl(layout.tasks(split), AlignmentTask))
    questions = list(read_jsonl(layout.test_outputs(split), AlignmentTask))
    tokenizer = load_tokenizer(model_name)
    seen = outcomes(study, model, tokenizer, judge, problems, [*tasks, *questions], samples)
    again: dict[str, Any] = {}
    if study.measure.temperature is not None:
        texts = _complete(study, model, tokenizer, problems, samples, temperature=study.measure.temperature)
        again |= {"sampled_again": [sum(group) for group in which_pass(judge, problems, texts)]}
    if study.measure.without is not None:
        texts = _complete(study, model, tokenizer, problems, greedy=True, without=study.measure.without)
        again |= {"greedy_without": _digits([passed for [passed] in which_pass(judge, problems, texts)])}
    answered = zip(problems, seen.greedy, strict=True)
    programs = [extract_program(text, one.entry_point, starter_code=one.starter_code) for one, text in answered]
    with tracing_sandbox(judge.sandbox, 1) as sandbox:
        claims = count_true(sandbox, problems, programs)
    return {
        "split": split,
        "samples": samples,
        "greedy": _digits(seen.greedy_passed),
        "sampled": [sum(group) for group in seen.sampled_passed],
        **again,
        "claims": [list(pair) for pair in claims],
        "output": _digits(seen.output_right[: len(tasks)]),
        "all": _digits(seen.all_right[: len(tasks)]),
        "test_output": _digits(seen.output_right[len(tasks) :]),
        "evaluation_seconds": round(time.monotonic() - began, 1),
    }


def curve_point(study: Study, layout: StudyFolder, model_name: str, judge: Judge) -> Callable[[Any], dict[str, float]]:
    """What training asks between steps: the measures of a model on the validation split."""
    problems = list(read_jsonl(layout.problems("validation"), Problem))
    tasks = list(read_jsonl(layout.tasks("validation"), AlignmentTask))
    tokenizer = load_tokenizer(model_name)

    def point(model: Any) -> dict[str, float]:
        seen = outcomes(study, model, tokenizer, judge, problems, tasks, CURVE_SAMPLES)
        return {
            "pass_at_1_sampled": mean([sum(group) / len(group) for group in seen.sampled_passed]),
            "output_accuracy": mean(seen.output_right),
            "all_variables_accuracy": mean(seen.all_right),
        }

    return point


def values(raw: Mapping[str, Any]) -> dict[Measured, list[float]]:
    """One value in [0, 1] a problem (or task, or question), by measure; for `claims_true` the share of true claims of
    a program, NaN without any. What was not measured is absent.

    >>> raw = {"samples": 2, "greedy": "10", "sampled": [2, 1], "claims": [[2, 1], [0, 0]]}
    >>> raw |= {"output": "1", "all": "0", "test_output": "0"}
    >>> values(raw)["pass_at_1_sampled"], values(raw)["pass_at_k"], values(raw)["claims_true"]
    ([1.0, 0.5], [1.0, 1.0], [0.5, nan])
    """
    samples = raw["samples"]
    again: dict[Measured, list[float]] = {}
    if "sampled_again" in raw:
        again |= {"pass_at_1_again": [count / samples for count in raw["sampled_again"]]}
    if "greedy_without" in raw:
        again |= {"pass_at_1_without": [float(digit) for digit in raw["greedy_without"]]}
    return {
        "pass_at_1_sampled": [count / samples for count in raw["sampled"]],
        **again,
        "pass_at_1_greedy": [float(digit) for digit in raw["greedy"]],
        "pass_at_k": [pass_at_k(samples, count, samples) for count in raw["sampled"]],
        "output_accuracy": [float(digit) for digit in raw["output"]],
        "all_variables_accuracy": [float(digit) for digit in raw["all"]],
        "test_output_accuracy": [float(digit) for digit in raw["test_output"]],
        "claims_true": [true / made if made else float("nan") for made, true in raw["claims"]],
    }


def means(raw: Mapping[str, Any]) -> dict[Measured, float | None]:
    """The mean of each measure; of `claims_true` over the programs that claim something, `None` where none does."""
    return {name: known_mean(numbers) for name, numbers in values(raw).items()}


def _digits(marks: Sequence[bool]) -> str:
    return "".join("1" if mark else "0" for mark in marks)
