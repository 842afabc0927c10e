"""Two evaluations side by side, paired by problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.intervals import paired
from coderlplus.evaluation.records import Judged, key_of
from coderlplus.evaluation.results import read_results, shares
from coderlplus.evaluation.run import read_questions
from coderlplus.records.journal import read_journal


def compare(a: Path, b: Path) -> dict[str, Any]:
    """B minus A on every benchmark that both folders have, as `results.json` has numbers: `{"a": model, "b": model,
    "benchmarks": {name: numbers}}`.

    `notes` says where the two were not made alike. Raises `DataError` if a folder is no evaluation, or where they
    have no problem in common.
    """
    results = {side: read_results(folder) for side, folder in (("a", a), ("b", b))}
    names = [name for name in results["a"]["benchmarks"] if name in results["b"]["benchmarks"]]
    if not names:
        found = " and ".join(", ".join(result["benchmarks"]) or "nothing" for result in results.values())
        raise DataError(f"{a} and {b} have no benchmark in common: they hold {found}")
    benchmarks = {
        name: _compared(a / name, b / name, results["a"]["benchmarks"][name], results["b"]["benchmarks"][name])
        for name in names
    }
    return {"a": results["a"]["model"], "b": results["b"]["model"], "benchmarks": benchmarks}


def _compared(a: Path, b: Path, numbers_a: Mapping[str, Any], numbers_b: Mapping[str, Any]) -> dict[str, Any]:
    first, second = _shares(a), _shares(b)
    families = read_questions(b) | {name: family for name, family in read_questions(a).items() if family}
    try:
        difference = paired(first, second, families)
    except ValueError:
        raise DataError(f"{a} and {b} have no problem in common; evaluate both on the same data and window") from None
    notes = []
    if first.keys() != second.keys():
        notes.append(f"only {difference.problems} problems are in both ({len(first)} and {len(second)})")
    for name in ("questions_sha256", "n_samples", "temperature", "max_tokens"):
        values = [numbers.get("settings", {}).get(name) for numbers in (numbers_a, numbers_b)]
        if values[0] == values[1]:
            continue
        if name != "questions_sha256":
            notes.append(f"{name} differs: {values[0]} and {values[1]}")
        elif not notes:
            notes.append("prompts or data files differ")
    return {"metric": numbers_a["metric"], **asdict(difference), "notes": notes}


def _shares(folder: Path) -> dict[str, Fraction]:
    judged = read_journal(folder / "verdicts.jsonl", Judged.from_json, key_of)
    return shares(read_questions(folder), judged.values())
