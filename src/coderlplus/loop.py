"""CodeRL+ for any training engine: three calls per step, and a state to put into a checkpoint.

    tasks = loop.compose(step, groups)                            # which prompt groups are alignment tasks, and which
    rewards = loop.reward(rows, completions)                      # R_gen or R_sem of every sample
    metrics = loop.observe(step, rows, completions, rewards)      # failures become tasks for the steps to come

A batch is `B = α·B_code + (1−α)·B_align` (paper, section 3): all code until the buffer can fill every alignment group,
then exactly `round((1−α)·groups)` of them. With `weight` all groups stay code, and tasks come after them. Tasks are
bound when the batch is composed, from failures up to the step before (late binding).

Processes that hold the same buffer compose the same batch without communication. An engine on several processes calls
`mine` on each process's share of the samples, gathers the tasks in rank order, and calls `add` with all of them on
every process; `observe` is the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from coderlplus.alignment.buffer import TaskBuffer, question
from coderlplus.alignment.mining import JudgedRollout, Mined, mine
from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.errors import DataError
from coderlplus.judge import Judge
from coderlplus.records import AlignmentTask, OwnRow, Problem, Reward, Rollout, read_jsonl
from coderlplus.rewards import reward_rows
from coderlplus.sandbox import AnySandbox

Row = Problem | AlignmentTask | OwnRow


class AlignmentLoop:
    """The state of CodeRL+ in a run: settings, seed and the buffer.

    `judge` judges and `sandbox` traces for mining. They may be on different back ends: one that cannot trace judges,
    and mining stays local. `mine` raises `SandboxError` if `sandbox` cannot trace.

    `prompt_fits` says whether an engine can use a prompt (by its length in tokens). Tasks whose prompts do not fit are
    not kept.

    >>> from coderlplus import CallTest, open_sandbox
    >>> problem = Problem(problem_id="p", statement="Double x.", entry_point="f", tests=(CallTest((2,), 4),))
    >>> rows, completions = [problem] * 2, ["def f(x):\\n    y = x + 1\\n    return y", "def f(x):\\n    return 2 * x"]
    >>> with open_sandbox(workers=1) as sandbox:
    ...     loop = AlignmentLoop(AlignmentConfig(alpha=0.5), sandbox, Judge(sandbox))
    ...     rewards = loop.reward(rows, completions)
    ...     metrics = loop.observe(1, rows, completions, rewards)
    >>> [reward.value for reward in rewards]
    [0.0, 1.0]
    >>> [None if task is None else task.kind for task in loop.compose(2, groups=2)]
    [None, 'final_values']
    """

    def __init__(
        self,
        settings: AlignmentConfig,
        sandbox: AnySandbox,
        judge: Judge,
        seed: int = 0,
        *,
        prompt_fits: Callable[[str], bool] | None = None,
    ) -> None:
        self.settings = settings
        self.seed = seed
        self._sandbox = sandbox
        self._judge = judge
        self._prompt_fits = prompt_fits
        fixed = [] if settings.task_file is None else read_tasks(settings.task_file, prompt_fits)
        self.buffer = TaskBuffer(max(settings.buffer_size, len(fixed)), settings.sampling, settings.shares)
        self.buffer.add(fixed)

    def alignment_groups(self, groups: int) -> tuple[int, ...]:
        """The positions of the alignment groups in a batch once there are enough tasks: `round((1−α)·groups)`, evenly
        spaced, the same in every step. None with `weight`: `added_tasks` then says how many come after the groups."""
        if self.settings.weight is not None:
            return ()
        count = int((1 - self.settings.alpha) * groups + 0.5 + 1e-9)
        return tuple(index for index in range(groups) if (index + 1) * count // groups > index * count // groups)

    def added_tasks(self, groups: int, multiple_of: int = 1) -> int:
        """How many tasks `weight` adds to a batch of `groups` problems, once there are enough of them: problems keep
        the share α, so `groups · (1−α)/α`, rounded to the nearest multiple, and at least one of it. 0 without
        `weight`.

        >>> settings = AlignmentConfig(alpha=0.6, weight=1.0)
        >>> AlignmentLoop(settings, None, None).added_tasks(32), AlignmentLoop(settings, None, None).added_tasks(32, 4)
        (21, 20)
        """
        if self.settings.weight is None:
            return 0
        wanted = groups * (1 - self.settings.alpha) / self.settings.alpha
        return max(1, int(wanted / multiple_of + 0.5 + 1e-9)) * multiple_of

    def compose(self, step: int, groups: int, multiple_of: int = 1) -> list[AlignmentTask | None]:
        """One entry per prompt group of the batch of `step`: its alignment task, or `None` if the group stays a code
        problem. With `weight` every group does, and `added_tasks` entries follow, which are tasks, or none do."""
        added = self.added_tasks(groups, multiple_of)
        places = self.alignment_groups(groups) or tuple(range(groups, groups + added))
        if self.settings.max_task_age is not None:
            self.buffer.drop_before(step - self.settings.max_task_age)
        batch: list[AlignmentTask | None] = [None] * groups
        if step > self.settings.start_step and self.buffer.can_fill(len(places)):
            batch += [None] * added
            for place, task in zip(places, self.buffer.draw(len(places), seed=self.seed, step=step), strict=True):
                batch[place] = task
        return batch

    def compose_more(self, step: int, wanted: Sequence[str], batch: Iterable[AlignmentTask]) -> list[AlignmentTask]:
        """More tasks for a batch that already has those of `batch`, for engines that replace groups (dynamic
        sampling).

        One for each of the `wanted` kinds. If the buffer has no more of a kind, the task has another kind; if it is
        empty, there are fewer. All questions differ."""
        asked = {question(task) for task in batch}
        drawn = self.buffer.draw(len(asked) + len(wanted), seed=self.seed, step=step)
        spare = [task for task in drawn if question(task) not in asked]
        tasks = []
        for kind in wanted[: len(spare)]:
            tasks.append(spare.pop(next((index for index, task in enumerate(spare) if task.kind == kind), 0)))
        return tasks

    def reward(
        self,
        rows: Sequence[Row],
        completions: Sequence[str],
        *,
        rollout_ids: Sequence[str] | None = None,
        limit_s: float | None = None,
        in_process_checks: bool = False,
    ) -> list[Reward]:
        """The reward of every sample: see `coderlplus.rewards.reward_rows`."""
        return reward_rows(
            self._judge,
            rows,
            completions,
            format_weight=self.settings.format_weight,
            rollout_ids=rollout_ids,
            limit_s=limit_s,
            in_process_checks=in_process_checks,
        )

    def mine(self, step: int, rows: Sequence[Row], completions: Sequence[str], rewards: Sequence[Reward]) -> Mined:
        """The first half of `observe`: tasks from the samples of `step` on code problems (none with `task_file`), and
        the rewards of its alignment tasks. The buffer is not changed."""
        earned: dict[str, tuple[float, ...]] = {}
        for row, reward in zip(rows, rewards, strict=True):
            if isinstance(row, AlignmentTask) and reward.value is not None:
                earned[row.task_id] = (*earned.get(row.task_id, ()), reward.value)
        if self.settings.task_file is not None:
            return Mined(outcomes=earned)
        judged: list[JudgedRollout] = []
        for row, completion, reward in zip(rows, completions, rewards, strict=True):
            if isinstance(row, Problem) and reward.verdict is not None:
                name = reward.verdict.rollout_id
                rollout = Rollout(rollout_id=name, problem_id=row.problem_id, completion=completion)
                judged.append(JudgedRollout(row, rollout, reward.program, reward.verdict))
        mined = mine(
            self._sandbox, judged, settings=self.settings, seed=self.seed, step=step, prompt_fits=self._prompt_fits
        )
        return replace(mined, outcomes=earned)

    def add(self, tasks: Iterable[AlignmentTask], outcomes: Iterable[Mapping[str, Sequence[float]]] = ()) -> None:
        """The second half of `observe`: put tasks into the buffer, with the rewards of samples (`Mined.outcomes` of
        each process; only the sampling `solvable` uses them). Every process must add the same in the same order."""
        together: dict[str, list[float]] = {}
        if self.settings.sampling == "solvable":
            for part in outcomes:
                for task_id, rewards in part.items():
                    together.setdefault(task_id, []).extend(rewards)
        self.buffer.note(together)
        self.buffer.add(tasks)

    def observe(
        self, step: int, rows: Sequence[Row], completions: Sequence[str], rewards: Sequence[Reward]
    ) -> dict[str, float]:
        """Mine the samples of `step`, keep the tasks, and return metrics: `mined`, `traced`, `rejects/<reason>`,
        `buffer/size`, `mix/alignment_share`, and `task_age` (mean, in steps) if the batch had tasks."""
        mined = self.mine(step, rows, completions, rewards)
        self.add(mined.tasks, [mined.outcomes])
        return mining_metrics(mined) | mix_metrics(step, rows) | {"buffer/size": float(len(self.buffer))}

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON for a checkpoint. A loop with the same settings and seed that loads it continues exactly like
        this one."""
        return {"seed": self.seed, "buffer": self.buffer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state. Raises `DataError` if it is not such a state or was made with another seed."""
        if not isinstance(state.get("buffer"), Mapping):
            raise DataError(
                "this is not the state of an alignment loop: 'buffer' is missing; resume from an earlier checkpoint"
            )
        if state.get("seed") != self.seed:
            raise DataError(
                f"the checkpoint was made with seed {state.get('seed')}, this run has seed {self.seed}; resume with "
                "the same seed"
            )
        self.buffer.load_state_dict(state["buffer"])


def read_tasks(path: str, prompt_fits: Callable[[str], bool] | None = None) -> list[AlignmentTask]:
    """The tasks of a fixed file, without those whose prompts an engine cannot use. Raises `DataError` naming file and
    line, and where none is left."""
    tasks = list(read_jsonl(path, AlignmentTask))
    fitting = [task for task in tasks if prompt_fits is None or prompt_fits(task.prompt)]
    if not fitting:
        reason = f"the prompts of all its {len(tasks)} tasks are too long" if tasks else "it is empty"
        raise DataError(
            f"{path} holds no alignment task that can be used: {reason}; make tasks with `coderlplus tasks`"
        )
    return fitting


def mining_metrics(mined: Mined) -> dict[str, float]:
    """What was mined, as metrics."""
    counts = {f"rejects/{reason}": float(count) for reason, count in mined.rejects.items()}
    return {"mined": float(len(mined.tasks)), "traced": float(mined.traced)} | counts


def mix_metrics(step: int, rows: Sequence[Row]) -> dict[str, float]:
    """The mix of a batch and the age of its tasks in steps."""
    ages = [step - row.step for row in rows if isinstance(row, AlignmentTask)]
    share = {"mix/alignment_share": len(ages) / len(rows)} if rows else {}
    return share | ({"task_age": sum(ages) / len(ages)} if ages else {})
