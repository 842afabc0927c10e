"""What counts as the program of a completion, and that no text can hurt the process which reads it."""

from __future__ import annotations

import ast
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from radon.visitors import ComplexityVisitor

import coderlplus
from coderlplus.programs import MAX_PROGRAM_CHARS, cyclomatic_complexity, extract_program, normalized, syntax_error

PROGRAM = "def double(x):\n    return 2 * x\n\nprint(double(3))"

COMPLETIONS = {
    "labelled fence": (f"Here:\n```python\n{PROGRAM}\n```\nIt doubles.", PROGRAM),
    "label py": (f"```py\n{PROGRAM}\n```", PROGRAM),
    "label in braces": (f"```{{.python}}\n{PROGRAM}\n```", PROGRAM),
    "capital label": (f"```Python\n{PROGRAM}\n```", PROGRAM),
    "tilde fence": (f"~~~python\n{PROGRAM}\n~~~", PROGRAM),
    "the last of two": (f"```python\nx = 1\n```\nBetter:\n```python\n{PROGRAM}\n```", PROGRAM),
    "unlabelled fence": (f"```\n{PROGRAM}\n```", PROGRAM),
    "sample output after the program": (f"```python\n{PROGRAM}\n```\nprints\n```\n6\n```", PROGRAM),
    "shell after the program": (f"```python\n{PROGRAM}\n```\nRun\n```bash\npython a.py\n```", PROGRAM),
    "only another language": ("```bash\nls\n```", None),
    "bare program": (PROGRAM, PROGRAM),
    "bare program with blank lines": (f"\n\n{PROGRAM}\n\n", PROGRAM),
    "Windows line ends": ("```python\r\nx = 1\r\ny = 2\r\n```", "x = 1\ny = 2"),
    "prose": ("The answer is to double it.", None),
    "one word": ("answer", None),
    "a number": ("42", None),
    "a comment": ("# nothing", None),
    "empty": ("", None),
    "empty fence": ("```python\n```", None),
    "closed fence that does not parse": ("```python\nx = = 1\n```", "x = = 1"),
    "unclosed fence": (f"Here:\n```python\n{PROGRAM}\n", PROGRAM),
    "unclosed fence cut in the middle": ("```python\ndef f(x):\n    return (x +", None),
    "closed fence before a cut one": (f"```python\n{PROGRAM}\n```\nOr:\n```python\ndef f(", PROGRAM),
    "fence in a docstring": (
        '```python\ndef f():\n    """\n    ```\n    f()\n    ```\n    """\n```',
        'def f():\n    """\n    ```\n    f()\n    ```\n    """',
    ),
    "indented in a list": (
        "1. So:\n   ```python\n   for i in range(2):\n       print(i)\n   ```",
        "for i in range(2):\n    print(i)",
    ),
    "four marks around three": ('````python\ns = """\n```\n"""\n````', 's = """\n```\n"""'),
    "reasoning before": (f"<think>\n```python\nwrong = 1\n```\n</think>\n```python\n{PROGRAM}\n```", PROGRAM),
    "only the end of reasoning": (f"```python\nwrong = 1\n```\n</think>\n{PROGRAM}", PROGRAM),
    "reasoning without an end": ("<think>\n```python\nwrong = 1\n```\n", None),
    "reasoning without an answer": ("<think>\n```python\nwrong = 1\n```\n</think>\nSorry.", None),
    "too long": (f"```python\nx = {'1+' * MAX_PROGRAM_CHARS}1\n```", None),
}


@pytest.mark.parametrize("name", COMPLETIONS)
def test_extract_program(name: str) -> None:
    completion, program = COMPLETIONS[name]
    assert extract_program(completion) == program


LINES = st.sampled_from(
    [
        "```",
        "```python",
        "````",
        "~~~",
        "<think>",
        "</think>",
        "x = 1",
        "def f(:",
        "    y = (2",
        "'''",
        "\x00",
        "\ud800",
        "word",
        "",
        "(" * 300,
    ]
)
MARKDOWN = st.one_of(st.text(), st.lists(LINES).map("\n".join))
PROGRAMS = st.lists(
    st.sampled_from(["x = 1", "print(x)", "for i in range(3):\n    pass", "# note", "", "y = '''\na\n'''"]), min_size=1
).map("\n".join)


@given(MARKDOWN)
def test_no_text_raises(text: str) -> None:
    extract_program(text)
    syntax_error(text)
    normalized(text)
    cyclomatic_complexity(text)


@given(PROGRAMS)
def test_a_fenced_program_comes_back_and_extracting_twice_changes_nothing(program: str) -> None:
    extracted = extract_program(f"Here:\n```python\n{program}\n```\nDone.")
    assert extracted == (program.strip("\n") or None)
    if extracted is not None and (again := extract_program(extracted)) is not None:
        assert again == extracted


REPEATED = ["-", "not ", "lambda:", "2**", "1+", "(", "[", "{", "1 if 1 else ", "a.", "a<", "a and ", "a=", "yield "]
REPEATED += ["f(", "{a:", "'''", "f'{", "async "]
REPEATED += ["\\\n", "if 1:\n ", "@a\n", "elif 1:\n  x\n"]


@pytest.mark.parametrize("text", REPEATED)
@pytest.mark.parametrize("end", ["", "1"])
def test_repetition_does_not_break_the_parser(text: str, end: str) -> None:
    program = text * (MAX_PROGRAM_CHARS // len(text) - 1) + end
    extract_program(program)
    assert cyclomatic_complexity(program) >= 0
    assert isinstance(normalized(program), str)


def test_syntax_error_names_the_line() -> None:
    assert syntax_error("x = 1\ny = = 2") == "SyntaxError: invalid syntax (line 2)"
    assert syntax_error("\x00") is not None
    assert syntax_error(PROGRAM) is None


def test_an_odd_escape_in_a_program_is_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert syntax_error("s = '\\d'") is None


ODD_PROGRAMS = [
    "print(f\"{'\u00a0'.join('ab')}\")",
    "print(f\"{'\u200b'.join('ab')}\")",
    f"x = 0x{'f' * 5_000}",
    f"x = {'1' * 5_000}",
    "x = '\ud800'",
    "x = f'{chr(10)}\\n'",
    "x = " + "-" * 900 + "1",
    "x = " + "1+" * 5_000 + "1",
    "a" + "\u0301" * 5_000 + " = 1",
    "import a" + ".a" * 5_000,
]


@pytest.mark.parametrize("program", ODD_PROGRAMS, ids=range(len(ODD_PROGRAMS)))
def test_odd_programs_have_a_normal_form(program: str) -> None:
    form = normalized(program)
    assert (syntax_error(form) is None) == (syntax_error(program) is None)
    assert cyclomatic_complexity(program) >= 0


def test_a_program_that_cannot_be_written_again_keeps_its_blank_lines() -> None:
    program = f"x = 0x{'f' * 5_000}\ny = '''a\n\nb'''"
    assert normalized(program) == program


@pytest.mark.parametrize("program", ["s = '\\d'", "s = f'\\d{1}'", "x = 1if 2else 3", "s = b'\\q'"])
def test_a_warning_about_a_program_is_neither_raised_nor_shown(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert syntax_error(program) is None
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert syntax_error(program) is None
    assert capsys.readouterr().err == ""


def test_normalized_ignores_comments_and_format_only() -> None:
    assert normalized("x=[1,2] # two\n\n") == normalized("x = [\n  1, 2,\n]")
    assert normalized("x = 1") != normalized("x = 2")
    assert normalized("x = = 1 \n\n") == "x = = 1"


def test_cyclomatic_complexity_counts_the_whole_program() -> None:
    assert cyclomatic_complexity("x = 1") == 1
    assert (
        cyclomatic_complexity(
            "def f(a):\n    if a and a > 1:\n        return 1\n    return 2\nfor i in range(2):\n    f(i)"
        )
        == 4
    )
    assert cyclomatic_complexity("if") == 0


@pytest.mark.parametrize(
    ("program", "number"),
    [
        ("", 1),
        ("if a:\n    b\nelif c:\n    d\nelse:\n    e", 3),
        ("x = a or b and c or d", 4),
        ("x = 1 if a else 2 if b else 3", 3),
        ("while a:\n    b\nelse:\n    c", 3),
        ("x = [i for i in a if i if i > 1 for j in b]", 5),
        ("try:\n    a\nexcept A:\n    b\nexcept B:\n    c\nelse:\n    d\nfinally:\n    e", 4),
        ("assert a or b or c", 2),
        ("match a:\n    case 1: b\n    case [2, *_]: c\n    case _: d", 3),
        ("match a:\n    case _: b", 1),
        ("f = lambda a: 1 if a else 2", 2),
        ("def f(a=1 if b else 2):\n    return a if c else d", 2),
        ("def f():\n    def g():\n        if a: b\n    class C:\n        if a: b\n    for i in g(): c", 2),
        ("class C:\n    x = 1 if a else 2\n    def f(self):\n        if a: b\n    async def g(self): c", 5),
        ("class C:\n    class D:\n        def f(self):\n            if a: b", 1),
        ("async def f():\n    async for i in a: b\n    async with c: d", 2),
        ("if a:\n    def f():\n        if b: c", 3),
    ],
)
def test_cyclomatic_complexity_is_radons(program: str, number: int) -> None:
    visitor = ComplexityVisitor()
    visitor.visit(ast.parse(program))
    assert cyclomatic_complexity(program) == visitor.total_complexity == number


def test_cyclomatic_complexity_is_radons_on_the_source_of_the_library() -> None:
    for path in sorted(Path(coderlplus.__file__).parent.rglob("*.py")):
        program = path.read_text(encoding="utf-8")
        visitor = ComplexityVisitor()
        visitor.visit(ast.parse(program))
        assert cyclomatic_complexity(program) == visitor.total_complexity, path


def test_cyclomatic_complexity_counts_however_deep() -> None:
    assert cyclomatic_complexity("if a: b\nelif c: d\n" + "elif e: f\n" * 900) == 903
