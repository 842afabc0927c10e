"""The part of the tracer that runs inside the sandbox, in the process of the program. Standard library only.

`run(payload, host)` runs one program on one input and sends one reply `{"seal", "body"}`. The body is JSON text

    {"ending": {...}, "value": tagged, "variables": {scope: {name: tagged}}, "missing": {...}, "fingerprint": "...", "suspect": bool}
    {"steps": [...], "cut": reason or null, ...}       of a run that reports its steps
    {"withheld": event}                                of a program that reached for its own frames or code: its run is over

and the seal can be made only with the `key` of the payload, which the program cannot get at (see `monitor`).

`payload` is `{"program", "setup_code", "input", "mode", "wanted", "seen", "cpu_s", "memory_mb", "max_steps", "max_bytes", "key"}`. `mode` is a
semantics, `"steps"`, or `"plain"`: run the original unwatched and report how it ended. What a program prints goes to its standard output, not where
the reply goes. A program that is cut short by `os._exit` or by a limit still replies with the values that it had, as far as the interpreter gets to
run.
"""

from __future__ import annotations

import atexit
import builtins
import operator
import os
import resource
import signal
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from coderlplus.sandbox import nodes, values
from coderlplus.tracing import chance, instrument, instrumented, monitor, names, recorder, rewriting, stepping, steps

JSON = dict[str, Any]

MESSAGE_CHARS = 200
VALUE_BUDGET = 1_000
"""Size of one variable's value, see `values.encode`: what does not fit is cut, and nobody would ask for it."""
CUT_SHORT_AT = 0.9
"""Share of the limits of CPU time and memory at which a running program is cut short, so that there is room left to take its values."""
TICK_S = 0.02
"""CPU time between two looks at these limits."""
NODE_CLASSES = "class ListNode:\n def __init__(self, val=0, next=None): self.val, self.next = val, next\n"
NODE_CLASSES += "class TreeNode:\n def __init__(self, val=0, left=None, right=None): self.val, self.left, self.right = val, left, right\n"
"""For arguments of programs that do not define them, as LeetCode's do not."""

# Taken here, where the program cannot patch them
_leave, _set_timer, _Namespace, _Method = os._exit, signal.setitimer, types.SimpleNamespace, types.MethodType
_process_time, _getrusage = time.process_time, resource.getrusage
_OFFICIAL_TYPES = frozenset(map(id, (int, float, str, bool, list, dict, tuple, set, type(None))))
_SINK = type("", (), {"__setitem__": operator.is_})()
"""Takes `SINK[0] = value` and does nothing."""
_Wrapper = types.WrapperDescriptorType


def run(payload: JSON, host: Any) -> None:
    """Run a program and reply with what it did; see the module docstring."""
    mode, key = payload["mode"], payload.pop("key")
    send = _sender(host, key)
    try:
        program = instrument.instrument(payload["program"], "official" if mode == "plain" else mode)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else None
        send({"ending": {"kind": "syntax_error", "type": type(error).__name__, "message": _message(error), "line": line}})
        return
    is_script = payload["input"]["kind"] != "call"
    main = sys.modules["__main__"] = _module("__main__")
    if not is_script:  # as in the judge
        main = sys.modules["program"] = _module("program")
        if payload["input"]["entry_point"].startswith("Solution()"):
            main.__dict__.update(_node_classes())
    encode = _encoder()
    if mode == "steps":
        report = _report_of_steps(payload, program, main.__dict__, encode, send)
    else:
        report = _report_of_variables(payload, program, main.__dict__, encode, is_bare=mode in ("official", "plain"))
    code = instrumented.filled(program, report.objects)

    replied: list[bool] = []
    used_mb = _used_mb()

    def reply(ending: JSON, value: Any = None, error: BaseException | None = None) -> None:
        if replied:
            return
        replied.append(True)
        limit = recorder.raise_recursion_limit()
        if _used_mb() - used_mb >= payload["memory_mb"]:
            ending = {"kind": "memory_limit"}
        try:
            taken = report.take(ending, error)
        except (MemoryError, RecursionError):
            taken = {}
        send(taken | {"ending": ending, "value": value})
        recorder.restore_recursion_limit(limit)

    def breach(event: str) -> None:
        if not replied:
            replied.append(True)
            send({"withheld": event})
        _leave(0)

    ending: JSON = {"kind": "finished"}
    value = failure = None
    setup = compile(payload["setup_code"], "<setup>", "exec", dont_inherit=True)
    _reply_when_cut_short(reply, payload["cpu_s"] * CUT_SHORT_AT, payload["memory_mb"] * CUT_SHORT_AT)
    if mode != "plain":
        monitor.patch()
        monitor.strip(monitor.our_classes(host))
        monitor.watch(_OUR_CODE, breach)
    try:
        exec(setup, main.__dict__)
        exec(code, main.__dict__)
        if not is_script:
            value = encode(_call(main.__dict__, payload["input"]), budget=values.BUDGET, by_value=True)
    except SystemExit as error:
        ending = {"kind": "exit", "message": str(error.code) if type(error.code) in (int, str) else None}
    except BaseException as error:
        failure, ending = error, _exception(error)
    for clean_up in (_wait_for_threads, _run_exit_functions, lambda: sys.stdout.flush()):
        try:
            clean_up()
        except BaseException:
            continue
    reply(ending, value, failure)


_wait_for_threads, _run_exit_functions = threading._shutdown, atexit._run_exitfuncs  # type: ignore[attr-defined]


def _sender(host: Any, key: str) -> Callable[[JSON], None]:
    host._encode = monitor.encode_json
    write = monitor.equip(host, type(host)).reply

    def send(reply: JSON) -> None:
        body = monitor.encode_json(reply)
        write({"seal": monitor.seal(key, body), "body": body})

    return send


def _encoder() -> Callable[..., Any]:
    """`values.encode`, made to outlive its class."""
    methods = monitor.methods_of(_Encoder)
    start = methods.pop("__init__")

    def encode(value: object, budget: int = VALUE_BUDGET, by_value: bool = False) -> Any:
        state = _Namespace()
        own = state.__dict__
        own.update((name, _Method(method, state)) for name, method in methods.items())
        start(state, budget, by_value)
        try:
            return own["encode"](value, 0)
        finally:
            own.clear()  # no cycles left to the collector, which would call the program's finalizers at other times

    return encode


def _report_of_variables(payload: JSON, program: instrumented.Instrumented, namespace: JSON, encode: Callable[..., Any], *, is_bare: bool) -> Any:
    """What fills the slots of a program, and `take(ending, error)`, which ends the recording and gives what was recorded."""
    wanted = {int(index): marks for index, marks in payload["wanted"].items()}
    notes = recorder.Recorder(program, encode, wanted, binding=payload["mode"] == "binding")
    monitor.equip(notes, recorder.Recorder)
    suspect = payload["seen"] and chance.may_play(payload["program"])
    objects = {
        instrumented.LAST: notes.marks,
        instrumented.COUNT: notes.marks,
        instrumented.CALLS: notes.calls,
        instrumented.CLOSE: notes.close,
        instrumented.START: notes.start,
        instrumented.END: notes.end,
        instrumented.NUMBER: notes.number,
        instrumented.LEND: notes.lend,
        instrumented.OWNER: notes.owner,
        instrumented.HELD: {},
        instrumented.SINK: _SINK,
        instrumented.SET_LAST: notes.marks.__setitem__,
        instrumented.RECORD: notes.record,
        instrumented.RECORD_WALRUS: notes.record_walrus,
        instrumented.TOO_DEEP: RecursionError,
    }
    objects |= {instrumented.wanted(index): marks for index, marks in notes.wanted.items()}

    def take(ending: JSON, error: BaseException | None) -> JSON:
        notes.finish(namespace, error)
        missing = notes.missing()
        return {
            "variables": notes.variables() if not is_bare else _official(namespace, encode) if ending["kind"] == "finished" else {},
            "missing": {str(index): marks for index, marks in missing.items()},
            "fingerprint": notes.fingerprint(),
            "suspect": suspect or (bool(missing) and not payload["seen"] and chance.may_play(payload["program"])),
        }

    return _Namespace(objects=objects, take=take)


def _official(namespace: JSON, encode: Callable[..., Any]) -> JSON:
    """What the published code sees when the last line has run, in its order."""
    seen = {name: encode(value) for name, value in recorder.plain(namespace).items() if id(type(value)) in _OFFICIAL_TYPES and not name.startswith("_")}
    return {instrumented.MODULE: seen} if seen else {}


def _report_of_steps(
    payload: JSON, program: instrumented.Instrumented, namespace: JSON, encode: Callable[..., Any], send: Callable[[JSON], None]
) -> Any:
    """As `_report_of_variables`. When a budget is used up, the run is over."""

    def cut(reason: str) -> None:
        send({"steps": notes.report(), "cut": reason})
        _leave(0)

    def text(value: object) -> str:
        return monitor.encode_json(encode(value))

    notes = steps.StepRecorder(program, namespace, text, max_steps=payload["max_steps"], max_bytes=payload["max_bytes"], written=_written(), cut=cut)
    monitor.equip(notes, steps.StepRecorder)
    objects = {
        instrumented.STEP: notes.step,
        instrumented.LOOP: notes.loop,
        instrumented.TURN: notes.turn,
        instrumented.ENTER: notes.enter,
        instrumented.LEAVE: notes.leave,
    }

    def take(ending: JSON, error: BaseException | None) -> JSON:
        notes.finish()
        return {"steps": notes.report(), "cut": "time" if ending["kind"] in ("time_limit", "memory_limit") else None}

    return _Namespace(objects=objects, take=take)


def _written() -> Callable[[], int]:
    """How many bytes the program has printed so far, with those that wait in the stream's two buffers."""
    stream = sys.stdout
    buffer = stream.buffer
    write_text, write_bytes, tell = stream.write, buffer.write, buffer.tell
    waiting, in_text, last = [0], [False], [0]

    def text(data: str) -> int:
        in_text[0] = True
        try:
            count = write_text(data)
            waiting[0] += len(data) if data.isascii() else len(data.encode("utf-8", "surrogateescape"))
        finally:
            in_text[0] = False
        return count

    def raw(data: Any) -> int:
        count = write_bytes(data)
        if in_text[0] or len(data) == waiting[0]:  # the stream empties its buffer of text into this one
            waiting[0] -= len(data)
        return count

    stream.write, buffer.write = monitor.opaque(text), monitor.opaque(raw)  # type: ignore[method-assign]

    def written() -> int:
        try:
            last[0] = tell() + max(0, waiting[0])
        except (OSError, ValueError):  # closed by the program
            return last[0]
        return last[0]

    return written


def _reply_when_cut_short(reply: Callable[[JSON], None], cpu_s: float, memory_mb: float) -> None:
    """Let `os._exit` and the end of CPU time or memory send what there is.

    A program that keeps the interpreter from running signal handlers loses it.
    """
    started, used_mb = _process_time(), _used_mb()

    def exit_with_reply(status: int) -> None:
        if type(status) is not int or not -(2**31) <= status < 2**31:
            _leave(status)  # which raises, or it is a number of another type
        try:
            reply({"kind": "exit", "message": str(status)})
        finally:
            _leave(status)

    def look(_signal: int, _frame: types.FrameType | None) -> None:
        out_of_time = _process_time() - started >= cpu_s
        if not out_of_time and _used_mb() - used_mb < memory_mb:
            return
        try:
            reply({"kind": "time_limit" if out_of_time else "memory_limit"})
        finally:
            _leave(0)

    os._exit = monitor.opaque(exit_with_reply)
    signal.signal(signal.SIGPROF, monitor.opaque(look))
    _set_timer(signal.ITIMER_PROF, TICK_S, TICK_S)


def _used_mb() -> float:
    return _getrusage(0).ru_maxrss / 1024  # 0 is RUSAGE_SELF


def _call(namespace: JSON, call: JSON) -> Any:
    method = call["entry_point"].removeprefix("Solution().")
    name = method if method == call["entry_point"] else "Solution"
    if name not in namespace:
        raise NameError(f"name {name!r} is not defined")
    function = namespace[name] if name == method else getattr(namespace[name](), method)
    classes = _node_classes() | namespace
    args, kwargs = values.decode(call["args"], classes), values.decode(call["kwargs"], classes)
    return function(*args, **kwargs)


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    return module


def _node_classes() -> dict[str, Any]:
    namespace: dict[str, Any] = {"__builtins__": builtins, "__name__": "program"}
    exec(NODE_CLASSES, namespace)
    return {name: namespace[name] for name in nodes.CLASSES}


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
    if type(type(error).__str__) is _Wrapper:  # written in C
        if len(error.args) == 1 and type(error.args[0]) is str:
            return error.args[0][:MESSAGE_CHARS]
        if all(type(argument) in (int, str, float, bool, type(None)) for argument in error.args):
            return BaseException.__str__(error)[:MESSAGE_CHARS] or None
    return None


_encoding = sys.modules[values.encode.__module__]
_Encoder: type = vars(_encoding)["_Encoder"]
_OUR_CODE = monitor.codes_of(
    [_encoding, chance, instrument, instrumented, monitor, names, recorder, rewriting, stepping, steps, values, nodes, sys.modules[__name__]]
)
instrument.instrument("def f(a): return a")  # the first parse of an interpreter is slow: it happens once here, before the sandbox forks
before_fork = monitor.remember_classes
before_fork()
