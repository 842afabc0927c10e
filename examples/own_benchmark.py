"""Your own benchmark: a file of problems, scored like HumanEval.

    python examples/own_benchmark.py MODEL --output scores/own
    python examples/own_benchmark.py --samples answers.jsonl --output scores/own

A samples file has a line `{"problem_id": …, "completion": …}` for each sample.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import coderlplus as crl

PROBLEMS = [
    crl.Problem(
        problem_id=f"power-{k}",
        statement=f"Write f(x), which returns x to the power {k}.",
        entry_point="f",
        tests=tuple(crl.CallTest((x,), x**k) for x in range(4)),
    )
    for k in (2, 3, 4)
]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Score a model, or a file of completions, on problems of your own.")
    parser.add_argument("model", nargs="?")
    parser.add_argument("--samples")
    parser.add_argument("--output", type=Path, default=Path("scores/own"))
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    problems = options.output / "powers.jsonl"
    crl.write_jsonl(problems, PROBLEMS)
    results = crl.evaluate(
        options.model, [problems], samples=options.samples, output=options.output, prompt="{statement} Python only."
    )
    numbers = results["benchmarks"]["powers"]
    print(f"pass@1 {numbers['pass@1']:.3f} on {numbers['problems']} problems; outcomes: {numbers['outcomes']}")


if __name__ == "__main__":
    main()
