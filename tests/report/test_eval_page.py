"""The page of an evaluation in a real browser: what a reader finds of every sample. Skipped where there is no
Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner

from coderlplus.cli import app
from coderlplus.records import CallTest, CheckTest, Problem, StdioTest, write_jsonl

from .browser import Browser

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">"
PROBLEMS = [
    Problem(
        problem_id="double",
        statement="Twice n.",
        entry_point="f",
        tests=(CallTest((1,), 2), CallTest((3,), 6)),
        reference="def f(n): return n + n",
    ),
    Problem(problem_id="a/b c", statement=f"Echo. {HOSTILE}", tests=(StdioTest("5\n", "5\n"),)),
    Problem(problem_id="checked", statement="One more.", entry_point="g", tests=(CheckTest("assert g(2) == 3"),)),
    Problem(problem_id="unasked", statement="Nobody answers.", entry_point="h", tests=(CallTest((1,), 1),)),
]
SAID = {
    "double": [
        "Easy:\n```python\ndef f(n):\n    return 2 * n\n```",
        "```python\ndef f(n):\n    half = n\n    return half + 1\n```",
        f"I cannot. {HOSTILE}",
        "```python\ndef f(n):\n    return n / 0\n```",
    ],
    "a/b c": ["```python\nline = input()\nprint(line + '!')\n```"],
    "checked": ["```python\ndef g(n):\n    return [n]\n```"],
}
CRUX = [{"id": "sample_0", "code": "def f(x):\n    y = x + 1\n    return y", "input": "41", "output": "42"}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation of two benchmarks, made as a user makes it."""
    here = tmp_path_factory.mktemp("evaluation")
    write_jsonl(here / "mine.jsonl", PROBLEMS)
    (here / "cruxeval.jsonl").write_text(json.dumps(CRUX[0]) + "\n")
    rows: list[dict[str, Any]] = [{"id": name, "completion": text} for name, texts in SAID.items() for text in texts]
    rows.append({"id": "sample_0", "completion": "[ANSWER]\nassert f(41) == 43\n[/ANSWER]"})
    (here / "said.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = [
        "--samples",
        here / "said.jsonl",
        "--benchmarks",
        f"{here / 'mine.jsonl'},cruxeval-o",
        "--data-dir",
        here,
        "-o",
        here / "out",
    ]
    result = CliRunner().invoke(app, ["eval", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0
    return here / "out"


def opened(browser: Browser, folder: Path, *parts: str | int) -> str:
    """What a reader sees of one sample with everything unfolded."""
    browser.open(folder / "index.html", "#" + "/".join(quote(str(part), safe="") for part in parts))
    is_there = f"document.querySelector('#detail h3')?.innerText.startsWith({json.dumps(parts[1])})"
    browser.run(
        f"new Promise((done) => {{ const look = () => ({is_there} ? done(1) : setTimeout(look, 10)); look(); }})"
    )
    browser.run("document.querySelectorAll('#detail details').forEach((part) => { part.open = true; })")
    return browser.text("#detail")


def test_every_sample_can_be_opened_with_all_that_is_known_of_it(browser: Browser, folder: Path) -> None:
    for name, texts in SAID.items():
        for number, said in enumerate(texts):
            text = opened(browser, folder, "mine", name, number)
            problem = next(problem for problem in PROBLEMS if problem.problem_id == name)
            assert problem.statement in text  # the prompt
            assert said.strip().splitlines()[-1] in text  # the completion
            if "```" in said:
                for line in said.partition("```python\n")[2].removesuffix("\n```").splitlines():
                    assert line.strip() in text  # the program
            assert f"of {len(problem.tests)}" in text  # tests passed
    assert browser.run("document.title") == "Evaluation of said"


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (("mine", "double", 0), ["passed", "2 of 2", "def f(n): return n + n"]),
        (
            ("mine", "double", 1),
            [
                "wrong answer",
                "number 2 of 2",
                "f(3)",
                "returned 4, expected 6",
                "half = 3",
                "Ended: finished, returned 4",
            ],
        ),
        (("mine", "double", 2), ["no answer found", "Not run", "no program was found"]),
        (("mine", "double", 3), ["runtime error", "f(1)", "ZeroDivisionError", "Ended: ", "(line 2)"]),
        (("mine", "a/b c", 0), ["wrong answer", "number 1 of 1", "5!", "line = '5'", "What it printed"]),
        (("mine", "checked", 0), ["the assertion does not hold: assert g(2) == 3", "g(2)", "[2]"]),
        (("mine", "unasked", 0), ["There is no sample for this question; it counts as failed."]),
        (
            ("cruxeval-o", "sample_0", 0),
            ["wrong answer", "== 42", "Answer", "43", "The program that was traced", "y = 42", "returned 42"],
        ),
    ],
)
def test_verdict_first_failing_test_and_trace(
    browser: Browser, folder: Path, sample: tuple[str, str, int], words: list[str]
) -> None:
    text = opened(browser, folder, *sample)
    assert [word for word in words if word not in text] == []


def test_questions_are_filtered_by_outcome_and_name(browser: Browser, folder: Path) -> None:
    opened(browser, folder, "mine", "double", 0)
    for field, value, left in (
        ("outcome", "no_answer", ["double"]),
        ("outcome", "", [*SAID, "unasked"]),
        ("text", "A/B", ["a/b c"]),
    ):
        browser.run(
            f"(() => {{ const field = document.querySelector('[name={field}]'); field.value = {json.dumps(value)};"
            " field.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )
        assert browser.run("[...document.querySelectorAll('.group .id')].map((node) => node.textContent)") == left


def test_hostile_text_stays_text(browser: Browser, folder: Path) -> None:
    assert HOSTILE in opened(browser, folder, "mine", "double", 2)
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.title") == "Evaluation of said"


def test_the_page_fits_a_telephone(browser: Browser, folder: Path) -> None:
    browser.size(390, 800)
    opened(browser, folder, "mine", "double", 1)
    assert browser.run("document.documentElement.scrollWidth") <= 390
