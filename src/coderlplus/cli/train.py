"""`coderlplus train`: run a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coderlplus.cli.options import Resume
from coderlplus.errors import CodeRLPlusError
from coderlplus.terminal import shown


def train(
    config: Annotated[Path, typer.Argument(help="The run's YAML file; see recipes/.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings to override, as dotted key=value: trl.max_steps=50 alignment=off."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin the run anew, also if the folder holds one: that is removed.")
    ] = False,
    resume: Resume = False,
) -> None:
    """Train a model with CodeRL+ (or plain RLVR) from a YAML file; the same command resumes an interrupted run.

    On several processes: torchrun --nproc_per_node N --no-python coderlplus train …; with a `verl` section it runs on
    verl, which starts its own.
    """
    from coderlplus.engines.trl.processes import rank
    from coderlplus.training import train as run

    here = rank()
    try:
        folder = run(config, overrides or (), overwrite=overwrite)
    except CodeRLPlusError as error:
        raise error if here is None else type(error)(f"process {here}: {error}") from error
    if here:
        return
    if folder.final.is_dir():
        print(shown(f"{folder.final}: the trained model; see the run with: coderlplus report {folder.path}"))
        return
    from coderlplus.engines.verl.train import latest_checkpoint  # the checkpoints of verl are no model yet

    checkpoint = latest_checkpoint(folder.checkpoints)
    if checkpoint is None:
        print("finished, but nothing was saved: set verl.trainer.save_freq above 0")
        return
    print(shown(f"{checkpoint}: the last checkpoint; see the run with: coderlplus report {folder.path}"))
    merge = (
        f"python -m verl.model_merger merge --backend fsdp --local_dir {checkpoint}/actor --target_dir {folder.final}"
    )
    print(shown(f"convert it to a model with: {merge}"))
