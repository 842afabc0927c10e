"""A run on several processes: what each does for itself, what one does for all, and what happens when one of them is
gone."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar

from coderlplus.errors import CodeRLPlusError

Result = TypeVar("Result")


def workers_here() -> int:
    """Programs to run at the same time: the CPUs of this process divided by the processes of the machine, as the
    launcher counts them."""
    return max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def rank() -> int | None:
    """The number of this process among those of the run, or `None` where it is alone."""
    return int(os.environ["RANK"]) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else None


def connect(settings: Mapping[str, Any]) -> None:
    """Connect the processes of a run without GPUs, of which each waits for another `ddp_timeout` s: transformers keeps
    to it on GPUs alone."""
    import torch.distributed as dist

    if rank() is not None and settings.get("use_cpu") and settings.get("ddp_timeout") and not dist.is_initialized():
        dist.init_process_group(
            settings.get("ddp_backend") or "gloo", timeout=timedelta(seconds=settings["ddp_timeout"])
        )


def on_main_process(function: Callable[[], Result]) -> Result:
    """Call `function` on the main process alone; every process returns what it returned, or raises its
    `CodeRLPlusError`."""
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    outcome: list[Any] = [None]
    if PartialState().is_main_process:
        try:
            outcome[0] = function()
        except CodeRLPlusError as error:
            outcome[0] = error
    (result,) = broadcast_object_list(outcome)
    if isinstance(result, CodeRLPlusError):
        raise result
    return result  # type: ignore[no-any-return]


@contextlib.contextmanager
def others_may_fail(arguments: Any) -> Iterator[None]:
    """Turn the error of a collective operation into a sentence: another process of the run is gone, or silent for
    longer than `ddp_timeout`."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, CodeRLPlusError) or arguments.world_size == 1 or not is_of_the_group(error):
            raise
        raise CodeRLPlusError(
            f"another process of this run is gone, or did not answer for {arguments.ddp_timeout} s (trl.ddp_timeout); "
            "its own message says why. The same command continues"
        ) from error


@contextlib.contextmanager
def signals_to(handler: Callable[[int, FrameType | None], Any], *numbers: int) -> Iterator[None]:
    """Hand signals to a function inside; outside the main thread they stay as they are."""
    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):
        before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, one in before.items():
            signal.signal(number, one)


def is_of_the_group(error: Exception) -> bool:
    """Whether an error is of the communication between processes."""
    import torch

    text = str(error)
    return isinstance(error, torch.distributed.DistError) or any(
        name in text for name in ("gloo", "NCCL", "Connection closed by peer", "Connection reset")
    )
