"""What a number stands for: which data and how many tests, and everything that keeps it from being the benchmark's own
number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coderlplus.errors import counted
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion
from coderlplus.evaluation.benchmarks.plus import BASE_ALONE
from coderlplus.evaluation.records import Judged, Sample
from coderlplus.records.places import Places

NAMED = 3
"""Of many things of one kind, so many are named."""


def about(questions: Sequence[BenchmarkQuestion], files: Sequence[Path], release: str | None) -> dict[str, Any]:
    """What was asked: the files, the release of LiveCodeBench where the files are of one, the layout of the rows, and
    the number of tests.

    Of a benchmark whose tests compare several things (HumanEval+: inputs, HumanEval: asserts), all of them are
    counted.
    """
    found = {
        "files": [path.name for path in files],
        "layout": "; ".join(name for name, _ in _layouts(questions).most_common()),
        "tests": sum(map(cases, questions)),
    }
    return found if release is None else found | {"release": release}


def _layouts(questions: Sequence[BenchmarkQuestion]) -> Counter[str]:
    """The layouts of the rows. A problem of MBPP+ without added inputs is no layout of its own."""
    return Counter(question.layout for question in questions if question.layout and question.layout != BASE_ALONE)


def cases(question: BenchmarkQuestion) -> int:
    """How many things the tests of a question compare."""
    return len(question.problem.tests) if question.cases is None else question.cases


def of_data(
    benchmark: Benchmark,
    questions: Sequence[BenchmarkQuestion],
    whole: int,
    inside: int,
    files: Sequence[Path],
    left_out: Sequence[str],
) -> list[str]:
    """Notes on the questions: `whole` are in the files, `inside` of them in the window."""
    where = files[0].name if files else "the data"
    found = []
    if benchmark.size is not None and whole != benchmark.size:
        found.append(
            f"{where} has {whole} of the {benchmark.size} problems of {benchmark.name}: this is not the whole "
            "benchmark"
        )
    if len(questions) < inside:
        found.append(f"{len(questions)} of {inside} problems were asked (--limit)")
    if left_out:
        found.append(
            f"{counted(len(left_out), 'row')} of the data cannot be used and {_is(left_out)} left out: "
            f"{named(left_out, '; ')}"
        )
    layouts = _layouts(questions)
    if len(layouts) > 1:
        parts = ", ".join(f"{count} with {name}" for name, count in layouts.most_common())
        found.append(f"the rows are of several layouts: {parts}")
    return found


def of_samples(
    questions: Sequence[BenchmarkQuestion], samples: Iterable[Sample], strangers: Sequence[str]
) -> list[str]:
    """Notes on a file of samples: problems without one, rows that belong to nothing, samples that are there twice."""
    counts = dict.fromkeys((question.question_id for question in questions), 0)
    repeated, texts = 0, Places()
    for sample in samples:
        counts[sample.question_id] += 1
        text = sample.question_id, sample.answer if sample.completion is None else sample.completion
        repeated += text in texts
        texts[text] = 0
    found = []
    missing = [question_id for question_id, count in counts.items() if not count]
    if missing:
        share = f"{len(missing)} of {len(counts)} problems ({len(missing) / len(counts):.0%})"
        found.append(f"{share} have no sample and count as failed: {named(missing)}")
    if strangers:
        found.append(
            f"{counted(len(strangers), 'row')} of the samples file {_is(strangers)} left out: {named(strangers, '; ')}"
        )
    sizes = sorted({count for count in counts.values() if count})
    if len(sizes) > 1:
        found.append(f"problems have {sizes[0]} to {sizes[-1]} samples each, and every problem counts the same")
    if repeated and len(sizes) > 1:
        found.append(
            f"{counted(repeated, 'sample')} repeat another of the same problem word for word; check that no file was "
            "joined with a part of itself"
        )
    return found


def of_prompts(samples: Iterable[Sample]) -> list[str]:
    """The note on prompts that the model has no room for."""
    long = sorted({sample.question_id for sample in samples if sample.truncated and sample.tokens == 0})
    if not long:
        return []
    told, verb = ("was", "counts") if len(long) == 1 else ("were", "count")
    return [
        f"{counted(len(long), 'prompt')} longer than the model's context {told} not asked and {verb} as failed: "
        f"{named(long)}"
    ]


def of_faults(lines: Sequence[Judged]) -> list[str]:
    """The note on programs that the sandbox failed on."""
    lines = [line for line in lines if line.verdict.verdict == "sandbox_fault"]
    if not lines:
        return []
    faults = sorted({line.question_id for line in lines})
    detail = next((line.verdict.first_failure.detail for line in lines if line.verdict.first_failure), "")[:200]
    return [
        f"the sandbox, or the test itself, failed on samples of {counted(len(faults), 'problem')}, which are in no "
        f"number: {named(faults)}{f' ({detail})' if detail else ''}; rerun the command to judge them again"
    ]


def described(name: str, numbers: Mapping[str, Any]) -> str:
    """One line on what a number of `results.json` stands for.

    >>> described("mbpp", {"files": ["mbpp.jsonl"], "layout": "test_list", "tests": 1500, "problems": 500})
    'mbpp: 1,500 tests of 500 problems, mbpp.jsonl (test_list)'
    """
    release = f", {numbers['release']}" if numbers.get("release") else ""
    layout = f" ({numbers['layout']})" if numbers.get("layout") else ""
    tests = counted(numbers["tests"], "test") if "tests" in numbers else "tests"
    families = f" in {numbers['families']:,} families" if "families" in numbers else ""
    return (
        f"{name}: {tests} of {counted(numbers['problems'], 'problem')}{families}, "
        f"{_files(numbers.get('files', ()))}{layout}{release}"
    )


def _files(names: Sequence[str]) -> str:
    return f"{names[0]} and {len(names) - 1} more" if len(names) > NAMED else ", ".join(names) or "no file"


def named(items: Sequence[str], between: str = ", ") -> str:
    """The first of many, and how many more there are."""
    more = f"{between}and {len(items) - NAMED:,} more" if len(items) > NAMED else ""
    return between.join(items[:NAMED]) + more


def _is(items: Sequence[str]) -> str:
    return "is" if len(items) == 1 else "are"
