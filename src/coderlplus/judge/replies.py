"""What processes in the sandbox reply, read on the host: one reader for each kind of reply, with a closed set of
fields, types and sizes.

A reply of the program's process claims a value, an exception, an exit code; the reader gives `None` for anything else,
and the program has failed. Only replies of the examiner and of a checker, in processes where no code of the program
runs, say how a test ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coderlplus.judge.wire import MESSAGE_CHARS, NAME_CHARS, VIEWS, Fields, has_shape
from coderlplus.records import TaggedValue

_SAID = {"raised", "message"}
_RAISED: Fields = {
    **{"raised": (str,), "message": (str,), "base": (str,)},
    **dict.fromkeys(("line", "test_line"), (int, type(None))),
}


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception: its class and message, shortened, the line of the program, and the nearest builtin class."""

    name: str
    message: str
    line: int | None
    test_line: int | None = None
    base: str = ""


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
    if has_shape(reply, {"syntax_error": (str,)}):
        return NotLoaded(syntax_error=reply["syntax_error"][:MESSAGE_CHARS])
    if has_shape(reply, {**_RAISED, "loading": (bool,)}, {"loading", *_SAID}):
        return NotLoaded(raised=_raised(reply))
    return None


def read_script_end(reply: object) -> ScriptEnd | None:
    fields = {"exit_code": (int,), "stdout": (int,), "thread": (dict,), **_RAISED}
    if not has_shape(reply, fields, {"exit_code", "stdout"}) or ("raised" in reply) != ("message" in reply):
        return None
    if "thread" in reply and not has_shape(reply["thread"], _RAISED, _SAID):
        return None
    if not 0 <= reply["exit_code"] <= 255 or reply["stdout"] < 0:
        return None
    raised = _raised(reply) if "raised" in reply else None
    in_thread = _raised(reply["thread"]) if "thread" in reply else None
    return ScriptEnd(reply["exit_code"], reply["stdout"], raised, in_thread)


def read_returned(reply: object) -> Returned | Raised | None:
    if has_shape(reply, {"value": (object,), "truth": (bool,)}, {"value"}):
        return Returned(reply["value"], reply.get("truth"))
    if has_shape(reply, {"items": (list,), "view": (str,)}) and reply["view"] in VIEWS:
        return Returned(reply["items"], view=reply["view"])
    return _raised(reply) if has_shape(reply, _RAISED, _SAID) else None


def read_in_process(reply: object) -> Examined | None:
    """How a test ended that ran in the process of the program: `passed`, `assertion` or `raised`."""
    if reply == {"end": "passed"}:
        return Examined("passed")
    if has_shape(reply, {"end": (str,), **_RAISED}, {"end", *_SAID}) and reply["end"] in ("assertion", "raised"):
        return Examined(reply["end"], raised=_raised(reply))
    return None


def read_examined(reply: object) -> Examined | None:
    """How the examiner says that a test ended."""
    fields = {"end": (str,), "call": (dict,), "value": (object,), **_RAISED}
    if not has_shape(reply, fields, {"end"}):
        return None
    call = reply.get("call")
    if call is not None and not has_shape(call, {"args": (list,), "kwargs": (dict,)}):
        return None
    return Examined(
        end=reply["end"],
        message=reply.get("message", "")[:MESSAGE_CHARS],
        raised=_raised(reply) if "raised" in reply else None,
        call=None if call is None else (call["args"], call["kwargs"]),
        value=(reply["value"],) if "value" in reply else None,
    )


def read_checked(reply: object) -> tuple[bool | None, str] | None:
    """What a checker says: whether it accepts (`None`: it cannot say) and why."""
    if has_shape(reply, {"accepted": (bool,), "reason": (str,)}):
        return reply["accepted"], reply["reason"][:MESSAGE_CHARS]
    if has_shape(reply, {"fault": (str,)}):
        return None, reply["fault"][: 2 * MESSAGE_CHARS]
    return None


def _raised(reply: dict[str, Any]) -> Raised:
    line, test_line = (
        number if number is not None and 0 < number < 1 << 31 else None
        for number in (reply.get("line"), reply.get("test_line"))
    )
    name, message, base = (reply.get(field, "") for field in ("raised", "message", "base"))
    return Raised(name[:NAME_CHARS], message[:MESSAGE_CHARS], line, test_line, base[:NAME_CHARS])
