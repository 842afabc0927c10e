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
from typing import Any, BinaryIO, Generic, Protocol, Self, TypeVar

from coderlplus.errors import DataError
from coderlplus.records.files import held, whole_file
from coderlplus.records.jsonl import loads
from coderlplus.records.places import Places


class Line(Protocol):
    """What a journal needs of its lines."""

    def to_json(self) -> Mapping[str, Any]: ...


class Fields(dict[str, Any]):
    """A line that is no record: its fields as they are."""

    def to_json(self) -> Mapping[str, Any]:
        return self


LineT = TypeVar("LineT", bound=Line)
KeyT = TypeVar("KeyT", bound=Hashable)


def read_journal(path: Path, from_json: Callable[[Any], LineT], key: Callable[[LineT], KeyT]) -> Lines[KeyT, LineT]:
    """The lines of a journal, for readers. An absent file has none. Raises `DataError` naming a line that is
    broken."""
    lines = Lines(path, from_json, key)
    try:
        lines.note()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return lines


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


class Lines(Generic[KeyT, LineT]):
    """The lines of a file by key, read from the disk when they are asked for; of two with one key, the later. Memory
    holds their places."""

    def __init__(self, path: Path, from_json: Callable[[Any], LineT], key: Callable[[LineT], KeyT]) -> None:
        self.path = path
        self._from_json, self._key = from_json, key
        self._places = Places()

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: KeyT) -> bool:
        return key in self._places

    def __iter__(self) -> Iterator[KeyT]:
        """The keys, in the order of the file."""
        return map(self._key, self.values())

    def __getitem__(self, key: KeyT) -> LineT:
        """Raises `KeyError`."""
        return next(self.values([key]))

    def get(self, key: KeyT) -> LineT | None:
        return next(self.values([key])) if key in self else None

    def values(self, keys: Iterable[KeyT] | None = None) -> Iterator[LineT]:
        """The lines of some keys in their order, or all in the order of the file, one at a time."""
        if keys is None:
            for place, key, line in _lines(self.path, self._from_json, self._key) if len(self) else ():
                if self._places.get(key) == place:
                    yield line
            return
        file: BinaryIO | None = None
        try:
            for key in keys:
                start = self._places.get(key)
                if start is None:
                    raise KeyError(key)
                file = file or self.path.open("rb")
                file.seek(start)
                yield self._from_json(loads(file.readline()))
        finally:
            if file is not None:
                file.close()

    def to_dict(self) -> dict[KeyT, LineT]:
        """All lines by key, in memory."""
        return {self._key(line): line for line in self.values()}

    def note(self, keep: Callable[[LineT], bool] = lambda line: True) -> int:
        """Note where the lines that `keep` wants begin, and return how many lines the file has. Raises what the file
        system raises, and `DataError` for a broken line."""
        count = 0
        for place, key, line in _lines(self.path, self._from_json, self._key):
            count += 1
            if keep(line):
                self._places[key] = place
            else:
                self._places.discard(key)
        return count


class Journal(Lines[KeyT, LineT]):
    """A journal that is being written. When it is closed it can still be read."""

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
        super().__init__(path, from_json, key)
        self._end = 0
        with ExitStack() as stack:
            if not is_held:
                stack.enter_context(held(path))
            try:
                if path.is_file():
                    count = self.note(keep)
                    self._end = _end_of_lines(path)
                    if count > len(self):
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

    def _rewrite(self) -> None:
        """Write the lines that count again and put them in the journal's place, so that nothing is lost if it
        fails."""
        places = Places()
        with self.path.open("rb") as old, whole_file(self.path, "wb") as new:
            for place, key, _ in _lines(self.path, self._from_json, self._key):
                if self._places.get(key) == place:
                    old.seek(place)
                    places[key] = new.tell()
                    new.write(old.readline())
            self._end = new.tell()
        self._places = places


def _end_of_lines(path: Path) -> int:
    """The place after the last end of a line."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            cut = file.read(end - start).rfind(b"\n")
            end = start + cut + 1 if cut >= 0 else start
            if cut >= 0:
                break
        return end
