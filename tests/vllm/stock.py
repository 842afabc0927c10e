"""CodeRL+ in a stock `GRPOTrainer` with vLLM, in its process or as a server:
`python stock.py MODEL PROBLEMS OUTPUT STEPS RESUME [URL GROUP_PORT]`."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import cpu_weights
from trl import GRPOConfig, GRPOTrainer

import coderlplus as crl


def digest(weights: Any) -> str:
    """Of tensors by name, each as the trainer names it."""
    found = hashlib.sha256()
    for name, tensor in sorted(weights):
        found.update(name.encode() + tensor.detach().float().numpy().tobytes())
    return found.hexdigest()


def main(
    model: str, problems: str, output: str, steps: str, resume: str, url: str = "", group_port: str = "51216"
) -> None:
    if url:
        cpu_weights.on_trainer()
    args = GRPOConfig(
        output_dir=output,
        use_vllm=True,
        vllm_mode="server" if url else "colocate",
        vllm_server_base_url=url or None,
        vllm_group_port=int(group_port),
        vllm_max_model_length=1024,
        per_device_train_batch_size=16,
        num_generations=4,
        max_completion_length=2,
        max_steps=int(steps),
        save_steps=1,
        learning_rate=1e-2,
        logging_steps=1,
        lr_scheduler_type="constant",
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
    )
    asked: list[list[str]] = []
    with crl.open_sandbox(workers=1) as sandbox:
        settings = crl.AlignmentConfig(alpha=0.5, prompt_style="compact")
        given = crl.trl_alignment(
            args, crl.load_problems(problems), sandbox, settings=settings, prompt_template="{statement}"
        )
        (reward,) = given["reward_funcs"]

        def listening(prompts: list[Any], **columns: Any) -> list[float | None]:
            asked.append([prompt[-1]["content"] for prompt in prompts])
            rewards: list[float | None] = reward(prompts=prompts, **columns)
            return rewards

        trainer = GRPOTrainer(model, args=args, **given | {"reward_funcs": [listening]})
        before = digest(trainer.model.named_parameters())
        trainer.train(resume_from_checkpoint=resume or None)
        after = digest(trainer.model.named_parameters())
    logs = [line for line in trainer.state.log_history if "reward" in line]
    Path(output, "told.json").write_text(json.dumps({"asked": asked, "logs": logs, "moved": before != after}))


if __name__ == "__main__":
    main(*sys.argv[1:])
