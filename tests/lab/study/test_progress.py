"""What a study tells of its progress, and the time left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coderlplus_lab.quickstart.run import quickstart_study
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.pace import Pace, last_metrics, note_of, share_of
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.progress import Progress

STUDY = quickstart_study(0)
PLANNED = {"problems": 15.0, "initial_model": 165.0, "run": 400.0}


def test_a_line_tells_stage_share_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(["problems", "training"]) as progress:
        progress.update({"problems": 1.0, "training": 0.0}, {"training": "grpo/0 0/130"}, 180.0)
        progress.update({"problems": 1.0, "training": 0.5}, {"training": "grpo/0 65/130"}, 90.0)
        progress.update({"problems": 1.0, "training": 0.6}, {"training": "grpo/0 78/130"}, 80.0)
        progress.update({"problems": 1.0, "training": 1.0}, {}, 0.0)
    assert capsys.readouterr().err.splitlines() == [
        "[0:00] problems 100%; training   0%  grpo/0 0/130  (3:00 left)",
        "[0:00] training  50%  grpo/0 65/130  (1:30 left)",
        "[0:00] training 100%  (0:00 left)",
    ]


def test_before_anything_ran_the_time_left_is_the_planned_one(tmp_path: Path) -> None:
    jobs = list(plan(STUDY, StudyFolder(tmp_path)).values())
    shares = {job.key: 0.0 for job in jobs}
    assert Pace(STUDY, 4, PLANNED).left_s(jobs, shares) == pytest.approx(15 + 165 + 400)
    assert Pace(STUDY, 1, PLANNED).left_s(jobs, shares) == pytest.approx(15 + 165 + 3 * 400 + 40)
    assert Pace(STUDY, 1, {}).left_s(jobs, shares) is None
    assert Pace(STUDY, 1, {}).left_s([], {}) == 0.0


def test_a_machine_that_is_slower_than_planned_corrects_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("coderlplus_lab.study.pace.time.monotonic", lambda: now)
    jobs = plan(STUDY, StudyFolder(tmp_path))
    pace = Pace(STUDY, 4, PLANNED)
    pace.begin(jobs["problems"])
    now = 30.0
    pace.end(jobs["problems"], done=True)
    pace.begin(jobs["initial_model/world/0"])
    rest = [job for job in jobs.values() if job.kind != "problems"]
    assert pace.left_s(rest, {job.key: 0.0 for job in rest}) == pytest.approx(2 * (165 + 400))
    now = 130.0
    assert pace.left_s(rest, {job.key: 0.5 if job.kind == "initial_model" else 0.0 for job in rest}) == pytest.approx(
        100 + 2 * 400
    )


def test_steps_say_how_far_a_job_is(tmp_path: Path) -> None:
    jobs = plan(STUDY, StudyFolder(tmp_path))
    for key, line in (("initial_model/world/0", {"step": 650, "loss": 0.5}), ("run/grpo/0", {"step": 65})):
        jobs[key].folder.mkdir(parents=True)
        (jobs[key].folder / "metrics.jsonl").write_text(
            json.dumps({"step": 1}) + "\n" + json.dumps(line) + "\n" + '{"step": 9'
        )
    assert note_of(STUDY, jobs["initial_model/world/0"]) == "world/0 650/1300, loss 0.50"
    assert note_of(STUDY, jobs["run/grpo/0"]) == "grpo/0 65/130"
    assert note_of(STUDY, jobs["run/warm_start/0"]) == "warm_start/0"
    assert [share_of(STUDY, jobs[key]) for key in ("initial_model/world/0", "run/grpo/0", "run/warm_start/0")] == [
        0.5,
        0.45,
        0.0,
    ]
    assert last_metrics(tmp_path / "nowhere") == {}
