"""CodeRL+ in a training loop of your own: plain PyTorch, one file, no trainer.

    python examples/own_loop.py MODEL PROBLEMS --steps 100 --output runs/own [--resume]

MODEL is a folder or a hub name of a causal language model with a chat template, PROBLEMS a file that
`coderlplus prepare` reads. All of CodeRL+ is in the lines marked with ←. The rest is GRPO: sample groups, normalise
rewards within each group, take one policy-gradient step.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import coderlplus as crl


def sample(
    model: Any, tokenizer: Any, rows: list[Any], new_tokens: int, suppress: list[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One completion for each row: tokens (B, P + C), attention mask (B, P + C), and the mask of the completions'
    tokens (B, C)."""
    chats = [crl.to_dataset_row(row)["prompt"] for row in rows]
    prompts = [tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) for chat in chats]
    batch = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left", add_special_tokens=False)
    batch = batch.to(model.device)
    with torch.no_grad():
        tokens = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            do_sample=True,
            top_k=0,
            max_new_tokens=new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            suppress_tokens=suppress or None,
        )
    completions = tokens[:, batch["input_ids"].shape[1] :]
    ended = (completions == tokenizer.eos_token_id).cumsum(1)
    mask = (ended - (completions == tokenizer.eos_token_id).long() == 0).long()  # up to and with the first end token
    return tokens, torch.cat([batch["attention_mask"], mask], 1), mask


def policy_loss(
    model: Any, tokens: torch.Tensor, attention: torch.Tensor, mask: torch.Tensor, advantages: torch.Tensor
) -> torch.Tensor:
    """The policy gradient of one on-policy step, as a mean over the tokens of the batch."""
    positions = (attention.cumsum(1) - 1).clamp(min=0)
    logits = model(input_ids=tokens, attention_mask=attention, position_ids=positions).logits[
        :, -mask.shape[1] - 1 : -1
    ]
    logps = logits.float().log_softmax(-1).gather(2, tokens[:, -mask.shape[1] :, None])[..., 0]
    return -(logps * advantages[:, None] * mask).sum() / mask.sum()


def group_advantages(rewards: list[float | None], size: int) -> torch.Tensor:
    """GRPO: (reward − mean) / deviation within each group; a completion without reward (our sandbox failed) counts
    nowhere and has 0."""
    values = torch.tensor([float("nan") if reward is None else reward for reward in rewards]).view(-1, size)
    centred = values - values.nanmean(1, keepdim=True)
    deviation = centred.square().nanmean(1, keepdim=True).sqrt()
    return (centred / (deviation + 1e-4)).nan_to_num().flatten()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("problems", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/own"))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--groups", type=int, default=8, help="prompts a batch")
    parser.add_argument("--size", type=int, default=8, help="completions a prompt")
    parser.add_argument("--new-tokens", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    parser.add_argument("--alpha", type=float, default=0.6, help="share of code problems")
    parser.add_argument("--suppress", type=int, nargs="*", default=[], help="token ids never to sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(
        options.model, dtype=torch.bfloat16 if device == "cuda" else torch.float32
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=0.0)
    problems = crl.load_problems(options.problems)
    options.output.mkdir(parents=True, exist_ok=True)
    saved, first = options.output / "state.pt", 1

    with crl.open_sandbox() as sandbox:
        loop = crl.AlignmentLoop(
            crl.AlignmentConfig(alpha=options.alpha), sandbox, crl.Judge(sandbox), options.seed
        )  # ←
        if options.resume and saved.exists():
            state = torch.load(saved, weights_only=True)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            loop.load_state_dict(json.loads(state["loop"]))  # ←
            first = state["step"] + 1
        with (options.output / "metrics.jsonl").open("a" if first > 1 else "w") as metrics:
            for step in range(first, options.steps + 1):
                torch.manual_seed(options.seed + step)
                tasks = loop.compose(step, options.groups)  # ←
                code = iter(random.Random(f"{options.seed}/{step}").sample(problems, tasks.count(None)))
                rows = [row for task in tasks for row in [task or next(code)] * options.size]

                tokens, attention, mask = sample(model, tokenizer, rows, options.new_tokens, options.suppress)
                ids = [
                    row[keep.bool()] for row, keep in zip(tokens[:, -mask.shape[1] :].cpu(), mask.cpu(), strict=True)
                ]
                completions = tokenizer.batch_decode(ids, skip_special_tokens=True)

                rewards = loop.reward(
                    rows, completions, rollout_ids=[f"{step}-{index}" for index in range(len(rows))]
                )  # ←
                values = [reward.value for reward in rewards]
                optimizer.zero_grad()
                loss = policy_loss(model, tokens, attention, mask, group_advantages(values, options.size).to(device))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()

                line = {"step": step, "loss": loss.item()} | loop.observe(step, rows, completions, rewards)  # ←
                passed = [reward.verdict.passed for reward in rewards if reward.verdict is not None]
                line["pass_rate"] = sum(passed) / max(1, len(passed))
                print(json.dumps(line), file=metrics, flush=True)
                print(f"step {step}: passed {line['pass_rate']:.3f}, {line['buffer/size']:.0f} tasks")
                state = {
                    "step": step,
                    "model": model.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "loop": json.dumps(loop.state_dict()),
                }
                torch.save(state, saved.with_suffix(".partial"))
                saved.with_suffix(".partial").replace(saved)
    model.save_pretrained(options.output / "final")
    tokenizer.save_pretrained(options.output / "final")


if __name__ == "__main__":
    main()
