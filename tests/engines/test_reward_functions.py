"""Our rewards in a TRL script that knows nothing else of us."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from coderlplus.alignment import reference_answer
from coderlplus.engines.reward_functions import alignment_reward, code_reward, to_dataset_row
from coderlplus.judge import Judge
from coderlplus.problems import read_problems
from coderlplus.records import AlignmentTask, CallInput, Target, write_jsonl
from coderlplus.sandbox import Sandbox

TASK = AlignmentTask(
    task_id="t",
    kind="final_values",
    prompt="what is y?",
    program="def f(x):\n    y = x + 1\n    return y\n",
    input=CallInput("f", (1,)),
    targets=(Target(label="output", value=2), Target(label="y", value=2, scope="f")),
    problem_id="p0",
    rollout_id="1-0-0",
)


def test_each_function_scores_its_own_rows(problems_file: Path) -> None:
    problem = next(iter(read_problems(problems_file)))
    records = [to_dataset_row(problem)["record"], to_dataset_row(TASK)["record"], to_dataset_row(problem)["record"]]
    texts = ["def f(x):\n    return x + 1\n", reference_answer(TASK), "```python\ndef f(x):\n    return x"]
    for completions in (texts, [[{"role": "assistant", "content": text}] for text in texts]):
        with Sandbox(workers=1) as sandbox:
            assert code_reward(Judge(sandbox))(
                prompts=records, completions=completions, record=records, trainer_state=None
            ) == [1.0, None, 0.0]
        assert alignment_reward()(prompts=records, completions=completions, record=records) == [None, 1.0, None]


def test_a_plain_trl_script(tiny_model: Path, problems_file: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    rows = [to_dataset_row(problem, prompt_template="{statement}") for problem in read_problems(problems_file)] + [
        to_dataset_row(TASK)
    ] * 4
    arguments = {
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
    }
    config = GRPOConfig(
        **settings["trl"]
        | arguments
        | {"max_steps": 2, "logging_steps": 1, "save_strategy": "no", "output_dir": str(tmp_path / "out")}
    )
    with Sandbox(workers=1) as sandbox:
        functions = [code_reward(Judge(sandbox)), alignment_reward()]
        trainer = GRPOTrainer(
            str(tiny_model), reward_funcs=functions, args=config, train_dataset=Dataset.from_list(rows)
        )
        trainer.train()
    logged = [line for line in trainer.state.log_history if "reward" in line]
    assert len(logged) == 2
    assert all(0 <= line["rewards/coderlplus_generation/mean"] <= 1 for line in logged)


def test_the_example_trains_on_problems_and_tasks(tiny_model: Path, problems_file: Path, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "examples" / "trl_rewards.py"
    spec = importlib.util.spec_from_file_location("trl_rewards", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    write_jsonl(tmp_path / "tasks.jsonl", [TASK])
    options = ["--tasks", str(tmp_path / "tasks.jsonl"), "--output", str(tmp_path / "out"), "--steps", "2"]
    example.main([str(tiny_model), str(problems_file), *options, "--samples", "2", "--new-tokens", "2"])
    assert (tmp_path / "out" / "model.safetensors").exists()
