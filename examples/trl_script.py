"""CodeRL+ in your own TRL script: the trainer is TRL's, alignment is one more argument.

    python examples/trl_script.py MODEL PROBLEMS --output runs/mine --steps 100 [--resume]

MODEL is a folder or a hub name of a chat model, PROBLEMS a file or data set of any
format that `coderlplus prepare` reads. On several GPUs: `accelerate launch`.
"""

from __future__ import annotations

import argparse

import torch
from trl import GRPOConfig, GRPOTrainer

import coderlplus as crl


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("problems")
    parser.add_argument("--output", default="runs/trl_script")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--groups", type=int, default=8, help="prompts per batch over all processes")
    parser.add_argument("--samples", type=int, default=8, help="completions per prompt")
    parser.add_argument("--new-tokens", type=int, default=512)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    on_cpu = not torch.cuda.is_available()
    args = GRPOConfig(
        output_dir=options.output,
        max_steps=options.steps,
        generation_batch_size=options.groups * options.samples,
        num_generations=options.samples,
        max_completion_length=options.new_tokens,
        save_steps=10,
        logging_steps=1,
        report_to="none",
        use_cpu=on_cpu,
        bf16=not on_cpu,
    )
    with crl.open_sandbox() as sandbox:
        alignment = crl.trl_alignment(args, crl.load_problems(options.problems), sandbox, alpha=0.6)
        trainer = GRPOTrainer(options.model, args=args, **alignment)
        trainer.train(resume_from_checkpoint=options.resume)
        trainer.save_model()


if __name__ == "__main__":
    main()
