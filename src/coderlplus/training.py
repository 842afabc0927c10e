"""`train`: a configuration → a finished run, on the engine that the configuration names."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coderlplus.engines.config import Where
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.settings_files import overridden_settings
from coderlplus.engines.trl.processes import rank
from coderlplus.errors import ConfigError, DataError


def train(
    config: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    overwrite: bool = False,
    resume: bool = False,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
    eval_every: int = 0,
) -> RunFolder:
    """Train a model from a configuration and return the run folder, as `coderlplus train` does.

    `config` is a YAML file or a mapping of settings. `overrides` change settings of a file, as `key=value` with dotted
    keys. A configuration with a `verl` section runs on verl, any other on TRL. A run in the output folder continues
    from its newest checkpoint, and a finished one is left as it is; with `overwrite` it is begun anew. (`resume` is
    accepted for older scripts and changes nothing.) The trained model is in `final` of the run folder; on verl, the
    checkpoints are in `checkpoints`. `evaluate` (TRL only) gets the model in evaluation mode and returns numbers,
    which are logged as `eval/<name>` at step 0, every `eval_every` steps (0: never) and after the last step.

    Raises `ConfigError` or `DataError` for bad input, `SandboxError` if the sandbox is broken, and `CodeRLPlusError`
    if another process of the run is gone.

    >>> train({"model": "m", "problems": "p.jsonl", "output": "runs/a", "alpha": 0.5})
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: configuration: unknown setting 'alpha'; did you mean 'alignment.alpha'?
    """
    where: Callable[[str], str]
    if isinstance(config, Mapping):
        if overrides:
            raise ConfigError("overrides apply to a configuration file; change the mapping instead")
        settings, where = dict(config), lambda key: "configuration"
    else:
        settings, where = overridden_settings(config, overrides)
    here = rank()
    output = RunFolder(Path(str(settings.get("output"))))
    if not overwrite and output.is_done(settings) and (output.final.is_dir() or "verl" in settings):
        if not here:
            print(f"{output.path} is complete; use --overwrite to train again", file=sys.stderr, flush=True)
        return output
    try:
        run = _run(settings, where, overwrite=overwrite, evaluate=evaluate, eval_every=eval_every)
    except (ConfigError, DataError) as error:
        key = None if isinstance(config, Mapping) else _setting(str(error), settings)
        if key is None:
            raise
        raise type(error)(f"{where(key)}: {error}") from error
    if not here:
        run.note_asked(settings)
    return run


def _setting(message: str, settings: Mapping[str, Any]) -> str | None:
    """The dotted key with which a message begins (`trl.beta must be …`, `model 'm' is …`), or the key of the problems
    that cannot be read, if the settings have it."""
    paths = settings.get("problems")
    if any(message.startswith(f"cannot read {path}") for path in (paths if isinstance(paths, list) else [paths])):
        return "problems"
    key = "".join(re.findall(r"\A[\w.]*", message)).strip(".")
    node: Any = settings
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return key


def _run(
    settings: Mapping[str, Any],
    where: Where,
    *,
    overwrite: bool,
    evaluate: Callable[[Any], dict[str, float]] | None,
    eval_every: int,
) -> RunFolder:
    """The run on the engine that the settings name, which is loaded now."""
    if "verl" in settings:
        if "trl" in settings:
            raise ConfigError(f"{where('trl')}: a run is on TRL or on verl; leave out the section trl, or verl")
        if evaluate is not None:
            raise ConfigError("evaluate is for runs on TRL; on verl, set verl.trainer.test_freq and validation")
        from coderlplus.engines.verl.config import make_verl_config
        from coderlplus.engines.verl.train import train as train_on_verl

        return train_on_verl(make_verl_config(settings, where), overwrite=overwrite)
    from coderlplus.engines.trl.config import make_config
    from coderlplus.engines.trl.train import train as train_on_trl

    return train_on_trl(make_config(settings, where), overwrite=overwrite, evaluate=evaluate, eval_every=eval_every)
