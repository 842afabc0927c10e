"""Which statements are taken for copies of a benchmark's."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from coderlplus.preparation.contamination import COMMON_TEXTS, MOST_OVERLAP, RUN_WORDS, EvaluationTexts
from coderlplus.problems import read_problems

ASKED = (
    "Write a function that returns the sum of all even numbers in a list that may hold other lists, and zero "
    "for an empty one."
)
TEXTS = EvaluationTexts([("bench/1", ASKED), ("bench/2", "Reverse the words.")])


def share(text: str, texts: EvaluationTexts = TEXTS) -> float:
    overlap = texts.closest(text)
    return overlap.share if overlap else 0.0


@pytest.mark.parametrize(
    "text",
    [
        ASKED,
        ASKED.upper().replace(" ", "\n"),
        f"Please solve this.\n\n{ASKED}\n\nExample: f([1, 2]) = 2",
        ASKED.partition(", and")[0],
        ASKED + " " + " ".join(f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz" * 9),
        "Reverse: the 2 words!",
    ],
)
def test_a_copy_is_found_with_more_or_less_around_it(text: str) -> None:
    assert share(text) >= MOST_OVERLAP


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Reverse the words in a sentence.",
        "Return the sum of all odd numbers of a tuple.",
        "Write a function that returns the sum of all even digits. Numbers are written in decimal and have at most "
        "nine digits, none of them zero.",
    ],
)
def test_another_problem_in_similar_words_is_none(text: str) -> None:
    assert share(text) < MOST_OVERLAP


def test_the_copied_problem_and_its_words_are_named() -> None:
    overlap = TEXTS.closest(f"Hard one. {ASKED}")
    assert overlap is not None
    assert overlap.name == "bench/1"
    assert overlap.run == "write a function that returns the sum of all even numbers in"


def test_set_phrases_of_a_site_count_for_nobody() -> None:
    phrase = (
        "The input is given from standard input in the following format, and the answer is printed to standard output."
    )
    rng = random.Random(0)

    def statement() -> str:
        return phrase + " " + " ".join(rng.choice("abcdefghijklmnop") * rng.randint(1, 9) for _ in range(30))

    few = EvaluationTexts((f"q{number}", statement()) for number in range(COMMON_TEXTS))
    many = EvaluationTexts((f"q{number}", statement()) for number in range(COMMON_TEXTS + 1))
    assert share(phrase, few) == 1.0
    assert share(phrase, many) == 0.0


def test_the_share_grows_with_what_is_copied() -> None:
    words = ASKED.split()
    shares = [share(" ".join(words[:count])) for count in (0, RUN_WORDS - 1, RUN_WORDS, len(words))]
    assert shares == sorted(shares)
    assert shares[1] == 0.0
    assert shares[-1] == 1.0


def test_every_humaneval_problem_is_found_in_a_file_of_them_and_in_a_list_of_prompts(shared: Path) -> None:
    problems = read_problems(shared / "data/humaneval/HumanEval.jsonl.gz")
    texts = EvaluationTexts((problem.problem_id, problem.statement) for problem in problems)
    for problem in problems:
        for text in (problem.statement, problem.starter_code, f"Complete this:\n```python\n{problem.starter_code}```"):
            overlap = texts.closest(text)
            assert overlap is not None, problem.problem_id
            assert overlap.share >= MOST_OVERLAP, problem.problem_id
