"""What the actor of one node does: it takes calls, and hands back those that are done, many in one reply."""

from __future__ import annotations

import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from coderlplus.errors import SandboxError
from coderlplus.sandbox.jobs import Job, Outcome
from coderlplus.sandbox.protocol import AnySandbox

MESSAGE_BYTES = 8 << 20
"""About how much one message holds at most: of problems on the way there, of results on the way back; one is always
sent."""
PROBLEM_BYTES = 64 << 20
"""Pickled problems that the driver and each node keep."""


class Stored(NamedTuple):
    """In the place of a problem among the arguments of a call."""

    key: int


class Sent(NamedTuple):
    """A call on its way to a node: `work` is `(function, arguments)`, pickled."""

    serial: int
    weight: float
    work: bytes


class Done(NamedTuple):
    """What became of a call: `ending` is `returned` or `raised` with the pickled value, or `unknown` if the node does
    not have one of its problems (any more). `fault` says how the sandbox of the node failed under it, if it did."""

    serial: int
    ending: str
    value: bytes = b""
    fault: str = ""


class _Unknown(Exception):
    """The node does not have a problem."""


class NodeWork:
    """The calls of one node. Safe for threads; each exchange waits in a thread of its own."""

    def __init__(self, sandbox: AnySandbox, dumps: Callable[[Any], bytes], loads: Callable[[bytes], Any]) -> None:
        self._sandbox, self._dumps, self._loads = sandbox, dumps, loads
        self._problems: OrderedDict[int, tuple[Any, int]] = OrderedDict()
        self._size = 0
        self._changed = threading.Condition()
        self._running = 0
        self._done: list[Done] = []
        self._exchange = 0
        self._replied = 0.0

    def exchange(self, calls: Sequence[Sent], problems: dict[int, bytes], pause_s: float) -> list[Done]:
        """Start these calls, then wait for some of all calls to be done, and return those.

        It waits until half of the node's calls are done, so that it never runs out of work before more can arrive, or
        until one is done and `pause_s` have passed since the last reply: few replies, and none of them late. Another
        exchange ends this one with nothing, and returns what is done.
        """
        with self._changed:
            self._exchange += 1
            this = self._exchange
            self._changed.notify_all()
        given = {key: self._read(text) for key, text in problems.items()}
        self._keep({key: (given[key], len(text)) for key, text in problems.items()})
        for call in calls:
            self._start(call, given)
        with self._changed:
            while this == self._exchange and (self._running or self._done):
                wait_s = self._replied + pause_s - time.monotonic()
                if self._done and (len(self._done) >= self._running or wait_s <= 0):
                    break
                self._changed.wait(wait_s if self._done else None)
            return self._taken() if this == self._exchange else []

    def _keep(self, problems: dict[int, tuple[Any, int]]) -> None:
        with self._changed:
            for key, (problem, size) in problems.items():
                self._size += size - self._problems.pop(key, (None, 0))[1]
                self._problems[key] = problem, size
            while self._size > PROBLEM_BYTES and len(self._problems) > 1:
                self._size -= self._problems.popitem(last=False)[1][1]

    def _read(self, text: bytes) -> Any:
        """What was pickled, or the error that says why it cannot be read."""
        try:
            return self._loads(text)
        except BaseException as error:
            return SandboxError(f"a node of the Ray cluster cannot read what was sent to it: {said(error)}")

    def _start(self, call: Sent, given: dict[int, Any]) -> None:
        with self._changed:
            self._running += 1
        try:
            function, arguments = readable(self._read(call.work))
            found = [self._found(each, given) if isinstance(each, Stored) else each for each in arguments]
            faults: list[str] = []
            future = self._sandbox.call(partial(_watched, faults, function), *found, weight=call.weight)
        except _Unknown:
            self._end(Done(call.serial, "unknown"))
        except Exception as error:
            self._end(self._raised(call.serial, error))
        else:
            future.add_done_callback(partial(self._ended, call.serial, faults))

    def _found(self, stored: Stored, given: dict[int, Any]) -> Any:
        with self._changed:
            if stored.key in self._problems:
                self._problems.move_to_end(stored.key)
                return readable(self._problems[stored.key][0])
        if stored.key not in given:
            raise _Unknown
        return readable(given[stored.key])

    def _ended(self, serial: int, faults: Sequence[str], future: Future[Any]) -> None:
        fault = "".join(faults[:1])
        try:
            value = future.result()
        except BaseException as error:
            self._end(self._raised(serial, error)._replace(fault=fault))
            return
        try:
            done = Done(serial, "returned", self._dumps(value), fault)
        except BaseException as error:
            reason = f"a node of the Ray cluster cannot send back what a call returned: {said(error)}"
            done = self._raised(serial, SandboxError(reason))
        self._end(done)

    def _raised(self, serial: int, error: BaseException) -> Done:
        try:
            text = self._dumps(error)
            self._loads(text)
        except BaseException:  # it holds what cannot be pickled, or takes other arguments than it keeps
            text = self._dumps(SandboxError(said(error)))
        return Done(serial, "raised", text)

    def _end(self, done: Done) -> None:
        with self._changed:
            self._running -= 1
            self._done.append(done)
            if len(self._done) == 1 or len(self._done) >= self._running:
                self._changed.notify_all()

    def _taken(self) -> list[Done]:
        """As many as one message holds."""
        size = taken = 0
        for done in self._done:
            size += len(done.value)
            if taken and size > MESSAGE_BYTES:
                break
            taken += 1
        result, self._done = self._done[:taken], self._done[taken:]
        self._replied = time.monotonic()
        return result


def _watched(
    faults: list[str],
    function: Callable[..., Any],
    execute: Callable[[Job], Outcome],
    *arguments: Any,
) -> Any:
    """A call that notes the faults of the sandbox under its jobs."""

    def watched(job: Job) -> Outcome:
        try:
            outcome = execute(job)
        except SandboxError as error:
            faults.append(str(error))
            raise
        if outcome.ending == "fault":
            faults.append(outcome.detail or "it failed")
        return outcome

    return function(watched, *arguments)


def readable(read: Any) -> Any:
    """Raises what could not be read."""
    if isinstance(read, SandboxError):
        raise read
    return read


def said(error: BaseException) -> str:
    """An error in one line, also if it cannot say itself what it is."""
    return " ".join("".join(traceback.format_exception_only(error)).split())
