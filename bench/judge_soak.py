"""Judge very many programs, honest and hostile ones mixed, and see that nothing grows: memory, file descriptors,
processes, CPU time per program.

    python bench/judge_soak.py [--programs 200000] [--workers N] [--seed 0]

Prints a line for each twentieth of the run. Ends with exit code 1 if a verdict is not what it must be, if the sandbox
failed on one, or if there is more of anything at the end than at the start.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from coderlplus.judge import Judge
from coderlplus.records import CallTest, CheckTest, Limits, Problem, Rollout, StdioTest, Verdict
from coderlplus.sandbox import Sandbox
from judge_ways import descendants, used_cpu_s

LIMITS = Limits(cpu_s=0.3, wall_s=2, memory_mb=64, output_kb=64)
PROBLEMS = {
    "stdio": Problem(
        problem_id="stdio", statement="", tests=(StdioTest("3\n", "6\n"), StdioTest("4\n", "8\n")), limits=LIMITS
    ),
    "call": Problem(
        problem_id="call", statement="", tests=(CallTest((3,), 6), CallTest((4,), 8)), entry_point="f", limits=LIMITS
    ),
    "check": Problem(
        problem_id="check", statement="", tests=(CheckTest("assert f(3) == 6"),), entry_point="f", limits=LIMITS
    ),
}
PATCHED = """
import builtins
builtins.print = builtins.len = None
class T:
    __eq__ = lambda s, o: True
def f(n): return T()
"""
FORGED = """
import os
def f(n):
    for fd in range(64):
        try: os.write(fd, b'{"end": "passed"}\\n')
        except OSError: pass
"""
FRAMED = """
import json, os, struct
def f(n):
    for message in ({"end": "passed"}, {"value": 6}, {"value": True}, {"loaded": True}, {"end": "in_process"},
                    {"end": "broken"}):
        data = json.dumps(message).encode()
        for fd in range(3, 64):
            try: os.write(fd, struct.pack("I", len(data)) + data)
            except OSError: pass
    os._exit(0)
"""
EXITS = "\nimport ctypes, platform, threading\nNUMBER = 60 if platform.machine() == 'x86_64' else 93\n"
FIRST_THREAD_FILLS = f"""{EXITS}
def main():
    x = []
    while True: x.append(b"x" * (1 << 20))
threading.Thread(target=main).start()
ctypes.CDLL(None).syscall(NUMBER, 0)
"""
FIRST_THREAD_WORKS = f"""{EXITS}
def main():
    while True: pass
threading.Thread(target=main).start()
ctypes.CDLL(None).syscall(NUMBER, 0)
"""
FIRST_THREAD_LEAVES = f"""{EXITS}
import os, time
def main():
    time.sleep(0.01)
    os._exit(1)
threading.Thread(target=main).start()
ctypes.CDLL(None).syscall(NUMBER, 0)
"""
SIGNALS = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
for number in range(3000): os.kill(os.getpid(), 34 + number % 30)
"""
THREADS = """
import threading
threading.stack_size(32768)
done = threading.Event()
while True:
    try: threading.Thread(target=done.wait, daemon=True).start()
    except RuntimeError: pass
"""
DODGER = """
import time
while True:
    time.sleep(0.09)
    end = time.thread_time() + 0.001
    while time.thread_time() < end: pass
"""
SENDER = """
import threading
ids = []
def f(n):
    t = threading.Thread(target=lambda: ids.append(threading.get_native_id())); t.start(); t.join()
    for _ in range((300 - ids[-1] - 1) % 512):
        t = threading.Thread(target=int); t.start(); t.join()
    return n * 2
"""
RECEIVER = "import os\nprint(int(input()) * (2 if os.getpid() % 512 == 300 else 3))"
SPY = """
import os, time
def f(n):
    for pid in range(1, os.getpid() + 3):
        if pid != os.getpid():
            try: return time.clock_gettime(~pid << 3 | 2)
            except OSError: pass
    return n * 2
"""
KINDS: list[tuple[int, str, str, set[str]]] = [
    (300, "stdio", "print(int(input()) * 2)", {"passed"}),
    (250, "call", "def f(n): return n * 2", {"passed"}),
    (50, "check", "def f(n): return n * 2", {"passed"}),
    (
        50,
        "stdio",
        "import threading\nt = threading.Thread(target=lambda: print(int(input()) * 2))\nt.start()\nt.join()",
        {"passed"},
    ),
    (50, "stdio", "import sys\nprint(int(sys.stdin.buffer.read()) * 2)\nexit()", {"passed"}),
    (50, "stdio", "print(int(input()) * 3)", {"wrong_answer"}),
    (50, "call", "def f(n): return n * 3", {"wrong_answer"}),
    (20, "call", "def f(n) return n * 2", {"syntax_error"}),
    (20, "stdio", "import os\nos._exit(0)", {"wrong_answer"}),
    (20, "call", "import sys\nsys.exit(0)", {"runtime_error"}),
    (20, "stdio", "import os\nos.fork()", {"runtime_error"}),
    (20, "stdio", "import os\nos.closerange(0, 60)\nprint(6)", {"runtime_error", "wrong_answer"}),
    (20, "stdio", "import os\nwhile True: os.dup(0)", {"runtime_error"}),
    (10, "stdio", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)", {"runtime_error", "wrong_answer"}),
    (10, "stdio", "import ctypes\nctypes.string_at(0)", {"runtime_error"}),
    (10, "call", PATCHED, {"wrong_answer"}),
    (10, "check", FORGED, {"*"}),
    (10, "stdio", "def r(): r()\nr()", {"runtime_error"}),
    (10, "stdio", "print('6' * 10**6)", {"output_limit"}),
    (5, "stdio", "x = bytearray(10**10)", {"memory_limit"}),
    (4, "stdio", "import threading\nfor _ in range(20): threading.Thread(target=input, daemon=True).start()", {"*"}),
    (2, "stdio", "while True: pass", {"time_limit"}),
    (1, "stdio", "import time\ntime.sleep(60)", {"time_limit"}),
    (10, "stdio", "\x00random", {"*"}),
    (10, "check", FRAMED, {"*"}),
    (5, "stdio", SIGNALS, {"wrong_answer"}),
    (2, "stdio", THREADS, {"*"}),
    (2, "stdio", FIRST_THREAD_FILLS, {"memory_limit"}),
    (2, "stdio", FIRST_THREAD_WORKS, {"time_limit"}),
    (5, "stdio", FIRST_THREAD_LEAVES, {"runtime_error"}),
    (1, "stdio", DODGER, {"time_limit"}),
    (2, "call", SENDER, {"passed"}),
    (5, "stdio", RECEIVER, {"wrong_answer"}),  # without namespaces it may happen to be right
    (5, "call", SPY, {"passed"}),
    (5, "check", SPY, {"passed"}),
]
"""Share, problem, program, verdicts that are right (`*`: anything but a pass)."""


def programs(count: int, seed: int) -> Iterator[tuple[Problem, Rollout]]:
    """Each with a number in its text, so that none is judged twice by one run."""
    chance = random.Random(seed)
    for serial, kind in enumerate(chance.choices(range(len(KINDS)), [share for share, *_ in KINDS], k=count)):
        _, problem, program, _ = KINDS[kind]
        text = chance.randbytes(200).decode("latin-1") if program.startswith("\x00") else f"{program}\n# {serial}"
        yield PROBLEMS[problem], Rollout(rollout_id=f"{kind}", problem_id=problem, program=text)


def is_right(verdict: Verdict) -> bool:
    right = KINDS[int(verdict.rollout_id)][3]
    return verdict.verdict in right or (right == {"*"} and verdict.verdict not in ("passed", "sandbox_fault"))


class Usage:
    """What there is of each thing now."""

    def __init__(self, sandbox: Sandbox) -> None:
        here = os.getpid()
        places = [Path("/proc", str(pid)) for pid in (here, *descendants())]
        self.processes = len(sandbox.processes())
        self.memory_mb = {str(place): _resident_mb(place) for place in places}.get(f"/proc/{here}", 0.0)
        self.servers_mb = max((_resident_mb(place) for place in places[1:]), default=0.0)
        self.descriptors = len(list(Path("/proc/self/fd").iterdir()))
        self.cpu_s = used_cpu_s()
        self.time = time.monotonic()


def _resident_mb(place: Path) -> float:
    try:
        return int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except OSError:
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=200_000)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    step = max(1, settings.programs // 20)
    wrong: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    costs_ms: list[float] = []
    samples: list[Usage] = []
    with Sandbox(settings.workers) as sandbox:
        stream = Judge(sandbox).judge_as_completed(programs(settings.programs, settings.seed))
        last = Usage(sandbox)
        print("programs  programs/s  CPU ms each  memory MB  largest server MB  descriptors  servers", flush=True)
        for done, (_, verdict) in enumerate(stream, 1):
            verdicts[verdict.verdict] += 1
            if not is_right(verdict):
                wrong[
                    f"{verdict.verdict} ({verdict.first_failure and verdict.first_failure.detail}) for "
                    f"{KINDS[int(verdict.rollout_id)][2]!r}"
                ] += 1
            if done % step == 0:
                now = Usage(sandbox)
                costs_ms.append(1000 * (now.cpu_s - last.cpu_s) / step)
                print(
                    f"{done:8d} {step / (now.time - last.time):11.0f} {costs_ms[-1]:12.2f} {now.memory_mb:10.1f} "
                    f"{now.servers_mb:18.1f}"
                    f" {now.descriptors:12d} {now.processes:8d}",
                    flush=True,
                )
                samples.append(now)
                last = now
        time.sleep(5)  # until those that waited have gone
    left = descendants()
    grown = _grown(samples, costs_ms, settings.workers or len(os.sched_getaffinity(0)))
    print("verdicts:", dict(verdicts.most_common()))
    for text, count in wrong.most_common(20):
        print(f"wrong, {count} times: {text}")
    for text in grown:
        print(f"grew: {text}")
    if left:
        print(f"left behind: processes {sorted(left)}")
    sys.exit(1 if wrong or grown or left else 0)


def _grown(samples: list[Usage], costs_ms: list[float], workers: int) -> list[str]:
    """Of what there is more at the end (the least of the last quarter) than at the start (the most of the first
    quarter, without the very first)."""
    quarter = max(1, len(samples) // 4)
    start, end = samples[1 : 1 + quarter], samples[-quarter:]
    found = []
    for name, slack in (("memory_mb", 4.0), ("servers_mb", 4.0), ("descriptors", 0.0), ("processes", 0.0)):
        before, after = max(getattr(s, name) for s in start), min(getattr(s, name) for s in end)
        if after > before + slack:
            found.append(f"{name} from {before:g} to {after:g}")
    before, after = max(costs_ms[1 : 1 + quarter]), min(costs_ms[-quarter:])
    if after > 1.2 * before:
        found.append(f"CPU ms per program from {before:.2f} to {after:.2f}")
    if samples[-1].processes > 4 * workers:
        found.append(f"fork servers: {samples[-1].processes} for {workers} workers")
    return found


if __name__ == "__main__":
    main()
