"""The common form of answers to alignment tasks: how one is written, read from a completion, and compared. A kind of
task may have another (`kinds`); `scoring` scores by kind.

The form asked for is one JSON object on one line that maps every label to its value, `{"a": [3, 1, 2], "output": 6}`;
what JSON does not have is written as a Python literal, `(1, 2)`. Reading is tolerant where nothing is ambiguous (see
`parse_answer`). Scoring compares values, not text, and is bounded in time and memory whatever the completion holds;
nothing in it is ever run.

Departures from the paper: a weight for a usable form (`format_weight`, as in the published code; 0 gives the paper's
formula), and the output counts as one more item.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from coderlplus.programs import parse
from coderlplus.records import AlignmentTask, StdioInput, TaggedValue, Target
from coderlplus.records.jsonl import loads
from coderlplus.sandbox.values import encode, equal, to_source

MAX_ANSWER_CHARS = 10_000
"""Only so much of the end of a completion is read, and no answer is longer."""
MAX_DEPTH = 40
"""Deepest nesting of brackets in an answer."""
MAX_OBJECTS = 400
"""Objects tried in one completion; of more, the last ones."""

FLOAT_TOLERANCE = 1e-6
"""Relative and absolute."""

REASONING_END = re.compile(r"</(?:think|thinking|reasoning)>", re.IGNORECASE)
_MAX_PAIRS = 20_000
"""Comparisons of members of a set, times the length of the members."""
_CLOSING = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The values that a completion gives, by label. `is_json` if written as JSON, which knows neither tuples nor sets
    nor keys of other types."""

    values: Mapping[str, TaggedValue]
    is_json: bool


def write_answer(targets: Iterable[Target]) -> str:
    """The right values as one line, in the form that the prompts of this library ask for.

    >>> write_answer([Target(label="a", value=[3, 1, 2]), Target(label="output", value={"$tuple": [1, True]})])
    '{"a": [3, 1, 2], "output": (1, True)}'
    >>> write_answer([Target(label="found", value=True), Target(label="output", value=None)])
    '{"found": true, "output": null}'
    """
    targets = tuple(targets)
    if all(_is_plain_json(target.value) for target in targets):
        return json.dumps({target.label: target.value for target in targets}, ensure_ascii=False)
    items = (f"{json.dumps(target.label, ensure_ascii=False)}: {to_source(target.value)}" for target in targets)
    return f"{{{', '.join(items)}}}"


def parse_answer(completion: str, labels: Sequence[str]) -> Answer | None:
    """Read the answer for `labels` from a completion, or `None` if there is none of usable form.

    Read are, in this order and after any `<think>…</think>`:

    1. the last object, JSON or Python, bare or fenced, that has at least one of the labels as a key; labels that it
       lacks count as wrong;
    2. lines `label = value` or `label: value` that end the completion (before a closing fence);
    3. if one value only is asked for, a last line or last fenced block that is a literal.

    >>> parse_answer('So a is sorted.\\n{"a": [1, 2], "output": 3}', ["a", "output"])
    Answer(values={'a': [1, 2], 'output': 3}, is_json=True)
    >>> parse_answer("a = (1, 2)\\noutput = 'x'", ["a", "output"])
    Answer(values={'a': {'$tuple': [1, 2]}, 'output': 'x'}, is_json=False)
    >>> parse_answer("I do not know.", ["a", "output"]) is None
    True
    """
    text = REASONING_END.split(completion[-MAX_ANSWER_CHARS:])[-1].strip()
    return (
        _last_object(text, labels)
        or _last_lines(text, labels)
        or (_last_literal(text, labels[0]) if len(labels) == 1 else None)
    )


def score_values(task: AlignmentTask, completion: str, format_weight: float) -> tuple[float, dict[str, bool]]:
    """`w + (1 − w) · (right targets / targets)` of a completion, w = `format_weight`, and which targets it has right
    (empty if the answer has no usable form, which scores 0)."""
    answer = parse_answer(completion, [target.label for target in task.targets])
    if answer is None:
        return 0.0, {}
    printed = isinstance(task.input, StdioInput)
    correct = {
        target.label: target.label in answer.values and is_right(target, answer, printed=printed)
        for target in task.targets
    }
    fraction = sum(correct.values()) / len(correct)
    return (1.0 if fraction == 1 else format_weight + (1 - format_weight) * fraction), correct


def is_right(target: Target, answer: Answer, *, printed: bool = False) -> bool:
    """Whether the answer's value for the target is its true value.

    Numbers are equal as numbers, floats up to `FLOAT_TOLERANCE`; `True` is neither `"true"` nor 1; order matters in
    lists, not in sets. A JSON answer may write a tuple or a set as a list and a key of another type as a string.
    Printed output (`printed`) is compared as text, white space at the ends of lines and of the text ignored, and a
    number stands for its own text.
    """
    value = answer.values[target.label]
    if printed and target.is_output:
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = repr(value)
        return isinstance(value, str) and _lines(value) == _lines(target.value)
    if equal(value, target.value, float_tolerance=FLOAT_TOLERANCE):
        return True
    return answer.is_json and equal(
        _as_written_in_json(value, target.value), target.value, float_tolerance=FLOAT_TOLERANCE
    )


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def as_json(value: TaggedValue) -> str | None:
    """The value as JSON, if JSON has it.

    >>> as_json({"a": [True, None]}), as_json({"$tuple": [1]})
    ('{"a": [true, null]}', None)
    """
    return json.dumps(value) if _is_plain_json(value) else None


def _is_plain_json(value: TaggedValue) -> bool:
    """Whether a tagged value is written in JSON as it is: no tag, no NaN, no character that a JSON file cannot
    hold."""
    if isinstance(value, dict):
        return all(not key.startswith("$") and is_unicode(key) and _is_plain_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_plain_json(item) for item in value)
    if isinstance(value, str):
        return is_unicode(value)
    return not isinstance(value, float) or math.isfinite(value)


def is_unicode(value: str) -> bool:
    """Whether UTF-8 has the text: no half of a surrogate pair."""
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _as_written_in_json(value: TaggedValue, target: TaggedValue) -> TaggedValue:
    """`value`, read from JSON, in the types of `target` where JSON has no way to write them."""
    if not isinstance(target, dict | list):
        return value
    if isinstance(target, list):
        same_length = isinstance(value, list) and len(value) == len(target)
        return [_as_written_in_json(*pair) for pair in zip(value, target, strict=True)] if same_length else value
    tag = next(iter(target), "")
    if tag in ("$tuple", "$deque") and isinstance(value, list):
        return {tag: _as_written_in_json(value, target[tag])}
    if tag in ("$set", "$frozenset") and isinstance(value, list):
        return {tag: target[tag]} if _are_members(value, target[tag]) else value
    if "$dict" in target and isinstance(value, dict):
        keys = {_json_key(key): key for key, _ in target["$dict"]}
        if len(keys) == len(target["$dict"]) and keys.keys() == value.keys():
            return {
                "$dict": [[key, _as_written_in_json(value[_json_key(key)], item)] for key, item in target["$dict"]]
            }
        return value
    if isinstance(value, dict) and value.keys() == target.keys():
        return {key: _as_written_in_json(value[key], item) for key, item in target.items()}
    return value


def _are_members(values: list[TaggedValue], members: list[TaggedValue]) -> bool:
    """Whether the items of a list, read from JSON, are the members of a set. Most are found by their text; of those
    that need a tolerance or an order of their own, `_MAX_PAIRS` pairs are compared."""
    if len(values) != len(members):
        return False
    by_text = Counter(map(_json_text, values))
    left = [member for member in members if not _taken(by_text, _json_text(member))]
    rest = [value for value in values if _taken(by_text, _json_text(value))]
    if sum(len(to_source(member)) for member in left) * len(rest) > _MAX_PAIRS:
        return False
    return all(
        any(equal(_as_written_in_json(value, member), member, float_tolerance=FLOAT_TOLERANCE) for value in rest)
        for member in left
    )


def _taken(counts: Counter[str], text: str) -> bool:
    counts[text] -= 1
    return counts[text] >= 0


def _json_text(value: TaggedValue) -> str:
    """One text for a value and for what JSON can say of it: a tuple is a list, a whole float an integer."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value)) if abs(value) < 2**53 else repr(value)
    if isinstance(value, list) or (isinstance(value, dict) and "$tuple" in value):
        return f"[{','.join(map(_json_text, value if isinstance(value, list) else value['$tuple']))}]"
    return json.dumps(value)


def _json_key(key: TaggedValue) -> str:
    """A dict key as JSON writes it: `1` as "1", `True` as "true", a tuple as its Python literal."""
    if isinstance(key, str):
        return key
    return json.dumps(key) if key is None or isinstance(key, bool | int | float) else to_source(key)


def _last_object(text: str, labels: Sequence[str]) -> Answer | None:
    found: Answer | None = None
    starts = [match.start() for match in re.finditer(r"\{", text)][-MAX_OBJECTS:]
    closes = _closing_brackets(text) if starts else {}
    end = 0
    for start in starts:
        if start < end or start not in closes:
            continue
        close = closes[start] + 1
        answer = _object(text[start:close], labels)
        if answer is not None:
            found, end = answer, close
    return found


def _closing_brackets(text: str) -> dict[int, int]:
    """Where each bracket closes, read from that bracket on with strings skipped; without those that do not, or nest
    deeper than `MAX_DEPTH`.

    Takes one pass from the end: `unmatched[i]` is the first closing bracket after `i` whose opening one is not after
    `i` too (-1: there is none, or brackets between do not match), `levels[i]` how deep brackets nest up to there.
    """
    size = len(text)
    unmatched, levels = [-1] * (size + 1), [0] * (size + 1)
    ends = {'"': [-1] * (size + 2), "'": [-1] * (size + 2)}
    """Where a string that starts before `i` ends."""
    closes: dict[int, int] = {}
    for place in range(size - 1, -1, -1):
        mark = text[place]
        for quote, of_quote in ends.items():
            if mark == quote:
                of_quote[place] = place
            elif mark == "\\":
                of_quote[place] = of_quote[place + 2] if text[place + 1 : place + 2] != "\n" else -1
            elif mark != "\n":
                of_quote[place] = of_quote[place + 1]
        following = place + 1
        if mark in ")]}":
            unmatched[place] = place
            continue
        if mark in ends and ends[mark][following] >= 0:
            following = ends[mark][following] + 1
        elif mark in _CLOSING:
            close = unmatched[following]
            if close < 0 or text[close] != _CLOSING[mark]:
                continue
            depth = 1 + levels[following]
            if depth <= MAX_DEPTH:
                closes[place] = close
            following = close + 1
            levels[place] = max(depth, levels[following])
            unmatched[place] = unmatched[following]
            continue
        unmatched[place], levels[place] = unmatched[following], levels[following]
    return closes


def _object(source: str, labels: Sequence[str]) -> Answer | None:
    value, is_json = _literal(source)
    if not isinstance(value, dict) or not any(label in value for label in labels):
        return None
    return Answer({label: encode(value[label]) for label in labels if label in value}, is_json)


def _last_lines(text: str, labels: Sequence[str]) -> Answer | None:
    values: dict[str, TaggedValue] = {}
    names = "|".join(re.escape(label) for label in labels)
    form = re.compile(rf"(?:[-*]\s+)?[`*]*(?P<label>{names})[`*]*\s*[=:](?P<value>.+)")
    for line in reversed(_without_closing_fence(text).split("\n")):
        match = form.fullmatch(line.strip())
        if match is None:
            break
        value, _ = _literal(match["value"].strip().strip("`"))
        if value is _UNREADABLE:
            break
        values.setdefault(match["label"], encode(value))
    return Answer(dict(reversed(values.items())), False) if values else None


def _last_literal(text: str, label: str) -> Answer | None:
    text = _without_closing_fence(text)
    block = text.rpartition("```")[2].partition("\n")[2] if "```" in text else text.rpartition("\n")[2]
    value, is_json = _literal(block.strip().strip("`"))
    return None if value is _UNREADABLE else Answer({label: encode(value)}, is_json)


def _without_closing_fence(text: str) -> str:
    return text.removesuffix("```").rstrip()


_UNREADABLE = object()


def _literal(source: str) -> tuple[Any, bool]:
    """The value of a JSON or Python literal and whether it is JSON; `_UNREADABLE` for anything else."""
    if len(source) > MAX_ANSWER_CHARS:
        return _UNREADABLE, False
    try:
        return loads(source), True
    except ValueError:
        pass
    try:
        match parse(source.strip()).body:
            case [ast.Expr(expression)]:
                return _evaluate(expression), False
        return _UNREADABLE, False
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, ArithmeticError):
        return _UNREADABLE, False


_NAMES = {
    "true": True,
    "false": False,
    "null": None,
    "nan": math.nan,
    "NaN": math.nan,
    "inf": math.inf,
    "Infinity": math.inf,
}


def _evaluate(node: ast.expr) -> Any:
    """The value of a literal; more than `ast.literal_eval` in that JSON's words, `float("nan")`, `deque([1])` and
    their like are literals too."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name) if name in _NAMES:
            return _NAMES[name]
        case ast.List(items):
            return [_evaluate(item) for item in items]
        case ast.Tuple(items):
            return tuple(_evaluate(item) for item in items)
        case ast.Set(items):
            return frozenset(_evaluate(item) for item in items)  # hashable, so that a set may hold sets
        case ast.Dict(keys, values):
            return {_evaluate(_given(key)): _evaluate(value) for key, value in zip(keys, values, strict=True)}
        case ast.UnaryOp(ast.USub() | ast.UAdd() as sign, ast.Constant(int() | float() | complex() as value)) if (
            not isinstance(value, bool)
        ):
            return -value if isinstance(sign, ast.USub) else value
        case ast.UnaryOp(ast.USub(), ast.Name(name)) if name in ("nan", "NaN", "inf", "Infinity"):
            return -_NAMES[name]  # type: ignore[operator]
        case ast.BinOp(left, ast.Add() | ast.Sub() as sign, ast.Constant(complex() as imaginary)):
            real = _evaluate(left)
            if type(real) in (int, float):
                return real + imaginary if isinstance(sign, ast.Add) else real - imaginary
        case ast.Call(ast.Name("set" | "frozenset"), [], []):
            return frozenset()
        case ast.Call(ast.Name("set" | "frozenset"), [ast.List(items) | ast.Tuple(items) | ast.Set(items)], []):
            return frozenset(_evaluate(item) for item in items)
        case ast.Call(ast.Name("complex"), [real_part, imaginary_part], []):
            return complex(_evaluate(real_part), _evaluate(imaginary_part))
        case ast.Call(ast.Name("float"), [ast.Constant(str() as text)], []):
            return float(text)
        case ast.Call(ast.Name("Decimal"), [ast.Constant(str() as text)], []):
            return Decimal(text)
        case ast.Call(ast.Name("deque"), [ast.List(items)], []):
            return deque(_evaluate(item) for item in items)
        case ast.Call(ast.Name("bytearray"), [ast.Constant(bytes() as data)], []):
            return bytearray(data)
        case ast.Call(ast.Name("range" | "Fraction" as name), [_, *_] as arguments, []):
            numbers = [_evaluate(argument) for argument in arguments]
            if all(type(number) is int for number in numbers):
                return range(*numbers) if name == "range" else Fraction(*numbers)
    raise ValueError("not a literal")


def _given(key: ast.expr | None) -> ast.expr:
    if key is None:
        raise ValueError("** in a dict is not a literal")
    return key
