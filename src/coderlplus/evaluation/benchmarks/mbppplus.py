"""MBPP+ (Liu et al. 2023): 378 problems of MBPP with about thirty-five times the tests.

Prompt: the release's, asked for as in `humaneval`; tests and comparison: `plus`. A release is JSON, so the inputs of
some problems have lost their types (tuples, sets, complex numbers); they get them back here, by the number of the
problem as evalplus does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.benchmarks.humaneval import continued, messages
from coderlplus.evaluation.benchmarks.mbpp import STOP
from coderlplus.evaluation.benchmarks.plus import LIMITS, checks, is_release
from coderlplus.problems import mbpp
from coderlplus.records import Problem

Input = list[Any]

_SETS = (
    "similar_elements", "find_char_long", "common_in_nested_lists", "extract_singly", "larg_nnum",
    "intersection_array", "find_dissimilar", "Diff",
)  # fmt: skip
_PRESENCE = ("check_str", "text_match_three", "text_starta_endb")
_IS_FOUND = (
    "is_found = expected is not None\n"
    "        assert actual is is_found or not isinstance(actual, bool) and (actual is not None) == is_found, "
    'f"expected {expected!r}, not {actual!r}"'
)
SPECIAL = {
    **dict.fromkeys(_SETS, "compare(actual, expected, set(actual) == set(expected))"),
    **dict.fromkeys(_PRESENCE, _IS_FOUND),
    "are_equivalent": "pass",
    "sum_div": "compare(actual, expected, actual == 0)",
    "surface_Area": "compare(actual, expected, actual == area(*arguments))",
    "digit_distance_nums": "compare(actual, expected, actual == distance(*arguments))",
}
"""Where the reference is not the only right answer:

order does not count, the result only says yes or no, or the statement can be read in two ways.
"""

BEFORE = {
    "surface_Area": "def area(edge, height):\n    return round(edge**2 + 2 * edge * math.sqrt((edge / 2) ** 2 + "
    "height**2))",
    "digit_distance_nums": (
        "def distance(a, b):\n    size = max(len(str(a)), len(str(b)))\n"
        "    return sum(abs(int(x) - int(y)) for x, y in zip(str(a).zfill(size), str(b).zfill(size)))"
    ),
}


def tuples(value: Any, levels: int) -> Any:
    """The lists of the outermost `levels` levels as tuples."""
    return tuple(tuples(item, levels - 1) for item in value) if levels and isinstance(value, list) else value


def inner(value: list[Any]) -> list[Any]:
    """A list of lists as a list of tuples."""
    return [tuples(item, 1) for item in value]


_LISTS_OF_TUPLES = (
    2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809,
)  # fmt: skip
_TYPES: dict[tuple[int, ...], Callable[[Input], Any]] = {
    _LISTS_OF_TUPLES: inner,
    (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780): lambda given: [
        inner(argument) for argument in given
    ],
    (75, 413, 444, 753): lambda given: [inner(given[0]), given[1]],
    (106, 750): lambda given: [given[0], tuple(given[1])],
    (115,): lambda given: [[set(item) if isinstance(item, list) and item else {} for item in given[0]]],
    (124,): lambda given: [float(given[0]), complex(given[1])],
    (250, 405, 446, 617, 720, 763, 808): lambda given: [tuple(given[0]), given[1]],
    (259, 401, 445): lambda given: [tuples(argument, 2) for argument in given],
    (278,): lambda given: [tuples(given[0], 2)],
    (307,): lambda given: [tuple(given[0]), given[1], given[2]],
    (722,): lambda given: [{key: tuple(value) for key, value in given[0].items()}, *given[1:]],
    (252,): lambda given: [complex(given[0])],
    (580, 615, 791): lambda given: tuples(given, 99),
}
TYPES = {number: restore for numbers, restore in _TYPES.items() for number in numbers}


def read(row: Mapping[str, Any]) -> BenchmarkQuestion:
    """The question of a row of a release or of the hub's `evalplus/mbppplus`. Raises `DataError` for a row without
    MBPP+'s tests."""
    if not re.fullmatch(r"(mbpp/)?\d+", str(row["task_id"]), re.IGNORECASE):
        raise DataError(
            f"{row['task_id']!r} is not a problem of MBPP; evaluate a file of other problems by its path: "
            "--benchmarks FILE"
        )
    number = int(str(row["task_id"]).rpartition("/")[2])
    if is_release(row):
        prompt, reference, name = row["prompt"], row["canonical_solution"], row["entry_point"]
        restore = TYPES.get(number, list)
        found, cases, layout = checks(row, restore=restore, special=SPECIAL.get(name, ""), before=BEFORE.get(name, ""))
    else:
        found, cases, layout = checks(row)
        prompt, reference = f'"""\n{row["prompt"].strip()}\n{row["test_list"][0]}\n"""', row["code"]
        name = mbpp.entry_point(reference, row["test_list"][0])
    problem = Problem(
        problem_id=f"Mbpp/{number}",
        source="mbppplus",
        statement=prompt.strip().strip('"').strip(),
        entry_point=name,
        tests=found,
        reference=reference,
        setup_code="\n".join(row.get("test_imports") or ()),
        limits=LIMITS,
    )
    return BenchmarkQuestion(
        question_id=problem.problem_id,
        messages=messages(prompt),
        base=continued(prompt, STOP),
        problem=problem,
        cases=cases,
        layout=layout,
    )


BENCHMARK = Benchmark(
    name="mbppplus",
    metric="pass@1",
    hub="evalplus/mbppplus",
    hub_files=("*test*.parquet", "*test*.jsonl"),
    files=tuple(f"MbppPlus{kind}.jsonl{end}" for kind in ("", "-v*", "-NoExtreme*") for end in (".gz", "")),
    read=read,
    size=378,
    format="evalplus",
)
