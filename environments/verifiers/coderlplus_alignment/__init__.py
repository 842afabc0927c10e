"""Questions about executions with known answers, mined beforehand (`coderlplus tasks`). Scoring runs nothing."""

from __future__ import annotations

import json

import verifiers.v1 as vf

import coderlplus as crl
from coderlplus_one_turn import OneTurnEnv, OneTurnHarness, reply

__all__ = ["AlignmentTaskset", "OneTurnEnv", "OneTurnHarness"]


class AlignmentData(vf.TaskData):
    record: str
    """The alignment task as JSON."""
    problem_id: str
    rollout_id: str


class AlignmentConfig(vf.TaskConfig):
    format_weight: float = 0.1
    """The reward of an answer that has the right form and no right value."""


class AlignmentTask(vf.Task[AlignmentData, vf.State, AlignmentConfig]):
    @vf.reward
    async def answers(self, trace: vf.Trace) -> float:
        """R_sem of the answer, in [0, 1]."""
        return self._scored(reply(trace))

    async def validate(self, runtime: vf.Runtime) -> bool | None:
        """Whether the right answer scores 1."""
        return self._scored(crl.reference_answer(self._task())) == 1.0

    def _scored(self, answer: str) -> float:
        return crl.score_answer(self._task(), answer, format_weight=self.config.format_weight)[0]

    def _task(self) -> crl.AlignmentTask:
        return crl.AlignmentTask.from_json(json.loads(self.data.record))


class AlignmentTasksetConfig(vf.TasksetConfig):
    tasks: str = "tasks.jsonl"
    """A file that `coderlplus tasks` wrote."""
    task: AlignmentConfig = AlignmentConfig()


class AlignmentTaskset(vf.Taskset[AlignmentTask, AlignmentTasksetConfig]):
    def load(self) -> list[AlignmentTask]:
        return [
            AlignmentTask(
                AlignmentData(
                    id=task.task_id,
                    prompt=task.prompt,
                    record=json.dumps(task.to_json()),
                    problem_id=task.problem_id,
                    rollout_id=task.rollout_id,
                ),
                self.config.task,
            )
            for task in crl.read_jsonl(self.config.tasks, crl.AlignmentTask)
        ]
