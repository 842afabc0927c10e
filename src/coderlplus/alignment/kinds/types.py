"""The kind `types`: the types of variables at the end of the run.

Values may be objects and of any length here, but not such that the type is read off: computed ones only. Reason of its
own: `no_variable` (none is computed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.questions import FINAL, Question, variable_words
from coderlplus.alignment.variables import RESERVED, TracedRun, draw
from coderlplus.alignment.visible import Rank
from coderlplus.records import TaggedValue, Target

_TYPE = f"""
The type of a variable is the name of the class of its final value, without a module: `int`, `str`, `dict`, \
`NoneType`, `Point`.
{FINAL}"""
_LIKE_DICT = ("Counter", "OrderedDict", "defaultdict")
"""A trace does not tell these from `dict`."""
_NAMES = {"$decimal": "Decimal", "$fraction": "Fraction"}
_PLAIN = ("int", "float", "tuple", "set", "frozenset", "deque", "complex", "bytes", "bytearray", "range")


def ask(run: TracedRun) -> Question | str:
    """The types of at most `max_variables` variables with computed values, first of those whose value stands neither
    in the source nor in the input."""
    program = run.trace.program + run.setup_code
    may_be_dict = not any(name in program for name in _LIKE_DICT)
    scopes_of = Counter(name for names in run.trace.variables.values() for name in names)
    fit: list[tuple[Target, Rank]] = []
    for scope, names in run.trace.variables.items():
        for name, value in names.items():
            kind = type_of(value)
            rank = run.visible.rank(scope, name, value)
            if name.startswith("_") or kind is None or rank == "given" or (kind == "dict" and not may_be_dict):
                continue
            label = f"{scope}.{name}" if scopes_of[name] > 1 or name in RESERVED else name
            fit.append((Target(label=label, value=kind, scope=scope), rank))
    if not fit:
        return "no_variable"
    return about_types(draw(fit, run.max_variables, run.rng("types")))


def about_types(targets: Sequence[Target]) -> Question:
    """The types of variables, at the end."""
    return Question(
        targets=tuple(targets),
        words=tuple(f"the type of {variable_words(target)}" for target in targets),
        compact="Types of final values",
        definition=_TYPE,
        example='{"n": "int", "words": "list"}',
    )


def type_of(value: TaggedValue) -> str | None:
    """The name of the class of a tagged value; `None` where the trace does not say it.

    >>> type_of(1), type_of({"$tuple": [1]}), type_of({"$object": "Point", "fields": {}}), type_of({"$cut": "int"})
    ('int', 'tuple', 'Point', None)
    """
    if not isinstance(value, dict):
        return type(value).__name__
    tag = next(iter(value), "")
    if not tag.startswith("$") or tag == "$dict":
        return "dict"
    if tag == "$object":
        name = value[tag]
        return name if isinstance(name, str) and name.isidentifier() else None
    return _NAMES.get(tag) or (tag[1:] if tag[1:] in _PLAIN else None)


KIND = Kind(
    name="types",
    asks="the types of at most `max_variables` variables at the end",
    ask=ask,
    crashed=True,
)
