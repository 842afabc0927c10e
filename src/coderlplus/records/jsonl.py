"""Records to and from JSONL files, one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from coderlplus.errors import DataError
from coderlplus.records.files import whole_file


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
