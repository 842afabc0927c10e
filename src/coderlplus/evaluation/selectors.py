"""`--select`: of the samples of each problem one is kept, and the share of problems that it passes is measured.

| selector | keeps the sample |
|---|---|
| `random` | any: the mean of all |
| `logprob` | with the highest mean log-probability of its tokens |
| `majority` | that does the same on the inputs of the examples as most others (runs the programs) |
| `own_predictions` | whose outputs, as the model itself predicts them, agree with most examples (runs nothing) |
| `execution` | whose outputs agree with most examples (runs the programs) |

Where several are equally good, the mean of them counts, so nothing is drawn. A problem whose prompt shows no example
has no preference: there each is as good as any other.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from coderlplus.alignment.facts import canonical
from coderlplus.alignment.settings import PromptStyle
from coderlplus.errors import ConfigError, counted
from coderlplus.evaluation.backends import Backend, Request, Sampling
from coderlplus.evaluation.benchmarks.base import BenchmarkQuestion, families_of, user
from coderlplus.evaluation.examples import Example, visible_examples
from coderlplus.evaluation.generate import Continued
from coderlplus.evaluation.intervals import clustered
from coderlplus.evaluation.metrics import Estimate
from coderlplus.evaluation.records import Judged, Key, Sample
from coderlplus.evaluation.selection import agrees, prediction_prompt
from coderlplus.judge import Judge
from coderlplus.progress import Track
from coderlplus.records import Problem, Rollout
from coderlplus.records.fields import get, optional
from coderlplus.records.journal import Journal, Lines

NOTHING = Estimate(0.0, 0.0, 1.0)
"""Where no problem is known."""
SELECTORS = ("random", "logprob", "majority", "own_predictions", "execution")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What the model says that a program gives; `prompt` is the digest of what it was asked."""

    prompt: str
    completion: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(prompt=get(data, "prompt", str), completion=get(data, "completion", str))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRun:
    """What a program did on the input of an example: whether it gave the output of the example, and a text for what it
    gave. `run` is the digest of both."""

    run: str
    agrees: bool
    gave: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        return cls(run=get(data, "run", str), agrees=get(data, "agrees", bool), gave=optional(data, "gave", str, ""))


def check_selectors(names: Sequence[str], *, has_model: bool, n_samples: int) -> None:
    """Raises `ConfigError` for an unknown selector and for one that cannot be used here."""
    for name in names:
        if name not in SELECTORS:
            raise ConfigError(f"unknown selector {name!r}; use {', '.join(SELECTORS)}")
        if name == "own_predictions" and not has_model:
            raise ConfigError(
                "own_predictions asks the model itself, and a file of samples has none; name the model without samples"
            )
        if name == "logprob" and not has_model:
            raise ConfigError("logprob needs the model's log-probabilities, which a file of samples does not have")
    if names and has_model and n_samples < 2:
        raise ConfigError("select chooses one of several samples; set n_samples (-n) to 2 or more")


def measure(
    here: Path,
    selectors: Sequence[str],
    questions: Sequence[BenchmarkQuestion],
    lines: Iterable[Judged],
    samples: Lines[Key, Sample],
    backend: Callable[[], Backend],
    sampling: Sampling,
    style: PromptStyle,
    judge: Judge,
    track: Track,
) -> dict[str, Any]:
    """The share of problems that each selector's choice passes, as it stands in `results.json`: the metrics
    `NAME@n` with their intervals, and a note on the examples."""
    if "logprob" in selectors:
        _check_logprobs(here, samples)
    groups: dict[str, list[Judged]] = {question.question_id: [] for question in questions}
    faulty = {line.question_id for line in lines if line.verdict.verdict == "sandbox_fault"}
    for line in lines:
        if line.question_id not in faulty:
            groups[line.question_id].append(line)
    by_id = {question.question_id: question for question in questions}
    examples = {name: visible_examples(question.problem, _text(question)) for name, question in by_id.items()}
    chosen: dict[str, Callable[[str], list[float | None]]] = {
        "random": lambda name: [0.0 for _ in groups[name]],
        "logprob": lambda name: [_logprob(samples[name, line.sample]) for line in groups[name]],
    }
    if "own_predictions" in selectors:
        said = _predictions(here, by_id, groups, examples, backend, sampling, style, track)
        chosen["own_predictions"] = lambda name: [
            _agreements(line, examples[name], lambda one, program: said(by_id[name], program, one))
            for line in groups[name]
        ]
    if {"execution", "majority"} & set(selectors):
        runs = _runs(here, by_id, groups, examples, judge, track)
        chosen["execution"] = lambda name: _by_execution(groups[name], examples[name], by_id[name], runs)
        chosen["majority"] = lambda name: _by_majority(groups[name], examples[name], by_id[name], runs)
    found: dict[str, Any] = {"intervals": {}, "notes": []}
    most = max(map(len, groups.values()))
    for selector in dict.fromkeys(selectors):
        shares = {name: _share(groups[name], chosen[selector](name)) for name in groups if name not in faulty}
        known = {name: share for name, share in shares.items() if share is not None}
        estimate = clustered([*known.values()], families_of(by_id[name] for name in known)) if known else NOTHING
        found[f"{selector}@{most}"] = round(estimate.mean, 6)
        found["intervals"][f"{selector}@{most}"] = [estimate.low, estimate.high]
    without = sum(not shown for shown in examples.values())
    if without and {"own_predictions", "execution", "majority"} & set(selectors):
        problems = counted(without, "problem")
        found["notes"] = [f"{problems} of {len(examples)} show no example: selection by examples is random there"]
    return found


def _share(group: Sequence[Judged], ranks: Sequence[float | None]) -> float | None:
    """The share of the best samples that pass, 0 where there is no sample; `None` where the sandbox failed to rank
    one."""
    known = [rank for rank in ranks if rank is not None]
    if len(known) < len(ranks):
        return None
    kept = [line.verdict.passed for line, rank in zip(group, known, strict=True) if rank == max(known)]
    return sum(kept) / len(kept) if kept else 0.0


def _check_logprobs(here: Path, samples: Lines[Key, Sample]) -> None:
    lacking = sum(sample.logprob is None and sample.tokens != 0 for sample in samples.values())
    if lacking:
        raise ConfigError(
            f"{counted(lacking, 'completion')} in {here} have no log-probability: they were made without --select "
            "logprob; name another folder with -o, or add --overwrite to evaluate anew"
        )


def _logprob(sample: Sample) -> float:
    """The lowest for a prompt that was too long to be asked."""
    return -math.inf if sample.logprob is None else sample.logprob


def _text(question: BenchmarkQuestion) -> str:
    asked = question.messages
    return asked.text if isinstance(asked, Continued) else "\n".join(message["content"] for message in asked)


def _agreements(line: Judged, examples: Sequence[Example], agrees_with: Callable[[Example, str], bool]) -> float:
    """With how many examples a sample agrees; -1 for one without a program."""
    if line.program is None:
        return -1.0
    return float(sum(agrees_with(example, line.program) for example in examples))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _predictions(
    here: Path,
    by_id: Mapping[str, BenchmarkQuestion],
    groups: Mapping[str, Sequence[Judged]],
    examples: Mapping[str, Sequence[Example]],
    backend: Callable[[], Backend],
    sampling: Sampling,
    style: PromptStyle,
    track: Track,
) -> Callable[[BenchmarkQuestion, str, Example], bool]:
    """Ask what is not known yet, once for each program and example, greedily."""

    def prompt(question: BenchmarkQuestion, program: str, example: Example) -> str:
        return prediction_prompt(question.problem, program, example, style)

    wanted = {
        prompt(by_id[name], line.program, example): name
        for name in by_id
        for line in groups[name]
        if line.program is not None
        for example in examples[name]
    }
    greedy = replace(sampling, temperature=0.0, logprobs=False)
    with Journal(here / "predictions.jsonl", Prediction.from_json, lambda line: line.prompt) as journal:
        requests = [
            Request(
                question_id=f"{name}: {_digest(text)}",
                sample=0,
                messages=Continued(text) if isinstance(by_id[name].messages, Continued) else user(text),
            )
            for text, name in wanted.items()
            if _digest(text) not in journal
        ]
        if requests:
            answers = backend().complete(requests, greedy)
            for request, completion in track(answers, f"{here.name}: predicting outputs", len(requests)):
                key = request.question_id.rpartition(": ")[2]
                journal.append(Prediction(prompt=key, completion=completion.text))
        said = {line.prompt: line.completion for line in journal.values()}
    return lambda question, program, example: agrees(example, said[_digest(prompt(question, program, example))])


Runs = Callable[[BenchmarkQuestion, str, Example], ExampleRun | None]


def _runs(
    here: Path,
    by_id: Mapping[str, BenchmarkQuestion],
    groups: Mapping[str, Sequence[Judged]],
    examples: Mapping[str, Sequence[Example]],
    judge: Judge,
    track: Track,
) -> Runs:
    """Run what has not been run yet, each program on each example, by the judge; `None` where the sandbox fails."""

    def key(question: BenchmarkQuestion, program: str, example: Example) -> str:
        return _digest(question.question_id, program, canonical(example.to_json()))

    with Journal(here / "example_runs.jsonl", ExampleRun.from_json, lambda line: line.run) as journal:
        wanted = {
            key(by_id[name], line.program, example): (replace(by_id[name].problem, tests=(example,)), line.program)
            for name in by_id
            for example in examples[name]
            for line in groups[name]
            if line.program is not None
        }
        left = [(one, *work) for one, work in wanted.items() if one not in journal]

        def pairs() -> Iterator[tuple[Problem, Rollout]]:
            for one, problem, program in left:
                yield problem, Rollout(rollout_id=one, problem_id=problem.problem_id, program=program)

        verdicts = judge.judge_as_completed(pairs())
        for number, verdict in track(verdicts, f"{here.name}: running examples", len(left)) if left else ():
            failure = verdict.first_failure
            actual = None if failure is None else failure.actual
            gave = verdict.verdict if actual is None else canonical(actual.to_json())
            if verdict.verdict != "sandbox_fault":
                journal.append(ExampleRun(run=left[number][0], agrees=verdict.passed, gave=gave))
        known = journal.to_dict()
    return lambda question, program, example: known.get(key(question, program, example))


def _by_execution(
    group: Sequence[Judged], examples: Sequence[Example], question: BenchmarkQuestion, runs: Runs
) -> list[float | None]:
    ranks: list[float | None] = []
    for line in group:
        seen = [] if line.program is None else [runs(question, line.program, example) for example in examples]
        known = [run for run in seen if run is not None]
        ranks.append(
            None if len(known) < len(seen) else -1.0 if line.program is None else float(sum(r.agrees for r in known))
        )
    return ranks


def _by_majority(
    group: Sequence[Judged], examples: Sequence[Example], question: BenchmarkQuestion, runs: Runs
) -> list[float | None]:
    """How many samples do the same on all examples; a sample without a program is like no other."""
    done: list[tuple[str, ...] | None] = []
    for line in group:
        seen = [] if line.program is None else [runs(question, line.program, example) for example in examples]
        if any(run is None for run in seen):
            return [None] * len(group)
        done.append(None if line.program is None else tuple(run.gave for run in seen if run is not None))
    sizes = Counter(done)
    return [-1.0 if one is None else float(sizes[one]) for one in done]
