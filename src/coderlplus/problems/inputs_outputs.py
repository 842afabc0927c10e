"""Tests as `inputs` and `outputs`, the form of APPS (Hendrycks et al. 2021) that TACO, DeepCoder and PRIME took over,
and what to make of it.

Without `fn_name` an input is standard input and an output is what is printed, each a text or a list of its lines. With
`fn_name` an input is a list of arguments and its output the returned value, or an input is a text with one argument in
JSON a line and its output JSON too. As the scorers of these sets do:

- the keys of a dict whose keys are all numbers in quotes are numbers, since JSON has no others;
- where every output is a list of one item, that item alone is right too (comparator `wrapped`): APPS writes a returned
  3 as `[3]`, though not always.

Whether a program is a function or a class `Solution` with a method is nowhere said. It is a method where the starter
code, the reference or the statement has `class Solution`.
"""

from __future__ import annotations

import hashlib
import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems.parsing import decimal_text, literal, tagged
from coderlplus.problems.prefixes import IMPORTS
from coderlplus.problems.wording import any_case
from coderlplus.programs import syntax_error
from coderlplus.records import CallTest, Problem, StdioTest, TaggedValue, Test
from coderlplus.records.jsonl import loads

_WHOLE_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What a row says beside its tests. `solutions` come in the order in which they should be tried as the reference;
    `prefix` is what the set's scorer puts before a program."""

    problem_id: str
    source: str
    statement: str
    starter_code: str = ""
    solutions: Sequence[str] = ()
    prefix: str = ""

    def problem(self, tests: tuple[Test, ...], entry_point: str | None, **more: Any) -> Problem:
        """The problem with these tests; its reference is the first of the solutions."""
        return Problem(
            problem_id=self.problem_id,
            source=self.source,
            statement=self.statement.strip(),
            starter_code=self.starter_code.rstrip(),
            entry_point=entry_point,
            tests=tests,
            reference=next(iter(self.solutions), None),
            **more,
        )


def problem(texts: Texts, in_outs: Any) -> Problem:
    """The problem with these tests. Raises `DataError` if inputs and outputs do not match, or are of another
    form."""
    if not isinstance(in_outs, Mapping):
        raise DataError(f"the tests must be an object with 'inputs' and 'outputs', not {str(in_outs)[:60]!r}")
    inputs, outputs = in_outs.get("inputs") or [], in_outs.get("outputs") or []
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise DataError(f"{_count(inputs)} inputs and {_count(outputs)} outputs do not match")
    pairs = list(zip(inputs, outputs, strict=True))
    name = in_outs.get("fn_name")
    if not name:
        lines = tuple(StdioTest(_text(given), _text(printed)) for given, printed in pairs)
        return texts.problem(lines, None, setup_code=texts.prefix, checker=any_case(texts.statement))
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise DataError(f"fn_name {str(name)[:60]!r} is not a function name")
    expected = [
        _parsed(output) if isinstance(given, str) and isinstance(output, str) else output for given, output in pairs
    ]
    arguments = [_arguments(given) for given in inputs]
    calls = tuple(
        CallTest(tuple(map(_tagged, given)), _tagged(value)) for given, value in zip(arguments, expected, strict=True)
    )
    is_method = any("class Solution" in text for text in (texts.starter_code, *texts.solutions[:1], texts.statement))
    is_wrapped = expected and all(isinstance(value, list) and len(value) == 1 for value in expected)
    return texts.problem(
        calls,
        f"Solution().{name}" if is_method else name,
        setup_code=texts.prefix or IMPORTS,
        checker="wrapped" if is_wrapped else None,
    )


def digest_id(source: str, *texts: str) -> str:
    """A name for a row that has none: the source and a digest of its texts."""
    text = "\0".join(text.strip() for text in texts)
    return f"{source}/{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def runnable(solutions: Any) -> list[str]:
    """Those solutions that are programs of Python 3 (many of these sets are of Python 2), as they are, without the
    code fences of some sets."""
    texts = [_unfenced(text) for text in (solutions if isinstance(solutions, list) else []) if isinstance(text, str)]
    return [text for text in texts if text.strip() and syntax_error(text) is None]


def _unfenced(text: str) -> str:
    found = re.fullmatch(r"\s*```(?:python\w*)?\n(.*?)\n?```\s*", text, re.DOTALL)
    return found[1] if found else text


def _text(lines: Any) -> str:
    """A text, or the lines of one."""
    if isinstance(lines, list) and not any(isinstance(line, list) for line in lines):
        return "\n".join(map(_text, lines))
    if isinstance(lines, int) and not isinstance(lines, bool):
        return decimal_text(lines)
    if not isinstance(lines, str | float | bool):
        raise DataError(f"an input or output must be text, not {str(lines)[:60]!r}")
    return str(lines)


def _arguments(given: Any) -> list[Any]:
    if isinstance(given, str):
        given = [_parsed(line) for line in given.split("\n") if line.strip()]
    if not isinstance(given, list):
        raise DataError(f"the arguments of a call must be a list, not {str(given)[:60]!r}")
    return given


def _parsed(text: str) -> Any:
    """A value in JSON or as a Python literal. A text that is neither stands for itself."""
    for parse in (loads, literal):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            pass
    return text


def _tagged(value: Any) -> TaggedValue:
    return tagged(_with_number_keys(value))


def _with_number_keys(value: Any) -> Any:
    if isinstance(value, dict):
        items = {key: _with_number_keys(item) for key, item in value.items()}
        return {int(key): item for key, item in items.items()} if items and all(map(_is_number, items)) else items
    return [_with_number_keys(item) for item in value] if isinstance(value, list) else value


def _is_number(key: Any) -> bool:
    return isinstance(key, str) and _WHOLE_NUMBER.fullmatch(key) is not None


def _count(items: Any) -> str:
    return str(len(items)) if isinstance(items, list) else type(items).__name__
