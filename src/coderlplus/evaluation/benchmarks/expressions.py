"""Answers that are expressions: what a program returns, or a call that returns something.

The answer is the expression alone, whatever stands around it: tags, a fence, an assertion. It must be a value that is
written down (see `values`), never code that finds one. The program of an answer defines `prediction()`, which returns
it; so the judge runs what a model wrote in the sandbox only, and compares outside of it with Python's `==`, as the
benchmarks' own scorers do.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from coderlplus import syntax
from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.base import BenchmarkQuestion
from coderlplus.evaluation.benchmarks.values import CONTAINERS, call_with_values, literal
from coderlplus.programs import extract_program, parse
from coderlplus.programs.names import names_bound
from coderlplus.records import CallInput, CheckTest, Limits, Problem, ProgramInput

ENTRY_POINT = "prediction"
LIMITS = Limits(cpu_s=3.0, wall_s=27.0)
"""CRUXEval and LiveCodeBench allow 3 s."""

ANSWERED = ("[/ANSWER]",)
"""Where a base model's answer ends, as in the runners of CRUXEval."""
_TAGGED = re.compile(r"\[ANSWER\](.*?)(?:\[/ANSWER\]|\Z)", re.DOTALL)

IMPORTS = """\
import bisect, collections, copy, functools, heapq, itertools, math, operator, random, re, string, sys
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict, defaultdict, deque
from copy import deepcopy
from functools import cache, lru_cache, partial, reduce
from heapq import heapify, heappop, heappush, merge
from itertools import accumulate, chain, combinations, count, cycle, groupby, islice, permutations, product, repeat, \
zip_longest
from math import ceil, comb, floor, gcd, inf, isqrt, log, log2, log10, prod, sqrt
from operator import iand, itemgetter, sub
from os.path import commonprefix
from random import randrange, shuffle
from string import ascii_lowercase
from typing import Any, Callable, Dict, Generator, Iterable, Iterator, List, Optional, Set, Tuple, Union"""
"""What LeetCode programs count on: the names of LiveCodeBench's own list, but for numpy and pandas."""


def right_side(question: BenchmarkQuestion, completion: str) -> str | None:
    """The value that a completion claims: the right side of its assertion, or the expression that it is."""
    return _side(completion, "right")


def left_side(question: BenchmarkQuestion, completion: str) -> str | None:
    """The call that a completion claims: the left side of its assertion, or the expression that it is."""
    return _side(completion, "left")


def _side(completion: str, side: Literal["left", "right"]) -> str | None:
    text = completion.rpartition("</think>")[2]
    for part in _parts(text):
        found = _expression_in(part.strip(), side)
        if found is not None:
            return found
    return None


def _parts(text: str) -> Iterator[str]:
    """Where the answer may be, the likeliest place first: the last tag, the last assertion, a fence, the whole."""
    tagged = _TAGGED.findall(text)
    inner = tagged[-1] if tagged else text.partition("[/ANSWER]")[0]  # the opening tag may stand in the prompt
    yield inner
    yield from reversed(
        [line.strip().strip("`") for line in inner.split("\n") if line.strip().strip("`").startswith("assert ")]
    )
    program = extract_program(inner)
    if program is not None:
        yield program
    if len(inner.strip().split("\n")) == 1 and "==" in inner:
        left, _, right = inner.partition("==")
        yield f"assert {left.strip().removeprefix('assert ') or '_'} == {right.strip()}"


def _expression_in(text: str, side: Literal["left", "right"]) -> str | None:
    try:
        body = parse(text).body
    except SyntaxError:
        return None
    match body:
        case [*_, ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]))]:
            node: ast.expr = left if side == "left" else right
        case [ast.Expr(value=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]))]:
            node = left if side == "left" else right
        case [ast.Expr(value=value)]:
            node = value
        case _:
            return None
    return None if isinstance(node, ast.Constant) and node.value is ... else ast.get_source_segment(text, node)


def check_row(row: Mapping[str, Any]) -> None:
    """Raises `DataError` for a row that is none of CRUXEval's: its program defines no `f`, or its output is no
    value."""
    if not _defines_f(row["code"]):
        raise DataError("the program of the row defines no function f: not a row of CRUXEval")
    if literal(row["output"]) is None:
        raise DataError(f"the output of the row is not a literal: {row['output'][:80]!r}")


def _defines_f(code: str) -> bool:
    try:
        return "f" in names_bound(parse(code))
    except SyntaxError:
        return False


def returning(code: str, expression: str) -> str | None:
    """A program that defines `prediction()` after `code`; `None` if the expression does not parse."""
    try:
        source = ast.unparse(syntax.parse_expression(expression.strip()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return f"{code.rstrip()}\n\n\ndef {ENTRY_POINT}():\n    return {source}\n".lstrip()


def predicted_value(question: BenchmarkQuestion, answer: str) -> str | None:
    """The program of an answer that is a value: nothing but the literal runs. `None` for an answer that is no
    literal."""
    source = literal(right_side(question, answer) or "")
    if source is None:
        return None
    return returning(_imports(source), source)


def predicted_call(question: BenchmarkQuestion, answer: str, code: str, name: str) -> str | None:
    """The program of an answer that calls the function `name` of `code` with values. `None` for an answer that is
    anything else."""
    source = call_with_values(left_side(question, answer) or "", name, code)
    if source is None:
        return None
    return returning("\n".join(part for part in (code, _imports(source)) if part), source)


def _imports(source: str) -> str:
    """The import of the containers that an expression names."""
    needed = sorted(name for name in CONTAINERS if re.search(rf"\b{name}\b", source))
    return f"from collections import {', '.join(needed)}" if needed else ""


def problem(question_id: str, statement: str, expected: str, *, source: str, setup_code: str = "") -> Problem:
    """The problem whose one test says that `prediction()` equals the expression `expected`."""
    test = CheckTest(f"assert {ENTRY_POINT}() == {expected}")
    return Problem(
        problem_id=question_id,
        source=source,
        statement=statement,
        entry_point=ENTRY_POINT,
        tests=(test,),
        setup_code=setup_code,
        limits=LIMITS,
    )


def true_run(code: str, call: str) -> tuple[str, ProgramInput] | None:
    """The run that the question asked about."""
    program = returning(code, call)
    return None if program is None else (program, CallInput(ENTRY_POINT))


def asked_run(
    question: BenchmarkQuestion, program: str, given: ProgramInput | None
) -> tuple[str, ProgramInput] | None:
    """What to trace where the question shows a program, `code`, and a `call` of it."""
    return true_run(question.keys["code"], question.keys["call"])
