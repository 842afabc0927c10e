"""Whatever comes out of a sandbox, reading it raises nothing, and only the right claim of a value passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coderlplus.judge.program import judge_program
from coderlplus.records import CallTest, CheckTest, Limits, Problem, StdioTest, Test, Verdict
from coderlplus.sandbox import Job, Outcome
from coderlplus.sandbox.forkserver import parse_replies

SECRET = 977_231
CASES: dict[str, Test] = {
    "stdio": StdioTest("3", str(SECRET)),
    "call": CallTest((3,), SECRET),
    "literal": CheckTest(f"assert f(3) == {SECRET}"),
    "planned": CheckTest(f"n = 3\nassert f(n) == {SECRET}"),
    "examined": CheckTest(f"import operator\nassert operator.eq(f(3), {SECRET})"),
    "in process": CheckTest(f"assert f(3) == {SECRET}", in_process=True),
}
PROBLEMS = {
    kind: Problem(problem_id=kind, statement="", tests=(test,) * 3, entry_point="f") for kind, test in CASES.items()
}
TAGS = [
    "$tuple",
    "$set",
    "$dict",
    "$float",
    "$int",
    "$bytes",
    "$range",
    "$fraction",
    "$object",
    "fields",
    "$cycle",
    "$cut",
    "$tree_node",
    "$list_node",
]
KEYS = [
    "value",
    "raised",
    "message",
    "line",
    "stdout",
    "exit_code",
    "syntax_error",
    "end",
    "call",
    "args",
    "kwargs",
    "loading",
    *TAGS,
]
DRY_RUN = Outcome(
    ending="returned",
    replies=(
        [
            {
                "calls": [{"args": [3], "kwargs": {}}],
                "asserts": [
                    {
                        "after": 1,
                        "test": ["eq", ["answer", 0], ["const", SECRET]],
                        "line": 2,
                        "message": "",
                        "shown": [],
                    }
                ],
            }
        ]
        * 3,
    ),
)
"""What comes of the dry run of the planned tests, where no program runs."""
ENDS = ["assertion", "raised", "error", "not_data", "gone", "x"]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5) | st.sampled_from(ENDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
outcomes = st.builds(
    Outcome,
    ending=st.sampled_from(["returned", "exited", "signal", "time_limit", "memory_limit", "output_limit", "fault"]),
    exit_code=st.integers(0, 64),
    replies=st.lists(values, max_size=4).map(tuple),
    stdout=st.binary(max_size=9),
    stderr=st.just(""),
    cpu_s=st.floats(0, 9),
    wall_s=st.floats(0, 9),
)


def replied(reply: object) -> list[Outcome]:
    return [Outcome(ending="returned", replies=(reply,))]


@pytest.mark.parametrize("kind", PROBLEMS)
@given(results=st.lists(outcomes, min_size=1, max_size=5), all_tests=st.booleans())
@example(results=replied({"value": {"$range": ""}}), all_tests=False)
@example(results=replied({"call": {"args": None}}), all_tests=False)
@settings(max_examples=150)
def test_any_outcome_gives_a_verdict_and_no_pass(kind: str, results: list[Outcome], all_tests: bool) -> None:
    left = iter(results * 20)

    def execute(job: Job) -> Outcome:
        return DRY_RUN if job.guest.endswith(":dry_run") else next(left)

    verdict = judge_program(execute, PROBLEMS[kind], "x", all_tests)
    assert not verdict.passed
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))).verdict == verdict.verdict


@given(
    st.binary()
    | st.lists(values.map(json.dumps), max_size=4).map(lambda lines: "\n".join(lines).encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_read(data: bytes) -> None:
    json.dumps(list(parse_replies(data + b"\n")))


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900, b"[" * 401 + b"]" * 401]
)
def test_deep_nesting_is_not_read(text: bytes) -> None:
    assert list(parse_replies(text + b"\n")) == []


def test_brackets_in_text_are_not_nesting() -> None:
    assert list(parse_replies(json.dumps(["[" * 1000]).encode() + b"\n")) == [["[" * 1000]]


@pytest.mark.parametrize("kind", [kind for kind in CASES if kind != "in process"])
@given(
    data=st.binary(max_size=300)
    | st.lists(values.map(json.dumps), max_size=3).map(lambda lines: ("\n".join(lines) + "\n").encode())
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_program_that_writes_any_bytes_for_replies_gets_no_pass(
    verdict_on: Callable[..., Verdict], kind: str, data: bytes
) -> None:
    program = (
        f"import os\nfor fd in range(3, 16):\n    try: os.write(fd, {data!r})\n    except OSError: pass\nos._exit(0)"
    )
    verdict = verdict_on(
        program, CASES[kind], entry_point=None if kind == "stdio" else "f", limits=Limits(cpu_s=0.5, wall_s=5)
    )
    assert verdict.verdict not in ("passed", "sandbox_fault"), data


@given(text=st.binary(max_size=120).map(lambda data: data.decode("latin-1")) | st.text(max_size=60))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_as_a_program_gets_a_verdict(verdict_on: Callable[..., Verdict], text: str) -> None:
    verdict: Any = verdict_on(text, CASES["stdio"], entry_point=None)
    assert verdict.verdict in (
        "syntax_error",
        "runtime_error",
        "wrong_answer",
        "no_program",
        "time_limit",
        "memory_limit",
    )
