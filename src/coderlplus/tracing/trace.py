"""Program and input → `Trace`, through instrumented runs in the sandbox.

Every program runs twice, with different hash seeds (and different addresses, and seeds of `random`). The first run
finds which activation bound each variable last and takes the values where that is known early; the second takes the
rest. Where the two differ in anything that both know, the trace is `deterministic=False`. A third run, with a third
seed, takes again what only the second one took, unless nondeterminism is ruled out (see `nondeterminism`). Steps,
where they are asked for, come from one more run, which ends when their budget is used up, or from two.

A program that mentions or reaches for frames, code objects and the like, with which it could falsify its trace, is run
untraced (see `reach` and `monitor`).

A caller that has seen the program run on the input already, untraced and with the first seed (the judge has), says
what it gave: `TraceRequest.seen`. That run then takes the place of the first one: one traced run with another seed
must give the same, and a second one is made only where the first did not take all values, or where chance may play a
part in a value that nobody saw.

Departure from the paper: it traces once, at module level, after the last line. `semantics="official"` gives those
values.
"""

from __future__ import annotations

import codecs
import hmac
import json
import secrets
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from coderlplus.errors import SandboxError
from coderlplus.records import Actual, Change, Ending, Limits, ProgramInput, StdioInput, Step, Trace
from coderlplus.sandbox import AnySandbox, Job, Outcome
from coderlplus.sandbox.protocol import check_can_trace
from coderlplus.sandbox.text import as_bytes
from coderlplus.tracing.addresses import without_addresses, without_addresses_among_numbers
from coderlplus.tracing.instrument import Semantics
from coderlplus.tracing.monitor import seal

SEEDS = (0, 1, 2)
STEPS_BYTES = 8 << 20
"""Most that the values of all steps may come to, as JSON."""
STEPS_CPU_S = 5.0
"""CPU time that a run which reports its steps may take beyond the limit of the program."""

_LIMITS = ("time_limit", "memory_limit", "output_limit")
_KINDS = ("finished", "exception", "exit", "syntax_error", *_LIMITS)
_SIGNALS = {member.value: member.name for member in signal.Signals}
"""Real-time signals but the first and the last have a number only."""
_MARGIN_S = 1.0
"""CPU time on top of the limit in which a program that has reached it is left with its values."""
_MEMORY_MARGIN = 2
"""How much memory a program may reach for a moment, as a multiple of its limit, so that it is the recorder that sees
it and keeps its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRequest:
    """What to trace. `setup_code` runs before the program, in its namespace and untraced. `max_steps` is how many
    steps to report; 0 is none."""

    program: str
    input: ProgramInput
    setup_code: str = ""
    limits: Limits = field(default_factory=Limits)
    semantics: Semantics = "final"
    seen: Actual | None = None
    """What an untraced run with hash seed `SEEDS[0]` gave."""
    max_steps: int = 0


def trace(
    sandbox: AnySandbox,
    program: str,
    input: ProgramInput,
    *,
    setup_code: str = "",
    limits: Limits = Limits(),  # noqa: B008  # frozen
    semantics: Semantics = "final",
    max_steps: int = 0,
) -> Trace:
    """Trace `program` on `input`. See `Trace` for the result and `docs/tracing.md` for the semantics.

    A program may crash, exit or exceed a limit; the trace has the values until then. With `max_steps`, the trace also
    has the first steps of the run. Raises `SandboxError` only if the sandbox itself fails or cannot trace.

    >>> from coderlplus import open_sandbox
    >>> with open_sandbox(workers=1) as sandbox:
    ...     trace(sandbox, "x = int(input()) * 2", StdioInput("21\\n")).variables
    {'<module>': {'x': 42}}
    """
    request = TraceRequest(
        program=program, input=input, setup_code=setup_code, limits=limits, semantics=semantics, max_steps=max_steps
    )
    return trace_many(sandbox, [request])[0]


def trace_many(sandbox: AnySandbox, requests: Iterable[TraceRequest]) -> list[Trace]:
    """The traces of many requests, in order, using all workers of the sandbox.

    Raises `SandboxError` for a sandbox that cannot trace (see `AnySandbox`), or that fails."""
    check_can_trace(sandbox)
    runs = [_Run(request) for request in requests]
    for place in range(len(SEEDS)):
        _run_all(
            sandbox,
            [
                (run, run.seeds[place], "plain" if run.withheld else run.request.semantics)
                for run in runs
                if run.needs_another()
            ],
        )
    _run_all(sandbox, [(run, run.best.seed, "steps") for run in runs if run.needs_steps()])
    _run_all(sandbox, [(run, run.other_seed, "steps") for run in runs if run.needs_steps_again()])
    return [run.trace() for run in runs]


def _run_all(sandbox: AnySandbox, runs: list[tuple[_Run, int, str]]) -> None:
    jobs = [_job(*run) for run in runs]
    for (run, seed, _), job, outcome in zip(runs, jobs, sandbox.run(jobs), strict=True):
        if outcome.ending == "fault":
            raise SandboxError(f"the sandbox failed while tracing a program ({outcome.detail}); run coderlplus doctor")
        run.add(_Report.of(outcome, job.payload["key"], seed, job.payload["mode"]), job.payload["mode"])


@dataclass(frozen=True, slots=True)
class _Report:
    """What one run left."""

    seed: int
    ending: Ending
    output: bytes
    value: Any
    variables: Mapping[str, Mapping[str, Any]]
    missing: Mapping[str, list[int]]
    fingerprint: str
    suspect: bool
    silent: bool
    """Nothing came from the recorder, though the process ended by itself: the program went past it, or spoiled its
    channel, and how it ended is not known."""
    thread: str | None
    """The class of the first exception that ended a thread."""
    withheld: str | None
    steps: Any
    texts: Any
    """The values of the steps, as JSON; a change has the place of its value."""
    cut: Any

    @classmethod
    def of(cls, outcome: Outcome, key: str, seed: int, mode: str) -> _Report:
        replies = [body for reply in outcome.replies if (body := _opened(reply, key)) is not None]
        reply = replies[0] if replies else {}
        if mode == "plain":  # nothing kept the program from the key
            reply = {name: reply[name] for name in ("ending", "value") if name in reply}
        ending = reply.get("ending")
        return cls(
            seed=seed,
            ending=_ending(outcome, ending),
            output=outcome.stdout,
            value=reply.get("value"),
            variables=reply.get("variables", {}),
            missing=reply.get("missing", {}),
            fingerprint=reply.get("fingerprint", ""),
            suspect=reply.get("suspect", False),
            silent=ending is None and reply.get("withheld") is None and outcome.ending in ("returned", "exited"),
            thread=_text(ending.get("thread")) if isinstance(ending, dict) else None,
            withheld=reply.get("withheld"),
            steps=reply.get("steps"),
            texts=reply.get("texts"),
            cut=reply.get("cut"),
        )


def _opened(reply: Any, key: str) -> dict[str, Any] | None:
    """The body of a reply if it bears the seal of the recorder; of a watched run nobody else has written it."""
    if not isinstance(reply, dict) or not isinstance(reply.get("body"), str) or not isinstance(reply.get("seal"), str):
        return None
    if not hmac.compare_digest(seal(key, reply["body"]).encode(), reply["seal"].encode("utf-8", "surrogatepass")):
        return None
    try:
        body = json.loads(reply["body"])
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


class _Run:
    """The runs of one request so far, and whether they agree."""

    def __init__(self, request: TraceRequest) -> None:
        self.request = request
        self.seeds = SEEDS if request.seen is None else (SEEDS[1], SEEDS[0], SEEDS[2])
        self.reports: list[_Report] = []
        self.of_steps: _Report | None = None
        self.deterministic = True
        self.missing: Mapping[str, list[int]] = {}
        self.withheld: str | None = None

    def needs_another(self) -> bool:
        if not self.reports:
            return True
        last = self.reports[-1]
        if not self.deterministic or last.ending.kind == "syntax_error":
            return False
        if len(self.reports) == 1:
            return self.request.seen is None or bool(self.missing) or last.suspect
        return len(self.reports) == 2 and bool(self.missing) and self.reports[0].suspect

    def needs_steps(self) -> bool:
        return self.request.max_steps > 0 and self.withheld is None and self.reports[0].ending.kind != "syntax_error"

    def needs_steps_again(self) -> bool:
        """Whether steps that one run took may differ in another."""
        return self.deterministic and self.of_steps is not None and self.reports[0].suspect

    @property
    def other_seed(self) -> int:
        return next(seed for seed in SEEDS if seed != self.best.seed)

    @property
    def best(self) -> _Report:
        """The run whose values are reported."""
        return self.reports[min(len(self.reports), 2) - 1]

    def add(self, report: _Report, mode: str) -> None:
        if mode == "steps":
            self._add_steps(report)
        elif report.withheld is not None:
            self.deterministic = not self.reports
            self.withheld, self.reports, self.missing = report.withheld, [], {}
        else:
            self.reports.append(report)
            if len(self.reports) == 1:
                self.missing = report.missing
            limited = report.ending.kind in _LIMITS or report.silent
            agree = self._as_seen(report) and all(_agree(report, earlier) for earlier in self.reports[:-1])
            self.deterministic = self.deterministic and agree and not limited

    def _add_steps(self, report: _Report) -> None:
        if report.withheld is not None:  # only now, so chance plays a part
            self.withheld, self.deterministic = report.withheld, False
            return
        if self.of_steps is not None:
            facts = [(each.steps, each.texts, each.cut) for each in (report, self.of_steps)]
            same = self.of_steps.cut == "time" or facts[0] == facts[1]
            self.deterministic = self.deterministic and same
            return
        self.of_steps = report
        limited = report.cut is not None or report.ending.kind in _LIMITS or self.best.ending.kind in _LIMITS
        sees_locals = any(
            word in self.request.program for word in ("locals", "vars")
        )  # a dict of them that it holds is kept up to date by each look
        did_the_same = (report.ending, report.output) == (self.best.ending, self.best.output) and _is_same(
            report.value, self.best.value
        )
        if not limited and not sees_locals and not did_the_same:
            self.deterministic = False

    def _as_seen(self, report: _Report) -> bool:
        """Whether a run gave what the run that was seen before gave."""
        seen = self.request.seen
        if seen is None:
            return True
        if seen.raised is not None:
            if (
                isinstance(self.request.input, StdioInput)
                and report.thread == seen.raised
                and report.ending.kind in ("finished", "exit")
            ):
                return True
            return report.ending.kind == "exception" and report.ending.type == seen.raised
        if isinstance(self.request.input, StdioInput):
            return report.ending.kind in ("finished", "exit") and bool(
                report.output.decode("utf-8", "replace") == seen.value
            )
        return report.ending.kind == "finished" and _is_same(report.value, seen.value)

    def trace(self) -> Trace:
        best = self.best
        claimed = [best.variables if self.withheld is None else {}, best.value, best.ending.message]
        text = json.dumps(claimed)
        shown = without_addresses(text)
        variables, value, message = claimed if shown == text else json.loads(shown)
        if not self.deterministic:
            variables, value = without_addresses_among_numbers(variables), without_addresses_among_numbers(value)
        return Trace(
            program=self.request.program,
            input=self.request.input,
            ending=replace(best.ending, message=message),
            output=without_addresses(best.output.decode("utf-8", "replace")),
            value=value,
            deterministic=self.deterministic and shown == text,
            variables=variables,
            withheld=self.withheld,
            steps=self._steps(best.output) if self.request.max_steps > 0 else None,
            steps_cut=None if self.of_steps is None else _cut(self.of_steps),
        )

    def _steps(self, output: bytes) -> tuple[Step, ...]:
        if self.of_steps is None or self.of_steps.steps is None:
            return ()
        values = [self._step_value(text) for text in self.of_steps.texts]
        steps, decoder, done, printed = [], codecs.getincrementaldecoder("utf-8")("replace"), 0, 0
        for line, scope, activation, depth, written, changes in self.of_steps.steps:
            printed += len(decoder.decode(output[done : max(done, written)]))
            done = max(done, written)
            changed = tuple(
                Change(
                    name=name,
                    value=None if place is None else values[place],
                    scope=owner,
                    activation=number,
                    deleted=place is None,
                )
                for name, place, owner, number in changes
            )
            steps.append(
                Step(line=line, scope=scope, activation=activation, depth=depth, output_chars=printed, changes=changed)
            )
        return tuple(steps)

    def _step_value(self, text: str) -> Any:
        value = json.loads(without_addresses(text))
        return value if self.deterministic else without_addresses_among_numbers(value)


def _cut(report: _Report) -> Literal["steps", "bytes", "time"] | None:
    """What ended the steps; a run that left none was ended by the sandbox."""
    if report.steps is None:
        return "time"
    cut: Literal["steps", "bytes", "time"] | None = report.cut
    return cut


def _job(run: _Run, seed: int, mode: str) -> Job:
    request = run.request
    given = request.input
    cpu_s = request.limits.cpu_s + (STEPS_CPU_S if mode == "steps" else 0.0)
    payload = {
        "program": request.program,
        "setup_code": request.setup_code,
        "input": given.to_json(),
        "mode": mode,
        "wanted": run.missing if mode == request.semantics else {},
        "first": not run.reports,
        "seen": request.seen is not None,
        "cpu_s": cpu_s,
        "memory_mb": request.limits.memory_mb,
        "max_steps": request.max_steps,
        "max_bytes": STEPS_BYTES,
        "hash_seed": seed,
        "key": secrets.token_hex(16),
    }
    limits = replace(request.limits, cpu_s=cpu_s + _MARGIN_S, memory_mb=request.limits.memory_mb * _MEMORY_MARGIN)
    if mode == "steps":
        limits = replace(limits, wall_s=limits.wall_s + 4 * STEPS_CPU_S)
    return Job(
        guest="coderlplus.tracing.guest:run",
        payload=payload,
        stdin=as_bytes(given.stdin) if isinstance(given, StdioInput) else b"",
        limits=limits,
        reply_kb=max(4096, 4 * STEPS_BYTES >> 10) if mode == "steps" else 4096,
        hash_seed=seed,
    )


def _agree(one: _Report, other: _Report) -> bool:
    """Whether two runs did the same, in everything that both took."""
    facts = [(run.ending, run.output, run.fingerprint, run.thread) for run in (one, other)]
    if facts[0] != facts[1] or not _is_same(one.value, other.value):
        return False
    return all(
        _is_same(value, other.variables[scope][name])
        for scope, names in one.variables.items()
        for name, value in names.items()
        if name in other.variables.get(scope, {})
    )


def _is_same(one: Any, other: Any) -> bool:
    """Whether two tagged values are the same to the letter: dicts in another order are equal, and so are `1`, `1.0`
    and `True`, but not the same."""
    return bool(one == other) and json.dumps(one) == json.dumps(other)


def _ending(outcome: Outcome, claimed: Any) -> Ending:
    """How the run ended: what the sandbox saw where it ended the run, else what the guest says."""
    if outcome.ending in ("time_limit", "memory_limit", "output_limit"):
        return Ending(kind=outcome.ending)
    if isinstance(claimed, dict) and claimed.get("kind") in _KINDS:
        return Ending(
            kind=claimed["kind"],
            type=_text(claimed.get("type")),
            message=_text(claimed.get("message")),
            line=claimed["line"] if type(claimed.get("line")) is int else None,
        )
    if outcome.ending == "signal":
        name = _SIGNALS.get(outcome.exit_code, f"signal {outcome.exit_code}")
        return Ending(kind="exception", type=name, message="killed by the signal")
    return Ending(kind="exit", message=str(outcome.exit_code))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
