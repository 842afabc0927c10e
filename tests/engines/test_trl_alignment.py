"""CodeRL+ in a stock `GRPOTrainer`, through TRL's public interface."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from trl import GRPOConfig, GRPOTrainer, RLOOConfig

from coderlplus.alignment import AlignmentConfig
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.trl.alignment import STATE, trl_alignment
from coderlplus.engines.trl.arguments import trl_arguments, trl_settings
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.errors import ConfigError, DataError
from coderlplus.problems import read_problems
from coderlplus.sandbox import Sandbox

TOOLS = (
    "{% for m in messages %}<user>{{ m['content'] }}{% if m.get('tool_calls') %}{{ m['tool_calls'] | tojson }}{% "
    "endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
"""A chat template that renders tool calls, which TRL requires of every environment."""
DEFAULTS = {"lr_scheduler_type": "constant"}
ALIGNMENT = AlignmentConfig(alpha=0.5, prompt_style="compact")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a template that renders tool calls."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("tools")
    AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = TOOLS
    tokenizer.save_pretrained(folder)
    return folder


def arguments(settings: dict[str, Any], output: Path, **changes: Any) -> GRPOConfig:
    config = make_config(settings | {"output": str(output), "trl": settings["trl"] | DEFAULTS | changes})
    config = config.model_copy(update={"trl": trl_settings(config)})
    return trl_arguments(config, RunFolder(config.output))


def own_trainer(
    model: Path, args: GRPOConfig, problems: Path, sandbox: Sandbox
) -> tuple[GRPOTrainer, list[dict[str, Any]]]:
    """A stock trainer, and what its reward function was asked and said, a dict for each batch."""
    given = trl_alignment(args, read_problems(problems), sandbox, settings=ALIGNMENT, prompt_template="{statement}")
    batches: list[dict[str, Any]] = []
    (reward,) = given["reward_funcs"]

    def listening(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
        rewards: list[float | None] = reward(prompts=prompts, completions=completions, **columns)
        texts = [completion[-1]["content"] for completion in completions]
        batches.append({"prompts": [prompt[-1]["content"] for prompt in prompts], "texts": texts, "rewards": rewards})
        return rewards

    return GRPOTrainer(str(model), args=args, **given | {"reward_funcs": [listening]}), batches


def test_batches_tasks_and_rewards_are_those_of_the_trainer_of_this_library(
    model: Path, problems_file: Path, settings: dict[str, Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    same = {"model": str(model), "samples_every": 1, "trl": settings["trl"] | DEFAULTS}
    ours = train(make_config(settings | same | {"output": str(tmp_path / "ours")}))
    args = arguments(settings, tmp_path / "theirs")
    trainer, batches = own_trainer(model, args, problems_file, sandbox)
    trainer.train()
    lines = [json.loads(line) for line in (ours.path / "samples.jsonl").read_text().splitlines()]
    assert len(batches) == args.max_steps
    for step, batch in enumerate(batches, 1):
        groups = [line for line in lines if line["step"] == step]
        samples = [(line["prompt"], sample) for line in groups for sample in line["samples"]]
        assert [f"<user>{prompt}<assistant>" for prompt in batch["prompts"]] == [prompt for prompt, _ in samples]
        assert batch["texts"] == [sample["completion"] for _, sample in samples]
        assert batch["rewards"] == [sample["reward"]["value"] for _, sample in samples]


def test_groups_have_one_prompt_the_mix_is_exact_and_in_the_log(
    model: Path, problems_file: Path, settings: dict[str, Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    args = arguments(settings, tmp_path / "run", max_steps=5)
    trainer, batches = own_trainer(model, args, problems_file, sandbox)
    trainer.train()
    size = args.num_generations
    for batch in batches:
        groups = [batch["prompts"][start : start + size] for start in range(0, len(batch["prompts"]), size)]
        assert all(len(set(group)) == 1 for group in groups)
        assert len({group[0] for group in groups}) == len(groups)
    logged = [line for line in trainer.state.log_history if "reward" in line]
    shares = [next(value for name, value in line.items() if name.endswith("mix/alignment_share")) for line in logged]
    assert shares[0] == 0
    assert shares[-1] == 0.5
    assert any(name.endswith("buffer/size") for name in logged[-1])


def test_a_resumed_run_asks_what_the_whole_one_asks(
    model: Path, problems_file: Path, settings: dict[str, Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    trainer, whole = own_trainer(model, arguments(settings, tmp_path / "whole"), problems_file, sandbox)
    trainer.train()
    args = arguments(settings, tmp_path / "parts", max_steps=4)
    trainer, first = own_trainer(model, args, problems_file, sandbox)
    trainer.train()
    args = arguments(settings, tmp_path / "parts")
    trainer, second = own_trainer(model, args, problems_file, sandbox)
    trainer.train(resume_from_checkpoint=str(Path(args.output_dir) / "checkpoint-4"))
    assert [batch["prompts"] for batch in first + second] == [batch["prompts"] for batch in whole]
    assert (Path(args.output_dir) / "checkpoint-4" / STATE).exists()


def test_a_checkpoint_without_our_state_is_named(
    model: Path, problems_file: Path, settings: dict[str, Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    args = arguments(settings, tmp_path / "run", max_steps=2)
    own_trainer(model, args, problems_file, sandbox)[0].train()
    state = Path(args.output_dir) / "checkpoint-2" / STATE
    state.unlink()
    again = arguments(settings, tmp_path / "run", max_steps=4)
    with pytest.raises(DataError, match=STATE):
        own_trainer(model, again, problems_file, sandbox)[0].train(resume_from_checkpoint=str(state.parent))


def test_rows_mixed_under_its_data_set_are_refused(
    model: Path, problems_file: Path, settings: dict[str, Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    from datasets import Dataset

    args = arguments(settings, tmp_path / "run", max_steps=4)
    given = trl_alignment(args, read_problems(problems_file), sandbox, settings=ALIGNMENT)
    mine = [{"slot": None, "prompt": [{"role": "user", "content": "mine"}]}] * 40
    mixed = given | {"train_dataset": Dataset.from_list([*given["train_dataset"], *mine])}
    with pytest.raises(ConfigError, match="need coderlplus train, with train_dataset"):
        GRPOTrainer(str(model), args=args, **mixed).train()


def test_an_evaluation_data_set_of_ones_own_is_left_alone(
    model: Path, problems_file: Path, settings: dict[str, Any], sandbox: Sandbox, tmp_path: Path
) -> None:
    from datasets import Dataset

    args = arguments(settings, tmp_path / "run", max_steps=2, per_device_eval_batch_size=4)
    given = trl_alignment(args, read_problems(problems_file), sandbox, settings=ALIGNMENT)
    asked: list[str] = []

    def length(prompts: list[Any], completions: list[Any], **_: Any) -> list[float]:
        asked.extend(prompt[-1]["content"] for prompt in prompts)
        return [float(len(completion[-1]["content"])) for completion in completions]

    given["reward_funcs"] = [*given["reward_funcs"], length]
    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": "mine"}]}] * 4)
    trainer = GRPOTrainer(str(model), args=args, eval_dataset=rows, **given)
    trainer.evaluate()
    assert set(asked) == {"mine"}
    trainer.train()


def test_too_few_problems_for_a_batch_are_counted(
    settings: dict[str, Any], problems_file: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="3 problems cannot fill a batch of 4 prompts"):
        trl_alignment(arguments(settings, tmp_path), read_problems(problems_file)[:3], sandbox, settings=ALIGNMENT)


def test_a_batch_without_room_for_tasks_is_named(
    problems_file: Path, sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """TRL's defaults on one device are one prompt a batch."""
    problems, common = read_problems(problems_file), {"output_dir": str(tmp_path), "use_cpu": True, "bf16": False}
    trl_alignment(GRPOConfig(**common), problems, sandbox, alpha=0.6)
    assert "at alpha 0.6 a batch of 1 prompt has no room for alignment tasks" in capsys.readouterr().err
    trl_alignment(GRPOConfig(**common, gradient_accumulation_steps=5), problems, sandbox, alpha=0.6)
    assert "no room" not in capsys.readouterr().err


def test_an_epoch_is_a_pass_over_the_problems(
    model: Path, settings: dict[str, Any], problems_file: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    args = arguments(settings, tmp_path, max_steps=-1, num_train_epochs=1)
    trainer, batches = own_trainer(model, args, problems_file, sandbox)
    trainer.train()
    assert len(batches) == 12 // 2


def test_rloo_is_refused_by_name(problems_file: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    args = RLOOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    with pytest.raises(ConfigError, match="coderlplus train"):
        trl_alignment(args, read_problems(problems_file), sandbox)


def test_async_grpo_is_refused_by_name(problems_file: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    async_grpo = pytest.importorskip("trl.experimental.async_grpo", reason="this TRL has no AsyncGRPOTrainer")
    args = async_grpo.AsyncGRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    with pytest.raises(ConfigError, match="AsyncGRPOTrainer has no batches to mix"):
        trl_alignment(args, read_problems(problems_file), sandbox)


@pytest.mark.parametrize("processes", [1, 2])
def test_the_example_runs_and_resumes(model: Path, problems_file: Path, tmp_path: Path, processes: int) -> None:
    example = Path(__file__).parents[2] / "examples" / "trl_script.py"
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes), str(example)]
    options = ["--output", str(tmp_path), "--groups", "4", "--samples", "4", "--new-tokens", "2"]
    for steps, resume in (("10", []), ("12", ["--resume"])):
        command = [*launch, str(model), str(problems_file), *options, "--steps", steps, *resume]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
    log = json.loads((tmp_path / "checkpoint-12" / "trainer_state.json").read_text())["log_history"]
    shares = [line["mix/alignment_share"] for line in log if "mix/alignment_share" in line]
    assert len(shares) == 6 * processes  # a batch of 16 is 2 steps of 8 on one process
    assert set(shares) <= {0.0, 0.5}
    assert shares[-1] == 0.5


def test_the_readme_runs(
    model: Path, problems_file: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines for a TRL script of one's own, with a tiny model and few steps."""
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (snippet,) = [part for part in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "GRPOTrainer" in part]
    for written, here in (
        ('"Qwen/Qwen2.5-Coder-1.5B-Instruct"', repr(str(model))),
        ('GRPOConfig(output_dir="runs/mine", max_steps=200, gradient_accumulation_steps=5)', "tiny"),
    ):
        assert written in snippet
        snippet = snippet.replace(written, here)
    monkeypatch.chdir(tmp_path)
    Path("problems.jsonl").symlink_to(problems_file)
    names: dict[str, Any] = {"tiny": arguments(settings, tmp_path / "out", max_steps=2)}
    exec(compile(snippet, "README.md", "exec"), names)
    assert names["trainer"].state.global_step == 2
