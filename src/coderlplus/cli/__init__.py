"""The `coderlplus` command line: one verb per job, one file per verb.

Errors made on purpose (`CodeRLPlusError`) are printed as one sentence and end with exit code 2; Ctrl-C ends with 130.
Anything else is a bug in coderlplus and shows its traceback.
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import typer
from rich.text import Text

from coderlplus import __version__
from coderlplus.cli.doctor import doctor
from coderlplus.cli.eval import app as eval_app
from coderlplus.cli.judge import judge
from coderlplus.cli.prepare import prepare
from coderlplus.cli.report import report
from coderlplus.cli.score import score
from coderlplus.cli.serve import serve
from coderlplus.cli.tasks import tasks
from coderlplus.cli.trace import trace
from coderlplus.cli.train import train
from coderlplus.errors import CodeRLPlusError, ConfigError
from coderlplus.terminal import console, shown

app = typer.Typer(
    name="coderlplus",
    help="Reinforcement learning of code models with execution semantics alignment (CodeRL+).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in (prepare, train, judge, trace, tasks, score, serve, report, doctor):
    app.command()(verb)
app.add_typer(eval_app, name="eval")


INTERRUPTED = 130
"""The exit code after Ctrl-C."""
EXTRA_OF = {
    **dict.fromkeys(
        ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "tokenizers", "safetensors"), "trl"
    ),
    **dict.fromkeys(("numpy", "huggingface_hub", "tensorboard"), "trl"),
    "sklearn": "probe",
    "ray": "ray",
    **dict.fromkeys(("starlette", "uvicorn", "prometheus_client"), "serve"),
}
"""Libraries that a plain install lacks → the extra that brings them."""


def _moved(context: typer.Context) -> None:
    raise ConfigError(
        f"coderlplus {context.info_name} has moved; run coderlplus-lab {context.info_name} with the same options"
    )


for name in ("quickstart", "study", "probe"):
    app.command(
        name,
        hidden=True,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(_moved)


def _print_version(value: bool) -> None:
    if value:
        print(f"coderlplus {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None: ...


def main() -> None:
    """Entry point of the `coderlplus` script."""
    run(app)


def run(app: typer.Typer) -> None:
    """Run a command line, with errors made on purpose as one sentence; however often it is interrupted, it ends with
    `INTERRUPTED` and one sentence."""
    try:
        try:
            _run(app)
        except KeyboardInterrupt:
            _stopped()
    except KeyboardInterrupt:  # before the first one was dealt with
        _stopped()


def _stopped() -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to interrupt
    print("stopped; what is finished is kept: rerun the command to resume", file=sys.stderr)
    sys.exit(INTERRUPTED)


def _run(app: typer.Typer) -> None:
    try:
        app()
    except CodeRLPlusError as error:
        _end(shown(str(error), keep="\n"))
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRA_OF:
            raise
        _end(f"this command needs {name}: pip install 'coderlplus[{EXTRA_OF[name]}]'")
    except SystemExit as end:  # typer ends so after Ctrl-C
        if end.code != INTERRUPTED:
            raise
        raise KeyboardInterrupt from None


def _end(sentence: str) -> NoReturn:
    console(stderr=True).print(Text.assemble(("error:", "bold red"), " ", sentence))
    sys.exit(2)
