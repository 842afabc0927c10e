"""Reading what a model wrote takes time that is linear in it. CODERLPLUS_WHOLE=1 doubles up to 1.6 million
characters."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest
from tests.harness.growth import assert_linear

from coderlplus.programs import MAX_PROGRAM_CHARS, cyclomatic_complexity, extract_program, normalized, syntax_error

WHOLE = bool(os.environ.get("CODERLPLUS_WHOLE"))


def _repeat(unit: str, before: str = "", after: str = "") -> Callable[[int], str]:
    return lambda size: before + unit * (size // len(unit)) + after


UNITS = [
    "`",
    "``` ",
    "```\n",
    "```python\n",
    "```python\nx=1\n```\n",
    "~~~\n```\n",
    "> ```\n",
    "```a",
    "```python\n'\n```\n",
    "```'''\n",
]
UNITS += [
    "<think>",
    "</think>",
    "<think></think>",
    "<think>\n",
    "<answer>",
    "<answer></answer>",
    "<answer>\n```\n",
    "[PYTHON]\n",
    "<code>\n",
]
UNITS += [
    "<|im_end|>",
    "</s>\n",
    "x\n</s>\n",
    "<|",
    "<|channel|>",
    "<|im_start|>assistant\n",
    "assistantfinal",
    "analysis",
    "[THINK]",
]
UNITS += [
    "\r",
    "\ufeff\n",
    "\u00a0",
    "'''",
    '"""\n```\n',
    "#```\n",
    "'```'",
    "x = 1\n",
    "x = (\n",
    "x = 1\nword word\n",
    "def f(x):\n",
]
UNITS += [
    "def f(x):\n    return x\n\n",
    "print(",
    "    x\n",
    "\t",
    "\n",
    ")\n",
    "print(1)\nthe end.\n",
    "a = ",
    "@a\n",
    "\\\n",
    "\x00",
    "\ud800",
]
UNITS += [
    "a\u0301",
    "\u0301\u0316",
    "x = '\n",
    "class A:\n x = 1\n",
    "1. ```python\n",
    "x y\n\n",
    "import a\n",
    "if a:\n\tb\n",
    "f'{a}'\n",
]
TEXTS: dict[str, Callable[[int], str]] = {repr(unit): _repeat(unit) for unit in UNITS}
TEXTS |= {
    "spaces in a fence": _repeat(" ", "```", "`"),
    "a far fence": _repeat(" ", "", "```"),
    "spaces in a tag": _repeat(" ", "<think", ">"),
    "quotation marks": _repeat(">", "", "```python\nx=1"),
    "a long name": _repeat("x", "```python\n", "\n```"),
    "blocks that need each other": lambda size: "".join(
        f"```python\ny{i} = y{i + 1}\nprint(y{i})\n```\n" for i in range(size // 40)
    ),
}

PROGRAMS = {repr(unit): _repeat(unit) for unit in UNITS if WHOLE}
PROGRAMS |= {
    "marks in a name": _repeat("\u0301\u0316", "a", " = 1"),
    "marks that are none": _repeat("\u0f73", "a", " = 1"),
    "half-width marks": _repeat("\uff9e\uff9f", "a", " = 1"),
    "many names with marks": _repeat("a" + "\u0301\u0316" * 100 + " = 1\n"),
    "marks in a string": _repeat("\u0301\u0316", "x = '", "'"),
    "a dotted import": _repeat(".a", "import a"),
    "a dotted import with spaces": _repeat(" . a", "from a", " import b"),
    "a dotted import over lines": _repeat("\\\n.a", "import a"),
    "a dotted import with marks": _repeat(".a\u0301", "import a"),
    "fields of a format string": _repeat("{a}", "x = f'", "'"),
    "fields of a long format string": _repeat("{a!r:>{b}}\n", "x = rf'''", "'''"),
    "a hexadecimal number": _repeat("f", "x = 0x"),
    "digits": _repeat("1", "x = "),
    "digits of a fraction": _repeat("1", "x = 0."),
    "a sum": _repeat("+1", "x = 1"),
    "strings": _repeat("'\\d' ", "x = "),
    "decorators": _repeat("@a\n", "", "def f(): 0"),
    "elif": _repeat("elif a:\n b\n", "if a:\n b\n"),
    "cases": _repeat(" case 1: 0\n", "match x:\n"),
    "a deep end": lambda size: "".join(" " * i + "if 1:\n" for i in range(99)) + (" " * 99 + "0\n") * (size // 101),
    "deep functions": lambda size: (
        "".join(" " * i + f"def f{i}():\n" for i in range(99)) + (" " * 99 + "def f(): 0\n") * (size // 110)
    ),
    "deep classes": lambda size: (
        "".join(" " * i + f"class A{i}:\n" for i in range(99)) + (" " * 99 + "x = 1\n") * (size // 105)
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_extraction_is_linear(name: str) -> None:
    def extract(text: str) -> None:
        extract_program(text)
        extract_program(text, "f", starter_code="def f(x):\n")

    assert_linear(extract, TEXTS[name], start=100_000 if WHOLE else 20_000, doublings=4 if WHOLE else 2)


@pytest.mark.parametrize("name", PROGRAMS)
def test_parsing_is_linear(name: str) -> None:
    def read(program: str) -> None:
        syntax_error(program)
        normalized(program)
        cyclomatic_complexity(program)

    assert_linear(
        read, PROGRAMS[name], start=MAX_PROGRAM_CHARS // (16 if WHOLE else 4) - 32, doublings=4 if WHOLE else 2
    )


PIECES = [
    *UNITS,
    "def f(x):",
    "return x",
    "lambda ",
    "f'{",
    "}",
    "((",
    "))",
    "\n",
    " ",
    "é",
    "match x:\n case ",
    "import a.b",
    "'",
    '"',
]


@pytest.mark.parametrize("seed", range(200 if WHOLE else 10))
def test_random_repetition_is_linear(seed: int) -> None:
    rng = random.Random(seed)
    before, unit, after = ("".join(rng.choices(PIECES, k=rng.randint(1, 3))) for _ in range(3))

    def read(text: str) -> None:
        extract_program(text, rng.choice([None, "f"]), starter_code="def f(x):\n")
        syntax_error(text)

    assert_linear(read, _repeat(unit, before, after), start=24_000, doublings=4 if WHOLE else 2)
