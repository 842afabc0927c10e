"""What runs in the sandbox in one process with the program: it feeds inputs and sends out what came of them, never
whether that is right.

Standard library only. Every claim made here can be forged by the program, and may be: it is a claim of a *value*.
"""

from __future__ import annotations

import _thread
import atexit
import builtins
import itertools
import os
import sys
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from coderlplus.judge.wire import MESSAGE_CHARS, NAME_CHARS, Connection, PeerGone, framed
from coderlplus.sandbox import nodes
from coderlplus.sandbox.decoding import decode, is_plain
from coderlplus.sandbox.encoding import BUDGET, encode
from coderlplus.sandbox.endings import collect, leaves_finalizers
from coderlplus.sandbox.text import as_bytes

FILENAME, TEST_FILENAME = "<program>", "<test>"
_MAX_ITEMS = 100_000
VALUE_BUDGET = 8_000_000
"""Size of a value that goes to test code (see `sandbox.encoding.BUDGET`): HumanEval+ has a text of 7 MB and lists of a
million items."""
_ITERATORS: list[type] = [map, filter, zip, enumerate, reversed, types.GeneratorType, type(iter(range(0)))]
_ITERATORS += [type(iter(kind())) for kind in (list, tuple, dict, set, str)]
_ITERATORS += [kind for kind in vars(itertools).values() if isinstance(kind, type)]
"""Returned iterators travel as their items."""
_VIEWS: dict[type, str | None] = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
"""So do views of dicts, and become such a view again."""
_ITERABLES: dict[type, str | None] = {**dict.fromkeys(_ITERATORS), **_VIEWS}
_name_of, _mro_of = type.__dict__["__name__"].__get__, type.__dict__["__mro__"].__get__
_EXCEPTIONS = {
    id(kind): kind.__name__
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
_CALL = {"args": [1], "kwargs": {}, "of": 0}
_FUNCTION = {"setup_code": "", "program": "def f(n): return n", "entry_point": "f"}
REHEARSALS: dict[str, tuple[Any, bytes]] = {
    "run_stdio": ({"setup_code": "", "program": "n = int(input())\nprint(n)", "stdins": ["1\n"]}, b""),
    "run_calls": (_FUNCTION | {"calls": [_CALL], "all": True}, b""),
    "serve": (_FUNCTION, framed(_CALL)),
    "serve_again": (_FUNCTION | {"calls": [_CALL]}, b""),
}
"""Jobs that a fork server runs itself before it forks for the first time, and what the other process says in them."""


def echo(payload: Any, host: Any) -> None:
    """Send the payload back; for tests and benchmarks of the sandbox."""
    host.reply(payload)


def run_stdio(payload: Mapping[str, Any], host: Any) -> None:
    """Run the program as a script on each of `stdins` (`None`: what is on standard input already), from a fresh module
    each time.

    Replies for each `{"stdout": end}`, the size of stdout after it, with `exit_code`, and with `raised`, `message`,
    `line` after an exception (in `thread`, of one that ended a thread); or `{"syntax_error"}`. Stops early when the
    program leaves threads behind: they might disturb the next run.
    """
    code = compile_program(payload, host)
    stdins = payload["stdins"]
    recursion_limit = sys.getrecursionlimit()
    spare = {1: os.dup(1)}
    if len(stdins) > 1:
        spare |= {0: os.dup(0), 2: os.dup(2)}
    for index, stdin in enumerate(stdins):
        if index:
            for fd, copy in spare.items():  # the program may have closed them
                os.dup2(copy, fd)
        if stdin is not None:
            _fill_stdin(as_bytes(stdin))
        if index:
            host.open_streams()
        ending = _run_script(code, new_module("__main__"), leaves_finalizers(payload["program"]))
        sys.setrecursionlimit(recursion_limit)
        ending["stdout"] = os.fstat(spare[1]).st_size
        host.reply(ending)
        if _thread._count():
            break
    for copy in spare.values():
        os.close(copy)


def _fill_stdin(data: bytes) -> None:
    os.ftruncate(0, 0)
    written = 0
    while written < len(data):
        written += os.pwrite(0, data[written:], written)
    os.lseek(0, 0, os.SEEK_SET)


def _run_script(code: list[types.CodeType], module: types.ModuleType, collects: bool) -> dict[str, Any]:
    """As the interpreter does: run, wait for threads, run exit functions, let go of everything (with `collects` cycles
    too), flush."""
    ending: dict[str, Any] = {"exit_code": 0}
    threading.excepthook = _note_death
    _died.clear()
    try:
        for part in code:
            exec(part, module.__dict__)
    except SystemExit as error:
        ending["exit_code"] = exit_code(error.code)
    except BaseException as error:
        ending = {"exit_code": 1} | describe(error)
    wait_for_threads()
    if _died:
        ending["thread"] = _died[0]
    atexit._run_exitfuncs()
    try:
        flush(sys.stdout)
        sys.modules.pop("__main__", None)
        if collects:  # finalizers run while the names of the module are there, and files are flushed
            del module
            collect()
        else:
            module.__dict__.clear()
        flush(sys.__stdout__)
    except Exception as error:
        ending = {"exit_code": 1} | describe(error)
    return ending


def wait_for_threads() -> None:
    """As the interpreter does at its end."""
    if _thread._count():
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()


def exit_code(code: Any) -> int:
    """What the interpreter ends with after `sys.exit(code)`."""
    if code is None:
        return 0
    return code & 255 if issubclass(type(code), int) else 1


_died: list[dict[str, Any]] = []
"""The exceptions that ended threads."""


def _note_death(thread: threading.ExceptHookArgs) -> None:
    if thread.exc_value is not None and thread.exc_type is not SystemExit:
        _died.append(describe(thread.exc_value))
    threading.__excepthook__(thread)


def flush(stream: Any) -> None:
    if stream is not None and not stream.closed:
        stream.flush()


def run_calls(payload: Mapping[str, Any], host: Any) -> None:
    """Call the entry point with each of `calls` (`args`, `kwargs`), made anew each time, on one instance.

    Replies an answer for each (see `wire.Answer`), to the first exception or, with `all`, to the end; once `{"raised",
    ..., "loading": true}` if the program itself fails; or `{"syntax_error"}`.
    """
    module = load(payload, host)
    if module is None:
        return
    function = None
    for call in payload["calls"]:
        try:
            args, kwargs = decode(call["args"], module.__dict__), decode(call["kwargs"], module.__dict__)
            if function is None:
                function = entry_point(module, payload["entry_point"])
            answer = _told(function(*args, **kwargs), BUDGET, _VIEWS, _is_whole)
        except BaseException as error:
            host.reply(describe(error))
            if not payload["all"]:
                return
        else:
            host.reply(answer)


def serve(payload: Mapping[str, Any], host: Any) -> None:
    """Answer the calls of the examiner until it hangs up. If the program itself fails, a reply says how, as in
    `run_calls`."""
    connection = Connection(host.peer)
    module = load(payload, host)
    instances: dict[int, Any] = {}
    try:
        connection.send({"loaded": module is not None})
        while module is not None:
            connection.send(_answer(module, payload["entry_point"], instances, connection.receive()))
    except PeerGone:
        return


def serve_again(payload: Mapping[str, Any], host: Any) -> None:
    """Answer `calls` that the examiner made to another program, as `serve` does. Replies `{"loaded": true}` and each
    answer; if the program itself fails, as `run_calls`."""
    module = load(payload, host)
    if module is None:
        return
    host.reply({"loaded": True})
    instances: dict[int, Any] = {}
    for call in payload["calls"]:
        host.reply(_answer(module, payload["entry_point"], instances, call))


def _answer(module: types.ModuleType, name: str, instances: dict[int, Any], call: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a call; `args`, `kwargs` as they are now stand in it if they changed."""
    args, kwargs = decode(call["args"], module.__dict__), decode(call["kwargs"], module.__dict__)
    try:
        if call["of"] not in instances:
            instances[call["of"]] = entry_point(module, name)
        value = instances[call["of"]](*args, **kwargs)
        answer = _told(value, VALUE_BUDGET, _ITERABLES, is_plain)
        if "value" in answer:
            places = [place for place, argument in [*enumerate(args), *kwargs.items()] if argument is value]
            if places:
                answer["same"] = places[0]
    except BaseException as error:
        answer = describe(error)
        answer.pop("test_line", None)
    after = {
        "args": [encode(arg, by_value=True) for arg in args],
        "kwargs": {key: encode(value, by_value=True) for key, value in kwargs.items()},
    }
    if after["args"] != call["args"] or after["kwargs"] != call["kwargs"]:
        answer |= after
    return answer


def _told(
    value: Any, budget: int, iterables: Mapping[type, str | None], is_data: Callable[[Any], bool]
) -> dict[str, Any]:
    """A returned value as an answer tells it: the items of an iterator or a view, and of what is not plain data also
    whether it is true."""
    if type(value) in iterables:
        items = encode(list(itertools.islice(value, _MAX_ITEMS)), budget, by_value=True)
        return {"items": items, "view": iterables[type(value)]}
    told = encode(value, budget, by_value=True)
    return {"value": told} if is_data(told) else {"value": told, "truth": bool(value)}


def _is_whole(told: Any) -> bool:
    """Whether what is told says itself whether it is true."""
    return type(told) is not dict or not ("$object" in told or "$cut" in told)


def check_in_process(payload: Mapping[str, Any], host: Any) -> None:
    """The weaker way: test code in the process of the program, in its namespace. Replies `{"end": "passed"}`, `{"end":
    "assertion", ...}` or `{"end": "raised", ...}` for each test, to the first that fails or, with `all`, to the last;
    if the program itself fails, as `run_calls`."""
    module = load(payload, host)
    if module is None:
        return
    for test in payload["tests"]:
        code = compile(test["code"], TEST_FILENAME, "exec", dont_inherit=True)
        names = dict(module.__dict__)
        if payload["entry_point"] != "check":
            names.pop("check", None)
        try:
            names["candidate"] = entry_point(module, payload["entry_point"])
            names["__name__"] = "__main__" if test["main"] else "test"
            bind_modules(test["modules"], names)
            exec(code, names)
        except AssertionError as error:
            end = {"end": "assertion", **describe(error)}
        except BaseException as error:
            end = {"end": "raised", **describe(error)}
        else:
            end = {"end": "passed"}
        host.reply(end)
        if end["end"] != "passed" and not payload["all"]:
            return


def compile_program(payload: Mapping[str, Any], host: Any) -> list[types.CodeType]:
    """Set-up code and program, compiled here because compilation can take any time and memory."""
    texts = [text for text in (payload["setup_code"], payload["program"]) if text]
    try:
        return [compile(text, FILENAME, "exec", dont_inherit=True) for text in texts]
    except (SyntaxError, ValueError, RecursionError, OverflowError) as error:
        line = f" (line {error.lineno})" if isinstance(error, SyntaxError) and error.lineno else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        host.reply({"syntax_error": f"{type(error).__name__}: {message}{line}"})
        return []


def load(payload: Mapping[str, Any], host: Any) -> types.ModuleType | None:
    """The program as an imported module, or `None` if it failed, which has been said."""
    module = new_module("program")
    if payload["entry_point"].startswith("Solution()"):
        module.__dict__.update(nodes.CLASSES)  # as on LeetCode
    code = compile_program(payload, host)
    try:
        for part in code:
            exec(part, module.__dict__)
    except BaseException as error:
        host.reply(describe(error) | {"loading": True})
        return None
    return module if code else None


def new_module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__["__builtins__"] = builtins
    sys.modules[name] = module
    return module


def entry_point(module: types.ModuleType, name: str) -> Any:
    """`"f"` or `"Solution().f"`, the latter of a new instance; or, where the program does not have it, the other of
    the two, as the scorers of the sets take whichever a program has. Raises `NameError`."""
    owner, dot, method = name.rpartition("().")
    found: Any = module.__dict__.get(owner or "Solution")
    of_class = isinstance(found, type) and hasattr(found, method)
    plain = module.__dict__.get(method)
    if of_class and (dot or plain is None):
        return getattr(found(), method)
    if plain is not None:
        return plain
    if dot and found is not None:
        return getattr(found(), method)
    raise NameError(f"name {owner or name!r} is not defined")


def bind_modules(modules: Sequence[str], names: dict[str, Any]) -> None:
    """Bind modules of the standard library that test code uses without an import."""
    for name in modules:
        if name not in names:
            names[name] = __import__(name)


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as plain data; `base` is its nearest builtin class, `line` the last line of the program that it
    passed, `test_line` that of the test code."""
    lines, traceback = {}, error.__traceback__
    while traceback is not None:
        lines[traceback.tb_frame.f_code.co_filename] = traceback.tb_lineno
        traceback = traceback.tb_next
    try:
        message = str(error)
        message = message[:MESSAGE_CHARS] if type(message) is str else ""
    except BaseException:
        message = ""
    said = {"raised": str.__str__(_name_of(type(error)))[:NAME_CHARS], "message": message, "line": lines.get(FILENAME)}
    said["base"] = next(_EXCEPTIONS[id(kind)] for kind in _mro_of(type(error)) if id(kind) in _EXCEPTIONS)
    return said | {"test_line": lines[TEST_FILENAME]} if TEST_FILENAME in lines else said
