"""Judge programs on the tests of their problem, from ordinary code and from an event loop.

python examples/judge_programs.py
"""

from __future__ import annotations

import asyncio

import coderlplus as crl

PROBLEM = crl.Problem(
    problem_id="double",
    statement="Write f(x), which doubles x.",
    entry_point="f",
    tests=(crl.CallTest((2,), 4), crl.CallTest((0,), 0)),
)
COMPLETIONS = {
    "right": "Sure!\n```python\ndef f(x):\n    return x + x\n```",
    "wrong": "```python\ndef f(x):\n    return x ** 2 + x\n```",
    "endless": "```python\ndef f(x):\n    while True:\n        pass\n```",
    "nothing": "I would rather not.",
}


async def judge_all(judge: crl.Judge, rollouts: list[crl.Rollout]) -> list[crl.Verdict]:
    return await asyncio.gather(*(judge.judge_async(PROBLEM, rollout) for rollout in rollouts))


def main() -> None:
    rollouts = [
        crl.Rollout(rollout_id=name, problem_id="double", completion=text) for name, text in COMPLETIONS.items()
    ]
    with crl.open_sandbox() as sandbox:
        judge = crl.Judge(sandbox)
        verdicts = judge.judge_many((PROBLEM, rollout) for rollout in rollouts)
        again = asyncio.run(judge_all(judge, rollouts))
    assert [verdict.verdict for verdict in again] == [verdict.verdict for verdict in verdicts]
    for verdict in verdicts:
        failure = verdict.first_failure
        print(f"{verdict.rollout_id}: {verdict.verdict}", "" if failure is None else failure.detail)


if __name__ == "__main__":
    main()
