"""Keeps a traced program away from its tracer, which lives in the same process. Standard library only; runs inside the sandbox.

The recorder is referred to by constants of the program's code objects and by frames below the program's own, and by nothing else that a program can
get at:

- Frames, code objects and the collector's lists can be had only through calls and attributes that the interpreter *audits*. A hook that cannot be
  removed sees them first and ends the run (`watch`), except for a few lines of the standard library that keep what they get to themselves.
- Signal handlers get `None` for their frame, and the collector keeps no garbage (`patch`).
- What has to stay callable in the open (`os._exit`, the handler of a timer) is wrapped by C code that does not give away what it wraps (`opaque`).
- The classes of our modules, which `object.__subclasses__()` lists, lose their methods (`strip`); objects that need them carry their own (`equip`).
- Our modules have builtins of their own, and take what they use of the standard library when they are loaded, where a program could patch it.
- A result is sealed with a key that only the host and the recorder know (`seal`): a program that finds the channel can spoil a result, not change it.

What is left is raw memory: `ctypes`, the strides of a numpy array, or crafted bytecode, in the hands of somebody who knows the interpreter's layout.
"""

from __future__ import annotations

import _imp
import _signal  # type: ignore[import-not-found]
import collections
import dataclasses
import dis
import enum
import functools
import gc
import hashlib
import importlib._bootstrap_external
import inspect
import json
import signal
import sys
import threading
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

_READS = frozenset({"__code__", "gi_code", "cr_code", "ag_code", "tb_frame", "gi_frame", "cr_frame", "ag_frame"})
_WATCHED = frozenset(
    {"sys._getframe", "sys._current_frames", "sys._current_exceptions", "sys.settrace", "sys.setprofile", "sys.addaudithook"}
    | {"sys.monitoring.register_callback", "gc.get_objects", "gc.get_referrers", "gc.get_referents", "code.__new__", "object.__getattr__"}
    | {"marshal.load", "marshal.loads", "ctypes.cdata", "ctypes.string_at", "ctypes.wstring_at", "ctypes.dlsym", "ctypes.dlsym/handle"}
    | {"ctypes.PyObj_FromPtr", "ctypes.call_function", "import"}
)
PROGRAM = "<program>"
_addaudithook, _getframe, _get_ident = sys.addaudithook, sys._getframe, threading.get_ident
_Function, _Method, _Namespace = types.FunctionType, types.MethodType, types.SimpleNamespace
_Code = types.CodeType
_blake2b, _default_int_handler = hashlib.blake2b, signal.default_int_handler
_uncached: Any = functools._lru_cache_wrapper
_chunks = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, None, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
)


def encode_json(value: object) -> str:
    """As `json.dumps`, in C alone: nothing of it can be patched."""
    return "".join(_chunks(value, 0))


def seal(key: str, body: str) -> str:
    """What only somebody with the key can write under a body."""
    return _blake2b(body.encode("utf-8", "surrogatepass"), key=bytes.fromhex(key), digest_size=16).hexdigest()


def opaque(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind a callable of C code: from outside it is a cache of no size, and does not tell of what."""
    wrapped: Callable[..., Any] = _uncached(function, 0, False, bool)
    return wrapped


def equip(instance: Any, kind: type) -> Any:
    """Give an instance the methods of its class as attributes of its own, so that it outlives `strip`."""
    for name, member in type.__dict__["__dict__"].__get__(kind).items():
        if type(member) is _Function:
            instance.__dict__[name] = _Method(member, instance)
        elif type(member) is staticmethod:
            instance.__dict__[name] = member.__func__
    return instance


def methods_of(kind: type) -> dict[str, Callable[..., Any]]:
    return {name: member for name, member in vars(kind).items() if type(member) is _Function}


def strip(kinds: Iterable[type]) -> None:
    """Take the functions off classes, through which a program would reach the globals of our modules."""
    for kind in kinds:
        for name, member in list(vars(kind).items()):
            if type(member) in (_Function, staticmethod, classmethod, property):
                type.__delattr__(kind, name)


def our_classes(host: object) -> list[type]:
    """The classes of this package that `remember_classes` found, and those of the script that the host is of."""
    script = next((member.__globals__ for member in vars(type(host)).values() if type(member) is _Function), {})
    return [value for value in script.values() if isinstance(value, type) and value.__module__ == type(host).__module__] + _classes


def remember_classes() -> None:
    """Look for the classes of this package before the sandbox forks: a walk over all classes copies the memory that it touches, in every child."""
    _classes[:] = _package_classes()


_classes: list[type] = []


def _package_classes() -> list[type]:
    found: list[type] = []
    todo: list[type] = [object]
    seen: set[type] = {object}
    kind: type
    while todo:
        for kind in type.__subclasses__(todo.pop()):
            if kind not in seen:
                seen.add(kind)
                todo.append(kind)
                if type(kind.__module__) is str and kind.__module__.startswith("coderlplus."):
                    found.append(kind)
    return found


def watch(own: Mapping[int, types.CodeType], breach: Callable[[str], None]) -> None:
    """From now on `breach(event)` is called, and must not return, before anything but `own` code gets a frame, a code object or the like."""
    inside: set[int] = set()

    def is_breach(args: tuple[Any, ...], event: str) -> bool:
        name = event
        if event == "object.__getattr__":
            name = args[1]
            if name == "__code__" and type(args[0]) is _Function and args[0].__code__.co_filename != PROGRAM:
                return False
        try:
            caller = _getframe(2)
        except ValueError:
            return True
        code = id(caller.f_code)  # a program's code objects, with our lists among their constants, have no hash
        if code in own:
            return False
        if caller.f_lineno not in _DISCREET.get((name, code), ()):
            return True
        driver = _DRIVERS.get(code)
        return driver is not None and (caller.f_back is None or id(caller.f_back.f_code) != driver)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in _WATCHED or (event == "object.__getattr__" and args[1] not in _READS):
            return
        if event == "import":
            if args[0].rpartition(".")[2].startswith("_test"):  # CPython's own tests of its C interface
                breach(args[0])
            return
        thread = _get_ident()
        if thread in inside:
            return
        inside.add(thread)
        try:
            bad = is_breach(args, event)
        finally:
            inside.discard(thread)
        if bad:
            breach(args[1] if event == "object.__getattr__" else event)

    _addaudithook(hook)


def patch() -> None:
    """Close two ways round the hook: signal handlers, which get the frame that they interrupt, and the garbage that the collector can keep."""
    set_real, create = _signal.signal, _imp.create_builtin
    set_debug, keeps_garbage = gc.set_debug, gc.DEBUG_SAVEALL
    known = {"_signal": _signal, "gc": gc}

    def set_handler(number: int, handler: Any) -> Any:
        if callable(handler) and handler is not _default_int_handler:
            return set_real(number, opaque(lambda received, _frame: handler(received, None)))
        return set_real(number, handler)

    def create_builtin(spec: Any) -> Any:
        module = create(spec)
        return known.get(module.__name__, module)

    replacement = opaque(set_handler)
    _signal.signal = replacement
    signal.signal.__wrapped__ = replacement  # type: ignore[attr-defined]
    gc.set_debug = opaque(lambda flags: set_debug(flags & ~keeps_garbage))
    _imp.create_builtin = opaque(create_builtin)


def codes_of(modules: Iterable[types.ModuleType]) -> dict[int, types.CodeType]:
    """All code objects of the functions and classes of modules, by their ids."""
    found: dict[int, types.CodeType] = {}
    for module in modules:
        spaces = [vars(module), *(vars(value) for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__)]
        members = [value for space in spaces for value in space.values() if type(value) in (_Function, staticmethod)]
        todo = [getattr(member, "__func__", member).__code__ for member in members]
        while todo:
            code = todo.pop()
            if id(code) not in found:
                found[id(code)] = code
                todo += [constant for constant in code.co_consts if type(constant) is _Code]
    return found


def _lines(function: Any, name: str) -> frozenset[int]:
    """The lines on which a function reads an attribute of that name."""
    lines, line = set(), 0
    for instruction in dis.get_instructions(function):
        line = (instruction.positions.lineno if instruction.positions else None) or line
        if instruction.argval == name:
            lines.add(line)
    return frozenset(lines)


_walk = traceback._walk_tb_with_full_positions  # type: ignore[attr-defined]
_READERS: tuple[tuple[str, str, Any], ...] = (
    ("sys._getframe", "_getframe", collections.namedtuple),
    ("sys._getframe", "_getframe", typing._caller),  # type: ignore[attr-defined]
    ("sys._getframe", "_getframe", enum.EnumType._create_),  # type: ignore[attr-defined]
    ("sys._getframe", "_getframe", dataclasses.make_dataclass),
    ("__code__", "__code__", inspect._signature_from_function),  # type: ignore[attr-defined]
    ("__code__", "__code__", inspect._has_code_flag),  # type: ignore[attr-defined]
    ("__code__", "__code__", types.coroutine),
    ("tb_frame", "tb_frame", _walk),
    ("marshal.loads", "loads", importlib._bootstrap_external._compile_bytecode),  # type: ignore[attr-defined]
    ("code.__new__", "loads", importlib._bootstrap_external._compile_bytecode),  # type: ignore[attr-defined]
    ("code.__new__", "replace", types.coroutine),
)
_DISCREET = {(event, id(function.__code__)): _lines(function, name) for event, name, function in _READERS}
"""(What is read, the code in the standard library that reads it) → on which lines: they do not pass it on."""
_DRIVERS = {id(_walk.__code__): id(traceback.StackSummary._extract_from_extended_frame_gen.__func__.__code__)}  # type: ignore[attr-defined]
"""A generator that passes on what it reads → the only code that may get it."""
