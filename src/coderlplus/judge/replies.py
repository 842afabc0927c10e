"""What processes in the sandbox reply, read on the host: one reader for each kind of reply, with a closed set of
fields, types and sizes.

A reply of the program's process claims a value, an exception, an exit code; the reader gives `None` for anything else,
and the program has failed. Only replies of the examiner and of a checker, in processes where no code of the program
runs, say how a test ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coderlplus.judge.wire import MESSAGE_CHARS, NAME_CHARS
from coderlplus.records import TaggedValue

_LOCATION = {"line": (int, type(None)), "test_line": (int, type(None))}
_RAISED: Mapping[str, tuple[type, ...]] = {"raised": (str,), "message": (str,), **_LOCATION}


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception: its class and message, shortened, and the line of the program."""

    name: str
    message: str
    line: int | None
    test_line: int | None = None


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """A program that failed before any test: it does not compile (`syntax_error`), or it raised."""

    syntax_error: str = ""
    raised: Raised | None = None


@dataclass(frozen=True, slots=True)
class ScriptEnd:
    """How a script ended: its exit code, the size of stdout behind it, and the exception that ended it or one of its
    threads."""

    exit_code: int
    stdout: int
    raised: Raised | None = None
    in_thread: Raised | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """What a call returned; `truth` is whether it counts as true where the value does not say it itself, `view` what
    view of a dict its items are."""

    value: TaggedValue
    truth: bool | None = None
    view: str | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """How a test ended; see `examiner.examine`."""

    end: str
    message: str = ""
    raised: Raised | None = None
    call: tuple[list[TaggedValue], dict[str, TaggedValue]] | None = None
    value: tuple[TaggedValue] | None = None


def read_not_loaded(reply: object) -> NotLoaded | None:
    if _has(reply, {"syntax_error": (str,)}):
        return NotLoaded(syntax_error=reply["syntax_error"][:MESSAGE_CHARS])  # type: ignore[index]
    if _has(reply, {**_RAISED, "loading": (bool,)}, {"loading", "raised", "message"}):
        return NotLoaded(raised=_raised(reply))
    return None


def read_script_end(reply: object) -> ScriptEnd | None:
    fields = {"exit_code": (int,), "stdout": (int,), "thread": (dict,), **_RAISED}
    if not isinstance(reply, dict) or not _has(reply, fields, {"exit_code", "stdout"}):
        return None
    thread = reply.get("thread")
    if ("raised" in reply) != ("message" in reply) or not (
        thread is None or _has(thread, _RAISED, {"raised", "message"})
    ):
        return None
    if not 0 <= reply["exit_code"] <= 255 or reply["stdout"] < 0:
        return None
    raised = _raised(reply) if "raised" in reply else None
    return ScriptEnd(reply["exit_code"], reply["stdout"], raised, None if thread is None else _raised(thread))


def read_returned(reply: object) -> Returned | Raised | None:
    if not isinstance(reply, dict):
        return None
    if _has(reply, {"value": (object,), "truth": (bool,)}, {"value"}):
        return Returned(reply["value"], reply.get("truth"))
    if _has(reply, {"items": (list,), "view": (str,)}, {"items", "view"}) and reply["view"] in (
        "keys",
        "values",
        "items",
    ):
        return Returned(reply["items"], view=reply["view"])
    return _raised(reply) if _has(reply, _RAISED, {"raised", "message"}) else None


def read_in_process(reply: object) -> Examined | None:
    """How a test ended that ran in the process of the program: `passed`, `assertion` or `raised`."""
    if _has(reply, {"end": (str,)}) and reply["end"] == "passed":  # type: ignore[index]
        return Examined("passed")
    if not isinstance(reply, dict) or not _has(reply, {"end": (str,), **_RAISED}, {"end", "raised", "message"}):
        return None
    return Examined(reply["end"], raised=_raised(reply)) if reply["end"] in ("assertion", "raised") else None


def read_examined(reply: object) -> Examined | None:
    """How the examiner says that a test ended."""
    if not isinstance(reply, dict):
        return None
    call = reply.get("call")
    if call is not None and not _has(call, {"args": (list,), "kwargs": (dict,)}):
        return None
    if not isinstance(reply.get("end"), str) or not _has(
        reply, {"end": (str,), "call": (dict,), "value": (object,), **_RAISED}, {"end"}
    ):
        return None
    message = reply.get("message", "")[:MESSAGE_CHARS]
    raised = _raised(reply) if "raised" in reply else None
    told = None if call is None else (call["args"], call["kwargs"])
    return Examined(reply["end"], message, raised, told, (reply["value"],) if "value" in reply else None)


def read_checked(reply: object) -> tuple[bool | None, str] | None:
    """What a checker says: whether it accepts (`None`: it cannot say) and why."""
    if isinstance(reply, dict) and _has(reply, {"accepted": (bool,), "reason": (str,)}):
        return reply["accepted"], reply["reason"][:MESSAGE_CHARS]
    if isinstance(reply, dict) and _has(reply, {"fault": (str,)}):
        return None, reply["fault"][: 2 * MESSAGE_CHARS]
    return None


def _has(reply: object, fields: Mapping[str, tuple[type, ...]], required: set[str] | None = None) -> bool:
    """Whether a reply has the required fields (all, where none are named), no others than these, and each of its
    type."""
    if type(reply) is not dict or not (fields.keys() if required is None else required) <= reply.keys():
        return False
    return all(
        name in fields and (fields[name] == (object,) or type(value) in fields[name]) for name, value in reply.items()
    )


def _raised(reply: Any) -> Raised:
    line, test_line = (
        number if number is not None and 0 < number < 1 << 31 else None
        for number in (reply.get("line"), reply.get("test_line"))
    )
    return Raised(reply["raised"][:NAME_CHARS], reply.get("message", "")[:MESSAGE_CHARS], line, test_line)
