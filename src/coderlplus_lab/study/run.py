"""Run what of a study is not done, several jobs side by side, each in a process of its own.

After an interruption at any point, rerun the command to resume: what is complete is kept, training continues from its
last checkpoint. On Ctrl-C every process saves a checkpoint first. A job that fails does not stop the others; at the
end all failures are reported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coderlplus.engines.trl.processes import signals_to
from coderlplus.errors import ConfigError, DataError, counted
from coderlplus.progress import clock
from coderlplus.records.files import atomic_write, held, remove
from coderlplus.report.folders import read_object
from coderlplus_lab.files import write_json
from coderlplus_lab.probes.linear import check_installed
from coderlplus_lab.study.fingerprints import check_kept, check_version, fingerprint_text
from coderlplus_lab.study.folder import FINGERPRINT, WALL, JobKind, StudyFolder, StudyJob
from coderlplus_lab.study.pace import Pace, note_of, share_of
from coderlplus_lab.study.plan import plan, wanted
from coderlplus_lab.study.progress import Progress
from coderlplus_lab.study.settings import Study

POLL_S = 0.5
STAGES: dict[JobKind, str] = {
    "problems": "problems",
    "initial_model": "warm start",
    "samples": "samples",
    "search": "search",
    "run": "training",
    "programs": "programs",
    "predictions": "predictions",
    "probe": "probes",
}
"""Kind of job → what its stage is called."""
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # glibc: keep freed tensors instead of giving them back to the kernel at every step; a fifth of an update is saved
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}


def run_study(
    study: Study,
    root: Path,
    *,
    runs: list[str],
    jobs: int,
    planned_s: Mapping[JobKind, float] | None = None,
    overwrite: bool = False,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Start or resume the runs (`[]`: all) in `root`, `jobs` at a time. `planned_s`: seconds of a job of each kind,
    where they are known beforehand. With `overwrite` what the folder has of a study is removed first. `then` is called
    after the last job, whether or not some failed, while no other process may write the folder.

    Raises `ConfigError` if the folder belongs to other settings or another process works there, and `DataError`
    after the last job if some failed, or where the folder cannot be written.
    """
    layout = StudyFolder(root)
    planned = plan(study, layout)
    todo = wanted(planned, runs)
    if not overwrite:
        check_version(layout)
        check_kept(planned)  # all of them: the results show what else is there
    if any(job.kind == "probe" for job in todo.values()):
        check_installed()  # before hours of training, not after
    with _alone(root):
        if overwrite:
            remove(root, layout.names(study.name))
        try:
            atomic_write(layout.settings, study.model_dump_json(indent=2) + "\n")
            (root / "logs").mkdir(exist_ok=True)
        except OSError as error:
            raise _cannot_write(root, error) from error
        environment = ENVIRONMENT | os.environ
        if all(initial.model is None for initial in study.initial_models.values()):  # nothing to ask the hub for
            environment = {"HF_HUB_OFFLINE": "1"} | environment
        kinds = [kind for kind in STAGES if any(job.kind == kind for job in todo.values())]
        with (
            Progress([STAGES[kind] for kind in kinds]) as progress,
            signals_to(signal.default_int_handler, signal.SIGTERM),
        ):
            state = _State(study, layout, todo, environment, progress, Pace(study, jobs, planned_s or {}))
            try:
                _loop(state, jobs)
            except OSError as error:
                raise _cannot_write(root, error) from error
        then()
    if state.failed:
        first, *others = state.failed.items()
        more = f", and {len(others)} more" if others else ""
        raise DataError(
            f"{first[0]} failed: {first[1]}; full log: {layout.log(todo[first[0]])}{more}; rerun the command to retry"
        )


def _cannot_write(root: Path, error: OSError) -> DataError:
    return DataError(
        f"cannot write {error.filename or root}: {error.strerror or error}; make room there, then rerun the command "
        "to resume"
    )


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Make the folder and keep other studies out of it meanwhile."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {root}: {error.strerror}; choose another output") from error
    with held(root):
        yield


@dataclass(slots=True)
class _State:
    study: Study
    layout: StudyFolder
    jobs: Mapping[str, StudyJob]
    environment: Mapping[str, str]
    progress: Progress
    pace: Pace
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def ready(self) -> list[StudyJob]:
        """Jobs that can begin."""
        return [
            job
            for key, job in self.jobs.items()
            if not job.done
            and key not in self.running
            and key not in self.failed
            and all(self.jobs[need].done for need in job.needs)
        ]


def _loop(state: _State, most: int) -> None:
    kept = sum(job.done for job in state.jobs.values())
    is_complete = kept == len(state.jobs)
    what = f"; {state.layout.root} is complete; use --overwrite to run it again" if is_complete else ""
    state.progress.say(f"{counted(len(state.jobs), 'job')}, {kept} already done{what}")
    try:
        while True:
            _collect(state)
            for job in state.ready()[: most - len(state.running)]:
                _start(state, job)
            _show(state)
            if not state.running:
                return
            time.sleep(POLL_S)
    except BaseException:
        stop(list(state.running.values()))
        for key in state.running:
            _note_time(state, state.jobs[key], state.pace.elapsed_s(key))
        state.progress.say(f"stopped; rerun the command to resume {state.layout.root}")
        raise


def _start(state: _State, job: StudyJob) -> None:
    """The process of a job, in a session of its own so that Ctrl-C reaches it once, through us."""
    job.folder.mkdir(parents=True, exist_ok=True)
    atomic_write(job.folder / FINGERPRINT, fingerprint_text(job))
    state.progress.say(f"started: {job.key}")
    command = [sys.executable, "-m", "coderlplus_lab.study.job", str(state.layout.root), job.key]
    with state.layout.log(job).open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=state.environment, start_new_session=True
        )
    state.running[job.key] = process
    state.pace.begin(job)


def _collect(state: _State) -> None:
    """Note the jobs that ended."""
    for key, process in list(state.running.items()):
        if process.poll() is None:
            continue
        del state.running[key]
        job, seconds = state.jobs[key], state.pace.elapsed_s(key)
        _note_time(state, job, seconds)
        done = process.returncode == 0 and job.done
        state.pace.end(job, done=done)
        if done:
            state.progress.say(f"done: {key} in {clock(seconds)}")
        else:
            state.failed[key] = (
                f"{last_line(state.layout.log(job)).removeprefix('error: ')} (exit code {process.returncode})"
            )
            state.progress.say(f"failed: {key}: {state.failed[key]}")


def _note_time(state: _State, job: StudyJob, seconds: float) -> None:
    """Add to the time that a job took in all. Where it cannot be written, on a full disk, what ran is still told."""
    path = job.folder / WALL
    try:
        write_json(path, {"seconds": round(seconds + read_object(path).get("seconds", 0.0), 1)})
    except OSError as error:
        state.progress.say(f"cannot write {path}: {error.strerror}; {clock(seconds)} of {job.key} are not counted")


def _show(state: _State) -> None:
    shares = {key: 1.0 if key in state.failed else share_of(state.study, job) for key, job in state.jobs.items()}
    stages: dict[str, float] = {}
    notes: dict[str, str] = {}
    for kind, stage in STAGES.items():
        of_kind = [job for job in state.jobs.values() if job.kind == kind]
        if not of_kind:
            continue
        weights = [state.pace.weight(job) for job in of_kind]
        stages[stage] = sum(weight * shares[job.key] for job, weight in zip(of_kind, weights, strict=True)) / sum(
            weights
        )
        if any(job.key in state.running for job in of_kind):
            notes[stage] = ", ".join(
                note for job in of_kind if job.key in state.running and (note := note_of(state.study, job))
            )
    waiting = [job for key, job in state.jobs.items() if shares[key] < 1]
    state.progress.update(stages, notes, state.pace.left_s(waiting, shares))


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask the processes to save and end; a second Ctrl-C ends them at once."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        for process in processes:
            process.kill()


def last_line(path: Path) -> str:
    """The last line that is not empty."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
