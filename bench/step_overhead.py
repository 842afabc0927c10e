"""What CodeRL+ adds to a training step: the same GRPO run on TRL, stock and with CodeRL+, at equal batch, prompt and
completion lengths.

    python bench/step_overhead.py [--size tiny|small|0.5b|1.5b] [--prompts 16] [--generations 8] [--prompt-tokens
    512] [--completion-tokens 256]
                                       [--steps 6] [--workers N]

The model has random weights, and every completion is sampled to its full length; what it wrote is then replaced by
programs as models write them (some pass, some fail, some crash), so that judge and tracer have real work in both runs.
Prompts are filled up to `--prompt-tokens`. The stock run is TRL's `GRPOTrainer` with
`engines.reward_functions.code_reward`; it has to judge as well, so what CodeRL+ adds is composing, scoring
answers, mining and tracing. The first two steps (without tasks, and with cold caches) are left out. Times are medians
of wall-clock seconds over the others.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from coderlplus.alignment import AlignmentConfig, reference_answer
from coderlplus.engines.batches import ProblemStream
from coderlplus.engines.reward_functions import code_reward, to_dataset_row
from coderlplus.engines.run_folder import RunFolder
from coderlplus.engines.steps import Steps
from coderlplus.engines.trl.callbacks import MetricsCallback
from coderlplus.judge import Judge
from coderlplus.loop import AlignmentLoop, Row
from coderlplus.records import AlignmentTask, Problem, StdioTest
from coderlplus.sandbox import Sandbox

SIZES = {
    "tiny": (128, 512, 2, 2, 1),
    "small": (512, 1408, 8, 8, 2),
    "0.5b": (896, 4864, 24, 14, 2),
    "1.5b": (1536, 8960, 28, 12, 2),
}
"""Hidden size, feed-forward size, layers, heads, key-value heads; the last two are those of Qwen2.5 with a small
vocabulary."""

PROGRAM = """import sys

def solve(numbers, limit):
    counts = {{}}
    best = 0
    for index, number in enumerate(numbers):
        counts[number % {modulus}] = counts.get(number % {modulus}, 0) + 1
        if number > best {comparison} index < limit:
            best = number
    total = sum(counts.values()) {sign} best
    return total, sorted(counts.items())

def main():
    data = list(map(int, sys.stdin.read().split()))
    limit, numbers = data[0], data[1:]
    total, items = solve(numbers, limit)
    answer = total {sign} {offset}
    {last}
    print(answer, len(items))

main()
"""


def program(rng: random.Random, *, crashes: bool = True) -> str:
    """One of a few thousand programs that differ in what they print."""
    ends = ("size = len(numbers)",) * 6 + (
        ("answer = answer // (total - total)", "answer = items[99]") if crashes else ()
    )
    return PROGRAM.format(
        modulus=rng.randint(2, 9),
        comparison=rng.choice(("and", "or")),
        sign=rng.choice("+-*"),
        offset=rng.randint(0, 20),
        last=rng.choice(ends),
    )


def reference(number: int) -> str:
    return program(random.Random(f"reference {number}"), crashes=False)


def problems(count: int) -> list[Problem]:
    """Problems with a reference program that passes their eight tests."""
    made = []
    for number in range(count):
        rng = random.Random(number)
        inputs = [f"{rng.randint(1, 30)} {' '.join(str(rng.randint(1, 99)) for _ in range(60))}\n" for _ in range(8)]
        tests = tuple(StdioTest(given, printed(reference(number), given)) for given in inputs)
        made.append(Problem(problem_id=str(number), statement=f"Problem {number}.", tests=tests))
    return made


def printed(source: str, given: str) -> str:
    """What a program of ours prints."""
    before, sys.stdin = sys.stdin, io.StringIO(given)
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(source, "<program>", "exec"), {"__name__": "__main__"})
    finally:
        sys.stdin = before
    return out.getvalue()


def tokenizer() -> Any:
    """One token a character, so that prompts can be filled up exactly."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = ["<pad>", "<eos>", "<unk>", *map(chr, range(32, 127)), "\n"]
    inner = Tokenizer(models.WordLevel({letter: number for number, letter in enumerate(letters)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    made.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    return made


def model_folder(size: str, folder: Path) -> Path:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    hidden, inner, layers, heads, key_values = SIZES[size]
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=32_000 if size.endswith("b") else 512,
        hidden_size=hidden,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_values,
        max_position_embeddings=16_384,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    Qwen2ForCausalLM(config).to(torch.bfloat16 if torch.cuda.is_available() else torch.float32).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def filled(message: str, tokens: int) -> list[dict[str, str]]:
    """A prompt of exactly so many tokens."""
    return [
        {"role": "user", "content": message[:tokens].ljust(tokens, ".")}
    ]  # white space at the end would be stripped


class Written:
    """Puts programs and answers in the place of what a random model wrote; the tokens, and so the model's work,
    stay."""

    def __init__(self) -> None:
        self.rng = random.Random(0)

    def texts(self, rows: Sequence[Row]) -> list[str]:
        """Of problems a quarter are solved."""
        return [
            reference_answer(row) if isinstance(row, AlignmentTask) else f"```python\n{self.program(row)}```"
            for row in rows
        ]

    def program(self, problem: Problem) -> str:
        return reference(int(problem.problem_id)) if self.rng.random() < 0.25 else program(self.rng)


def settings(options: argparse.Namespace, folder: Path) -> Any:
    from trl import GRPOConfig

    batch = options.prompts * options.generations
    gpu = torch.cuda.is_available()
    micro = min(batch, options.micro_batch)
    return GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=batch // micro,
        num_generations=options.generations,
        max_completion_length=options.completion_tokens,
        generation_kwargs={"min_new_tokens": options.completion_tokens, "suppress_tokens": [0, 2]},
        max_steps=options.steps,
        learning_rate=1e-6,
        loss_type="grpo",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not gpu,
        bf16=gpu,
        gradient_checkpointing=gpu,
        dataloader_pin_memory=False,
        seed=0,
    )


def stock(options: argparse.Namespace, model: Path, folder: Path, sandbox: Sandbox) -> list[dict[str, float]]:
    """TRL's own trainer with our judge as a reward function: seconds of each step, and those of its reward
    function."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    written, seconds, judging = Written(), [], [0.0]
    judge = code_reward(Judge(sandbox))

    def reward(completions: list[Any], record: list[str], **columns: Any) -> list[float | None]:
        texts = written.texts([Problem.from_json(json.loads(text)) for text in record])
        began = time.perf_counter()
        values = judge(completions=texts, record=record, **columns)
        judging[0] += time.perf_counter() - began
        return values

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began, judging[0] = time.perf_counter(), 0.0

        def on_step_end(self, *_: Any, **__: Any) -> None:
            seconds.append({"seconds/step": time.perf_counter() - self.began, "seconds/judging": judging[0]})

    rows = [
        to_dataset_row(problem) | {"prompt": filled(problem.statement, options.prompt_tokens)}
        for problem in problems(options.prompts * 4)
    ]
    trainer = GRPOTrainer(
        str(model),
        reward_funcs=[reward],
        args=settings(options, folder),
        train_dataset=Dataset.from_list(rows),
        callbacks=[Clock()],
    )
    trainer.train()
    return seconds


def ours(options: argparse.Namespace, model: Path, folder: Path, sandbox: Sandbox) -> list[dict[str, float]]:
    """The same with CodeRL+: the lines of metrics.jsonl."""
    from transformers import AutoTokenizer

    from coderlplus.engines.trl.trainer import CodeRLPlusGRPO

    written = Written()

    class Trainer(CodeRLPlusGRPO):
        def _start_judging(self, generated: Any) -> None:
            texts = written.texts(self._generation.rounds[-1].sampled)
            for completion, text in zip(generated[self.COMPLETIONS], texts, strict=True):
                completion[0]["content"] = text
            super()._start_judging(generated)

    judge, run = Judge(sandbox), RunFolder(folder / "run")
    record = MetricsCallback(run, [], 0)
    trainer = Trainer(
        str(model),
        args=settings(options, folder),
        processing_class=AutoTokenizer.from_pretrained(model),
        callbacks=[record],
        steps=Steps(
            ProblemStream(problems(options.prompts * 4), 0),
            AlignmentLoop(AlignmentConfig(alpha=0.6), sandbox, judge, 0),
            run=run,
            samples_every=10_000,
        ),
        judge=judge,
        prompt=lambda row: filled(
            row.prompt if isinstance(row, AlignmentTask) else row.statement, options.prompt_tokens
        ),
    )
    record.trainer = trainer
    run.begin("", sandbox.isolation)
    trainer.train()
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="1.5b" if torch.cuda.is_available() else "tiny")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--generations", type=int, default=8)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--completion-tokens", type=int, default=256)
    parser.add_argument("--micro-batch", type=int, default=16, help="completions a forward pass")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--workers", type=int, default=None, help="programs at the same time; default one a CPU")
    parser.add_argument("--json", type=Path, help="write the numbers to a file as well")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name, Sandbox(workers=options.workers) as sandbox:
        folder = Path(name)
        model = model_folder(options.size, folder / "model")
        runs = {
            "TRL": stock(options, model, folder / "stock", sandbox),
            "TRL + CodeRL+": ours(options, model, folder / "ours", sandbox),
        }
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    report(options, runs, memory)


def report(options: argparse.Namespace, runs: dict[str, list[dict[str, float]]], memory_gib: float | None) -> None:
    parts = ("step", "generation", "judging", "judging_work", "tracing", "tracing_work", "update")
    table = Table("median seconds a step", *(part.replace("_work", " (work)") for part in parts))
    medians: dict[str, dict[str, float]] = {}
    for name, lines in runs.items():
        later = lines[2:]
        medians[name] = {
            part: statistics.median(line[f"seconds/{part}"] for line in later)
            for part in parts
            if all(f"seconds/{part}" in line for line in later)
        }
        table.add_row(name, *(f"{medians[name][part]:.3f}" if part in medians[name] else "" for part in parts))
    console = Console()
    console.print(
        f"{options.size}, {options.prompts} x {options.generations} completions of {options.completion_tokens} "
        "tokens after prompts of "
        f"{options.prompt_tokens}; {'GPU ' + torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU'}, "
        f"{os.cpu_count()} cores" + (f", {memory_gib:.1f} GiB at most" if memory_gib is not None else "")
    )
    console.print(table)
    plain, with_ours = medians["TRL"]["step"], medians["TRL + CodeRL+"]
    rollouts = options.prompts * options.generations
    own = with_ours["judging_work"] + with_ours["tracing_work"]
    waits = with_ours["judging"] + with_ours["tracing"]
    traced, mined = (
        statistics.mean(line.get(name, 0.0) for line in runs["TRL + CodeRL+"][2:]) for name in ("traced", "mined")
    )
    console.print(f"CodeRL+ makes a step {100 * (with_ours['step'] / plain - 1):+.1f} % longer.")
    console.print(
        f"Judging and tracing take {own:.2f} s, {own * 1024 / rollouts:.2f} s for 1,024 rollouts; the step stands "
        f"still for {waits:.2f} s of it."
    )
    console.print(f"{traced:.0f} failures are traced a step and make {mined:.0f} tasks.")
    if options.json:
        options.json.write_text(
            json.dumps(
                {"medians": medians, "runs": runs, "options": {k: str(v) for k, v in vars(options).items()}}, indent=2
            )
        )


if __name__ == "__main__":
    main()
