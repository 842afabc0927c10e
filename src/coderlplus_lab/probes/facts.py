"""A traced value → the facts that a probe can be asked for: name of the fact → class, as text.

* number: `value` (which number), `parity`, `sign` (integers and floats; a float has a sign only)
* list, tuple, string, dict, set, …: `length`; of one that begins with an integer `first` (which one) and
  `first_parity`
* truth value: `value`

What a program prints is taken as a number where it is one, else as a text.
"""

from __future__ import annotations

import re
from typing import Any

from coderlplus.alignment.visible import squeezed
from coderlplus.records import CallInput, TaggedValue, Trace
from coderlplus.sandbox.values import to_source

SURFACE = frozenset({"kind", "name"})
"""Facts of the text at the mark and not of the run: which kind of statement, which variable."""
_LEAST_SHOWN = 3
"""Characters of a value that can be said to stand in a text; a shorter one stands in most."""


def value_facts(value: TaggedValue) -> dict[str, str]:
    """The facts of a tagged value; none for one of another type.

    >>> value_facts(-3)
    {'value': '-3', 'parity': 'odd', 'sign': 'negative'}
    >>> value_facts([4, 1])
    {'length': '2', 'first': '4', 'first_parity': 'even'}
    """
    match value:
        case bool():
            return {"value": str(value)}
        case int():
            return {"value": str(value), "parity": _parity(value), "sign": _sign(value)}
        case float():
            return {"sign": _sign(value)}
        case str():
            return {"length": str(len(value))}
        case list():
            return _sequence_facts(value)
        case dict():
            tag = next(iter(value), "")
            if tag in ("$tuple", "$deque"):
                return _sequence_facts(value[tag])
            if tag in ("$set", "$frozenset", "$dict"):
                return {"length": str(len(value[tag]))}
            return {"length": str(len(value))} if not tag.startswith("$") else {}
    return {}


def output_facts(trace: Trace) -> dict[str, str]:
    """The facts of what a program returned or printed; of one that ended with an exception only that it did."""
    if trace.ending.kind == "exception":
        return {"raises": "exception"}
    return {"raises": "no exception"} | value_facts(output_value(trace))


def output_value(trace: Trace) -> Any:
    """What a call returned; what a program printed, as an integer or a float where it is one."""
    if isinstance(trace.input, CallInput):
        return trace.value
    text = trace.output.strip()
    if re.fullmatch(r"[+-]?\d{1,15}", text):
        return int(text)
    return float(text) if re.fullmatch(r"[+-]?\d{1,15}\.\d+", text) else text


def stands_in(value: TaggedValue, text: str) -> bool:
    """Whether a value stands in a squeezed text (see `squeezed`), not as a part of a longer word or number.

    >>> stands_in([1, 2], squeezed("f([1, 2]) == 3")), stands_in(2, squeezed("f([1, 2]) == 3"))
    (True, False)
    """
    source = squeezed(value if isinstance(value, str) else to_source(value))
    if len(source) < _LEAST_SHOWN:
        return False
    is_word = source[0].isalnum() or source[0] == "-"
    form = rf"(?<![\w.-]){re.escape(source)}(?!\w)" if is_word else re.escape(source)
    return re.search(form, text) is not None


def _sequence_facts(items: list[Any]) -> dict[str, str]:
    facts = {"length": str(len(items))}
    if items and type(items[0]) is int:
        facts |= {"first": str(items[0]), "first_parity": _parity(items[0])}
    return facts


def _parity(number: int) -> str:
    return "odd" if number % 2 else "even"


def _sign(number: float) -> str:
    return "negative" if number < 0 else "positive" if number > 0 else "zero"
