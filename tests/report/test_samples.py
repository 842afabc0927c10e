"""Which groups the page shows, and in what form."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.errors import DataError
from coderlplus.report.bindings import binding_line
from coderlplus.report.folders import read_folder
from coderlplus.report.samples import Entry, choose, read_samples, spread

PLENTY = 10**9


def entry(
    place: int, step: int, *, size: int = 10, rollouts: tuple[str, ...] = (), origin: str | None = None
) -> Entry:
    return Entry(place=place, step=step, is_task=origin is not None, size=size, rollouts=rollouts, origin=origin)


def test_all_groups_are_shown_when_they_fit(two_runs: Path) -> None:
    samples = read_samples(read_folder(two_runs), PLENTY)
    lines = sum(len((two_runs / run / "samples.jsonl").read_text().splitlines()) for run in ("grpo", "coderlplus"))
    assert len(samples["groups"]) == samples["recorded"] == lines


def test_every_step_and_kind_is_shown_when_space_is_short(two_runs: Path) -> None:
    samples = read_samples(read_folder(two_runs), 300_000)
    shown = [group for group in samples["groups"] if group["run"] == 1]
    assert len(samples["groups"]) < samples["recorded"]
    assert {group["step"] for group in shown} == {1, 10, 20, 30, 40, 50, 60}
    assert {group["step"] for group in shown if group["task"]} == {10, 20, 30, 40, 50, 60}


def test_a_task_brings_the_rollout_it_was_made_from(two_runs: Path) -> None:
    groups = [group for group in read_samples(read_folder(two_runs), 300_000)["groups"] if group["run"] == 1]
    shown = {sample["id"] for group in groups for sample in group["samples"]}
    origins = [group["task"]["origin"] for group in groups if group["task"]]
    assert origins
    assert shown.issuperset(origins[:-1])  # the budget may end between a task and its origin


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 50)), max_size=40), st.integers(0, 400))
def test_what_is_chosen_fits_the_budget_and_is_chosen_once(groups: list[tuple[int, int]], budget: int) -> None:
    chosen = list(choose([entry(place, step, size=size) for place, (step, size) in enumerate(groups)], budget))
    assert sum(one.size for one in chosen) <= budget
    assert len({one.place for one in chosen}) == len(chosen)


@given(st.integers(0, 40))
def test_spreading_keeps_all_steps(count: int) -> None:
    assert sorted(spread(list(range(count)))) == list(range(count))


def test_a_group_written_again_after_a_resume_counts_once(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(steps=1, groups=2)
    text = (folder / "samples.jsonl").read_text()
    (folder / "samples.jsonl").write_text(text + text)
    assert read_samples(read_folder(folder), PLENTY)["recorded"] == 2


def test_a_completion_is_split_around_its_program(two_runs: Path) -> None:
    for group in read_samples(read_folder(two_runs), PLENTY)["groups"]:
        for sample in group["samples"]:
            before, program, _ = sample["text"]
            assert bool(program) == (group["task"] is None and sample["verdict"] != "no_program")
            assert "def f" not in before or not program


def test_an_answer_stands_beside_the_true_values(two_runs: Path) -> None:
    seen = 0
    for group in read_samples(read_folder(two_runs), PLENTY)["groups"]:
        for sample in group["samples"] if group["task"] else ():
            for target in group["task"]["targets"]:
                if target["label"] in sample["correct"]:
                    seen += 1
                    assert (sample["predicted"][target["label"]] == target["value"]) == sample["correct"][
                        target["label"]
                    ]
    assert seen > 100


def test_a_failed_program_keeps_its_failing_input(two_runs: Path) -> None:
    failures = [
        s["failure"]
        for g in read_samples(read_folder(two_runs), PLENTY)["groups"]
        for s in g["samples"]
        if "failure" in s
    ]
    wrong = [failure for failure in failures if failure["verdict"] == "wrong_answer"]
    assert wrong
    assert all(failure["input"].startswith("f([") and failure["detail"].startswith("expected [") for failure in wrong)


def test_long_texts_are_cut_with_a_note(run_folder: Callable[..., Path]) -> None:
    folder = run_folder(steps=1, groups=1)
    line = json.loads((folder / "samples.jsonl").read_text())
    line["prompt"] = "x" * 20_000
    (folder / "samples.jsonl").write_text(json.dumps(line) + "\n")
    assert read_samples(read_folder(folder), PLENTY)["groups"][0]["prompt"].endswith("… (12000 more characters)")


@pytest.mark.parametrize("broken", ["kind", "prompt", "samples"])
def test_a_line_that_is_no_group_is_named(run_folder: Callable[..., Path], broken: str) -> None:
    folder = run_folder(steps=1, groups=2)
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    del lines[1][broken]
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(
        DataError, match=rf"samples\.jsonl:2: not a group of samples \(field '{broken}' is missing\); remove the line$"
    ):
        read_samples(read_folder(folder), PLENTY)


PROGRAM = """\
import sys
total = 0
class Box:
    def fill(self, items):
        for item in items:
            self.last = item
        def inner():
            seen = 1
        return items
def f(x):
    a = x
    if x:
        a += 1
    with open(a) as (b, c):
        pass
    return a
"""


@pytest.mark.parametrize(
    ("scope", "label", "line"),
    [
        ("<module>", "total", 2),
        ("Box.fill", "item", 5),
        ("Box.fill", "Box.fill.items", 4),
        ("Box.fill.<locals>.inner", "seen", 8),
        ("f", "a", 13),
        ("f", "c", 14),
        ("f", "total", None),
        ("g", "a", None),
    ],
)
def test_a_traced_value_stands_where_its_variable_is_bound_last(scope: str, label: str, line: int | None) -> None:
    assert binding_line(PROGRAM, scope, label) == line


@pytest.mark.parametrize("program", ["def f(:", "\0", "x = " + "-" * 100_000 + "1", "x = " + "(" * 500])
def test_a_program_that_cannot_be_parsed_has_no_lines(program: str) -> None:
    assert binding_line(program, "<module>", "x") is None
