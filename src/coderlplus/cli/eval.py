"""`coderlplus eval`: benchmarks in, numbers with intervals out; `coderlplus eval compare`: two models, paired by
problem."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coderlplus.engines.config import known_template
from coderlplus.engines.prompts import user_message
from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.asking import FILE_ENDINGS, asked_for
from coderlplus.evaluation.backends import Backend, Sampling, has_gpu
from coderlplus.evaluation.benchmarks import BENCHMARKS
from coderlplus.evaluation.compare import compare as compare_folders
from coderlplus.evaluation.data import RELEASES, Window
from coderlplus.evaluation.notes import described
from coderlplus.evaluation.results import read_results, write_results
from coderlplus.evaluation.run import Asked, Source, evaluate, prepare
from coderlplus.evaluation.sample_files import digest_of, read_samples
from coderlplus.judge import Judge
from coderlplus.progress import Progress
from coderlplus.records.files import held
from coderlplus.report.eval_page import write_eval_page
from coderlplus.sandbox import Sandbox
from coderlplus.terminal import console, note, shown

BACKENDS = ("vllm", "transformers")

app = typer.Typer(no_args_is_help=True)


@app.callback(invoke_without_command=True)
def eval_(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(help="Model: a folder, a name on the hub, or what the endpoint calls it.", show_default=False),
    ] = None,
    benchmarks: Annotated[
        str | None,
        typer.Option(
            help=f"Names with commas between: {', '.join(BENCHMARKS)}; or files of problems (.jsonl).",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the results; one that was begun is gone on with.")
    ] = None,
    backend: Annotated[
        str | None, typer.Option(help="vllm or transformers. [default: vllm with a GPU where it is installed]")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Address of an OpenAI-compatible server, like http://localhost:8000/v1.")
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(help="File of completions instead of a model: ours, evalplus's, LiveCodeBench's, CRUXEval's."),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with the benchmarks' files. [default: from the hub]")
    ] = None,
    n_samples: Annotated[
        int,
        typer.Option("--n-samples", "-n", min=1, help="Samples for each problem; more than one needs --temperature."),
    ] = 1,
    temperature: Annotated[float, typer.Option(min=0.0, help="0 is greedy.")] = 0.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="New tokens of a completion, at most.")] = 4096,
    seed: Annotated[int, typer.Option(help="Seed of sampling.")] = 0,
    release: Annotated[
        str, typer.Option(help=f"LiveCodeBench release: {RELEASES[0]} to {RELEASES[-1]}.")
    ] = "release_v4",
    start_date: Annotated[
        str | None, typer.Option(help="First contest day for LiveCodeBench, like 2023-05-01.")
    ] = None,
    end_date: Annotated[str | None, typer.Option(help="Last contest day for LiveCodeBench.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask so many problems of each benchmark, spread over it. [default: all]")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests to the endpoint at a time.")] = 16,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Programs judged at the same time. [default: one per core]")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Prompt for files of problems, as prompt_template in training, e.g. '{statement}'."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON on stdout.")] = False,
) -> None:
    """Evaluate a model on benchmarks, or compare two evaluations (coderlplus eval compare A B).

    Everything is written as soon as it is there. After an interruption the same command goes on where it stopped.
    Rows of files that cannot be used are named and left out; the exit code is then 1.
    """
    if context.invoked_subcommand is not None:
        return
    if benchmarks is None or output is None:
        raise ConfigError(
            f"{'--benchmarks' if benchmarks is None else '--output'} is missing; see coderlplus eval --help"
        )
    if sum(given is not None for given in (backend, endpoint, samples)) > 1:
        raise ConfigError("--backend, --endpoint and --samples exclude each other: completions come from one place")
    if model is None and samples is None:
        raise ConfigError("--model is missing; name one, or give --samples")
    if n_samples > 1 and temperature == 0:
        raise ConfigError(f"greedy decoding gives one completion, not {n_samples}; set --temperature")
    began = time.perf_counter()
    window = Window(release=release, start=start_date, end=end_date)
    asked = _asked(benchmarks, window, data_dir, prompt, limit)
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
    open_backend = cache(lambda: _open(model or "", backend, endpoint, concurrency))
    source = _source(model, asked, sampling, n_samples, _kind(backend, endpoint), samples)
    _make(output)
    try:
        with held(output):
            _refuse_another_model(output, source.model)
            _say_what_is_kept(prepare(output, source, asked), output)
            numbers = _evaluate_all(output, source, asked, open_backend, workers)
            results = read_results(output)
            page = write_eval_page(output)
    except KeyboardInterrupt:
        note(f"stopped; everything so far is kept in {output}, the same command continues")
        raise
    left_out = sum(len(one.left_out) for one in asked) + len(source.strangers)
    if as_json:
        print(json.dumps(results | {"left_out": left_out}))
        _print_notes(results, list(numbers), console(stderr=True))
    else:
        _print(results, list(numbers), time.perf_counter() - began, page)
    if left_out:
        raise typer.Exit(1)


def _asked(names: str, window: Window, data_dir: Path | None, prompt: str | None, limit: int | None) -> list[Asked]:
    """The benchmarks that are named, with their questions."""
    parts = [name.strip() for name in names.split(",") if name.strip()]
    if prompt is not None and not any(name.endswith(FILE_ENDINGS) for name in parts):
        raise ConfigError("--prompt is for files of problems; the benchmarks have prompts of their own")
    known_template(prompt)
    return asked_for(parts, window, data_dir, lambda problem: user_message(problem, prompt), limit=limit)


def _kind(backend: str | None, endpoint: str | None) -> str:
    if endpoint is not None:
        return "endpoint"
    if backend is None:
        return "vllm" if importlib.util.find_spec("vllm") and has_gpu() else "transformers"
    if backend not in BACKENDS:
        raise ConfigError(f"unknown back end {backend!r}; use {' or '.join(BACKENDS)}, or --endpoint")
    return backend


def _open(model: str, backend: str | None, endpoint: str | None, concurrency: int) -> Backend:
    kind = _kind(backend, endpoint)
    if endpoint is not None:
        from coderlplus.evaluation.backends.endpoint import Endpoint

        return Endpoint(url=endpoint, model=model, concurrency=concurrency)
    if kind == "vllm":
        from coderlplus.evaluation.backends.vllm_engine import VllmModel

        return VllmModel(model)
    from coderlplus.evaluation.backends.local import LocalModel

    return LocalModel(model)


def _source(
    model: str | None, asked: list[Asked], sampling: Sampling, n_samples: int, kind: str, samples: Path | None
) -> Source:
    if samples is None:
        return Source(model=model or "", kind=kind, sampling=sampling, n_samples=n_samples)
    questions, whole = ({one.benchmark.name: getattr(one, part) for one in asked} for part in ("questions", "whole"))
    bad: list[str] = []
    found = read_samples(samples, questions, whole=whole, on_bad_row=bad.append)
    label = model or samples.name.partition(".")[0]
    return Source(
        model=label, kind="samples", sampling=sampling, samples=found, digest=digest_of(samples), strangers=bad
    )


def _make(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}; name another folder with -o") from error


def _say_what_is_kept(kept: Mapping[str, int], output: Path) -> None:
    for name, count in kept.items():
        if count:
            note(f"continuing {output / name}: {count} completions are there already")


def _refuse_another_model(output: Path, model: str) -> None:
    if (output / "results.json").exists():
        before = read_results(output).get("model")
        if before != model:
            raise ConfigError(f"{output} holds results of {before!r}, not of {model!r}; name another folder with -o")


def _evaluate_all(
    output: Path, source: Source, asked: list[Asked], open_backend: Callable[[], Backend], workers: int | None
) -> dict[str, Any]:
    """Evaluate one benchmark after the other; the results so far are written after each, and where one fails the
    others still count."""
    done: dict[str, Any] = {}
    with Sandbox(workers) as sandbox, Progress() as progress:
        judge = Judge(sandbox)
        for one in asked:
            done[one.benchmark.name] = evaluate(output, source, one, open_backend, judge, progress.track)
            before = read_results(output)["benchmarks"] if (output / "results.json").exists() else {}
            write_results(output, {"model": source.model, "source": source.kind, "benchmarks": before | done})
    return done


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
    out.print(table)
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
    a: Annotated[Path, typer.Argument(help="Folder of an evaluation.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="Folder of another one.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON on stdout.")] = False,
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
    out.print(table)
    for name, numbers in result["benchmarks"].items():
        for text in numbers["notes"]:
            out.print(shown(f"{name}: {text}"))
