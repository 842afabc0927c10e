"""`coderlplus train`: run a configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from coderlplus.errors import CodeRLPlusError
from coderlplus.terminal import shown


def train(
    config: Annotated[Path, typer.Argument(help="The run's YAML file; see recipes/.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings to override: dotted key=value, e.g. trl.max_steps=50 alignment=off."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run from the last checkpoint in the output folder.")
    ] = False,
) -> None:
    """Train a model with CodeRL+ (or plain RLVR) as a YAML file says.

    On several processes: torchrun --nproc_per_node N --no-python coderlplus train …; with a `verl` section it runs on
    verl, which starts its own.
    """
    from coderlplus.engines.settings_files import overridden_settings
    from coderlplus.engines.trl.config import make_config

    settings, where = overridden_settings(config, overrides or ())
    if "verl" in settings:
        _train_on_verl(settings, where, resume)
        return
    from coderlplus.engines.trl.processes import rank
    from coderlplus.engines.trl.train import train as run

    here = rank()
    try:
        folder = run(make_config(settings, where), resume=resume)
    except CodeRLPlusError as error:
        raise error if here is None else type(error)(f"process {here}: {error}") from error
    if not here:
        print(shown(f"{folder.final}: the trained model; see the run with: coderlplus report {folder.path}"))


def _train_on_verl(settings: dict[str, Any], where: Callable[[str], str], resume: bool) -> None:
    from coderlplus.engines.verl.config import make_verl_config
    from coderlplus.engines.verl.train import latest_checkpoint
    from coderlplus.engines.verl.train import train as run

    folder = run(make_verl_config(settings, where), resume=resume)
    checkpoint = latest_checkpoint(folder.checkpoints)
    if checkpoint is None:
        print("finished, and nothing was saved: set verl.trainer.save_freq above 0")
        return
    print(shown(f"{checkpoint}: the last checkpoint; see the run with: coderlplus report {folder.path}"))
    merge = (
        f"python -m verl.model_merger merge --backend fsdp --local_dir {checkpoint}/actor --target_dir {folder.final}"
    )
    print(shown(f"convert it to a model with: {merge}"))
