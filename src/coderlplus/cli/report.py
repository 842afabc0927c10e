"""`coderlplus report`: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coderlplus.report import write_report
from coderlplus.terminal import shown


def report(
    folder: Annotated[Path, typer.Argument(help="A run folder, or a folder of run folders.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file to write. [default: index.html in the folder]")
    ] = None,
) -> None:
    """Write the page of a run: one HTML file with curves, numbers and samples, which needs no network."""
    print(shown(str(write_report(folder, output))))
