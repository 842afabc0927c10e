"""`coderlplus prepare`: public sets of problems in, problems to train on out, with a report of what was cut and
why."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from coderlplus.cli.options import BACKEND, Address, BackEndName, Resume
from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.benchmarks import BENCHMARKS, benchmarks_named, canonical
from coderlplus.evaluation.data import RELEASES, Window, load
from coderlplus.preparation.contamination import EvaluationTexts
from coderlplus.preparation.outputs import beside
from coderlplus.preparation.run import REASONS, Settings
from coderlplus.preparation.run import prepare as prepare_files
from coderlplus.preparation.sources import SUFFIXES, files_of
from coderlplus.problems import read_problems
from coderlplus.sandbox.backends import check_backend, open_sandbox
from coderlplus.terminal import console, print_table, shown

AGAINST = "humaneval,mbpp,mbppplus,leetcode,livecodebench"
"""Benchmarks that ask for programs. HumanEval+ has HumanEval's statements; CRUXEval and LiveCodeBench's execution have
none."""


def prepare(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders or Hub names (owner/name) of a public data set (JSON, JSON Lines, Parquet).",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="File for the problems (JSONL).", show_default=False)],
    parquet: Annotated[bool, typer.Option("--parquet", help="Also write a Parquet file for TRL and verl.")] = False,
    benchmarks: Annotated[
        str,
        typer.Option(help="Evaluation sets to decontaminate against: benchmarks, problem files (.jsonl), or none."),
    ] = AGAINST,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with the benchmark files. [default: the Hub]")] = None,
    max_tests: Annotated[
        int, typer.Option(min=1, help="Maximum number of tests per problem: the first 8 and the largest.")
    ] = 64,
    max_test_kb: Annotated[int, typer.Option(min=1, help="Maximum total size of a problem's tests, in KB.")] = 512,
    near_duplicates: Annotated[
        float | None,
        typer.Option(
            help="Also cut problems whose statement is so like an earlier one's (Jaccard index, e.g. 0.8).",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Problems validated in parallel. [default: one per core]")
    ] = None,
    backend: BackEndName = BACKEND,
    address: Address = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace OUTPUT, even if it is complete or was made from other sources."),
    ] = False,
    resume: Resume = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Make training problems from a public set: validated, deduplicated, without problems of the evaluation sets.

    Removed rows and the reasons are written beside the output. Rerun the command to resume an interrupted run.
    """
    check_backend(backend, address)
    if output.suffix != ".jsonl":
        raise ConfigError(f"the output {output} must end in .jsonl")
    if parquet and importlib.util.find_spec("pyarrow") is None:  # before hours of validation, not after
        raise ConfigError("--parquet needs pyarrow: pip install pyarrow, or leave --parquet out")
    if not output.resolve().parent.is_dir():
        raise ConfigError(f"cannot write {output}: its folder does not exist; create it first")
    files = [file for source in sources for file in files_of(source)]
    try:
        texts, counts = _evaluation_texts(benchmarks, data_dir)
    except DataError as error:
        raise DataError(f"{error} (for decontamination; --benchmarks none leaves it out)") from error
    settings = Settings(max_tests=max_tests, max_test_kb=max_test_kb, parquet=parquet, near_duplicates=near_duplicates)
    with open_sandbox(backend, workers=workers, address=address) as sandbox:
        report = prepare_files(
            files,
            output,
            sandbox=sandbox,
            settings=settings,
            texts=texts,
            benchmarks=counts,
            overwrite=overwrite,
        )
    if as_json:
        print(json.dumps(report))
    else:
        _print(report, output)


def _evaluation_texts(names: str, data_dir: Path | None) -> tuple[EvaluationTexts, dict[str, int]]:
    """The statements of the evaluation sets, and how many of each there are."""
    parts = [canonical(name.strip()) for name in names.split(",") if name.strip()]
    if parts == ["none"]:
        return EvaluationTexts(()), {}
    files = [name for name in parts if name.endswith(SUFFIXES)]
    known = {
        benchmark.name: benchmark for benchmark in benchmarks_named([name for name in parts if name not in files])
    }
    if not parts:
        raise ConfigError(f"--benchmarks is empty; use {', '.join(BENCHMARKS)}, or none to skip decontamination")
    texts: list[tuple[str, str]] = []
    counts: dict[str, int] = {}
    for name in parts:
        if name in known:
            found = [question.problem for question in load(known[name], Window(release=RELEASES[-1]), data_dir)[0]]
        else:
            found = read_problems(name)
        counts[name] = len(found)
        texts += [
            (f"{Path(name).name.partition('.')[0]}: {problem.problem_id}", problem.statement) for problem in found
        ]
    return EvaluationTexts(texts), counts


def _print(report: dict[str, Any], output: Path) -> None:
    table = Table(show_header=False, box=box.SIMPLE)
    table.add_row("rows in", str(report["rows"]))
    table.add_row(
        "kept",
        f"{report['kept']} ({report['kept'] / report['rows']:.1%})",
        f"{report['without_reference']} of them without a reference",
    )
    for reason, count in report["cut"].items():
        table.add_row(f"cut: {reason}", str(count), REASONS[reason])
    table.add_row(
        "tests",
        f"{report['tests_kept']} of {report['tests_given']}",
        f"{report['capped']} problems had more than the limit",
    )
    table.add_row("minutes", f"{report['seconds'] / 60:.1f}", f"peak memory {report['peak_memory_mb']} MB")
    table.columns[1].justify = "right"
    out = console()
    print_table(table, out)
    out.print(
        shown(
            f"written to {output}; rejected rows are in {beside(output, 'cut.jsonl')}, the report in "
            f"{beside(output, 'report.json')}"
        )
    )
