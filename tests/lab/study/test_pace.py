"""The time left of a study, on a clock of its own: never wrong by a factor of ten, whatever the machine and the size
of the study, from the moment that it is said."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus_lab.quickstart.run import PLANNED_S, quickstart_study
from coderlplus_lab.study.pace import Pace
from coderlplus_lab.study.plan import JobKind, StudyFolder, StudyJob, plan

STUDY = quickstart_study(0, tiny=True)
JOBS = {key: job for key, job in plan(STUDY, StudyFolder(Path("nowhere"))).items() if "grpo_kl" not in key}
KINDS: tuple[JobKind, ...] = ("problems", "initial_model", "run")


def lefts(took: dict[JobKind, float], planned: dict[JobKind, float], points: int) -> list[tuple[float, float]]:
    """What is said to be left, and what is, at as many points of each stage; jobs of a kind run side by side."""
    now, found = [0.0], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: now[0])
        pace = Pace(STUDY, 3, planned)
        waiting = dict(JOBS)
        total = sum(took.values())
        for kind in KINDS:
            stage = [job for job in JOBS.values() if job.kind == kind]
            began = now[0]
            for job in stage:
                pace.begin(job)
            for point in range(1, points):
                share = point / points
                now[0] = began + took[kind] * share
                said = pace.left_s(list(waiting.values()), shares_of(stage, share))
                if said is not None:
                    found.append((said, total - now[0]))
            now[0] = began + took[kind]
            for job in stage:
                pace.end(job, done=True)
                del waiting[job.key]
    return found


def shares_of(stage: list[StudyJob], share: float) -> dict[str, float]:
    known = {job.key: share if job.kind != "problems" else 0.0 for job in stage}
    return dict.fromkeys(JOBS, 0.0) | known


@given(
    speed=st.floats(0.25, 4),
    uneven=st.tuples(*[st.floats(0.5, 2)] * 3),
    is_planned=st.booleans(),
    size=st.floats(0.01, 10),
)
def test_the_time_left_is_not_wrong_by_a_factor_of_ten(
    speed: float, uneven: tuple[float, ...], is_planned: bool, size: float
) -> None:
    scale = speed if is_planned else size
    took = {kind: PLANNED_S[kind] * scale * one for kind, one in zip(KINDS, uneven, strict=True)}
    found = lefts(took, dict(PLANNED_S) if is_planned else {}, 20)
    assert found
    for said, real in found:
        assert real / 10 < said < real * 10


def test_what_is_not_known_is_not_said() -> None:
    """The tiny quick start has no plan: before its runs nothing tells how long they take."""
    first = Pace(STUDY, 3, {})
    assert first.left_s(list(JOBS.values()), dict.fromkeys(JOBS, 0.0)) is None
