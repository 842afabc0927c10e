"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from coderlplus.sandbox.backends import BACKENDS, DEFAULT

Resume = Annotated[
    bool,
    typer.Option("--resume", hidden=True, help="Accepted for older scripts; rerunning the command resumes by itself."),
]

BACKEND = DEFAULT
BACKEND_HELP = "Where programs run: " + ", ".join(f"{one.name} ({one.where})" for one in BACKENDS.values()) + "."
BackEndName = Annotated[str, typer.Option("--backend", help=BACKEND_HELP)]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Address of the back end: "
        + ", ".join(f"{one.address} ({one.name})" for one in BACKENDS.values() if one.address)
        + ".",
        show_default=False,
    ),
]
