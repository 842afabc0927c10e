"""The configuration of a run on verl; what needs verl itself is skipped without it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.settings_files import overridden_settings
from coderlplus.engines.verl.config import FOLLOWS, make_verl_config, plugin_settings, verl_config
from coderlplus.engines.verl.train import interrupted, latest_checkpoint, train
from coderlplus.errors import ConfigError, DataError

RECIPE = Path(__file__).parents[2] / "recipes" / "paper_7b_verl.yaml"
BASE: dict[str, Any] = {"model": "m", "problems": "p.jsonl", "output": "runs/a", "verl": {}}
needs_verl = pytest.mark.skipif(
    importlib.util.find_spec("verl") is None, reason="verl has an environment of its own: make verl-test"
)


def recipe(*overrides: str) -> Any:
    return make_verl_config(*overridden_settings(RECIPE, overrides))


def test_the_recipe_has_the_settings_of_the_paper() -> None:
    config = recipe()
    actor, rollout = config.verl["actor_rollout_ref"]["actor"], config.verl["actor_rollout_ref"]["rollout"]
    assert config.model == "Qwen/Qwen2.5-Coder-7B-Instruct"
    assert config.alignment is not None
    assert (config.alignment.alpha, config.alignment.buffer_size, config.alignment.sampling) == (0.6, 20_000, "recent")
    assert (
        config.verl["data"]["train_batch_size"],
        rollout["n"],
        actor["ppo_mini_batch_size"],
        rollout["temperature"],
    ) == (128, 8, 64, 1.0)
    assert (config.max_prompt_tokens, config.verl["data"]["max_response_length"]) == (1024, 8192)
    assert (actor["optim"]["lr"], actor["kl_loss_coef"], actor["kl_loss_type"], actor["entropy_coeff"]) == (
        1e-6,
        0.001,
        "low_var_kl",
        0,
    )
    assert config.verl["trainer"]["total_epochs"] == 2


@pytest.mark.parametrize("key", FOLLOWS)
def test_settings_that_follow_from_the_run_are_refused(key: str) -> None:
    section: Any = 1
    for part in reversed(key.split(".")):
        section = {part: section}
    with pytest.raises(ConfigError, match="follows from the run"):
        make_verl_config(BASE | {"verl": section})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verl": 3}, "verl must hold settings"),
        ({"alignmnt": {}}, "did you mean 'alignment'"),
        ({"alignment": {"alpha": 1.5}}, r"alpha must be in \[0, 1\)"),
        ({"alignment": {"weight": 0.3}}, "weight makes alignment a term"),
        ({"trl": {}}, "unknown setting 'trl'"),
        ({"max_prompt_tokens": "many"}, "max_prompt_tokens"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_verl_config(BASE | changes)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"aligment": {}}, "did you mean 'alignment'"),
        ({"alignment": {"alpah": 0.5}}, "did you mean 'alignment.alpha'"),
        ({"sandbox": {"workers": 0}}, "workers"),
        ({"alignment": {"weight": 0.3}}, "weight makes alignment a term"),
        ({"prompt_template": "{question}"}, "unknown field"),
    ],
)
def test_bad_settings_of_a_verl_configuration_of_ones_own_are_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"data\.coderlplus.*{message}"):
        plugin_settings(section)


@pytest.mark.skipif(importlib.util.find_spec("verl") is not None, reason="verl is here")
def test_without_verl_one_sentence_says_where_to_get_it() -> None:
    with pytest.raises(ConfigError, match="make verl-install"):
        train(recipe())


def test_a_checkpoint_that_verl_did_not_finish_is_passed_over_and_a_damaged_one_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    assert latest_checkpoint(tmp_path) is None
    for step in (2, 10):
        (tmp_path / f"global_step_{step}" / "actor").mkdir(parents=True)
        torch.save([step], tmp_path / f"global_step_{step}" / "actor" / "model.pt")
        torch.save([step] * 1000, tmp_path / f"global_step_{step}" / "data.pt")
    (tmp_path / "global_step_12" / "actor").mkdir(parents=True)
    assert latest_checkpoint(tmp_path) == tmp_path / "global_step_10"
    data = tmp_path / "global_step_10" / "data.pt"
    data.write_bytes(data.read_bytes()[:-30])
    assert latest_checkpoint(tmp_path) == tmp_path / "global_step_2"
    assert "damaged checkpoint global_step_10 (data.pt is truncated)" in capsys.readouterr().err
    (tmp_path / "global_step_2" / "actor" / "model.pt").write_bytes(b"")
    with pytest.raises(DataError, match="every checkpoint"):
        latest_checkpoint(tmp_path)


def test_an_interrupted_run_says_what_is_lost(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    run = RunFolder(tmp_path)
    run.begin("", ())
    assert "nothing is saved yet, no finished step is lost" in interrupted(run, 5)
    for step in range(1, 8):
        run.write_metrics(step, {})
    assert "nothing is saved yet, the 7 steps since then are lost" in interrupted(run, 5)
    (run.checkpoints / "global_step_5" / "actor").mkdir(parents=True)
    torch.save([5] * 1000, run.checkpoints / "global_step_5" / "data.pt")
    assert (
        "saved until step 5, the 2 steps since then are lost (verl saves every 5 steps: verl.trainer.save_freq)"
        in interrupted(run, 5)
    )


@needs_verl
@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "verl.actor_rollout_ref.actor.optim.lrr=1",
            r"override verl\.actor_rollout_ref\.actor\.optim\.lrr: .*did you mean "
            r"'verl\.actor_rollout_ref\.actor\.optim\.lr'",
        ),
        ("verl.trainr.nnodes=1", r"did you mean 'verl\.trainer\.nnodes'"),
        ("verl.model_engine=nothing", "model_engine"),
    ],
)
def test_a_misspelt_key_of_verl_names_the_nearest(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(override)


@needs_verl
@pytest.mark.parametrize("algorithm", ["grpo", "reinforce_plus_plus", "reinforce_plus_plus_baseline", "rloo", "gae"])
def test_verl_takes_the_recipe_with_each_of_its_algorithms(algorithm: str, settings: dict[str, Any]) -> None:
    model = settings["model"]
    composed = verl_config(
        recipe(
            f"model={model}", f"verl.algorithm.adv_estimator={algorithm}", "verl.critic.ppo_micro_batch_size_per_gpu=4"
        )
    )
    assert composed.algorithm.adv_estimator == algorithm
    assert composed.actor_rollout_ref.model.path == composed.critic.model.path == model
    assert composed.data.coderlplus.alignment.alpha == 0.6
    assert composed.actor_rollout_ref.rollout.prompt_length == 1024


@needs_verl
def test_what_verl_refuses_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"^verl: "):
        verl_config(recipe("verl.actor_rollout_ref.actor.use_dynamic_bsz=false"))


@needs_verl
def test_settings_of_megatron_are_known_with_megatron_alone() -> None:
    setting = "verl.actor_rollout_ref.actor.megatron.tensor_model_parallel_size=2"
    assert (
        recipe("verl.model_engine=megatron", "verl.actor_rollout_ref.ref={}", setting).verl["model_engine"]
        == "megatron"
    )
    with pytest.raises(ConfigError, match="unknown setting"):
        recipe(setting)
