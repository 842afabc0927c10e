"""References of public sets pass; recorded programs get the verdict that their recorder gave, or a better one for a stated reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderlplus.judge import Judge
from coderlplus.problems import read_problems, read_recorded
from coderlplus.records import Problem, Rollout, Verdict


def reference_verdicts(judge: Judge, problems: list[Problem]) -> list[Verdict]:
    return judge.judge_many((p, Rollout(rollout_id=p.problem_id, problem_id=p.problem_id, program=p.reference)) for p in problems)


@pytest.mark.parametrize(("path", "count", "weaker"), [("mbpp/sanitized-mbpp.json", 427, set()), ("humaneval/HumanEval.jsonl.gz", 164, set())])
def test_references_pass(judge: Judge, shared: Path, path: str, count: int, weaker: set[str]) -> None:
    verdicts = reference_verdicts(judge, read_problems(shared / "data" / path))
    assert [verdict.first_failure for verdict in verdicts if not verdict.passed] == []
    assert len(verdicts) == count
    assert {verdict.problem_id for verdict in verdicts if "in_process_check" in verdict.isolation} == weaker


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
    programs = [item for index, item in enumerate(rows) if index % 4 == 0 or item.rollout.rollout_id in DIFFERENT]
    verdicts = judge.judge_many((item.problem, item.rollout) for item in programs)
    different = {verdict.rollout_id for item, verdict in zip(programs, verdicts, strict=True) if item.is_solved != verdict.passed}
    assert different == {rollout_id for rollout_id in DIFFERENT if rollout_id.startswith(name)}
