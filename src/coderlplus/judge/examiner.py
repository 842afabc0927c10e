"""Test code, run in a process of its own with a proxy for the candidate. Standard library only; no code of the program
runs here.

Arguments go to the program's process as plain data and come back changed in place if the program changed them; results
and exceptions come back as plain data. What the program sends is never taken for more than a value or an exception
(`wire.read_answer`), and no field of it is copied into a reply: how a test ended, and which call is told of, is said
here, of what was sent from here.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import types
from collections.abc import Mapping
from typing import Any

from coderlplus.judge.guest import TEST_FILENAME, bind_modules, describe
from coderlplus.judge.stand_ins import Opaque, assign, exception_of, iterable
from coderlplus.judge.wire import (
    MESSAGE_CHARS,
    AnotherCall,
    Answer,
    Connection,
    PeerGone,
    Repeated,
    framed,
    read_answer,
    read_loaded,
)
from coderlplus.sandbox.decoding import NotPlain, decode, is_plain
from coderlplus.sandbox.encoding import encode
from coderlplus.sandbox.nodes import CLASSES, are_shared

_TEST = {"code": "assert f(1) == 1", "main": False, "modules": []}
REHEARSALS = {
    "examine": (
        {"setup_code": "", "entry_point": "f", "tests": [_TEST], "all": False},
        framed({"loaded": True}) + framed({"value": 1}),
    ),
}
TOLD_CHARS = 100_000
"""Longest arguments that a reply tells of where the test made them, and longest value."""
TURNS_BYTES = 500_000
"""Size of all messages up to which a conversation is reported."""
TAINTED_CHARS = 4_000
"""Longest arguments that a reply tells of where the program had given an answer before."""


class NotData(BaseException):
    """A value that cannot travel. Not an `Exception`, so that test code does not catch it."""


class Examination:
    """The conversation with the program, over all tests."""

    def __init__(self, connection: Connection | Repeated, host: Any) -> None:
        self.connection = connection
        self.turns: list[tuple[Any, Any]] = []
        """Calls and their answers."""
        self.reply = host.reply
        self.state = _State()
        """Of the test that is run: it may call what an earlier one has kept."""
        self.instances = 0
        self.called = False
        """Whether the program was asked in any test: test code may keep its answers for later tests."""

    def asked(self, call: Mapping[str, Any]) -> Any:
        """What the program says of a call."""
        self.connection.send(call)
        answer = self.connection.receive()
        if self.connection.size <= TURNS_BYTES:
            self.turns.append((call, answer))
        return answer


class Candidate:
    """What test code calls in place of the program's function. `names` is the namespace of the test code: nodes that
    arrive are made of its `ListNode` and `TreeNode`. `of` numbers the instance of the program's class."""

    def __init__(self, examination: Examination, name: str, names: Mapping[str, Any]) -> None:
        self.examination = examination
        self.names = names
        self.name = name
        self.of = 0
        self.__name__ = name.rpartition(".")[2]

    def of_new_instance(self) -> types.SimpleNamespace:
        """What `Solution()` in test code gives."""
        other = Candidate(self.examination, self.name, self.names)
        self.examination.instances += 1
        other.of = self.examination.instances
        return types.SimpleNamespace(**{self.__name__: other})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = self.examination.state
        if state.stop is not None:  # caught by the test code
            raise state.stop
        sent_args = [encode(arg, by_value=True) for arg in args]
        sent_kwargs = {key: encode(value, by_value=True) for key, value in kwargs.items()}
        if not all(map(is_plain, [*sent_args, *sent_kwargs.values()])) or are_shared([*args, *kwargs.values()]):
            raise state.stopped(NotData("the arguments are not plain data"))
        state.last_call = {"args": sent_args, "kwargs": sent_kwargs}
        state.was_tainted, self.examination.called = self.examination.called, True
        if not state.called:
            state.called = True
            self.examination.reply({"at": "called"})
        call = {"args": sent_args, "kwargs": sent_kwargs, "of": self.of}
        try:
            message = self.examination.asked(call)
            answer = read_answer(message, len(args), frozenset(kwargs))
        except PeerGone as gone:
            raise state.stopped(gone) from None
        state.value = None
        try:
            self._update(args, kwargs, answer)
            if answer.kind == "raised":
                state.answer, state.error = answer, exception_of(answer.raised, answer.message, answer.base)
                raise state.error
            if answer.kind == "items":
                return iterable(answer.view, self._decode(answer.value))
            if answer.truth is not None:
                return self._opaque(answer.value, answer.truth)
            value = self._decode(answer.value)
        except NotPlain as error:
            raise state.stopped(NotData(f"the program returned what is not plain data: {error}")) from None
        state.value = [answer.value]
        known: dict[Any, Any] = {} if answer.same is None else {**dict(enumerate(args)), **kwargs}
        return known.get(answer.same, value)

    def _decode(self, tagged: Any) -> Any:
        return decode(tagged, {**self.node_classes(), "$object": lambda name, fields: Opaque(fields)})

    def node_classes(self) -> dict[str, Any]:
        return {name: self.names.get(name) or kind for name, kind in CLASSES.items()}

    def _opaque(self, tagged: Any, truth: bool) -> Any:
        """What stands for an object, with as many of its fields as can travel, or for a container of objects."""
        if type(tagged) is not dict or "$object" not in tagged or type(tagged.get("fields")) is not dict:
            try:
                return self._decode(tagged)
            except NotPlain:
                return Opaque({}, truth)
        fields: dict[str, Any] = {}
        for name, value in tagged["fields"].items():
            with contextlib.suppress(NotPlain):
                fields[name] = self._decode(value)
        return Opaque(fields, truth)

    def _update(self, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Answer) -> None:
        """Change arguments in place as the program did. What it changed into something that cannot travel stays as it
        was."""
        if answer.args is not None and answer.kwargs is not None:
            named = [(kwargs[key], new) for key, new in answer.kwargs.items()]
            for old, new in [*zip(args, answer.args, strict=True), *named]:
                with contextlib.suppress(NotPlain):
                    assign(old, decode(new, self.node_classes()))


class _State:
    """What came of the calls of one test."""

    def __init__(self) -> None:
        self.called = False
        """Whether a call was sent, so that an answer may come: what goes wrong before can only be the test's own
        doing."""
        self.last_call: dict[str, Any] | None = None
        self.was_tainted = False
        """Whether the program had given an answer before the last call, in this test or another, so that its arguments
        may come from there."""
        self.value: list[Any] | None = None
        """The value of the last call, as the only item."""
        self.error: BaseException | None = None
        """The exception that the last call raised."""
        self.answer: Answer | None = None
        """What the program said of it."""
        self.stop: PeerGone | NotData | None = None
        """What ended the test, even where its code caught it."""

    def stopped(self, why: PeerGone | NotData) -> PeerGone | NotData:
        self.stop = why
        return why


def examine(payload: Mapping[str, Any], host: Any) -> None:
    """Run each of `tests`, to the first that is not passed or, with `all`, to the last. A test is code (`code`,
    `main`, `modules`), or one call (`args`, `kwargs`) whose value the reply tells.

    Replies `{"at": "loading"}` behind the set-up code, `{"at": "loaded"}` when the program is, `{"at": "called"}`
    before the first call of each test, and for each test `{"end": ...}`:

    - `passed`, or `value` with `value` for a call,
    - `assertion` (of the test code, with `test_line`), `raised` (by the program, with `raised`, `message`, `line`),
    - `error` (of the test code: what the program gave does not fit), `not_data` (what the program gave cannot travel),
    - `gone`: its process ended, or sent what is not an answer; nothing is run after it,
    - `not_loaded`: the program failed before any test; a reply of its own process says how,
    - `fault`: of the test itself or its set-up code, with `message`.

    Behind the last one comes `{"turns": [[call, answer], ...]}`, if that is not too long. With a `conversation` of
    such turns nobody is asked; it may end with `another_call`: test code makes another one than those.

    Ends of tests that are not passed tell the last `call`, as far as it is not too long.
    """
    helpers: dict[str, Any] = dict(CLASSES) if payload["entry_point"].startswith("Solution()") else {}
    if payload["setup_code"]:
        try:
            exec(compile(payload["setup_code"], "<set-up>", "exec", dont_inherit=True), helpers)
        except BaseException as error:
            host.reply({"end": "fault", "message": f"its set-up code raised {_words(error)}"})
            return
        host.reply({"at": "loading"})
    repeated = payload.get("conversation")
    examination = Examination(Connection(host.peer) if repeated is None else Repeated(repeated), host)
    try:
        is_loaded = read_loaded(examination.connection.receive())
    except PeerGone:
        host.reply({"end": "gone"})
        return
    if not is_loaded:
        host.reply({"end": "not_loaded"})
        return
    host.reply({"at": "loaded"})
    for test in payload["tests"]:
        examination.state = _State()
        names = dict(helpers)
        candidate = Candidate(examination, payload["entry_point"], names)
        end = _run(test, candidate, names) if "code" in test else _call(test, candidate, names)
        host.reply(end)
        if end["end"] in ("another_call", "gone", "fault"):
            return
        if not (payload["all"] or end["end"] in ("passed", "value")):
            break
    if examination.connection.size <= TURNS_BYTES:
        host.reply({"turns": examination.turns})


def check_answer(payload: Mapping[str, Any], host: Any) -> None:
    """Run a checker program (`code`) on `given`, `answer`, `expected`. Replies `{"accepted", "reason"}` or `{"fault":
    why}`."""
    names: dict[str, Any] = {"__name__": "checker", "__builtins__": builtins} | CLASSES
    try:
        exec(compile(payload["code"], TEST_FILENAME, "exec", dont_inherit=True), names)
        given = payload["given"]
        if payload["kind"] == "call":
            given = {**dict(enumerate(decode(given["args"], names))), **decode(given["kwargs"], names)}
        result = names["check"](given, decode(payload["answer"], names), decode(payload["expected"], names))
    except BaseException as error:
        said = describe(error)
        host.reply({"fault": f"raised {said['raised']}: {said['message']} (line {said.get('test_line')})"})
    else:
        if type(result) is bool or type(result) is str:
            host.reply({"accepted": result is True, "reason": result[:MESSAGE_CHARS] if type(result) is str else ""})
        else:
            host.reply({"fault": f"returned a {type(result).__name__}, not True, False or a reason for refusing"})


def _run(test: Mapping[str, Any], candidate: Candidate, names: dict[str, Any]) -> dict[str, Any]:
    """Run test code in the namespace `names`, with the candidate bound as `candidate` and under its own name."""
    names.pop("check", None)
    names["candidate"] = candidate
    owner, dot, _ = candidate.name.rpartition("().")
    names[owner if dot else candidate.name] = candidate.of_new_instance if dot else candidate
    names["__name__"] = "__main__" if test["main"] else "test"
    names["__builtins__"] = builtins
    raised: BaseException | None = None
    try:
        bind_modules(test["modules"], names)
        exec(compile(test["code"], TEST_FILENAME, "exec", dont_inherit=True), names)
    except BaseException as error:
        raised = error
    return _end(candidate.examination.state, raised)


def _call(test: Mapping[str, Any], candidate: Candidate, names: dict[str, Any]) -> dict[str, Any]:
    try:
        classes = names | candidate.node_classes()
        value = candidate(*decode(test["args"], classes), **decode(test["kwargs"], classes))
        return {"end": "value", "value": encode(value, by_value=True)}
    except BaseException as error:
        return _end(candidate.examination.state, error)


def _end(state: _State, raised: BaseException | None) -> dict[str, Any]:
    """How a test ended, of which `raised` came in the end."""
    if isinstance(state.stop, AnotherCall):
        return {"end": "another_call"}
    if isinstance(state.stop, PeerGone):
        return {"end": "gone", **_told(state)}
    if not state.called:
        passes = "it passes without a call of the program"
        what = str(state.stop) if state.stop else passes if raised is None else f"it raised {_words(raised)}"
        return {"end": "fault", "message": what}
    if state.stop is not None:
        return {"end": "not_data", "message": str(state.stop)[:MESSAGE_CHARS], **_told(state)}
    if raised is None or (isinstance(raised, SystemExit) and not raised.code):
        return {"end": "passed"}
    said = describe(raised)
    end: dict[str, Any] = {"raised": said["raised"], "message": said["message"], **_told(state)}
    if raised is not state.error or state.answer is None:
        name = "assertion" if isinstance(raised, AssertionError) else "error"
        return {"end": name, "test_line": said.get("test_line"), **end}
    answer = state.answer
    return {"end": "raised", **end, "raised": answer.raised, "message": answer.message, "line": answer.line}


def _words(error: BaseException) -> str:
    said = describe(error)
    return f"{said['raised']}: {said['message']}" if said["message"] else str(said["raised"])


def _told(state: _State) -> dict[str, Any]:
    """The last call and its value, or nothing of what would fill the reply."""
    most = TAINTED_CHARS if state.was_tainted else TOLD_CHARS
    if state.last_call is None or len(json.dumps(state.last_call)) > most:
        return {}
    told: dict[str, Any] = {"call": state.last_call}
    if state.value is not None and len(json.dumps(state.value)) <= TOLD_CHARS:
        told["value"] = state.value[0]
    return told
