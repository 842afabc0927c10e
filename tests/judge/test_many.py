"""Many programs at once: batches of tests, order, threads, event loops, back-pressure."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coderlplus.errors import DataError, SandboxError
from coderlplus.judge import Judge
from coderlplus.judge.program import judge_program
from coderlplus.records import CallTest, Limits, Problem, Rollout, StdioTest, Verdict
from coderlplus.sandbox import Job, Outcome, Sandbox

LIMITS = Limits(cpu_s=0.5, wall_s=3, memory_mb=128, output_kb=64)
FORTY = Problem(
    problem_id="p", statement="", tests=tuple(CallTest((n,), 2 * n) for n in range(40)), entry_point="f", limits=LIMITS
)


def rollout(program: str, rollout_id: str = "r", problem_id: str = "p") -> Rollout:
    return Rollout(rollout_id=rollout_id, problem_id=problem_id, program=program)


def sizes_of_batches(
    judge: Judge, problem: Problem, program: str, *, all_tests: bool = False
) -> tuple[Verdict, list[int]]:
    sizes = []

    def judged(execute: Callable[[Job], Outcome]) -> Verdict:
        def counted(job: Job) -> Outcome:
            sizes.append(len(job.payload.get("calls", job.payload.get("stdins", ()))))
            return execute(job)

        return judge_program(counted, problem, program, all_tests)

    return judge.sandbox.call(judged).result(), sizes


ECHO = Problem(problem_id="p", statement="", tests=tuple(StdioTest(f"{n}", f"{n}") for n in range(40)), limits=LIMITS)


def test_all_calls_run_in_one_process_after_the_first_eight(judge: Judge) -> None:
    verdict, sizes = sizes_of_batches(judge, FORTY, "def f(n): return 2 * n")
    assert verdict.passed
    assert sizes == [8, 40]
    assert sizes_of_batches(judge, FORTY, "def f(n): return 2 * n", all_tests=True)[1] == [40]


def test_scripts_run_together_in_growing_batches(judge: Judge) -> None:
    verdict, sizes = sizes_of_batches(judge, ECHO, "print(input())")
    assert verdict.passed
    assert sizes == [8, 32]


def test_judging_stops_at_the_first_failure_which_of_a_script_runs_again_alone(judge: Judge) -> None:
    verdict, sizes = sizes_of_batches(judge, FORTY, "def f(n): return 2 * n if n != 3 else 0")
    assert (verdict.verdict, verdict.tests_passed) == ("wrong_answer", 3)
    assert sizes == [8]
    verdict, sizes = sizes_of_batches(judge, ECHO, "n = input()\nprint(n if n != '3' else 0)")
    assert (verdict.verdict, verdict.tests_passed) == ("wrong_answer", 3)
    assert sizes == [8, 1]


def test_all_tests_counts_every_test_that_passes(judge: Judge) -> None:
    verdict, sizes = sizes_of_batches(judge, FORTY, "def f(n): return 2 * n if n % 10 != 3 else 0", all_tests=True)
    assert (verdict.verdict, verdict.tests_passed, verdict.tests_total) == ("wrong_answer", 36, 40)
    assert verdict.first_failure is not None
    assert verdict.first_failure.index == 3
    assert sizes == [40]


@pytest.mark.parametrize(
    ("program", "verdict", "passed"),
    [
        ("def f(n): return 2 * n if n else 1 / 0", "runtime_error", 39),
        ("def f(n):\n    while n == 5: pass\n    return 2 * n", "time_limit", 39),
        ("import os\ndef f(n): return 2 * n if n not in (4, 30) else os._exit(0)", "runtime_error", 38),
        ("def f(n): return 2 * n if n != 9 else bytearray(10**10)", "memory_limit", 39),
        ("def f(n) return 2 * n", "syntax_error", 0),
        ("", "no_program", 0),
    ],
)
def test_all_tests_goes_on_after_any_kind_of_failure(judge: Judge, program: str, verdict: str, passed: int) -> None:
    result = judge.judge(FORTY, rollout(program), all_tests=True)
    assert (result.verdict, result.tests_passed) == (verdict, passed)


def test_a_fault_of_the_sandbox_is_the_verdict_also_after_a_wrong_answer() -> None:
    def execute(job: Job) -> Outcome:
        return Outcome(ending="fault", detail="gone", replies=({"value": -1},) * (len(job.payload["calls"]) == 40))

    assert judge_program(execute, FORTY, "def f(n): return -1", True).verdict == "sandbox_fault"


def test_a_program_that_fills_memory_over_many_tests_costs_each_test_once(judge: Judge) -> None:
    verdict, sizes = sizes_of_batches(
        judge, FORTY, "kept = []\ndef f(n):\n    kept.append(bytearray(40 << 20))\n    return 2 * n"
    )
    assert verdict.passed
    assert len(sizes) <= 41


def test_the_longest_goes_first_once_its_cost_is_known() -> None:
    order = []

    def note(execute: object, name: str) -> None:
        order.append(name)

    with Sandbox(workers=1) as sandbox:
        busy = sandbox.call(lambda execute: time.sleep(0.2))
        for name, weight in (("short", 0.1), ("long", 5.0), ("middle", 1.0)):
            last = sandbox.call(note, name, weight=weight)
        busy.result()
        sandbox.call(note, "end").result()
        last.result()
        judge = Judge(sandbox)
        slow = (
            "import time\nend = time.process_time() + 0.05\nwhile time.process_time() < end: pass\ndef f(n): "
            "return 2 * n"
        )
        quick = Problem(problem_id="q", statement="", tests=(CallTest((1,), 2),), entry_point="f")
        assert judge._costs.expected_cpu_s(FORTY) == 20
        judge.judge_many([(FORTY, rollout(slow)), (quick, rollout("def f(n): return 2 * n", "r", "q"))])
        assert judge._costs.expected_cpu_s(quick) < 0.05 < judge._costs.expected_cpu_s(FORTY) < 5
    assert order == ["long", "middle", "short", "end"]


def test_programs_that_hang_hold_up_no_others() -> None:
    hang = Problem(problem_id="h", statement="", tests=(StdioTest("", "1"),), limits=Limits(wall_s=100))
    pairs = [(hang, rollout(f"import time\ntime.sleep({200 + n})", f"hang {n}", "h")) for n in range(4)]
    pairs += [(FORTY, rollout(f"def f(n): return 2 * n  # {n}", f"good {n}")) for n in range(20)]
    with Sandbox(workers=2) as sandbox:
        verdicts = Judge(sandbox).judge_as_completed(pairs)
        assert {next(verdicts)[1].rollout_id for _ in range(20)} == {f"good {n}" for n in range(20)}


def test_threads_share_a_judge(judge: Judge) -> None:
    results: dict[int, list[int]] = {}

    def work(number: int) -> None:
        pairs = [(FORTY, rollout(f"def f(n): return 2 * n if n < {number + k} else -1", str(k))) for k in range(6)]
        results[number] = [verdict.tests_passed for verdict in judge.judge_many(pairs)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [number + k for k in range(6)] for number in range(5)}


def test_an_event_loop_judges_as_many_as_it_likes(judge: Judge) -> None:
    async def work() -> list[Verdict]:
        return await asyncio.gather(
            *(
                judge.judge_async(FORTY, rollout(f"def f(n): return 2 * n if n < {k} else -1", str(k)))
                for k in range(45)
            )
        )

    verdicts = asyncio.run(work())
    assert [verdict.rollout_id for verdict in verdicts] == [str(k) for k in range(45)]
    assert [verdict.tests_passed for verdict in verdicts] == [min(k, 40) for k in range(45)]


def test_an_event_loop_takes_no_more_than_are_in_flight() -> None:
    async def work(judge: Judge) -> int:
        tasks = [asyncio.create_task(judge.judge_async(FORTY, rollout(f"def f(n): return {k}"))) for k in range(200)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        most = len(judge.sandbox._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return most

    with Sandbox(workers=1) as sandbox:
        assert asyncio.run(work(Judge(sandbox))) <= 64


def test_errors_come_through_an_event_loop(judge: Judge) -> None:
    with pytest.raises(DataError, match="is of problem 'q'"):
        asyncio.run(judge.judge_async(FORTY, rollout("x", problem_id="q")))


def test_pairs_are_taken_no_faster_than_they_are_judged_also_when_they_repeat(judge: Judge) -> None:
    taken = []

    def pairs() -> Iterator[tuple[Problem, Rollout]]:
        for index in range(400):
            taken.append(index)
            yield FORTY, rollout("while True: pass", str(index))

    verdicts = judge.judge_as_completed(pairs())
    next(verdicts)
    assert len(taken) <= 128
    assert sum(1 for _ in verdicts) == 399


def test_an_iterator_that_is_left_stops_what_waits() -> None:
    with Sandbox(workers=1) as sandbox:
        verdicts = Judge(sandbox).judge_as_completed(
            (FORTY, rollout(f"def f(n): return {k}", str(k))) for k in range(60)
        )
        next(verdicts)
        verdicts.close()
        assert all(future.cancelled() for *_, (future, _) in sandbox._tasks)


def test_closing_the_sandbox_is_an_error_for_those_who_wait() -> None:
    sandbox = Sandbox(workers=1)
    judge = Judge(sandbox)
    threading.Timer(0.5, sandbox.close).start()
    with pytest.raises(SandboxError, match="closed"):
        judge.judge_many((FORTY, rollout(f"while True: pass  # {k}", str(k))) for k in range(50))


def test_ctrl_c_ends_everything() -> None:
    code = (
        "import sys; from coderlplus.judge import Judge; from coderlplus.records import *; from coderlplus.sandbox "
        "import Sandbox\n"
        "p = Problem(problem_id='p', statement='', tests=(StdioTest('', '1'),), limits=Limits(cpu_s=60, wall_s=60))\n"
        "with Sandbox(workers=2) as sandbox:\n"
        "    print(*sandbox.processes(), flush=True)\n"
        "    Judge(sandbox).judge_many((p, Rollout(rollout_id=str(k), problem_id='p', program=f'while True: pass  # "
        "{k}')) for k in range(9))\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    processes = [Path(f"/proc/{pid}") for pid in owner.stdout.readline().split()]
    time.sleep(0.5)
    owner.send_signal(signal.SIGINT)
    _, stderr = owner.communicate(timeout=20)
    assert "KeyboardInterrupt" in stderr
    assert owner.returncode != 0
    assert processes
    assert not any(process.exists() for process in processes)
