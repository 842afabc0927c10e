"""Random bytes as programs and as replies: every program gets a verdict, none of them a pass or a fault, and honest
ones still pass.

    python bench/judge_fuzz.py [--programs 20000] [--seed 0]

A third of the programs are random bytes, a third are working programs with bytes changed, taken away or put in, a
third write random bytes, damaged replies or damaged messages to every file descriptor that they have, after they have
treated these descriptors in random ways. These end by themselves or let their first thread end.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from coderlplus.judge import Judge
from coderlplus.records import CallTest, CheckTest, Limits, Problem, Rollout, StdioTest, Test
from coderlplus.sandbox import Sandbox

SECRET = 977_231
LIMITS = Limits(cpu_s=0.5, wall_s=3, memory_mb=64, output_kb=64)
TESTS: dict[str, Test] = {
    "stdio": StdioTest("3", str(SECRET)),
    "call": CallTest((3,), SECRET),
    "literal": CheckTest(f"assert f(3) == {SECRET}"),
    "planned": CheckTest(f"for n in [3]:\n    assert f(n) == {SECRET}"),
    "expected": CheckTest(f"try:\n    f(3)\n    assert 0\nexcept LookupError as e:\n    assert str(e) == '{SECRET}'"),
    "unittest": CheckTest(
        f"import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f(3), {SECRET})"
    ),
    "examined": CheckTest(f"import operator\nassert operator.eq(f(3), {SECRET})"),
}
PROBLEMS = [
    Problem(problem_id=kind, statement="", tests=(test,), entry_point="f", limits=LIMITS)
    for kind, test in TESTS.items()
]
HONEST = Problem(problem_id="honest", statement="", tests=(StdioTest("3", "6"),), limits=LIMITS)
PACKAGE = Path(__file__).parents[1] / "src" / "coderlplus"
SOURCES = [path.read_text(encoding="utf-8") for path in sorted((PACKAGE / "sandbox").glob("*.py"))]
REPLIES = [
    '{"value":1}',
    '{"end":"passed","call":null}',
    '{"stdout":3,"exit_code":0}',
    '{"raised":"E","message":"m","line":1}',
    "end",
    "memory",
    "[" * 500,
]


ACTIONS = [
    "os.ftruncate(fd, {number})",
    "os.lseek(fd, {number}, 0)",
    "os.dup2(fd, {other})",
    "os.dup2({other}, fd)",
    "os.close(fd)",
    "os.set_blocking(fd, False)",
    "fcntl.fcntl(fd, {other}, {number})",
    "socket.socket(fileno=os.dup(fd)).shutdown(2)",
    "os.read(fd, 100) if fd != {other} else None",
    "select.epoll().register(fd)",
]
FIRST_THREAD_ENDS = (
    "threading.Thread(target=lambda: (time.sleep(0.01), os._exit(0))).start()\n"
    f"ctypes.CDLL(None).syscall({60 if platform.machine() == 'x86_64' else 93}, 0)"
)


def treatment(chance: random.Random) -> str:
    """Statements that do something to every descriptor."""
    lines = ["import ctypes, fcntl, os, select, socket, threading, time"]
    for _ in range(chance.randint(0, 3)):
        action = chance.choice(ACTIONS).format(
            number=chance.choice([0, 1, 1 << 20, 1 << 40]), other=chance.randrange(10)
        )
        lines.append(
            f"for fd in range({chance.randint(0, 8)}, 20):\n    try: {action}\n    except (OSError, ValueError): pass"
        )
    return "\n".join(lines)


def damaged(chance: random.Random, text: str) -> str:
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(text) + 1)
        text = (
            text[:place]
            + chance.choice(["", chr(chance.randrange(256)), "\x00", "\ud800", "[" * 9])
            + text[place + chance.randint(0, 3) :]
        )
    return text


def programs(count: int, seed: int) -> Iterator[tuple[Problem, Rollout]]:
    chance = random.Random(seed)
    for serial in range(count):
        problem = chance.choice(PROBLEMS)
        way = serial % 3
        if serial % 100 == 99:
            problem, text = HONEST, f"print(int(input()) * 2)  # {serial}"
        elif way == 0:
            text = chance.randbytes(chance.randint(1, 400)).decode("latin-1")
        elif way == 1:
            source = chance.choice(SOURCES)
            start = chance.randrange(len(source))
            text = damaged(chance, source[start : start + chance.randint(20, 3000)])
        else:
            lines = [
                damaged(chance, chance.choice(REPLIES)) if chance.random() < 0.8 else chance.choice(REPLIES)
                for _ in range(3)
            ]
            texts = [line.encode("utf-8", "surrogatepass") for line in lines]
            framed = b"".join(
                struct.pack("I", max(0, len(text) + chance.choice([0, 0, 0, -1, 1, 1 << 26]))) + text for text in texts
            )
            data = chance.choice([chance.randbytes(200), b"\n".join(texts) + b"\n", framed])
            end = FIRST_THREAD_ENDS if chance.random() < 0.1 else f"os._exit({chance.randint(0, 3)})"
            writes = f"for fd in range(20):\n    try: os.write(fd, {data!r})\n    except OSError: pass"
            text = f"{treatment(chance)}\n{writes}\n{end}"
        yield problem, Rollout(rollout_id=json.dumps([serial, text]), problem_id=problem.problem_id, program=text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    verdicts: Counter[str] = Counter()
    bad = 0
    with Sandbox() as sandbox:
        for _, verdict in Judge(sandbox).judge_as_completed(programs(settings.programs, settings.seed)):
            verdicts[verdict.verdict] += 1
            if verdict.verdict == "sandbox_fault" or verdict.passed != (verdict.problem_id == "honest"):
                bad += 1
                print(f"{verdict.verdict} ({verdict.first_failure}) for {verdict.rollout_id}", file=sys.stderr)
    print(f"{sum(verdicts.values())} programs: {dict(verdicts.most_common())}; {bad} wrong")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
