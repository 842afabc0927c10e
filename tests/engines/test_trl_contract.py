"""What we rely on in TRL beyond its public interface: nine methods, eight of them private, and a few attributes. A new
TRL that moves one of them fails here."""

from __future__ import annotations

import inspect
from importlib import metadata
from typing import Any

import pytest
import torch
import trl

from coderlplus.engines.trl.measures import MeasuresMixin
from coderlplus.engines.trl.saving import CheckpointMixin
from coderlplus.engines.trl.terms import TermsMixin
from coderlplus.engines.trl.trainer import AlignmentMixin, CodeRLPlusGRPO, CodeRLPlusRLOO
from coderlplus.engines.trl.versions import HOOKS, TESTED, check_trainer, fits, parameters_of, warn_of_versions
from coderlplus.errors import ConfigError

ATTRIBUTES = (
    "_logs",
    "_buffered_inputs",
    "_step",
    "_metrics",
    "_tokenizer",
    "eos_token_ids",
    "num_generations",
    "num_iterations",
    "max_completion_length",
)


def test_trl_is_one_of_the_versions_that_were_read(capsys: pytest.CaptureFixture[str]) -> None:
    warn_of_versions()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("version", ["1.14.1", "1.17.0", "2.0.0.dev0"])
def test_another_version_is_used_with_a_warning_that_has_the_range(
    version: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: version)
    warn_of_versions()
    said = capsys.readouterr().err
    assert all(part in said for part in (version, *TESTED))


@pytest.mark.parametrize("trainer", [trl.GRPOTrainer, trl.RLOOTrainer])
@pytest.mark.parametrize("hook", HOOKS)
def test_hook_has_its_signature_in_trl_and_here(hook: str, trainer: type) -> None:
    for one in (trainer, AlignmentMixin):
        assert fits(str(parameters_of(one, hook)), HOOKS[hook])
    check_trainer(trainer)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("change", ["gone", "other parameters"])
def test_a_trl_without_a_hook_is_refused_with_the_version_to_install(hook: str, change: str) -> None:
    methods = {name: getattr(trl.GRPOTrainer, name) for name in HOOKS}
    if change == "gone":
        del methods[hook]
    else:
        methods[hook] = lambda self, something: None
    with pytest.raises(ConfigError, match=rf"Other\.{hook}\(.*pip install trl==1\.16\.0"):
        check_trainer(type("Other", (), methods))


def test_nothing_else_of_the_trainer_is_overridden() -> None:
    ours = {
        name
        for base in (AlignmentMixin, TermsMixin, MeasuresMixin, CheckpointMixin)
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
