"""Rows of a user's own data set, which stand beside problems and tasks in a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from coderlplus.errors import DataError, nearest
from coderlplus.records.fields import short

OWN = "own"
"""The kind of these rows, and of their (absent) built-in reward."""
OF_TRL = ("prompts", "completion", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric")
"""What TRL gives to reward functions under these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRow:
    """A prompt of the user's own: chat messages, or the text of one user message. The other `columns` go to the
    user's reward functions, which alone reward it."""

    row_id: str
    prompt: str | tuple[Mapping[str, str], ...]
    columns: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        prompt = self.prompt if isinstance(self.prompt, str) else [dict(message) for message in self.prompt]
        return {"row_id": self.row_id, "prompt": prompt, "columns": dict(self.columns)}


def own_row(data: Mapping[str, Any], row_id: str) -> OwnRow:
    """The row that an object of a data set holds, in TRL's form. Raises `DataError`.

    >>> own_row({"prompt": "Say yes.", "answer": "yes"}, "rows.jsonl:1").columns
    {'answer': 'yes'}
    """
    if "prompt" not in data:
        near = nearest("prompt", map(str, data))
        raise DataError(f"field 'prompt' is missing{f'; did you mean it by {near!r}?' if near else ''}")
    columns = {name: value for name, value in data.items() if name != "prompt"}
    taken = next((name for name in columns if name == "record" or name in OF_TRL), None)
    if taken is not None:
        raise DataError(f"the column {taken!r} has the name of what reward functions get anyway; rename it")
    return OwnRow(row_id=row_id, prompt=_prompt(data["prompt"]), columns=columns)


def own_rows(data_set: Iterable[Mapping[str, Any]], name: str = "train_dataset") -> list[OwnRow]:
    """The rows of a data set in memory. Raises `DataError` naming the row."""
    rows = []
    for number, data in enumerate(data_set, 1):
        try:
            rows.append(own_row(data, f"{name}: row {number}"))
        except DataError as error:
            raise DataError(f"{name}: row {number}: {error}") from error
    return rows


def _prompt(value: Any) -> str | tuple[Mapping[str, str], ...]:
    if isinstance(value, str):
        if not value.strip():
            raise DataError("field 'prompt' is empty")
        return value
    if not isinstance(value, list | tuple) or not value:
        raise DataError(f"field 'prompt' must be text or a list of chat messages, not {short(value)!r}")
    for message in value:
        if not isinstance(message, Mapping) or not all(isinstance(message.get(key), str) for key in _OF_MESSAGES):
            raise DataError(
                f"field 'prompt' must hold messages with the texts 'role' and 'content', not {message!r:.60}"
            )
    return tuple({key: message[key] for key in _OF_MESSAGES} for message in value)


_OF_MESSAGES = ("role", "content")
