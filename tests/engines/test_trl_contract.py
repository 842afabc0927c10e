"""What we rely on in TRL beyond its public interface: six private methods and a few attributes. A new TRL that moves
one of them fails here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
import torch
import trl

from coderlplus.engines.trl.saving import CheckpointMixin
from coderlplus.engines.trl.trainer import AlignmentMixin, CodeRLPlusGRPO, CodeRLPlusRLOO

HOOKS = {
    "_get_train_sampler": "(self, dataset)",
    "_generate_and_score_completions": "(self, inputs)",
    "_generate": "(self, prompts)",
    "_calculate_rewards": "(self, inputs, prompts, completions, completion_ids_list)",
    "_save_checkpoint": "(self, model, trial)",
    "_load_optimizer_and_scheduler": "(self, checkpoint)",
}
ATTRIBUTES = (
    "_logs",
    "_buffered_inputs",
    "_step",
    "_metrics",
    "_tokenizer",
    "eos_token_ids",
    "num_generations",
    "num_iterations",
)


def names(function: Callable[..., Any]) -> str:
    return f"({', '.join(inspect.signature(function).parameters)})"


def test_trl_is_the_version_that_was_read() -> None:
    assert metadata.version("trl") == "1.16.0"


@pytest.mark.parametrize("trainer", [trl.GRPOTrainer, trl.RLOOTrainer])
@pytest.mark.parametrize("hook", HOOKS)
def test_hook_has_its_signature_in_trl_and_here(hook: str, trainer: type) -> None:
    assert names(getattr(trainer, hook)) == HOOKS[hook]
    assert names(getattr(AlignmentMixin, hook)) == HOOKS[hook]


def test_nothing_else_of_the_trainer_is_overridden() -> None:
    ours = {
        name
        for base in (AlignmentMixin, CheckpointMixin)
        for name in vars(base)
        if hasattr(trl.GRPOTrainer, name) and not name.startswith("__")
    }
    assert ours == set(HOOKS)


@pytest.mark.parametrize("trainer", [trl.GRPOTrainer, trl.RLOOTrainer])
@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_attribute_is_set_by_the_trainer(attribute: str, trainer: type) -> None:
    assert f"self.{attribute} = " in inspect.getsource(trainer)


def test_trl_leaves_a_reward_of_none_out_of_its_group() -> None:
    source = inspect.getsource(trl.GRPOTrainer._generate_and_score_completions)
    assert "torch.nanmean(rewards.view(-1, num_generations), dim=1)" in source
    assert "advantages = torch.nan_to_num(advantages, nan=0.0)" in source
    assert torch.nanmean(torch.tensor([1.0, 0.0, torch.nan])) == 0.5


@pytest.mark.parametrize(("ours", "trainer"), [(CodeRLPlusGRPO, trl.GRPOTrainer), (CodeRLPlusRLOO, trl.RLOOTrainer)])
def test_completions_stand_where_we_look_for_them_in_what_is_generated(ours: Any, trainer: Any) -> None:
    (last,) = [
        line for line in inspect.getsource(trainer._generate).splitlines() if line.startswith("        return ")
    ]
    parts = [part.strip() for part in last.strip().removeprefix("return ").split(",")]
    assert parts[1] == "completion_ids"
    assert parts[ours.COMPLETIONS] == "completions"
