"""SDPO (2601.20802) as a baseline: TRL's experimental trainer on the rewards of coderlplus's judge.

    python examples/sdpo.py MODEL problems.jsonl runs/sdpo

The teacher of a failed program is the policy that has seen a successful one of its group. docs/related.md says why
this is no algorithm of `coderlplus train`.
"""

from __future__ import annotations

import sys
from typing import Any

from datasets import Dataset
from trl.experimental.sdpo import SDPOConfig, SDPOTrainer

import coderlplus as crl


def train(model: str, problems: str, output: str, sandbox: Any, **settings: Any) -> SDPOTrainer:
    rows = [crl.to_dataset_row(problem) for problem in crl.load_problems(problems)]
    judged = crl.code_reward(crl.Judge(sandbox))

    def code(**columns: Any) -> list[float]:
        """The trainer would take a missing reward, of a sample on which the sandbox failed, for 0."""
        rewards = judged(**columns)
        if None in rewards:
            raise crl.SandboxError("the sandbox failed on a sample; run coderlplus doctor, then train again")
        return [float(reward or 0) for reward in rewards]

    trainer = SDPOTrainer(
        model,
        reward_funcs=code,
        args=SDPOConfig(output_dir=output, **settings),
        train_dataset=Dataset.from_list(rows),
    )
    trainer.train()
    trainer.save_model(f"{output}/final")
    return trainer


if __name__ == "__main__":
    with crl.open_sandbox() as sandbox:
        train(*sys.argv[1:4], sandbox=sandbox)
