"""Prompts: they define what is asked, and do not hold the answer."""

from __future__ import annotations

import ast
import re
from typing import Any

import pytest

from coderlplus.alignment import parse_answer
from coderlplus.alignment.prompts import call_expression, shown_program, write_prompt
from coderlplus.problems import read_recorded
from coderlplus.programs import normalized
from coderlplus.records import CallInput, StdioInput, Target


def target(label: str, value: Any, scope: str | None = None) -> Target:
    return Target(label=label, value=value, scope=scope)


PROGRAM = "def f(a):\n    b = sorted(a)\n    return b"
TARGETS = (target("b", [1, 2], "f"), target("output", [1, 2]))


def test_the_full_prompt_of_a_call_says_all() -> None:
    prompt = write_prompt(PROGRAM, CallInput("f", ([2, 1],)), TARGETS, kind="final_values", style="full")
    assert prompt.startswith("Below is a Python program")
    for part in (
        f"```python\n{PROGRAM}\n```",
        "```python\nf([2, 1])\n```",
        "- `b`: the final value of the variable `b` in `f`",
        "- `output`: the value that the call returns",
        "The final value of a variable: find the last assignment",
    ):
        assert part in prompt
    assert prompt.endswith("Labels: b, output")


def test_the_full_prompt_of_a_stdin_program_shows_its_input() -> None:
    targets = (target("<module>.n", 2, "<module>"), target("f.<locals>.g.n", 3, "f.<locals>.g"), target("output", "2"))
    prompt = write_prompt("n = int(input())\nprint(n)", StdioInput("2\n"), targets, kind="final_values", style="full")
    assert "standard input:\n\n```text\n2\n```" in prompt
    assert "- `<module>.n`: the final value of the variable `n` outside all functions" in prompt
    assert "- `f.<locals>.g.n`: the final value of the variable `n` in `f.g`" in prompt
    assert "- `output`: all that the program prints, as one string" in prompt


def test_the_example_of_an_answer_is_valid() -> None:
    prompt = write_prompt(PROGRAM, CallInput("f", ([2, 1],)), TARGETS, kind="final_values", style="full")
    example = re.findall(r"^\{.*\}$", prompt, re.MULTILINE)
    answer = parse_answer(example[-1], ["n", "words"])
    assert answer is not None
    assert answer.is_json
    assert answer.values == {"n": -7, "words": ["ab", "c"]}


def test_the_compact_prompt_has_few_words_of_its_own() -> None:
    prompt = write_prompt(PROGRAM, CallInput("f", ([2, 1],)), TARGETS, kind="final_values", style="compact")
    assert prompt == f"{PROGRAM}\nf([2, 1])\nFinal values as a JSON object: b, output"
    assert write_prompt("print(input())", StdioInput("a\n"), TARGETS[1:], kind="output", style="compact") == (
        "print(input())\nstdin = 'a\\n'\nResult as a JSON object: output"
    )


def test_setup_code_is_shown_unless_it_only_imports() -> None:
    def prompt(setup_code: str) -> str:
        return write_prompt(PROGRAM, CallInput("f", ([2, 1],)), TARGETS, kind="output", style="compact", setup_code=setup_code)

    assert prompt("import math\nfrom typing import List").startswith("def f(a)")
    assert prompt("import math\ndef g(): # 1\n    return 1").startswith("import math\ndef g():\n    return 1\n\ndef f(a)")


def test_a_fence_in_the_program_does_not_end_the_block() -> None:
    prompt = write_prompt('s = "```"', StdioInput(""), TARGETS, kind="output", style="full")
    assert '````python\ns = "```"\n````' in prompt


def test_values_without_json_are_written_as_python() -> None:
    assert call_expression(CallInput("Solution().f", ({"$tuple": [1, True]}, "it's"), {"k": None})) == """Solution().f((1, True), "it's", k=None)"""


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("x = 1  # [3, 1, 2]\n", "x = 1"),
        ("# head\nx = 1\n\n# tail\ny = 2", "x = 1\n\ny = 2"),
        ("s = '# no comment'", "s = '# no comment'"),
        ('s = """\n# text\n"""', 's = """\n# text\n"""'),
        ("x = [1,  # one\n     # none\n     2]", "x = [1,\n     2]"),
        ('def f():\n    """Doc."""\n    return 1', "def f():\n    return 1"),
        ('def f():\n    """Doc."""', 'def f():\n    """Doc."""'),
        ('def f(): "doc"; return 1', 'def f(): "doc"; return 1'),
        ('def f():\n    """Doc."""\n\n    x = 1\n\n    return x', "def f():\n    x = 1\n\n    return x"),
        ('"""Doc\nof two lines."""  # and a comment\nx = 1', "x = 1"),
        ("if 1:\n    pass\nelse:\n    'note'\n    x = 1", "if 1:\n    pass\nelse:\n    x = 1"),
        ("x = 1\r\ny = 2  # two\r\n", "x = 1\ny = 2"),
        ("é = 'ü'; 'x'  # ö", "é = 'ü'; 'x'"),
        ("x = 1 \\\n    + 2  # three", "x = 1 \\\n    + 2"),
    ],
)
def test_the_program_is_shown_without_comments_and_docstrings(program: str, shown: str) -> None:
    assert shown_program(program) == shown


@pytest.mark.filterwarnings("ignore:invalid escape sequence", "ignore:.* is not callable")
def test_recorded_programs_are_shown_with_the_same_syntax_tree(shared: object) -> None:
    for item in read_recorded(f"{shared}/data/llm_runs/seed_mbpp_starcoder.jsonl.gz"):
        program = item.rollout.program or ""
        try:
            tree = ast.parse(program)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list) and len(body) > 1:
                node.body = [part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))] or body[:1]  # type: ignore[attr-defined]
        assert normalized(shown_program(program)) == ast.unparse(tree)
