"""The part of the tracer that runs inside the sandbox, in the process of the program. Standard library only.

`run(payload, host)` runs one instrumented program on one input and sends one reply:

    {"token", "ending": {...}, "value": tagged, "variables": {scope: {name: tagged}}, "missing": {...}, "fingerprint": "...", "suspect": bool}

`payload` is `{"program", "setup_code", "input", "semantics", "wanted", "seen", "cpu_s", "token"}`; the reply repeats the token, which a program that
merely writes to whatever descriptors it finds does not know. What a program prints goes to its standard output, which is not
where the reply goes. A program that is cut short by `os._exit` or by the time limit still replies with the values that it had, as far as the
interpreter gets to run.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import functools
import os
import signal
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from coderlplus.sandbox import values
from coderlplus.tracing import chance, instrument, instrumented, recorder

JSON = dict[str, Any]

MESSAGE_CHARS = 200
VALUE_BUDGET = 1_000
"""Size of one variable's value, see `values.encode`: what does not fit is cut, and nobody would ask for it."""
CUT_SHORT_AT = 0.9
"""Share of the CPU time limit after which a running program is cut short, so that there is time left to take its values."""


def run(payload: JSON, host: Any) -> None:
    """Run a program and reply with what it did; see the module docstring."""
    semantics, token = payload["semantics"], payload.pop("token")
    ending: JSON
    try:
        program = instrument.instrument(payload["program"], semantics)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        ending = {"kind": "syntax_error", "type": type(error).__name__, "message": _message(error), "line": line}
        host.reply({"token": token, "ending": ending})
        return
    wanted = {int(index): marks for index, marks in payload["wanted"].items()}
    encode = functools.partial(values.encode, budget=VALUE_BUDGET)
    notes = recorder.Recorder(program, encode, wanted, binding=semantics == "binding")
    code = instrumented.filled(program, _objects(notes))
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main

    replied: list[bool] = []

    def reply(ending: JSON, value: Any = None, error: BaseException | None = None) -> None:
        if replied:
            return
        replied.append(True)
        notes.finish(main.__dict__, error)
        missing = notes.missing()
        host.reply(
            {
                "token": token,
                "ending": ending,
                "value": value,
                "variables": {} if semantics == "official" and ending["kind"] != "finished" else notes.variables(),
                "missing": {str(index): marks for index, marks in missing.items()},
                "fingerprint": notes.fingerprint(),
                "suspect": (bool(missing) or payload["seen"]) and chance.may_play(payload["program"]),
            }
        )

    _reply_when_cut_short(reply, payload["cpu_s"] * CUT_SHORT_AT)
    ending = {"kind": "finished"}
    value = failure = None
    try:
        exec(compile(payload["setup_code"], "<setup>", "exec", dont_inherit=True), main.__dict__)
        exec(code, main.__dict__)
        if payload["input"]["kind"] == "call":
            value = values.encode(_call(main.__dict__, payload["input"]))
    except SystemExit as error:
        ending = {"kind": "exit", "message": str(error.code) if type(error.code) in (int, str) else None}
    except BaseException as error:
        failure, ending = error, _exception(error)
    with contextlib.suppress(BaseException):
        threading._shutdown()  # type: ignore[attr-defined]  # waits for the program's threads, as the interpreter does at its end
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    reply(ending, value, failure)


def _reply_when_cut_short(reply: Callable[[JSON], None], cpu_s: float) -> None:
    """Let `os._exit` and the end of the CPU time send what there is. A program that keeps the interpreter from running signal handlers loses it."""
    leave = os._exit

    def exit_with_reply(status: int) -> None:
        try:
            reply({"kind": "exit", "message": str(status) if type(status) is int else None})
        finally:
            leave(status)

    def out_of_time(_signal: int, _frame: types.FrameType | None) -> None:
        try:
            reply({"kind": "time_limit"})
        finally:
            leave(0)

    os._exit = exit_with_reply  # type: ignore[assignment]
    signal.signal(signal.SIGPROF, out_of_time)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def _objects(notes: recorder.Recorder) -> dict[str, Any]:
    """What fills the slots of an instrumented program."""
    named = {
        instrumented.LAST: notes.marks,
        instrumented.COUNT: notes.marks,
        instrumented.CALLS: notes.calls,
        instrumented.CLOSE: notes.close,
        instrumented.SET_LAST: notes.marks.__setitem__,
        instrumented.RECORD: notes.record,
        instrumented.RECORD_WALRUS: notes.record_walrus,
        instrumented.VISIBLE: notes.visible,
        instrumented.TOO_DEEP: RecursionError,
    }
    return named | {instrumented.wanted(index): marks for index, marks in notes.wanted.items()}


def _call(namespace: JSON, call: JSON) -> Any:
    method = call["entry_point"].removeprefix("Solution().")
    name = method if method == call["entry_point"] else "Solution"
    if name not in namespace:
        raise NameError(f"name {name!r} is not defined")
    function = namespace[name] if name == method else getattr(namespace[name](), method)
    return function(*map(values.decode, call["args"]), **{key: values.decode(value) for key, value in call["kwargs"].items()})


def _exception(error: BaseException) -> JSON:
    kind = "memory_limit" if type(error) is MemoryError else "exception"
    line = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == instrumented.FILENAME:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return {"kind": kind, "type": type(error).__name__, "message": _message(error), "line": line}


def _message(error: BaseException) -> str | None:
    """The message of an exception without running the program's code: that of its own exception classes only if it is a plain text."""
    if type(error) is RecursionError:
        return "maximum recursion depth exceeded"
    if isinstance(error, SyntaxError):
        return error.msg[:MESSAGE_CHARS] if type(error.msg) is str else None
    if type(type(error).__str__) is types.WrapperDescriptorType:  # written in C
        if len(error.args) == 1 and type(error.args[0]) is str:
            return error.args[0][:MESSAGE_CHARS]
        if all(type(argument) in (int, str, float, bool, type(None)) for argument in error.args):
            return BaseException.__str__(error)[:MESSAGE_CHARS] or None
    return None


instrument.instrument("def f(a): return a")  # the first parse of an interpreter is slow: it happens once here, before the sandbox forks
