"""The tests of one kind of one problem: which job runs them, and what became of each.

A *batch* of tests runs in one process (test code that the examiner runs: in two). `read` says what the first tests of
the batch came to, in their order, and why the next one came to nothing. The expected values stay here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from coderlplus.judge.asserts import Call, Condition, Plan
from coderlplus.judge.batch import Reading, Runs
from coderlplus.judge.checkers import Acceptance, Refusal
from coderlplus.judge.company import cannot_tell
from coderlplus.judge.conversations import Conversations, Turn
from coderlplus.judge.expressions import Answered, Fails, Unclear, is_raised
from coderlplus.judge.failures import (
    DOES_NOT_HOLD,
    LIMITS,
    actual_of,
    asserted,
    at_fault,
    no_answer,
    not_compiled,
    raised,
    refused,
    returned,
    shown,
)
from coderlplus.judge.kept import key
from coderlplus.judge.repeatable import is_repeatable
from coderlplus.judge.replies import (
    Examined,
    Raised,
    Returned,
    read_examined,
    read_in_process,
    read_not_loaded,
    read_returned,
    read_script_end,
)
from coderlplus.judge.wire import MESSAGE_CHARS, has_shape, is_answer
from coderlplus.records import CallInput, CallTest, CheckTest, Failure, StdioInput, StdioTest
from coderlplus.records.test_code import read_test_code
from coderlplus.sandbox import Job, Outcome
from coderlplus.sandbox.text import as_bytes
from coderlplus.sandbox.values import is_plain


@dataclass(frozen=True)
class StdioRuns(Runs):
    acceptance: Acceptance

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        first, *others = [self._test(index).stdin for index in tests]
        return self._job("guest:run_stdio", {"program": self.program, "stdins": [None, *others]}, as_bytes(first))

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        results: list[Failure | None] = []
        start = 0
        over = self._over(tests[-1], outcome, self._given(tests[-1]))
        for test, reply in zip(tests, outcome.replies, strict=False):
            given, end = self._given(test), read_script_end(reply)
            if end is None:  # nobody knows where the next output begins
                found = read_not_loaded(reply)
                text = found.syntax_error if found else ""
                results.append(not_compiled(test, text, given) if text else no_answer(test, given))
                return Reading(tuple(results), over=over)
            if end.raised:
                results.append(raised(test, end.raised, given))
            elif end.exit_code:
                detail = f"exited with code {end.exit_code}"
                results.append(Failure(index=test, verdict="runtime_error", detail=detail, input=given))
            else:
                results.append(self._compared(test, outcome.stdout[start : end.stdout], end.in_thread))
            start = end.stdout
        if len(results) == len(tests):
            return Reading(tuple(results), over=over)
        test = tests[len(results)]
        if outcome.ending == "exited" and not outcome.exit_code:  # by os._exit
            return Reading((*results, self._compared(test, outcome.stdout[start:], None)))
        return Reading(tuple(results), self._ended(test, outcome, self._given(test)), over)

    def _compared(self, test: int, printed: bytes, in_thread: Raised | None) -> Failure | None:
        given, expected = self._given(test), self._test(test)
        actual = printed.decode("utf-8", "surrogateescape")
        refusal = self.acceptance.stdout(expected, actual)
        if refusal is None:
            return None
        if in_thread is not None:  # an exception that ends a thread does not count where the output is right
            return raised(test, in_thread, given)
        return refused(test, refusal, f"printed {shown(actual)}", shown(expected.stdout), given, actual_of(actual))

    def _given(self, index: int) -> StdioInput:
        return StdioInput(self._test(index).stdin)

    def _test(self, index: int) -> StdioTest:
        test = self.problem.tests[index]
        assert isinstance(test, StdioTest)
        return test


@dataclass(frozen=True)
class CallRuns(Runs):
    """Call tests, and test code of which it is known what it calls (`plans`, by test)."""

    acceptance: Acceptance
    plans: Mapping[int, Plan]

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        calls = [_arguments(call) for test in tests for call in self._calls(test)]
        goes_on = all_tests or any(self.plans[test].catches for test in tests if test in self.plans)
        return self._job("guest:run_calls", {"program": self.program, "calls": calls, "all": goes_on})

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        """Raises `Unclear` where only the examiner can say what planned test code comes to."""
        if self.plans and outcome.ending == "output_limit":  # between two processes answers travel one by one
            raise Unclear
        first = self.problem.tests[tests[0]]
        given = self._call(first.args, first.kwargs) if isinstance(first, CallTest) else None
        failure = self._not_loaded(tests[0], outcome, given)
        if failure is not None:
            return Reading((failure,))
        results: list[Failure | None] = []
        last = self._calls(tests[-1])[-1]
        over = self._over(tests[-1], outcome, self._call(last.args, last.kwargs))
        replies = iter(outcome.replies)
        for test in tests:
            failure, answers = None, list[Answered]()
            for call in self._calls(test):
                reply = next(replies, replies)
                if failure is not None:  # the examiner makes no call behind it
                    over = None if test == tests[-1] else over
                    continue
                if reply is replies:
                    stop = self._ended(test, outcome, self._call(call.args, call.kwargs))
                    return Reading(tuple(results), stop, over)
                try:
                    failure = self._failure(test, call, read_returned(reply), answers)
                except Unclear:
                    if any(results):  # the tests before are decided, and one has failed
                        return Reading(tuple(results))
                    raise
            results.append(failure)
        return Reading(tuple(results), over=over)

    def _failure(
        self, test: int, call: CallTest | Call, reply: Answered | None, answers: list[Answered]
    ) -> Failure | None:
        """What the answer to a call comes to, behind the `answers` to the calls of the test before it."""
        given = self._call(call.args, call.kwargs)
        if reply is None:
            return no_answer(test, given)
        if isinstance(reply, Raised) and (isinstance(call, CallTest) or not is_raised(reply, call.caught)):
            return raised(test, reply, given)
        if isinstance(call, CallTest):
            assert isinstance(reply, Returned)
            refusal = self.acceptance.value(call, reply.value) if reply.view is None else Refusal()
            return returned(test, refusal, call, reply.value, given)
        plan = self.plans[test]
        if isinstance(reply, Returned) and (
            (reply.truth is not None and not plan.looks_at(len(answers)))
            or (reply.view is not None and not is_plain(reply.value))
        ):
            raise Unclear  # the examiner asks for the items of an iterator, which may raise an exception or not travel
        answers.append(reply)
        for one in plan.conditions:
            if one.after == len(answers):
                failure = self._asserted(test, one, answers, given)
                if failure is not None:
                    return failure
        return None

    def _asserted(self, test: int, one: Condition, answers: list[Answered], given: CallInput) -> Failure | None:
        message, is_error = "", one.is_error
        try:
            if one.holds(answers):
                return None
        except Fails as fails:
            if not one.is_exact:
                raise
            message, is_error = f"{type(fails.error).__name__}: {str(fails.error)[:MESSAGE_CHARS]}", True
        answer = answers[-1]
        actual = None if isinstance(answer, Raised) else actual_of(answer.value)
        about = (self.problem, test, one.line)
        rest = (given, actual, _WORDS["error" if is_error else "assertion"])
        try:
            return asserted(*about, message or one.text(answers), *rest)
        except Unclear:
            raise Unclear(asserted(*about, "", *rest)) from None

    def _calls(self, test: int) -> Sequence[CallTest | Call]:
        found = self.problem.tests[test]
        return (found,) if isinstance(found, CallTest) else self.plans[test].calls


@dataclass(frozen=True)
class CheckRuns(Runs):
    """Tests that are code, apart from the program, and call tests among them."""

    acceptance: Acceptance | None = None
    """For call tests among them."""

    def run(self, execute: Callable[[Job], Outcome], tests: Sequence[int], all_tests: bool = False) -> Reading:
        """Where the examiner heard another program of the problem before, this one first gets the same calls
        (`conversations.py`)."""
        before = self._conversations(tests, all_tests)
        if before is None:
            return super().run(execute, tests, all_tests)
        reading = self._run_again(execute, tests, all_tests, before)
        if reading is None:
            outcome = execute(self.job(tests, all_tests))
            _keep(before, outcome)
            reading = self.read(tests, outcome)
        return reading

    def _run_again(
        self, execute: Callable[[Job], Outcome], tests: Sequence[int], all_tests: bool, before: Conversations
    ) -> Reading | None:
        """What these tests come to, as far as the calls that were made before can say."""
        calls = before.calls
        if not calls or not cannot_tell(self.program):  # whether an examiner is there
            return None
        outcome = execute(self._job("guest:serve_again", {"program": self.program, "calls": calls}))
        if failure := self._not_loaded(tests[0], outcome):
            return Reading((failure,))
        loaded, *answers = outcome.replies or (None,)
        turns: list[Turn] = list(zip(calls, answers, strict=False))
        is_whole = loaded is not None and len(answers) == len(calls)
        if outcome.ending in ("fault", "output_limit") or is_whole != (outcome.ending == "returned"):
            return None
        if loaded is None:
            return self.read(tests, replace(outcome, ending="returned", replies=({"end": "gone"},), peer=outcome))
        ends = before.ends(turns)
        if ends is None:
            if not all(is_answer(answer, call) for call, answer in turns):
                return None
            silent = [(call, None) for call in calls[len(turns) :][:1]]
            examined = execute(self._examination(tests, all_tests, [*turns, *silent]))
            ends = _keep(before, examined)
            if ends is None:
                said = read_examined(examined.replies[-1]) if examined.replies else None
                return self.read(tests, replace(examined, peer=outcome)) if said and said.end == "gone" else None
        if outcome.ending == "memory_limit":  # nobody knows in which call
            return None
        return self.read(tests, replace(outcome, ending="returned", replies=tuple(ends)))

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        return self._examination(tests, all_tests)

    def _examination(self, tests: Sequence[int], all_tests: bool, turns: Sequence[Turn] | None = None) -> Job:
        """The examiner with the program, or with what was said in these turns."""
        payload: dict[str, Any] = {"tests": self._asked(tests), "all": all_tests}
        if turns is not None:
            return self._job("examiner:examine", payload | {"conversation": turns})
        return self._job("examiner:examine", payload, peer=self._job("guest:serve", {"program": self.program}))

    def _asked(self, tests: Sequence[int]) -> list[dict[str, Any]]:
        found = [(index, self.problem.tests[index]) for index in tests]
        return [_arguments(test) if isinstance(test, CallTest) else self._code(index) for index, test in found]

    def _conversations(self, tests: Sequence[int], all_tests: bool) -> Conversations | None:
        problem, asked = self.problem, list[object]()
        for test in (problem.tests[index] for index in tests):
            if isinstance(test, CallTest):
                asked.append((test.args, test.kwargs))
                continue
            assert isinstance(test, CheckTest)
            code = read_test_code(test.code, problem.entry_point or "", problem.setup_code)
            if not is_repeatable(code.text, problem.setup_code, code.modules):
                return None
            asked.append(test.code)
        return Conversations(key(asked, all_tests, problem.setup_code, problem.entry_point, problem.limits))

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        results: list[Failure | None] = []
        peer = outcome.peer or outcome
        over = self._over(tests[-1], peer) or self._over(tests[-1], outcome)
        state = "setting up" if self.problem.setup_code else "loading"
        for reply in outcome.replies:
            if isinstance(reply, dict) and reply in _STATES:
                state = reply["at"]
                continue
            if has_shape(reply, {"turns": (list,)}):  # the last
                break
            test = tests[min(len(results), len(tests) - 1)]
            said = read_examined(reply)
            if said is None:
                return Reading(tuple(results), no_answer(test, None), over)
            if said.end == "not_loaded":
                return Reading((self._not_loaded(test, peer) or no_answer(test, None),))
            if said.end == "fault":
                return Reading(tuple(results), self._fault(test, said.message), over)
            if said.end == "gone":
                given = said.call and self._call(*said.call)
                stop = no_answer(test, given) if peer.ending == "returned" else self._ended(test, peer, given)
                return Reading(tuple(results), stop, over)
            results.append(self._failure(test, said))
            state = "loaded"
            if len(results) == len(tests):
                break
        if len(results) == len(tests) or (results and results[-1] and outcome.ending == "returned"):
            return Reading(tuple(results), over=over)
        test = tests[len(results)]
        if state in ("setting up", "loaded") and outcome.ending != "fault" and peer.ending in ("returned", "fault"):
            what = self._ended(test, outcome).detail
            return Reading(tuple(results), self._fault(test, f"before it called the program: {what}"))
        at_limit = peer if peer.ending in (*LIMITS, "fault") else outcome
        return Reading(tuple(results), self._ended(test, at_limit), over)

    def _fault(self, test: int, what: str) -> Failure:
        return Failure(index=test, verdict="sandbox_fault", detail=at_fault(self.problem, test, what))

    def _failure(self, test: int, said: Examined) -> Failure | None:
        wanted = self.problem.tests[test]
        if isinstance(wanted, CallTest) and said.end == "value" and said.value is not None:
            assert self.acceptance is not None
            (value,), given = said.value, self._call(wanted.args, wanted.kwargs)
            return returned(test, self.acceptance.value(wanted, value), wanted, value, given)
        if said.end == "passed":
            return None
        given_to = said.call and self._call(*said.call)
        if said.end == "raised" and said.raised:
            return raised(test, said.raised, given_to)
        line, message = None, said.message
        if said.raised:
            line, message = said.raised.test_line, said.raised.message
            message = message if said.end == "assertion" else f"{said.raised.name}: {message}"
        actual = None if said.value is None else actual_of(said.value[0])
        return asserted(self.problem, test, line, message, given_to, actual, _WORDS.get(said.end, "no result"))


@dataclass(frozen=True)
class InProcessRuns(Runs):
    """The weaker way: tests that are code, in the process of the program."""

    def job(self, tests: Sequence[int], all_tests: bool = False) -> Job:
        payload = {"program": self.program, "tests": [self._code(test) for test in tests], "all": all_tests}
        return self._job("guest:check_in_process", payload)

    def read(self, tests: Sequence[int], outcome: Outcome) -> Reading:
        failure = self._not_loaded(tests[0], outcome)
        if failure is not None:
            return Reading((failure,))
        ends = zip(tests, map(read_in_process, outcome.replies), strict=False)
        results = tuple(self._failure(test, said) for test, said in ends)
        if len(results) == len(tests):
            return Reading(results, over=self._over(tests[-1], outcome))
        return Reading(results, self._ended(tests[len(results)], outcome), self._over(tests[-1], outcome))

    def _failure(self, test: int, said: Examined | None) -> Failure | None:
        if said is None:
            return no_answer(test, None)
        if said.end == "passed" or said.raised is None:
            return None
        if said.end == "raised":
            return raised(test, said.raised, None)
        return asserted(self.problem, test, said.raised.test_line, said.raised.message, None, None)


def _keep(conversations: Conversations, outcome: Outcome) -> list[Any] | None:
    """How the tests ended in a conversation that came to its end, as the examiner replied; it is kept."""
    *replies, told = outcome.replies or (None,)
    are_returned = outcome.ending == "returned" and (outcome.peer is None or outcome.peer.ending == "returned")
    if not are_returned or not has_shape(told, {"turns": (list,)}):
        return None
    turns = told["turns"]
    if not turns or not all(type(turn) is list and len(turn) == 2 for turn in turns):
        return None
    ends = [reply for reply in replies if "end" in reply]
    if any(end["end"] == "error" and end["raised"] in _OF_SPACE for end in ends):
        return None
    conversations.keep(turns, ends)
    return ends


_STATES = ({"at": "loading"}, {"at": "loaded"}, {"at": "called"})
_OF_SPACE = ("MemoryError", "RecursionError")
"""What test code raises where little memory or stack is left: less of both where a conversation is repeated."""
_WORDS = {
    "assertion": DOES_NOT_HOLD,
    "error": "the test could not use the result",
    "not_data": "the result is not plain data",
}


def _arguments(call: CallTest | Call) -> dict[str, Any]:
    return {"args": list(call.args), "kwargs": dict(call.kwargs)}
