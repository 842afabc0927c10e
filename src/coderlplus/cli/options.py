"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Resume = Annotated[
    bool,
    typer.Option("--resume", hidden=True, help="Accepted for older scripts; rerunning the command resumes by itself."),
]
