"""The `coderlplus` command line: one verb per job, one file per verb.

Errors made on purpose (`CodeRLPlusError`) are printed as one sentence and end with exit code 2; Ctrl-C ends with 130.
Anything else is a bug in coderlplus and shows its traceback.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, NoReturn, cast

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


_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""Typer's own class, in older versions click's."""
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
        code = app(standalone_mode=False, prog_name=app.info.name)
    except CodeRLPlusError as error:
        _end(shown(str(error), keep="\n"))
    except _UsageError as error:
        _end(shown(_usage(error, app.info.name or "")))
    except typer.Abort:  # older versions of typer end so after Ctrl-C
        raise KeyboardInterrupt from None
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRA_OF:
            raise
        _end(f"this command needs {name}: pip install 'coderlplus[{EXTRA_OF[name]}]'")
    if code == INTERRUPTED:  # newer ones
        raise KeyboardInterrupt
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Any, name: str) -> str:
    """What is wrong with a command as it was typed: an option, a value or an argument."""
    if type(error).__name__ == "NoArgsIsHelpError":
        if text := error.format_message():  # newer versions of typer have printed it
            print(text, file=sys.stderr)
        sys.exit(2)
    said = error.format_message().rstrip(".").replace(": Input should be", ": it must be")
    said = said.partition(", unable to parse")[0]
    if causes := getattr(error.__cause__, "errors", None):  # pydantic's, by which newer versions of typer convert
        said += f", not {str(causes()[0]['input'])[:60]!r}"
    command = error.ctx.command_path if error.ctx else name
    is_setting = type(error).__name__ == "NoSuchOption" and command.endswith("coderlplus train")
    way_out = "write settings without dashes, such as trl.max_steps=50" if is_setting else f"see {command} --help"
    return f"{said[:1].lower()}{said[1:]}; {way_out}"


def _end(sentence: str) -> NoReturn:
    console(stderr=True).print(Text.assemble(("error:", "bold red"), " ", sentence))
    sys.exit(2)
