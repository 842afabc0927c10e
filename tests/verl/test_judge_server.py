"""verl's own `sandbox_fusion` reward against `coderlplus serve`."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

reward = pytest.importorskip("verl.utils.reward_score.sandbox_fusion", reason="verl is not installed")
pytest.importorskip("uvicorn", reason="coderlplus[serve] is not installed")

CASES = {"inputs": ["2\n", "5\n"], "outputs": ["4\n", "10\n"]}
CALLS = {"inputs": ["[3, 1, 2]", "[]"], "outputs": ["[1, 2, 3]", "[]"], "fn_name": "ordered"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    command = [str(Path(sys.executable).with_name("coderlplus")), "serve", "--port", "0", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = re.search(r"http://\S+", process.stderr.readline())
    assert found is not None
    yield f"{found.group()}/run_code"
    process.terminate()
    process.wait(30)


@pytest.mark.parametrize(
    ("completion", "cases", "score"),
    [
        ("```python\nprint(int(input()) * 2)\n```", CASES, 1.0),
        ("```python\nprint(4)\n```", CASES, 0.5),
        ("```python\n1 / 0\n```", CASES, 0.0),
        ("```python\nwhile True: pass\n```", CASES, 0.0),
        ("```python\ndef ordered(xs):\n    return sorted(xs)\n```", CALLS, 1.0),
        ("```python\nclass Solution:\n    def ordered(self, xs):\n        return sorted(xs)\n```", CALLS, 1.0),
    ],
)
def test_scores_of_verls_reward(url: str, completion: str, cases: dict[str, object], score: float) -> None:
    places = threading.Semaphore(4)
    given, _ = reward.compute_score(url, places, 256, completion, cases, continuous=True, timeout=2)
    assert given == score
