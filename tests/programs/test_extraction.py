"""The program is found where any reader finds it, whatever stands around it."""

from __future__ import annotations

import ast
import html
import json
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.programs import extract_program

FUNCTION = "import math\n\n\ndef area(r):\n    if r < 0:\n        return None\n\n    return math.pi * r * r"
SCRIPT = "n = int(input())\nfor i in range(n):\n    print(i * i)"
METHOD = "class Solution:\n    def area(self, r):\n        return 3 * r * r"
PROGRAMS = ((FUNCTION, "area"), (SCRIPT, None), (METHOD, "Solution().area"))
STARTER = 'def area(r):\n    """The area of a circle."""\n'

END_TOKENS = [
    "<|im_end|>",
    "</s>",
    "<|eot_id|>",
    "<｜end▁of▁sentence｜>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|EOT|>",
    "[/INST]",
]
TAGS = ["<answer>", "<solution>", "<code>", "<final_answer>", "<python>", "[PYTHON]", "[CODE]", "[ANSWER]"]
LABELS = [
    "python",
    "py",
    "Python",
    "python3",
    "Python3.11",
    "python 3",
    "pypy3",
    "",
    "text",
    "code",
    "main.py",
    "python:src/a.py",
    "{.python}",
]
BEFORE = [
    "",
    "Here it is:\n",
    "1. So:\n\n",
    "Answer: ",
    "**Solution** ",
    "<think>\n```python\nprint(0)\n```\n</think>\n",
    "It isn't hard.\n\n",
]
AFTER = [
    "",
    ".",
    " That is all.",
    "\nDone.",
    "\n\nIt isn't slow: `O(n)`.",
    "\n```\n6\n```",
    "\nRun:\n```bash\npython a.py\n```",
    "\n</answer>",
]
AFTER += [f"{token}\n<|im_start|>user\nThanks" for token in END_TOKENS]
AFTER += [
    "\n<reflection>\n```python\nprint(0)\n```\n</reflection>",
    "\nFor example:\n```python\n>>> area(1)\n3.14\n```",
]

programs = st.sampled_from(PROGRAMS)


def _close(tag: str) -> str:
    return f"{tag[0]}/{tag[1:]}"


@given(
    programs,
    st.sampled_from(LABELS),
    st.sampled_from(BEFORE),
    st.sampled_from(AFTER),
    st.integers(3, 6),
    st.integers(3, 6),
    st.booleans(),
)
def test_a_fence_in_any_words(
    program: tuple[str, str | None], label: str, before: str, after: str, opening: int, closing: int, glued: bool
) -> None:
    text, entry_point = program
    completion = f"{before}{'`' * opening}{label}\n{text}{'' if glued else chr(10)}{'`' * closing}{after}"
    assert extract_program(completion, entry_point) == text
    assert extract_program(completion.replace("\n", "\r\n"), entry_point) == text


@given(programs, st.sampled_from(TAGS), st.sampled_from(BEFORE), st.booleans(), st.booleans())
def test_tags(program: tuple[str, str | None], tag: str, before: str, fenced: bool, ended: bool) -> None:
    text, entry_point = program
    before = before if before.endswith("\n") else ""
    inner = f"```python\n{text}\n```" if fenced else text
    assert extract_program(f"{before}{tag}\n{inner}\n{_close(tag) if ended else ''}", entry_point) == text


@given(programs, st.sampled_from(END_TOKENS), st.booleans())
def test_end_of_turn_tokens(program: tuple[str, str | None], token: str, fenced: bool) -> None:
    text, entry_point = program
    completion = f"```python\n{text}\n```{token}" if fenced else f"{text}{token}"
    assert extract_program(completion, entry_point) == text
    assert extract_program(f"{completion}\n<|im_start|>user\nAnother.\n```python\nprint(1)\n```", entry_point) == text


@given(programs, st.sampled_from(["> ", ">", "    ", "\t", "  > ", "> > "]), st.sampled_from(LABELS))
def test_a_fence_in_a_quotation_or_list(program: tuple[str, str | None], margin: str, label: str) -> None:
    text, entry_point = program
    fenced = f"```{label}\n{text}\n```"
    assert extract_program("".join(f"{margin}{line}\n" for line in fenced.split("\n")), entry_point) == text


@given(
    programs,
    st.sampled_from(["", "Sure, here it is:\n\n"]),
    st.sampled_from(["", "\n\nThis is right.", "\n\n```", "\n```\n6\n```"]),
)
def test_only_a_closing_fence(program: tuple[str, str | None], before: str, after: str) -> None:
    text, entry_point = program
    assert extract_program(f"{before}{text}\n```{after}", entry_point) == text
    assert extract_program(f"{before}{text}```{after}", entry_point) == text


@given(
    programs,
    st.lists(
        st.sampled_from(
            ["print(area(2))", "assert area(1) == 3", "from solution import area\nprint(area(1))", ">>> area(1)\n3"]
        ),
        max_size=3,
    ),
    st.booleans(),
)
def test_blocks_of_examples_after_the_program(
    program: tuple[str, str | None], examples: list[str], labelled: bool
) -> None:
    text, entry_point = program
    if entry_point is None:
        examples = [example for example in examples if "import" not in example]  # nothing tells it from an answer
    blocks = [text, *examples]
    label = "python" if labelled else ""
    assert extract_program("\nThen\n".join(f"```{label}\n{block}\n```" for block in blocks), entry_point) == text


def test_examples_are_told_from_a_script_too() -> None:
    script = "def square(n):\n    return n * n\n\nprint(square(int(input())))"
    assert extract_program(f"```python\n{script}\n```\nFor example\n```python\nprint(square(3))\n```") == script


def test_the_last_of_two_that_do_the_job() -> None:
    draft = FUNCTION.replace("math.pi", "3")
    assert extract_program(f"```python\n{draft}\n```\nBetter:\n```python\n{FUNCTION}\n```", "area") == FUNCTION


def test_pieces_are_put_together() -> None:
    first, _, rest = SCRIPT.partition("\n")
    assert extract_program(f"```python\n{first}\n```\nthen\n```python\n{rest}\n```") == SCRIPT
    helper, user = "def half(x):\n    return x / 2", "def quarter(x):\n    return half(half(x))"
    for order in ([helper, user], [user, helper]):
        completion = "\nand\n".join(f"```python\n{piece}\n```" for piece in order)
        assert extract_program(completion, "quarter") == f"{helper}\n{user}"


@pytest.mark.parametrize("name", ["answer", "solution"])
def test_what_stands_in_the_answer_goes_before_what_is_after(name: str) -> None:
    other = FUNCTION.replace("math.pi", "3")
    completion = f"<{name}>\n```python\n{FUNCTION}\n```\n</{name}>\nAn alternative:\n```python\n{other}\n```"
    assert extract_program(completion, "area") == FUNCTION


RUN_ON = {
    "nothing": "",
    "tests": "\n\nif __name__ == '__main__':\n    print(area(1))\n",
    "wrong assertions": "\nassert area(1) == 7\n",
    "broken code": "\n\ndef other(x):\n    return (x +",
    "prose": "\n\nQuestion: What is next?\n",
    "the same function": "\n\ndef area(r):\n    return 0\n",
    "a class": "\n\nclass Other:\n    x = (\n",
    "a closing fence": "```\n\nThis is right.\n",
    "a closing tag": "\n</code>\nend",
    "a docstring that never ends": '\n\n"""\nMore',
}


@pytest.mark.parametrize("name", RUN_ON)
def test_a_base_model_goes_on_past_the_function(name: str) -> None:
    body = "    import math\n\n    return math.pi * r * r\n"
    program = extract_program(body + RUN_ON[name], "area", starter_code=STARTER)
    assert program is not None
    assert program.rstrip() == (STARTER + body).rstrip()
    assert (
        extract_program(body.lstrip() + RUN_ON[name], "area", starter_code=STARTER) is not None
    )  # stripped by a harness


def test_definitions_after_the_function_stay() -> None:
    body = "    return _square(r) * 3\n\n\ndef _square(x):\n    return x * x\n"
    assert extract_program(body + "\nprint(area(1))\n", "area", starter_code=STARTER) == (STARTER + body)


def test_words_do_not_continue_starter_code() -> None:
    for words in ("Sorry.", "Answer", "I do not know how to compute this.", "The area", "x"):
        assert extract_program(words, "area", starter_code=STARTER) is None


def test_a_whole_program_is_not_put_after_the_starter_code() -> None:
    assert extract_program(f"```python\n{FUNCTION}\n```", "area", starter_code=STARTER) == FUNCTION
    assert extract_program(FUNCTION, "area", starter_code=STARTER) == FUNCTION


STRINGS = [
    "</s>",
    "<|im_end|>",
    "```",
    "```python\\nx\\n```",
    "<think>x</think>",
    "</think>",
    "<answer>",
    "[PYTHON]",
    "# ```",
    "\\u00a0",
    "\u00a0",
]


@given(st.sampled_from(STRINGS), st.booleans(), st.booleans())
def test_marks_in_strings_of_a_program_are_not_marks(text: str, triple: bool, fenced: bool) -> None:
    quote = "'''\n" if triple and not text.endswith("\\n") else "'"
    program = f"mark = {quote}{text}{quote[::-1]}\nprint(mark, input())"
    completion = f"```python\n{program}\n```\nDone." if fenced else program
    found = extract_program(completion)
    assert found is not None
    if not triple:
        assert found == program
        ast.parse(found)


def test_a_fence_in_a_docstring_with_a_label() -> None:
    program = 'def area(r):\n    """\n    ```python\n    area(1)\n    ```\n    """\n    return 3 * r  # see ```x```'
    assert extract_program(f"```python\n{program}\n```\nDone.", "area") == program
    assert extract_program(program, "area") == program


def test_no_break_spaces_are_spaces_only_where_python_needs_them() -> None:
    assert (
        extract_program("```python\nfor i in range(2):\n\u00a0\u00a0\u00a0\u00a0print(i)\n```")
        == "for i in range(2):\n    print(i)"
    )
    kept = "print(f\"{'\u00a0'.join('ab')}\")"
    assert extract_program(f"```python\n{kept}\n```") == kept


def test_one_line() -> None:
    assert extract_program("```python print(int(input())**2)```") == "print(int(input())**2)"
    assert extract_program("```python def f(x):\n    return x\n```", "f") == "def f(x):\n    return x"


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        ("```python\ndef area(r:\n    pass\n```", "def area(r:\n    pass"),
        ("```java\nint area() {}\n```", None),
        ("```bash\nmake (all)\n```", None),
        ("Use ```sorted(x)``` here.", None),
        ("```python\n```", None),
        ("```", None),
        ("``````", None),
        ("<answer></answer>", None),
        ("The area is 3.", None),
    ],
)
def test_what_is_no_right_program(completion: str, program: str | None) -> None:
    assert extract_program(completion, "area") == program


WRITTEN = "def f(x):\n    if x < 1 and x > -9:\n        return '&'\n    return [x + 1]"
WAYS = {
    "a JSON object": json.dumps({"code": WRITTEN}),
    "JSON in a fence": f"```json\n{json.dumps({'thought': 'add', 'code': WRITTEN}, indent=2)}\n```",
    "a tool call": f"<tool_call>\n{json.dumps({'name': 'run', 'arguments': {'code': WRITTEN}})}\n</tool_call>",
    "a notebook": json.dumps({"cells": [{"cell_type": "code", "source": WRITTEN.splitlines(keepends=True)}]}),
    "HTML entities": f"```python\n{html.escape(WRITTEN)}\n```",
    "HTML": f'<pre><code class="language-python">{html.escape(WRITTEN)}</code></pre>',
    "quotation marks as fences": f"So:\n'''python\n{WRITTEN}\n'''\nDone.",
    "a session": "Try it:\n>>> " + WRITTEN.replace("\n", "\n... ") + "\n>>> f(1)\n[2]",
    "an indented block": "The function:\n\n" + textwrap.indent(WRITTEN, "    ") + "\n\nThat is all.",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_program_that_is_written_in_another_way_is_found(way: str) -> None:
    program = extract_program(WAYS[way], "f")
    assert program is not None
    assert ast.unparse(ast.parse(program).body[0]) == ast.unparse(ast.parse(WRITTEN).body[0])


@pytest.mark.parametrize(
    "text", ["An example:\n>>> f(1)\n2\n", "It prints\n\n    1 2 3\n", '{"code": 3}', '{"code": "x']
)
def test_what_is_written_in_another_way_and_does_not_do_the_job_is_none(text: str) -> None:
    assert extract_program(text, "f") is None


@pytest.mark.parametrize(
    "completion",
    [
        "[BEGIN]\n{}\n[DONE]",
        "Sure.\n[BEGIN]\n{}\n[DONE]\nThat is all.",
        "{}\n[DONE]",
        "{}\n[DONE]\nYou are an expert Python programmer. Write g.\n[BEGIN]\ndef g(): pass\n[DONE]",
    ],
)
def test_the_marks_of_mbpps_prompt_end_a_program(completion: str) -> None:
    program = "def f(x):\n    return x + 1"
    assert extract_program(completion.format(program), "f") == program
