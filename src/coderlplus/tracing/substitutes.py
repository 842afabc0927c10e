"""What of the standard library needs frames or code objects for itself, so that it works without. Standard library
only; runs inside the sandbox.

`collections.namedtuple`, `enum`, `typing`, `dataclasses` and `logging` ask who called them; `traceback` prints where
an exception passed; `inspect.signature` and `doctest` read a function's code. They cannot have the real things: a
program could patch a name that they use by a callable of C, which runs in their frame and keeps what they get. So
`install` puts *sketches* in the place of frames, plain data of file, name and line, and *stand-ins* in the place of
the program's functions, with their signature and no code. A profiler measures nothing, and imports read compiled code
from the files of the standard library themselves.
"""

from __future__ import annotations

import _imp
import _io
import _signal  # type: ignore[import-not-found]
import collections
import dataclasses
import enum
import functools
import gc
import importlib._bootstrap_external
import inspect
import itertools
import marshal
import os
import signal
import sys
import traceback
import types
import typing
from collections.abc import Callable
from typing import Any

from coderlplus.tracing.instrumented import FILENAME

_getframe = sys._getframe
_Function, _Method, _Namespace, _Traceback, _Code = (
    types.FunctionType,
    types.MethodType,
    types.SimpleNamespace,
    types.TracebackType,
    types.CodeType,
)
_islice, _loads, _fix_filename, _FileIO = itertools.islice, marshal.loads, _imp._fix_co_filename, _io.FileIO  # type: ignore[attr-defined]
_Frame, _Partial, _Path = types.FrameType, functools.partial, sys.path[:]
_default_int_handler = signal.default_int_handler
_uncached: Any = functools._lru_cache_wrapper
_MAX_SKETCHED = 50
_PYC_HEADER = 16
"""Bytes before the code in a compiled file."""


def opaque(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a callable of C code: from outside it is a cache of no size, and does not tell of what."""
    wrapped: Callable[..., Any] = _uncached(function, 0, False, bool)
    return wrapped


def install(breach: Callable[[str], None], program: str) -> None:
    """Put the substitutes in place. `breach` is called, and must not return, when anybody else asks for frames."""
    _on_breach[:] = [breach]
    sketch_tracebacks()
    for module, name, substitute in _SUBSTITUTES:
        setattr(module, name, substitute)
    if "doctest" in program:
        import doctest

        doctest.DocTestFinder._find_lineno = opaque(_line_for(doctest.DocTestFinder._find_lineno))  # type: ignore[attr-defined]
    if "rofile" in program:
        sys.modules["_lsprof"] = module = types.ModuleType("_lsprof")
        exec(_PROFILER, module.__dict__)


_on_breach: list[Callable[[str], None]] = []


def _breach(event: str) -> None:
    _on_breach[0](event)


_PROFILER = """
class Profiler:
    def __init__(self, timer=None, timeunit=0.0, subcalls=True, builtins=True): pass
    def enable(self, subcalls=True, builtins=True): pass
    def disable(self): pass
    def clear(self): pass
    def getstats(self): return [Nothing]
class Nothing:
    code, callcount, reccallcount, totaltime, inlinetime, calls = "<not measured>", 1, 0, 0.0, 0.0, None
"""
_HANDLER = """
def wrapped(handler):
    def call(received, frame):
        frame = None
        return handler(received, frame)
    return call
"""
_harmless: dict[str, Any] = {"__builtins__": {}}
exec(compile(_HANDLER, "<signal>", "exec"), _harmless)
_wrapped = _harmless["wrapped"]
"""Runs a handler of the program from a frame that leads to nothing of ours."""


def _side_ways() -> list[tuple[Any, str, Any]]:
    """Signal handlers get no frame, the collector keeps no garbage, and a module of the interpreter cannot be made
    anew."""
    set_real, create = _signal.signal, _imp.create_builtin
    set_debug, keeps_garbage = gc.set_debug, gc.DEBUG_SAVEALL
    known = {"_signal": _signal, "gc": gc, "sys": sys}

    def set_handler(number: int, handler: Any) -> Any:
        if callable(handler) and handler is not _default_int_handler:
            return set_real(number, opaque(_wrapped(handler)))
        return set_real(number, handler)

    def create_builtin(spec: Any) -> Any:
        name = spec.name
        return known[name] if type(name) is str and name in known else create(spec)

    replacement = opaque(set_handler)
    return [
        (_signal, "signal", replacement),
        (signal.signal, "__wrapped__", replacement),
        (gc, "set_debug", opaque(lambda flags: set_debug(flags & ~keeps_garbage))),
        (_imp, "create_builtin", opaque(create_builtin)),
    ]


# Sketches


def sketch_tracebacks() -> None:
    """Let `traceback` work on sketches; frames of ours do not show."""
    for name, substitute in _SKETCHERS:
        setattr(traceback, name, substitute)


def _passed(tb: Any) -> list[tuple[Any, Any]]:
    found = []
    while type(tb) is _Traceback:
        sketch = _sketch(frame_of(tb), tb.tb_lineno)
        if sketch is not None:
            positions = (
                next(_islice(frame_of(tb).f_code.co_positions(), tb.tb_lasti // 2, None), (None,) * 4)
                if tb.tb_lasti >= 0
                else (None,) * 4
            )
            found.append((sketch, positions if positions[0] is not None else (tb.tb_lineno, *positions[1:])))
        tb = tb.tb_next
    return found


def _stack(frame: Any) -> list[tuple[Any, int]]:
    if type(frame) is _Frame:
        frame = _sketches(frame)
    found: list[tuple[Any, int]] = []
    while type(frame) is _Namespace and len(found) < _MAX_SKETCHED:
        found.append((frame, frame.f_lineno))
        frame = frame.f_back
    return found


def _clear(tb: Any) -> None:
    while type(tb) is _Traceback:
        frame, tb = frame_of(tb), tb.tb_next
        if not _is_ours(frame):
            try:
                frame.clear()
            except RuntimeError:  # it still runs
                continue


def _sketches(frame: types.FrameType | None) -> Any:
    """A frame and those below it as sketches; `None` if there are none, or only ours."""
    chain: list[Any] = []
    while frame is not None and len(chain) < _MAX_SKETCHED:
        sketch = _sketch(frame, frame.f_lineno)
        if sketch is not None:
            chain.append(sketch)
        frame = frame.f_back
    for sketch, below in itertools.pairwise(chain):
        sketch.f_back = below
    return chain[0] if chain else None


def _sketch(frame: types.FrameType, line: int) -> Any:
    if _is_ours(frame):
        return None
    code = frame.f_code
    name = next((value for key, value in dict.items(frame.f_globals) if type(key) is str and key == "__name__"), None)
    shown = _Namespace(
        co_filename=code.co_filename,
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_firstlineno=code.co_firstlineno,
    )
    spaces = {"f_globals": {"__name__": name} if type(name) is str else {}, "f_locals": {}}
    return _Namespace(f_code=shown, f_lineno=line, f_back=None, **spaces)


def _is_ours(frame: types.FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS) or frame.f_code.co_filename == "<signal>"


def _sketched_frame(depth: int = 0) -> Any:
    frame: types.FrameType | None = _getframe(1)
    if frame is None or frame.f_code.co_filename not in _ASK_WHO_CALLS:
        _breach("sys._getframe")
    if type(depth) is not int:
        raise TypeError("an integer is required")
    for _ in range(depth):
        frame = frame and frame.f_back
    found = _sketches(frame)
    if found is None:
        raise ValueError("call stack is not deep enough")
    return found


_OURS = __file__.rpartition(os.sep)[0].rpartition(os.sep)[0] + os.sep
_COLLECTIONS: str = collections.namedtuple.__code__.co_filename
_ASK_WHO_CALLS = frozenset(
    {_COLLECTIONS, _COLLECTIONS.replace("collections", "logging"), dataclasses.dataclass.__code__.co_filename}
    | {typing.cast.__code__.co_filename, enum.unique.__code__.co_filename}
)
"""Files of the standard library whose functions ask who called them, and keep the answer to themselves."""

# Stand-ins


def _stand_in(function: Any) -> Any:
    """A function that has the signature of a function of the program, and does nothing."""
    code = code_of(function)
    count = (
        code.co_argcount
        + code.co_kwonlyargcount
        + bool(code.co_flags & inspect.CO_VARARGS)
        + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    )
    shape = code_of(_nothing).replace(
        co_argcount=code.co_argcount,
        co_posonlyargcount=code.co_posonlyargcount,
        co_kwonlyargcount=code.co_kwonlyargcount,
        co_nlocals=count,
        co_varnames=code.co_varnames[:count],
        co_flags=3 | code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS),
        co_name=code.co_name,
        co_qualname=code.co_qualname,
        co_firstlineno=code.co_firstlineno,
        co_filename="<stand-in>",
    )
    copy = _Function(shape, function.__globals__, function.__name__, function.__defaults__)
    copy.__kwdefaults__, copy.__annotations__, copy.__doc__ = (
        function.__kwdefaults__,
        function.__annotations__,
        function.__doc__,
    )
    return copy


def _is_of_program(function: Any) -> bool:
    return type(function) is _Function and code_of(function).co_filename == FILENAME


def _signature_for(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda kind, function, *args, **kwargs: real(
        kind, _stand_in(function) if _is_of_program(function) else function, *args, **kwargs
    )


def _line_for(real: Callable[..., Any]) -> Callable[..., Any]:
    def find_line(finder: Any, item: Any, lines: Any) -> Any:
        function = item.__func__ if type(item) is _Method else item
        return real(finder, _stand_in(function) if _is_of_program(function) else item, lines)

    return find_line


def _has_code_flag_for(real: Callable[..., Any]) -> Callable[..., Any]:
    def has_code_flag(item: Any, flag: Any) -> Any:
        function: Any = item
        while type(function) is _Method or type(function) is _Partial:
            function = function.__func__ if type(function) is _Method else function.func  # type: ignore[union-attr]
        if _is_of_program(function) and type(flag) is int:
            return bool(code_of(function).co_flags & flag)
        return real(item, flag)

    return has_code_flag


def _coroutine_for(real: Callable[..., Any]) -> Callable[..., Any]:
    def coroutine(function: Any) -> Any:
        if type(function) is not _Function or not code_of(function).co_flags & (
            inspect.CO_GENERATOR | inspect.CO_COROUTINE
        ):
            return real(function)
        code = code_of(function)
        if code.co_flags & inspect.CO_GENERATOR and not code.co_flags & inspect.CO_ITERABLE_COROUTINE:
            function.__code__ = code.replace(co_flags=code.co_flags | inspect.CO_ITERABLE_COROUTINE)
        return function

    return coroutine


def _compiled(data: object, name: object = None, bytecode_path: Any = None, source_path: object = None) -> Any:
    """The code in a compiled file of the standard library or an installed package, whatever data it is said to
    have."""
    if (
        type(bytecode_path) is not str
        or ".." in bytecode_path
        or not any(bytecode_path.startswith(path) for path in _Path)
    ):
        _breach("marshal.loads")
    with _FileIO(bytecode_path) as file:
        code = load_code(file.read()[_PYC_HEADER:])
    if type(code) is not _Code:
        raise ImportError(f"no code in {bytecode_path!r}")
    if type(source_path) is str:
        _fix_filename(code, source_path)
    return code


def _nothing(*args: object) -> None:
    """In the place of what would reach for frames."""


# The only readers of real frames and code: each does this and nothing else, so that no callable of the program can run
# in its frame


def frame_of(tb: types.TracebackType) -> types.FrameType:
    return tb.tb_frame


def code_of(function: Any) -> types.CodeType:
    code: types.CodeType = function.__code__
    return code


def load_code(data: bytes) -> Any:
    return _loads(data)


# Made when the module is loaded, before the sandbox forks: to make them copies memory

_SKETCHERS: list[tuple[str, Any]] = [
    ("walk_tb", opaque(lambda tb: [(sketch, positions[0]) for sketch, positions in _passed(tb)])),
    ("_walk_tb_with_full_positions", opaque(_passed)),
    ("walk_stack", opaque(_stack)),
    ("clear_frames", opaque(_clear)),
]
if hasattr(traceback, "_compute_suggestion_error"):
    _SKETCHERS.append(("_compute_suggestion_error", opaque(_nothing)))
_SUBSTITUTES: list[tuple[Any, str, Any]] = [
    *_side_ways(),
    (sys, "_getframe", opaque(_sketched_frame)),
    (sys, "settrace", opaque(lambda function: _breach("sys.settrace") if function is not None else None)),
    (types, "coroutine", opaque(_coroutine_for(types.coroutine))),
    (inspect, "_has_code_flag", opaque(_has_code_flag_for(inspect._has_code_flag))),  # type: ignore[attr-defined]
    (inspect, "_signature_from_function", opaque(_signature_for(inspect._signature_from_function))),  # type: ignore[attr-defined]
    (importlib._bootstrap_external, "_compile_bytecode", opaque(_compiled)),
]
_REAL = [getattr(module, name, None) for module, name, _ in _SUBSTITUTES]
_REAL += [getattr(traceback, name) for name, _ in _SKETCHERS]
"""Kept alive, for the end of a function with its code would copy memory too."""
