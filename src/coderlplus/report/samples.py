"""Choose the groups of `samples.jsonl` that fit the page, and put them in the form that the sample browser shows.

A run inspects more than a page can hold. Groups are taken in rounds that go over all inspected steps (ends first, then
between them), so that early and late samples are both there; a task brings along the group that holds the failed
rollout it was made from. Values become Python source here, so the browser shows text only. The file is read twice and
never held in memory.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderlplus.alignment.prompts import call_expression
from coderlplus.alignment.scoring import read_answer
from coderlplus.errors import DataError
from coderlplus.records import (
    AlignmentTask,
    CallInput,
    CallTest,
    CheckTest,
    Problem,
    ProgramInput,
    Reward,
    StdioInput,
    Test,
    Verdict,
)
from coderlplus.report.bindings import binding_line
from coderlplus.report.folders import Folder, json_lines
from coderlplus.sandbox.values import to_source

TEXT_LIMIT = 8000
"""Characters of one text that the page keeps; the rest is cut with a note."""
TESTS_SHOWN = 10
PER_ROUND = 2
"""Groups of each kind that one round takes of one step."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What choosing needs to know of one group: its place in the file, its size on the page in bytes, and the rollout
    that its task came from."""

    place: int
    step: int
    is_task: bool
    size: int
    rollouts: tuple[str, ...]
    origin: str | None


def read_samples(folder: Folder, budget: int) -> dict[str, Any]:
    """The groups for the page, at most about `budget` bytes of them: `{groups, problems, recorded}`.

    `problems` maps problem id → what is shown of it; `recorded` is the number of groups in the files. Raises
    `DataError` when a line is broken.
    """
    groups: list[dict[str, Any]] = []
    problems: dict[str, dict[str, Any]] = {}
    recorded = 0
    for number, run in enumerate(folder.runs):
        path = run.folder / "samples.jsonl"
        entries = index(path)
        recorded += len(entries)
        chosen = {entry.place for entry in choose(entries, budget // len(folder.runs))}
        for place, line in enumerate(json_lines(path)) if chosen else ():
            if place not in chosen:
                continue
            group, problem = shown_group(path, place + 1, line)
            groups.append({"run": number} | group)
            if problem is not None:
                problems[problem.problem_id] = shown_problem(problem)
    return {"groups": groups, "problems": problems, "recorded": recorded}


def index(path: Path) -> list[Entry]:
    """One entry a group; of a group that was written twice (a resumed run) the later line counts. An absent file has
    none."""
    if not path.is_file():
        return []
    entries: dict[tuple[int, int], Entry] = {}
    for place, line in enumerate(json_lines(path)):
        group, problem = shown_group(path, place + 1, line)
        size = embedded_size(group) + (0 if problem is None else embedded_size(shown_problem(problem)))
        task = group["task"]
        rollouts = tuple(sample["id"] for sample in group["samples"])
        entries[group["step"], group["group"]] = Entry(
            place, group["step"], task is not None, size, rollouts, task and task["origin"]
        )
    return list(entries.values())


def embedded_size(data: Any) -> int:
    """Bytes of a value in the page's JSON block, where every `<` is escaped."""
    text = json.dumps(data)
    return len(text) + 5 * text.count("<")


def choose(entries: Iterable[Entry], budget: int) -> Iterator[Entry]:
    """Entries in the order of their use to a reader, until their sizes exceed the budget."""
    waiting: dict[tuple[int, bool], list[Entry]] = defaultdict(list)
    holder: dict[str, Entry] = {}
    for entry in entries:
        waiting[entry.step, entry.is_task].append(entry)
        holder |= dict.fromkeys(entry.rollouts, entry)
    steps = spread(sorted({step for step, _ in waiting}))
    taken: set[int] = set()
    while waiting:
        for step in steps:
            for is_task in (True, False):
                queue = waiting.get((step, is_task), [])
                for entry in queue[:PER_ROUND]:
                    origin = holder.get(entry.origin or "")
                    for one in (entry, origin):
                        if one is None or one.place in taken:
                            continue
                        budget -= one.size
                        if budget < 0:
                            return
                        taken.add(one.place)
                        yield one
                if queue:
                    waiting[step, is_task] = queue[PER_ROUND:]
        waiting = defaultdict(list, {key: queue for key, queue in waiting.items() if queue})


def spread(items: list[int]) -> list[int]:
    """Reorder so that every beginning of the list covers its whole range: last, first, middle, quarters, ….

    >>> spread([1, 2, 3, 4, 5])
    [5, 1, 3, 2, 4]
    """
    if len(items) <= 2:
        return items[::-1]
    order, gaps = [len(items) - 1, 0], [(0, len(items) - 1)]
    while gaps:
        low, high = gaps.pop(0)
        middle = (low + high) // 2
        if middle not in (low, high):
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return [items[place] for place in order]


def shown_group(path: Path, line_number: int, line: Mapping[str, Any]) -> tuple[dict[str, Any], Problem | None]:
    """A group in the browser's form, and its problem where the line holds it. Raises `DataError` naming the line."""
    try:
        problem = None if line.get("problem") is None else Problem.from_json(line["problem"])
        task = None if line.get("task") is None else AlignmentTask.from_json(line["task"])
        group = {
            "step": int(line["step"]),
            "group": int(line["group"]),
            "kind": str(line["kind"]),
            "problem": None if problem is None else problem.problem_id,
            "task": None if task is None else shown_task(task),
            "prompt": cut(line["prompt"]),
            "samples": [shown_sample(sample, task) for sample in line["samples"]],
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"field {error} is missing" if isinstance(error, KeyError) else error
        raise DataError(f"{path}:{line_number}: not a group of samples ({reason}); remove the line") from error
    return group, problem


def shown_task(task: AlignmentTask) -> dict[str, Any]:
    return {
        "id": task.task_id,
        "program": cut(task.program),
        "input": input_text(task.input),
        "stdin": isinstance(task.input, StdioInput),
        "targets": [
            {
                "label": target.label,
                "scope": target.scope,
                "value": cut(to_source(target.value)),
                "line": None if target.scope is None else binding_line(task.program, target.scope, target.label),
            }
            for target in task.targets
        ],
        "problem": task.problem_id,
        "origin": task.rollout_id,
        "step": task.step,
        "verdict": task.verdict,
    }


def shown_sample(sample: Mapping[str, Any], task: AlignmentTask | None) -> dict[str, Any]:
    """One rollout: its completion in three parts around the program, how it was judged, and what it earned."""
    reward = Reward.from_json(sample["reward"])
    completion = sample["completion"]
    before, program, after = completion.partition(reward.program) if reward.program else (completion, "", "")
    if reward.program and not program:
        before, program, after = "", reward.program, ""
    shown: dict[str, Any] = {
        "id": sample["rollout_id"],
        "text": [cut(part.strip("\n")) for part in (before, program, after)],
        "reward": reward.value,
        "advantage": None if sample.get("advantage") is None else round(float(sample["advantage"]), 3),
    }
    if task is not None:
        shown |= {"correct": dict(reward.correct), "predicted": predicted(completion, task)}
    return shown if reward.verdict is None else shown | shown_verdict(reward.verdict)


def shown_verdict(verdict: Verdict) -> dict[str, Any]:
    """How a program was judged, and its first failure if it has one."""
    shown: dict[str, Any] = {
        "verdict": verdict.verdict,
        "passed": verdict.tests_passed,
        "tests": verdict.tests_total,
        "cpu_ms": round(1000 * verdict.cpu_s, 1),
    }
    failure = verdict.first_failure
    if failure is not None:
        given = None if failure.input is None else input_text(failure.input)
        about = {"index": failure.index, "verdict": failure.verdict, "detail": cut(failure.detail), "input": given}
        shown["failure"] = about
    return shown


def predicted(completion: str, task: AlignmentTask) -> dict[str, str]:
    """What an answer says of each target, as source text; a target that it does not name is absent."""
    answer = read_answer(task, completion)
    return {} if answer is None else {label: cut(to_source(value)) for label, value in answer.values.items()}


def shown_problem(problem: Problem) -> dict[str, Any]:
    return {
        "statement": cut(problem.statement),
        "tests": [shown_test(test, problem.entry_point) for test in problem.tests[:TESTS_SHOWN]],
        "total": len(problem.tests),
        "reference": None if problem.reference is None else cut(problem.reference),
    }


def shown_test(test: Test, entry_point: str | None) -> list[str]:
    """What is given and what is expected; test code has only the first."""
    if isinstance(test, CheckTest):
        return [cut(test.code)]
    if isinstance(test, CallTest):
        return [input_text(CallInput(entry_point or "", test.args, test.kwargs)), cut(to_source(test.expected))]
    return [cut(test.stdin), cut(test.stdout)]


def input_text(given: ProgramInput) -> str:
    """A call as Python writes it, or the text on standard input."""
    return cut(given.stdin if isinstance(given, StdioInput) else call_expression(given))


def cut(text: str, limit: int = TEXT_LIMIT) -> str:
    """A text of at most `limit` characters, with a note of what is missing."""
    return text if len(text) <= limit else f"{text[:limit]}\n… ({len(text) - limit} more characters)"
