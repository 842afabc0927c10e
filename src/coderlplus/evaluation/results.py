"""Judged samples → the numbers of a benchmark, `results.json` and a Markdown table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, families_of
from coderlplus.evaluation.intervals import clustered
from coderlplus.evaluation.metrics import Estimate, pass_at_k
from coderlplus.evaluation.notes import described
from coderlplus.evaluation.records import OUTCOMES, Judged
from coderlplus.evaluation.results_files import read_results_file, write_results_files
from coderlplus.records import VERDICTS

KS = (1, 5, 10, 50, 100)
"""`pass@k` is reported for these and for as many samples as every question has."""


def shares(questions: Iterable[str], judged: Iterable[Judged]) -> dict[str, Fraction]:
    """The share of samples that pass, by question; 0 where a question has none. Programs that the sandbox failed on do
    not count."""
    passed: dict[str, list[bool]] = {question_id: [] for question_id in questions}
    faulty: set[str] = set()
    for line in judged:
        if line.verdict.verdict == "sandbox_fault":
            faulty.add(line.question_id)
        else:
            passed[line.question_id].append(line.verdict.passed)
    return {
        question_id: Fraction(sum(marks), len(marks)) if marks else Fraction(0)
        for question_id, marks in passed.items()
        if marks or question_id not in faulty
    }


def score(benchmark: Benchmark, questions: Sequence[BenchmarkQuestion], judged: Iterable[Judged]) -> dict[str, Any]:
    """The numbers of a benchmark as they stand in `results.json`.

    The metric's mean stands under its name (`pass@1`, `accuracy`) and its 95 % interval under `intervals`; `pass@k`
    too, for every k in `KS` that all questions have samples for, and for as many as all have. `families` counts those
    of the questions, where some have more than one; intervals are over them. `outcomes` counts
    samples: wrong answers, answers that could not be found, and failures at the token limit apart. A question without
    a sample counts as failed; where there are such, `with_samples` has the same numbers over the others and their
    share. Programs that the sandbox failed on are in no number but `faults`.
    """
    marks: dict[str, list[bool]] = defaultdict(list)
    outcomes: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    faulty: set[str] = set()
    at_limit = 0
    for line in judged:
        verdicts[line.verdict.verdict] += 1
        if line.verdict.verdict == "sandbox_fault":
            faulty.add(line.question_id)
            continue
        marks[line.question_id].append(line.verdict.passed)
        outcomes[line.outcome] += 1
        at_limit += line.truncated
    faults = verdicts.pop("sandbox_fault", 0)
    unknown = faulty - marks.keys()
    known = [question for question in questions if question.question_id not in unknown]
    groups, families = [marks[question.question_id] for question in known], families_of(known)
    estimates: dict[str, Estimate] = {
        benchmark.metric: clustered([sum(group) / len(group) if group else 0.0 for group in groups], families)
    }
    fewest = min(map(len, groups))
    for k in sorted({*KS, fewest}):
        if benchmark.metric == "pass@1" and 1 < k <= fewest:
            estimates[f"pass@{k}"] = clustered([pass_at_k(len(group), sum(group), k) for group in groups], families)
    outcomes["missing"] = sum(not group for group in groups)
    return {
        "metric": benchmark.metric,
        **{name: round(estimate.mean, 6) for name, estimate in estimates.items()},
        "intervals": {name: [estimate.low, estimate.high] for name, estimate in estimates.items()},
        "problems": len(groups),
        **({"families": len(set(families))} if len(set(families)) < len(groups) else {}),
        "samples": verdicts.total(),
        **_with_samples(benchmark, groups, families),
        **({"faults": faults} if faults else {}),
        "outcomes": {name: outcomes[name] for name in OUTCOMES},
        "at_token_limit": at_limit,
        "verdicts": {name: verdicts[name] for name in VERDICTS if verdicts[name]},
    }


def _with_samples(
    benchmark: Benchmark, groups: Sequence[Sequence[bool]], families: Sequence[Hashable]
) -> dict[str, Any]:
    """The metric over the questions that have a sample, where some have none."""
    given = [group for group in groups if group]
    if len(given) == len(groups) or not given:
        return {}
    of = [family for family, group in zip(families, groups, strict=True) if group]
    estimate = clustered([sum(group) / len(group) for group in given], of)
    numbers = {benchmark.metric: round(estimate.mean, 6), "interval": [estimate.low, estimate.high]}
    return {"with_samples": {"problems": len(given), "share": round(len(given) / len(groups), 6), **numbers}}


def read_results(folder: Path) -> dict[str, Any]:
    """Read `results.json` of a folder. Raises `DataError` if the file is missing."""
    return read_results_file(folder, command="eval", part="benchmarks")


def write_results(folder: Path, results: Mapping[str, Any]) -> None:
    """Write `results.json` and `results.md`. Raises `DataError` if that cannot be."""
    write_results_files(folder, results, markdown(results))


def markdown(results: Mapping[str, Any]) -> str:
    """The results as a Markdown table, in percent.

    >>> numbers = {"metric": "accuracy", "accuracy": 0.5, "intervals": {"accuracy": [0.4, 0.6]}}
    >>> numbers |= {"problems": 90, "samples": 90}
    >>> numbers |= {"tests": 90, "outcomes": {"passed": 45, "wrong": 40, "no_answer": 3, "truncated": 2, "missing": 0}}
    >>> print(markdown({"model": "m", "benchmarks": {"cruxeval-o": numbers}}).splitlines()[-1])
    | cruxeval-o | accuracy | 50.0 | 40.0 – 60.0 | 90 | 90 | 90 | 40 | 3 | 2 | 0 |
    """
    lines = [
        f"**{results['model']}**",
        "",
        "| benchmark | metric | % | 95 % interval | problems | tests | samples | wrong | no answer found | at token "
        "limit | missing |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, numbers in results["benchmarks"].items():
        *counts, missing = (numbers["outcomes"][key] for key in ("wrong", "no_answer", "truncated", "missing"))
        for metric, interval in numbers["intervals"].items():
            sizes = [numbers["problems"], numbers.get("tests", ""), numbers["samples"]]
            lines.append(_line(name, metric, numbers[metric], interval, [*sizes, *counts, missing]))
            part = numbers.get("with_samples")
            if part and metric == numbers["metric"]:
                sizes = [part["problems"], "", numbers["samples"]]
                name_of_part = f"{name}, problems with samples only"
                lines.append(_line(name_of_part, metric, part[metric], part["interval"], [*sizes, *counts, 0]))
    warnings = [
        f"**Note:** {name}: {note}"
        for name, numbers in results["benchmarks"].items()
        for note in numbers.get("notes", ())
    ]
    data = [described(name, numbers) for name, numbers in results["benchmarks"].items() if "files" in numbers]
    for text in (*warnings, *data):
        lines += ["", text]
    return "\n".join(lines) + "\n"


def _line(name: str, metric: str, share: float, interval: Sequence[float], counts: Sequence[Any]) -> str:
    low, high = interval
    cells = [name, metric, f"{100 * share:.1f}", f"{100 * low:.1f} – {100 * high:.1f}", *map(str, counts)]
    return f"| {' | '.join(cells)} |"
