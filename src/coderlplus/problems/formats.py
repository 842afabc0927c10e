"""The formats of problems, told apart by the fields of a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coderlplus.errors import DataError
from coderlplus.judge import compare
from coderlplus.problems import apps, code_contests, deepcoder, eurus, humaneval, leetcode, livecodebench, mbpp
from coderlplus.problems.files import FileRow
from coderlplus.records import Problem
from coderlplus.records.forms import misplaced


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the fields that its rows have at least, and how they become problems.

    `problem` gives `None` for a row that is no programming problem. `solutions` gives the programs of a row, where it
    may have several; the first is the reference of its problem.
    """

    name: str
    fields: frozenset[str]
    problem: Callable[[Mapping[str, Any]], Problem | None]
    solutions: Callable[[Mapping[str, Any]], Sequence[str]] | None = None

    def read(self, row: Mapping[str, Any]) -> Problem | None:
        """The problem of a row. Raises `DataError` if it names a comparator that its tests cannot use, and what
        `problem` raises."""
        problem = self.problem(row)
        if problem is not None:
            _check_types(problem)
            compare.check_name(problem)
        return problem


def _check_types(problem: Problem) -> None:
    """Raise `DataError` for a problem with a value in it that is no text where text is asked for."""
    optional = ("entry_point", "reference")
    for name in ("problem_id", "statement", "source", "starter_code", "setup_code", *optional):
        value = getattr(problem, name)
        if not isinstance(value, str) and not (value is None and name in optional):
            raise DataError(f"its {name} must be text, not {str(value)[:60]!r}")
    owner, dot, name = (problem.entry_point or "f").rpartition("().")
    if not name.isidentifier() or not (owner.isidentifier() or not dot):
        raise DataError(f"its entry point must be a name or Solution().name, not {str(problem.entry_point)[:60]!r}")
    for test in problem.tests:
        texts = [getattr(test, name) for name in ("stdin", "stdout", "code") if hasattr(test, name)]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f"a test must be text, not {str(tuple(texts))[:60]!r}")


FORMATS = (
    Format("coderlplus problems", frozenset({"problem_id", "statement", "tests"}), Problem.from_json),
    Format(
        "samples of a training run",
        frozenset({"step", "kind", "samples"}),
        lambda row: Problem.from_json(row["problem"]) if row.get("problem") else None,
    ),
    Format("MBPP", frozenset({"task_id", "code", "test_list"}), mbpp.problem),
    Format("LeetCodeDataset", frozenset({"task_id", "prompt", "completion", "entry_point", "test"}), leetcode.problem),
    Format("HumanEval", frozenset({"task_id", "prompt", "entry_point", "test"}), humaneval.problem),
    Format("LiveCodeBench", frozenset({"question_id", "question_content", "starter_code"}), livecodebench.problem),
    Format("verl (Eurus, the paper's set)", frozenset({"prompt", "reward_model"}), eurus.problem),
    Format(
        "CodeContests",
        frozenset({"name", "description", "public_tests"}),
        code_contests.problem,
        code_contests.solutions,
    ),
    Format("DeepCoder or rLLM", frozenset({"problem", "tests"}), deepcoder.problem, deepcoder.solutions),
    Format("TACO", frozenset({"question", "input_output", "raw_tags"}), apps.taco, apps.solutions),
    Format("TACO", frozenset({"question", "input_output", "skill_types"}), apps.taco, apps.solutions),
    Format("APPS", frozenset({"question", "input_output"}), apps.problem, apps.solutions),
)
"""In the order in which they are tried: a row may have the fields of several."""


def format_of(first: FileRow) -> Format:
    """The format of a file with this first row. Raises `DataError` that names its fields where it is none of
    `FORMATS`."""
    for known in FORMATS:
        if first.data.keys() >= known.fields:
            return known
    if first.data.keys() & {"problem_id", "statement"}:
        return FORMATS[0]
    if sentence := misplaced(first.data, "a problem"):
        raise DataError(f"{first.place}: {sentence}")
    found = ", ".join(list(first.data)[:8]) or "nothing"
    names = ", ".join(dict.fromkeys(known.name for known in FORMATS))
    raise DataError(
        f"{first.place}: the fields ({found}) are those of no known format; known are {names} and recorded programs"
    )
