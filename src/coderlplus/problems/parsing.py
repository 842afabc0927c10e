"""Values and fields of rows: JSON and Python literals, also with whole numbers of more digits than CPython converts
(4,300; see `records.jsonl.loads`)."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from coderlplus import syntax
from coderlplus.errors import DataError
from coderlplus.records import TaggedValue
from coderlplus.records.fields import described
from coderlplus.records.jsonl import MAX_DIGITS, integer, loads
from coderlplus.sandbox import values

_DIGITS = 4_000
_LONG = re.compile(r"(?<![\w.])[\d_]{4000}")
_NO_BUDGET = sys.maxsize


def decimal_text(value: int) -> str:
    """As `str`, for up to `MAX_DIGITS` digits. Raises `DataError` beyond."""
    if value.bit_length() > MAX_DIGITS * 10 // 3:
        raise DataError(f"a number of more than {MAX_DIGITS:,} digits as input or output; write it as text")
    return str(Decimal(value))


def literal(text: str) -> Any:
    """As `ast.literal_eval`, with whole numbers of any length."""
    return syntax.literal(with_short_numbers(text))


def with_short_numbers(code: str) -> str:
    """The code with whole numbers of more than 4,000 digits in base 16, which CPython converts at any length.

    >>> with_short_numbers("f(12) == 34")
    'f(12) == 34'
    """
    if len(code) <= _DIGITS or _LONG.search(code) is None:
        return code
    lines = code.splitlines(keepends=True)
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, SyntaxError):
        return code
    for token in reversed(tokens):
        digits = token.string.replace("_", "")
        if token.type == tokenize.NUMBER and len(digits) > _DIGITS and digits.isdecimal():
            (row, start), (_, end) = token.start, token.end
            line = lines[row - 1]
            lines[row - 1] = f"{line[:start]}{integer(digits):#x}{line[end:]}"
    return "".join(lines)


def parsed(code: str) -> tuple[str, ast.Module]:
    """The code, where need be `with_short_numbers`, and its syntax tree. Raises `SyntaxError`, `ValueError` and what
    else `ast.parse` raises."""
    try:
        return code, syntax.parse(code)
    except SyntaxError:
        short = with_short_numbers(code)
        if short is code:
            raise
        return short, syntax.parse(short)


def in_json(text: Any, default: Any) -> Any:
    """A field that holds JSON as text, or a Python literal as some copies of these sets do, or the value itself;
    `default` where it is empty.

    JSON in JSON, which some copies have, is read twice.
    """
    if not isinstance(text, str):
        return default if text is None else text
    if not text.strip():
        return default
    found = _json_or_literal(text)
    return _json_or_literal(found) if isinstance(found, str) and found.lstrip()[:1] in ("{", "[") else found


def _json_or_literal(text: str) -> Any:
    try:
        return loads(text)
    except (ValueError, RecursionError) as error:
        try:
            return literal(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            raise DataError(f"{text[:60]!r} is not valid JSON ({error})") from None


def text_of(row: Mapping[str, Any], name: str, default: str | None = None) -> str:
    """A field that holds text; with a `default` it may be absent or null. Raises `DataError` for another value."""
    value = row.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        if name not in row:
            raise DataError(f"field {name!r} is missing")
        raise DataError(f"field {name!r} must be text, not {described(value)}")
    return value


def tagged(value: Any) -> TaggedValue:
    """The tagged form of a value. Raises `DataError` for one that is nested too deeply to be compared."""
    if _is_deeper(value, values.MAX_DEPTH):
        raise DataError(f"a value of a test is nested more than {values.MAX_DEPTH} levels deep")
    return values.encode(value, _NO_BUDGET)


def _is_deeper(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set | frozenset):
        return False
    return levels <= 0 or any(_is_deeper(item, levels - 1) for item in value if isinstance(item, dict | list | tuple))
