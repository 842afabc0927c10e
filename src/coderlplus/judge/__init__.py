"""Tests → verdicts: running a program on the tests of its problem, and deciding outside the sandbox whether what came
out is right.

with Sandbox() as sandbox:
    verdicts = Judge(sandbox).judge_many([(problem, rollout), ...])
"""

from coderlplus.judge.judge import Judge
from coderlplus.judge.program import IN_PROCESS

__all__ = ["IN_PROCESS", "Judge"]
