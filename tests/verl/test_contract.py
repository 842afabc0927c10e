"""What this package expects of verl 0.9.1: a version in which one of these is not so needs a look at `hooks`."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.dataset.rl_dataset import RLHFDataset

from coderlplus.engines.verl.config import VERSION, installed_version, make_verl_config, verl_config
from coderlplus.engines.verl.hooks import CodeRLPlusDataset, CodeRLPlusReplayBuffer, CodeRLPlusReward, current
from coderlplus.errors import ConfigError, DataError

HOOKS = {
    ReplayBuffer: {
        "sample": ["global_steps", "partition_id", "batch_size"],
        "_clear_groups": ["partition_id", "uids"],
        "_materialize_batch": ["partition_id", "selected_prompt_uids", "partition_snapshot"],
        "_evict_terminal_groups": ["global_steps", "partition_id", "eviction_reasons"],
        "_terminal_eviction_reasons": ["global_steps", "partition_id"],
        "_sampleable_terminal_keys": ["partition_id", "eviction_reasons"],
        "_select_prompt_uids": ["partition_id", "sampleable_keys", "batch_size"],
    },
    RLHFDataset: {
        "__init__": ["data_files", "tokenizer", "config", "processor", "max_samples"],
        "_read_files_and_tokenize": [],
        "__len__": [],
    },
    RewardManagerBase: {"run_single": ["data"]},
}


@pytest.mark.parametrize(("owner", "name"), [(owner, name) for owner, names in HOOKS.items() for name in names])
def test_the_methods_that_are_overridden_are_there(owner: type, name: str) -> None:
    ours = {ReplayBuffer: CodeRLPlusReplayBuffer, RLHFDataset: CodeRLPlusDataset, RewardManagerBase: CodeRLPlusReward}[
        owner
    ]
    assert issubclass(ours, owner)
    assert name in vars(ours)
    assert list(inspect.signature(getattr(owner, name)).parameters)[1:] == HOOKS[owner][name]


def test_the_version_is_the_one_that_was_read() -> None:
    assert installed_version() == VERSION


def test_the_trainer_makes_the_training_data_first_saves_it_last_and_hands_sessions_to_the_reward() -> None:
    made = inspect.getsource(PPOTrainer._init_dataloader)
    assert made.index("self.train_dataset = create_rl_dataset") < made.index("self.val_dataset = create_rl_dataset")
    saved = inspect.getsource(PPOTrainer._save_checkpoint)
    assert (
        saved.index("save_checkpoint(") < saved.index('"data.pt"') < saved.index("latest_checkpointed_iteration.txt")
    )
    assert "session_id=i" in inspect.getsource(AgentLoopWorkerTQ._run_prompt)
    assert "kwargs.items()" in inspect.getsource(AgentLoopWorker._compute_score)


def make(settings: dict[str, Any], folder: Path, files: str, **changes: Any) -> CodeRLPlusDataset:
    from transformers import AutoTokenizer
    from verl.trainer.ppo.utils import create_rl_dataset

    composed = verl_config(make_verl_config(settings | {"output": str(folder / "contract")} | changes))
    tokenizer = AutoTokenizer.from_pretrained(settings["model"])
    data: CodeRLPlusDataset = create_rl_dataset(composed.data[files], composed.data, tokenizer, None)
    return data


def test_rows_have_the_fields_of_verls_own_data_set(settings: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    import pandas
    from omegaconf import OmegaConf
    from transformers import AutoTokenizer

    row = {"data_source": "x", "prompt": [{"role": "user", "content": "write"}], "ability": "code"}
    row |= {"reward_model": {"style": "rule", "ground_truth": "1"}, "extra_info": {"index": 0}}
    pandas.DataFrame([row]).to_parquet(tmp_path / "train.parquet")
    config = OmegaConf.create({"max_prompt_length": 100, "filter_overlong_prompts": False, "cache_dir": str(tmp_path)})
    stock = RLHFDataset([str(tmp_path / "train.parquet")], AutoTokenizer.from_pretrained(settings["model"]), config)[0]
    ours = make(settings, folder, "val_files")[0]
    assert set(stock) - {"prompt"} == set(ours)
    assert {name: type(value) for name, value in stock.items() if name != "prompt"} == {
        name: type(value) for name, value in ours.items()
    }


def test_a_pass_takes_every_problem_and_training_is_told_from_evaluation(
    settings: dict[str, Any], folder: Path
) -> None:
    current.clear()
    same = {"validation": settings["problems"]}
    training, evaluation = (make(settings, folder, files, **same) for files in ("train_files", "val_files"))
    assert (len(training), len(evaluation)) == (6 * 4, 12)  # 12 problems, 2 a batch
    assert training.steps is not None
    assert evaluation.steps is None
    assert evaluation.state_dict() == {}


def test_prompts_over_the_length_are_left_out_and_none_left_is_an_error(
    settings: dict[str, Any], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Path(settings["problems"]).read_text().splitlines()
    long = json.loads(lines[0]) | {"problem_id": "long", "statement": "write f(x) " + "x" * 700}
    (tmp_path / "long.jsonl").write_text("\n".join([json.dumps(long), *lines]) + "\n")
    assert len(make(settings, folder, "val_files", validation=str(tmp_path / "long.jsonl"))) == 12
    assert "1 of 13 problems left out: prompts over 600 tokens" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"longer than data\.max_prompt_length = 3 tokens"):
        make(settings, folder, "val_files", max_prompt_tokens=3)


def test_a_data_set_without_tests_names_its_line(settings: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    problem = json.loads(Path(settings["problems"]).read_text().splitlines()[0]) | {"tests": []}
    (tmp_path / "empty.jsonl").write_text(json.dumps(problem) + "\n")
    with pytest.raises(DataError, match=r"empty\.jsonl:1: "):
        make(settings, folder, "train_files", problems=str(tmp_path / "empty.jsonl"))


def test_two_files_that_give_one_id_to_two_problems_are_refused(
    settings: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    problem = json.loads(Path(settings["problems"]).read_text().splitlines()[0]) | {
        "statement": "write something else"
    }
    (tmp_path / "other.jsonl").write_text(json.dumps(problem) + "\n")
    with pytest.raises(DataError, match="ids must be unique"):
        make(settings, folder, "train_files", problems=[settings["problems"], str(tmp_path / "other.jsonl")])


def test_an_asynchronous_trainer_is_refused() -> None:
    with pytest.raises(ConfigError, match="trainer_mode must be sync"):
        CodeRLPlusReplayBuffer(trainer_mode="colocate_async", sampler_kwargs={})
