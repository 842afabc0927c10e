"""Prompts: they define what is asked, and do not hold the answer."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import pytest

from coderlplus.alignment import parse_answer
from coderlplus.alignment.kinds.branch import about_branches, condition_words, turn_words
from coderlplus.alignment.kinds.exception import about_exception
from coderlplus.alignment.kinds.final_values import about_values
from coderlplus.alignment.kinds.output import about_output
from coderlplus.alignment.kinds.state_at import about_state
from coderlplus.alignment.prompts import call_expression, shown_program, write_prompt
from coderlplus.alignment.questions import Question
from coderlplus.alignment.settings import PromptStyle
from coderlplus.problems import read_recorded
from coderlplus.programs import normalized
from coderlplus.records import CallInput, ProgramInput, StdioInput, Target


def target(label: str, value: Any, scope: str | None = None) -> Target:
    return Target(label=label, value=value, scope=scope)


PROGRAM = "def f(a):\n    b = sorted(a)\n    return b"
TARGETS = (target("b", [1, 2], "f"), target("output", [1, 2]))


CALL = CallInput("f", ([2, 1],))


def values(
    targets: Sequence[Target] = TARGETS,
    *,
    style: PromptStyle = "full",
    program: str = PROGRAM,
    given: ProgramInput = CALL,
    **more: Any,
) -> str:
    return write_prompt(program, given, about_values(targets, given), style=style, **more)


def test_the_full_prompt_of_a_call_says_all() -> None:
    prompt = values()
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
    prompt = values(targets, program="n = int(input())\nprint(n)", given=StdioInput("2\n"))
    assert "standard input:\n\n```text\n2\n```" in prompt
    assert "- `<module>.n`: the final value of the variable `n` outside all functions" in prompt
    assert "- `f.<locals>.g.n`: the final value of the variable `n` in `f.g`" in prompt
    assert "- `output`: all that the program prints, as one string" in prompt


QUESTIONS = {
    "values": about_values(TARGETS, CALL),
    "output": about_output(TARGETS[1], CALL),
    "exception": about_exception((target("b", 1, "f"), target("exception", "KeyError"), target("line", 2))),
    "state": about_state(TARGETS[:1], line=2, time=3),
    "branches": about_branches((target("line 3", 4), target("line 5", 1)), (turn_words(3), condition_words(5))),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_the_example_of_an_answer_is_valid_and_about_other_labels(question: Question) -> None:
    prompt = write_prompt(PROGRAM, CALL, question, style="full")
    example = re.findall(r"^\{.*\}$", prompt, re.MULTILINE)[-1]
    answer = parse_answer(example, question.example_labels)
    assert answer is not None
    assert answer.is_json
    assert tuple(answer.values) == question.example_labels
    assert all(f"`{label}`" in prompt for label in question.example_labels)


def test_lines_are_numbered_where_a_question_names_lines() -> None:
    prompt = write_prompt(PROGRAM, CALL, QUESTIONS["exception"], style="full")
    assert "```python\n1  def f(a):\n2      b = sorted(a)\n3      return b\n```" in prompt
    assert "The numbers before the lines are not part of the program." in prompt
    assert "ends, by the exception or before, or, outside all functions" in prompt
    prompt = write_prompt("\n".join(["x = 1"] * 10), CALL, QUESTIONS["state"], style="compact")
    assert prompt.startswith(" 1  x = 1\n 2  x = 1")
    assert prompt.endswith("10  x = 1\nf([2, 1])\nValues just before line 2 runs for the 3rd time as a JSON object: b")


def test_a_question_about_a_moment_says_which() -> None:
    prompt = write_prompt(PROGRAM, CALL, QUESTIONS["state"], style="full")
    assert "- `b`: the value of the variable `b` in `f` just before line 2 runs for the 3rd time" in prompt
    assert "Count every time that line 2 begins to run in the whole run" in prompt
    assert "stop just before the 3rd time" in prompt


def test_a_question_about_branches_says_what_is_counted() -> None:
    prompt = write_prompt(PROGRAM, CALL, QUESTIONS["branches"], style="full")
    assert (
        "- `line 3`: how many turns the loop on line 3 makes\n- `line 5`: how many times the condition on line 5 is "
        "true" in prompt
    )


def test_the_compact_prompt_has_few_words_of_its_own() -> None:
    assert values(style="compact") == f"{PROGRAM}\nf([2, 1])\nFinal values as a JSON object: b, output"
    given = StdioInput("a\n")
    assert write_prompt("print(input())", given, about_output(TARGETS[1], given), style="compact") == (
        "print(input())\nstdin = 'a\\n'\nResult as a JSON object: output"
    )


def test_setup_code_is_shown_unless_it_only_imports() -> None:
    assert values(style="compact", setup_code="import math\nfrom typing import List").startswith("def f(a)")
    assert values(style="compact", setup_code="import math\ndef g(): # 1\n    return 1").startswith(
        "import math\ndef g():\n    return 1\n\ndef f(a)"
    )


def test_a_fence_in_the_program_does_not_end_the_block() -> None:
    assert '````python\ns = "```"\n````' in values(program='s = "```"', given=StdioInput(""))


def test_values_without_json_are_written_as_python() -> None:
    assert (
        call_expression(CallInput("Solution().f", ({"$tuple": [1, True]}, "it's"), {"k": None}))
        == """Solution().f((1, True), "it's", k=None)"""
    )


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
                node.body = [
                    part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
                ] or body[:1]  # type: ignore[attr-defined]
        assert normalized(shown_program(program)) == ast.unparse(tree)
