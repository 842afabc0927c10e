"""The text of an alignment task: what the program is, how it is run, and what is asked (its kind words that).

The program is shown without comments and docstrings, because they may state values: what remains has the same syntax
tree and the layout of the sample.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Sequence

from coderlplus.alignment.questions import Question
from coderlplus.alignment.settings import PromptStyle
from coderlplus.programs import normalized, only_prepares, parse
from coderlplus.records import Actual, CallInput, ProgramInput
from coderlplus.sandbox.values import to_source

_FULL = """\
Below is a Python program and how it is run. Work out by reading what it computes.

{program}

{run}

Give the value of each of these:

{targets}
{definition}
You may reason first. End with the answer on one line: a JSON object that has these labels as keys. Write a value \
that JSON does not have as Python writes it, such as (1, 2) for a tuple and {{1, 2}} for a set, and floats with at \
least 7 significant digits. For labels {example_labels}, an answer is:
{example}

Labels: {labels}"""

_NOTHING_ELSE = re.compile(rb"\s*(?:#|\Z)")
_COMPACT = """\
{program}
{run}
{question} as a JSON object: {labels}"""


def call_expression(call: CallInput) -> str:
    """The call as Python writes it.

    >>> call_expression(CallInput("f", ([3, 1, 2],), {"reverse": True}))
    'f([3, 1, 2], reverse=True)'
    """
    arguments = [to_source(value) for value in call.args] + [
        f"{name}={to_source(value)}" for name, value in call.kwargs.items()
    ]
    return f"{call.entry_point}({', '.join(arguments)})"


def write_prompt(
    program: str, given: ProgramInput, question: Question, *, style: PromptStyle, setup_code: str = ""
) -> str:
    """The prompt of a task. `program` is shown as it is: see `shown_program`. `setup_code` is shown above it unless it
    only imports and sets limits. A question with a prompt of its own has that one."""
    if question.prompt is not None:
        return question.prompt
    if question.numbered:
        program = _with_numbers(program)
    if not only_prepares(setup_code):
        program = f"{shown_program(setup_code).strip()}\n\n{program}"
    labels = ", ".join(target.label for target in question.targets)
    if style == "compact":
        if question.gives is not None:
            run = _compact_result(given, question.gives)
        else:
            run = call_expression(given) if isinstance(given, CallInput) else f"stdin = {given.stdin!r}"
        return _COMPACT.format(program=program, run=run, question=question.compact, labels=labels)
    quoted = [f"`{label}`" for label in question.example_labels]
    return _FULL.format(
        program=_fenced(program, "python"),
        run=_run(given) if question.gives is None else _result(given, question.gives),
        targets="\n".join(
            f"- `{target.label}`: {words}" for target, words in zip(question.targets, question.words, strict=True)
        ),
        definition=question.definition,
        example_labels=f"{', '.join(quoted[:-1])} and {quoted[-1]}",
        example=question.example,
        labels=labels,
    )


def _with_numbers(program: str) -> str:
    lines = program.split("\n")
    width = len(str(len(lines)))
    return "\n".join(f"{number:>{width}}  {line}".rstrip() for number, line in enumerate(lines, 1))


def _run(given: ProgramInput) -> str:
    if isinstance(given, CallInput):
        return f"Then this call is made:\n\n{_fenced(call_expression(given), 'python')}"
    if not given.stdin:
        return "It is run with an empty standard input."
    return f"It is run with this standard input:\n\n{_fenced(given.stdin.rstrip(chr(10)), 'text')}"


def _compact_result(given: ProgramInput, gives: Actual) -> str:
    if isinstance(given, CallInput):
        return f"{given.entry_point}(??) == {to_source(gives.value)}"
    return f"stdin = ??, output == {gives.value!r}"


def _result(given: ProgramInput, gives: Actual) -> str:
    """How the program is run, with its result in the place of its input."""
    if isinstance(given, CallInput):
        value = _fenced(to_source(gives.value), "python")
        return f"Then `{given.entry_point}` is called with arguments that are not shown. It returns:\n\n{value}"
    return f"It is run with a standard input that is not shown. It prints:\n\n{_fenced(gives.value, 'text')}"


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def shown_program(program: str) -> str:
    """The program without comments and docstrings, otherwise with its layout; lines that held nothing else are gone,
    and blank ones after those.

    >>> print(shown_program('def f(a):\\n    "Sorts."\\n    # [1, 2, 3]\\n    return sorted(a)  # done'))
    def f(a):
        return sorted(a)
    """
    return parsed_shown_program(program)[0]


def parsed_shown_program(program: str) -> tuple[str, ast.Module | None]:
    """The program as `shown_program` shows it, and its syntax tree; `None` where it does not parse."""
    text = program.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    try:
        tree = parse(text)
        gone = _docstring_lines(tree, lines)
        comments = _comments(text) if "#" in text else []
    except (SyntaxError, tokenize.TokenError):
        return _parsed(normalized(program))
    for comment in comments:
        row, column = comment.start
        lines[row - 1] = lines[row - 1][:column].rstrip()
        if not lines[row - 1]:
            gone.add(row)
    shown = "\n".join(line for row, line in enumerate(lines, 1) if row not in gone).strip("\n")
    if shown == text:
        return shown, tree
    shown, tree_of_shown = _parsed(shown)
    return (shown, tree_of_shown) if tree_of_shown is not None else _parsed(normalized(program))


def _parsed(program: str) -> tuple[str, ast.Module | None]:
    try:
        return program, parse(program)
    except SyntaxError:
        return program, None


def _comments(text: str) -> list[tokenize.TokenInfo]:
    return [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.COMMENT]


def _docstring_lines(tree: ast.Module, lines: Sequence[str]) -> set[int]:
    """The lines of strings that stand alone as statements, where another statement remains in their block and nothing
    else is on their lines."""
    gone: set[int] = set()
    encoded = [line.encode() for line in lines]  # offsets in the tree count bytes
    for node in ast.walk(tree):
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if not isinstance(block, list):
                continue
            strings = [item for item in block if _is_string(item)]
            for string in strings if len(strings) < len(block) else strings[1:]:
                assert string.end_lineno is not None
                assert string.end_col_offset is not None
                first = encoded[string.lineno - 1]
                if string.col_offset > len(first) - len(first.lstrip()):
                    continue
                if not _NOTHING_ELSE.match(encoded[string.end_lineno - 1], string.end_col_offset):
                    continue
                last = string.end_lineno
                while last < len(lines) and not lines[last].strip():
                    last += 1
                gone.update(range(string.lineno, last + 1))
    return gone


def _is_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
