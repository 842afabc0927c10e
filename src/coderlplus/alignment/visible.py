"""What a reader of a prompt sees without working anything out, and which values are therefore worth asking for.

No task asks for a value that stands in its own prompt. A value *stands* there if its text does, white space and the
kind of quotes aside, as a Python literal, as JSON or, for a string, bare; and if that text is longer than `SHORT`
characters. A short one (`0`, `"yes"`, `[2, 1]`) is somewhere in most programs by accident and gives nothing away, but
for one case: however short, the result of the task's own call stands in the prompt if the program shows it next to
that call, as asserts, doctests and tables of examples do.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Literal

from coderlplus.alignment.answers import REASONING_END, as_json
from coderlplus.alignment.facts import Bindings, canonical, input_values, is_stretch_of, literals, variable_bindings
from coderlplus.programs import parse
from coderlplus.records import CallInput, ProgramInput, StdioInput, TaggedValue
from coderlplus.sandbox.values import to_source

Rank = Literal["informative", "plain", "given"]

SHORT = 20
"""Longest text, white space not counted, that may stand in a prompt by accident."""
_NEXT_TO = 20
"""Characters, white space not counted, between a call and its result where the program shows both."""
_WRITABLE = frozenset((
    "$tuple", "$set", "$frozenset", "$deque", "$dict", "$float", "$int", "$complex", "$bytes", "$bytearray", "$range",
    "$decimal", "$fraction",
))  # fmt: skip
_MAX_LEVELS = 18
"""Two brackets a level, as in `deque([…])`, are within what an answer may be nested (`answers.MAX_DEPTH`)."""
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


class Visible:
    """What a program (as shown), its input and its set-up code show. `tree` is the syntax tree of the program, which
    is parsed where it is not given. Raises `SyntaxError`."""

    def __init__(
        self, program: str, given: ProgramInput, call: str, setup_code: str = "", tree: ast.Module | None = None
    ) -> None:
        self.input = given
        self.tree = parse(program) if tree is None else tree
        self.bindings = variable_bindings(self.tree)
        self.input_values = input_values(given)
        self.values = literals(self.tree) | self.input_values
        self._program = squeezed(setup_code + program)
        self._call = squeezed(call) if isinstance(given, CallInput) else ""
        self._text = self._program + " " + (squeezed(given.stdin) if isinstance(given, StdioInput) else self._call)

    def rank(self, scope: str, name: str, value: TaggedValue) -> Rank:
        """How much there is to work out in a value of a variable: *given* only hands on what can be read off (an
        unchanged argument, a constant of the source, input as it was read), *informative* stands neither in the source
        nor in the input, *plain* is all else."""
        text = canonical(value)
        if self._is_given(text, value, self.bindings.get((scope, name), Bindings(computed=True))):
            return "given"
        return "plain" if text in self.values else "informative"

    def stands(self, value: TaggedValue) -> bool:
        """Whether a value stands in the prompt: see the top of this file."""
        return any(len(form) > SHORT and form in self._text for form in _forms(value))

    def shows_result(self, value: TaggedValue) -> bool:
        """Whether the output stands in the prompt, or the program shows it next to the task's own call."""
        if self.stands(value):
            return True
        places = [found.end() for found in re.finditer(re.escape(self._call), self._program)] if self._call else []
        return any(
            form in self._program[place : place + _NEXT_TO + len(form)] for place in places for form in _forms(value)
        )

    def shows_input(self, result: TaggedValue) -> bool:
        """Whether the input can be read off where it is not shown, but its result is: the program shows the task's
        own call, a part of the input stands in the program or the result, or the result is the whole input."""
        given = self.input
        parts = [given.stdin] if isinstance(given, StdioInput) else [*given.args, *given.kwargs.values()]
        if self._call and self._call in self._program:
            return True
        if [canonical(part) for part in parts] == [canonical(result)]:
            return True
        text = self._program + " " + " ".join(_forms(result))
        return any(len(form) > SHORT and form in text for part in parts for form in _forms(part))

    def _is_given(self, text: str, value: TaggedValue, binding: Bindings) -> bool:
        if binding.computed:
            return False
        if binding.parameter:
            return not binding.constants and text in self.input_values
        if binding.reads:
            is_as_read = isinstance(self.input, StdioInput) and (
                text in self.input_values or is_stretch_of(value, self.input.stdin)
            )
            return not binding.constants and is_as_read
        return len(binding.constants) == 1 and text == binding.constants[0]


def is_fit(value: TaggedValue, max_chars: int) -> bool:
    """Whether a reader can write the value down: plain data, nested at most `_MAX_LEVELS` deep, at most `max_chars`
    long as a Python literal, without a tag that would end the reasoning of the answer."""
    if _has_unwritable(value):
        return False
    source = to_source(value)
    return len(source) <= max_chars and not REASONING_END.search(source)


def shows_address(prompt: str) -> bool:
    """Whether a text holds the address of an object, as its default `repr` shows it.

    >>> shows_address("<A object at 0x7f2b8c0d1e50>"), shows_address("mask = 0x5f3759df")
    (True, False)
    """
    return _ADDRESS.search(prompt) is not None


def squeezed(text: str) -> str:
    """A text without white space and with one kind of quotes.

    >>> squeezed('f([1, "a"])')
    "f([1,'a'])"
    """
    return "".join(text.split()).replace('"', "'")


def _forms(value: TaggedValue) -> Iterator[str]:
    """The texts, squeezed, by which a value may stand in a prompt."""
    if isinstance(value, str):
        yield squeezed(value)
        yield squeezed(repr(value)[1:-1])
    else:
        yield squeezed(to_source(value))
        written = as_json(value)
        if written is not None:
            yield squeezed(written)


def _has_unwritable(value: TaggedValue, levels: int = 0) -> bool:
    if not isinstance(value, dict | list):
        return False
    if isinstance(value, list):
        return levels > _MAX_LEVELS or any(_has_unwritable(item, levels + 1) for item in value)
    tag = next(iter(value), "")
    if tag.startswith("$"):
        return tag not in _WRITABLE or _has_unwritable(value[tag], levels)
    return levels > _MAX_LEVELS or any(_has_unwritable(item, levels + 1) for item in value.values())
