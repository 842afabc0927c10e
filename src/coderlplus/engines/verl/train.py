"""`train`: from a configuration to a finished run on stock verl. The processes, the workers and the trainer are verl's
(`verl.trainer.main_ppo`)."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

from coderlplus.engines.checkpoints import checkpoint_step, newest_whole
from coderlplus.engines.models import load_tokenizer, model_name
from coderlplus.engines.resuming import flat
from coderlplus.engines.run_folder import RunFolder, fingerprint, spare_inputs
from coderlplus.engines.verl.config import VERSION, VerlConfig, installed_version, verl_config
from coderlplus.errors import CodeRLPlusError, ConfigError, DataError
from coderlplus.problems import read_problems

_CANNOT_WRITE = ("No space left on device", "inline_container", "PytorchStreamWriter")
"""What the system says of a full disk, and what torch makes of that. A `StreamReader` speaks from the same file of
torch, of a damaged checkpoint."""


def train(config: VerlConfig, *, overwrite: bool = False) -> RunFolder:
    """Train as `config` says and return the run folder, with verl's checkpoints in `checkpoints/global_step_N`.

    With RAY_ADDRESS the run is on that cluster, where this package and the files of the run must be on all nodes;
    without it, on this machine. A run that the folder holds continues from its newest checkpoint that is whole, and a
    finished one is left as it is; with `overwrite` it is begun anew. Raises `ConfigError` or `DataError` for bad input
    and for settings that cannot change within a run, `SandboxError` when the sandbox is broken here, and
    `CodeRLPlusError` for what ended verl.
    """
    version = installed_version()
    if version != VERSION:
        raise ConfigError(
            f"a configuration with a verl section needs verl {VERSION}, and here is {version or 'none'}: "
            "make verl-install makes an environment, then use .venv-verl/bin/coderlplus"
        )
    run = RunFolder(config.output)
    spare_inputs(config)
    for path in (*config.problems, *config.validation):
        read_problems(path)  # a broken file is named here, before anything is started
    config = config.model_copy(update={"model": model_name(config.model)})
    load_tokenizer(config.model)
    isolation: tuple[str, ...] = (config.sandbox.backend,)
    if config.sandbox.is_here:
        with config.sandbox.open(1) as sandbox:
            isolation = sandbox.isolation
    with run.alone():
        if overwrite:
            run.clear()
        made_of = fingerprint(config)
        defaults = flat(VerlConfig(model="", problems=(), output=Path(), verl={}).model_dump(mode="json"))
        changes = run.changes(config.to_yaml(), made_of, defaults)
        if run.is_finished and not changes:
            run.say_complete()
            return run
        checkpoint = latest_checkpoint(run.checkpoints)
        composed = verl_config(config, checkpoint)
        run.say_continued(checkpoint, changes)
        run.begin(config.to_yaml(), isolation, checkpoint, made_of)
        try:
            _run(composed, run.checkpoints)
        except KeyboardInterrupt:
            print(interrupted(run, int(composed.trainer.save_freq)), file=sys.stderr)
            raise
        run.mark_finished()
    return run


def interrupted(run: RunFolder, save_freq: int) -> str:
    """What Ctrl-C costs: verl saves every `save_freq` steps, and not when it is stopped."""
    checkpoint = latest_checkpoint(run.checkpoints)
    saved = checkpoint_step(checkpoint) if checkpoint else 0
    lost = run.last_step() - saved
    went = "the step since then is lost" if lost == 1 else f"the {lost} steps since then are lost"
    if lost < 1:
        went = "no finished step is lost"
    until = f"saved until step {saved}" if saved else "nothing is saved yet"
    return (
        f"interrupted: {until}, {went} (verl saves every {save_freq} steps: verl.trainer.save_freq); the same "
        "command continues"
    )


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of verl that can be resumed from, or `None`. Says on stderr which ones
    are damaged, and raises `DataError` when all are. verl writes data.pt last: a checkpoint without it was never
    finished."""
    newest_first = sorted(folder.glob("global_step_*"), key=checkpoint_step, reverse=True)
    return newest_whole([path for path in newest_first if (path / "data.pt").exists()], damage, folder)


def damage(checkpoint: Path) -> str | None:
    """Why a finished checkpoint of verl cannot be resumed from, or `None` where it can."""
    if not (checkpoint / "actor").is_dir():
        return "actor is missing"
    for path in sorted(checkpoint.rglob("*.pt")):
        if not zipfile.is_zipfile(path):
            return f"{path.relative_to(checkpoint)} is truncated"
    with zipfile.ZipFile(checkpoint / "data.pt") as data:
        return None if data.testzip() is None else "data.pt has changed since it was written"


def _run(composed: object, folder: Path) -> None:
    """verl's own trainer on Ray. Raises the coderlplus error that ended it, `DataError` when there is no space in its
    folder, or `CodeRLPlusError` with verl's."""
    import ray
    from ray.exceptions import RayError, RayTaskError
    from verl.trainer.main_ppo import TaskRunnerV1, run_ppo
    from verl.utils.device import auto_set_device

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ours = not ray.is_initialized()
    auto_set_device(composed)
    try:
        run_ppo(composed, task_runner_class=TaskRunnerV1)
    except RayError as error:
        cause = error.cause if isinstance(error, RayTaskError) else error
        if isinstance(cause, CodeRLPlusError):
            raise cause from None
        print(error, file=sys.stderr)
        reason = " ".join(str(cause).split())[:500] or type(cause).__name__
        if any(name in reason for name in _CANNOT_WRITE) and "StreamReader" not in reason:
            raise DataError(
                f"verl could not write a checkpoint in {folder}: {reason}; free space there, then the same "
                "command continues from the previous checkpoint"
            ) from error
        raise CodeRLPlusError(
            f"verl ended with {type(cause).__name__}: {reason}; saved checkpoints are complete, "
            "the same command continues"
        ) from error
    finally:
        if ours:
            ray.shutdown()
