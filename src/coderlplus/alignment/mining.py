"""From judged rollouts to alignment tasks.

The input of a task is the one on which the judge saw the program fail, and what the judge saw it give there counts as
one of the two runs that must agree, so mining adds one traced execution; a second one only for programs whose
functions are called more than a few times or in which chance may play a part, and for those whose result the judge did
not keep (passed, or too long to be asked for). Kinds that say so (`Kind.as_sampled`) are about the first test of the
problem instead.

A program that ended by exception makes tasks of the kinds that ask about such runs, one that ended at a limit makes
none. A program that mentions or reaches for what could falsify its trace makes none (`withheld`). Everything that is
left out is counted by reason, and the same rollouts, step and seed always give the same tasks.
"""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from coderlplus.alignment.facts import canonical, literal_calls
from coderlplus.alignment.kinds import KINDS
from coderlplus.alignment.prompts import parsed_shown_program
from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.alignment.tasks import Lineage, make_task
from coderlplus.errors import SandboxError
from coderlplus.programs import cyclomatic_complexity, normalized
from coderlplus.records import (
    Actual,
    AlignmentTask,
    CallInput,
    CallTest,
    CheckTest,
    Problem,
    ProgramInput,
    Rollout,
    StdioInput,
    StdioTest,
    Trace,
    Verdict,
)
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.protocol import check_can_trace
from coderlplus.terminal import tell_defect
from coderlplus.tracing import TraceRequest, trace_many

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JudgedRollout:
    """A rollout, its extracted program (`None` if there is none) and the verdict.

    >>> from coderlplus import Problem, Rollout, StdioTest, Verdict
    >>> problem = Problem(problem_id="p", statement="Print 1.", tests=(StdioTest("", "1"),))
    >>> rollout = Rollout(rollout_id="r", problem_id="p", completion="I do not know.")
    >>> verdict = Verdict(rollout_id="r", problem_id="p", verdict="no_program", tests_passed=0, tests_total=1)
    >>> JudgedRollout(problem, rollout, None, verdict).verdict.verdict
    'no_program'
    """

    problem: Problem
    rollout: Rollout
    program: str | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Mined:
    """New tasks; why the other rollouts made none; how many were traced."""

    tasks: list[AlignmentTask] = field(default_factory=list)
    rejects: Mapping[str, int] = field(default_factory=dict)
    traced: int = 0
    outcomes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Task id → rewards that samples of the batch earned on it (`AlignmentLoop.mine`; for the sampling `solvable`)."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    judged: JudgedRollout
    program: str
    input: ProgramInput
    kind: str
    seen: Actual | None
    question: str
    """See `same_question`."""
    tree: ast.Module | None
    """Of `program`; some 30 bytes a character, kept until its trace is there."""


def mine(
    sandbox: AnySandbox,
    judged: Sequence[JudgedRollout],
    *,
    settings: AlignmentConfig = AlignmentConfig(),  # noqa: B008  # frozen
    seed: int = 0,
    step: int = 0,
    prompt_fits: Callable[[str], bool] | None = None,
) -> Mined:
    """Make alignment tasks from the rollouts that `settings.source` selects.

    `prompt_fits` is an engine's filter by tokens. Reasons for rejection, in addition to those of `make_task`: `passed`
    and `failed` (not selected by the source), `sandbox_fault`, `no_program`, `syntax_error`, `time_limit`,
    `memory_limit`, `output_limit` (as judged), `exception` and `no_exception` (no kind in `settings.kinds` asks about
    a run that ended, or did not end, by an exception), `no_input` (it failed before it got an input), `too_long`,
    `too_complex`, `duplicate` (the same program and input as before, apart from comments and format), `over_budget`
    (more than `mine_per_step`), `trace_fault` (the sandbox failed), `error` (an internal error, reported on stderr).
    Raises `SandboxError` if the sandbox fails on all of them, or cannot trace.

    >>> from coderlplus import CallTest, Judge, Problem, Rollout, open_sandbox
    >>> problem = Problem(problem_id="p", statement="Double x.", entry_point="f", tests=(CallTest((2,), 4),))
    >>> program = "def f(x):\\n    y = x + 1\\n    return y * 3"
    >>> rollout = Rollout(rollout_id="r", problem_id="p", program=program)
    >>> with open_sandbox(workers=1) as sandbox:
    ...     verdict = Judge(sandbox).judge(problem, rollout)
    ...     tasks = mine(sandbox, [JudgedRollout(problem, rollout, program, verdict)]).tasks
    >>> [(target.label, target.value) for target in tasks[0].targets]
    [('y', 3), ('output', 9)]
    """
    rejects: Counter[str] = Counter()
    candidates: dict[str, _Candidate] = {}
    for item in judged:
        candidate = _or_error(item, _candidate, item, settings, seed)
        if isinstance(candidate, str):
            rejects[candidate] += 1
        elif candidates.setdefault(candidate.question, candidate) is not candidate:
            rejects["duplicate"] += 1
    chosen = list(candidates.values())
    if len(chosen) > settings.mine_per_step:
        rejects["over_budget"] = len(chosen) - settings.mine_per_step
        chosen = _spread(chosen, settings.mine_per_step, random.Random(f"{seed}/mine/{step}"))
    tasks: list[AlignmentTask] = []
    for candidate, trace in zip(chosen, _traces(sandbox, chosen), strict=True):
        if trace is None or isinstance(trace, str):
            rejects[trace or "trace_fault"] += 1
            continue
        task = _or_error(candidate.judged, _task, trace, candidate, settings, seed, step)
        if isinstance(task, str):
            rejects[task] += 1
        elif prompt_fits is not None and not prompt_fits(task.prompt):
            rejects["prompt_too_long"] += 1
        else:
            tasks.append(task)
    return Mined(tasks, dict(sorted(rejects.items())), len(chosen))


def _task(trace: Trace, candidate: _Candidate, settings: AlignmentConfig, seed: int, step: int) -> AlignmentTask | str:
    problem, rollout, verdict = candidate.judged.problem, candidate.judged.rollout, candidate.judged.verdict.verdict
    lineage = Lineage(problem_id=problem.problem_id, rollout_id=rollout.rollout_id, step=step, verdict=verdict)
    kind = _kind_for(trace, candidate, settings, seed)
    return make_task(
        trace, lineage, settings=settings, kind=kind, seed=seed, setup_code=problem.setup_code, tree=candidate.tree
    )


def _or_error(item: JudgedRollout, work: Callable[..., T | str], *arguments: Any) -> T | str:
    """What `work` makes of a rollout; the reason `error`, reported once, if coderlplus itself fails on it, so that it
    costs the other rollouts nothing."""
    try:
        return work(*arguments)
    except SandboxError:
        raise
    except Exception as error:
        tell_defect(f"rollout {item.rollout.rollout_id!r} of problem {item.problem.problem_id!r}", error)
        return "error"


def merged(parts: Sequence[Mined]) -> Mined:
    """What several processes mined of their shares of the samples, in the order of the samples, as if one had mined
    them all: of tasks with the same program and input the first is kept. Other reasons of rejection, `traced` and
    `mine_per_step` count for each process. Without `outcomes`.
    """
    tasks: dict[str, AlignmentTask] = {}
    rejects: Counter[str] = sum((Counter(part.rejects) for part in parts), Counter())
    for task in (task for part in parts for task in part.tasks):
        if tasks.setdefault(same_question(task.program, task.input), task) is not task:
            rejects["duplicate"] += 1
    return Mined(list(tasks.values()), dict(sorted(rejects.items())), sum(part.traced for part in parts))


def _spread(candidates: Sequence[_Candidate], count: int, rng: random.Random) -> list[_Candidate]:
    """`count` of the candidates at random, in their order: one of every problem first, then a second of each, …,
    because failures of one problem are much alike."""
    turns: dict[int, int] = {}
    taken: Counter[str] = Counter()
    for index in rng.sample(range(len(candidates)), len(candidates)):
        problem_id = candidates[index].judged.problem.problem_id
        turns[index] = taken[problem_id]
        taken[problem_id] += 1
    return [candidates[index] for index in sorted(sorted(turns, key=turns.__getitem__)[:count])]


def _candidate(judged: JudgedRollout, settings: AlignmentConfig, seed: int) -> _Candidate | str:
    """The program and input to trace and the kind to ask, or why it cannot be used."""
    verdict, problem = judged.verdict, judged.problem
    if verdict.verdict in ("sandbox_fault", "no_program", "syntax_error"):
        return verdict.verdict
    if settings.source == "failed" and verdict.passed:
        return "passed"
    if settings.source == "passed" and not verdict.passed:
        return "failed"
    failure = verdict.first_failure
    crashed = failure is not None and failure.verdict == "runtime_error"
    if failure is not None and failure.verdict not in ("wrong_answer", "runtime_error"):
        return failure.verdict
    kinds = {kind: share for kind, share in settings.shares.items() if KINDS[kind].asks_about(crashed=crashed)}
    if not kinds and crashed and "hread" in (judged.program or ""):  # it may be a thread that crashed, not the run
        kinds = settings.shares
    if not kinds:
        return "exception" if crashed else "no_exception"
    given = first_input(problem) if failure is None or (crashed and failure.input is None) else failure.input
    if given is None:
        return "no_input"
    if judged.program is None:
        return "no_program"
    program, tree = parsed_shown_program(judged.program)
    if len(program) > settings.max_program_chars:
        return "too_long"
    if cyclomatic_complexity(program, tree) > settings.max_complexity:
        return "too_complex"
    question = same_question(program, given, tree)
    kind = next(iter(kinds)) if len(kinds) == 1 else _draw(kinds, f"{seed}/kind/{question}")
    seen = None if failure is None or failure.input is None else failure.actual
    if KINDS[kind].as_sampled and (first := first_input(problem)) is not None:
        program = judged.program.strip()
        seen, given = (seen, given) if first == given else (None, first)
        question, tree = same_question(program, given), None
    return _Candidate(judged, program, given, kind, seen, question, tree)


def _kind_for(trace: Trace, candidate: _Candidate, settings: AlignmentConfig, seed: int) -> str:
    """The kind to ask: the candidate's, or if the run ended in the other way (an exception ended a thread, not the
    run) one that asks about such runs and needs the same trace."""
    crashed, needs = trace.ending.kind not in ("finished", "exit"), KINDS[candidate.kind]
    if needs.asks_about(crashed=crashed):
        return candidate.kind
    fitting = {
        kind: share
        for kind, share in settings.shares.items()
        if KINDS[kind].asks_about(crashed=crashed)
        and (KINDS[kind].semantics, KINDS[kind].max_steps) == (needs.semantics, needs.max_steps)
    }
    return _draw(fitting, f"{seed}/kind/{candidate.question}") if fitting else candidate.kind


def _draw(shares: Mapping[str, float], seed: str) -> str:
    return random.Random(seed).choices(list(shares), list(shares.values()))[0]


def _traces(sandbox: AnySandbox, chosen: Sequence[_Candidate]) -> list[Trace | str | None]:
    """The traces; where it fails on some program, those of the others: `None` where the sandbox fails, `error` where
    our own code does."""
    if not chosen:
        return []
    check_can_trace(sandbox)
    try:
        return [*trace_many(sandbox, [_request(candidate) for candidate in chosen])]
    except Exception:
        traces: list[Trace | str | None] = []
        for candidate in chosen:
            try:
                traces.append(_or_error(candidate.judged, _traced, sandbox, candidate))
            except SandboxError:
                traces.append(None)
        if not any(traces):
            raise
        return traces


def same_question(program: str, given: ProgramInput, tree: ast.Module | None = None) -> str:
    """A text that is the same for the same program (comments and format aside) on the same input. `tree` is the
    program's, where it is known."""
    return canonical([normalized(program, tree), given.to_json()])


def _traced(sandbox: AnySandbox, candidate: _Candidate) -> Trace:
    return trace_many(sandbox, [_request(candidate)])[0]


def _request(candidate: _Candidate) -> TraceRequest:
    problem = candidate.judged.problem
    needs = KINDS[candidate.kind]
    return TraceRequest(
        program=candidate.program,
        input=candidate.input,
        setup_code=problem.setup_code,
        limits=problem.limits,
        semantics=needs.semantics,
        max_steps=needs.max_steps,
        seen=candidate.seen,
    )


def first_input(problem: Problem) -> ProgramInput | None:
    """The input of the first test, for programs that failed none; of a check test its first call with literal
    arguments."""
    match problem.tests[0] if problem.tests else None:
        case CheckTest(code=code) if problem.entry_point is not None:
            calls = literal_calls(code, {problem.entry_point, "candidate"})
            return next((CallInput(problem.entry_point, args, kwargs) for args, kwargs in calls), None)
        case StdioTest(stdin=stdin):
            return StdioInput(stdin)
        case CallTest(args=args, kwargs=kwargs) if problem.entry_point is not None:
            return CallInput(problem.entry_point, args, kwargs)
    return None
