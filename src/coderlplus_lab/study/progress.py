"""Progress of a job of several stages, with the time left.

In a terminal there is a bar a stage; elsewhere there are lines, every ten seconds at first and later less often.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars

from coderlplus.progress import clock

LINE_EVERY_S = (10.0, 60.0)
"""Seconds between two lines, at least and at most; in between it is a fiftieth of the time that has passed."""


class Progress:
    """`stages` are named in order. A stage whose share is neither 0 nor 1 is under way."""

    def __init__(self, stages: Sequence[str]) -> None:
        self._began = self._printed = time.monotonic()
        self._shares = dict.fromkeys(stages, 0.0)
        console = Console(stderr=True, highlight=False)
        self._bars: Bars | None = None
        if console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description:<12}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TextColumn("{task.fields[note]}"),
                console=console,
            )
            self._tasks = {stage: self._bars.add_task(stage, total=1.0, note="") for stage in stages}

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def say(self, text: str) -> None:
        """Tell of something that happened."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def update(self, shares: Mapping[str, float], notes: Mapping[str, str], left_s: float | None) -> None:
        """The share of each stage that is done, in [0, 1], a word on those under way, and the seconds left, if
        known."""
        left = f"({clock(left_s)} left)" if left_s is not None else ""
        changed = [
            stage
            for stage, share in shares.items()
            if share != self._shares[stage] and (share == 1.0 or self._shares[stage] == 0.0)
        ]
        self._shares |= shares
        if self._bars is not None:
            for stage, share in shares.items():
                under_way = share < 1 and notes.get(stage) is not None
                self._bars.update(
                    self._tasks[stage], completed=share, note=f"{notes[stage]}  {left}" if under_way else ""
                )
        elif changed or time.monotonic() - self._printed > self._line_every_s():
            self._printed = time.monotonic()
            parts = [
                f"{stage} {shares[stage]:4.0%}  {notes.get(stage, '')}".rstrip()
                for stage in shares
                if stage in notes or stage in changed
            ]
            self.say(f"[{clock(self._printed - self._began)}] {'; '.join(parts)}  {left}".rstrip())

    def _line_every_s(self) -> float:
        first, last = LINE_EVERY_S
        return min(last, max(first, 0.02 * (time.monotonic() - self._began)))
