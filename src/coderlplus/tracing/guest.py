"""The part of the tracer that runs inside the sandbox, in the process of the program. Standard library only.

`run(payload, host)` runs one program on one input and sends one reply `{"seal", "body"}`. The body is JSON text

    {"ending": {...}, "value": tagged, "variables": {scope: {name: tagged}}, "missing": {...},
     "fingerprint": "...", "suspect": bool}
    {"steps": [...], "texts": [...], "cut": reason or null, ...}       of a run that reports its steps
    {"withheld": event}                                of a program that reached or names what could falsify its trace

and the seal can be made only with the `key` of the payload, which the program cannot get at (see `monitor`).

`payload` is `{"program", "setup_code", "input", "mode", "wanted", "first", "seen", "cpu_s", "memory_mb", "max_steps",
"max_bytes", "hash_seed", "key"}`. `mode` is a semantics, `"steps"`, or `"plain"`: run the original unwatched and
report how it ended. Only the `first` run of a trace says whether chance may play a part: `"suspect"`. What a program
prints goes to its standard output, not where the reply goes. A program that is cut short by `os._exit` or by a limit
still replies with the values that it had, as far as the interpreter gets to run.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import atexit
import builtins
import gc
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

from coderlplus.sandbox import encoding, nodes, values
from coderlplus.sandbox.endings import collect, leaves_finalizers
from coderlplus.tracing import instrument, instrumented, monitor, nondeterminism, reach, recorder, steps, substitutes

JSON = dict[str, Any]

MESSAGE_CHARS = 200
CUT_SHORT_AT = 0.9
"""Share of the limits of CPU time and memory at which a running program is truncated, so that there is room left to
take its values."""
TICK_S = 0.02
"""CPU time between two looks at these limits."""
NODE_CLASSES = "class ListNode:\n def __init__(self, val=0, next=None): self.val, self.next = val, next\n"
NODE_CLASSES += (
    "class TreeNode:\n def __init__(self, val=0, left=None, right=None): self.val, self.left, "
    "self.right = val, left, right\n"
)
"""For arguments of programs that do not define them, as LeetCode's do not."""

# Taken here, where the program cannot patch them
_leave, _set_timer, _Namespace, _Method = os._exit, signal.setitimer, types.SimpleNamespace, types.MethodType
_default_excepthook, _show_death = sys.excepthook, threading.__excepthook__
_set_mask, _BLOCK, _SET, _SIGNALS = (
    _signal.pthread_sigmask,
    _signal.SIG_BLOCK,
    _signal.SIG_SETMASK,
    _signal.valid_signals(),
)
_PROF, _PROF_TIMER = int(signal.SIGPROF), signal.ITIMER_PROF
_get_recursion_limit, _set_recursion_limit = sys.getrecursionlimit, sys.setrecursionlimit
_LEAST_RECURSION_LIMIT = 500
_process_time, _getrusage = time.process_time, resource.getrusage
_name_of = type.__dict__["__name__"].__get__
_traceback_of, _set_traceback = (
    BaseException.__dict__["__traceback__"].__get__,
    BaseException.__dict__["__traceback__"].__set__,
)
_exit_code_of, _syntax_message_of = SystemExit.__dict__["code"].__get__, SyntaxError.__dict__["msg"].__get__
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
        send(
            {
                "ending": {
                    "kind": "syntax_error",
                    "type": type(error).__name__,
                    "message": _message(error),
                    "line": line,
                }
            }
        )
        return
    named = None if mode == "plain" else reach.reached(program.code, payload["program"])
    if named is not None:
        send({"withheld": named})
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
    sent: list[bool] = []
    used_mb = _used_mb()

    def reply(ending: JSON, value: Any = None, error: BaseException | None = None) -> None:
        if replied:
            return
        replied.append(True)
        try:  # noqa: SIM105  # the program can patch contextlib
            _set_mask(_BLOCK, _SIGNALS)
        except BaseException:
            pass
        _no_collection()  # no finalizer of the program runs from here until all is sent
        limit = recorder.raise_recursion_limit()
        if _used_mb() - used_mb >= payload["memory_mb"]:
            ending = {"kind": "memory_limit"}
        try:
            taken = report.take(ending, error)
        except (MemoryError, RecursionError):
            taken = {}
        sent.append(True)
        send(taken | {"ending": ending, "value": value})
        recorder.restore_recursion_limit(limit)
        _collections_again()

    def breach(event: str) -> None:
        if not sent:  # also while the values are taken
            sent.append(True)
            replied.append(True)
            send({"withheld": event})
        _leave(0)

    ending: JSON = {"kind": "finished"}
    value = failure = mask = None
    clean_ups: list[Callable[[], object]] = [_wait_for_threads, _run_exit_functions, lambda: sys.stdout.flush()]
    died = _note_deaths()
    _reply_when_cut_short(reply, payload["cpu_s"] * CUT_SHORT_AT, payload["memory_mb"] * CUT_SHORT_AT)
    setup = compile(payload["setup_code"], "<setup>", "exec", dont_inherit=True) if payload["setup_code"] else None
    try:
        if setup is not None:
            exec(setup, main.__dict__)
        if mode == "plain":
            substitutes.sketch_tracebacks()
        else:
            substitutes.install(breach, payload["program"])
            monitor.strip()
            monitor.watch(_EXEMPT, code, breach)
        _shift_addresses(payload["hash_seed"])
        exec(code, main.__dict__)
        if not is_script:
            value = encode(_call(main.__dict__, payload["input"]), budget=values.BUDGET, by_value=True)
    except BaseException as error:
        failure = error
    # A handler of the program that raises, or a recursion limit of next to nothing, would end the recorder
    try:  # noqa: SIM105  # the program can patch contextlib
        mask = _set_mask(_BLOCK, _SIGNALS)
    except BaseException:  # of a signal that came before
        pass
    if _get_recursion_limit() < _LEAST_RECURSION_LIMIT:
        _set_recursion_limit(_LEAST_RECURSION_LIMIT)
    if failure is not None:
        ending = _exception(failure)
        _cut_traceback(failure)
        show = sys.excepthook
        if show is not _default_excepthook and ending["kind"] != "exit":
            clean_ups.insert(0, lambda: show(type(failure), failure, _traceback_of(failure)))  # type: ignore[arg-type]
    for clean_up in clean_ups:
        try:
            if mask is not None:
                _set_mask(_SET, mask)
            clean_up()
        except BaseException:
            pass
        try:  # noqa: SIM105  # the program can patch contextlib
            _set_mask(_BLOCK, _SIGNALS)
        except BaseException:
            pass
    if died:
        ending["thread"] = died[0]
    reply(ending, value, failure)
    if mask is not None:
        _set_mask(_SET, mask)
    if is_script:
        main = code = report = program = failure = reply = None  # type: ignore[assignment]
        _let_go(payload["program"])


_wait_for_threads, _run_exit_functions = threading._shutdown, atexit._run_exitfuncs  # type: ignore[attr-defined]


def _note_deaths() -> list[str]:
    """The classes of the exceptions that end threads, in order, as they come."""
    threading.excepthook = _note_death
    return _died


def _death_noted(args: Any) -> None:
    kind = args[0]
    if issubclass(type(kind), type) and not issubclass(kind, SystemExit):
        _died.append(str.__str__(_name_of(kind)))
    _show_death(args)


_died: list[str] = []
_note_death = substitutes.opaque(_death_noted)


def _shift_addresses(seed: int) -> None:
    """Put objects elsewhere than in a run with another seed: where a value comes of an address, the runs differ.

    What was freed last is given out first, by the allocator for each size and by the interpreter for each kind that it
    keeps apart. So some of each are freed here, in an order that the seed turns, and some are kept. Seed 0 leaves all
    as it is.
    """
    if not seed:
        return
    freed: list[list[Any]] = [[bytes(size) for _ in range(_TURNED)] for size in _SIZES]
    freed += [[*map(tuple, [range(size)] * _TURNED)] for size in (1, 2, 3)]
    freed += [[[] for _ in range(_TURNED)], [{} for _ in range(_TURNED)], [float(n) for n in range(_TURNED)]]
    places = [(place + 3 * seed) % _TURNED for place in range(_TURNED - 2 * seed)]
    for group in freed:
        for place in places:
            group[place] = None
    _shifted[:] = freed


_TURNED = 9
_SIZES = (*range(0, 144, 16), 272, 400)
_shifted: list[Any] = []


def _let_go(program: str) -> None:
    """The end of the interpreter, as far as it can print: the module goes, finalizers run while its names are still
    there, generators are closed, and files are flushed."""
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    sys.excepthook = _default_excepthook
    sys.modules.pop("__main__", None)
    stream = sys.__stdout__
    for step in (collect if leaves_finalizers(program) else None, stream.flush if stream is not None else None):
        try:
            if step is not None:
                step()
        except BaseException:
            continue


_no_collection, _collections_again = gc.disable, gc.enable


def _exit_message(code: Any) -> str | None:
    kind = type(code)
    if issubclass(kind, int):
        return str(int.__int__(code))
    return str.__str__(code) if issubclass(kind, str) else None


def _cut_traceback(error: BaseException) -> None:
    """Take our own frame off the traceback, which the program still holds."""
    first = _traceback_of(error)
    if first is not None:
        _set_traceback(error, first.tb_next)


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

    def encode(value: object, budget: int = recorder.VALUE_BUDGET, by_value: bool = False) -> Any:
        state = _Namespace()
        own = state.__dict__
        own.update((name, _Method(method, state)) for name, method in methods.items())
        start(state, budget, by_value)
        try:
            return own["encode"](value, 0)
        finally:
            own.clear()  # no cycles left to the collector, which would call the program's finalizers at other times

    return encode


def _report_of_variables(
    payload: JSON, program: instrumented.Instrumented, namespace: JSON, encode: Callable[..., Any], *, is_bare: bool
) -> Any:
    """What fills the slots of a program, and `take(ending, error)`, which ends the recording and gives what was
    recorded."""
    wanted = {int(index): marks for index, marks in payload["wanted"].items()}
    notes = recorder.Recorder(program, encode, wanted, binding=payload["mode"] == "binding")
    monitor.equip(notes, recorder.Recorder)
    first, seen = payload["first"], payload["seen"]
    early = seen or payload["max_steps"] or payload["setup_code"] or not nondeterminism.is_closed(payload["program"])
    suspect = first and early and nondeterminism.is_possible(payload["program"])
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
            "variables": notes.variables()
            if not is_bare
            else _official(namespace, encode)
            if ending["kind"] == "finished"
            else {},
            "missing": {str(index): marks for index, marks in missing.items()},
            "fingerprint": notes.fingerprint(),
            "suspect": bool(suspect)
            or (first and bool(missing) and not early and nondeterminism.is_possible(payload["program"])),
        }

    return _Namespace(objects=objects, take=take)


def _official(namespace: JSON, encode: Callable[..., Any]) -> JSON:
    """What the published code sees when the last line has run, in its order."""
    names = recorder.plain(namespace).items()
    seen = {
        name: encode(value) for name, value in names if id(type(value)) in _OFFICIAL_TYPES and not name.startswith("_")
    }
    return {instrumented.MODULE: seen} if seen else {}


def _report_of_steps(
    payload: JSON,
    program: instrumented.Instrumented,
    namespace: JSON,
    encode: Callable[..., Any],
    send: Callable[[JSON], None],
) -> Any:
    """As `_report_of_variables`. When a budget is used up, the run is over."""

    def cut(reason: str) -> None:
        send(_with_texts_once(notes.steps) | {"cut": reason})
        _leave(0)

    def text(value: object) -> str:
        return monitor.encode_json(encode(value))

    notes = steps.StepRecorder(
        program,
        namespace,
        text,
        max_steps=payload["max_steps"],
        max_bytes=payload["max_bytes"],
        written=_written(),
        cut=cut,
    )
    monitor.equip(notes, steps.StepRecorder)
    objects = {
        instrumented.STEP: notes.step,
        instrumented.TURN: notes.turn,
        instrumented.OVER: notes.over,
        instrumented.ENTER: notes.enter,
        instrumented.LEAVE: notes.leave,
    }

    def take(ending: JSON, error: BaseException | None) -> JSON:
        notes.finish()
        is_limited = ending["kind"] in ("time_limit", "memory_limit")
        return _with_texts_once(notes.steps) | {"cut": "time" if is_limited else None}

    return _Namespace(objects=objects, take=take)


def _with_texts_once(rows: list[Any]) -> JSON:
    """Steps with the place of a text in `texts` for each text: one value is often that of several variables."""
    places: dict[str, int] = {}
    numbered = []
    for row in rows:
        if row[5]:
            changes = [
                (name, None if text is None else places.setdefault(text, len(places)), scope, number)
                for name, text, scope, number in row[5]
            ]
            row = [*row[:5], changes]  # another list: a signal handler may be here too
        numbered.append(row)
    return {"steps": numbered, "texts": [*places]}


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

    stream.write, buffer.write = substitutes.opaque(text), substitutes.opaque(raw)  # type: ignore[method-assign]

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
        if issubclass(type(status), int):
            status = int.__int__(status)
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

    os._exit = substitutes.opaque(exit_with_reply)
    _signal.signal(_PROF, substitutes.opaque(look))  # `signal.signal` makes enums of its result
    _set_timer(_PROF_TIMER, TICK_S, TICK_S)


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
    if issubclass(type(error), SystemExit):
        return {"kind": "exit", "message": _exit_message(_exit_code_of(error))}
    kind = "memory_limit" if type(error) is MemoryError else "exception"
    line = None
    traceback = _traceback_of(error)
    while traceback is not None:
        if substitutes.frame_of(traceback).f_code.co_filename == instrumented.FILENAME:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return {"kind": kind, "type": str.__str__(_name_of(type(error))), "message": _message(error), "line": line}


def _message(error: BaseException) -> str | None:
    """The message of an exception without running the program's code: that of its own exception classes only if it is
    a plain text."""
    kind = type(error)
    if kind is RecursionError:
        return "maximum recursion depth exceeded"
    if issubclass(kind, SyntaxError):
        message = _syntax_message_of(error)
        return message[:MESSAGE_CHARS] if type(message) is str else None
    if type(encoding._named(kind, "__str__")) is _Wrapper:  # written in C
        arguments = encoding._args_of(error)
        if len(arguments) == 1 and type(arguments[0]) is str:
            return str(arguments[0][:MESSAGE_CHARS])
        if all(type(argument) is each for argument in arguments for each in (_plain_kind(argument),)):
            return BaseException.__str__(error)[:MESSAGE_CHARS] or None
    return None


def _plain_kind(value: object) -> type | None:
    """The class of a value that shows itself in C; `None` for any other."""
    return next((kind for kind in (int, str, float, bool, type(None)) if type(value) is kind), None)


_Encoder: type = encoding._Encoder
_Recorder, _Steps = recorder.Recorder, steps.StepRecorder
_WHO_CALLS: list[Callable[..., Any]] = [
    _Recorder.close,
    _Recorder.start,
    _Recorder.end,
    _Recorder.number,
    _Recorder.owner,
]
_WHO_CALLS += [_Steps._caller, substitutes._sketched_frame]
_EXEMPT = monitor.exempt(
    {
        "sys._getframe": _WHO_CALLS,
        **{event: [recorder.suspended_frame] for event in ("gi_frame", "cr_frame", "ag_frame")},
        "sys._current_frames": [recorder.running_frames],
        "gc.get_objects": [recorder.all_objects],
        "code.__new__": [substitutes._stand_in, substitutes._coroutine_for, substitutes.load_code],
    }
)
for _mode in ("final", "steps"):  # the first time is slow: it happens here, before the sandbox forks
    instrument.instrument("def f(a): return a\nfor i in [1]: b = f(i)", _mode)
before_fork = monitor.remember_classes
before_fork()
