"""The examples that a prompt shows of the program it asks for: inputs with their outputs.

Found are tests of the problem whose input and output stand there one after the other, and calls of the entry point
that the text shows with their results: doctests, asserts, `f(1) == 2` and its like. Nothing is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from coderlplus import syntax
from coderlplus.alignment.answers import as_json
from coderlplus.alignment.facts import canonical, literal_calls
from coderlplus.alignment.visible import squeezed
from coderlplus.records import CallTest, Problem, StdioTest, TaggedValue
from coderlplus.sandbox.values import encode, to_source

Example = CallTest | StdioTest

MAX_EXAMPLES = 8
MAX_CHARS = 300
"""A longer result is not read."""
_TESTS = 20
"""Tests looked for in a prompt; those that prompts show come first in all sets."""
_BETWEEN = ".{0,40}?"
"""Characters, white space not counted, between an input and its output: `Output:` and the like."""
_END = r"(?!\.?\d)"
"""A number does not go on."""
_ARROW = re.compile(r"\s*(?:==|=>|->|➞|→|returns?\b|should return\b)\s*")


def visible_examples(problem: Problem, text: str) -> list[Example]:
    """The examples in a prompt, at most `MAX_EXAMPLES`.

    >>> text = 'Sort the list.\\n>>> f([3, 1])\\n[1, 3]'
    >>> problem = Problem(problem_id="p", statement=text, entry_point="f", tests=(CallTest(([2],), [2]),))
    >>> visible_examples(problem, text)
    [CallTest(args=([3, 1],), expected=[1, 3], kwargs={})]
    """
    found: dict[str, Example] = {}
    name = (problem.entry_point or "").rpartition(".")[2]
    shown = squeezed(text)
    for example in (*_tests_in(problem, shown), *(_calls_in(text, name) if name else ())):
        given = [example.stdin] if isinstance(example, StdioTest) else [list(example.args), dict(example.kwargs)]
        found.setdefault(canonical(given), example)
    return list(found.values())[:MAX_EXAMPLES]


def _tests_in(problem: Problem, shown: str) -> Iterator[Example]:
    """The tests that stand in a squeezed text."""
    for test in problem.tests[:_TESTS]:
        if isinstance(test, StdioTest) and test.stdin.strip() and test.stdout.strip():
            parts = [re.escape(squeezed(test.stdin)), re.escape(squeezed(test.stdout))]
        elif isinstance(test, CallTest) and (test.args or test.kwargs):
            given = ".{0,24}?".join(map(_any_form, (*test.args, *test.kwargs.values())))
            parts = [given, _any_form(test.expected)]
        else:
            continue
        if re.search(rf"(?<![\w.]){_BETWEEN.join(f'{part}{_END}' for part in parts)}", shown):
            yield test


def _any_form(value: TaggedValue) -> str:
    """A pattern for the ways to write a value, squeezed."""
    forms = {squeezed(to_source(value)), squeezed(as_json(value) or to_source(value))}
    return f"(?:{'|'.join(map(re.escape, sorted(forms, key=len, reverse=True)))})"


def _calls_in(text: str, name: str) -> Iterator[Example]:
    """The calls of a function with literal arguments that stand in a text with their literal results."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        for match in re.finditer(rf"(?<![\w.]){re.escape(name)}\(", line):
            call = _balanced(line, match.start())
            if call is None:
                continue
            rest = line[match.start() + len(call) :]
            arrow = _ARROW.match(rest)
            if arrow is not None:
                result = rest[arrow.end() :]
            elif line.strip().startswith(">>> ") and not rest.strip() and number + 1 < len(lines):
                result = lines[number + 1]
            else:
                continue
            try:
                example = _example(call, result.strip()[:MAX_CHARS])
            except SyntaxError:
                continue
            if example is not None:
                yield example


def _balanced(line: str, start: int) -> str | None:
    """The call that begins at a place of a line, up to its closing bracket."""
    depth, quote = 0, ""
    for place in range(start, len(line)):
        mark = line[place]
        if quote:
            quote = "" if mark == quote and line[place - 1] != "\\" else quote
        elif mark in "'\"":
            quote = mark
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
            if not depth:
                return line[start : place + 1]
    return None


def _example(call: str, result: str) -> Example | None:
    """The example of a call whose result is the longest literal with which a text begins."""
    given = next(literal_calls(call, {call.partition("(")[0]}), None)
    if given is None:
        return None
    for end in (len(result), *(place for place in range(len(result) - 1, 0, -1) if result[place] in " ,;.`")):
        try:
            return CallTest(given[0], encode(syntax.literal(result[:end].rstrip(" ,;.`"))), given[1])
        except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
            continue
    return None
