"""What an evaluation writes of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

from coderlplus.errors import DataError
from coderlplus.records import Verdict
from coderlplus.records.jsonl import get, optional

Outcome = Literal["passed", "wrong", "no_answer", "truncated", "missing"]
OUTCOMES: tuple[Outcome, ...] = ("passed", "wrong", "no_answer", "truncated", "missing")
"""Every sample has one:

`truncated` is a failed one that ended at the token limit, `no_answer` one from which none could be taken, `missing` a
question of a samples file without a sample.
"""


Key = tuple[str, int]
"""Question and number of the sample."""


class Keyed(Protocol):
    """What is written of one sample."""

    @property
    def question_id(self) -> str: ...

    @property
    def sample(self) -> int: ...


def key_of(line: Keyed) -> Key:
    return line.question_id, line.sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample of a model on a question: the `completion`, or, from files that hold no more, the `answer` in it (a
    program or an expression)."""

    question_id: str
    sample: int
    completion: str | None = None
    answer: str | None = None
    truncated: bool = False
    tokens: int | None = None
    logprob: float | None = None

    def __post_init__(self) -> None:
        if (self.completion is None) == (self.answer is None):
            raise DataError(f"sample {self.sample} of {self.question_id!r} needs either 'completion' or 'answer'")

    def to_json(self) -> dict[str, Any]:
        data = {
            "question_id": self.question_id,
            "sample": self.sample,
            "completion": self.completion,
            "answer": self.answer,
        }
        data |= {"truncated": self.truncated or None, "tokens": self.tokens, "logprob": self.logprob}
        return {name: value for name, value in data.items() if value is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            question_id=get(data, "question_id", str),
            sample=get(data, "sample", int),
            completion=optional(data, "completion", str),
            answer=optional(data, "answer", str),
            truncated=bool(data.get("truncated", False)),
            tokens=optional(data, "tokens", int),
            logprob=optional(data, "logprob", float),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What became of a sample: the answer taken from it, the program judged for it, the verdict; of a failed one what
    the first failed test `expected`, as text, and the `setup_code` of its problem."""

    question_id: str
    sample: int
    answer: str | None
    program: str | None
    truncated: bool
    verdict: Verdict
    expected: str | None = None
    setup_code: str = ""

    @property
    def outcome(self) -> Outcome:
        if self.verdict.passed:
            return "passed"
        if self.truncated:
            return "truncated"
        return "no_answer" if self.program is None else "wrong"

    def to_json(self) -> dict[str, Any]:
        data = {
            "question_id": self.question_id,
            "sample": self.sample,
            "outcome": self.outcome,
            "truncated": self.truncated,
        }
        answer = {} if self.answer == self.program else {"answer": self.answer}
        more = {"expected": self.expected} if self.expected is not None else {}
        more |= {"setup_code": self.setup_code} if self.setup_code else {}
        return data | answer | {"program": self.program, "verdict": self.verdict.to_json()} | more

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            question_id=get(data, "question_id", str),
            sample=get(data, "sample", int),
            answer=optional(data, "answer" if "answer" in data else "program", str),
            program=optional(data, "program", str),
            truncated=bool(data.get("truncated", False)),
            verdict=Verdict.from_json(get(data, "verdict", dict)),
            expected=optional(data, "expected", str),
            setup_code=optional(data, "setup_code", str, ""),
        )
