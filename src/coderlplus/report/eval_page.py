"""The page of an evaluation: the numbers, and every sample with prompt, completion, program, verdict, first failing
test and trace.

What is listed of a sample is on the page as JSON; what is shown when it is opened is compressed, in parts of some
questions each, which the browser unpacks when they are looked at. So a page of ten thousand samples stays within some
megabytes and opens at once.
"""

from __future__ import annotations

import base64
import json
import shlex
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.expressions import ENTRY_POINT
from coderlplus.evaluation.notes import described
from coderlplus.evaluation.records import OUTCOMES, Judged, Sample, key_of
from coderlplus.evaluation.results import read_results
from coderlplus.evaluation.run import keys_of
from coderlplus.evaluation.traces import SampleTrace
from coderlplus.records import CallInput, Failure
from coderlplus.records.journal import read_journal
from coderlplus.report import html
from coderlplus.report.bindings import binding_line
from coderlplus.report.folders import json_lines
from coderlplus.report.samples import cut, shown_verdict
from coderlplus.sandbox.values import to_source

STYLES = ("base.css", "run_page.css", "eval_page.css")
SCRIPTS = ("dom.js", "python.js", "eval_page.js")
KEPT = (
    "metric", "intervals", "problems", "families", "tests", "samples", "with_samples", "outcomes", "at_token_limit",
    "verdicts", "notes", "settings", "files", "layout", "release", "seconds",
)  # fmt: skip
"""What the page has of the numbers of a benchmark."""
PART = 24
"""Questions that are compressed together."""
SEPARATORS = (",", ":")


def write_eval_page(folder: Path, out: Path | None = None) -> Path:
    """Write the page of an evaluation to `out` (default: `index.html` in the folder) and return its path. Raises
    `DataError` if the folder is none or the page cannot be written."""
    folder = Path(folder)
    out = folder / "index.html" if out is None else out / "index.html" if out.is_dir() else out
    html.write(out, html.assemble("eval_page.html", styles=STYLES, scripts=SCRIPTS, data=page_data(folder)), "-o")
    return out


def page_data(folder: Path) -> dict[str, Any]:
    """All that the page shows, as JSON."""
    results = read_results(folder)
    benchmarks = [benchmark_data(folder / name, name, numbers) for name, numbers in results["benchmarks"].items()]
    return {
        "folder": shlex.quote(str(folder)),
        "model": results["model"],
        "source": results.get("source", ""),
        "outcomes": list(OUTCOMES),
        "benchmarks": benchmarks,
    }


def benchmark_data(folder: Path, name: str, numbers: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of a benchmark, its questions as `[id, a digit a sample: the place of its outcome]`, and the parts
    with what is behind them."""
    judged = read_journal(folder / "verdicts.jsonl", Judged.from_json, key_of)
    said = read_journal(folder / "completions.jsonl", Sample.from_json, key_of)
    traces = read_journal(folder / "traces.jsonl", SampleTrace.from_json, key_of)
    asked = _questions(folder / "questions.jsonl")
    questions: list[list[str]] = []

    def texts(part: Sequence[dict[str, Any]]) -> Iterator[str]:
        """The questions of a part as JSON, one sample at a time, so that memory holds none."""
        for place, question in enumerate(part):
            shown = {name: question.get(name) for name in ("date", "reference", "tests", "cases")}
            head = json.dumps(shown | {"messages": question["messages"]}, separators=SEPARATORS).removesuffix("}")
            yield f'{"," if place else "["}{head},"samples":['
            outcomes = ""
            for line in judged.values(keys_of(question["question_id"], judged)):
                sample = sample_data(line, said.get(key_of(line)), traces.get(key_of(line)))
                yield ("," if outcomes else "") + json.dumps(sample, separators=SEPARATORS)
                outcomes += str(OUTCOMES.index(line.outcome))
            questions.append([question["question_id"], outcomes])
            yield "]}"
        yield "]"

    parts = []
    while part := list(islice(asked, PART)):
        parts.append(packed(texts(part)))
    return {
        "name": name,
        "values": {metric: numbers[metric] for metric in numbers["intervals"]},
        "part": PART,
        "questions": questions,
        "parts": parts,
        **({"about": described(name, numbers)} if "tests" in numbers else {}),
        **{field: numbers[field] for field in KEPT if field in numbers},
    }


def _questions(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"{path} is missing; rerun the evaluation; finished samples are reused")
    return json_lines(path)


def packed(texts: Iterable[str]) -> str:
    """A text in pieces, compressed (zlib), in base 64."""
    packing = zlib.compressobj(9)
    return base64.b64encode(b"".join([*(packing.compress(text.encode()) for text in texts), packing.flush()])).decode()


def sample_data(line: Judged, sample: Sample | None, trace: SampleTrace | None) -> dict[str, Any]:
    shown = shown_verdict(line.verdict) | {
        "outcome": line.outcome,
        "tokens": None if sample is None else sample.tokens,
        "truncated": line.truncated,
        "completion": None if sample is None or sample.completion is None else cut(sample.completion),
        "answer": None if line.answer == line.program else cut(line.answer or ""),
        "program": None if line.program is None else cut(line.program),
    }
    if line.verdict.first_failure is not None:
        shown["failure"] |= _given_and_gave(line.verdict.first_failure)
    if trace is not None:
        program = trace.program if trace.program is not None else line.program or ""
        shown["trace"] = {
            "program": None if trace.program is None else cut(trace.program),
            "variables": [[*row, binding_line(program, row[0], row[1])] for row in trace.variables],
            "output": trace.output,
            "value": trace.value,
            "ending": trace.ending,
            "line": trace.line,
        }
    return shown


def _given_and_gave(failure: Failure) -> dict[str, str | None]:
    """What the program was given and what it returned, where there is such a thing and the words of the failure do not
    say it."""
    if not isinstance(failure.input, CallInput):
        return {"gave": None}
    actual = failure.actual
    gave = None if actual is None or actual.raised is not None else cut(to_source(actual.value))
    nothing = {"input": None} if failure.input.entry_point == ENTRY_POINT else {}  # an answer is given nothing
    return {"gave": None if gave is None or gave in failure.detail else gave, **nothing}
