"""How far the jobs of a study are, and how long the rest will take."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coderlplus.evaluation.metrics import mean
from coderlplus_lab.study.folder import JobKind, StudyJob
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tries import tried

MEASURING = 0.1
"""The share of a trained run's time that is spent on measuring; one that is not trained takes only that."""
TAIL = 65536
"""Bytes at the end of a file of metrics that are looked at."""
SURE = 0.05
"""A job that has done so much tells its own pace."""
LAST = 0.5
"""What a job that tells nothing has at least before it, as a share of the time that it took so far."""
SLOWEST, FASTEST = 4.0, 0.5
"""How much slower and faster than planned this machine may seem."""


class Pace:
    """Times of the jobs that ran, and from them the time left."""

    def __init__(self, study: Study, most: int, planned_s: Mapping[JobKind, float]) -> None:
        """`most` jobs run side by side; `planned_s` are seconds of a job of each kind on the reference machine."""
        self._study, self._most, self._planned = study, most, planned_s
        self._began: dict[str, tuple[float, float]] = {}
        self._ended: dict[tuple[JobKind, float], list[float]] = {}
        """Of jobs of a kind and a weight."""

    def begin(self, job: StudyJob) -> None:
        self._began[job.key] = time.monotonic(), share_of(self._study, job)

    def end(self, job: StudyJob, *, done: bool) -> None:
        """A job is over; `done` says whether it left what it should."""
        seconds = self.elapsed_s(job.key)
        _, before = self._began.pop(job.key)
        if done and before < 1 - SURE:
            self._ended.setdefault((job.kind, self.weight(job)), []).append(seconds / (1 - before))

    def elapsed_s(self, key: str) -> float:
        """Seconds since a running job began."""
        return time.monotonic() - self._began[key][0]

    def weight(self, job: StudyJob) -> float:
        """How long a job takes beside others of its kind."""
        return MEASURING if job.kind == "run" and planned_steps(self._study, job) == 0 else 1.0

    def left_s(self, jobs: Sequence[StudyJob], shares: Mapping[str, float]) -> float | None:
        """Seconds that the jobs will take from here, of which `shares` are done; `None` where nothing tells.

        A job tells by its own pace, else others of its kind, else what is planned, at the pace of the jobs before.
        """
        total = 0.0
        for kind in dict.fromkeys(job.kind for job in jobs):
            times = [self._left_of(job, shares[job.key]) for job in jobs if job.kind == kind]
            known = [seconds for seconds in times if seconds is not None]
            if len(known) < len(times):
                return None
            total += max([*known, sum(known) / self._most])
        return total

    def _left_of(self, job: StudyJob, share: float) -> float | None:
        began, before = self._began.get(job.key, (time.monotonic(), share))
        elapsed = time.monotonic() - began
        if share - before > SURE:
            return elapsed * (1 - share) / (share - before)
        ended = self._ended.get((job.kind, self.weight(job)))
        if ended:
            one = mean(ended)
        elif job.kind in self._planned:
            one = self._planned[job.kind] * self._speed() * self.weight(job)
        else:
            return None
        return max(one * (1 - before) - elapsed, LAST * elapsed)

    def _speed(self) -> float:
        """How many times longer than planned jobs took."""
        took = {
            kind: mean(seconds) / weight
            for (kind, weight), seconds in self._ended.items()
            if kind in self._planned and weight == 1
        }
        if not took:
            return 1.0
        return min(SLOWEST, max(FASTEST, sum(took.values()) / sum(self._planned[kind] for kind in took)))


def planned_steps(study: Study, job: StudyJob) -> int | None:
    """The optimisation steps of a job: 0 for one that does not train, `None` where the settings do not say."""
    if job.kind == "initial_model":
        return study.initial_models[job.name].taught(job.number).steps
    if job.kind not in ("run", "search"):
        return 0
    arm = study.arms[job.name]
    if arm.train is not None:
        chosen = tried(study, job.name, job.number) if job.kind == "search" else {}
        steps: Any = (study.train_settings(job.name, chosen).get("trl") or {}).get("max_steps")
    elif arm.supervised is not None:
        steps = study.supervised_settings(job.name).arguments.get("max_steps")
    else:
        return 0
    return steps if isinstance(steps, int) and steps > 0 else None


def share_of(study: Study, job: StudyJob) -> float:
    """How much of a job is done, by its steps."""
    if job.done:
        return 1.0
    planned = planned_steps(study, job)
    if not planned:
        return 0.0
    share: float = min(1.0, last_metrics(job.folder).get("step", 0) / planned)
    return share if job.kind == "initial_model" else (1 - MEASURING) * share


def note_of(study: Study, job: StudyJob) -> str:
    """A word on a running job: its steps, and the loss of a warm start."""
    planned = planned_steps(study, job)
    if planned == 0:
        return "" if job.kind == "problems" else job.key.partition("/")[2]
    last = last_metrics(job.folder)
    steps = f"{last.get('step', 0)}/{planned}" if planned else f"step {last.get('step', 0)}"
    loss = f", loss {last['loss']:.2f}" if job.kind == "initial_model" and "loss" in last else ""
    return f"{job.name}/{job.number} {steps}{loss}"


def last_metrics(folder: Path) -> dict[str, Any]:
    """The last line of a run folder's metrics that is whole; empty if there is none."""
    with contextlib.suppress(OSError, json.JSONDecodeError, IndexError), (folder / "metrics.jsonl").open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        data = json.loads(file.read().rpartition(b"\n")[0].rpartition(b"\n")[2])
        if isinstance(data, dict) and isinstance(data.get("step"), int):
            return data
    return {}
