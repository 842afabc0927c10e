"""`coderlplus probe`: what models' hidden states tell of the execution of programs."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from coderlplus.probes.models import labels
from coderlplus.probes.run import ProbeSettings
from coderlplus.probes.run import probe as run_probes
from coderlplus.report.probe_page import write_probe_page
from coderlplus.terminal import console, shown

DEFAULTS = ProbeSettings()


def probe(
    model: Annotated[list[str], typer.Option(help="Model: a folder or a name on the hub; several, each with --model.", show_default=False)],
    programs: Annotated[
        list[Path], typer.Option(help="Problems (any form that coderlplus judge reads) or alignment tasks; several.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results; one that was begun is gone on with.", show_default=False)],
    prompt: Annotated[str | None, typer.Option(help="Prompt of a problem, as prompt_template in training, e.g. '{statement}'.")] = None,
    rows: Annotated[int, typer.Option(min=100, help="Rows of each fact, at most.")] = DEFAULTS.rows,
    layers: Annotated[
        int, typer.Option(min=2, help="Layers probed at most, evenly spaced, the embedding and the last among them.")
    ] = DEFAULTS.layers,
    own: Annotated[bool, typer.Option("--own/--no-own", help="Let each model write programs too, and probe the states while it writes.")] = True,
    max_tokens: Annotated[int, typer.Option(min=1, help="New tokens of a program that a model writes, at most.")] = DEFAULTS.max_tokens,
    seed: Annotated[int, typer.Option(help="Seed of rows, folds, shuffled labels and the untrained model.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON on stdout.")] = False,
) -> None:
    """Ask linear probes what models know of what programs do: values of variables, branches, loops, outputs, layer by layer.

    Beside each model stand an untrained one of its shape, the tokens alone, and shuffled labels. After an interruption the same command goes on.
    """
    if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        from coderlplus.quickstart.model import register

        register()  # the small model of the quick start is no class of transformers'
    settings = ProbeSettings(rows=rows, layers=layers, seed=seed, own=own, max_tokens=max_tokens, prompt=prompt)
    with _progress() as progress:

        def track(items: Iterable[Any], label: str, total: int) -> Iterator[Any]:
            if total:
                task = progress.add_task(shown(label), total=total)
                for item in items:
                    yield item
                    progress.advance(task)

        results = run_probes(output, dict(zip(labels(model), model, strict=True)), programs, settings, track)
    page = write_probe_page(output)
    if as_json:
        print(json.dumps(results))
    else:
        _print(results, page)


def _progress() -> Progress:
    label = TextColumn("{task.description}", markup=False)
    columns = (label, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _print(results: dict[str, Any], page: Path) -> None:
    """The summary of each part and kind of mark: score and selectivity of each model over the facts of the run."""
    table = Table("programs", "at", "model", "facts", "% right", "beyond the text", box=box.SIMPLE)
    for place, column in enumerate(table.columns):
        column.justify = "left" if place < 3 else "right"
        column.no_wrap = True
    out = console()
    for name, part in results["parts"].items():
        for mark, over in part["summary"].items():
            for model, one in over["models"].items():
                cells = [str(over["facts"]), f"{100 * one['score']['mean']:.1f}", interval(one["selectivity"])]
                table.add_row(shown(name.partition("/")[0]), mark, shown(model), *cells)
    out.print(table)
    print(shown(f"written to {page.parent / 'results.json'}; look at every fact, layer by layer, in {page}"))


def interval(one: dict[str, float]) -> str:
    """A difference in points with its interval.

    >>> interval({"mean": 0.051, "low": 0.04, "high": 0.062})
    '+5.1 (+4.0 to +6.2)'
    """
    return f"{100 * one['mean']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
