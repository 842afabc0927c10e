"""Nothing in an input is passed over without a word: every key of every record is known or refused."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from coderlplus.engines.reward_functions import alignment_reward, to_dataset_row
from coderlplus.errors import DataError
from coderlplus.records import AlignmentTask, CallInput, CallTest, CheckTest, Problem, Rollout, StdioTest, Target

RECORDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "problem": (
        Problem,
        Problem(
            problem_id="p",
            statement="s",
            entry_point="f",
            tests=(CallTest((1,), {"a": 1}), StdioTest("1", "2"), CheckTest("assert f(1)")),
            checker=None,
        ).to_json()
        | {"checker": {"name": "c", "code": "def check(given, answer, expected):\n    return True"}},
    ),
    "program": (Rollout, Rollout(rollout_id="r", problem_id="p", program="x").to_json()),
    "task": (
        AlignmentTask,
        AlignmentTask(
            task_id="t",
            kind="output",
            prompt="q",
            program="x",
            input=CallInput("f", (1,)),
            targets=(Target(label="output", value={"a": 1}),),
            problem_id="p",
            rollout_id="r",
        ).to_json(),
    ),
}
VALUES = {"expected", "value", "args", "kwargs", "limits"}  # limits have a sentence of their own


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of the objects in a record whose keys are the record's own."""
    if isinstance(value, dict):
        yield path
        for name, inner in value.items():
            if name not in VALUES:
                yield from objects(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from objects(inner, (*path, number))


PLACES = [(name, path) for name, (_, data) in RECORDS.items() for path in objects(data)]


@pytest.mark.parametrize(("name", "path"), PLACES, ids=str)
def test_a_key_that_is_misspelt_is_refused_with_the_near_match(name: str, path: tuple[Any, ...]) -> None:
    record, good = RECORDS[name]
    record.from_json(good)
    for key in list(_at(good, path)):
        data = copy.deepcopy(good)
        _at(data, path)[f"{key}x"] = "something"
        with pytest.raises(DataError, match=f"has the unknown key '{key}x'; did you mean '{key}'"):
            record.from_json(data)
        _at(data, path)[f"{key}x"] = None  # a column of a table that this row does not use
        record.from_json(data)


def test_a_record_of_another_kind_is_named() -> None:
    """Files in the wrong order."""
    with pytest.raises(DataError, match=r"expected a problem, found a program; are the files in the right order\?"):
        Problem.from_json({"rollout_id": "r", "problem_id": "p", "program": "print(1)"})
    with pytest.raises(DataError, match=r"expected a task, found a problem; are the files in the right order\?"):
        AlignmentTask.from_json({"problem_id": "p", "statement": "Print 1.", "tests": []})


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        data = data[part]
    return data


@pytest.mark.parametrize("value", [{1: 2}, {"a": {1: 2}}, (1, 2), {3}, [1, (2,)], b"x", {"a": (1,)}], ids=repr)
def test_a_value_that_no_answer_would_equal_is_refused_from_python_too(value: Any) -> None:
    for make in (lambda: CallTest((1,), value), lambda: CallTest((value,), 1), lambda: CallTest((), 1, {"a": value})):
        with pytest.raises(DataError, match=r"write it as|encode\(value\) writes it"):
            make()


def test_a_method_is_named_with_its_class_called() -> None:
    with pytest.raises(DataError, match=re.escape("is 'Solution.f'; write Solution().f for a method")):
        Problem(problem_id="p", statement="s", entry_point="Solution.f", tests=(CallTest((1,), 1),))


def test_rows_without_a_record_are_one_sentence() -> None:
    reward = alignment_reward()
    with pytest.raises(DataError, match=r"no column 'record'; make its rows with coderlplus.to_dataset_row"):
        reward(completions=["x"], prompts=["y"])
    with pytest.raises(DataError, match="the column 'record' holds a dict"):
        reward(completions=["x"], prompts=["y"], record=[{}])


def test_rows_of_the_callers_own_have_no_reward_of_ours() -> None:
    task = AlignmentTask.from_json(RECORDS["task"][1])
    records = [None, to_dataset_row(task)["record"]]
    assert alignment_reward()(completions=["x", json.dumps({"output": {"a": 1}})], record=records) == [None, 1.0]
