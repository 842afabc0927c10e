"""Test code, run in a process of its own with a proxy for the candidate. Standard library only; no code of the program runs here.

Arguments go to the program's process as plain data and come back changed in place if the program changed them; results and exceptions come back as
plain data. What the program sends is never taken for more than a value or an exception.
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Mapping
from typing import Any

from coderlplus.judge.guest import describe
from coderlplus.judge.wire import Connection, PeerGone
from coderlplus.sandbox.values import NotPlain, decode, encode, is_plain

FILENAME = "<test>"


class CandidateError(Exception):
    """Stands for an exception of the program whose class is not a builtin one."""


class CandidateExit(BaseException):
    """Stands for `SystemExit` and its kin: test code does not catch it."""


class NotData(BaseException):
    """A value that cannot travel. Not an `Exception`, so that test code does not catch it."""


class Opaque:
    """Stands for a result that is not plain data, such as a match object: it is true or false, and equals nothing."""

    def __init__(self, truth: bool) -> None:
        self._truth = truth

    def __bool__(self) -> bool:
        return self._truth


class Candidate:
    """What test code calls in place of the program's function; remembers the last call."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.__name__ = name.rpartition(".")[2]
        self.last_call: dict[str, Any] | None = None
        self.error: BaseException | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        sent_args, sent_kwargs = [encode(arg) for arg in args], {key: encode(value) for key, value in kwargs.items()}
        if not all(map(is_plain, [*sent_args, *sent_kwargs.values()])):
            self.error = NotData("arguments")
            raise self.error
        self.last_call = {"args": sent_args, "kwargs": sent_kwargs}
        self._connection.send(self.last_call)
        answer = self._connection.receive()
        if type(answer) is not dict:
            raise PeerGone("not an answer")
        try:
            self._update(args, kwargs, answer)
            if "raised" in answer:
                self.error = _exception(answer)
                raise self.error
            if "items" in answer:
                return iter(decode(answer["items"]))
            if "truth" in answer:
                return Opaque(answer["truth"] is True)
            self.last_call["value"] = answer.get("value")
            return decode(answer.get("value"))
        except NotPlain as error:
            self.error = NotData(f"the program returned what is not plain data: {error}")
            raise self.error from None

    def _update(self, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Mapping[str, Any]) -> None:
        """Change arguments in place as the program did."""
        changed = answer.get("args"), answer.get("kwargs")
        if type(changed[0]) is list and type(changed[1]) is dict:
            for old, new in zip(args, changed[0], strict=False):
                _assign(old, decode(new))
            for key, new in changed[1].items():
                _assign(kwargs.get(key), decode(new))


def _assign(old: Any, new: Any) -> None:
    if type(old) is not type(new):
        return
    if type(old) is list:
        if len(old) == len(new):
            for index, (before, after) in enumerate(zip(old, new, strict=True)):
                if type(before) is type(after) and type(after) in (list, dict, set):
                    _assign(before, after)
                else:
                    old[index] = after
        else:
            old[:] = new
    elif type(old) in (dict, set):
        old.clear()
        old.update(new)


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
    """Run each of `tests`; replies for each `{"end": ..., "call": last call}` (with its `value` where it has one), where `end` is

    - `passed`, `assertion` (of the test code), `raised` (by the program, with `raised`, `message`, `line`),
    - `error` (of the test code: what the program gave does not fit), `not_data` (what the program gave cannot travel), `gone` (its process ended),
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
    helpers: dict[str, Any] = {}
    if payload["setup_code"]:
        try:
            exec(compile(payload["setup_code"], "<set-up>", "exec", dont_inherit=True), helpers)
        except Exception as error:
            host.reply({"end": "error", **describe(error)})
            return
    for test in payload["tests"]:
        candidate = Candidate(connection, payload["entry_point"])
        result = _run(test, candidate, payload["entry_point"], dict(helpers))
        host.reply(result | {"call": candidate.last_call})
        if result["end"] == "gone":
            return


def _run(test: str, candidate: Candidate, entry_point: str, names: dict[str, Any]) -> dict[str, Any]:
    names["__name__"] = "test"
    names["__builtins__"] = builtins
    try:
        run_test(test, candidate, entry_point, names)
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


def run_test(test: str, candidate: Any, entry_point: str, names: dict[str, Any]) -> None:
    """Run test code in the namespace `names`, with the candidate bound as `candidate` and under its own name; call `check` if it defines one."""
    names.pop("check", None)
    names["candidate"] = candidate
    owner, dot, method = entry_point.rpartition("().")
    names[owner if dot else entry_point] = (lambda: types.SimpleNamespace(**{method: candidate})) if dot else candidate
    code = compile(test, FILENAME, "exec", dont_inherit=True)
    for name in _global_names(code) - names.keys():
        if name in sys.stdlib_module_names and name in sys.modules:
            names[name] = sys.modules[name]  # test code that counts on the imports of the reference
    exec(code, names)
    if names.get("check", candidate) is not candidate:
        names["check"](candidate)


def _global_names(code: types.CodeType) -> set[str]:
    """Names that code looks up as globals or attributes."""
    inner = [_global_names(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*inner)
