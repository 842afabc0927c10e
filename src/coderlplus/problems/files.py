"""Rows of a data file: JSON list, JSON lines, either of them gzipped, with the place of each row for messages."""

from __future__ import annotations

import gzip
import json
import pickle
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from coderlplus.errors import DataError

T = TypeVar("T")
_UNFIT = (TypeError, ValueError, SyntaxError, AttributeError, IndexError, RecursionError, EOFError, zlib.error, pickle.PickleError)
"""What a conversion may raise on a row of another shape (`DataError` is a `ValueError`)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One object of a file. `place` is `file:line`, or `file: row n` in a JSON list."""

    data: Mapping[str, Any]
    place: str

    def read(self, convert: Callable[[Mapping[str, Any]], T]) -> T:
        """`convert(self.data)`; what is wrong with the row becomes a `DataError` that names its place."""
        try:
            return convert(self.data)
        except KeyError as error:
            raise DataError(f"{self.place}: field {error} is missing") from error
        except _UNFIT as error:
            raise DataError(f"{self.place}: {error}") from error


def read_rows(path: str | Path) -> list[Row]:
    """All rows of a file. Raises `DataError` naming file and line for anything that is not a JSON object."""
    path = Path(path)
    text = _text(path)
    rows = list(_listed(path, text) if text.lstrip()[:1] == "[" else _lines(path, text))
    if not rows:
        raise DataError(f"{path} holds no rows")
    return rows


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode("utf-8")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: the gzip data is damaged ({error}); fetch the file again") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _lines(path: Path, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{path}:{number}"
            yield Row(json_object(line, place), place)


def json_object(line: str, place: str) -> dict[str, Any]:
    """The JSON object of a line. Raises `DataError` naming its place."""
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not valid JSON ({error.msg} at column {error.colno}); fix or remove the line") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON that can be read ({error})") from error
    if not isinstance(data, dict):
        raise DataError(f"{place}: expected a JSON object, not {type(data).__name__}")
    return data


def _listed(path: Path, text: str) -> Iterator[Row]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not valid JSON ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON that can be read ({error})") from error
    for number, item in enumerate(data, 1):
        place = f"{path}: row {number}"
        if not isinstance(item, dict):
            raise DataError(f"{place}: expected a JSON object, not {type(item).__name__}")
        yield Row(item, place)
