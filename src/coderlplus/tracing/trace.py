"""Program and input → `Trace`, through instrumented runs in the sandbox.

Every program runs twice, with different hash seeds (and different addresses, and seeds of `random`). The first run finds which activation bound each
variable last and takes the values where that is known early; the second takes the rest. Where the two differ in anything that both know, the trace is
`deterministic=False`. A third run, with a third seed, is made when values that only the second run took could depend on chance (see `chance`).

A caller that has seen the program run on the input already, untraced and with the first seed (the judge has), says what it gave: `TraceRequest.seen`.
That run then takes the place of the first one: one traced run with another seed must give the same, and a second one is made only where the first
did not take all values, or where chance may play a part in a value that nobody saw.

Departure from the paper: it traces once, at module level, after the last line. `semantics="official"` gives those values.
"""

from __future__ import annotations

import json
import re
import secrets
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from coderlplus.errors import SandboxError
from coderlplus.records import Actual, Ending, Limits, ProgramInput, StdioInput, Trace
from coderlplus.sandbox import Job, Outcome, Sandbox
from coderlplus.tracing.instrument import Semantics

SEEDS = (0, 1, 2)

_LIMITS = ("time_limit", "memory_limit", "output_limit")
_KINDS = ("finished", "exception", "exit", "syntax_error", *_LIMITS)
_ADDRESS = re.compile(r" at 0x[0-9a-f]{6,16}>")
_MARGIN_S = 1.0
"""CPU time on top of the limit in which a program that has reached it is left with its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRequest:
    """What to trace. `setup_code` runs before the program, in its namespace and untraced."""

    program: str
    input: ProgramInput
    setup_code: str = ""
    limits: Limits = field(default_factory=Limits)
    semantics: Semantics = "final"
    seen: Actual | None = None
    """What an untraced run with hash seed `SEEDS[0]` gave."""


def trace(
    sandbox: Sandbox,
    program: str,
    input: ProgramInput,
    *,
    setup_code: str = "",
    limits: Limits = Limits(),  # noqa: B008  # frozen
    semantics: Semantics = "final",
) -> Trace:
    """What `program` does on `input`: see `Trace` for the result and `docs/tracing.md` for the semantics.

    Whatever the program does is data: it may crash, exit, or run into a limit, and the trace has the values until then. Raises `SandboxError` only if
    the sandbox itself fails.
    """
    request = TraceRequest(program=program, input=input, setup_code=setup_code, limits=limits, semantics=semantics)
    return trace_many(sandbox, [request])[0]


def trace_many(sandbox: Sandbox, requests: Iterable[TraceRequest]) -> list[Trace]:
    """The traces of many requests, in order, using all workers of the sandbox."""
    runs = [_Run(request) for request in requests]
    for place in range(len(SEEDS)):
        unfinished = [run for run in runs if run.needs_another()]
        jobs = [_job(run.request, run.seeds[place], run.missing) for run in unfinished]
        for run, job, outcome in zip(unfinished, jobs, sandbox.run(jobs), strict=True):
            run.add(_Report.of(outcome, job.payload["token"]))
    return [run.trace() for run in runs]


@dataclass(frozen=True, slots=True)
class _Report:
    """What one run left."""

    ending: Ending
    output: str
    value: Any
    variables: Mapping[str, Mapping[str, Any]]
    missing: Mapping[str, list[int]]
    fingerprint: str
    suspect: bool

    @classmethod
    def of(cls, outcome: Outcome, token: str) -> _Report:
        if outcome.ending == "fault":
            raise SandboxError(f"the sandbox failed while it traced a program ({outcome.detail}); `coderlplus doctor` tells what it needs")
        replies = [reply for reply in outcome.replies if isinstance(reply, dict) and reply.get("token") == token]
        reply = replies[0] if len(replies) == 1 else {}
        return cls(
            ending=_ending(outcome, reply.get("ending")),
            output=outcome.stdout.decode("utf-8", "replace"),
            value=reply.get("value"),
            variables=_variables(reply.get("variables")),
            missing=_missing(reply.get("missing")),
            fingerprint=str(reply.get("fingerprint")),
            suspect=bool(reply.get("suspect")),
        )


class _Run:
    """The runs of one request so far, and whether they agree."""

    def __init__(self, request: TraceRequest) -> None:
        self.request = request
        self.seeds = SEEDS if request.seen is None else (SEEDS[1], SEEDS[0], SEEDS[2])
        self.reports: list[_Report] = []
        self.deterministic = True
        self.missing: Mapping[str, list[int]] = {}

    def needs_another(self) -> bool:
        if not self.reports:
            return True
        last = self.reports[-1]
        if not self.deterministic or last.ending.kind == "syntax_error":
            return False
        if len(self.reports) == 1:
            return self.request.seen is None or bool(self.missing) or last.suspect
        return len(self.reports) == 2 and bool(self.missing) and self.reports[0].suspect

    def add(self, report: _Report) -> None:
        self.reports.append(report)
        if len(self.reports) == 1:
            self.missing = report.missing
        limited = report.ending.kind in _LIMITS
        self.deterministic = not limited and all(_agree(report, earlier) for earlier in self.reports[:-1]) and self._as_seen(report)

    def _as_seen(self, report: _Report) -> bool:
        """Whether a run gave what the run that was seen before gave."""
        seen = self.request.seen
        if seen is None:
            return True
        if seen.raised is not None:
            return report.ending.kind == "exception" and report.ending.type == seen.raised
        if isinstance(self.request.input, StdioInput):
            return report.ending.kind in ("finished", "exit") and bool(report.output == seen.value)
        return report.ending.kind == "finished" and bool(report.value == seen.value)

    def trace(self) -> Trace:
        best = self.reports[0] if len(self.reports) == 1 else self.reports[1]
        hidden = _without_addresses([best.variables, best.value, best.ending.message])
        variables, value, message = hidden
        return Trace(
            program=self.request.program,
            input=self.request.input,
            ending=replace(best.ending, message=message),
            output=best.output,
            value=value,
            deterministic=self.deterministic and hidden == [best.variables, best.value, best.ending.message],
            variables=variables,
        )


def _job(request: TraceRequest, seed: int, wanted: Mapping[str, list[int]]) -> Job:
    given = request.input
    payload = {
        "program": request.program,
        "setup_code": request.setup_code,
        "input": given.to_json(),
        "semantics": request.semantics,
        "wanted": wanted,
        "cpu_s": request.limits.cpu_s,
        "seen": request.seen is not None,
        "token": secrets.token_hex(8),
    }
    return Job(
        guest="coderlplus.tracing.guest:run",
        payload=payload,
        stdin=given.stdin.encode("utf-8", "surrogateescape") if isinstance(given, StdioInput) else b"",
        limits=replace(request.limits, cpu_s=request.limits.cpu_s + _MARGIN_S),
        hash_seed=seed,
    )


def _agree(one: _Report, other: _Report) -> bool:
    """Whether two runs did the same, in everything that both took."""
    if (one.ending, one.output, one.value, one.fingerprint) != (other.ending, other.output, other.value, other.fingerprint):
        return False
    return all(
        value == other.variables[scope][name]
        for scope, names in one.variables.items()
        for name, value in names.items()
        if name in other.variables.get(scope, {})
    )


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
        return Ending(kind="exception", type=signal.Signals(outcome.exit_code).name, message="killed by the signal")
    return Ending(kind="exit", message=str(outcome.exit_code))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _variables(claimed: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(claimed, dict):
        return {}
    return {scope: names for scope, names in claimed.items() if isinstance(names, dict)}


def _missing(claimed: Any) -> dict[str, list[int]]:
    if not isinstance(claimed, dict):
        return {}
    return {index: marks for index, marks in claimed.items() if isinstance(marks, list) and all(type(mark) is int for mark in marks)}


def _without_addresses(tagged: Any) -> Any:
    """The same with `0x...` for the addresses that the default `repr` of objects shows."""
    text = json.dumps(tagged)
    return json.loads(_ADDRESS.sub(" at 0x...>", text)) if " at 0x" in text else tagged
