"""Score a model, or a file of completions, on HumanEval.

    python examples/score_humaneval.py --samples samples.jsonl --output scores/mine
    python examples/score_humaneval.py --model Qwen/Qwen2.5-Coder-0.5B-Instruct --output scores/qwen

A samples file has a line `{"task_id": "HumanEval/0", "solution": …}` (or `completion`) for each sample.
"""

from __future__ import annotations

import argparse

import coderlplus as crl


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Score a model, or a file of completions, on HumanEval.")
    parser.add_argument("--model")
    parser.add_argument("--samples")
    parser.add_argument("--data-dir", help="folder with HumanEval.jsonl.gz; without it, the data comes from the hub")
    parser.add_argument("--output", default="scores/humaneval")
    options = parser.parse_args(arguments)
    results = crl.evaluate(
        options.model, ["humaneval"], samples=options.samples, data_dir=options.data_dir, output=options.output
    )
    numbers = results["benchmarks"]["humaneval"]
    low, high = numbers["intervals"]["pass@1"]
    print(f"pass@1 {numbers['pass@1']:.3f} (95 % interval {low:.3f} to {high:.3f}), {numbers['problems']} problems")
    for note in numbers["notes"]:
        print(note)


if __name__ == "__main__":
    main()
