"""What a model can do: write programs that pass, and predict what programs compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coderlplus.errors import SandboxError
from coderlplus.evaluation.generate import Message, generate
from coderlplus.judge import Judge
from coderlplus.records import OUTPUT, AlignmentTask, Problem, Reward
from coderlplus.rewards import reward_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What a model did, one entry a problem or a task: texts, and what they came to."""

    greedy: list[str]
    sampled: list[list[str]]
    greedy_passed: list[bool]
    sampled_passed: list[list[bool]]
    answers: list[str]
    """Greedy."""
    scores: list[Reward]
    """Of the answers."""

    @property
    def output_right(self) -> list[bool]:
        return [score.correct.get(OUTPUT, False) for score in self.scores]

    @property
    def all_right(self) -> list[bool]:
        return [bool(score.correct) and all(score.correct.values()) for score in self.scores]


def outcomes(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    judge: Judge,
    problems: Sequence[Problem],
    tasks: Sequence[AlignmentTask],
    *,
    messages: Callable[[Problem | AlignmentTask], Sequence[Message]],
    samples: int = 8,
    max_new_tokens: int = 512,
    batch_size: int = 64,
    seed: int = 0,
) -> Outcomes:
    """Let a model write programs and answer tasks; `messages` makes the conversation of a row. Raises `SandboxError`
    if ours fails."""

    def complete(rows: Sequence[Problem | AlignmentTask], count: int, greedy: bool) -> list[list[str]]:
        return generate(
            model,
            tokenizer,
            [messages(row) for row in rows],
            samples=count,
            greedy=greedy,
            max_new_tokens=max_new_tokens,
            batch_size=batch_size,
            seed=seed,
        )

    greedy = [texts[0] for texts in complete(problems, 1, True)]
    sampled = complete(problems, samples, False)
    answers = [texts[0] for texts in complete(tasks, 1, True)]
    rows: list[Problem | AlignmentTask] = [problem for problem in problems for _ in range(samples + 1)]
    texts = [text for first, others in zip(greedy, sampled, strict=True) for text in (first, *others)]
    rewards = reward_rows(judge, rows, texts, in_process_checks=True)
    if any(reward.value is None for reward in rewards):
        raise SandboxError(
            "the sandbox failed on a program of the evaluation; run coderlplus doctor, then evaluate again"
        )
    passed = [reward.value == 1.0 for reward in rewards]
    groups = [passed[start : start + samples + 1] for start in range(0, len(passed), samples + 1)]
    return Outcomes(
        greedy=greedy,
        sampled=sampled,
        greedy_passed=[group[0] for group in groups],
        sampled_passed=[group[1:] for group in groups],
        answers=answers,
        scores=reward_rows(judge, tasks, answers),
    )
