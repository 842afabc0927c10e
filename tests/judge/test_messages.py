"""Whatever a program says, on any descriptor and at any point of the conversation: never a pass, never a fault of
ours, never a large verdict.

A small number of examples here; `CODERLPLUS_WHOLE=1` takes many.
"""

from __future__ import annotations

import base64
import json
import os
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coderlplus.judge.replies import (
    read_checked,
    read_examined,
    read_in_process,
    read_not_loaded,
    read_returned,
    read_script_end,
)
from coderlplus.judge.wire import PeerGone, framed, read_answer, read_loaded
from coderlplus.records import CallInput, CallTest, CheckTest, Limits, StdioTest, Test, Verdict

WHOLE = bool(os.environ.get("CODERLPLUS_WHOLE"))
pytestmark = pytest.mark.timeout(3600 if WHOLE else 300)
EXAMPLES = 1500 if WHOLE else 20
SECRET = 977_231
LIMITS = Limits(cpu_s=1, wall_s=3, memory_mb=128, output_kb=256)
CODE = f"n = 3\nassert f(n) == {SECRET}\nassert f(f(n)) == {SECRET}"
CATCHES = f"""
seen = []
for n in range(3):
    try:
        seen.append(f(n))
    except:
        pass
assert seen == [{SECRET}] * 3
"""
KINDS: dict[str, tuple[Test, ...]] = {
    "stdio": (StdioTest("3", str(SECRET)), StdioTest("4", str(SECRET))),
    "call": (CallTest((3,), SECRET), CallTest((4,), SECRET)),
    "literal": (CheckTest(f"assert f(3) == {SECRET}"), CheckTest(f"assert f(4) == {SECRET}")),
    "code": (CheckTest(CODE), CheckTest(CODE)),
    "planned": (CheckTest(f"for n in [3, 4]:\n    assert f(n) == {SECRET}"),),
    "caught": (
        CheckTest(
            "n = 3\nseen = []\nfor n in range(3):\n    try:\n        seen.append(f(n))\n    except:\n        "
            f"pass\nassert seen == [{SECRET}] * 3"
        ),
    ),
    "changed": (CheckTest(f"x = [1]\nf(x)\nassert x == [{SECRET}]"),),
    "mixed": (CallTest((3,), SECRET), CheckTest(CODE)),
}
NAMES = [
    "end", "at", "loaded", "value", "truth", "same", "items", "view", "raised", "message", "line", "test_line", "args",
    "kwargs", "call", "stdout",
    "exit_code", "thread", "syntax_error", "loading", "accepted", "reason", "fault", "of", "$set", "$object", "fields",
    "$cut", "$dict", "$float",
]  # fmt: skip
WORDS = [
    "passed",
    "assertion",
    "broken",
    "in_process",
    "fault",
    "gone",
    "not_loaded",
    "called",
    "keys",
    "NameError",
    "StopIteration",
    "SystemExit",
]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**30) | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=10,
)
LARGE = [
    b"[" * 2000,
    framed(json.loads("[" * 300 + "]" * 300)),
    framed({"value": "x" * 3_000_000}),
    framed({"value": [[]] * 1_000_000}),
    framed({"value": {"$set": [n * ((1 << 61) - 1) for n in range(3000)]}}),
    framed({"raised": "E" * 100_000, "message": "m" * 100_000, "line": 1 << 80}),
    framed({"value": None, "args": [[0] * 300_000], "kwargs": {}}),
    json.dumps({"exit_code": "A" * 1_000_000, "stdout": 0}).encode() + b"\n",
    struct.pack("I", (1 << 32) - 1) + b"{}",
    struct.pack("I", 60 << 20) + b"[",
]
messages = (
    st.binary(max_size=60)
    | values.map(framed)
    | values.map(lambda value: json.dumps(value).encode() + b"\n")
    | st.dictionaries(st.sampled_from(NAMES), values, max_size=4).map(framed)
    | st.builds(lambda frame, cut: frame[:cut], values.map(framed), st.integers(0, 20))
    | st.sampled_from(LARGE)
    | st.sampled_from(
        [
            framed({"loaded": True}),
            framed({"value": 5}),
            b"end\n",
            b"memory\n",
            b'{"end": "passed"}\n',
            b'{"at": "called"}\n',
        ]
    )
)
POINTS = ["load", "first call", "later call", "exit"]
AFTER = ["goes on", "exits", "is killed", "closes all", "raises"]
PROGRAM = """
import atexit, json, os, struct
def say(point):
    if point == POINT:
        for fd in FDS:
            rest = DATA
            try:
                while rest: rest = rest[os.write(fd, rest):]
            except OSError: pass
        if AFTER == "exits": os._exit(0)
        if AFTER == "is killed": os.kill(os.getpid(), 11)
        if AFTER == "closes all": os.closerange(0, 64)
        if AFTER == "raises": raise NameError("n")
say("load")
atexit.register(say, "exit")
calls = 0
def f(*args):
    global calls
    calls += 1
    say("first call" if calls == 1 else "later call")
    return 5
if __name__ == "__main__":
    print(f(input()))
"""


def program(data: bytes, fds: list[int], point: str, after: str) -> str:
    """As text that makes the data, which may be long."""
    whole = f"{data!r}" if len(data) < 1000 else f"{data[:40]!r} + {data[40:41]!r} * {len(data) - 80} + {data[-40:]!r}"
    return f"DATA, FDS, POINT, AFTER = {whole}, {fds}, {point!r}, {after!r}\n{PROGRAM}"


def check(verdict: Verdict, kind: str) -> None:
    assert verdict.verdict not in ("passed", "sandbox_fault"), verdict.first_failure
    assert "in_process_check" not in verdict.isolation
    assert len(json.dumps(verdict.to_json())) < 12_000
    failure = verdict.first_failure
    assert failure is not None
    if kind == "code" and isinstance(failure.input, CallInput):
        assert failure.input.args in ((3,), (5,)) or failure.detail.startswith("the assertion"), failure


@pytest.mark.parametrize("kind", KINDS)
@given(
    data=st.lists(messages, min_size=1, max_size=4).map(b"".join),
    fds=st.sampled_from([[7], [4], [7, 4], list(range(3, 9)), list(range(16))]),
    point=st.sampled_from(POINTS),
    after=st.sampled_from(AFTER),
    all_tests=st.booleans(),
)
@example(data=framed({"end": "passed"}), fds=[7], point="load", after="goes on", all_tests=False)
@example(
    data=framed({"loaded": True}) + framed({"end": "passed"}) * 9,
    fds=[7, 4],
    point="load",
    after="goes on",
    all_tests=True,
)
@example(data=b'{"end": "passed"}\n' * 9 + b"end\n", fds=[4], point="load", after="exits", all_tests=True)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_no_message_of_a_program_decides(
    verdict_on: Callable[..., Verdict], kind: str, data: bytes, fds: list[int], point: str, after: str, all_tests: bool
) -> None:
    entry_point = None if kind == "stdio" else "f"
    verdict = verdict_on(
        program(data, fds, point, after), *KINDS[kind], entry_point=entry_point, limits=LIMITS, all_tests=all_tests
    )
    check(verdict, kind)


@pytest.mark.parametrize("data", LARGE, ids=range(len(LARGE)))
@pytest.mark.parametrize("kind", ["stdio", "call", "code"])
def test_nor_does_a_large_one(verdict_on: Callable[..., Verdict], kind: str, data: bytes) -> None:
    entry_point = None if kind == "stdio" else "f"
    packed = base64.b85encode(zlib.compress(data))
    unpacked = f"import base64, zlib\nDATA = zlib.decompress(base64.b85decode({packed!r}))\nsay('load')"
    text = program(b"", [7, 4], "first call", "exits").replace('say("load")', unpacked, 1)
    check(verdict_on(text, *KINDS[kind], entry_point=entry_point, limits=LIMITS), kind)


@given(message=values | st.dictionaries(st.sampled_from(NAMES), values, max_size=4))
@settings(max_examples=2000 if WHOLE else 300)
def test_readers_take_what_they_name_and_nothing_else(message: Any) -> None:
    for reader in (read_not_loaded, read_script_end, read_returned, read_in_process, read_examined, read_checked):
        found = reader(message)  # raises nothing
        assert found is None or type(message) is dict
    try:
        answer = read_answer(message, 1, frozenset("k"))
    except PeerGone:
        pass
    else:
        assert answer.kind in message
        assert len(answer.raised) <= 80
        assert len(answer.message) <= 300
        assert not {"end", "at", "call", "loaded"} & message.keys()
    if message not in ({"loaded": True}, {"loaded": False}):
        with pytest.raises(PeerGone):
            read_loaded(message)


def test_nor_do_answers_that_test_code_keeps(verdict_on: Callable[..., Verdict]) -> None:
    """Arguments of the last call are told of, but not those that the program may have made in an earlier test."""
    tests = CheckTest("kept.append(f(3))\nassert kept"), CheckTest(f"assert f(kept[0]) == {SECRET}")
    verdict = verdict_on("def f(x): return ['x' * 3000] * 10", *tests, setup_code="kept = []", limits=LIMITS)
    assert verdict.tests_passed == 1
    check(verdict, "kept")


@pytest.mark.parametrize("kind", ["call", "literal", "code"])
@pytest.mark.parametrize("value", [{"$range": ""}, {"$no": 1}, {"a": 1, "$b": 2}, [{"$set": 3}], {"$float": "x"}])
def test_a_verdict_can_be_read_again(verdict_on: Callable[..., Verdict], kind: str, value: Any) -> None:
    data = framed({"value": value}) if kind == "code" else json.dumps({"value": value}).encode() + b"\n"
    text = program(data * 2, [7 if kind == "code" else 4], "first call", "exits")
    verdict = verdict_on(text, *KINDS[kind], limits=LIMITS)
    check(verdict, kind)
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict
