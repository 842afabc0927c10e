"""A back end: a local sandbox of one worker that notes the guest of every job in the file at its address."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from coderlplus.sandbox import AnySandbox, Job, Outcome, Sandbox
from coderlplus.sandbox.backends import BackEnd


class NotingSandbox(AnySandbox):
    backend = "noting"
    can_trace = False
    workers = 1

    def __init__(self, address: str) -> None:
        self._notes, self._sandbox = Path(address), Sandbox(workers=1)
        self.isolation: tuple[str, ...] = self._sandbox.isolation

    def call(self, function: Callable[..., Any], *arguments: Any, weight: float = 0.0) -> Future[Any]:
        return self._sandbox.call(self._noted, function, *arguments, weight=weight)

    def close(self) -> None:
        self._sandbox.close()

    def _noted(self, execute: Callable[[Job], Outcome], function: Callable[..., Any], *arguments: Any) -> Any:
        def noting(job: Job) -> Outcome:
            with self._notes.open("a") as notes:
                notes.write(f"{job.guest}\n")
            return execute(job)

        return function(noting, *arguments)


BACKEND = BackEnd(
    name="noting",
    where="this machine, with notes",
    open=lambda workers, address: NotingSandbox(address or ""),
    address="notes.txt",
    needs_address=True,
    can_trace=False,
)
