"""The one entry for rewards: R_gen of programs and R_sem of answers, batched together (paper, section 3).

`R_gen = 1` if the program passes all tests of its problem, else 0. `R_sem` as in `coderlplus.alignment.scoring`. A
completion on which the sandbox failed has no reward (`None`), so that an engine excludes it from its group; it is
never a 0. Neither has a pass by test code that ran in the process of the program (`CheckTest.in_process`), where the
program could have forged it, unless the run asks for such rewards.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from coderlplus.alignment.scoring import score_answer, trial, trial_score
from coderlplus.errors import ConfigError
from coderlplus.judge import IN_PROCESS, Judge
from coderlplus.programs import extract_program
from coderlplus.records import OWN, AlignmentTask, OwnRow, Problem, Reward, Rollout, Verdict
from coderlplus.terminal import tell_defect


def reward_rows(
    judge: Judge,
    rows: Sequence[Problem | AlignmentTask | OwnRow],
    completions: Sequence[str],
    *,
    format_weight: float = 0.1,
    rollout_ids: Sequence[str] | None = None,
    limit_s: float | None = None,
    in_process_checks: bool = False,
) -> list[Reward]:
    """One reward per (row, completion), in order: a row that is a `Problem` is judged, an `AlignmentTask` is scored,
    and a row of the user's own has no reward here. The judge also runs the answers that must be run (kind `input`).

    All programs go to the judge in one call. `rollout_ids` name the samples in verdicts and in the lineage of what is
    mined from them; without them a sample is named by its place. What is not judged within `limit_s` seconds has no
    reward, as where the sandbox failed; `None` waits for all. With `in_process_checks` a pass by test code in the
    program's own process, which the program could have forged, has a reward too.
    """
    ids = [str(index) for index in range(len(rows))] if rollout_ids is None else rollout_ids
    if not len(rows) == len(completions) == len(ids):
        raise ValueError(f"{len(rows)} rows, {len(completions)} completions and {len(ids)} rollout ids do not match")
    rewards: dict[int, Reward] = {}
    pairs: dict[int, tuple[Problem, Rollout]] = {}
    for index, (row, completion) in enumerate(zip(rows, completions, strict=True)):
        if isinstance(row, AlignmentTask):
            run = answer_trial(row, completion)
            if run is None:
                rewards[index] = answer_reward(row, completion, format_weight=format_weight)
            else:
                pairs[index] = run
        elif isinstance(row, OwnRow):
            rewards[index] = Reward(kind=OWN, value=None)
        else:
            pairs[index] = row, rollout_of(row, completion, ids[index])
    verdicts = _verdicts(judge, list(pairs.values()), limit_s)
    for (index, (_, rollout)), verdict in zip(pairs.items(), verdicts, strict=True):
        row = rows[index]
        rewards[index] = (
            trial_reward(row, verdict, format_weight=format_weight)
            if isinstance(row, AlignmentTask)
            else verdict_reward(rollout.program, verdict, in_process_checks=in_process_checks)
        )
    return [rewards[index] for index in range(len(rows))]


def rollout_of(problem: Problem, completion: str, rollout_id: str) -> Rollout:
    """The rollout of a completion: its program, or the whole completion where it has none."""
    program = extract_program(completion, problem.entry_point, starter_code=problem.starter_code)
    given = {"completion": completion} if program is None else {"program": program}
    return Rollout(rollout_id=rollout_id, problem_id=problem.problem_id, **given)


def answer_trial(task: AlignmentTask, completion: str) -> tuple[Problem, Rollout] | None:
    """What the judge must run before an answer has a reward (`trial_reward`); `None`: nothing, see `answer_reward`."""
    try:
        return trial(task, completion)
    except Exception:
        return None  # `answer_reward` fails in the same way, and tells it


def trial_reward(task: AlignmentTask, verdict: Verdict, *, format_weight: float = 0.1) -> Reward:
    """R_sem of an answer by the verdict on its trial; no reward for a fault of the sandbox."""
    if verdict.verdict == "sandbox_fault":
        return Reward(kind=task.kind, value=None)
    value, correct = trial_score(task, verdict, format_weight)
    return Reward(kind=task.kind, value=value, correct=correct)


def answer_reward(task: AlignmentTask, completion: str, *, format_weight: float = 0.1) -> Reward:
    """R_sem of an answer that needs no run; no reward, reported once, if coderlplus itself fails on it. Raises
    `ConfigError` for one that needs a run (see `score_answer`)."""
    try:
        value, correct = score_answer(task, completion, format_weight=format_weight)
    except ConfigError:
        raise
    except Exception as error:
        tell_defect(f"an answer to task {task.task_id!r}", error)
        return Reward(kind=task.kind, value=None)
    return Reward(kind=task.kind, value=value, correct=correct)


def verdict_reward(program: str | None, verdict: Verdict, *, in_process_checks: bool = False) -> Reward:
    """R_gen of a verdict; none for a fault of the sandbox, and none for a pass by an in-process check without
    `in_process_checks`."""
    is_weak = verdict.passed and IN_PROCESS in verdict.isolation and not in_process_checks
    value = None if verdict.verdict == "sandbox_fault" or is_weak else float(verdict.passed)
    return Reward(kind="generation", value=value, program=program, verdict=verdict)


def _verdicts(judge: Judge, pairs: Sequence[tuple[Problem, Rollout]], limit_s: float | None) -> list[Verdict]:
    """The verdicts, in order; `sandbox_fault` for programs that were not judged in time. Raises as `Judge.judge`
    does."""
    if limit_s is None:
        return judge.judge_many(pairs)
    known: dict[int, Verdict] = {}
    errors: list[BaseException] = []
    late = threading.Event()

    def work() -> None:
        try:
            for index, verdict in judge.judge_as_completed(pairs):
                known[index] = verdict
                if late.is_set():  # leaving the loop takes back what has not begun
                    break
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="coderlplus-judging", daemon=True)
    thread.start()
    thread.join(min(limit_s, threading.TIMEOUT_MAX))
    late.set()
    if errors:
        raise errors[0]
    in_time = dict(known)
    return [in_time.get(index) or _late(*pair) for index, pair in enumerate(pairs)]


def _late(problem: Problem, rollout: Rollout) -> Verdict:
    return Verdict(
        rollout_id=rollout.rollout_id,
        problem_id=problem.problem_id,
        verdict="sandbox_fault",
        tests_passed=0,
        tests_total=len(problem.tests),
    )
