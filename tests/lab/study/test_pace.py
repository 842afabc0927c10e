"""The time left of a study, on a clock of its own: never wrong by a factor of ten, whatever the machine and the size
of the study, from the moment that it is said."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus_lab.quickstart.run import PLANNED_S, quickstart_study
from coderlplus_lab.study.folder import JobKind, StudyFolder, StudyJob
from coderlplus_lab.study.pace import MEASURING, Pace, planned_steps
from coderlplus_lab.study.plan import plan

STUDY = quickstart_study(0, tiny=True)
JOBS = {key: job for key, job in plan(STUDY, StudyFolder(Path("nowhere"))).items() if "grpo_kl" not in key}


def lefts(took: dict[str, float], planned: dict[JobKind, float], points: int) -> list[tuple[float, float]]:
    """What is said to be left, and what is, at as many points of each job, one after the other."""
    now, found = [0.0], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now[0])
        pace = Pace(STUDY, 1, planned)
        waiting = dict(JOBS)
        total = sum(took.values())
        for key, job in JOBS.items():
            began = now[0]
            pace.begin(job)
            for point in range(points):
                share = point / points
                now[0] = began + took[key] * share
                said = pace.left_s(list(waiting.values()), dict.fromkeys(JOBS, 0.0) | {key: known_share(job, share)})
                if said is not None:
                    found.append((said, total - now[0]))
            now[0] = began + took[key]
            pace.end(job, done=True)
            del waiting[key]
    return found


def known_share(job: StudyJob, share: float) -> float:
    """What the files tell of a job that is so far: a run has three steps, then it is measured."""
    if not planned_steps(STUDY, job):
        return 0.0
    return share if job.kind == "initial_model" else (1 - MEASURING) * min(1.0, int(share / (1 - MEASURING) * 3) / 3)


@given(
    speed=st.floats(0.25, 4),
    uneven=st.lists(st.floats(0.7, 1.5), min_size=len(JOBS), max_size=len(JOBS)),
    measuring=st.floats(0.05, 0.2),
    is_planned=st.booleans(),
    size=st.floats(0.01, 10),
)
def test_the_time_left_is_not_wrong_by_a_factor_of_ten(
    speed: float, uneven: list[float], measuring: float, is_planned: bool, size: float
) -> None:
    scale = speed if is_planned else size
    took = {
        key: PLANNED_S[job.kind]
        * scale
        * one
        * (measuring if job.kind == "run" and not planned_steps(STUDY, job) else 1)
        for (key, job), one in zip(JOBS.items(), uneven, strict=True)
    }
    found = lefts(took, dict(PLANNED_S) if is_planned else {}, 20)
    assert found or not is_planned
    for said, real in found:
        if real > 0.01 * sum(took.values()):  # the last moments have no scale
            assert real / 10 < said < real * 10


def test_a_run_without_training_tells_nothing_of_one_with() -> None:
    """Measuring took a minute, so a trained run was said to take ten."""
    start = next(job for job in JOBS.values() if job.kind == "run" and not planned_steps(STUDY, job))
    trained = next(job for job in JOBS.values() if job.kind == "run" and planned_steps(STUDY, job))
    with pytest.MonkeyPatch.context() as patch:
        now = [0.0]
        patch.setattr(time, "monotonic", lambda: now[0])
        pace = Pace(STUDY, 1, {})
        pace.begin(start)
        now[0] = 63.0
        pace.end(start, done=True)
        assert pace.left_s([trained], {trained.key: 0.0}) is None
        pace.begin(trained)
        now[0] += 60.0
        pace.end(trained, done=True)
        assert pace.left_s([trained], {trained.key: 0.0}) == 60.0


def test_what_is_not_known_is_not_said() -> None:
    """The tiny quick start has no plan: before its runs nothing tells how long they take."""
    first = Pace(STUDY, 3, {})
    assert first.left_s(list(JOBS.values()), dict.fromkeys(JOBS, 0.0)) is None
