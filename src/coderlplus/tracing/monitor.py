"""Keeps a traced program away from its tracer, which lives in the same process. Standard library only; runs inside the
sandbox.

The recorder is referred to by constants of the program's code objects and by frames below the program's own, and by
nothing else that a program can get at:

- Frames, code objects and the collector's lists can be had only through calls and attributes that the interpreter
  *audits*. A hook that cannot be removed sees them first and ends the run (`watch`). Exempt are a few functions of
  ours, each for the one thing that it reads, and nothing of the standard library: what it needs is given to it by
  `substitutes`.
- The hook itself runs no code of the program and has no state, so that it may be interrupted by a signal or the
  collector at any point.
- The classes of our modules, which `object.__subclasses__()` lists, lose their methods (`strip`); objects that need
  them carry their own (`equip`).
- Our modules have builtins of their own, and take what they use of the standard library when they are loaded, where a
  program could patch it.
- A result is sealed with a key that only the host and the recorder know (`seal`): a program that finds the channel can
  spoil a result, not change it.

What is left is raw memory: `ctypes`, the strides of a numpy array, or crafted bytecode, in the hands of somebody who
knows the interpreter's layout. That is why a program that mentions such things is not traced at all (see `reach`).
"""

from __future__ import annotations

import hashlib
import json
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from coderlplus.tracing.instrumented import FILENAME
from coderlplus.tracing.reach import named_in
from coderlplus.tracing.substitutes import code_of, frame_of, load_code

_READS = frozenset({"__code__", "gi_code", "cr_code", "ag_code", "tb_frame", "gi_frame", "cr_frame", "ag_frame"})
_WATCHED = frozenset(
    {
        "sys._getframe", "sys._current_frames", "sys._current_exceptions", "sys.settrace", "sys.setprofile",
        "sys.addaudithook", "sys.monitoring.register_callback", "gc.get_objects", "gc.get_referrers",
        "gc.get_referents", "code.__new__", "object.__getattr__", "marshal.load", "marshal.loads", "ctypes.cdata",
        "ctypes.string_at", "ctypes.wstring_at", "ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.PyObj_FromPtr",
        "ctypes.call_function", "import", "exec", "cpython.PyInterpreterState_New"
    }
)  # fmt: skip
_addaudithook, _blake2b = sys.addaudithook, hashlib.blake2b
_Function, _Method, _Code = types.FunctionType, types.MethodType, types.CodeType
_chunks = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, None, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, False
)


def encode_json(value: object) -> str:
    """As `json.dumps`, in C alone: nothing of it can be patched."""
    return "".join(_chunks(value, 0))


def seal(key: str, body: str) -> str:
    """What only somebody with the key can write under a body."""
    return _blake2b(body.encode("utf-8", "surrogatepass"), key=bytes.fromhex(key), digest_size=16).hexdigest()


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


def strip() -> None:
    """Take the functions off our classes, through which a program would reach the globals of our modules."""
    for kind, names in _members:
        for name in names:
            _take_off(kind, name)


def remember_classes() -> None:
    """Look for the functions to `strip` before the sandbox forks, and keep them alive: a walk over all classes, and
    the end of a function with its code, would write to hundreds of pages of memory in every child."""
    _members.clear()
    _kept.clear()
    for kind in _our_classes():
        found = {name: member for name, member in vars(kind).items() if type(member) in _FUNCTIONS}
        if found:
            _members.append((kind, [*found]))
            _kept.extend(found.values())


_members: list[tuple[type, list[str]]] = []
_kept: list[object] = []
_FUNCTIONS = (_Function, staticmethod, classmethod, property)
_take_off = type.__delattr__


def _our_classes() -> list[type]:
    """The classes of this package, and those of the fork server's script, which is `__main__` before it forks."""
    script = [value for value in vars(sys.modules["__main__"]).values() if isinstance(value, type)]
    found = [kind for kind in script if kind.__module__ == "__main__"]
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


def exempt(functions: Mapping[str, Iterable[Callable[..., Any]]]) -> dict[str, frozenset[int]]:
    """Event or attribute → identities of the code objects of the functions that may cause or read it. Theirs inside
    are meant as well."""
    return {
        event: frozenset(id(code) for function in group for code in _codes(function.__code__))
        for event, group in functions.items()
    }


def _codes(code: types.CodeType) -> list[types.CodeType]:
    return [code, *(inner for constant in code.co_consts if type(constant) is _Code for inner in _codes(constant))]


def watch(exempted: Mapping[str, frozenset[int]], program: types.CodeType, breach: Callable[[str], None]) -> None:
    """From now on `breach(event)` is called, and must not return, before anybody else gets a frame, a code object or
    the like."""
    looker = _looker()
    next(looker)
    looker.send(looker.gi_frame)
    look = looker.send
    readers = {"tb_frame": frozenset({id(frame_of.__code__)}), "__code__": frozenset({id(code_of.__code__)})}
    loaders = frozenset({id(load_code.__code__)})
    allowed = {**readers, "marshal.loads": loaders, **exempted}
    nobody: frozenset[int] = frozenset()
    own = id(program)  # the code itself would keep the program's objects alive when it ends
    del program

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event not in _WATCHED:
            return
        if event == "object.__getattr__":
            if len(args) != 2 or type(args[1]) is not str:  # not the interpreter, but `sys.audit`
                breach("sys.audit")
            event = args[1]
            if event not in _READS:
                return
        elif event == "import":
            if type(args[0]) is not str or args[0].rpartition(".")[2].startswith(
                "_test"
            ):  # CPython's own tests of its C interface
                breach("import")
            return
        elif event == "exec":
            made = type(args[0]) is _Code and id(args[0]) != own and not args[0].co_filename.startswith("/")
            if made and named_in(args[0]):
                breach("exec")
            return
        try:
            requester = look(None)
        except ValueError:  # it runs already: a callable of the program interrupted it
            requester = None
        if requester is not None and id(requester.f_code) in allowed.get(event, nobody):
            return
        if event == "__code__" and type(args[0]) is _Function and code_of(args[0]).co_filename != FILENAME:
            return
        breach(event)

    _addaudithook(hook)


def _looker() -> Any:
    """Tells who calls the function that calls `send`: it starts from its own frame, so that no event is caused.

    >>> (lambda look: (next(look), look.send(look.gi_frame)) and (lambda: look.send(None).f_code.co_name)())(_looker())
    '<lambda>'
    """
    own = yield
    yield
    while True:
        yield own.f_back.f_back
