"""What an evaluation writes of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, get_args

from coderlplus.errors import DataError
from coderlplus.records import Verdict
from coderlplus.records.fields import JsonRecord, fields_in, without_none

Outcome = Literal["passed", "wrong", "no_answer", "truncated", "missing"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
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
class Sample(JsonRecord):
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
        return without_none(JsonRecord.to_json(self) | {"truncated": self.truncated or None})


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(JsonRecord):
    """What became of a sample: the answer taken from it, the program judged for it, the verdict; of a failed one what
    the first failed test `expected`, as text, and the `setup_code` of its problem."""

    question_id: str
    sample: int
    answer: str | None
    program: str | None
    truncated: bool = False
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
        """Without an answer that is the program itself."""
        data = {"outcome": self.outcome} | JsonRecord.to_json(self)
        absent = {
            "answer": self.answer == self.program,
            "expected": self.expected is None,
            "setup_code": not self.setup_code,
        }
        return {name: value for name, value in data.items() if not absent.get(name)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        found = fields_in(cls, data)
        return cls(**(found if "answer" in data else found | {"answer": found["program"]}))
