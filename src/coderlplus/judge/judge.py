"""Programs → verdicts. The decision is made here, outside the sandbox; a program may claim values, never a verdict."""

from __future__ import annotations

import hashlib
import queue
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from coderlplus.errors import CodeRLPlusError, DataError, SandboxError
from coderlplus.judge.program import judge_program
from coderlplus.records import Failure, Problem, Rollout, Verdict
from coderlplus.sandbox import AnySandbox, Job, Outcome
from coderlplus.terminal import tell_defect

if TYPE_CHECKING:
    import asyncio
_IN_FLIGHT = 64
"""Programs taken ahead for each worker: among them the longest is run first."""
_REMEMBERED = 4096
"""Verdicts kept for programs that come again, and problems whose cost is kept."""


class Judge:
    """Judges programs in a sandbox. Can be shared between threads and event loops.

    Programs wait in one queue, longest first: by the mean CPU time of earlier programs of the problem or, without any,
    by the time limits of its tests.

    >>> from coderlplus import CallTest, open_sandbox
    >>> problem = Problem(problem_id="p", statement="Double x.", entry_point="f", tests=(CallTest((2,), 4),))
    >>> texts = {"good": "def f(x): return 2 * x", "bad": "def f(x): return x"}
    >>> with open_sandbox(workers=1) as sandbox:
    ...     verdicts = Judge(sandbox).judge_many(
    ...         (problem, Rollout(rollout_id=name, problem_id="p", program=text)) for name, text in texts.items()
    ...     )
    >>> [verdict.verdict for verdict in verdicts]
    ['passed', 'wrong_answer']
    """

    def __init__(self, sandbox: AnySandbox) -> None:
        self.sandbox = sandbox
        self._costs = _Costs()
        self._places: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._places = weakref.WeakKeyDictionary()

    def judge(self, problem: Problem, rollout: Rollout, *, all_tests: bool = False) -> Verdict:
        """The verdict on one program. Judging stops at the first failure; with `all_tests` every test is run, and
        `tests_passed` counts all passes.

        Raises `DataError` for a rollout of another problem or a problem with an unknown checker, and
        `SandboxError` if the sandbox is closed or cannot start.
        """
        verdict = _result(self._start(problem, _program(problem, rollout), all_tests))
        return replace(verdict, rollout_id=rollout.rollout_id)

    async def judge_async(self, problem: Problem, rollout: Rollout, *, all_tests: bool = False) -> Verdict:
        """`judge` for an event loop, for any number of concurrent programs; those beyond the queue's length wait
        here."""
        import asyncio  # not at once, as it loads what no other way of judging needs

        program = _program(problem, rollout)
        loop = asyncio.get_running_loop()
        if loop not in self._places:
            self._places[loop] = asyncio.Semaphore(_IN_FLIGHT * self.sandbox.workers)
        async with self._places[loop]:
            future = self._start(problem, program, all_tests)
            try:
                verdict: Verdict = await asyncio.wrap_future(future)
            except asyncio.CancelledError:
                if future.cancelled() and not asyncio.current_task().cancelling():  # type: ignore[union-attr]
                    raise SandboxError(_CLOSED) from None
                raise
        return replace(verdict, rollout_id=rollout.rollout_id)

    def judge_many(self, pairs: Iterable[tuple[Problem, Rollout]], *, all_tests: bool = False) -> list[Verdict]:
        """The verdicts, in order. Raises as `judge` does."""
        verdicts = dict(self.judge_as_completed(pairs, all_tests=all_tests))
        return [verdicts[index] for index in range(len(verdicts))]

    def judge_as_completed(
        self, pairs: Iterable[tuple[Problem, Rollout]], *, all_tests: bool = False
    ) -> Iterator[tuple[int, Verdict]]:
        """Yield (index, verdict) in order of completion. Pairs are consumed no faster than they are judged. A program
        that was judged before for the same problem, among the last few thousand, is not run again. Raises as `judge`
        does."""
        done: queue.SimpleQueue[_Key] = queue.SimpleQueue()
        running: dict[_Key, _Running] = {}
        known: OrderedDict[_Key, tuple[Problem, Verdict]] = OrderedDict()
        pending = 0

        def finished() -> Iterator[tuple[int, Verdict]]:
            nonlocal pending
            key = done.get()
            run = running.pop(key)
            verdict = _result(run.future)
            if verdict.verdict != "sandbox_fault":
                known[key] = run.problem, verdict
            if len(known) > _REMEMBERED:
                known.popitem(last=False)
            pending -= len(run.waiting)
            for index, rollout_id in run.waiting:
                yield index, replace(verdict, rollout_id=rollout_id)

        try:
            for index, (problem, rollout) in enumerate(pairs):
                program = _program(problem, rollout)
                key = _key(problem, program)
                if key in known and known[key][0] == problem:
                    yield index, replace(known[key][1], rollout_id=rollout.rollout_id)
                    continue
                if key in running and running[key].problem != problem:
                    key = (*key, str(index))
                if key not in running:
                    running[key] = _Running(problem, self._start(problem, program, all_tests))
                    running[key].future.add_done_callback(lambda _, key=key: done.put(key))  # type: ignore[misc]
                running[key].waiting.append((index, rollout.rollout_id))
                pending += 1
                while pending >= _IN_FLIGHT * self.sandbox.workers or not done.empty():
                    yield from finished()
            while running:
                yield from finished()
        finally:
            for run in running.values():
                run.future.cancel()

    def _start(self, problem: Problem, program: str | None, all_tests: bool) -> Future[Verdict]:
        future: Future[Verdict] = self.sandbox.call(
            _judged, problem, program, all_tests, weight=self._costs.expected_cpu_s(problem)
        )
        future.add_done_callback(self._costs.learn)
        return future


_Key = tuple[str, ...]
_CLOSED = "the sandbox was closed before the program was judged; create a new one"


@dataclass(slots=True)
class _Running:
    """A program that is being judged, and what waits for its verdict: pairs (index, rollout id)."""

    problem: Problem
    future: Future[Verdict]
    waiting: list[tuple[int, str]] = field(default_factory=list)


class _Costs:
    """CPU seconds that the programs of a problem took, as a running mean. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cpu_s: OrderedDict[str, float] = OrderedDict()

    def expected_cpu_s(self, problem: Problem) -> float:
        known = self._cpu_s.get(problem.problem_id)
        return problem.limits.cpu_s * len(problem.tests) if known is None else known

    def learn(self, future: Future[Verdict]) -> None:
        if future.cancelled() or future.exception() is not None:
            return
        verdict = future.result()
        with self._lock:
            before = self._cpu_s.pop(verdict.problem_id, verdict.cpu_s)
            self._cpu_s[verdict.problem_id] = before + (verdict.cpu_s - before) / 4
            if len(self._cpu_s) > _REMEMBERED:
                self._cpu_s.popitem(last=False)


def _program(problem: Problem, rollout: Rollout) -> str | None:
    if rollout.problem_id != problem.problem_id:
        raise DataError(
            f"rollout {rollout.rollout_id!r} is of problem {rollout.problem_id!r}, not of {problem.problem_id!r}"
        )
    if rollout.completion is None:
        return rollout.program
    from coderlplus.programs import extract_program  # not at once, as many judge programs that they have already

    return extract_program(rollout.completion, problem.entry_point, starter_code=problem.starter_code)


def _judged(execute: Callable[[Job], Outcome], problem: Problem, program: str | None, all_tests: bool) -> Verdict:
    """The verdict on a program; `sandbox_fault`, reported once, if coderlplus itself fails on it, so that the other
    programs are judged."""
    try:
        return judge_program(execute, problem, program, all_tests)
    except CodeRLPlusError:
        raise
    except Exception as error:
        tell_defect(f"a program of problem {problem.problem_id!r}", error)
        detail = f"{type(error).__name__} in the judge: {error}"[:300]
        failure = Failure(index=0, verdict="sandbox_fault", detail=detail)
        return Verdict(
            rollout_id="",
            problem_id=problem.problem_id,
            verdict="sandbox_fault",
            tests_passed=0,
            tests_total=len(problem.tests),
            first_failure=failure,
        )


def _key(problem: Problem, program: str | None) -> _Key:
    if program is None:
        return (problem.problem_id,)
    return problem.problem_id, hashlib.blake2b(program.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _result(future: Future[Verdict]) -> Verdict:
    try:
        return future.result()
    except CancelledError:
        raise SandboxError(_CLOSED) from None
