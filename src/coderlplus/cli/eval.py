"""`coderlplus eval`: benchmarks in, numbers with intervals out; `coderlplus eval compare`: two models, paired by
problem."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coderlplus.cli.options import BACKEND, BACKEND_HELP, Address
from coderlplus.errors import ConfigError
from coderlplus.evaluation.benchmarks import BENCHMARKS
from coderlplus.evaluation.compare import compare as compare_folders
from coderlplus.evaluation.data import RELEASES
from coderlplus.evaluation.evaluate import evaluate
from coderlplus.evaluation.notes import described
from coderlplus.evaluation.results import read_results
from coderlplus.evaluation.selectors import SELECTORS
from coderlplus.progress import Progress
from coderlplus.report.eval_page import write_eval_page
from coderlplus.terminal import console, print_table, shown

app = typer.Typer(no_args_is_help=True)


@app.callback(invoke_without_command=True)
def eval_(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(help="Model: a folder, a Hub name, or its name at the endpoint.", show_default=False),
    ] = None,
    benchmarks: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated benchmarks ({', '.join(BENCHMARKS)}), or files of problems or alignment tasks "
            "(.jsonl).",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the results; an existing evaluation is resumed.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="vllm or transformers. [default: vllm if it is installed and there is a GPU]")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="URL of an OpenAI-compatible server, e.g. http://localhost:8000/v1.")
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help="Score a file of completions (format of coderlplus, evalplus, LiveCodeBench or CRUXEval)."),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with the benchmark files. [default: the Hub]")] = None,
    n_samples: Annotated[
        int,
        typer.Option("--n-samples", "-n", min=1, help="Samples per problem; more than one needs --temperature."),
    ] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Maximum number of new tokens per completion.")] = 4096,
    seed: Annotated[int, typer.Option(help="Sampling seed.")] = 0,
    release: Annotated[
        str, typer.Option(help=f"LiveCodeBench release: {RELEASES[0]} to {RELEASES[-1]}.")
    ] = "release_v4",
    start_date: Annotated[
        str | None, typer.Option(help="First contest date for LiveCodeBench, e.g. 2023-05-01.")
    ] = None,
    end_date: Annotated[str | None, typer.Option(help="Last contest date for LiveCodeBench.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Number of problems per benchmark, evenly spaced. [default: all]")
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(
            help=f"Comma-separated selectors that keep one of the samples of a problem: {', '.join(SELECTORS)}.",
            show_default=False,
        ),
    ] = None,
    prompt_style: Annotated[
        str, typer.Option(help="How own_predictions asks for outputs: full or compact, as alignment tasks.")
    ] = "full",
    concurrency: Annotated[int, typer.Option(min=1, help="Concurrent requests to the endpoint.")] = 16,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Programs judged in parallel. [default: one per core]")
    ] = None,
    sandbox_backend: Annotated[str, typer.Option(help=BACKEND_HELP)] = BACKEND,
    address: Address = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Prompt template for problem files, as prompt_template in training, e.g. '{statement}'."),
    ] = None,
    style: Annotated[
        str,
        typer.Option(
            help="How questions are put: chat (by the model's chat template) or base (as a text to continue, for base "
            "models)."
        ),
    ] = "chat",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Evaluate anew: what OUTPUT has of these benchmarks is removed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Evaluate a model on benchmarks, or compare two evaluations (coderlplus eval compare A B).

    Results are written one by one. Rerun the command to resume an interrupted evaluation.
    Rows of files that cannot be used are reported and left out; the exit code is then 1.
    """
    if context.invoked_subcommand is not None:
        return
    if benchmarks is None or output is None:
        raise ConfigError(
            f"{'--benchmarks' if benchmarks is None else '--output'} is missing; see coderlplus eval --help"
        )
    began = time.perf_counter()
    with Progress() as progress:
        done = evaluate(
            model,
            [name.strip() for name in benchmarks.split(",") if name.strip()],
            output=output,
            data_dir=data_dir,
            samples=samples,
            backend=backend,
            endpoint=endpoint,
            n_samples=n_samples,
            temperature=temperature,
            max_tokens=max_tokens,
            seed=seed,
            release=release,
            start_date=start_date,
            end_date=end_date,
            limit=limit,
            select=[name.strip() for name in (select or "").split(",") if name.strip()],
            prompt_style=prompt_style,  # type: ignore[arg-type]
            prompt=prompt,
            style=style,
            concurrency=concurrency,
            workers=workers,
            sandbox_backend=sandbox_backend,
            sandbox_address=address,
            overwrite=overwrite,
            track=progress.track,
            then=write_eval_page,
        )
    numbers, left_out = done["benchmarks"], done["left_out"]
    results = read_results(output)
    page = output / "index.html"
    if as_json:
        print(json.dumps(results | {"left_out": left_out}))
        _print_notes(results, list(numbers), console(stderr=True))
    else:
        _print(results, list(numbers), time.perf_counter() - began, page)
    if left_out:
        raise typer.Exit(1)


def _print(results: dict[str, Any], now: list[str], seconds: float, page: Path) -> None:
    table = Table("benchmark", "metric", "% (95 % interval)", "problems", "tests", "samples", box=box.SIMPLE)
    for place, column in enumerate(table.columns):
        column.justify = "left" if place < 2 else "right"
        column.no_wrap = True
    for name in now:
        numbers = results["benchmarks"][name]
        for metric, (low, high) in numbers["intervals"].items():
            counts = (str(numbers["problems"]), str(numbers["tests"]), str(numbers["samples"]))
            table.add_row(shown(name), metric, _share(numbers[metric], low, high), *counts)
            part = numbers.get("with_samples")
            if part and metric == numbers["metric"]:
                share = _share(part[metric], *part["interval"])
                table.add_row(Text("with a sample", "bold red"), metric, share, str(part["problems"]), "", counts[2])
    out = console()
    print_table(table, out)
    _print_notes(results, now, out)
    parts = {
        part: sum(results["benchmarks"][name]["seconds"][part] for name in now)
        for part in ("generate", "judge", "trace")
    }
    shares = ", ".join(f"{part} {value:.1f} s ({value / seconds:.0%})" for part, value in parts.items())
    out.print(f"{seconds:.1f} s: {shares}")
    out.print(shown(f"written to {page.parent / 'results.json'}; look at every sample in {page}"))


def _print_notes(results: dict[str, Any], now: list[str], out: Console) -> None:
    """What keeps a number from being the benchmark's own, then what each number stands for."""
    for name in now:
        for text in results["benchmarks"][name]["notes"]:
            out.print(Text.assemble(("warning:", "bold red"), " ", shown(f"{name}: {text}")))
    for name in now:
        numbers = results["benchmarks"][name]
        out.print(shown(f"{described(name, numbers)}; failures: {_failures(numbers['outcomes'])}"))


def _share(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} ({100 * low:.1f} – {100 * high:.1f})"


def _failures(outcomes: Mapping[str, int]) -> str:
    """What did not pass, kind by kind."""
    words = {
        "wrong": "wrong",
        "no_answer": "no answer found",
        "truncated": "at the token limit",
        "missing": "no sample",
    }
    return ", ".join(f"{outcomes[name]} {word}" for name, word in words.items() if outcomes[name]) or "none"


@app.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(help="Folder of the first evaluation (A).", show_default=False)],
    b: Annotated[Path, typer.Argument(help="Folder of the second evaluation (B).", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare two evaluations problem by problem: B minus A, with the difference's 95 % interval and p-value."""
    result = compare_folders(a, b)
    if as_json:
        print(json.dumps(result))
        return
    table = Table(
        "benchmark",
        "metric",
        "A",
        "B",
        "B − A (95 % interval)",
        "p",
        "problems",
        "A better",
        "B better",
        box=box.SIMPLE,
    )
    for column in table.columns[2:]:
        column.justify = "right"
        column.no_wrap = True
    out = console()
    for name, numbers in result["benchmarks"].items():
        percent = [f"{100 * numbers[side]:.1f}" for side in ("a", "b")]
        change = f"{100 * numbers['difference']:+.1f} ({100 * numbers['low']:+.1f} – {100 * numbers['high']:+.1f})"
        counts = [str(numbers[key]) for key in ("problems", "a_better", "b_better")]
        table.add_row(shown(name), numbers["metric"], *percent, change, f"{numbers['p_value']:.3g}", *counts)
    out.print(shown(f"A: {result['a']}\nB: {result['b']}", keep="\n"))
    print_table(table, out)
    for name, numbers in result["benchmarks"].items():
        for text in numbers["notes"]:
            out.print(shown(f"{name}: {text}"))
