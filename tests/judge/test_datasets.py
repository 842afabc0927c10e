"""References of public sets pass; recorded programs get the verdict that their recorder gave, or a better one for a
stated reason.

The larger sets are sampled here; `make test-data` (`CODERLPLUS_WHOLE=1`) takes all of them.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from coderlplus.judge import Judge
from coderlplus.problems import read_problems, read_recorded
from coderlplus.records import CallTest, CheckerProgram, Limits, Problem, Rollout, Verdict

WHOLE = bool(os.environ.get("CODERLPLUS_WHOLE"))
pytestmark = pytest.mark.timeout(3600 if WHOLE else 300)


def every(step: int) -> int:
    return 1 if WHOLE else step


def reference_verdicts(judge: Judge, problems: list[Problem]) -> list[Verdict]:
    return judge.judge_many(
        (p, Rollout(rollout_id=p.problem_id, problem_id=p.problem_id, program=p.reference)) for p in problems
    )


@pytest.mark.parametrize(
    ("path", "count", "step", "not_passed", "weaker"),
    [
        ("humaneval/HumanEval.jsonl.gz", 164, 1, set(), set()),
        ("mbpp/sanitized-mbpp.json", 427, 1, set(), set()),
        ("mbpp/mbpp.jsonl.gz", 974, 8, set(), {"MBPP/367", "MBPP/533", "MBPP/601", "MBPP/927"}),
        ("leetcode_dataset/LeetCodeDataset-v0.3.1-test.jsonl.gz", 228, 12, set(), set()),
        (
            "leetcode_dataset/LeetCodeDataset-v0.2.0-train.jsonl.gz",
            1890,
            30,
            {"leetcode/word-ladder-ii"},
            set(),
        ),  # its order is that of a set
    ],
)
def test_references_pass(
    judge: Judge, shared: Path, path: str, count: int, step: int, not_passed: set[str], weaker: set[str]
) -> None:
    problems = read_problems(shared / "data" / path)
    assert len(problems) == count
    chosen = problems[:: every(step)]
    verdicts = reference_verdicts(judge, chosen)
    names = {problem.problem_id for problem in chosen}
    failures = {verdict.problem_id: verdict.first_failure for verdict in verdicts if not verdict.passed}
    assert {name: failure for name, failure in failures.items() if name not in not_passed} == {}
    assert failures.keys() == not_passed & names
    assert {verdict.problem_id for verdict in verdicts if "in_process_check" in verdict.isolation} == weaker & names


def test_references_on_linked_lists_and_trees_pass(judge: Judge, shared: Path) -> None:
    problems = read_problems(shared / "data/leetcode_dataset/LeetCodeDataset-v0.2.0-train.jsonl.gz")
    with_nodes = [problem for problem in problems if "_node" in str(problem.tests)]
    assert len(with_nodes) == 121
    assert all(isinstance(test, CallTest) for problem in with_nodes for test in problem.tests)
    verdicts = reference_verdicts(judge, with_nodes[:: every(2)])
    assert [verdict.first_failure for verdict in verdicts if not verdict.passed] == []
    assert not any("in_process_check" in verdict.isolation for verdict in verdicts)


MISSING_IMPORT = "the program does not import what it uses; the recorder's process had it"
NAMED_CHECK = "the entry point is called `check`, like the function that the recorder called"
SET_ORDER = "the program relies on the order of a set, which the language does not define"
DIFFERENT = {
    "seed_humaneval_starcoder/HumanEval/106": MISSING_IMPORT,
    "seed_humaneval_starcoder/HumanEval/133": MISSING_IMPORT,
    "seed_mbpp_codellama/MBPP/56": NAMED_CHECK,
    "seed_mbpp_codellama/MBPP/341": SET_ORDER,
    "seed_mbpp_starcoder/MBPP/341": SET_ORDER,
    "seed_mbpp_starcoder/MBPP/349": NAMED_CHECK,
}


@pytest.mark.parametrize("name", ["seed_humaneval_starcoder", "seed_mbpp_codellama", "seed_mbpp_starcoder"])
def test_recorded_programs(judge: Judge, shared: Path, name: str) -> None:
    rows = read_recorded(shared / "data" / "llm_runs" / f"{name}.jsonl.gz")
    programs = [
        item for index, item in enumerate(rows) if index % every(6) == 0 or item.rollout.rollout_id in DIFFERENT
    ]
    verdicts = judge.judge_many((item.problem, item.rollout) for item in programs)
    different = {
        verdict.rollout_id
        for item, verdict in zip(programs, verdicts, strict=True)
        if item.is_solved != verdict.passed
    }
    assert different == {rollout_id for rollout_id in DIFFERENT if rollout_id.startswith(name)}


NO_ACL = "imports the library `atcoder`, which is not installed here"
INTERACTIVE = "the problem is interactive, its recorded input is not what a program reads"
SEVERAL = "the problem has several right answers: see the checker below"
EXPLAINED = {
    "abc333_e/human/52260050/accepted": SEVERAL,
    "abc333_e/human/52477249/accepted": SEVERAL,
    "abc333_e/human/52758263/accepted": SEVERAL,
    "abc333_e/human/53773546/accepted": SEVERAL,
    "abc337_e/human/53016983/accepted": INTERACTIVE,
    "abc337_e/human/53462087/accepted": INTERACTIVE,
    "abc337_e/human/53945275/accepted": INTERACTIVE,
    "abc337_e/human/54032860/accepted": INTERACTIVE,
    "abc337_e/human/55158609/accepted": INTERACTIVE,
    "abc341_e/human/54316816/accepted": NO_ACL,
    "abc341_e/human/54515840/accepted": NO_ACL,
    "abc347_e/human/55155569/accepted": NO_ACL,
}
LONG = Limits(cpu_s=20, wall_s=60)
"""Accepted by AtCoder with PyPy, some of these run for five seconds here: whether in time is a matter of the
machine."""


def test_programs_recorded_as_right_pass_the_public_tests_of_livecodebench(judge: Judge, shared: Path) -> None:
    solved = [item for item in read_recorded(shared / "data/lcb/lcb_dev.jsonl.gz") if item.is_solved]
    assert len(solved) == 875
    chosen = [
        item for item in solved[:: every(12)] if item.rollout.rollout_id.removeprefix("lcb_dev/") not in EXPLAINED
    ]
    verdicts = judge.judge_many((replace(item.problem, limits=LONG), item.rollout) for item in chosen)
    assert [(verdict.rollout_id, verdict.first_failure) for verdict in verdicts if not verdict.passed] == []


FEWEST_POTIONS = CheckerProgram(
    "fewest potions",
    """
def check(given, answer, expected):
    events = [tuple(map(int, line.split())) for line in given.strip().split("\\n")[1:]]
    words = answer.split()
    if expected.split() == ["-1"] or words[:1] != expected.split()[:1]:
        return words == expected.split()
    if len(words) != 1 + sum(kind == 1 for kind, _ in events) or not set(words[1:]) <= {"0", "1"}:
        return "a number and a 0 or 1 for each potion are asked for"
    actions, bag, most = iter(words[1:]), {}, 0
    for kind, potion in events:
        if kind == 1:
            bag[potion] = bag.get(potion, 0) + (next(actions) == "1")
            most = max(most, sum(bag.values()))
        elif not bag.get(potion):
            return f"no potion of type {potion} left"
        else:
            bag[potion] -= 1
    return most == int(words[0])
""",
)


def test_with_its_checker_every_right_answer_of_a_problem_with_several_is_right(judge: Judge, shared: Path) -> None:
    recorded = [
        item
        for item in read_recorded(shared / "data/lcb/lcb_dev.jsonl.gz")
        if item.problem.problem_id.endswith("abc333_e")
    ]
    pairs = [(replace(item.problem, checker=FEWEST_POTIONS), item.rollout) for item in recorded]
    passed = {verdict.rollout_id for verdict in judge.judge_many(pairs) if verdict.passed}
    accepted = {item.rollout.rollout_id for item in recorded if item.is_solved}
    assert accepted <= passed
    assert len(accepted) >= 4
    assert len(passed) < len(recorded)
