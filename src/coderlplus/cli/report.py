"""`coderlplus report`: the page of a run or an evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coderlplus.errors import DataError
from coderlplus.report import write_report
from coderlplus.report.eval_page import write_eval_page
from coderlplus.terminal import shown


def report(
    folder: Annotated[
        Path, typer.Argument(help="A run folder, a folder of run folders, the folder of an eval, or a file in one.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="HTML file to write. [default: index.html in the folder]")
    ] = None,
) -> None:
    """Write the page of a run or an evaluation: one HTML file with numbers and samples, which needs no network."""
    place = _folder_of(folder) if folder.is_file() else folder
    page = write_eval_page(place, output) if _is_evaluation(place) else write_report(place, output)
    print(shown(str(page)))


def _is_evaluation(folder: Path) -> bool:
    return not (folder / "metrics.jsonl").exists() and any(folder.glob("*/verdicts.jsonl"))


def _folder_of(file: Path) -> Path:
    """The folder of the run or the evaluation that a file is of. Raises `DataError` for another file."""
    here = file.absolute().parent if file.parent == Path() else file.parent
    if (here / "metrics.jsonl").exists() or _is_evaluation(here):
        return here
    if (here / "verdicts.jsonl").exists() and (here / "questions.jsonl").exists():
        return here.parent
    raise DataError(
        f"{file} is of no run and no evaluation; evaluate it first: coderlplus eval --samples {file} --benchmarks "
        "NAME -o FOLDER"
    )
