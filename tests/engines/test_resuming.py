"""A setting that differs when a run is continued is applied or refused: every key of every configuration."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from coderlplus.engines.resuming import MAY_CHANGE, changed, flat, may_change
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.arguments import setting_defaults
from coderlplus.engines.trl.config import EvalConfig, lora_fields, make_config, trl_fields
from coderlplus.engines.trl.train import train
from coderlplus.engines.verl.config import VerlConfig
from coderlplus.errors import CodeRLPlusError, ConfigError
from coderlplus.records import write_jsonl

PAGE = (Path(__file__).parents[2] / "docs" / "resume.md").read_text(encoding="utf-8")
LEARNT = (
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "per_device_train_batch_size", "num_generations"),
    *("gradient_accumulation_steps", "steps_per_generation", "num_iterations", "beta", "temperature", "loss_type"),
    *("weight_decay", "optim", "max_completion_length", "epsilon", "scale_rewards"),
)


def config_of(settings: dict[str, Any], output: Path, **changes: Any) -> Any:
    trl = settings["trl"] | changes.pop("trl", {})
    return make_config(settings | {"output": str(output), "trl": trl} | changes)


def every_key() -> list[str]:
    ours = make_config({"model": "m", "problems": "p.jsonl", "output": "o"}).model_dump(mode="json")
    verls = VerlConfig(model="m", problems=(Path("p"),), output=Path("o"), verl={}).model_dump(mode="json")
    keys = set(flat(ours)) | set(flat(verls)) | {f"trl.{name}" for name in trl_fields() | trl_fields("rloo")}
    keys |= {f"lora.{name}" for name in lora_fields()} | {f"eval.{name}" for name in EvalConfig.model_fields}
    return sorted(keys - {"trl", "verl"})


@pytest.mark.parametrize("key", every_key())
def test_every_setting_is_told_or_refused(key: str) -> None:
    def text(value: Any) -> str:
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        return yaml.safe_dump(nested)

    assert changed(text(7), text(7), {}, "runs/a") == []
    if may_change(key):
        assert changed(text(7), text(8), {}, "runs/a") == [f"{key}: 7 → 8"]
    else:
        with pytest.raises(ConfigError, match=re.escape(f"runs/a was begun with {key} 7, not 8")):
            changed(text(7), text(8), {}, "runs/a")


def test_what_is_learnt_cannot_change() -> None:
    always = (
        "model",
        "problems",
        "seed",
        "algorithm",
        "lora.r",
        "alignment.alpha",
        "verl.actor_rollout_ref.actor.optim",
    )
    assert not [key for key in (*always, *(f"trl.{name}" for name in LEARNT)) if may_change(key)]


def test_every_setting_that_may_change_exists() -> None:
    keys = every_key()
    for name in MAY_CHANGE:
        assert name.startswith("verl.") or any(key == name or key.startswith(f"{name}.") for key in keys), name


def test_the_page_shows_the_table() -> None:
    assert dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", PAGE, re.MULTILINE)) == dict(MAY_CHANGE)


@pytest.fixture(scope="module")
def begun(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps."""
    return train(config_of(settings, tmp_path_factory.mktemp("runs") / "run", trl={"max_steps": 2})).path


@pytest.fixture
def run(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "run"))


def test_defaults_that_are_written_out_are_no_change(run: Path, settings: dict[str, Any]) -> None:
    same = {"trl": {"max_steps": 2, "beta": 0.0, "temperature": 1.0}, "dynamic_sampling_rounds": 0}
    assert train(config_of(settings, run, **same)).path == run


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"trl": {"learning_rate": 1e-3}},
        {"trl": {"lr_scheduler_type": "cosine"}},
        {"trl": {"num_generations": 8}},
        {"trl": {"per_device_train_batch_size": 8}},
        {"alignment": {"alpha": 0.75, "prompt_style": "compact"}},
        {"alignment": False},
        {"prompt_template": "do {statement}"},
    ],
    ids=str,
)
def test_a_refused_change_leaves_the_run_as_it_is(run: Path, settings: dict[str, Any], change: dict[str, Any]) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(run.rglob("*"))}
    trl = change.get("trl", {}) | {"max_steps": 4}
    with pytest.raises(ConfigError, match="which cannot change within a run"):
        train(config_of(settings, run, **change | {"trl": trl}))
    assert {path: path.stat().st_mtime_ns for path in sorted(run.rglob("*"))} == before


def test_changes_that_may_be_are_applied(
    run: Path, settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"max_steps": 6, "save_steps": 3, "save_total_limit": 5, "logging_steps": 2}
    done = train(config_of(settings, run, samples_every=3, threads=2, trl=more))
    assert {path.name for path in done.checkpoints.glob("checkpoint-*")} == {f"checkpoint-{n}" for n in (2, 3, 6)}
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 4, 6]
    said = capsys.readouterr().err
    assert f"continuing {run} from step 2" in said
    for change in ("trl.max_steps: 2 → 6", "trl.save_steps: 2 → 3", "samples_every: 2 → 3", "threads: 1 → 2"):
        assert f"continuing with another setting: {change}" in said
    inspected = {json.loads(line)["step"] for line in (run / "samples.jsonl").read_text().splitlines()}
    assert {step for step in inspected if step > 2} == {4, 5}


def test_problems_that_were_edited_are_noticed(settings: dict[str, Any], problems_file: Path, tmp_path: Path) -> None:
    from coderlplus.problems import read_problems

    problems = read_problems(problems_file)
    write_jsonl(tmp_path / "mine.jsonl", problems)
    config = config_of(settings, tmp_path / "run", problems=str(tmp_path / "mine.jsonl"), trl={"max_steps": 1})
    train(config)
    write_jsonl(tmp_path / "mine.jsonl", problems[1:])
    with pytest.raises(ConfigError, match=r"was begun with other contents of .*mine\.jsonl"):
        train(config)
    train(config, overwrite=True)


def test_another_model_under_the_same_name_is_noticed(
    settings: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    model = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    config = config_of(settings, tmp_path / "run", model=str(model), trl={"max_steps": 1})
    train(config)
    weights = load_file(model / "model.safetensors")
    name = next(iter(weights))
    save_file(weights | {name: weights[name] + torch.ones(())}, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match=r"was begun with other contents of .*model"):
        train(config)


def test_a_finished_run_without_checkpoints_is_never_begun_anew_unasked(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = config_of(settings, tmp_path / "run", trl={"max_steps": 1, "save_strategy": "no"})
    done = train(short)
    weights = (done.final / "model.safetensors").read_bytes()
    train(short)
    assert "is complete; use --overwrite to train again" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="holds a finished run and no checkpoint to continue from"):
        train(config_of(settings, tmp_path / "run", trl={"max_steps": 2, "save_strategy": "no"}))
    assert (done.final / "model.safetensors").read_bytes() == weights


def test_a_living_run_keeps_others_out(settings: dict[str, Any], run: Path) -> None:
    with RunFolder(run).alone(), pytest.raises(CodeRLPlusError, match="is being written by process"):
        train(config_of(settings, run, trl={"max_steps": 2}), overwrite=True)
    assert (run / "final").is_dir()


def test_defaults_know_every_setting_of_trl(settings: dict[str, Any], tmp_path: Path) -> None:
    assert {f"trl.{name}" for name in trl_fields()} <= setting_defaults(config_of(settings, tmp_path)).keys()
