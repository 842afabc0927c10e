"""What is read and where it is looked at: the records that go from tracing to activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from coderlplus.errors import DataError
from coderlplus.records import Limits, ProgramInput

MarkKind = Literal["statement", "mention", "comment", "end", "asked", "answer"]
"""The last character of a statement (of a loop or branch: of its header), of a name that is read, of the program (of a
task: of its prompt), of a label in the question of a task; the `#` of a comment behind a statement, and the colon
after a label in the answer to a task, where a value may be said next."""
LAST = -1
"""The place of a mark on the last token of the prompt, whatever the chat template ends it with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A program and its run, with what a model is told before. `unit` is the same for programs that are the same but
    for their layout: they never stand on both sides of a split. `program_start` is where the program begins in
    `completion`; the prompt of a task shows it, its completion is the right answer."""

    case_id: str
    unit: str
    prompt: str
    completion: str
    program: str
    program_start: int
    input: ProgramInput
    setup_code: str = ""
    limits: Limits = field(default_factory=Limits)
    asked: tuple[tuple[str, Any], ...] = ()
    """Labels of a task with their true tagged values, in the order of the last line of its prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A character that is looked at, by its place in the completion (`asked`: in the prompt), and the facts that hold
    there: name → class.

    `shown`: the value that the facts are about stands in the text before, so that copying is enough."""

    kind: MarkKind
    place: int
    facts: Mapping[str, str] = field(default_factory=dict)
    shown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A text that models read, with its marks in the order of reading; or why there is none (`left_out`)."""

    passage_id: str
    unit: str
    prompt: str
    completion: str
    marks: tuple[Mark, ...] = ()
    left_out: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Raises `DataError` for what is no passage."""
        try:
            return cls(**{**data, "marks": tuple(Mark(**mark) for mark in data["marks"])})
        except (KeyError, TypeError) as error:
            raise DataError(f"not a passage ({error})") from error
