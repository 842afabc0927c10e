"""Progress on stderr: a bar on a terminal; else a line at the start, one every minute, and one at the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from coderlplus.terminal import console, note

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

T = TypeVar("T")

LINE_EVERY_S = 60.0
"""Seconds between two lines of progress where there is no terminal."""


class Track(Protocol):
    """Shows the progress of a long iteration and hands its items on."""

    def __call__(self, items: Iterable[T], label: str, total: int) -> Iterator[T]: ...


def silent(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """No progress."""
    return iter(items)


@dataclass(slots=True, eq=False)
class Count:
    """Work that is counted: `done` of `total`, of which `before` were done by an earlier process. `detail` is shown
    after the numbers."""

    label: str
    total: int
    before: int = 0
    done: int = 0
    detail: str = ""
    began: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        """Done and total, and once something is done the rate and the time left.

        >>> Count("judging", 40, began=time.monotonic()).line()
        'judging: 0 of 40'
        """
        seconds = time.monotonic() - self.began
        now = self.done - self.before
        told = f"{self.label}: {self.done} of {self.total}"
        if now > 0 and seconds > 0:
            told += f", {_rate(now / seconds)}"
            if self.done < self.total:
                told += f", {clock(seconds / now * (self.total - self.done))} left"
        return f"{told}, {self.detail}" if self.detail else told

    def last_line(self) -> str:
        """How far it came, in which time."""
        stopped = "" if self.done >= self.total else "stopped at "
        text = f"{self.label}: {stopped}{self.done} of {self.total} in {clock(time.monotonic() - self.began)}"
        return f"{text}, {self.detail}" if self.detail else text


def _rate(per_second: float) -> str:
    if per_second >= 1:
        return f"{per_second:.1f} a second"
    return f"{60 * per_second:.1f} a minute" if 60 * per_second >= 1 else f"{3600 * per_second:.1f} an hour"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> clock(3.2), clock(75), clock(3700)
    ('0:03', '1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Shows counts on stderr until it is closed."""

    def __init__(self, line_every_s: float | None = None) -> None:
        self._every = LINE_EVERY_S if line_every_s is None else line_every_s
        self._bars: Bars | None = _bars()
        self._tasks: dict[int, Any] = {}
        self._counts: list[Count] = []
        self._closed = threading.Event()
        self._lines: threading.Thread | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        for count in [*self._counts]:
            self.end(count)
        if self._bars is not None:
            self._bars.stop()
        if self._lines is not None and self._lines.is_alive():  # it is not yet, where its start was interrupted
            self._lines.join()

    def begin(self, label: str, total: int, *, before: int = 0, detail: str = "") -> Count:
        """Show work of `total` parts, of which `before` are done."""
        count = Count(label, total, before, before, detail)
        if self._bars is None:
            note(count.line())
            if self._lines is None:
                self._lines = threading.Thread(target=self._every_minute, daemon=True, name="progress")
                self._lines.start()
        else:
            self._bars.start()
            self._tasks[id(count)] = self._bars.add_task(label, total=total, completed=before, detail=detail)
        self._counts.append(count)
        return count

    def advance(self, count: Count, parts: int = 1, detail: str = "") -> None:
        """Note that `parts` more are done."""
        count.done, count.detail = count.done + parts, detail
        if self._bars is not None:
            self._bars.update(self._tasks[id(count)], completed=count.done, detail=detail)

    def end(self, count: Count) -> None:
        """Show work no longer."""
        self._counts.remove(count)
        if self._bars is None:
            note(count.last_line())

    def track(self, items: Iterable[T], label: str, total: int) -> Iterator[T]:
        """Hand items on and count them; nothing is shown if there are none."""
        if not total:
            yield from items
            return
        count = self.begin(label, total)
        try:
            for item in items:
                yield item
                self.advance(count)
        finally:
            if count in self._counts:
                self.end(count)

    def _every_minute(self) -> None:
        while not self._closed.wait(self._every):
            for count in [*self._counts]:
                note(count.line())


def _bars() -> Bars | None:
    """Bars on stderr; `None` where that is no terminal that can show them."""
    out = console(stderr=True, soft_wrap=False)
    if not out.is_terminal or out.is_dumb_terminal:
        return None
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", markup=False),
        console=out,
    )
