"""A failed sample, out of any file that holds one: what the viewer is opened on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.records import Judged, key_of
from coderlplus.evaluation.traces import SampleTrace, expected_text
from coderlplus.judge import Judge
from coderlplus.problems import Pairs, read_pairs
from coderlplus.problems.files import stream_rows
from coderlplus.problems.sample_forms import is_group, is_list_of_samples
from coderlplus.programs import extract_program
from coderlplus.records import (
    AlignmentTask,
    CallInput,
    CallTest,
    Limits,
    Problem,
    ProgramInput,
    Reward,
    Rollout,
    StdioInput,
    StdioTest,
    Test,
    Verdict,
)
from coderlplus.records.journal import read_journal
from coderlplus.records.outputs import files_of_output
from coderlplus.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedSample:
    """A sample and its verdict: the program and the input on which it failed, or the answer to a `task`."""

    name: str
    program: str = ""
    input: ProgramInput | None = None
    setup_code: str = ""
    limits: Limits = field(default_factory=Limits)
    verdict: Verdict | None = None
    expected: str | None = None
    task: AlignmentTask | None = None
    answer: str | None = None

    @property
    def failed(self) -> bool:
        return self.task is not None or (self.verdict is not None and not self.verdict.passed)


def read_failed(place: str, problems: Path | None) -> FailedSample:
    """The sample that `FILE:n` (its n-th, from 1), `FILE:NAME`, or `FILE` (its first failed one) names. A file that
    holds no verdicts needs the `problems`: the sample is judged then.

    Raises `DataError` where there is none or it did not fail, `ConfigError` where the problems are missing.
    """
    path, chosen = _parts(place)
    first: FailedSample | None = None
    for number, sample in enumerate(_samples(path, chosen, problems), 1):
        if chosen is None and sample.failed:
            first = sample
            break
        if chosen is not None and _may_be(chosen, number, sample.name):
            first = sample
            break
    if first is None:
        wanted = "failed sample" if chosen is None else f"sample {chosen!r}"
        raise DataError(f"{path} has no {wanted}; name one by its number or name, like {path}:1")
    if not first.failed:
        raise DataError(f"sample {first.name!r} of {path} passed, so there is no failure to look at; name another")
    if first.task is None and first.input is None:
        detail = first.verdict.first_failure.detail if first.verdict and first.verdict.first_failure else ""
        raise DataError(
            f"sample {first.name!r} of {path} failed without an input that can be traced"
            f" ({detail or (first.verdict.verdict if first.verdict else 'no verdict')}); name another"
        )
    return first


def _parts(place: str) -> tuple[Path, str | None]:
    """The file of a place, and what is behind it."""
    end = len(place)
    while end > 0:
        if os.path.exists(place[:end]):  # noqa: PTH110  # `Path.exists` raises where the name is too long
            return Path(place[:end]), place[end + 1 :] or None
        end = place.rfind(":", 0, end)
    raise DataError(f"cannot read {place.rpartition(':')[0] or place}: No such file or directory")


def _samples(path: Path, chosen: str | None, problems: Path | None) -> Iterator[FailedSample]:
    """The samples of a file in their order; only those that may be the chosen one are judged."""
    first = None if path.is_dir() or is_list_of_samples(path) else next(stream_rows(path, []), None)
    has_verdicts = first is not None and (is_group(first.data) or "verdict" in first.data)
    if has_verdicts and problems is not None:
        raise ConfigError(f"{path} holds verdicts, which say where their problems are; leave --problems out")
    if first is not None and is_group(first.data):
        for row in stream_rows(path):
            yield from row.read(lambda data: list(_of_group(data)))
    elif first is not None and isinstance(first.data.get("verdict"), Mapping):
        yield from _of_evaluation(path)
    elif first is not None and isinstance(first.data.get("verdict"), str) and "rollout_id" in first.data:
        yield from _of_judge(path, chosen)
    elif problems is None:
        raise ConfigError(f"{path} holds no verdicts; add --problems FILE, and the sample is judged")
    else:
        yield from _judged_now(path, chosen, problems)


def _of_group(data: Mapping[str, Any]) -> Iterator[FailedSample]:
    task = AlignmentTask.from_json(data["task"]) if data.get("task") else None
    problem = Problem.from_json(data["problem"]) if data.get("problem") else None
    for sample in data["samples"]:
        if task is not None:
            yield FailedSample(name=sample["rollout_id"], task=task, answer=sample["completion"])
        elif problem is not None:
            reward = Reward.from_json(sample["reward"])
            yield _of_problem(sample["rollout_id"], problem, reward.program or "", reward.verdict)


def _of_evaluation(path: Path) -> Iterator[FailedSample]:
    traced = read_journal(path.with_name("traces.jsonl"), SampleTrace.from_json, key_of)
    for row in stream_rows(path):
        line = row.read(Judged.from_json)
        failure = line.verdict.first_failure
        program, given = line.program or "", None if failure is None else failure.input
        trace_of = traced.get(key_of(line))
        if trace_of is not None and trace_of.program is not None and trace_of.input is not None:
            program, given = trace_of.program, trace_of.input
        yield FailedSample(
            name=f"{line.question_id}#{line.sample}",
            program=program,
            input=given,
            setup_code=line.setup_code,
            verdict=line.verdict,
            expected=line.expected,
        )


def _of_judge(path: Path, chosen: str | None) -> Iterator[FailedSample]:
    """The samples of a file of verdicts; only what may be the chosen one has its program."""
    files = files_of_output(path)
    if not {"problems", "programs"} <= files.keys():
        raise ConfigError(
            f"{path} does not say where its problems and programs are; judge again with --overwrite, or name the "
            "programs: --verdict PROGRAMS --problems PROBLEMS"
        )
    pairs = _pairs(files["problems"], files["programs"])
    for number, row in enumerate(stream_rows(path), 1):
        verdict = row.read(Verdict.from_json)
        if (chosen is None and verdict.passed) or not _may_be(chosen, number, verdict.rollout_id):
            yield FailedSample(name=verdict.rollout_id, verdict=verdict)
            continue
        pair = next((pair for pair in pairs if pair[1].rollout_id == verdict.rollout_id), None)
        if pair is None:
            raise DataError(f"{row.place}: {files['programs']} has no program {verdict.rollout_id!r} any more")
        yield _of_problem(verdict.rollout_id, pair[0], _program(*pair), verdict)


def _may_be(chosen: str | None, number: int, name: str) -> bool:
    return chosen is None or chosen in (str(number), name, name.removesuffix("#0"))


def _judged_now(path: Path, chosen: str | None, problems: Path) -> Iterator[FailedSample]:
    with Sandbox(workers=1) as sandbox:
        judge = Judge(sandbox)
        for number, (problem, rollout) in enumerate(_pairs(problems, path), 1):
            name = rollout.rollout_id
            verdict = None
            if _may_be(chosen, number, name):
                verdict = judge.judge(problem, rollout)
            yield _of_problem(name, problem, _program(problem, rollout), verdict)


def _pairs(problems: str | Path, programs: str | Path) -> Pairs:
    return read_pairs(problems, programs, [])


def _program(problem: Problem, rollout: Rollout) -> str:
    if rollout.completion is None:
        return rollout.program or ""
    return extract_program(rollout.completion, problem.entry_point, starter_code=problem.starter_code) or ""


def _of_problem(name: str, problem: Problem, program: str, verdict: Verdict | None) -> FailedSample:
    failure = None if verdict is None else verdict.first_failure
    test = problem.tests[failure.index] if failure is not None and failure.index < len(problem.tests) else None
    given = None if failure is None else failure.input
    return FailedSample(
        name=name,
        program=program,
        input=given if given is not None or test is None else _input_of(test, problem.entry_point),
        setup_code=problem.setup_code,
        limits=problem.limits,
        verdict=verdict,
        expected=None if test is None else expected_text(test),
    )


def _input_of(test: Test, entry_point: str | None) -> ProgramInput | None:
    if isinstance(test, StdioTest):
        return StdioInput(test.stdin)
    if isinstance(test, CallTest):
        return CallInput(entry_point or "", test.args, test.kwargs)
    return None
