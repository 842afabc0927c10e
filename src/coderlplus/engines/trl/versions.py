"""Which versions of TRL the tests were run with (`make trl-versions`), and what is checked before a run.

Nine methods of TRL's trainers are overridden (`engines.trl.trainer`), all but one of them private. A version outside
of the range that still has them with their parameters is used with a warning; one that has not is refused.
"""

from __future__ import annotations

import inspect
from importlib import metadata
from typing import Any

from coderlplus.errors import ConfigError
from coderlplus.terminal import note

TESTED = ("1.14.2", "1.16.0")
"""The oldest and the newest."""
HOOKS = {
    "_get_train_sampler": "(self, dataset)",
    "_generate_and_score_completions": "(self, inputs)",
    "_generate": "(self, prompts)",
    "_calculate_rewards": "(self, inputs, prompts, completions, completion_ids_list)",
    "_save_checkpoint": "(self, model, trial)",
    "_load_optimizer_and_scheduler": "(self, checkpoint)",
    "_prepare_inputs": "(self, generation_batch)",
    "compute_loss": "(self, model, inputs, return_outputs, num_items_in_batch)",
    "_get_per_token_logps_and_entropies": "(self, model, …)",
}
"""With `…` the others are handed on as they are, whatever they are."""


def warn_of_versions() -> None:
    """Say on stderr where the installed TRL is outside of the tested range."""
    from packaging.version import Version

    installed = metadata.version("trl")
    oldest, newest = map(Version, TESTED)
    if not oldest <= Version(installed) <= newest:
        note(f"warning: trl {installed} is installed, and coderlplus is tested with {TESTED[0]} to {TESTED[1]}")


def check_trainer(trainer: type[Any]) -> None:
    """Raises `ConfigError` where a trainer of TRL lacks a method that we override."""
    for name, expected in HOOKS.items():
        found = parameters_of(trainer, name)
        if found is None or not fits(found, expected):
            raise ConfigError(
                f"trl {metadata.version('trl')} has no {trainer.__name__}.{name}{expected}, which coderlplus "
                f"overrides: pip install trl=={TESTED[1]}"
            )


def fits(found: str, expected: str) -> bool:
    """Whether parameters are those of `HOOKS`.

    >>> fits("(self, model, args)", "(self, model, …)"), fits("(self, args)", "(self)")
    (True, False)
    """
    return found.startswith(expected.removesuffix("…)")) if expected.endswith("…)") else found == expected


def parameters_of(trainer: type[Any], name: str) -> str | None:
    """The names of a method's parameters, as in `HOOKS`; `None` where there is no such method."""
    method = getattr(trainer, name, None)
    return None if method is None else f"({', '.join(inspect.signature(method).parameters)})"
