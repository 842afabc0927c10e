"""What goes into the sandbox and what comes out of it."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any, Literal

from coderlplus.records import Limits

EndingName = Literal["returned", "exited", "signal", "time_limit", "memory_limit", "output_limit", "fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call of a *guest*: our function that runs inside the sandbox, in a process of its own, together with the
    program that it is given.

    `guest` is `"package.module:function"`, for example `"coderlplus.judge.guest:run_stdio"`. The module is imported in
    the zygote, so it and what it imports may use the standard library and other such modules of this package only; the
    `__init__` files of packages are not run there. The function is called as `function(payload, host)` in the
    sandboxed child, with

    - `payload`: the JSON value of the job;
    - `host.reply(value)`: sends a JSON value out; may be called many times, and what was sent before a crash is not
      lost;
    - `host.peer`: the file descriptor of a socket to the other process, or `None`.

    File descriptors 0, 1 and 2 are `stdin`, stdout and stderr, `sys.stdin` and so on are fresh text streams on them
    (`host.open_streams()` makes them anew). The guest modules have builtins of their own, so a program that patches
    `builtins` does not change what they do.
    """

    guest: str
    payload: Any = None
    stdin: bytes = b""
    limits: Limits = field(default_factory=Limits)
    reply_kb: int = 4096
    """Most that the guest may send out with `reply`."""
    hash_seed: int = 0
    """Seed of `hash(str)` and of the module `random` (a job with a seed not used before starts another zygote)."""
    peer: Job | None = None
    """A second job that runs at the same time in a second sandboxed process, joined to the first by a socket; it is
    killed when the first has ended (and then counts as `returned`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a job ended. `replies`, `stdout` and `stderr` are claims of the program's process: take them as data, never
    as a verdict."""

    ending: EndingName
    """`returned`: the guest function returned. `exited`: the process ended before that, with `exit_code`. `signal`:
    killed by signal `exit_code`. `time_limit`, `memory_limit`, `output_limit`: beyond the limits. `fault`: our own
    sandbox failed, twice; that says nothing of the program."""
    exit_code: int = 0
    replies: tuple[Any, ...] = ()
    """The JSON values sent by the guest, in order."""
    stdout: bytes = b""
    """At most `limits.output_kb`."""
    stderr: str = ""
    """The last 4,000 characters."""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0
    """Largest resident size; about 15 MB of it are the interpreter."""
    isolation: tuple[str, ...] = ()
    """The layers in force."""
    detail: str = ""
    """For a fault: what happened."""
    peer: Outcome | None = None


def ending_of(
    job: Job, code: int, cpu_s: float, *, killed: str, over_output: bool, over_memory: bool, is_whole: bool
) -> tuple[EndingName, int]:
    """How a process ended that left with `code` (negative: signal) or was `killed` from outside, for `"time"` or
    because it was not needed any more, and `exit_code`; `is_whole`: its guest returned."""
    if killed == "time" or code == -signal.SIGXCPU or cpu_s > job.limits.cpu_s:
        return "time_limit", code
    if over_output:
        return "output_limit", code
    if over_memory:
        return "memory_limit", code
    if killed or is_whole:
        return "returned", 0
    return ("signal", -code) if code < 0 else ("exited", code)
