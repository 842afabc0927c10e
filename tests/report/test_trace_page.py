"""What the viewer's page holds: every step, as differences, and nothing that could run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coderlplus.errors import DataError
from coderlplus.records import AlignmentTask, Change, Ending, StdioInput, Step, Target, Trace
from coderlplus.report import write_trace
from coderlplus.report.trace_page import kept, page_data, value_text

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\"><!--\u2028"


def stepped(*values: Any, output: str = "", printed: tuple[int, ...] = ()) -> Trace:
    """A trace whose steps give `x` one value after the other."""
    steps = tuple(
        Step(
            line=1,
            scope="<module>",
            activation=0,
            depth=0,
            output_chars=printed[number] if printed else 0,
            changes=(Change(name="x", value=value, scope="<module>", activation=0),),
        )
        for number, value in enumerate(values)
    )
    return Trace(program="x = 1", input=StdioInput(""), ending=Ending(kind="finished"), output=output, steps=steps)


def replayed(data: dict[str, Any]) -> list[dict[tuple[int, str], str]]:
    """The state after each step, from the page's differences."""
    state: dict[tuple[int, str], str] = {}
    states = []
    for _, _, _, _, *changes in data["steps"]:
        for owner, name, *difference in changes:
            key = (owner, data["names"][name])
            if not difference:
                del state[key]
                continue
            start, text, end = difference
            old = state.get(key, "")
            state[key] = old[:start] + text + old[len(old) - end :]
        states.append(dict(state))
    return states


def embedded(page: Path) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert match
    data: dict[str, Any] = json.loads(match[1])
    return data


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(), st.lists(st.integers(0, 30)), st.integers()), min_size=1, max_size=20))
def test_differences_give_the_values_back(values: list[Any]) -> None:
    states = replayed(page_data(stepped(*values), "x"))
    assert states == [{(0, "x"): value_text(value)} for value in values]


@settings(deadline=None)
@given(st.text("ab😀"), st.text("ab😀"))
def test_what_is_kept_of_a_text_never_overlaps(old: str, new: str) -> None:
    start, end = kept(old, new)
    assert start + end <= min(len(old), len(new))
    assert new == old[:start] + new[start : len(new) - end] + old[len(old) - end :]


def test_a_name_that_is_gone_is_told(traced: Callable[..., Trace]) -> None:
    states = replayed(page_data(traced("x = 1\ny = 2\ndel x\nz = 3"), "x"))
    assert states[-1] == {(0, "y"): "2", (0, "z"): "3"}


def test_all_steps_of_a_real_program_are_on_the_page(traced: Callable[..., Trace]) -> None:
    trace = traced(
        "def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)\nrows = []\nfor i in range(4):\n    "
        "rows.append(f(i))\nprint(rows)"
    )
    assert trace.steps
    state: dict[tuple[int, str], str] = {}
    states = []
    for step in trace.steps:
        state.update(((change.activation, change.name), value_text(change.value)) for change in step.changes)
        states.append(dict(state))
    assert replayed(page_data(trace, "x")) == states


def test_a_long_list_that_changes_in_one_place_costs_little(traced: Callable[..., Trace]) -> None:
    trace = traced("a = [0] * 900\nfor i in range(900):\n    a[i] = i")
    assert trace.steps
    assert len(trace.steps) > 1800
    assert len(json.dumps(page_data(trace, "x"))) < 150_000


def test_printed_text_is_measured_as_javascript_does() -> None:
    data = page_data(stepped(1, 2, output="😀é\n", printed=(1, 3)), "x")
    assert [step[3] for step in data["steps"]] == [2, 4]


def test_an_answer_stands_beside_the_truth(traced: Callable[..., Trace]) -> None:
    trace = traced("def f(n):\n    m = n * 2\n    m += 1\n    return m\nprint(f(3))")
    targets = (
        Target(label="m", value=7, scope="f"),
        Target(label="n", value=3, scope="f"),
        Target(label="output", value="7"),
    )
    task = AlignmentTask(
        task_id="t",
        kind="final_values",
        prompt="",
        program=trace.program,
        input=trace.input,
        targets=targets,
        problem_id="p",
        rollout_id="r",
    )
    data = page_data(trace, "x", task, 'so\n{"m": 7, "output": "6"}')["answer"]
    assert [
        (target["label"], target["value"], target["predicted"], target["right"]) for target in data["targets"]
    ] == [
        ("m", "7", "7", True),
        ("n", "3", None, False),
        ("output", "'7'", "'6'", False),
    ]
    assert trace.steps
    assert trace.steps[data["targets"][0]["step"]].line == 3
    assert data["reward"] == pytest.approx(0.4)


def test_the_page_loads_nothing_and_holds_text_as_data(traced: Callable[..., Trace], tmp_path: Path) -> None:
    trace = traced(f"x = {HOSTILE!r}\nprint(x)\nraise ValueError(x)")
    page = write_trace(trace, tmp_path / "trace.html", title=HOSTILE)
    text = page.read_text(encoding="utf-8")
    assert not re.search(
        r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//|@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\(""", text
    )
    assert "<img" not in text
    assert text.count("</script>") == 2
    assert embedded(page)["title"] == HOSTILE


def test_withheld_values_are_told(traced: Callable[..., Trace]) -> None:
    data = page_data(traced("import sys\nsys._getframe()\nx = 1"), "x")
    assert "_getframe" in data["withheld"]
    assert (data["steps"], data["variables"]) == ([], [])


def test_a_trace_without_steps_has_a_page(traced: Callable[..., Trace], tmp_path: Path) -> None:
    data = embedded(write_trace(traced("x = 1", max_steps=0), tmp_path / "trace.html", title="x"))
    assert data["steps"] == []
    assert data["variables"] == [["<module>", [["x", "1"]]]]


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"use another file with --html$"):
        write_trace(stepped(1), tmp_path / "file" / "trace.html", title="x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"Is a directory; use another file with --html$"):
        write_trace(stepped(1), tmp_path / "folder", title="x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
