"""Completion text → program, and static facts about a program.

* `answer.py`: the part of a completion that is its answer
* `blocks.py`: the blocks of code in a text
* `extraction.py`: which of them is the program
* `syntax.py`: parsing, normal form, complexity

Nothing here runs a program: text is only parsed, so everything is safe to call in the training process on whatever a
model wrote. Every function takes time and memory that are linear in its text, or has a budget, and raises nothing but
what it documents.
"""

from coderlplus.programs.extraction import extract_program
from coderlplus.programs.syntax import (
    MAX_PROGRAM_CHARS,
    cyclomatic_complexity,
    normalized,
    only_prepares,
    parse,
    syntax_error,
)

__all__ = [
    "MAX_PROGRAM_CHARS",
    "cyclomatic_complexity",
    "extract_program",
    "normalized",
    "only_prepares",
    "parse",
    "syntax_error",
]
