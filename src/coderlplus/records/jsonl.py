"""Records to and from JSONL files, one object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from coderlplus.errors import DataError, nearest
from coderlplus.records.files import whole_file
from coderlplus.records.forms import misplaced


class Record(Protocol):
    """What `read_jsonl` and `write_jsonl` need of a record."""

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self: ...


RecordT = TypeVar("RecordT", bound=Record)

MAX_DIGITS = 100_000
"""Longest integer that is read; reading takes more than linear time in its digits."""
_CHUNK_DIGITS = 4_000


def loads(text: str | bytes) -> Any:
    """JSON as Python values, with integers of any length up to `MAX_DIGITS` (CPython itself stops at 4,300 digits).

    Raises `json.JSONDecodeError` for text that is not JSON, and `DataError` for JSON that is nested too deeply or has
    a longer integer.
    """
    try:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise
        except ValueError:
            return json.loads(text, parse_int=integer)
    except RecursionError:
        raise DataError("the JSON is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 text ({error.reason} at byte {error.start})") from error


def integer(text: str) -> int:
    """The value of a decimal integer. Raises `DataError` beyond `MAX_DIGITS`.

    >>> integer("-" + "1" * 5000) % 1000
    889
    """
    digits = text.removeprefix("-")
    if len(digits) > MAX_DIGITS:
        raise DataError(f"an integer has {len(digits):,} digits; at most {MAX_DIGITS:,} are read")
    return -_whole(digits) if text.startswith("-") else _whole(digits)


def _whole(digits: str) -> int:
    if len(digits) <= _CHUNK_DIGITS:
        return int(digits)
    low = len(digits) // 2
    return _whole(digits[:-low]) * int(10**low) + _whole(digits[-low:])


def read_jsonl(path: str | Path, record: type[RecordT], left_out: list[DataError] | None = None) -> Iterator[RecordT]:
    """Yield the records of a JSONL file, one per line; empty lines are skipped. Raises `DataError` with file and line.
    With `left_out`, errors of lines that cannot be used are appended to it instead.

    >>> import tempfile
    >>> from coderlplus import Rollout, write_jsonl
    >>> path = Path(tempfile.mkdtemp()) / "programs.jsonl"
    >>> write_jsonl(path, [Rollout(rollout_id="r", problem_id="p", program="print(1)")])
    1
    >>> [rollout.program for rollout in read_jsonl(path, Rollout)]
    ['print(1)']
    """
    path = Path(path)
    try:
        file = path.open(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    with file:
        try:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    data = loads(line)
                    if not isinstance(data, dict):
                        raise DataError("expected a JSON object")
                    yield record.from_json(data)
                except (json.JSONDecodeError, DataError) as error:
                    said = not_json(error) if isinstance(error, json.JSONDecodeError) else error
                    named = DataError(f"{path}:{number}: {said}")
                    if left_out is None:
                        raise named from error
                    left_out.append(named)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); is it compressed?"
            ) from error


def not_json(error: json.JSONDecodeError) -> str:
    """The sentence about a line that is no JSON."""
    if error.doc.strip() in ("{", "{}", "["):
        return "a JSON object over several lines; JSON Lines has a whole one on each line"
    return f"not valid JSON ({error.msg.removesuffix(' at')} at column {error.colno}); fix or remove the line"


def write_jsonl(path: str | Path, records: Iterable[Record]) -> int:
    """Write records, one per line, and return their number. The file appears only when it is complete.

    >>> import tempfile
    >>> from coderlplus import Rollout
    >>> rollout = Rollout(rollout_id="r", problem_id="p", program="print(1)")
    >>> write_jsonl(f"{tempfile.mkdtemp()}/programs.jsonl", [rollout])
    1
    """
    path = Path(path)
    count = 0
    try:
        with whole_file(path) as file:
            for record in records:
                file.write(json.dumps(record.to_json()) + "\n")
                count += 1
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return count


def get(data: Mapping[str, Any], name: str, kind: type) -> Any:
    """The field `name`, which must be there and of type `kind`; whole numbers are those of 64 bits, numbers (`float`)
    may be whole."""
    if name not in data:
        raise DataError(f"field {name!r} is missing")
    value = data[name]
    is_kind = isinstance(value, (int, float) if kind is float else kind)
    if not is_kind or (kind in (int, float) and isinstance(value, bool)):
        raise DataError(f"field {name!r} must be {kind.__name__}, not {type(value).__name__} {short(value)!r}")
    if isinstance(value, int) and value.bit_length() > 63:
        raise DataError(f"field {name!r} is a number of more than 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"field {name!r} must be a finite number, not {value}")
    return value


_NEEDS = {"a problem": "statement", "a task": "targets", "a program": "rollout_id"}


def refuse_unknown(data: Mapping[str, Any], names: Collection[str], what: str) -> None:
    """Raise `DataError` for a key of an object that is none of its `names`, with the nearest one, and for an object
    that is something else than `what`. A key without a value does not count: tables have all columns in all rows."""
    is_whole = what not in _NEEDS or _NEEDS[what] in data
    if is_whole and data.keys() <= set(names):
        return
    if what in _NEEDS and (sentence := misplaced(data, what)):
        raise DataError(sentence)
    for name, value in data.items():
        if name not in names and value is not None:
            near = nearest(str(name), names)
            hint = f"did you mean {near!r}?" if near else f"its keys are {', '.join(names)}"
            raise DataError(f"{what} has the unknown key {str(name)[:60]!r}; {hint}")


def optional(data: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    """The field `name` of type `kind`; `default` where it is absent or null."""
    return default if data.get(name) is None else get(data, name, kind)


def choice(data: Mapping[str, Any], name: str, choices: Sequence[str]) -> Any:
    """The field `name`, which must be one of `choices`."""
    value = get(data, name, str)
    if value not in choices:
        raise DataError(f"field {name!r} must be one of {', '.join(choices)}, not {value[:60]!r}")
    return value


def items(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The field `name`, which must be a list of objects."""
    found = get(data, name, list)
    for item in found:
        if not isinstance(item, dict):
            raise DataError(f"field {name!r} must hold objects, not {type(item).__name__} {short(item)!r}")
    return list(found)


def short(value: Any) -> str:
    """The beginning of a value's text; of what may be long or deep, nothing."""
    is_short = isinstance(value, str | float | None) or (isinstance(value, int) and value.bit_length() < 64)
    return str(value)[:60] if is_short else "…"
