"""The `coderlplus-lab` command line: quick start, studies, probes, and `coderlplus eval` for the models they make."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from coderlplus import moved
from coderlplus.cli import run
from coderlplus.cli.eval import app as eval_app
from coderlplus.cli.options import BACKEND, Address, BackEndName
from coderlplus.errors import ConfigError
from coderlplus.progress import Progress
from coderlplus.sandbox.backends import check_backend, open_sandbox
from coderlplus.terminal import print_table
from coderlplus_lab.files import write_json
from coderlplus_lab.probes.models import labels as names_of
from coderlplus_lab.probes.probe_page import write_probe_page
from coderlplus_lab.probes.results import points
from coderlplus_lab.probes.run import ProbeSettings, check_probed
from coderlplus_lab.probes.run import probe as run_probes

DEFAULTS = ProbeSettings()

app = typer.Typer(
    name="coderlplus-lab",
    help="Experiments with coderlplus: the quick start, studies of arms × seeds, probes of hidden states.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root(context: typer.Context) -> None:
    """Commands that load any model know the small world's too, which is not a class of transformers'."""
    if (
        context.invoked_subcommand in ("eval", "probe")
        and importlib.util.find_spec("torch")
        and importlib.util.find_spec("transformers")
    ):
        from coderlplus_lab.world.model import register

        register()


@app.command()
def quickstart(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the run; an existing run is resumed.")
    ] = Path("runs/quickstart"),
    seed: Annotated[
        int,
        typer.Option(min=0, help="Random seed; the same seed on the same machine gives the same numbers."),
    ] = 0,
    seeds: Annotated[
        int, typer.Option(min=1, help="Number of seeds, each in its own folder; prints means with spread.")
    ] = 1,
    kl_control: Annotated[bool, typer.Option("--kl-control", help="Also train plain GRPO with a KL term.")] = False,
    tiny: Annotated[
        bool,
        typer.Option(
            "--tiny",
            help="A miniature run of about a minute: every part works, nothing is learnt.",
        ),
    ] = False,
    only_page: Annotated[
        bool, typer.Option("--only-page", help="Do not train; write the page of existing results.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew: what OUTPUT has of a quick start is removed.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Train a small model to write programs and to predict what they do, with GRPO and with CodeRL+, on two CPU cores.

    Everything is generated; nothing is downloaded. It is a study of one seed. Rerun the command to resume after an
    interruption.
    """
    from coderlplus_lab.quickstart import run
    from coderlplus_lab.quickstart.tables import seeds_table, summary_table

    if only_page and overwrite:
        raise ConfigError("--only-page trains nothing; leave --overwrite out")
    summaries, pages = [], []
    for number in range(seed, seed + seeds):
        folder = output if seeds == 1 else output / f"seed-{number}"
        one = run.quickstart_study(number, tiny=tiny)
        if only_page:
            pages.append(run.write_quickstart_page(folder, one))
            continue
        if seeds > 1:
            print(f"seed {number} in {folder}", file=sys.stderr)
        summaries.append(run.quickstart(folder, one, kl_control=kl_control, overwrite=overwrite))
        pages.append(folder / "index.html")
    if only_page:
        print(*pages, sep="\n")
        return
    if seeds > 1:
        write_json(output / "seeds.json", summaries)
    if json_output:
        print(json.dumps(summaries[0] if seeds == 1 else summaries, indent=2))
    else:
        labels = run.labels(one)
        print(summary_table(summaries[0], labels) if seeds == 1 else seeds_table(summaries, labels))
        for page in pages:
            print(f"open in a browser: {page.resolve()}")


@app.command()
def study(
    file: Annotated[Path, typer.Argument(help="The study's YAML file; see recipes/study/.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder of the study; an existing one is resumed. [default: `output` in the file]"
        ),
    ] = None,
    runs: Annotated[
        list[str] | None,
        typer.Option(
            "--run",
            help="Run only these runs and what they need: ARM/SEED or ARM, or another job such as "
            "predictions/WRITER/READER/SEED. [default: all]",
        ),
    ] = None,
    old_runs: Annotated[list[str] | None, typer.Option(*moved.OPTIONS, hidden=True)] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Number of parallel jobs, one CPU core each.")] = 2,
    only_results: Annotated[
        bool, typer.Option("--only-results", help="Do not train; write numbers and page of existing results.")
    ] = False,
    docs: Annotated[
        Path | None,
        typer.Option(
            "--docs",
            file_okay=False,
            help="Folder in which to write the study's page, NAME.md, its picture, NAME.svg, and raw numbers, NAME/.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew: what OUTPUT has of a study is removed.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
) -> None:
    """Run or resume a study: every arm with every seed is trained and measured once.

    Finished runs are kept and an interrupted one is resumed, so the command can be stopped and rerun until the study
    is complete. The results name what is missing.
    """
    from coderlplus_lab.study.folder import MEASURED, StudyFolder
    from coderlplus_lab.study.loading import load_study
    from coderlplus_lab.study.results import write_results
    from coderlplus_lab.study.run import run_study
    from coderlplus_lab.study.study_page import write_study_page
    from coderlplus_lab.study.tables import publish, tables

    if old_runs:
        ((old, new),) = moved.OPTIONS.items()
        raise ConfigError(f"{old} is now {new}; write {new} {old_runs[0]}")
    if only_results and overwrite:
        raise ConfigError("--only-results trains nothing; leave --overwrite out")
    settings = load_study(file)
    layout = StudyFolder(output or settings.output)

    def write() -> None:
        if not only_results and not any(layout.root.glob(f"runs/*/*/{MEASURED}")):
            return
        command = f"coderlplus-lab study {file}{f' --docs {docs}' if docs is not None else ''}"
        raw, results = write_results(settings, layout, command)
        page = write_study_page(results, layout.page(settings.name))
        if docs is not None:
            publish(raw, results, docs)
        print(json.dumps(results) if json_output else f"{tables(results)}\nopen in a browser: {page.resolve()}")

    if only_results:
        write()
    else:
        run_study(settings, layout.root, runs=runs or [], jobs=jobs, overwrite=overwrite, then=write)


@app.command()
def results(
    docs: Annotated[Path, typer.Argument(help="Folder that `study --docs` wrote.", file_okay=False)] = Path(
        "docs/results"
    ),
) -> None:
    """Write the pages and pictures of published studies anew, from the raw numbers beside them."""
    from coderlplus_lab.study.tables import rebuild

    print(*rebuild(docs), sep="\n")


@app.command()
def probe(
    model: Annotated[
        list[str],
        typer.Option(help="Model: a folder or a Hub name; repeatable.", show_default=False),
    ],
    programs: Annotated[
        list[Path],
        typer.Option(
            help="Problems (any format of coderlplus judge) or alignment tasks; repeatable.", show_default=False
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder of the results; existing probes are resumed.", show_default=False),
    ],
    prompt: Annotated[
        str | None,
        typer.Option(help="Prompt template for problems, as prompt_template in training, e.g. '{statement}'."),
    ] = None,
    rows: Annotated[int, typer.Option(min=100, help="Maximum number of rows per fact.")] = DEFAULTS.rows,
    layers: Annotated[
        int, typer.Option(min=2, help="Maximum number of layers, evenly spaced, including the embedding and the last.")
    ] = DEFAULTS.layers,
    own: Annotated[
        bool,
        typer.Option("--own/--no-own", help="Also let each model write programs, and probe it while it writes."),
    ] = True,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Maximum number of new tokens per program.")
    ] = DEFAULTS.max_tokens,
    backend: BackEndName = BACKEND,
    address: Address = None,
    seed: Annotated[int, typer.Option(help="Seed of rows, folds, shuffled labels and the untrained model.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Probe anew: what OUTPUT has of probes is removed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Probe what models know of what programs do: values of variables, branches, loops and outputs, layer by layer.

    Controls are an untrained model of the same shape, the tokens alone, and shuffled labels. Rerun the command to
    resume after an interruption.
    """
    check_backend(backend, address)
    open_tracer = partial(open_sandbox, backend, address=address)
    settings = ProbeSettings(rows=rows, layers=layers, seed=seed, own=own, max_tokens=max_tokens, prompt=prompt)

    def finish(results: Mapping[str, Any]) -> None:
        check_probed(results)
        write_probe_page(output)

    with Progress() as progress:
        models = dict(zip(names_of(model), model, strict=True))
        results = run_probes(
            output, models, programs, settings, progress.track, open_tracer, overwrite=overwrite, then=finish
        )
    if as_json:
        print(json.dumps(results))
    else:
        _print(results, output / "index.html")


app.add_typer(eval_app, name="eval")


def main() -> None:
    """Entry point of the `coderlplus-lab` script."""
    run(app)


def _print(results: dict[str, Any], page: Path) -> None:
    """The summary of each part and kind of mark: score and selectivity of each model over the facts of the run."""
    table = Table("programs", "at", "model", "facts", "% right", "beyond the text", box=box.SIMPLE)
    for place, column in enumerate(table.columns):
        column.justify = "left" if place < 3 else "right"
        column.no_wrap = True
    console = Console(soft_wrap=True, highlight=False)
    for name, part in results["parts"].items():
        for mark, over in part["summary"].items():
            for model, one in over["models"].items():
                cells = [str(over["facts"]), f"{100 * one['score']['mean']:.1f}", points(one["selectivity"])]
                table.add_row(name.partition("/")[0], mark, model, *cells)
    print_table(table, console)
    print(f"written to {page.parent / 'results.json'}; look at every fact, layer by layer, in {page}")
