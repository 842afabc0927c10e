"""The rewards of CodeRL+ in your own TRL script, on problems and on tasks made beforehand.

    python examples/trl_rewards.py MODEL PROBLEMS [--tasks tasks.jsonl] --output runs/rewards --steps 100

`examples/tasks_from_failures.py` makes the tasks. For tasks from the failures of the model in training, see
`examples/trl_script.py`.
"""

from __future__ import annotations

import argparse

import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

import coderlplus as crl


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Train on problems and tasks with the rewards of CodeRL+.")
    parser.add_argument("model")
    parser.add_argument("problems")
    parser.add_argument("--tasks")
    parser.add_argument("--output", default="runs/rewards")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--samples", type=int, default=8, help="completions per prompt")
    parser.add_argument("--new-tokens", type=int, default=512)
    options = parser.parse_args(arguments)
    records: list[crl.Problem | crl.AlignmentTask] = [*crl.load_problems(options.problems)]
    if options.tasks:
        records += crl.read_jsonl(options.tasks, crl.AlignmentTask)
    on_cpu = not torch.cuda.is_available()
    args = GRPOConfig(
        output_dir=options.output,
        max_steps=options.steps,
        per_device_train_batch_size=options.samples,
        num_generations=options.samples,
        max_completion_length=options.new_tokens,
        report_to="none",
        use_cpu=on_cpu,
        bf16=not on_cpu,
    )
    with crl.open_sandbox() as sandbox:
        rewards = [crl.code_reward(crl.Judge(sandbox)), crl.alignment_reward()]
        rows = Dataset.from_list([crl.to_dataset_row(record) for record in records])
        trainer = GRPOTrainer(options.model, args=args, reward_funcs=rewards, train_dataset=rows)
        trainer.train()
        trainer.save_model()


if __name__ == "__main__":
    main()
