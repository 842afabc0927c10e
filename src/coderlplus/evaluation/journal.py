"""Files that grow by one line at a time and survive any end: what is in them is never made again.

A line is a JSON object with a `question_id` and the number of the `sample`. A last line without its end was being
written when the power went out; it is dropped. One process writes at a time.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from coderlplus.errors import DataError
from coderlplus.locks import claim, give_up
from coderlplus.records.jsonl import loads

Key = tuple[str, int]
"""Question and number of the sample."""


class Keyed(Protocol):
    """A line of a journal."""

    @property
    def question_id(self) -> str: ...

    @property
    def sample(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self: ...


LineT = TypeVar("LineT", bound=Keyed)


def read_lines(path: Path, kind: type[LineT], keep: Callable[[LineT], bool] = lambda line: True) -> dict[Key, LineT]:
    """The lines of a journal by key; of two with one key, the later. An absent file has none. Raises `DataError`
    naming a line that is broken."""
    lines: dict[Key, LineT] = {}
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if text.endswith(b"\n"):
                    try:
                        line = kind.from_json(loads(text))
                    except (ValueError, TypeError, AttributeError, KeyError) as error:
                        raise DataError(
                            f"{path}:{number}: not a line of this file ({error}); remove the line and rerun the "
                            f"command"
                        ) from error
                    if keep(line):
                        lines[line.question_id, line.sample] = line
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return lines


def _drop_half_line(file: FileIO) -> None:
    """Cut a file after its last end of line."""
    start = file.seek(0, os.SEEK_END)
    while start:
        start, end = max(0, start - 65536), start
        file.seek(start)
        cut = (file.read(end - start) or b"").rfind(b"\n")
        if cut >= 0:
            file.truncate(start + cut + 1)
            return
    file.truncate(0)


class Journal(Generic[LineT]):
    """A journal that is being written: `lines` holds what is in it."""

    def __init__(self, path: Path, kind: type[LineT], keep: Callable[[LineT], bool] = lambda line: True) -> None:
        """Open or begin a journal; lines that `keep` refuses are made anew. Raises `DataError` if it is broken, cannot
        be written or is in use."""
        self.path = path
        try:
            self._file = FileIO(path, "a+")
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error
        try:
            if not claim(self._file):
                raise DataError(
                    f"{path} is being written by another process; wait for it, or name another folder with -o"
                )
            _drop_half_line(self._file)
            self.lines = read_lines(path, kind, keep)
        except OSError as error:
            give_up(self._file)
            raise DataError(f"cannot write {path}: {error.strerror}") from error
        except BaseException:
            give_up(self._file)
            raise

    def append(self, line: LineT) -> None:
        """Add a line, which is on the disk's way when this returns. Raises `DataError` when the disk is full; the
        lines before are kept."""
        data = (json.dumps(line.to_json()) + "\n").encode()
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise DataError(
                f"cannot write {self.path}: {error.strerror}; earlier lines are kept, free space and rerun the command"
            ) from error
        self.lines[line.question_id, line.sample] = line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        give_up(self._file)
