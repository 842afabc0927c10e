"""Sources → problems, in one pass over the rows, a few hundred of which are in memory at a time.

Each row ends in the journal with what became of it: kept, or cut with a reason. When all are there, the outputs are
written in the order of the rows, the first of several equal problems being kept. Interrupted at any place, the run
continues with the rows that the journal does not have, and writes the same files.
"""

from __future__ import annotations

import hashlib
import json
import resource
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from coderlplus.errors import CodeRLPlusError, DataError, NoTestsError, SandboxError
from coderlplus.preparation.capping import capped
from coderlplus.preparation.contamination import MOST_OVERLAP, EvaluationTexts
from coderlplus.preparation.near import NearDuplicates
from coderlplus.preparation.outputs import ParquetFile, beside, parquet_row, problem_schema
from coderlplus.preparation.validation import Validation, validate
from coderlplus.problems.files import FileRow, count_rows, stream_rows
from coderlplus.problems.formats import Format, format_of
from coderlplus.progress import Progress
from coderlplus.records import Problem
from coderlplus.records.files import atomic_write, whole_file
from coderlplus.records.journal import Fields, Journal
from coderlplus.records.outputs import digest, open_output
from coderlplus.records.places import Places
from coderlplus.sandbox import AnySandbox
from coderlplus.terminal import note, tell_defect

REASONS = {
    "unreadable": "the row is malformed",
    "error": "internal error of coderlplus, reported on stderr",
    "not_code": "not a programming problem",
    "no_statement": "nothing is asked",
    "no_tests": "no tests",
    "contaminated": "is in an evaluation set",
    "tests_too_large": "no test fits the limit",
    "broken_tests": "the test code itself fails",
    "tests_nothing": "the test code accepts every program",
    "nothing_passes": "a program that does nothing passes",
    "reference_fails": "the reference does not pass",
    "mutants_pass": "changed references pass too",
    "duplicate": "the same statement as an earlier problem",
    "same_tests": "the same tests as an earlier problem",
    "near_duplicate": "nearly the statement of an earlier problem",
}
"""Why rows are cut, in the order in which it is looked for."""
COUNTED = ("tests_given", "tests_kept", "capped", "without_reference", "other_reference", "without_mutant")
"""What is counted over the problems that are kept."""
_IN_FLIGHT = 32
"""Rows taken ahead for each worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`max_tests` and `max_test_kb`: see `capping`. `parquet`: write `problems.parquet` too. `near_duplicates`: how
    alike two statements may be, see `near`; `None` looks for equal ones only."""

    max_tests: int = 64
    max_test_kb: int = 512
    parquet: bool = False
    near_duplicates: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(slots=True)
class Done:
    """What became of a row, as a line of the journal."""

    place: str
    problem_id: str | None = None
    cut: str | None = None
    detail: str = ""
    problem: Problem | None = None
    tests_given: int = 0
    other_reference: bool = False
    mutants: int = 0
    keys: Sequence[str] = field(default=())

    def to_json(self) -> dict[str, Any]:
        about = {"place": self.place, "problem_id": self.problem_id}
        if self.problem is None:
            return about | {"cut": self.cut, "detail": self.detail}
        checks = {"tests_given": self.tests_given, "other_reference": self.other_reference, "mutants": self.mutants}
        return about | {"problem": self.problem.to_json(), "keys": list(self.keys)} | checks


def prepare(
    files: Sequence[Path],
    output: Path,
    *,
    sandbox: AnySandbox,
    settings: Settings,
    texts: EvaluationTexts,
    benchmarks: Mapping[str, int],
    overwrite: bool = False,
) -> dict[str, Any]:
    """Prepare the problems of `files` and return the report, which lies beside `output` too.

    `texts` are the statements of the evaluation sets, `benchmarks` how many of each there are. Raises `DataError` for
    a file that cannot be read, or of which nothing is kept, `ConfigError` where the output is of another source or
    other settings, `SandboxError` if the sandbox failed on rows (which are validated again the next time). What was
    finished is kept whenever it stops.
    """
    began = time.monotonic()
    _near(settings, {})  # so that what is missing is said before hours of work
    total = _count(files)
    sources = {path.name: digest(path) for path in files}
    fingerprint = {"sources": sources, "benchmarks": dict(benchmarks), **settings.to_json()}
    unfinished = beside(output, "unfinished.jsonl")
    inputs = {path.name: path for path in files}
    with open_output(output, fingerprint, unfinished=unfinished, overwrite=overwrite, files=inputs) as out:
        if out.summary is not None:
            note(f"{output} is complete; use --overwrite to replace it")
            return dict(out.summary)
        with Journal(unfinished, _line, itemgetter("row"), is_held=True) as journal:
            before = max((line["seconds"] for line in journal.values()), default=0.0)
            if len(journal):
                note(f"continuing {output}: {len(journal)} of {total} rows are done")
            left = (item for item in _rows(files) if item[0] not in journal)
            faults = 0
            with Progress() as progress:
                shown = progress.begin("validating rows", total, before=len(journal))
                for number, done in _done(left, sandbox, settings, texts):
                    progress.advance(shown)
                    if isinstance(done, str):
                        fault, faults = done, faults + 1
                    else:
                        seconds = round(before + time.monotonic() - began, 1)
                        journal.append(Fields(row=number, **done.to_json(), seconds=seconds))
            if faults:
                raise SandboxError(
                    f"the sandbox failed on {faults} of {total} rows ({fault}); run coderlplus doctor, then rerun "
                    "the command; it validates only these"
                )
            try:
                counts, first = _write(output, journal, total, settings)
                report = _report(files, settings, benchmarks, counts, before + time.monotonic() - began)
                atomic_write(beside(output, "report.json"), json.dumps(report, indent=2) + "\n")
            except OSError as error:
                raise DataError(
                    f"cannot write {output}: {error.strerror or error}; finished rows are kept; free space and rerun "
                    "the command"
                ) from error
        if report["kept"]:
            out.finish(report)
        unfinished.unlink()
    if not report["kept"]:
        told = ", ".join(f"{name} {count}" for name, count in report["cut"].items())
        names = ", ".join(path.name for path in files)
        raise DataError(
            f"no row of {names} is kept ({told}); the first is {first}; all reasons: {beside(output, 'cut.jsonl')}"
        )
    return report


def _line(data: dict[str, Any]) -> Fields:
    """A line of the journal, with what is read of each."""
    return Fields(data, row=int(data["row"]), seconds=float(data["seconds"]))


def _count(files: Sequence[Path]) -> int:
    """How many rows there are. Raises `DataError` for a file that is damaged or of no known format, before hours of
    work are put into it."""
    count = sum(count_rows(path) for path in files)
    if not count:
        raise DataError(f"{', '.join(map(str, files))} holds no rows")
    for path in files:
        bad: list[DataError] = []
        for _, _, form in _rows([path], bad):
            if form is not None:
                break
        else:
            raise bad[0] if bad else DataError(f"{path} holds no rows")
    return count


def _rows(
    files: Sequence[Path], unknown: list[DataError] | None = None
) -> Iterator[tuple[int, FileRow | DataError, Format | None]]:
    """All rows, and in the place of each line that is no JSON object its error, with their numbers and the format of
    their file, which its first row that has a known one decides; the errors of rows before it are added to
    `unknown`."""
    number = 0
    for path in files:
        found: Format | None = None
        for row in _rows_or_errors(path):
            if found is None:
                try:
                    found = format_of(row) if isinstance(row, FileRow) else None
                except DataError as error:
                    row = error
            if found is None and unknown is not None and isinstance(row, DataError):
                unknown.append(row)
            yield number, row, found
            number += 1


def _rows_or_errors(path: Path) -> Iterator[FileRow | DataError]:
    bad: list[DataError] = []
    for row in stream_rows(path, bad):
        yield from bad
        bad.clear()
        yield row
    yield from bad


def _done(
    rows: Iterable[tuple[int, FileRow | DataError, Format | None]],
    sandbox: AnySandbox,
    settings: Settings,
    texts: EvaluationTexts,
) -> Iterator[tuple[int, Done | str]]:
    """What became of each row, as they are finished: a text where the sandbox failed. Rows are taken no faster than
    they are validated."""
    running: dict[Future[Validation], tuple[int, Done, Sequence[str]]] = {}
    try:
        for number, row, form in rows:
            try:
                done, solutions = _read(row, form, settings, texts)
            except Exception as error:
                place = row.place if isinstance(row, FileRow) else str(row)
                tell_defect(place, error)
                done, solutions = Done(place=place, cut="error", detail=f"{type(error).__name__}: {error}"[:300]), ()
            if done.problem is None:
                yield number, done
                continue
            weight = done.problem.limits.cpu_s * len(done.problem.tests)
            running[sandbox.call(validate, done.problem, solutions, weight=weight)] = number, done, solutions
            while len(running) >= _IN_FLIGHT * sandbox.workers:
                yield from _finished(running)
        while running:
            yield from _finished(running)
    finally:
        for future in running:
            future.cancel()


def _finished(running: dict[Future[Validation], tuple[int, Done, Sequence[str]]]) -> Iterator[tuple[int, Done | str]]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        number, done, solutions = running.pop(future)
        try:
            found = future.result()
        except (CodeRLPlusError, CancelledError):
            raise
        except Exception as error:
            tell_defect(done.place, error)
            found = Validation(reason="error", detail=f"{type(error).__name__}: {error}"[:300])
        if found.fault:
            yield number, found.fault
            continue
        done.problem, done.mutants = found.problem, found.mutants
        done.cut, done.detail = found.reason or None, found.detail
        if found.problem is not None:
            done.other_reference = bool(solutions) and found.problem.reference != solutions[0]
            done.keys = _keys(found.problem)
        yield number, done


def _read(
    row: FileRow | DataError, form: Format | None, settings: Settings, texts: EvaluationTexts
) -> tuple[Done, Sequence[str]]:
    """The problem of a row with its capped tests, and the programs to validate it by; or why it is cut without running
    anything."""
    if isinstance(row, DataError) or form is None:
        place, _, detail = str(row).partition(": ")
        return Done(place=place, cut="unreadable", detail=detail), ()
    try:
        problem = row.read(form.read)
        solutions = list(row.read(form.solutions)) if form.solutions else []
    except DataError as error:
        cut = "no_tests" if isinstance(error.__cause__, NoTestsError) else "unreadable"
        return Done(place=row.place, cut=cut, detail=str(error).removeprefix(f"{row.place}: ")), ()
    if problem is None:
        return Done(place=row.place, cut="not_code"), ()
    done = Done(place=row.place, problem_id=problem.problem_id, tests_given=len(problem.tests))
    done.cut, done.detail = _why_cut(problem, texts)
    if done.cut is None:
        done.problem = capped(problem, settings.max_tests, settings.max_test_kb)
        if done.problem is None:
            done.cut = "tests_too_large"
            done.detail = f"the smallest of {len(problem.tests)} tests is larger than {settings.max_test_kb} kB"
    return done, solutions or ([problem.reference] if problem.reference else [])


def _why_cut(problem: Problem, texts: EvaluationTexts) -> tuple[str | None, str]:
    """Why a problem is cut for its text."""
    if not problem.statement.strip():
        return "no_statement", ""
    try:
        (problem.statement + problem.starter_code + problem.setup_code).encode()
    except UnicodeEncodeError as error:
        return "unreadable", f"the text is not valid Unicode ({error.reason})"
    overlap = texts.closest(problem.statement)
    if overlap is not None and overlap.share >= MOST_OVERLAP:
        return "contaminated", f"{overlap.share:.0%} in common with {overlap.name}: {overlap.run!r}"
    return None, ""


def _keys(problem: Problem) -> tuple[str, str]:
    """What makes two problems equal: the words of the statement, or the tests, which give every program the same
    verdict."""
    words = " ".join("".join(char if char.isalnum() else " " for char in problem.statement.lower()).split())
    tests = sorted(json.dumps(test.to_json(), sort_keys=True) for test in problem.tests)
    return _digest(words), _digest(json.dumps([problem.entry_point, tests]))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _near(settings: Settings, journal: Mapping[int, Fields] | Journal[int, Fields]) -> NearDuplicates | None:
    if settings.near_duplicates is None:
        return None
    return NearDuplicates(settings.near_duplicates, lambda number: str(journal[number]["problem"]["statement"]))


def _write(output: Path, journal: Journal[int, Fields], total: int, settings: Settings) -> tuple[Counter[str], str]:
    """Write the problems and what was cut, in the order of the rows; returns counts for the report, and the first row
    that was cut, with the reason. Memory holds some 100 bytes a problem."""
    counts: Counter[str] = Counter()
    first = ""
    seen, ids = (Places(), Places()), Places()
    alike = _near(settings, journal)
    with ExitStack() as stack:
        kept, cut = (stack.enter_context(whole_file(path)) for path in (output, beside(output, "cut.jsonl")))
        table = ParquetFile(beside(output, "parquet"), problem_schema) if settings.parquet else None
        parquet = stack.enter_context(table or nullcontext())
        for line in journal.values(range(total)):
            reason, detail = line.get("cut"), line.get("detail", "")
            if reason is None:
                for key, known, why in zip(line["keys"], seen, ("duplicate", "same_tests"), strict=True):
                    if reason is None and (earlier := known.get(key)) is not None:
                        reason, detail = why, f"as {journal[earlier]['problem']['problem_id']}"
            if reason is None and alike and (found := alike.closest(line["problem"]["statement"])):
                reason, detail = "near_duplicate", f"{found[1]:.0%} as {journal[found[0]]['problem']['problem_id']}"
            if reason is not None:
                counts[f"cut {reason}"] += 1
                what = {"place": line["place"], "problem_id": line["problem_id"], "reason": reason, "detail": detail}
                cut.write(json.dumps(what) + "\n")
                first = first or f"{line['place']}: {detail or reason}"
                continue
            problem = Problem.from_json(line["problem"])
            for key, known in zip(line["keys"], seen, strict=True):
                known[key] = line["row"]
            if alike:
                alike.add(line["row"], problem.statement)
            count = (ids.get(problem.problem_id) or 0) + 1
            ids[problem.problem_id] = count
            if count > 1:
                problem = replace(problem, problem_id=f"{problem.problem_id}/{count}")
            _add(counts, line, problem)
            kept.write(json.dumps(problem.to_json()) + "\n")
            if parquet is not None:
                parquet.add(parquet_row(problem, counts["kept"] - 1))
    return counts, first


def _add(counts: Counter[str], line: Mapping[str, Any], problem: Problem) -> None:
    given, kept = line["tests_given"], len(problem.tests)
    without = problem.reference is None, line["other_reference"], bool(problem.reference) and not line["mutants"]
    counts.update(dict(zip(COUNTED, (given, kept, given > kept, *without), strict=True)), kept=1)


def _report(
    files: Sequence[Path], settings: Settings, benchmarks: Mapping[str, int], counts: Counter[str], seconds: float
) -> dict[str, Any]:
    cut = {name: counts[f"cut {name}"] for name in REASONS if counts[f"cut {name}"]}
    return {
        "sources": [path.name for path in files],
        "rows": counts["kept"] + sum(cut.values()),
        "kept": counts["kept"],
        "cut": cut,
        **{name: counts[name] for name in COUNTED},
        "benchmarks": dict(benchmarks),
        "settings": settings.to_json(),
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
