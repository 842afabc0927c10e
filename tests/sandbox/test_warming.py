"""What a fork server does before it forks leaves nothing behind that a program would meet."""

from __future__ import annotations

import json

from coderlplus.sandbox import Job, Sandbox

PROGRAM = """
import json, os, sys, threading
def is_open(fd):
    try:
        return bool(os.fstat(fd))
    except OSError:
        return False
state = [[fd for fd in range(256) if is_open(fd)], threading.active_count(), sorted(vars(sys.modules["__main__"])),
         sys.getrecursionlimit(), sys.argv]
print(json.dumps(state))
"""


def test_the_first_program_finds_what_the_hundredth_finds() -> None:
    with Sandbox(workers=1) as sandbox:
        job = Job(
            guest="coderlplus.judge.guest:run_stdio",
            payload={"setup_code": "", "program": PROGRAM, "stdins": [None]},
            stdin=b"1\n",
        )
        states = [json.loads(outcome.stdout) for outcome in sandbox.run([job] * 100)]
    assert all(state == states[0] for state in states)
    descriptors, threads, names, limit, argv = states[0]
    assert set(descriptors) <= {0, 1, 2, 3, 4}  # streams, the copy of stdout that our own code keeps, replies
    assert (threads, limit, argv) == (1, 1000, ["program.py"])
    assert "n" not in names  # of the program that was rehearsed
