"""`coderlplus eval` of a pretrained model by vLLM: SmolLM2-135M-Instruct (`bench/real_model.py`)."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus.records import CallTest, Problem, write_jsonl

EASY = {
    "add": ("Write a Python function `add(a, b)` that returns the sum of a and b.", (([2, 3], 5), ([-1, 1], 0))),
    "largest": (
        "Write a Python function `largest(x)` for the largest number of a list.",
        (([[1, 3, 2]], 3),),
    ),
    "double": ("Write a Python function `double(n)` that returns n times 2.", (([4], 8), ([0], 0))),
    "length": ("Write a Python function `length(text)` that returns the length of text.", ((["abc"], 3), ([""], 0))),
}


@pytest.fixture(scope="module")
def real() -> Path:
    path = Path(__file__).parents[2] / "bench" / "real_model.py"
    spec = importlib.util.spec_from_file_location("real_model", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        return Path(module.real_model())
    except module.NotToBeHad as error:
        pytest.skip(f"no real model: {error}")


def test_a_real_model_answers_in_fences_ends_by_itself_and_passes_easy_problems(
    real: Path, run: Callable[..., Any], command: str, tmp_path: Path
) -> None:
    problems = tmp_path / "easy.jsonl"
    write_jsonl(
        problems,
        [
            Problem(
                problem_id=name,
                statement=statement,
                entry_point=name,
                tests=tuple(CallTest(args=tuple(args), expected=expected) for args, expected in tests),
            )
            for name, (statement, tests) in EASY.items()
        ],
    )
    where = ["--model", real, "--benchmarks", problems, "-o", tmp_path / "out", "--max-tokens", "256"]
    done = run([command, "eval", "--backend", "vllm", *where, "--json"])
    assert done.status == 0, done.err[-3000:]
    outcomes = json.loads(done.out)["benchmarks"]["easy"]["outcomes"]
    assert outcomes["passed"] >= 1
    assert outcomes["truncated"] < len(EASY)
    rows = (tmp_path / "out" / "easy" / "completions.jsonl").read_text().splitlines()
    assert sum("```python" in json.loads(row)["completion"] for row in rows) >= 2
