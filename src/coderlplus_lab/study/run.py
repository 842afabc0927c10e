"""Run what of a study is not done, several jobs side by side, each in a process of its own.

Interrupted at any point, the same command goes on: what is complete is kept, training continues from its last checkpoint. On Ctrl-C every process
saves a checkpoint first. A job that fails does not stop the others; at the end all failures are told.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from coderlplus.errors import ConfigError, DataError
from coderlplus.locks import claim, give_up
from coderlplus.report.folders import json_lines
from coderlplus_lab.files import read_json, write_json
from coderlplus_lab.probes.linear import check_installed
from coderlplus_lab.quickstart.progress import clock
from coderlplus_lab.quickstart.run import ENVIRONMENT, last_line, stop
from coderlplus_lab.study.plan import MADE_OF, WALL, Job, Layout, check_kept, made_of_text, plan, wanted
from coderlplus_lab.study.settings import Study

POLL_S = 0.5
SAY_EVERY_S = 60.0


def run_study(study: Study, root: Path, *, cells: list[str], jobs: int) -> None:
    """Run or continue the cells (`[]`: all) in `root`, `jobs` at a time.

    Raises `ConfigError` where the folder belongs to other settings or another process works there, and `DataError` after the last job if some failed.
    """
    layout = Layout(root)
    todo = wanted(plan(study, layout), cells)
    check_kept(todo)
    if any(job.kind == "probe" for job in todo.values()):
        check_installed()  # before hours of training, not after
    with _alone(root):
        layout.settings.write_text(study.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (root / "logs").mkdir(exist_ok=True)
        here = all(start.model is None for start in study.starts.values())  # every model is made here: the hub is asked for nothing
        offline = ENVIRONMENT if here else {name: value for name, value in ENVIRONMENT.items() if name != "HF_HUB_OFFLINE"}
        state = _State(layout, todo, offline | os.environ)
        with _ended_in_order():
            _loop(state, jobs)
    if state.failed:
        first, *others = state.failed.items()
        more = f", and {len(others)} more" if others else ""
        raise DataError(f"{first[0]} failed: {first[1]}; what it said is in {layout.log(todo[first[0]])}{more}; the same command tries again")


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Make the folder and keep other studies out of it meanwhile."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / "lock").open("w")
        try:
            if not claim(file):
                raise ConfigError(f"another process works in {root}; wait for it, or choose another output")
            yield
        finally:
            give_up(file)
    except OSError as error:
        raise ConfigError(f"cannot write {root}: {error.strerror}; choose another output") from error


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM is taken as Ctrl-C is; outside the main thread it stays as it is."""

    def stop_now(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: Any = None
    with contextlib.suppress(ValueError):
        before = signal.signal(signal.SIGTERM, stop_now)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


@dataclass(slots=True)
class _State:
    layout: Layout
    jobs: Mapping[str, Job]
    environment: Mapping[str, str]
    running: dict[str, tuple[subprocess.Popen[bytes], float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    spent: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of the jobs done, by kind."""

    def ready(self) -> list[Job]:
        """Jobs that can begin."""
        return [
            job
            for key, job in self.jobs.items()
            if not job.done and key not in self.running and key not in self.failed and all(self.jobs[need].done for need in job.needs)
        ]

    def left_s(self) -> float | None:
        """Seconds left by what jobs of each kind took so far; `None` before the first is known."""
        left = 0.0
        for key, job in self.jobs.items():
            if job.done or key in self.failed:
                continue
            times = self.spent.get(job.kind)
            if times is None:
                return None
            ran = time.monotonic() - self.running[key][1] if key in self.running else 0.0
            left += max(0.0, sum(times) / len(times) - ran)
        return left / max(1, len(self.running))


def _loop(state: _State, most: int) -> None:
    kept = sum(job.done for job in state.jobs.values())
    print(f"{len(state.jobs)} jobs, {kept} of them done before", file=sys.stderr)
    said = time.monotonic()
    try:
        while True:
            _collect(state)
            for job in state.ready()[: most - len(state.running)]:
                _start(state, job)
            if not state.running:
                return
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                _say(state)
            time.sleep(POLL_S)
    except BaseException:
        stop([process for process, _ in state.running.values()])
        for key, (_, began) in state.running.items():
            _note_time(state.jobs[key], time.monotonic() - began)
        print(f"stopped; the same command continues what is in {state.layout.root}", file=sys.stderr)
        raise


def _start(state: _State, job: Job) -> None:
    """The process of a job, in a session of its own so that Ctrl-C reaches it once, through us."""
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / MADE_OF).write_text(made_of_text(job), encoding="utf-8")
    print(f"begins: {job.key}", file=sys.stderr)
    command = [sys.executable, "-m", "coderlplus_lab.study.job", str(state.layout.root), job.key]
    with state.layout.log(job).open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=state.environment, start_new_session=True)
    state.running[job.key] = process, time.monotonic()


def _collect(state: _State) -> None:
    """Note the jobs that ended."""
    for key, (process, began) in list(state.running.items()):
        if process.poll() is None:
            continue
        del state.running[key]
        job, seconds = state.jobs[key], time.monotonic() - began
        _note_time(job, seconds)
        if process.returncode == 0 and job.done:
            state.spent.setdefault(job.kind, []).append(seconds)
            print(f"done: {key} in {clock(seconds)}", file=sys.stderr)
        else:
            state.failed[key] = f"{last_line(state.layout.log(job)).removeprefix('error: ')} (exit code {process.returncode})"
            print(f"failed: {key}: {state.failed[key]}", file=sys.stderr)


def _note_time(job: Job, seconds: float) -> None:
    """Add to the time that a job took in all."""
    write_json(job.folder / WALL, {"seconds": round(seconds + read_json(job.folder / WALL).get("seconds", 0.0), 1)})


def _say(state: _State) -> None:
    done = sum(job.done for job in state.jobs.values())
    parts = [f"{key}{_steps(state.jobs[key])}" for key in state.running]
    left = state.left_s()
    print(
        f"{done}/{len(state.jobs)} done; {', '.join(parts)}{f'; about {clock(left)} left' if left is not None else ''}", file=sys.stderr, flush=True
    )


def _steps(job: Job) -> str:
    """How far the training of a job is."""
    path = job.folder / "metrics.jsonl"
    last = 0
    with contextlib.suppress(DataError, OSError):
        if path.exists():
            last = max((int(line["step"]) for line in json_lines(path)), default=0)
    return f" step {last}" if last else ""
