"""However the owner of a sandbox ends, and whatever is killed under it: no process, no descriptor and no file stays
behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coderlplus.records import Limits
from coderlplus.sandbox import Job, Sandbox
from coderlplus.sandbox.protocol import run_job

LEVELS = 0
LONG = Limits(cpu_s=1000, wall_s=1000)
SEEDS = itertools.count(os.getpid() * 1000 % 2**31)
"""A hash seed stands in the command line of its fork servers and their children, so the processes of a test can be
told from all others."""

OWNER = """
import sys
from coderlplus.records import Limits
from coderlplus.sandbox import Job, Sandbox
from coderlplus.sandbox.protocol import run_job

def job(program, peer=None):
    payload = {"setup_code": "", "program": program, "stdins": [""]}
    limits = Limits(cpu_s=1000, wall_s=1000)
    guest = "coderlplus.judge.guest:run_stdio"
    return Job(guest=guest, payload=payload, limits=limits, hash_seed=int(sys.argv[1]), peer=peer)

busy, asleep = "while True: pass", "import time; time.sleep(1000)"
with Sandbox(workers=2) as sandbox:
    futures = [sandbox.call(run_job, each) for each in (job(busy), job(asleep, peer=job(busy)))]
    if sys.argv[2] == "exits": sys.stdin.read(1); sys.exit()
    if sys.argv[2] == "exits without closing":
        sys.stdin.read(1); sandbox.__class__.__exit__ = lambda *a: None; sys.exit()
    futures[0].result()
"""
CHILDREN = 3


@pytest.fixture(scope="module", autouse=True)
def levels() -> None:
    """Where there are namespaces, a process that waits for it stands above each fork server."""
    global LEVELS
    with Sandbox(workers=1) as sandbox:
        LEVELS = 2 if "namespaces" in sandbox.isolation else 1


@pytest.fixture
def seed() -> int:
    return next(SEEDS)


def processes(seed: int) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (
                    f'"hash_seed": {seed}}}'.encode() in (entry / "cmdline").read_bytes()
                ):  # empty for a process that has ended
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def leaves(seed: int) -> set[int]:
    """The processes that run programs."""
    try:
        parents = {pid: parent(pid) for pid in processes(seed)}
    except OSError:
        return set()
    generations = [{pid for pid in parents if parents[pid] not in parents}]
    while generations[-1]:
        generations.append({pid for pid in parents if parents[pid] in generations[-1]})
    return generations[LEVELS] if len(generations) > LEVELS else set()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def owner(seed: int, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process that owns a sandbox in which three programs run that never end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(ending: str = "") -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(seed), ending],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=os.environ | {"TMPDIR": str(tmp_path)},
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        wait_until(lambda: process.poll() is not None or len(leaves(seed)) == CHILDREN)
        assert process.poll() is None
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_to_the_owner(
    seed: int, owner: Callable[[], subprocess.Popen[bytes]], tmp_path: Path, number: signal.Signals
) -> None:
    process = owner()
    os.kill(process.pid, number)
    assert process.wait(timeout=120) == -number
    wait_until(lambda: not processes(seed))
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_goes_to_the_whole_group_and_leaves_one_message(
    seed: int, owner: Callable[[], subprocess.Popen[bytes]]
) -> None:
    process = owner()
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=120)
    assert stderr.decode().count("Traceback") == 1
    assert stderr.decode().endswith("KeyboardInterrupt\n")
    wait_until(lambda: not processes(seed))


@pytest.mark.parametrize("ending", ["exits", "exits without closing"])
def test_the_end_of_the_owner(seed: int, owner: Callable[[str], subprocess.Popen[bytes]], ending: str) -> None:
    process = owner(ending)
    _, stderr = process.communicate(b"x", timeout=120)
    assert (process.returncode, stderr) == (0, b"")
    wait_until(lambda: not processes(seed))


def test_children_of_a_killed_fork_server_end_and_the_jobs_start_anew(
    seed: int, owner: Callable[[], subprocess.Popen[bytes]]
) -> None:
    process = owner()
    before = processes(seed)
    for pid in before:
        with contextlib.suppress(OSError):  # one that compiled our modules has ended since
            if parent(pid) == process.pid:
                os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not before & processes(seed) and len(leaves(seed)) == CHILDREN)
    assert process.poll() is None


def test_a_program_killed_from_outside_is_run_again(seed: int) -> None:
    """As the kernel does when memory runs out. It says nothing of the program."""
    payload = {"setup_code": "", "program": "for _ in range(10**7): pass\nprint(1)", "stdins": [""]}
    with Sandbox(workers=1) as sandbox:
        future = sandbox.call(
            run_job, Job(guest="coderlplus.judge.guest:run_stdio", payload=payload, limits=LONG, hash_seed=seed)
        )
        wait_until(lambda: len(leaves(seed)) == 1 or future.done())
        for pid in leaves(seed) if not future.done() else ():
            os.kill(pid, signal.SIGKILL)
        assert future.result().stdout == b"1\n"


def test_a_program_always_killed_from_outside_is_a_fault_and_no_failure_of_the_program(seed: int) -> None:
    payload = {"setup_code": "", "program": "while True: pass", "stdins": [""]}
    with Sandbox(workers=1) as sandbox:
        future = sandbox.call(
            run_job, Job(guest="coderlplus.judge.guest:run_stdio", payload=payload, limits=LONG, hash_seed=seed)
        )
        while not future.done():
            for pid in leaves(seed):
                with contextlib.suppress(ProcessLookupError):  # it has been reaped since we looked
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        assert (future.result().ending, future.result().detail) == (
            "fault",
            "the program was killed from outside; check that the machine has enough memory",
        )


def test_many_sandboxes_leave_no_descriptors_threads_or_processes(seed: int) -> None:
    def state() -> tuple[int, int, set[int]]:
        return len(os.listdir("/proc/self/fd")), threading.active_count(), processes(seed)  # noqa: PTH208

    before = state()
    for _ in range(3):
        with Sandbox(workers=2) as sandbox:
            jobs = [Job(guest="coderlplus.judge.guest:echo", payload=number, hash_seed=seed) for number in range(4)]
            assert [outcome.replies for outcome in sandbox.run(jobs)] == [(number,) for number in range(4)]
            for pid in sandbox.processes():
                os.kill(pid, signal.SIGKILL)
            assert sandbox.run(jobs)[0].replies == (0,)
    wait_until(lambda: state() == before)
