"""Runs judging and tracing in the background while the model computes log-probabilities and updates.

The work runs in a thread of this process and leaves nothing but its result, so a run that waits for it is the same as
one that did it in between.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class Background(Generic[Result]):
    """Starts `function(*arguments)` at once, in a thread.

    >>> Background(sum, [1, 2]).result(limit_s=10)
    3
    """

    def __init__(self, function: Callable[..., Result], *arguments: Any) -> None:
        self.seconds = 0.0
        """How long the work took, once it is done."""
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._work, args=(function, arguments), name="coderlplus-background", daemon=True
        )
        self._thread.start()

    def result(self, limit_s: float) -> Result:
        """What the function returned; raises what it raised, and `TimeoutError` if it is not done after `limit_s`
        seconds of waiting."""
        self._thread.join(min(limit_s, threading.TIMEOUT_MAX))
        if self._thread.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def _work(self, function: Callable[..., Result], arguments: tuple[Any, ...]) -> None:
        began = time.perf_counter()
        try:
            self._result = function(*arguments)
        except BaseException as error:
            self._error = error
        self.seconds = time.perf_counter() - began
