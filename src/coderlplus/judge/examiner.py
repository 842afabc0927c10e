"""Test code, run in a process of its own with a proxy for the candidate. Standard library only; no code of the program runs here.

Arguments go to the program's process as plain data and come back changed in place if the program changed them; results and exceptions come back as
plain data. What the program sends is never taken for more than a value or an exception.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import types
from collections.abc import Mapping
from typing import Any

from coderlplus.judge.guest import MESSAGE_CHARS, TEST_FILENAME, bind_modules, describe
from coderlplus.judge.wire import Connection, PeerGone, framed
from coderlplus.sandbox.nodes import CLASSES, FIELDS, are_shared
from coderlplus.sandbox.values import NotPlain, decode, encode, is_plain

REHEARSALS = {
    "examine": ({"setup_code": "", "entry_point": "f", "tests": ["assert f(1) == 1"]}, framed({"loaded": True}) + framed({"value": 1})),
}
TOLD_CHARS = 100_000
"""Longest arguments, and longest value, that a reply tells of."""


class CandidateError(Exception):
    """Stands for an exception of the program whose class is not a builtin one."""


class CandidateExit(BaseException):
    """Stands for `SystemExit` and its kin: test code does not catch it."""


class NotData(BaseException):
    """A value that cannot travel. Not an `Exception`, so that test code does not catch it."""


class Opaque:
    """Stands for a result of another class, such as a match object: it has the attributes that travelled, is true or false, and equals nothing."""

    def __init__(self, fields: Mapping[str, Any], truth: bool = True) -> None:
        self.__dict__.update(fields)
        self.__dict__["__truth"] = truth

    def __bool__(self) -> bool:
        return bool(self.__dict__["__truth"])


class Candidate:
    """What test code calls in place of the program's function; remembers the last call. `names` is the namespace of the test code: nodes that arrive
    are made of its `ListNode` and `TreeNode`."""

    def __init__(self, connection: Connection, name: str, names: Mapping[str, Any]) -> None:
        self._connection = connection
        self._names = names
        self.__name__ = name.rpartition(".")[2]
        self.last_call: dict[str, Any] | None = None
        self.error: BaseException | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        sent_args = [encode(arg, by_value=True) for arg in args]
        sent_kwargs = {key: encode(value, by_value=True) for key, value in kwargs.items()}
        sent = {"args": sent_args, "kwargs": sent_kwargs}
        if not all(map(is_plain, [*sent_args, *sent_kwargs.values()])) or are_shared([*args, *kwargs.values()]):
            self.error = NotData("arguments")
            raise self.error
        self.last_call = dict(sent)
        self._connection.send(sent)
        answer = self._connection.receive()
        if type(answer) is not dict:
            raise PeerGone("not an answer")
        try:
            self._update(args, kwargs, answer)
            if "raised" in answer:
                self.error = _exception(answer)
                raise self.error
            if "items" in answer:
                return _iterable(answer.get("view"), self._decode(answer["items"]))
            if "truth" in answer:
                return self._opaque(answer.get("value"), answer["truth"] is True)
            self.last_call["value"] = answer.get("value")
            value = self._decode(answer.get("value"))
        except NotPlain as error:
            self.error = NotData(f"the program returned what is not plain data: {error}")
            raise self.error from None
        same = answer.get("same")
        known: dict[Any, Any] = {**dict(enumerate(args)), **kwargs} if type(same) in (int, str) else {}
        return known.get(same, value)

    def _decode(self, tagged: Any) -> Any:
        return decode(tagged, {**self._nodes(), "$object": lambda name, fields: Opaque(fields)})

    def _nodes(self) -> dict[str, Any]:
        return {name: self._names.get(name) or kind for name, kind in CLASSES.items()}

    def _opaque(self, tagged: Any, truth: bool) -> Any:
        """What stands for an object, with as many of its fields as can travel, or for a container of objects."""
        fields: dict[str, Any] = {}
        if type(tagged) is dict and "$object" in tagged and type(tagged.get("fields")) is dict:
            for name, value in tagged["fields"].items():
                with contextlib.suppress(NotPlain):
                    fields[name] = self._decode(value)
        else:
            with contextlib.suppress(NotPlain):
                return self._decode(tagged)
        return Opaque(fields, truth)

    def _update(self, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Mapping[str, Any]) -> None:
        """Change arguments in place as the program did. What it changed into something that cannot travel stays as it was."""
        changed = answer.get("args"), answer.get("kwargs")
        if type(changed[0]) is list and type(changed[1]) is dict:
            for old, new in [*zip(args, changed[0], strict=False), *((kwargs.get(key), new) for key, new in changed[1].items())]:
                with contextlib.suppress(NotPlain):
                    _assign(old, decode(new, self._nodes()))


def _assign(old: Any, new: Any) -> None:
    kind = type(old)
    if kind is not type(new):
        return
    if kind is list:
        if len(old) == len(new):
            for index, (before, after) in enumerate(zip(old, new, strict=True)):
                if type(before) is type(after) and (type(after) in (list, dict, set) or type(after).__name__ in FIELDS):
                    _assign(before, after)
                else:
                    old[index] = after
        else:
            old[:] = new
    elif kind in (dict, set):
        old.clear()
        old.update(new)
    elif kind.__name__ in FIELDS:
        for name in FIELDS[kind.__name__]:
            setattr(old, name, getattr(new, name))


def _iterable(view: Any, items: Any) -> Any:
    """What stands for an iterator, or a view of a dict, with these items."""
    try:
        if view == "keys":
            return dict.fromkeys(items).keys()
        if view == "values":
            return dict(enumerate(items)).values()
        if view == "items":
            return dict(items).items()
        return iter(items)
    except (TypeError, ValueError) as error:
        raise NotPlain(str(error)) from None


def _exception(answer: Mapping[str, Any]) -> BaseException:
    name, message = str(answer["raised"]), str(answer.get("message"))
    kind = getattr(builtins, name, None)
    if name in ("StopIteration", "StopAsyncIteration"):  # would end a loop of the test code in silence
        return RuntimeError(f"{name}: {message}")
    if isinstance(kind, type) and issubclass(kind, BaseException):
        if not issubclass(kind, Exception):
            return CandidateExit(name, message)
        try:
            return kind(message)
        except TypeError:
            return CandidateError(name, message)
    return CandidateError(name, message)


def examine(payload: Mapping[str, Any], host: Any) -> None:
    """Run each of `tests`; replies for each `{"end": ..., "call": last call}` (of failed ones, as far as it is not too long to tell), where `end` is

    - `passed`, `assertion` (of the test code, with `test_line`), `raised` (by the program, with `raised`, `message`, `line`),
    - `error` (of the test code: what the program gave does not fit), `not_data` (what the program gave cannot travel), `gone` (its process ended),
    - `broken`: the test code or the set-up code does not even compile or run, which is its author's fault,
    - `in_process`: the test code uses a name of the program, or passes something that cannot travel: it needs the weaker way.
    """
    connection = Connection(host.peer)
    try:
        loaded = connection.receive()
    except PeerGone:
        host.reply({"end": "gone"})
        return
    if loaded != {"loaded": True}:
        host.reply({"end": "raised", **loaded} if type(loaded) is dict else {"end": "gone"})
        return
    helpers: dict[str, Any] = dict(CLASSES) if payload["entry_point"].startswith("Solution()") else {}
    if payload["setup_code"]:
        try:
            exec(compile(payload["setup_code"], "<set-up>", "exec", dont_inherit=True), helpers)
        except Exception as error:
            host.reply({"end": "broken", **describe(error)})
            return
    for test in payload["tests"]:
        names = dict(helpers)
        candidate = Candidate(connection, payload["entry_point"], names)
        try:
            code = compile(test, TEST_FILENAME, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            host.reply({"end": "broken", **describe(error)})
            return
        result = _run(code, candidate, payload["entry_point"], names)
        host.reply(result if result["end"] == "passed" else result | {"call": _told(candidate.last_call)})
        if result["end"] == "gone":
            return


def check_answer(payload: Mapping[str, Any], host: Any) -> None:
    """Run a checker program (`code`) on `given`, `answer`, `expected`. Replies `{"accepted", "reason"}` or `{"fault": why}`."""
    names: dict[str, Any] = {"__name__": "checker", "__builtins__": builtins} | CLASSES
    try:
        exec(compile(payload["code"], TEST_FILENAME, "exec", dont_inherit=True), names)
        if payload["kind"] == "call":
            given: Any = dict(enumerate(decode(payload["given"]["args"], names))) | decode(payload["given"]["kwargs"], names)
        else:
            given = payload["given"]
        result = names["check"](given, decode(payload["answer"], names), decode(payload["expected"], names))
    except BaseException as error:
        said = describe(error)
        host.reply({"fault": f"raised {said['raised']}: {said['message']} (line {said.get('test_line')})"})
    else:
        if type(result) is bool or type(result) is str:
            host.reply({"accepted": result is True, "reason": result[:MESSAGE_CHARS] if type(result) is str else ""})
        else:
            host.reply({"fault": f"returned a {type(result).__name__}, not True, False or a reason for refusing"})


def _told(call: dict[str, Any] | None) -> dict[str, Any] | None:
    """The last call without its value, or nothing of it, where it would fill the reply."""
    size = {name: len(json.dumps(part)) for name, part in (call or {}).items()}
    if call is None or size["args"] + size["kwargs"] > TOLD_CHARS:
        return None
    return {name: part for name, part in call.items() if name != "value" or size[name] <= TOLD_CHARS}


def _run(code: types.CodeType, candidate: Candidate, entry_point: str, names: dict[str, Any]) -> dict[str, Any]:
    names["__name__"] = "test"
    names["__builtins__"] = builtins
    try:
        run_test(code, candidate, entry_point, names)
    except PeerGone:
        return {"end": "gone"}
    except NotData as error:
        return {"end": "in_process" if str(error) == "arguments" else "not_data", "message": str(error)}
    except BaseException as error:
        if error is candidate.error:
            raised = {"raised": error.args[0], "message": error.args[1]} if isinstance(error, CandidateError | CandidateExit) else describe(error)
            return {"end": "raised", **raised}
        if isinstance(error, NameError):
            return {"end": "in_process", **describe(error)}
        return {"end": "assertion" if isinstance(error, AssertionError) else "error", **describe(error)}
    return {"end": "passed"}


def run_test(code: types.CodeType, candidate: Any, entry_point: str, names: dict[str, Any]) -> None:
    """Run test code in the namespace `names`, with the candidate bound as `candidate` and under its own name; call `check` if it defines one."""
    names.pop("check", None)
    names["candidate"] = candidate
    owner, dot, method = entry_point.rpartition("().")
    names[owner if dot else entry_point] = (lambda: types.SimpleNamespace(**{method: candidate})) if dot else candidate
    bind_modules(code, names)
    exec(code, names)
    if names.get("check", candidate) is not candidate:
        names["check"](candidate)
