"""Records: what is written is read back, and a broken line is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderlplus.errors import DataError
from coderlplus.records import (
    AlignmentTask,
    CallInput,
    CallTest,
    CheckTest,
    Ending,
    Failure,
    Limits,
    Problem,
    Record,
    Reward,
    Rollout,
    StdioInput,
    StdioTest,
    Target,
    Trace,
    Verdict,
    read_jsonl,
    write_jsonl,
)

FAILURE = Failure(
    index=1, verdict="wrong_answer", detail="3 is not 4", input=CallInput("f", ([1], {"$tuple": [2]}), {"key": None})
)
VERDICT = Verdict(
    rollout_id="r",
    problem_id="p",
    verdict="wrong_answer",
    tests_passed=1,
    tests_total=2,
    first_failure=FAILURE,
    cpu_s=0.5,
    isolation=("seccomp",),
)
RECORDS: list[Record] = [
    Problem(
        problem_id="p",
        statement="Say.",
        tests=(StdioTest("1\n", "2\n"),),
        limits=Limits(cpu_s=1.0),
        source="x",
        checker="any",
    ),
    Problem(
        problem_id="q",
        statement="Do.",
        tests=(CallTest(([1],), {"$set": [1]}, {"k": 1}), CheckTest("assert f(1)")),
        entry_point="Solution().f",
        reference="def f(x): ...",
        setup_code="import math",
        starter_code="def f(x):",
    ),
    Rollout(rollout_id="r", problem_id="p", program="x = 1"),
    Rollout(rollout_id="r", problem_id="p", completion="```python\nx\n```"),
    VERDICT,
    Trace(
        program="x = 1",
        input=StdioInput("a"),
        ending=Ending(kind="exception", type="ValueError", message="no", line=1),
        output="b",
        deterministic=False,
        variables={"<module>": {"x": 1}, "f": {"y": [2]}},
    ),
    AlignmentTask(
        task_id="t",
        kind="final_values",
        prompt="?",
        program="x = 1",
        input=StdioInput(""),
        targets=(Target(label="x", value=1, scope="<module>"), Target(label="output", value=None)),
        problem_id="p",
        rollout_id="r",
        step=4,
        verdict="runtime_error",
    ),
    Reward(kind="generation", value=0.0, program="x = 1", verdict=VERDICT),
    Reward(kind="final_values", value=0.55, correct={"x": True, "output": False}),
    Reward(kind="generation", value=None),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_is_read_back_as_it_was_written(record: Record, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    assert write_jsonl(path, [record, record]) == 2
    assert list(read_jsonl(path, type(record))) == [record, record]


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    def broken() -> object:
        yield RECORDS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_jsonl(tmp_path / "records.jsonl", broken())  # type: ignore[arg-type]
    assert not (tmp_path / "records.jsonl").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"rollout_id": "r',
            r"r\.jsonl:2: not valid JSON \(Invalid control character at column 18\); fix or remove the line",
        ),
        ("[]", r"r\.jsonl:2: expected a JSON object"),
        ('{"rollout_id": "r"}', r"r\.jsonl:2: field 'problem_id' is missing"),
        (
            '{"rollout_id": 1, "problem_id": "p", "program": ""}',
            r"r\.jsonl:2: field 'rollout_id' must be str, not int 1",
        ),
        ('{"rollout_id": "r", "problem_id": "p"}', r"r\.jsonl:2: rollout 'r' needs either 'program' or 'completion'"),
    ],
)
def test_a_broken_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(f'{{"rollout_id": "a", "problem_id": "p", "program": "x"}}\n{line}\n')
    with pytest.raises(DataError, match=message):
        list(read_jsonl(path, Rollout))


def test_a_problem_without_tests_is_refused() -> None:
    with pytest.raises(DataError, match="problem 'p' has no tests"):
        Problem(problem_id="p", statement="", tests=())


def test_call_tests_need_an_entry_point() -> None:
    with pytest.raises(DataError, match="no entry_point"):
        Problem(problem_id="p", statement="", tests=(CheckTest("assert f()"),))


@pytest.mark.parametrize("limits", [{"cpu": 1}, {"cpu_s": 0}, {"memory_mb": "512"}, {"wall_s": True}])
def test_a_wrong_limit_is_refused(limits: dict[str, object]) -> None:
    with pytest.raises(DataError, match="limit"):
        Limits.from_json(limits)
