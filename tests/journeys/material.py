"""What the reader of a page has before the first command: small files in the published layouts, and a model.

The problems are ours; the layouts are those of HumanEval+, LiveCodeBench and evalplus."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import coderlplus as crl

HUMANEVALPLUS = [
    {
        "task_id": f"HumanEval/{number}",
        "prompt": f'def {name}(xs):\n    """{words}"""\n',
        "entry_point": name,
        "canonical_solution": f"    return {body}\n",
        "base_input": [[[1, 2, 3]], [[4]]],
        "plus_input": [[[]], [[-1, 5, -1]]],
        "atol": 0,
        "contract": "",
    }
    for number, (name, words, body) in enumerate(
        [
            ("total", "Return the sum of the numbers.", "sum(xs)"),
            ("largest", "Return the largest number, or None for an empty list.", "max(xs, default=None)"),
            ("backwards", "Return the list in reverse order.", "xs[::-1]"),
        ]
    )
]
EVALPLUS_SAMPLES = [
    {"task_id": "HumanEval/0", "solution": "def total(xs):\n    return sum(xs)\n"},
    {"task_id": "HumanEval/1", "solution": "def largest(xs):\n    return max(xs)\n"},
    {"task_id": "HumanEval/2", "solution": "def backwards(xs):\n    return sorted(xs)\n"},
]
LIVECODEBENCH = [
    {
        "question_title": title,
        "question_content": content,
        "platform": "atcoder",
        "question_id": f"abc{number}_a",
        "contest_id": f"abc{number}",
        "contest_date": "2024-02-03T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps([{"input": given, "output": wanted, "testtype": "stdin"}]),
        "private_test_cases": json.dumps([{"input": more, "output": then, "testtype": "stdin"}]),
        "metadata": "{}",
    }
    for number, (title, content, given, wanted, more, then) in enumerate(
        [
            ("Twice", "Read a number and print its double.", "2\n", "4\n", "-3\n", "-6\n"),
            ("Words", "Read a line and print its number of words.", "a b\n", "2\n", "\n", "0\n"),
        ],
        1,
    )
]
LIVECODEBENCH_SAMPLES = [
    {"question_id": "abc1_a", "code_list": ["print(2 * int(input()))", "print(int(input()) ** 2)"]},
    {"question_id": "abc2_a", "code_list": ["print(len(input().split()))", "print(input().count(' ') + 1)"]},
]
TEMPLATE = (  # with tool calls, as those of real chat models
    "{% for message in messages %}{{ message['content'] or '' }}"
    "{% for call in message.tool_calls or [] %}{{ call.function.name }}{{ call.function.arguments }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}\n{% endif %}"
)


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def benchmarks(folder: Path) -> None:
    """`benchmarks/`, with two sets, and a file of samples of each."""
    write_lines(folder / "benchmarks" / "HumanEvalPlus.jsonl", HUMANEVALPLUS)
    write_lines(folder / "benchmarks" / "livecodebench.jsonl", LIVECODEBENCH)
    write_lines(folder / "samples.jsonl", EVALPLUS_SAMPLES)
    (folder / "lcb_samples.json").write_text(json.dumps(LIVECODEBENCH_SAMPLES), encoding="utf-8")


def problems(folder: Path, count: int = 12) -> None:
    """`problems.jsonl`: functions of one number, with references."""
    crl.write_jsonl(
        folder / "problems.jsonl",
        [
            crl.Problem(
                problem_id=f"poly-{k}",
                statement=f"Write f(x), which returns {k} * x * x + {k + 1}.",
                entry_point="f",
                tests=tuple(crl.CallTest((x,), k * x * x + k + 1) for x in (0, 1, 2, -3)),
                reference=f"def f(x):\n    square = x * x\n    return {k} * square + {k + 1}\n",
            )
            for k in range(1, count + 1)
        ],
    )


def model(folder: Path, name: str = "Qwen/Qwen2.5-Coder-0.5B-Instruct") -> None:
    """A folder of a model that knows nothing, under a hub name; its tokens are letters."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokens = ["<pad>", "<eos>", "<unk>", *string.printable]
    letters = Tokenizer(models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    letters.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        padding_side="left",
        chat_template=TEMPLATE,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)
