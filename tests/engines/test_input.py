"""Bad input is one clear sentence; good input of every kind is a run. Through the command line."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from coderlplus.cli import main
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.errors import ConfigError
from coderlplus.judge import Judge
from coderlplus.problems import read_problems
from coderlplus.rewards import reward_rows
from coderlplus.sandbox import Sandbox


@pytest.fixture
def command(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """`coderlplus train CONFIG` with the given overrides: exit status, standard output, standard error."""
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings | {"output": str(tmp_path / "run")}))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(
            sys, "argv", ["coderlplus", "train", str(tmp_path / "run.yaml"), "trl.max_steps=2", *arguments]
        )
        try:
            main()
            status = 0
        except SystemExit as exit:
            status = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return call


def test_a_run_from_the_command_line(command: Any, tmp_path: Path) -> None:
    status, out, err = command()
    assert status == 0, err
    assert f"coderlplus report {tmp_path / 'run'}" in out
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 2
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["trl"]["max_steps"] == 2
    before = (tmp_path / "run" / "final" / "model.safetensors").stat().st_mtime_ns
    again, out, err = command()
    assert again == 0
    assert f"{tmp_path / 'run'} is complete; use --overwrite to train again" in err
    assert "training step" not in err
    assert (tmp_path / "run" / "final" / "model.safetensors").stat().st_mtime_ns == before
    again, out, err = command("--overwrite")
    assert again == 0
    assert "training step: 2 of 2" in err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("trl.lerning_rate=1", "unknown setting 'trl.lerning_rate'; did you mean 'trl.learning_rate'?"),
        ("trl.learning_rate=abc", "trl.learning_rate must be a number, not 'abc'"),
        ("trl.use_cpu=ja", "trl.use_cpu must be true or false, not 'ja'"),
        ("trl.num_generations=5", "trl: generation_batch_size (16) must be divisible by num_generations (5)."),
        ("model=./no/such/folder", "model './no/such/folder' is not a folder; give the folder of a model"),
        (
            "model=nobody/no-such-model",
            "model 'nobody/no-such-model' is not a folder, and the Hugging Face hub returned none",
        ),
        ("problems=absent.jsonl", "cannot read absent.jsonl"),
        ("max_prompt_tokens=1", "all 12 prompts are longer than max_prompt_tokens = 1"),
        ("trl.per_device_train_batch_size=64", "12 problems cannot fill a batch of 16"),
        ("skip_zero_advantage=true trl.beta=0.1", "skip_zero_advantage needs loss_type grpo, dapo or cispo"),
        (
            "output=/proc/none/run",
            "cannot write the run folder /proc/none/run: No such file or directory; choose another output",
        ),
        ("alignment.alpha=1.5", "alpha must be in [0, 1), not 1.5"),
        ("trl.use_vllm=true", "the trainer refuses model"),
        ("lora.r=0", "the trainer refuses model"),
        ("trl.report_to=wandb", "trl.report_to: wandb is not installed; pip install wandb, or set"),
        ("trl.resume_from_checkpoint=x", "'trl.resume_from_checkpoint' follows from the run; set 'output'"),
        ("trl.max_completion_length=2000", "leaves no room for a prompt in the 1024 tokens of model"),
    ],
)
def test_bad_input_is_one_sentence_and_a_status_of_2(argument: str, message: str, command: Any) -> None:
    status, _, err = command(*argument.split())
    lines = [line for line in err.splitlines() if line.strip()]
    assert status == 2
    assert message in lines[-1]
    assert lines == lines[-1:]  # no progress before it


@pytest.mark.parametrize(
    "argument",
    [
        *("trl.learning_rate=abc", "trl.num_generations=5", "model=./no/such/folder", "problems=absent.jsonl"),
        *("rewards=nosuch.reward", "trl.report_to=wandb", "trl.max_completion_length=2000", "alignment.alpha=1.5"),
    ],
)
def test_a_message_about_a_setting_says_where_it_is_written(argument: str, command: Any) -> None:
    status, _, err = command(argument)
    assert status == 2
    assert f"override {argument.partition('=')[0]}: " in err


@pytest.mark.parametrize("name", ["final", "checkpoints/checkpoint-2"])
def test_a_run_does_not_replace_the_model_that_it_begins_with(
    name: str, command: Any, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "run" / name)
    for option in ([], ["--overwrite"]):
        status, _, err = command(f"model={tmp_path / 'run' / name}", *option)
        assert status == 2
        assert "which is an input; use another one with output=" in err
    assert (tmp_path / "run" / name / "config.json").exists()


def test_a_broken_line_of_problems_is_named(command: Any, problems_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text(problems_file.read_text() + '{"problem_id": "x", "sta\n')
    status, _, err = command(f"problems={broken}")
    assert status == 2
    assert f"{broken}:13: not valid JSON" in err


def test_a_data_set_without_tests(command: Any, problems_file: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.jsonl"
    bare.write_text(
        problems_file.read_text()
        + json.dumps({"problem_id": "bare", "statement": "write f", "entry_point": "f", "tests": []})
        + "\n"
    )
    status, _, err = command(f"problems={bare}")
    assert status == 2
    assert f"{bare}:13: " in err
    assert "has no tests" in err
    assert len([line for line in err.splitlines() if line.strip()]) == 1


def test_a_model_that_never_closes_its_fence_is_judged_all_the_same(problems_file: Path) -> None:
    problem = next(iter(read_problems(problems_file)))  # x + 1
    texts = [
        "```python\ndef f(x):\n    return x + 1\n",
        "Sure:\n```python\ndef f(x):\n    return x +",
        "```python\n",
        "```",
    ]
    with Sandbox(workers=1) as sandbox:
        rewards = reward_rows(Judge(sandbox), [problem] * 4, texts)
    assert [reward.value for reward in rewards] == [1.0, 0.0, 0.0, 0.0]
    assert {reward.verdict.verdict for reward in rewards[1:] if reward.verdict} == {"no_program"}


def test_a_tokenizer_without_chat_template(settings: dict[str, Any], tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_model.iterdir():
        if file.name != "chat_template.jinja":
            (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ConfigError, match="has no chat template"):
        train(make_config(settings | {"model": str(folder), "output": str(tmp_path / "run")}))


def test_a_run_on_mbpp(settings: dict[str, Any], shared: Path, tmp_path: Path) -> None:
    """The path holds on real statements and tests; a random model solves none of them."""
    trl = settings["trl"] | {"max_steps": 2, "max_completion_length": 16, "save_strategy": "no"}
    problems = shared / "data" / "mbpp" / "sanitized-mbpp.json"
    run = train(
        make_config(
            settings
            | {"problems": str(problems), "prompt_template": None, "output": str(tmp_path / "run"), "trl": trl}
        )
    )
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert {line["pass_rate"] for line in lines} == {0}
    prompts = [json.loads(line)["prompt"] for line in (run.path / "samples.jsonl").read_text().splitlines()]
    assert all("Answer with one Python program" in prompt for prompt in prompts)


def test_prompts_beyond_the_models_context_are_left_out_and_counted(
    command: Any, problems_file: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from coderlplus.records import write_jsonl

    first, *others = read_problems(problems_file)
    write_jsonl(tmp_path / "long.jsonl", [replace(first, statement="x" * 1100), *others])
    status, _, err = command(f"problems={tmp_path / 'long.jsonl'}", "output=" + str(tmp_path / "other"))
    assert status == 0, err
    assert "1 of 12 problems left out: prompts over the 1022 tokens that the context leaves" in err


def test_the_folder_of_a_run_is_no_model_and_the_model_in_it_is_named(
    command: Any, tiny_model: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_model, tmp_path / "first" / "final")
    status, _, err = command(f"model={tmp_path / 'first'}")
    assert status == 2
    assert f"{tmp_path / 'first'} is a run folder; its model is {tmp_path / 'first' / 'final'}" in err


@pytest.mark.parametrize("named", ["first", "first/final"])
def test_the_folder_of_a_run_that_has_not_ended_names_its_newest_checkpoint(
    named: str, command: Any, tiny_model: Path, tmp_path: Path
) -> None:
    for step in (9, 10):
        shutil.copytree(tiny_model, tmp_path / "first" / "checkpoints" / f"checkpoint-{step}")
    status, _, err = command(f"model={tmp_path / named}")
    assert status == 2
    newest = tmp_path / "first" / "checkpoints" / "checkpoint-10"
    assert f"{tmp_path / 'first'} is the folder of a run that has not ended; its newest checkpoint is {newest}" in err
