"""The time limit is CPU time, and wall time for programs that sleep: how busy the machine is does not change a
verdict."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from coderlplus.records import Limits
from coderlplus.sandbox import Job, Outcome, Sandbox

WORK = "import time\nwhile time.process_time() < {cpu_s}: pass\nprint(1)"


def run(program: str, cpu_s: float, wall_s: float) -> Outcome:
    payload = {"setup_code": "", "program": program, "stdins": [""]}
    with Sandbox(workers=1) as sandbox:
        return sandbox.run(
            [Job(guest="coderlplus.judge.guest:run_stdio", payload=payload, limits=Limits(cpu_s=cpu_s, wall_s=wall_s))]
        )[0]


@pytest.fixture
def busy_machine() -> Iterator[None]:
    """One CPU for us, with four others who never stop."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
        os.sched_setaffinity(0, cpus)


def test_a_program_that_waits_for_the_machine_is_not_late(busy_machine: None) -> None:
    outcome = run(WORK.format(cpu_s=0.3), cpu_s=5, wall_s=0.4)
    assert (outcome.ending, outcome.stdout) == ("returned", b"1\n")
    assert outcome.cpu_s < 5


@pytest.mark.parametrize("count", [2, 8, 20])
def test_threads_that_take_turns_and_wait_for_the_machine_are_not_late(busy_machine: None, count: int) -> None:
    program = f"""
import threading, time
def work():
    while time.thread_time() < 0.3 / {count}: pass
threads = [threading.Thread(target=work) for _ in range({count})]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(1)
"""
    outcome = run(program, cpu_s=5, wall_s=0.4)
    assert (outcome.ending, outcome.stdout) == ("returned", b"1\n")


def test_a_busy_machine_does_not_let_programs_sleep(busy_machine: None) -> None:
    assert run("import time\ntime.sleep(100)", cpu_s=5, wall_s=0.4).ending == "time_limit"


def test_a_busy_machine_does_not_let_programs_work_for_longer(busy_machine: None) -> None:
    outcome = run("while True: pass", cpu_s=0.2, wall_s=0.4)
    assert outcome.ending == "time_limit"
    assert outcome.cpu_s < 2


@pytest.mark.parametrize(
    "program",
    [
        "import time\nwhile True: time.sleep(0.001)",
        "import threading\nthreading.Event().wait()",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        "import os\nr, w = os.pipe()\nos.read(r, 1)",
        "import signal\nsignal.pause()",
        "import threading, time\nfor _ in range(20): threading.Thread(target=time.sleep, args=(100,)).start()",
    ],
)
def test_programs_that_do_not_work_end_at_the_wall_limit(program: str) -> None:
    assert run(program, cpu_s=100, wall_s=0.4).ending == "time_limit"
