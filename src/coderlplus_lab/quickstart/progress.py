"""Progress of a job of several stages, with the time left: bars in a terminal, else a line every ten seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

LINE_EVERY_S = 10.0


class Progress:
    """`planned_s` names the stages in order with the seconds that they take on the reference machine; what has passed corrects what is left."""

    def __init__(self, planned_s: Mapping[str, float]) -> None:
        self._planned = dict(planned_s)
        self._done: set[str] = set()
        self._skipped: set[str] = set()
        self._spent: dict[str, float] = {}
        self._began = self._stage_began = self._printed = time.monotonic()
        self._stage = ""
        self._console = Console(stderr=True, highlight=False)
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )
            self._tasks = {stage: self._bars.add_task(stage, total=1.0, note="") for stage in self._planned}
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, stage: str) -> None:
        """Enter a stage; the one before is done."""
        self._stage, self._stage_began = stage, time.monotonic()
        self._show(0.0, "", always=True)

    def update(self, share: float, note: str = "") -> None:
        """The share of the stage that is done, in [0, 1]."""
        self._show(share, note)

    def end(self, *, skipped: bool = False) -> None:
        """The stage is done, or was before (`skipped`)."""
        self._done.add(self._stage)
        if skipped:
            self._skipped.add(self._stage)
        else:
            self._spent[self._stage] = time.monotonic() - self._stage_began
        self._show(1.0, "was done before" if skipped else "", always=True)

    def left_s(self, share: float) -> float:
        """Seconds left, from the pace of this stage and, for those to come, of all before."""
        planned = sum(self._planned[stage] for stage in self._spent)
        pace = min(4.0, max(0.5, sum(self._spent.values()) / planned)) if planned else 1.0
        elapsed = time.monotonic() - self._stage_began
        here = 0.0 if self._stage in self._done else elapsed * (1 - share) / share if share > 0.05 else self._planned[self._stage] * pace
        later = list(self._planned)[list(self._planned).index(self._stage) + 1 :]
        return here + pace * sum(self._planned[stage] for stage in later if stage not in self._done)

    def _show(self, share: float, note: str, always: bool = False) -> None:
        left = f"{clock(self.left_s(share))} left"
        if self._bars is not None:
            self._bars.update(self._tasks[self._stage], completed=share, note=f"{note}  {left}" if share < 1 else note)
        elif always or time.monotonic() - self._printed > LINE_EVERY_S:
            self._printed = time.monotonic()
            line = f"[{clock(self._printed - self._began)}] {self._stage} {share:4.0%}  {note}"
            print(f"{line.rstrip()}  ({left})", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(83.4)
    '1:23'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
