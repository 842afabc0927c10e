"""What a fork server and a program's process hold, in pages: budgets some third above what was measured
(docs/performance.md, "Memory")."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coderlplus.judge import Judge
from coderlplus.records import CallTest, CheckTest, Limits, Problem, Rollout, StdioTest, Test
from coderlplus.sandbox import Sandbox

SERVER_RESIDENT, SERVER_PRIVATE = 4_400, 1_500
CHILD_RESIDENT, CHILD_PRIVATE = 3_900, 310
LIMITS = Limits(wall_s=60)
KINDS: dict[str, tuple[Test, str, int]] = {
    "stdio": (StdioTest("3\n", "6\n"), "import time\nprint(int(input()) * 2)\ntime.sleep(60)", 1),
    "call": (CallTest((3,), 6), "import time\ndef f(n):\n    time.sleep(60)", 1),
    "check": (
        CheckTest("try:\n    x = f(3)\nexcept ValueError:\n    x = 0\nassert x == 6"),
        "import time\ndef f(n):\n    time.sleep(60)",
        2,
    ),
}
"""A test, a program that waits in the middle of it, and how many processes that makes (a check test that catches
exceptions has an examiner)."""


def pages(pid: int) -> tuple[int, int]:
    """The resident and the private pages of a process."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except PermissionError:
        pytest.skip("/proc does not show the memory of processes of the sandbox here")
    size = os.sysconf("SC_PAGE_SIZE") // 1024
    kb = {line.partition(":")[0]: int(line.split()[1]) for line in lines}
    return kb["Rss"] // size, (kb["Private_Clean"] + kb["Private_Dirty"]) // size


def descendants(root: int) -> set[int]:
    found: set[int] = set()
    left = [root]
    while left:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{left.pop()}/task").iterdir():
                children = set(map(int, (task / "children").read_text().split()))
                found |= children
                left += children
    return found


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


def judged(sandbox: Sandbox, test: Test, program: str) -> None:
    entry = None if isinstance(test, StdioTest) else "f"
    problem = Problem(problem_id="p", statement="", tests=(test,), entry_point=entry, limits=LIMITS)
    Judge(sandbox).judge(problem, Rollout(rollout_id="r", problem_id="p", program=program))


def until(done: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not done():
        pause.wait(0.01)


def test_a_fork_server(sandbox: Sandbox) -> None:
    judged(sandbox, StdioTest("3\n", "6\n"), "print(int(input()) * 2)")
    (server,) = sandbox.processes()
    resident, private = pages(server)
    assert resident <= SERVER_RESIDENT
    assert private <= SERVER_PRIVATE
    for number in range(300):
        judged(sandbox, StdioTest("3\n", "6\n"), f"import math\nprint(int(input()) * 2)  # {number}")
    assert pages(server)[1] <= private + 50


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_has_few_pages_of_its_own(kind: str, sandbox: Sandbox) -> None:
    test, program, processes = KINDS[kind]
    judged(sandbox, test, "n = 3")
    (server,) = sandbox.processes()
    before = {server, *descendants(server)}
    thread = threading.Thread(target=judged, args=(sandbox, test, program))
    thread.start()

    def waiting() -> set[int]:
        """Those that sleep: a process that waits for something for a while."""
        return descendants(server) - before

    until(lambda: not thread.is_alive() or (len(waiting()) == processes and all(map(_sleeps, waiting()))))
    assert thread.is_alive(), "the program ended before it was looked at"
    held = [pages(pid) for pid in waiting()]
    sandbox.close()
    thread.join()
    for resident, private in held:
        assert resident <= CHILD_RESIDENT
        assert private <= CHILD_PRIVATE


def _sleeps(pid: int) -> bool:
    """Whether a process is asleep, and is so the tenth time too."""
    states = []
    for _ in range(10):
        with contextlib.suppress(OSError):
            states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        threading.Event().wait(0.01)
    return states == ["S"] * 10
