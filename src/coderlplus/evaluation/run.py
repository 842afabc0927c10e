"""An evaluation: questions → samples → verdicts → numbers, in a folder that can be resumed at any time.

DIR/results.json, results.md            the numbers of all benchmarks evaluated into DIR
DIR/<benchmark>/settings.json           how it was asked; resuming with other settings is refused
                questions.jsonl         what was asked
                completions.jsonl       what the model said, a line a sample, in the order in which they came
                verdicts.jsonl          the answer taken from it, the program, the verdict
                traces.jsonl            what failed programs did on the input on which they failed
                samples.jsonl | custom_output.json   the answers for evalplus, for LiveCodeBench
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count, pairwise, takewhile
from pathlib import Path
from typing import Any, Self

from coderlplus.alignment.settings import PromptStyle
from coderlplus.errors import ConfigError, DataError, SandboxError
from coderlplus.evaluation.backends import Backend, Request, Sampling
from coderlplus.evaluation.benchmarks import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.generate import Continued
from coderlplus.evaluation.notes import about, cases, of_data, of_faults, of_prompts, of_samples
from coderlplus.evaluation.records import Judged, Key, Sample, key_of
from coderlplus.evaluation.results import score
from coderlplus.evaluation.sample_files import write_samples
from coderlplus.evaluation.selectors import measure
from coderlplus.evaluation.traces import SampleTrace, expected_text, trace_failures
from coderlplus.judge import Judge
from coderlplus.progress import Track, silent
from coderlplus.records import Failure, Problem, ProgramInput, Rollout, Verdict
from coderlplus.records.files import atomic_write
from coderlplus.records.journal import Journal, Lines
from coderlplus.sandbox.backends import tracing_sandbox
from coderlplus.terminal import tell_defect


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedBenchmark:
    """A benchmark with its questions, the files that they come from, and the window that chose them."""

    benchmark: Benchmark
    questions: Sequence[BenchmarkQuestion]
    files: Sequence[Path]
    window: Mapping[str, Any]
    digest: str
    """Of what is asked and of the files: two evaluations with the same one asked the same and judged alike."""
    whole: Sequence[str] = ()
    """The ids of all questions of the files in their order, those outside the window among them."""
    inside: int | None = None
    """How many of them lie in the window, where a limit takes fewer."""
    left_out: Sequence[str] = ()
    """Rows of the files that cannot be used: sentences that name the place."""

    @classmethod
    def of(
        cls,
        benchmark: Benchmark,
        questions: Sequence[BenchmarkQuestion],
        files: Sequence[Path],
        window: Mapping[str, Any],
        **more: Any,
    ) -> Self:
        digest = hashlib.sha256()
        for path in files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        digest.update(json.dumps([[one.question_id, one.messages] for one in questions], default=asdict).encode())
        asked = digest.hexdigest()[:16]
        return cls(benchmark=benchmark, questions=questions, files=files, window=window, digest=asked, **more)

    @property
    def is_limited(self) -> bool:
        return self.inside is not None and len(self.questions) < self.inside


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSource:
    """Where samples come from: a model (`open` loads it when it is first needed), or a file that has been read
    (`samples`: benchmark → samples)."""

    model: str
    kind: str
    sampling: Sampling
    n_samples: int = 1
    open: Callable[[], Backend] | None = None
    samples: Mapping[str, Iterable[Sample]] | None = None
    digest: str | None = None
    """Of the samples file."""
    weights: str | None = None
    """The digest of the folder of the model, where it is one."""
    selectors: Sequence[str] = ()
    """See `selectors.SELECTORS`."""
    prompt_style: PromptStyle = "full"
    """How `own_predictions` asks."""
    strangers: Sequence[str] = ()
    """Rows of the samples file that belong to nothing that is asked or cannot be read: sentences that name the
    place."""


def prepare(folder: Path, source: SampleSource, asked: Sequence[AskedBenchmark]) -> dict[str, int]:
    """Make the folders and write down how each benchmark is asked. Returns how many completions each has already.

    Raises `ConfigError` if a benchmark was started there with other settings, and `DataError` if nothing can be
    written. Nothing is changed then.
    """
    wanted = {one.benchmark.name: settings(source, one) for one in asked}
    for name, now in wanted.items():
        path = folder / name / "settings.json"
        before = _read_json(path) if _lines(folder / name / "completions.jsonl") else {}
        for field in sorted(now.keys() | before.keys()) if before else ():
            if field == "model_sha256" and field not in before:  # of an older version
                continue
            if now.get(field) != before.get(field):
                raise ConfigError(
                    f"{folder / name} was started with {field} {before.get(field)!r}, not {now.get(field)!r}; use "
                    "the same, name another folder with -o, or add --overwrite to evaluate anew"
                )
    for one in asked:
        here = folder / one.benchmark.name
        try:
            here.mkdir(parents=True, exist_ok=True)
            atomic_write(here / "settings.json", json.dumps(wanted[one.benchmark.name], indent=2) + "\n")
            lines = (json.dumps(_shown(question)) + "\n" for question in one.questions)
            atomic_write(here / "questions.jsonl", "".join(lines))
        except OSError as error:
            raise DataError(f"cannot write {here}: {error.strerror}; use another folder with -o") from error
    return {name: _lines(folder / name / "completions.jsonl") for name in wanted}


def _lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(line.endswith(b"\n") for line in file)
    except OSError:
        return 0


def settings(source: SampleSource, asked: AskedBenchmark) -> dict[str, Any]:
    """What must be the same to resume an evaluation."""
    generated: dict[str, Any] = {"samples_sha256": source.digest}
    if source.samples is None:
        weights = {} if source.weights is None else {"model_sha256": source.weights}
        sampling = {name: value for name, value in asdict(source.sampling).items() if name != "logprobs"}
        generated = {"n_samples": source.n_samples, **sampling, **weights}
    window = {name: value for name, value in asked.window.items() if value} if asked.benchmark.dated else {}
    limit = {"limit": len(asked.questions)} if asked.is_limited else {}
    style = {"style": "base"} if _is_base(asked.questions) else {}
    about = {"model": source.model, "source": source.kind, **generated, **window, **limit, **style}
    return about | {"questions_sha256": asked.digest}


def _is_base(questions: Sequence[BenchmarkQuestion]) -> bool:
    return any(isinstance(question.messages, Continued) for question in questions)


def _shown(question: BenchmarkQuestion) -> dict[str, Any]:
    asked = question.messages
    return {
        "question_id": question.question_id,
        **({"family": question.family} if question.family else {}),
        "date": question.date,
        "messages": [{"role": "text", "content": asked.text}] if isinstance(asked, Continued) else list(asked),
        "tests": len(question.problem.tests),
        "cases": cases(question),
        "reference": question.problem.reference,
    }


def read_questions(folder: Path) -> dict[str, str]:
    """The ids of the questions of one benchmark's folder, with their families (empty: none). Raises `DataError` if
    they are not there."""
    path = folder / "questions.jsonl"
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {line["question_id"]: line.get("family", "") for line in lines}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"cannot read the questions of the evaluation from {path} ({error}); rerun the command; finished samples "
            f"are reused"
        ) from error


def evaluate(
    folder: Path,
    source: SampleSource,
    asked: AskedBenchmark,
    backend: Callable[[], Backend],
    judge: Judge,
    track: Track = silent,
) -> dict[str, Any]:
    """Evaluate one benchmark, from wherever it stands, and return its numbers.

    A program on which the sandbox fails is in no number and is named in `notes`; it is judged again the next time.
    Raises `SandboxError` if that is more than a tenth of them, and what the back end raises; whatever was made until
    then is kept.
    """
    name, here = asked.benchmark.name, folder / asked.benchmark.name
    times = [time.perf_counter()]
    samples = _samples(here, source, asked, backend, track)
    times.append(time.perf_counter())
    judged = _judged(here, asked, samples, judge, track)
    times.append(time.perf_counter())
    lines = InOrder(asked.questions, judged)
    _trace(here, asked, judged, judge, track)
    times.append(time.perf_counter())
    write_samples(here, asked.benchmark, asked.questions, lines)
    numbers = score(asked.benchmark, asked.questions, lines)
    selected: dict[str, Any] = {"intervals": {}, "notes": []}
    if source.selectors:
        selected = measure(
            here,
            source.selectors,
            asked.questions,
            lines,
            samples,
            backend,
            source.sampling,
            source.prompt_style,
            judge,
            track,
        )
        numbers |= selected | {"intervals": numbers["intervals"] | selected["intervals"]}
    times.append(time.perf_counter())
    faults = [line for line in lines if line.verdict.verdict == "sandbox_fault"] if numbers.get("faults") else []
    if 10 * len(faults) > len(judged):
        raise SandboxError(
            f"the sandbox failed on {len(faults)} of the {len(judged)} programs of {name}; run coderlplus doctor, "
            f"then rerun the command; it judges only these"
        )
    parts = zip(("generate", "judge", "trace", "score"), pairwise(times), strict=True)
    return (
        numbers
        | about(asked.questions, asked.files, asked.window.get("release") if asked.benchmark.dated else None)
        | {"notes": [*_notes(source, asked, samples, faults), *selected["notes"]]}
        | {"seconds": {name: round(end - start, 3) for name, (start, end) in parts}}
        | {"settings": settings(source, asked)}
    )


def _notes(
    source: SampleSource, asked: AskedBenchmark, samples: Lines[Key, Sample], faults: Sequence[Judged]
) -> list[str]:
    whole = len(asked.whole) or len(asked.questions)
    inside = len(asked.questions) if asked.inside is None else asked.inside
    on_data = of_data(asked.benchmark, asked.questions, whole, inside, asked.files, asked.left_out)
    on_samples = (
        of_prompts(samples.values())
        if source.samples is None
        else of_samples(asked.questions, samples.values(), source.strangers)
    )
    return [*of_faults(faults), *on_samples, *on_data]


class InOrder:
    """The judged samples in the order of the questions, read from the disk each time they are gone through."""

    def __init__(self, questions: Sequence[BenchmarkQuestion], judged: Lines[Key, Judged]) -> None:
        self._questions, self._judged = questions, judged

    def __iter__(self) -> Iterator[Judged]:
        return self._judged.values(
            key for question in self._questions for key in keys_of(question.question_id, self._judged)
        )


def keys_of(question_id: str, lines: Lines[Key, Any]) -> Iterator[Key]:
    """The keys of the samples of a question."""
    return takewhile(lines.__contains__, ((question_id, number) for number in count()))


def _samples(
    here: Path, source: SampleSource, asked: AskedBenchmark, backend: Callable[[], Backend], track: Track
) -> Lines[Key, Sample]:
    name = asked.benchmark.name
    with Journal(here / "completions.jsonl", Sample.from_json, key_of) as journal:
        if source.samples is not None:
            for sample in source.samples[name]:
                if (sample.question_id, sample.sample) not in journal:
                    journal.append(sample)
            return journal
        requests = [
            Request(question_id=question.question_id, sample=sample, messages=question.messages)
            for question in asked.questions
            for sample in range(source.n_samples)
            if (question.question_id, sample) not in journal
        ]
        if requests:
            total = len(asked.questions) * source.n_samples
            try:
                for request, completion in track(
                    backend().complete(requests, source.sampling), f"{name}: generating", len(requests)
                ):
                    journal.append(
                        Sample(
                            question_id=request.question_id,
                            sample=request.sample,
                            completion=completion.text,
                            truncated=completion.truncated,
                            tokens=completion.tokens,
                            logprob=completion.logprob,
                        )
                    )
            except (ConfigError, DataError) as error:
                kept = f"; {len(journal)} of the {total} completions of {name} are kept in {journal.path}"
                raise type(error)(f"{error}{kept if len(journal) else ''}") from error
        return journal


def _judged(
    here: Path, asked: AskedBenchmark, samples: Lines[Key, Sample], judge: Judge, track: Track
) -> Lines[Key, Judged]:
    by_id = {question.question_id: question for question in asked.questions}
    with Journal(
        here / "verdicts.jsonl", Judged.from_json, key_of, keep=lambda line: line.verdict.verdict != "sandbox_fault"
    ) as journal:
        left = (sample for sample in samples.values() if key_of(sample) not in journal)
        total = len(samples) - len(journal)
        answered: dict[int, tuple[Sample, str | None, str | None, Problem]] = {}
        defects: dict[int, str] = {}

        def pairs() -> Iterator[tuple[Problem, Rollout]]:
            for number, sample in enumerate(left):
                question = by_id[sample.question_id]
                rollout_id = f"{sample.question_id}#{sample.sample}"
                answer, program, problem = None, None, question.problem
                try:
                    answer = sample.answer
                    if sample.completion is not None:
                        answer = asked.benchmark.answer(question, sample.completion)
                    program = None if answer is None else asked.benchmark.program(question, answer)
                    problem = asked.benchmark.problem(question, answer)
                except Exception as error:
                    tell_defect(f"sample {rollout_id!r} of {asked.benchmark.name}", error)
                    defects[number] = f"{type(error).__name__} while its answer was read: {error}"[:300]
                answered[number] = sample, answer, program, problem
                given = {"program": program} if program is not None else {"completion": ""}
                yield problem, Rollout(rollout_id=rollout_id, problem_id=problem.problem_id, **given)

        for number, verdict in track(judge.judge_as_completed(pairs()), f"{asked.benchmark.name}: judging", total):
            sample, answer, program, problem = answered.pop(number)
            if number in defects:
                failure = Failure(index=0, verdict="sandbox_fault", detail=defects.pop(number))
                verdict = replace(verdict, verdict="sandbox_fault", first_failure=failure)
            first = verdict.first_failure
            journal.append(
                Judged(
                    question_id=sample.question_id,
                    sample=sample.sample,
                    answer=answer,
                    program=program,
                    truncated=sample.truncated,
                    verdict=_worded(verdict, asked.benchmark, answer, program),
                    expected=expected_text(problem.tests[first.index])
                    if first is not None and first.index < len(problem.tests)
                    else None,
                    setup_code="" if verdict.passed else problem.setup_code,
                )
            )
        return journal


def _worded(verdict: Verdict, benchmark: Benchmark, answer: str | None, program: str | None) -> Verdict:
    """The verdict, with the reason where an answer that was found makes no program."""
    if program is not None or answer is None:
        return verdict
    reason = "is not a value; it must be a literal, or for inputs a call with literals"
    if benchmark.metric == "pass@1":
        reason = "is empty"
    failure = Failure(index=0, verdict="no_program", detail=f"the answer {reason}: {answer[:120]!r}")
    return replace(verdict, verdict="no_program", tests_passed=0, first_failure=failure)


def _trace(here: Path, asked: AskedBenchmark, judged: Lines[Key, Judged], judge: Judge, track: Track) -> None:
    by_id = {question.question_id: question for question in asked.questions}

    def run_of(line: Judged) -> tuple[str, ProgramInput] | None:
        failure = line.verdict.first_failure
        if line.verdict.verdict not in ("wrong_answer", "runtime_error"):
            return None
        try:
            given = None if failure is None else failure.input
            return asked.benchmark.traced(by_id[line.question_id], line.program or "", given)
        except Exception as error:  # the page lacks this trace
            tell_defect(f"the trace of {line.question_id!r}", error)
            return None

    def wanted() -> Iterator[tuple[Judged, Problem, str, ProgramInput]]:
        for line in judged.values(left):
            run = run_of(line)
            if run is not None:
                yield line, by_id[line.question_id].problem, *run

    with Journal(here / "traces.jsonl", SampleTrace.from_json, key_of) as journal:
        left = [
            key_of(line)
            for line in InOrder(asked.questions, judged)
            if line.outcome != "passed" and key_of(line) not in journal and run_of(line) is not None
        ]
        if not left:
            return
        with tracing_sandbox(judge.sandbox) as sandbox:
            traces = trace_failures(sandbox, wanted())
            for trace in track(traces, f"{asked.benchmark.name}: tracing failures", len(left)):
                journal.append(trace)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); use another folder with -o") from error
    return data if isinstance(data, dict) else {}
