"""What is done so far: a file that grows by a line a row, in the order in which rows are finished, and of which memory
holds one number a row.

The first line says what it is made of; the last one is dropped where it has no end, since it was being written when
the run stopped.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Self

from coderlplus.errors import ConfigError, DataError
from coderlplus.locks import claim, give_up


class Journal:
    """The lines by the number of their row. One process writes at a time."""

    def __init__(self, path: Path, made_of: Mapping[str, Any], *, resume: bool) -> None:
        """Start a journal, or resume one (`resume`). Raises `ConfigError` where there is one that is not to be
        resumed, or that is of something else, and `DataError` where it cannot be written or read, or is in
        use."""
        self.path = path
        self.places: dict[int, int] = {}
        """Row → where its line begins."""
        self.seconds = 0.0
        """What the rows took that were done before."""
        try:
            self._file = FileIO(path, "a+")
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._begin(made_of, resume)
        except BaseException:
            give_up(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        give_up(self._file)

    def append(self, row: int, line: Mapping[str, Any]) -> None:
        """Add the line of a row. Raises `DataError` when the disk is full; the lines before are kept."""
        self.places[row] = self._end
        self._write({"row": row, **line})

    def line(self, row: int) -> dict[str, Any]:
        """The line of a row, from the disk."""
        with self.path.open("rb") as file:
            file.seek(self.places[row])
            data: dict[str, Any] = json.loads(file.readline())
        return data

    def _begin(self, made_of: Mapping[str, Any], resume: bool) -> None:
        try:
            if not claim(self._file):
                raise DataError(
                    f"{self.path} is being written by another process; wait for it, or give another output"
                )
            if not resume and _has_no_rows(self.path):
                self._file.truncate(0)
            self._end = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise DataError(f"cannot write {self.path}: {error.strerror}") from error
        if not self._end:
            self._write({"made_of": made_of})
        elif not resume:
            raise ConfigError(
                f"{self.path} holds the rows of an interrupted run; continue with --resume, or remove it to start over"
            )
        else:
            self._read(made_of)

    def _write(self, line: Mapping[str, Any]) -> None:
        data = (json.dumps(line) + "\n").encode()
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise DataError(
                f"cannot write {self.path}: {error.strerror}; earlier rows are kept, free space and continue with "
                f"--resume"
            ) from error
        self._end += len(data)

    def _read(self, made_of: Mapping[str, Any]) -> None:
        """Note where lines begin, and cut a last one without an end."""
        start = 0
        with self.path.open("rb") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith(b"\n"):
                    break
                try:
                    line = json.loads(text)
                    if number > 1:
                        self.places[line["row"]] = start
                        self.seconds = max(self.seconds, line["seconds"])
                    before = line["made_of"] if number == 1 else made_of
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(
                        f"{self.path}:{number}: not a line of this file; remove the file to start over"
                    ) from error
                for name in made_of:
                    if before.get(name) != made_of[name]:
                        was, now = before.get(name), made_of[name]
                        raise ConfigError(
                            f"{self.path} was started with {name} {was!r}, not {now!r}; use the same, or remove it "
                            f"to start over"
                        )
                start += len(text)
        self._file.truncate(start)
        self._end = start
        if not start:
            self._write({"made_of": made_of})


def _has_no_rows(path: Path) -> bool:
    """Whether a journal ends after what it is made of: its run failed before the first row was done."""
    with path.open("rb") as file:
        file.readline()
        return not file.readline()
