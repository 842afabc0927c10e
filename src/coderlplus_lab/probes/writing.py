"""Cases → passages by traced runs, and the programs that a model writes itself, each kept on disk as soon as it is
there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from coderlplus.evaluation.backends import Request, Sampling
from coderlplus.evaluation.records import Sample, key_of
from coderlplus.problems.prompts import conversation
from coderlplus.progress import Track
from coderlplus.records import read_jsonl, write_jsonl
from coderlplus.records.journal import Journal
from coderlplus.sandbox import AnySandbox
from coderlplus.tracing import TraceRequest, trace_many
from coderlplus_lab.probes.marks import MAX_STEPS, passage, unfit
from coderlplus_lab.probes.passages import Case, Passage
from coderlplus_lab.probes.sources import AskedProblem, own_case

CHUNK = 64
"""Programs traced at a time."""


def passages_of(
    path: Path, cases: Sequence[Case], open_sandbox: Callable[[], AnySandbox], track: Track
) -> tuple[list[Passage], dict[str, int]]:
    """The passages of cases: from `path` where they were made before, else by tracing them; and how many were left
    out, by reason.

    A file of passages is written when it is complete. Raises `SandboxError` if the sandbox fails, `DataError` if the
    file cannot be used.
    """
    if path.exists():
        found = list(read_jsonl(path, Passage))
    else:
        found = []
        for start in track(range(0, len(cases), CHUNK), f"trace {path.stem}", -(-len(cases) // CHUNK)):
            chunk = cases[start : start + CHUNK]
            requests = [
                TraceRequest(
                    program=case.program,
                    input=case.input,
                    setup_code=case.setup_code,
                    limits=case.limits,
                    max_steps=MAX_STEPS,
                )
                for case in chunk
            ]
            traces = trace_many(open_sandbox(), requests)
            for case, trace in zip(chunk, traces, strict=True):
                reason = unfit(trace)
                left_out = Passage(passage_id=case.case_id, unit=case.unit, prompt="", completion="", left_out=reason)
                found.append(left_out if reason else passage(case, trace))
        write_jsonl(path, found)
    return [one for one in found if one.left_out is None], dict(
        Counter(one.left_out for one in found if one.left_out is not None)
    )


def write_programs(
    path: Path, model: str, asked: Sequence[AskedProblem], max_tokens: int, track: Track
) -> dict[str, Sample]:
    """What a model answers to problems, greedily: problem → sample. What is in the file `path` is not made again.

    Raises `ConfigError` if the model cannot be loaded or has no chat template, `DataError` if the file cannot be used.
    """
    from coderlplus.evaluation.backends.local import LocalModel

    wanted = {one.problem.problem_id for one in asked}
    with Journal(path, Sample.from_json, key_of, lambda line: line.completion is not None) as journal:
        todo = [one for one in asked if (one.problem.problem_id, 0) not in journal]
        if todo:
            requests = [
                Request(question_id=one.problem.problem_id, sample=0, messages=conversation(one.prompt))
                for one in todo
            ]
            answers = LocalModel(model).complete(requests, Sampling(temperature=0.0, max_tokens=max_tokens))
            for request, completion in track(answers, f"write {path.stem}", len(todo)):
                journal.append(
                    Sample(
                        question_id=request.question_id,
                        sample=0,
                        completion=completion.text,
                        truncated=completion.truncated,
                        tokens=completion.tokens,
                    )
                )
        return {line.question_id: line for line in journal.values() if line.question_id in wanted}


def own_cases(asked: Sequence[AskedProblem], written: dict[str, Sample]) -> tuple[list[Case], dict[str, int]]:
    """The cases of what a model wrote, and how many were left out, by reason."""
    cases: list[Case] = []
    reasons: Counter[str] = Counter()
    for one in asked:
        sample = written[one.problem.problem_id]
        made = "answer truncated at --max-tokens" if sample.truncated else own_case(one, sample.completion or "")
        if isinstance(made, str):
            reasons[made] += 1
        else:
            cases.append(made)
    return cases, dict(reasons)
