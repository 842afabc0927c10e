"""Whole runs of the trainer, with the real judge, tracer and sandbox, on a model made on the spot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.records import AlignmentTask, Problem, Reward

STEPS = 6


def config_of(settings: dict[str, Any], output: Path, **changes: Any) -> Any:
    trl = settings["trl"] | changes.pop("trl", {})
    return make_config(settings | {"output": str(output), "trl": trl} | changes)


def metrics(run: RunFolder) -> list[dict[str, Any]]:
    """metrics.jsonl without times."""
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("seconds/")} for line in lines]


def samples(run: RunFolder) -> list[dict[str, Any]]:
    """samples.jsonl without times."""
    groups = [json.loads(line) for line in (run.path / "samples.jsonl").read_text().splitlines()]
    for sample in (sample for group in groups for sample in group["samples"]):
        for name in ("cpu_s", "wall_s", "peak_mb"):
            (sample["reward"]["verdict"] or {}).pop(name, None)
    return groups


def weights(run: RunFolder) -> bytes:
    return (run.final / "model.safetensors").read_bytes()


def nothing(model: Any) -> dict[str, float]:
    return {}


@pytest.fixture(scope="module")
def run(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of six steps that nothing disturbs."""
    return train(config_of(settings, tmp_path_factory.mktemp("runs") / "whole"), evaluate=nothing, eval_every=1)


def test_a_run_leaves_its_files(run: RunFolder) -> None:
    names = {"config.yaml", "environment.json", "metrics.jsonl", "samples.jsonl", "checkpoints", "final", "README.md"}
    assert names <= {path.name for path in run.path.iterdir()}
    assert {path.name for path in run.checkpoints.glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    assert (run.final / "tokenizer.json").exists()


def test_the_model_card_says_how_the_model_was_made(run: RunFolder, settings: dict[str, Any]) -> None:
    card = (run.final / "README.md").read_text(encoding="utf-8")
    assert (run.path / "README.md").read_text(encoding="utf-8") == card
    _, metadata, body = card.split("---\n", 2)
    assert yaml.safe_load(metadata)["library_name"] == "transformers"
    assert "base_model" not in yaml.safe_load(metadata)  # it is a folder here, no name of the hub
    assert f"after {STEPS} steps" in body
    assert "50% of each batch" in body
    assert f"| pass_rate | {metrics(run)[-1]['pass_rate']:.4g} |" in body
    assert str(run.path) not in body


def test_a_run_whose_files_were_changed_has_its_model_without_a_card(
    run: RunFolder, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    copy = RunFolder(shutil.copytree(run.path, tmp_path / "copy"))
    copy.final.replace(copy.unfinished)
    (copy.path / "environment.json").write_text("{")
    copy.finish()
    assert (copy.final / "model.safetensors").exists()
    assert "has no model card" in capfd.readouterr().err


def test_the_mix_is_exact_from_the_first_step_that_the_buffer_can_fill(run: RunFolder) -> None:
    shares = [line["mix/alignment_share"] for line in metrics(run) if line["step"] > 0]
    assert shares[0] == 0
    assert set(shares[1:]) == {0.5}


def test_every_step_has_its_metrics(run: RunFolder) -> None:
    lines = [line for line in metrics(run) if line["step"] > 0]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert [line["samples"] for line in lines] == [16 * step for step in range(1, STEPS + 1)]
    always = {
        "loss",
        "grad_norm",
        "entropy",
        "learning_rate",
        "mined",
        "buffer/size",
        "pass_rate",
        "reward/generation",
        "zero_variance/generation",
    }
    mixed = {"reward/alignment", "zero_variance/alignment", "length/alignment", "clipped/alignment", "task_age"}
    assert all(always <= set(line) for line in lines)
    assert all(mixed <= set(line) for line in lines[1:])
    timed = json.loads((run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert {f"seconds/{part}" for part in ("generation", "judging", "tracing", "update", "step")} <= set(timed)


def test_a_task_leads_back_to_the_failed_sample_that_it_was_made_from(run: RunFolder) -> None:
    groups = samples(run)
    by_id = {sample["rollout_id"]: (group, sample) for group in groups for sample in group["samples"]}
    tasks = [AlignmentTask.from_json(group["task"]) for group in groups if group["task"] and group["step"] == 2]
    assert tasks
    for task in tasks:
        group, sample = by_id[task.rollout_id]
        reward = Reward.from_json(sample["reward"])
        assert Problem.from_json(group["problem"]).problem_id == task.problem_id
        assert reward.verdict is not None
        assert not reward.verdict.passed
        assert reward.verdict.verdict == task.verdict


def test_tasks_come_from_earlier_steps_and_never_twice_in_a_batch(run: RunFolder) -> None:
    tasks = [(group["step"], group["task"]) for group in samples(run) if group["task"]]
    assert all(task["step"] < step for step, task in tasks)
    assert len({(step, task["task_id"]) for step, task in tasks}) == len(tasks)


def test_advantages_are_grpo_advantages(run: RunFolder) -> None:
    for group in samples(run):
        rewards = [sample["reward"]["value"] for sample in group["samples"]]
        mean = sum(rewards) / len(rewards)
        deviation = (sum((reward - mean) ** 2 for reward in rewards) / (len(rewards) - 1)) ** 0.5
        expected = [(reward - mean) / (deviation + 1e-4) for reward in rewards]
        assert [sample["advantage"] for sample in group["samples"]] == pytest.approx(expected, abs=1e-4)


def test_the_same_seed_gives_the_same_run(run: RunFolder, settings: dict[str, Any], tmp_path: Path) -> None:
    again = train(
        config_of(settings, tmp_path / "again"), evaluate=nothing, eval_every=3
    )  # however often it is evaluated
    assert metrics(again) == metrics(run)
    assert samples(again) == samples(run)
    assert weights(again) == weights(run)


def test_another_seed_gives_another_run(run: RunFolder, settings: dict[str, Any], tmp_path: Path) -> None:
    other = train(config_of(settings, tmp_path / "other", seed=1, trl={"max_steps": 1, "save_strategy": "no"}))
    assert metrics(other)[0] != metrics(run)[1]


def test_a_run_of_a_local_model_reaches_for_no_network(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def refuse(*address: Any, **_: Any) -> None:
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.delenv("CI", raising=False)  # TRL is silent under CI
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("socket.create_connection", refuse)
    train(config_of(settings, tmp_path / "run", trl={"max_steps": 1}))
    assert asked == []


@pytest.mark.parametrize("killed_before_the_final_model", [True, False])
def test_a_finished_run_is_left_as_it_is(
    killed_before_the_final_model: bool, settings: dict[str, Any], tmp_path: Path
) -> None:
    config = config_of(settings, tmp_path / "run", trl={"max_steps": 2})
    done = train(config)
    before = metrics(done), weights(done)
    if killed_before_the_final_model:
        shutil.rmtree(done.final)
    assert train(config).final == done.final
    assert (metrics(done), weights(done)) == before
    assert not list(done.final.glob("optimizer*"))


def test_a_finished_run_can_be_made_longer(
    settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config_of(settings, tmp_path / "run", trl={"max_steps": 2}))
    longer = train(config_of(settings, tmp_path / "run", trl={"max_steps": 3}))
    assert [line["step"] for line in metrics(longer)] == [1, 2, 3]
    assert "continuing with another setting: trl.max_steps: 2 → 3" in capsys.readouterr().err


def test_evaluations_stand_in_the_lines_of_their_steps(settings: dict[str, Any], tmp_path: Path) -> None:
    calls = iter(range(10))
    done = train(
        config_of(settings, tmp_path / "run", trl={"max_steps": 3, "save_strategy": "no"}),
        evaluate=lambda model: {"calls": float(next(calls)), "training": float(model.training)},
        eval_every=2,
    )
    assert {line["step"]: line["eval/calls"] for line in metrics(done) if "eval/calls" in line} == {0: 0, 2: 1, 3: 2}
    assert {line["eval/training"] for line in metrics(done) if "eval/training" in line} == {0}


def test_plain_rlvr_has_no_tasks(settings: dict[str, Any], tmp_path: Path) -> None:
    done = train(config_of(settings, tmp_path / "run", alignment=False, trl={"max_steps": 2, "save_strategy": "no"}))
    assert all("mined" not in line and line["mix/alignment_share"] == 0 for line in metrics(done))


def test_ctrl_c_saves_the_step_and_the_run_can_go_on(
    run: RunFolder, settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import signal

    def interrupt(model: Any) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return {}

    config = config_of(settings, tmp_path / "run", trl={"save_steps": 100})
    with pytest.raises(KeyboardInterrupt):
        train(config, evaluate=interrupt, eval_every=100)
    assert "saved at step 1 of 6; the same command continues" in capsys.readouterr().err
    resumed = train(config)
    assert weights(resumed) == weights(run)


def test_mining_goes_on_while_the_policy_is_updated(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coderlplus.engines.trl.trainer import CodeRLPlusGRPO

    order: list[str] = []
    loss, finish = CodeRLPlusGRPO._compute_loss, CodeRLPlusGRPO.finish_mining

    def compute_loss(self: Any, *args: Any) -> Any:
        order.append("mining" if self.steps.is_mining else "nothing")
        return loss(self, *args)

    def finish_mining(self: Any) -> None:
        finish(self)
        assert not self.steps.is_mining

    monkeypatch.setattr(CodeRLPlusGRPO, "_compute_loss", compute_loss)
    monkeypatch.setattr(CodeRLPlusGRPO, "finish_mining", finish_mining)
    done = train(config_of(settings, tmp_path / "run", trl={"max_steps": 2, "save_strategy": "no"}))
    assert order == ["mining", "mining"]
    timed = [json.loads(line) for line in (done.path / "metrics.jsonl").read_text().splitlines()]
    assert all({"mined", "buffer/size", "seconds/tracing_work", "seconds/judging_work"} <= set(line) for line in timed)


def test_a_step_waits_no_longer_than_it_may(settings: dict[str, Any], tmp_path: Path) -> None:
    done = train(
        config_of(
            settings,
            tmp_path / "run",
            sandbox={"workers": 1, "timeout_s": 1e-6},
            trl={"max_steps": 2, "save_strategy": "no"},
        )
    )
    for line in metrics(done):
        assert line["sandbox_faults/generation"] > 0  # of 16; what is judged before the step looks has its verdict
        assert line["mined"] <= 16 - line["sandbox_faults/generation"]


def test_several_kinds_of_tasks_have_metrics_of_their_own(settings: dict[str, Any], tmp_path: Path) -> None:
    alignment = settings["alignment"] | {"kinds": {"final_values": 0.5, "output": 0.5}}
    done = train(
        config_of(settings, tmp_path / "run", alignment=alignment, trl={"max_steps": 3, "save_strategy": "no"})
    )
    last = metrics(done)[-1]
    assert last["mix/final_values"] + last["mix/output"] == last["mix/alignment_share"] == 0.5
    for kind in (kind for kind in ("final_values", "output") if last[f"mix/{kind}"]):
        assert {f"{name}/{kind}" for name in ("reward", "zero_variance", "length", "clipped", "task_age")} <= set(last)


def test_adapters_alone_are_trained_with_lora(settings: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(
        settings,
        tmp_path / "run",
        lora={"r": 2, "target_modules": "all-linear"},
        trl={"max_steps": 2, "save_steps": 1},
    )
    done = train(config)
    assert (done.final / "adapter_model.safetensors").exists()
    assert not (done.final / "model.safetensors").exists()
    before = (done.final / "adapter_model.safetensors").read_bytes()
    shutil.rmtree(done.final)
    shutil.rmtree(done.checkpoints / "checkpoint-2")
    assert (train(config).final / "adapter_model.safetensors").read_bytes() == before
