"""The memory limit counts what a program fills on top of the interpreter, in whatever way it does so, and the verdict
says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from coderlplus.judge import Judge
from coderlplus.records import Limits, Problem, Rollout, StdioTest, Verdict
from coderlplus.sandbox import Sandbox

LIMITS = Limits(cpu_s=10, wall_s=60, memory_mb=128)
numpy = pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="numpy is not installed")


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Sandbox(workers=1) as sandbox:
        yield Judge(sandbox)


def verdict_on(judge: Judge, program: str) -> Verdict:
    problem = Problem(problem_id="p", statement="", tests=(StdioTest("3\n", "6\n"),), limits=LIMITS)
    return judge.judge(problem, Rollout(rollout_id="r", problem_id="p", program=program))


@pytest.mark.parametrize(
    "program",
    [
        "x = bytearray(10**9)",
        "x = []\nwhile True: x.append(bytes(10**6))",
        "x = bytearray(150 * 10**6)\nprint(6)",
        "import threading\ndef main():\n    x = bytearray(10**9)\n    print(6)\nt = threading.Thread(target=main); "
        "t.start(); t.join()",
        "import threading\nx = []\ndef main():\n    while True: x.append(bytes(10**6))\nt = "
        "threading.Thread(target=main); t.start(); t.join()",
        "import threading\nx = []\ndef main():\n    for _ in range(20): x.append(b'x' * 10**6)\n"
        "threads = [threading.Thread(target=main) for _ in range(10)]\nfor t in threads: t.start()\nfor t in "
        "threads: t.join()\nprint(6)",
        "import threading, time\nthreading.stack_size(65536)\n"
        "for _ in range(5000): threading.Thread(target=time.sleep, args=(9,), "
        "daemon=True).start()\ntime.sleep(9)\nprint(6)",
        "import mmap\nx = mmap.mmap(-1, 200 * 10**6)\nx[:] = bytes(len(x))\nprint(6)",
        pytest.param("import numpy\nx = numpy.ones(10**9)\nprint(6)", marks=numpy),
        pytest.param("import numpy\nx = [numpy.ones(10**6) for _ in range(40)]\nprint(6)", marks=numpy),
    ],
)
def test_beyond_the_limit(judge: Judge, program: str) -> None:
    assert verdict_on(judge, program).verdict == "memory_limit"


@pytest.mark.parametrize(
    "program",
    [
        "x = bytearray(100 * 10**6)\nprint(int(input()) * 2)",
        "import threading\nx = []\ndef main(): x.append(b'x' * 10**7)\n"
        "threads = [threading.Thread(target=main) for _ in range(8)]\nfor t in threads: t.start()\n"
        "for t in threads: t.join()\nprint(int(input()) * 2)",
        "import threading, sys\nsys.setrecursionlimit(10**6)\nthreading.stack_size(256 << 20)\n"
        "def f(n): return 0 if n == 0 else 1 + f(n - 1)\n"
        "def main(): print(f(5000) - 5000 + int(input()) * 2)\nt = threading.Thread(target=main); t.start(); t.join()",
        pytest.param("import numpy\nx = numpy.ones(10**7)\nprint(int(x[0]) * int(input()) * 2)", marks=numpy),
        "import threading\nbarrier = threading.Barrier(65)\nfor _ in range(64): "
        "threading.Thread(target=barrier.wait).start()\n"
        "barrier.wait(); print(int(input()) * 2)",
        "try: x = bytearray(10**10)\nexcept MemoryError: print(int(input()) * 2)",
    ],
)
def test_within_the_limit(judge: Judge, program: str) -> None:
    verdict = verdict_on(judge, program)
    assert verdict.passed, verdict.first_failure


def test_an_exception_that_ends_a_thread_is_named_where_the_output_is_wrong(judge: Judge) -> None:
    verdict = verdict_on(judge, "import threading\ndef main(): print(1 // 0)\nthreading.Thread(target=main).start()")
    assert verdict.verdict == "runtime_error"
    assert verdict.first_failure is not None
    assert "ZeroDivisionError" in verdict.first_failure.detail
    assert "(line 2)" in verdict.first_failure.detail


def test_an_exception_that_ends_a_thread_does_not_count_where_the_output_is_right(judge: Judge) -> None:
    assert verdict_on(
        judge, "import threading\nprint(int(input()) * 2)\nthreading.Thread(target=lambda: 1 // 0).start()"
    ).passed
