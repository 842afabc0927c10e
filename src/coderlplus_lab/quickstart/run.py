"""The quick start from nothing to the page: problems → warm start → GRPO and CodeRL+ side by side → evaluation → summary.

The warm start is a process; so is each arm, with one thread, which trains through `coderlplus.engines` and then evaluates itself; the parent makes
the problems and watches. Interrupted at any point, the same command goes on: complete artefacts are kept, arms resume from their last checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus_lab.files import read_json
from coderlplus_lab.quickstart.progress import Progress
from coderlplus_lab.quickstart.settings import ARMS, WARM_START, Layout, QuickstartSettings, claimed
from coderlplus_lab.quickstart.stages import make_problems, summarise

PLANNED_S = {"problems": 15.0, "warm start": 165.0, "training": 400.0}
EVALUATION_SHARE = 0.1
"""Of an arm's time, what its evaluation takes."""
POLL_S = 0.5
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # glibc: keep freed tensors instead of giving them back to the kernel at every step; a fifth of an update is saved
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
}


def quickstart(root: Path, settings: QuickstartSettings, *, arms: Sequence[str] = ARMS) -> dict[str, dict[str, Any]]:
    """Run or continue a quick start in `root`; returns (and writes) the summary. Raises `ConfigError` if the folder belongs to other settings
    or another quick start runs in it."""
    layout = Layout(root)
    with claimed(layout, settings), Progress(PLANNED_S) as progress, told_how_to_continue(root):
        progress.begin("problems")
        make_problems(layout, settings)
        progress.end()

        progress.begin("warm start")
        done = layout.warm_start.exists()
        if not done:
            run_warm_start(layout, settings, progress)
        progress.end(skipped=done)

        progress.begin("training")
        names = (*arms, WARM_START)
        done = all(layout.evaluation(name).exists() for name in names)
        if not done:
            run_arms(layout, settings, names, progress)
        progress.end(skipped=done)
    return summarise(layout, tuple(arms))


@contextlib.contextmanager
def told_how_to_continue(root: Path) -> Iterator[None]:
    """After Ctrl-C say that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"stopped; the same command continues what is in {root}", file=sys.stderr)
        raise


def run_warm_start(layout: Layout, settings: QuickstartSettings, progress: Progress) -> None:
    """Make the warm start in a process, so that its memory is free again when the arms start."""
    process = start(layout, WARM_START)
    try:
        while process.poll() is None:
            time.sleep(POLL_S)
            done = read_json(layout.warm_start_progress)
            if done:
                progress.update(done["step"] / settings.warm_start.steps, f"step {done['step']}/{settings.warm_start.steps}, loss {done['loss']:.2f}")
    except BaseException:
        stop([process])
        raise
    check(layout, WARM_START, process.returncode, layout.warm_start)


def run_arms(layout: Layout, settings: QuickstartSettings, names: Sequence[str], progress: Progress) -> None:
    """Train and evaluate in one process each, side by side. On Ctrl-C every process saves a checkpoint first."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in names:
            if not layout.evaluation(name).exists():
                running[name] = start(layout, name)
        while running:
            time.sleep(POLL_S)
            for name, process in list(running.items()):
                code = process.poll()
                if code is None:
                    continue
                del running[name]
                check(layout, name, code, layout.evaluation(name))
            shares = {name: share_done(layout, settings, name) for name in names}
            weights = {name: EVALUATION_SHARE if name == WARM_START else 1.0 for name in names}
            share = sum(shares[name] * weights[name] for name in names) / sum(weights.values())
            progress.update(share, ", ".join(f"{name} {steps_done(layout, name)}/{settings.steps}" for name in names if name != WARM_START))
    except BaseException:
        stop(list(running.values()))
        raise


def check(layout: Layout, name: str, code: int, artefact: Path) -> None:
    """Raises `DataError` for a process that failed or left nothing."""
    if code != 0 or not artefact.exists():
        raise DataError(f"{name} ended with exit code {code}: {last_line(layout.log(name))}; all it said is in {layout.log(name)}")


def start(layout: Layout, name: str) -> subprocess.Popen[bytes]:
    """The process of an arm, in a session of its own so that Ctrl-C reaches it once, through us."""
    environment = os.environ | ENVIRONMENT
    with layout.log(name).open("ab") as log:
        command = [sys.executable, "-m", "coderlplus_lab.quickstart.arm", str(layout.root), name]
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)


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


def steps_done(layout: Layout, name: str) -> int:
    """Optimisation steps of an arm that are in its metrics."""
    path = layout.arm(name) / "metrics.jsonl"
    last = path.read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[2] if path.exists() else ""
    with contextlib.suppress(json.JSONDecodeError):
        return int(json.loads(last)["step"]) if last else 0
    return 0


def share_done(layout: Layout, settings: QuickstartSettings, name: str) -> float:
    """How much of an arm is done, training and evaluation."""
    if layout.evaluation(name).exists():
        return 1.0
    if name == WARM_START:
        return 0.0
    return (1 - EVALUATION_SHARE) * steps_done(layout, name) / settings.steps


def last_line(path: Path) -> str:
    """The last line that is not empty."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
