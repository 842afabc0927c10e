"""Files that grow by one line at a time and survive any end: what is in them is never made again.

A line is a JSON object with a key. A last line without its end was being written when the process ended; it is
dropped. Memory holds the place of each line, not the line. One process writes at a time.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from coderlplus.errors import DataError
from coderlplus.records.files import held, whole_file
from coderlplus.records.jsonl import loads


class Line(Protocol):
    """What a journal needs of its lines."""

    def to_json(self) -> Mapping[str, Any]: ...


class Fields(dict[str, Any]):
    """A line that is no record: its fields as they are."""

    def to_json(self) -> Mapping[str, Any]:
        return self


LineT = TypeVar("LineT", bound=Line)
KeyT = TypeVar("KeyT", bound=Hashable)


def read_journal(path: Path, from_json: Callable[[Any], LineT], key: Callable[[LineT], KeyT]) -> dict[KeyT, LineT]:
    """The lines of a journal by key, for readers; of two with one key, the later. An absent file has none. Raises
    `DataError` naming a line that is broken."""
    try:
        return {name: line for _, name, line in _lines(path, from_json, key)}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _lines(
    path: Path, from_json: Callable[[Any], LineT], key: Callable[[LineT], KeyT]
) -> Iterator[tuple[int, KeyT, LineT]]:
    """The whole lines of a file, each with the place where it begins and its key."""
    start = 0
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.endswith(b"\n"):
                return
            if not text.isspace():
                try:
                    line = from_json(loads(text))
                    name = key(line)
                except (ValueError, TypeError, AttributeError, KeyError) as error:
                    raise DataError(
                        f"{path}:{number}: not a line of this file ({error}); remove the line and rerun the command"
                    ) from error
                yield start, name, line
            start += len(text)


class Journal(Generic[KeyT, LineT]):
    """A journal that is being written."""

    def __init__(
        self,
        path: Path,
        from_json: Callable[[Any], LineT],
        key: Callable[[LineT], KeyT],
        keep: Callable[[LineT], bool] = lambda line: True,
        *,
        is_held: bool = False,
    ) -> None:
        """Open or start a journal; lines that `keep` refuses are dropped, to be made again. It is locked while it is
        open, unless the caller holds it already (`is_held`). Raises `DataError` if it is broken, which leaves it as
        it is, cannot be written or is in use."""
        self.path = path
        self._from_json, self._key = from_json, key
        self._places: dict[KeyT, int] = {}
        self._end = 0
        with ExitStack() as stack:
            if not is_held:
                stack.enter_context(held(path))
            try:
                stale = self._read(keep)
                if stale:
                    self._rewrite()
                self._file = stack.enter_context(FileIO(path, "a"))
                if path.is_file():
                    self._file.truncate(self._end)
            except OSError as error:
                raise DataError(f"cannot write {path}: {error.strerror}") from error
            self._held = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: KeyT) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[KeyT]:
        return iter(self._places)

    def __getitem__(self, key: KeyT) -> LineT:
        """The line with a key, from the disk."""
        with self.path.open("rb") as file:
            file.seek(self._places[key])
            return self._from_json(loads(file.readline()))

    def values(self, keys: Iterable[KeyT] | None = None) -> Iterator[LineT]:
        """The lines of some keys in their order, or all, one at a time from the disk."""
        if self._places:
            with self.path.open("rb") as file:
                for key in self._places if keys is None else keys:
                    file.seek(self._places[key])
                    yield self._from_json(loads(file.readline()))

    def to_dict(self) -> dict[KeyT, LineT]:
        """All lines by key, in memory."""
        return {self._key(line): line for line in self.values()}

    def append(self, line: LineT) -> None:
        """Add a line, which is on the disk's way when this returns. Raises `DataError` if the disk is full; the
        lines before are kept."""
        data = (json.dumps(line.to_json()) + "\n").encode()
        try:
            if self._file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise DataError(
                f"cannot write {self.path}: {error.strerror}; earlier lines are kept; free space and rerun the command"
            ) from error
        self._places[self._key(line)] = self._end
        self._end += len(data)

    def _read(self, keep: Callable[[LineT], bool]) -> bool:
        """Note where lines begin; whether there are some that do not count."""
        if not self.path.is_file():
            return False
        count = 0
        for place, key, line in _lines(self.path, self._from_json, self._key):
            count += 1
            if keep(line):
                self._places[key] = place
            else:
                self._places.pop(key, None)
        with self.path.open("rb") as file:
            self._end = file.seek(0, os.SEEK_END)
            while self._end:  # cut after the last end of line
                start = max(0, self._end - 65536)
                file.seek(start)
                cut = file.read(self._end - start).rfind(b"\n")
                self._end = start + cut + 1 if cut >= 0 else start
                if cut >= 0:
                    break
        return count > len(self._places)

    def _rewrite(self) -> None:
        """Write the lines that count again and put them in the journal's place, so that nothing is lost if it
        fails."""
        places: dict[KeyT, int] = {}
        with self.path.open("rb") as old, whole_file(self.path, "wb") as new:
            for key, place in self._places.items():
                old.seek(place)
                places[key] = new.tell()
                new.write(old.readline())
            self._end = new.tell()
        self._places = places
