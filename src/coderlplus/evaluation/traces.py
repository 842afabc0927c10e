"""What failed programs did on the input on which they failed, as text, for the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from coderlplus.errors import SandboxError
from coderlplus.evaluation.records import Judged
from coderlplus.records import CallTest, Problem, ProgramInput, StdioTest, Test, Trace
from coderlplus.records.fields import JsonRecord
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.values import to_source
from coderlplus.terminal import tell_defect
from coderlplus.tracing import TraceRequest, trace_many

TEXT_LIMIT = 300
"""Characters of one value that are kept."""
VARIABLES = 40
OUTPUT_LIMIT = 2000
CPU_S = 2.0
INPUT_LIMIT = 100_000
"""Characters of an input beyond which nothing is traced."""
_CHUNK = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTrace(JsonRecord):
    """The final values of a run: `variables` as (scope, name, Python source), `ending` in words; `program` where it is
    not the judged one."""

    question_id: str
    sample: int
    variables: tuple[tuple[str, str, str], ...]
    output: str = ""
    value: str | None = None
    ending: str = ""
    line: int | None = None
    program: str | None = None
    input: ProgramInput | None = None
    """What that other program was given."""


def expected_text(test: Test) -> str | None:
    """What a test expects, as text; `None` for test code, which compares by itself."""
    if isinstance(test, StdioTest):
        return _cut(test.stdout, OUTPUT_LIMIT)
    return _cut(to_source(test.expected), OUTPUT_LIMIT) if isinstance(test, CallTest) else None


def trace_failures(
    sandbox: AnySandbox, wanted: Iterable[tuple[Judged, Problem, str, ProgramInput]]
) -> Iterator[SampleTrace]:
    """The traces of (sample, its problem, program, input), in order.

    Raises nothing for what a program does; a run that the sandbox fails on is left out.
    """
    left = iter(wanted)
    while taken := list(islice(left, _CHUNK)):
        chunk = [item for item in taken if len(str(item[3].to_json())) <= INPUT_LIMIT]
        requests = [
            TraceRequest(
                program=program,
                input=given,
                setup_code=problem.setup_code,
                limits=replace(problem.limits, cpu_s=min(CPU_S, problem.limits.cpu_s)),
            )
            for _, problem, program, given in chunk
        ]
        for (line, _, program, _), trace in zip(chunk, _traces(sandbox, requests, chunk), strict=True):
            if trace is not None:
                yield _shown(line, trace, program)


def _traces(
    sandbox: AnySandbox, requests: Sequence[TraceRequest], chunk: Sequence[tuple[Judged, Any, Any, Any]]
) -> list[Trace | None]:
    """The traces; `None` for a run on which the sandbox or coderlplus itself fails, which is reported once."""
    try:
        return [*trace_many(sandbox, requests)]
    except Exception:
        traces: list[Trace | None] = []
        for request, (line, *_) in zip(requests, chunk, strict=True):
            try:
                traces += trace_many(sandbox, [request])
            except SandboxError:
                traces.append(None)
            except Exception as error:
                tell_defect(f"the trace of {line.question_id!r}", error)
                traces.append(None)
        return traces


def _shown(line: Judged, trace: Trace, program: str) -> SampleTrace:
    rows = [
        (scope, name, _cut(to_source(value), TEXT_LIMIT))
        for scope, names in trace.variables.items()
        for name, value in names.items()
    ]
    ending = trace.ending
    finished = ending.kind == "finished"
    words = ": ".join(part for part in (ending.kind.replace("_", " "), ending.type, ending.message) if part)
    return SampleTrace(
        question_id=line.question_id,
        sample=line.sample,
        variables=tuple(rows[:VARIABLES]),
        output=_cut(trace.output, OUTPUT_LIMIT),
        value=_cut(to_source(trace.value), TEXT_LIMIT) if finished and trace.input.kind == "call" else None,
        ending=_cut(words, TEXT_LIMIT) + ("" if trace.deterministic else "; two runs differ"),
        line=ending.line,
        program=None if program == line.program else program,
        input=None if program == line.program else trace.input,
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text) - limit} more characters)"
