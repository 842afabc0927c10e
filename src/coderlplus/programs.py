"""Completion text → program, and static facts about a program.

Nothing here runs a program: text is only parsed, so everything is safe to call in the training process on whatever a model wrote. Time and memory are
bounded by `MAX_PROGRAM_CHARS` and by the limits of CPython's parser (200 open brackets, 100 levels of indentation, 6,000 of grammar); what it gives
up on (`MemoryError`, `RecursionError`, NUL bytes) counts as a syntax error.

Departure from the paper: it does not say how a program is taken from a completion; the rules are those of `extract_program`.
"""

from __future__ import annotations

import ast
import re
import warnings

from radon.visitors import ComplexityVisitor

MAX_PROGRAM_CHARS = 100_000

_FILENAME = "<program>"
_LANGUAGES = {"": 0, "python": 1, "py": 1, "python3": 1, "py3": 1}
_FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*\{?[ \t]*\.?(?P<language>[\w+-]*)(?P<rest>[^`]*)")
_REASONING_TAGS = "think|thinking|thought|reasoning|reflection"
_REASONING_END = re.compile(rf"</(?:{_REASONING_TAGS})>", re.IGNORECASE)
_REASONING_START = re.compile(rf"^[ \t]*<(?:{_REASONING_TAGS})>", re.IGNORECASE | re.MULTILINE)

warnings.filterwarnings("ignore", module=re.escape(_FILENAME))  # "\d" in a model's string is not the user's concern


def extract_program(completion: str) -> str | None:
    """The program that a completion answers with, or `None` where there is none.

    Reasoning (`<think>…</think>` and the like, also when only its end is in the text or its end is missing) is left out first. Then the last closed
    fence labelled as Python counts; else the last closed fence without a label; else a last fence that was never closed, if its text is a program;
    else the whole text, if it is a program. *Is a program* means that it parses and has a statement that is more than a bare name or constant.
    Text of a closed fence is returned as it is, also when it does not parse.

    >>> extract_program("The sum:\\n```python\\nprint(1 + 2)\\n```\\nDone.")
    'print(1 + 2)'
    >>> extract_program("I do not know.") is None
    True
    """
    text = _without_reasoning(completion).replace("\r\n", "\n")
    closed: dict[int, str] = {}
    unclosed: str | None = None
    for language, body, is_closed in _fences(text):
        rank = _LANGUAGES.get(language.lower())
        if rank is None:
            continue
        if is_closed:
            closed[rank] = body
        else:
            unclosed = body
    if closed:
        program: str | None = closed[max(closed)]
    elif unclosed is not None:
        program = unclosed if _is_program(unclosed) else None
    else:
        program = text if _is_program(text) else None
    if program is None or len(program) > MAX_PROGRAM_CHARS:
        return None
    return program.strip("\n") or None


def syntax_error(program: str) -> str | None:
    """Why the program does not parse, in one line, or `None` if it does. Errors that only compilation finds (`return` at module level) are not seen.

    >>> syntax_error("x = = 1")
    'SyntaxError: invalid syntax (line 1)'
    >>> syntax_error("x = 1")
    """
    try:
        parse(program)
    except SyntaxError as error:
        return f"{type(error).__name__}: {error.msg}" + (f" (line {error.lineno})" if error.lineno else "")
    return None


def cyclomatic_complexity(program: str) -> int:
    """McCabe's number for the whole program: one plus every decision in the module, its functions and methods (by radon); 0 if it does not parse.

    >>> cyclomatic_complexity("for i in range(3):\\n    if i:\\n        print(i)")
    3
    """
    try:
        visitor = ComplexityVisitor()
        visitor.visit(parse(program))
        return int(visitor.total_complexity)
    except (SyntaxError, RecursionError):
        return 0


def normalized(program: str) -> str:
    """The program without comments and formatting: two programs with the same text here have the same syntax tree.

    A program that does not parse is returned without blank lines and trailing spaces.

    >>> normalized("x = (1)  # one") == normalized("x=1")
    True
    """
    try:
        return ast.unparse(parse(program))
    except (SyntaxError, RecursionError):
        return "\n".join(line.rstrip() for line in program.splitlines() if line.strip())


def parse(program: str) -> ast.Module:
    """The syntax tree of a program. Raises only `SyntaxError`, whatever the text."""
    if len(program) > MAX_PROGRAM_CHARS:
        raise SyntaxError(f"program of {len(program):,} characters; at most {MAX_PROGRAM_CHARS:,} are read")
    try:
        return ast.parse(program, _FILENAME)
    except SyntaxError:
        raise
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise SyntaxError(str(error) or "nested too deeply") from None


def _is_program(text: str) -> bool:
    try:
        body = parse(text).body
    except SyntaxError:
        return False
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Name | ast.Constant)) for node in body)


def _without_reasoning(text: str) -> str:
    text = _REASONING_END.split(text)[-1]
    start = _REASONING_START.search(text)
    return text[: start.start()] if start else text


def _fences(text: str) -> list[tuple[str, str, bool]]:
    """The fenced blocks of a Markdown text in order: (language, text between the fences, closed).

    As in CommonMark a fence closes with at least as many marks of its kind, at most three columns deeper than it opened (a fence inside a docstring
    does not close the program around it), and the indentation of the opening fence is taken off the lines.
    """
    blocks: list[tuple[str, str, bool]] = []
    opening: re.Match[str] | None = None
    body: list[str] = []
    for line in text.split("\n"):
        match = _FENCE.fullmatch(line) if "```" in line or "~~~" in line else None
        if opening is None:
            opening, body = match, []
            continue
        indent, fence = opening["indent"], opening["fence"]
        if (
            match is not None
            and match["fence"].startswith(fence)
            and not (match["language"] or match["rest"].strip())
            and len(match["indent"]) <= len(indent) + 3
        ):
            blocks.append((opening["language"], "\n".join(body), True))
            opening = None
        else:
            body.append(line[len(indent) :] if line.startswith(indent) else line.lstrip(" \t"))
    if opening is not None:
        blocks.append((opening["language"], "\n".join(body), False))
    return blocks
