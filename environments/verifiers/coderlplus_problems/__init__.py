"""Problems with tests: the program in the answer is judged by coderlplus, in its sandbox, on this machine."""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import os

import verifiers.v1 as vf

import coderlplus as crl
from coderlplus_one_turn import OneTurnEnv, OneTurnHarness, reply

__all__ = ["OneTurnEnv", "OneTurnHarness", "ProblemTaskset"]


class ProblemData(vf.TaskData):
    record: str
    """The problem as JSON."""


class ProblemConfig(vf.TaskConfig):
    in_process_checks: bool = False
    """Whether a pass by test code that runs in the process of the program, which could have forged it, has a
    reward."""


class ProblemTask(vf.Task[ProblemData, vf.State, ProblemConfig]):
    @vf.reward
    async def passes(self, trace: vf.Trace) -> float:
        """1 if all tests pass, else 0. Raises where there is no verdict, so that the rollout is no 0."""
        return await self._judged(reply(trace))

    async def validate(self, runtime: vf.Runtime) -> bool | None:
        """Whether the reference passes; `None` without one."""
        reference = json.loads(self.data.record).get("reference")
        return None if reference is None else await self._judged(f"```python\n{reference}\n```") == 1.0

    async def _judged(self, completion: str) -> float:
        reward = crl.code_reward(_judge(os.getpid()), in_process_checks=self.config.in_process_checks)
        (value,) = await asyncio.to_thread(reward, [completion], [self.data.record])
        if value is None:
            raise RuntimeError(
                f"no verdict on an answer to {self.data.id!r}: the sandbox failed, or the pass is forgeable"
            )
        return value


class ProblemTasksetConfig(vf.TasksetConfig):
    problems: str = "problems.jsonl"
    """A file of any format that coderlplus reads, a folder, or a data set on the hub."""
    prompt_template: str | None = None
    """The user message with the fields of the problem in braces; by default our own wording."""
    task: ProblemConfig = ProblemConfig()


class ProblemTaskset(vf.Taskset[ProblemTask, ProblemTasksetConfig]):
    def load(self) -> list[ProblemTask]:
        tasks = []
        for problem in crl.load_problems(self.config.problems):
            row = crl.to_dataset_row(problem, prompt_template=self.config.prompt_template)
            data = ProblemData(id=problem.problem_id, prompt=row["prompt"][-1]["content"], record=row["record"])
            tasks.append(ProblemTask(data, self.config.task))
        return tasks


@functools.cache
def _judge(process: int) -> crl.Judge:
    """The judge of this process, with a sandbox that ends with it."""
    opened = crl.open_sandbox()
    sandbox = opened.__enter__()
    atexit.register(opened.__exit__, None, None, None)
    return crl.Judge(sandbox)
