"""Rows of a data file: JSON list or JSON lines, either of them gzipped, or Parquet, with the place of each row for
messages.

`stream_rows` holds one row of a list or of lines, and 64 of a Parquet file, in memory at a time.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from coderlplus.errors import ConfigError, DataError
from coderlplus.records.fields import described
from coderlplus.records.jsonl import integer, loads, not_json

T = TypeVar("T")
MAX_ROW_CHARS = 2**28
"""Longest object of a JSON list that is read; beyond it a bracket that is never closed would bring the whole file into
memory."""
_CHUNK_CHARS = 2**20
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class FileRow:
    """One object of a file. `place` is `file:line`, or `file: row n` in a JSON list or a Parquet file."""

    data: Mapping[str, Any]
    place: str

    def read(self, convert: Callable[[Mapping[str, Any]], T]) -> T:
        """`convert(self.data)`; whatever it raises becomes a `DataError` that names the place of the row."""
        try:
            return convert(self.data)
        except KeyError as error:
            raise DataError(f"{self.place}: field {error} is missing") from error
        except (DataError, SyntaxError) as error:
            raise DataError(f"{self.place}: {error}") from error
        except Exception as error:  # a row may be anything; what a conversion does not foresee is the row's fault
            raise DataError(f"{self.place}: not a row of its set's form ({type(error).__name__}: {error})") from error


def read_rows(path: str | Path, left_out: list[DataError] | None = None) -> list[FileRow]:
    """All rows of a file. Raises `DataError`, and leaves out, as `stream_rows` does; also for a file without rows."""
    before = len(left_out or ())
    rows = list(stream_rows(path, left_out))
    if not rows:
        raise left_out[before] if left_out and left_out[before:] else DataError(f"{path} holds no rows")
    return rows


def stream_rows(path: str | Path, left_out: list[DataError] | None = None) -> Iterator[FileRow]:
    """The rows of a file, one after the other.

    The error of a row that is not a JSON object is added to `left_out`, and reading continues; without it, and for
    damage to the file as a whole, a `DataError` names file and place. `ConfigError`: the file is Parquet and pyarrow
    is not installed.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    try:
        with _open(path) as file:
            start = file.read(_CHUNK_CHARS)
            while start and not start.strip():
                start = file.read(_CHUNK_CHARS)
            if start.lstrip()[:1] == "[":
                yield from _listed(path, file, start, left_out)
                return
        with _open(path) as file:
            yield from _lines(path, file, left_out)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"cannot read {path}: the gzip data is damaged ({error}); fetch the file again") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def count_rows(path: Path) -> int:
    """How many rows `stream_rows` goes through, with the broken lines that it passes over. Raises `DataError` for
    damage to the file as a whole."""
    if path.suffix == ".parquet":
        with _parquet_file(path) as file:
            return int(file.metadata.num_rows)
    broken: list[DataError] = []
    return sum(1 for _ in stream_rows(path, broken)) + len(broken)


def _open(path: Path) -> IO[str]:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    return (gzip.open if is_gzip else open)(path, "rt", encoding="utf-8", newline="\n")


def _lines(path: Path, file: IO[str], left_out: list[DataError] | None) -> Iterator[FileRow]:
    for number, line in enumerate(file, 1):
        if line.strip():
            place = f"{path}:{number}"
            with leaving_out(left_out):
                yield FileRow(json_object(line.removesuffix("\n"), place), place)


@contextmanager
def leaving_out(left_out: list[DataError] | None) -> Iterator[None]:
    """Add a `DataError` to `left_out`, where that is given; without its traceback, which holds the row."""
    try:
        yield
    except DataError as error:
        if left_out is None:
            raise
        error.__cause__ = error.__context__ = None
        left_out.append(error.with_traceback(None))


def json_object(line: str, place: str) -> dict[str, Any]:
    """The JSON object of a line. Raises `DataError` naming its place."""
    try:
        data = loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: {not_json(error)}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON ({error})") from error
    return _object(data, place)


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{place}: expected a JSON object, not {described(value)}")
    return value


def _listed(path: Path, file: IO[str], start: str, left_out: list[DataError] | None) -> Iterator[FileRow]:
    """The objects of a JSON list, of which `start` has been read; as much of the file is held as the next object
    needs."""
    decoder = json.JSONDecoder()
    text, at, number, ended = start.lstrip(), 1, 0, False
    while True:
        at = _end_of_space(text, at)
        place = f"{path}: row {number + 1}"
        if text[at : at + 1] == "]":
            if text[at + 1 :].strip() or file.read(_CHUNK_CHARS).strip():
                raise DataError(f"{path}: more text after the list; it must be one JSON list, or JSON lines")
            return
        if number and at < len(text) and text[at] != ",":
            raise DataError(
                f"{place}: not valid JSON (expected a comma or the end of the list, not {text[at : at + 20]!r})"
            )
        try:
            value, end = _decoded(decoder, text, _end_of_space(text, at + 1) if number else at)
            if end == len(text) and not ended:
                # a number might continue in what is not read yet
                raise json.JSONDecodeError("the text ends", text, end)
        except json.JSONDecodeError as error:
            text, at = text[at:], 0
            more = "" if ended else file.read(max(_CHUNK_CHARS, len(text)))
            ended = not more
            if ended or len(text) > MAX_ROW_CHARS:
                raise DataError(f"{place}: not valid JSON ({error.msg}); is the file complete?") from error
            text += more
            continue
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: not valid JSON ({error})") from error
        number, at = number + 1, end
        with leaving_out(left_out):
            yield FileRow(_object(value, place), place)


def _decoded(decoder: json.JSONDecoder, text: str, at: int) -> tuple[Any, int]:
    try:
        return decoder.raw_decode(text, at)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.JSONDecoder(parse_int=integer).raw_decode(text, at)


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else len(text)


def _parquet(path: Path) -> Iterator[FileRow]:
    number = 0
    with _parquet_file(path) as file:
        batches = file.iter_batches(batch_size=64)
        while True:
            try:
                batch = next(batches, None)
            except (OSError, ValueError) as error:
                raise _damaged(path, number, error) from error
            if batch is None:
                return
            for item in batch.to_pylist():
                number += 1
                yield FileRow(item, f"{path}: row {number}")


def _parquet_file(path: Path) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise ConfigError(f"{path} is Parquet, which pyarrow reads: pip install pyarrow") from None
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise _damaged(path, 0, error) from error


def _damaged(path: Path, number: int, error: Exception) -> DataError:
    return DataError(f"cannot read {path} after row {number}: {str(error).splitlines()[0]}; fetch the file again")
