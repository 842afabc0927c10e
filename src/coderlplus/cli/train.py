"""`coderlplus train`: run a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coderlplus.errors import CodeRLPlusError


def train(
    config: Annotated[Path, typer.Argument(help="The run's YAML file; see recipes/.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Settings to change: key=value, dotted, e.g. trl.max_steps=50 alignment=off.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in the output folder exactly where it was last saved.")] = False,
) -> None:
    """Train a model with CodeRL+ (or plain RLVR) as a YAML file says.

    On several processes: torchrun --nproc_per_node N --no-python coderlplus train …
    """
    from coderlplus.engines.config import load_config
    from coderlplus.engines.processes import rank
    from coderlplus.engines.train import train as run

    here = rank()
    try:
        folder = run(load_config(config, overrides or ()), resume=resume)
    except CodeRLPlusError as error:
        raise error if here is None else type(error)(f"process {here}: {error}") from error
    if not here:
        print(f"{folder.final}: the trained model; see the run with: coderlplus report {folder.path}")
