"""Every Python snippet of the docs and README runs; those that need a model, the network or a server are listed here,
and lack no import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from coderlplus.records import StdioTest, write_jsonl
from coderlplus.records.problem import Problem

ROOT = Path(__file__).parents[1]
NOT_RUN = {
    "GRPOTrainer(": "a model of the hub and a GPU; tests/engines/test_trl_alignment.py runs README's on a small one",
    "crl.train(": "a model of the hub and a GPU",
    "sandbox_fusion": "another package, and a server",
    '"sandboxfusion"': "a server; tests/sandbox/backends run it",
    "SFTTrainer(": "a model of the hub",
    '"tasks.hub"': "files that coderlplus tasks wrote; tests/exports load them",
}
"""What a snippet holds that is not run here, and what it needs."""
SNIPPETS = [
    pytest.param(match[1], id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
    for number, match in enumerate(
        re.finditer(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    )
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_no_name_is_missing(snippet: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", "--select", "F821", "-"]
    done = subprocess.run(command, input=snippet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_it_runs(snippet: str, tmp_path: Path) -> None:
    needs = next((what for part, what in NOT_RUN.items() if part in snippet), None)
    if needs is not None:
        pytest.skip(f"needs {needs}")
    problems = [
        Problem(problem_id=f"p{n}", statement="Print 1.", tests=(StdioTest("", "1"),), reference="print(1)")
        for n in range(4)
    ]
    write_jsonl(tmp_path / "problems.jsonl", problems)
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_is_not_run_is_still_there() -> None:
    texts = [str(parameter.values[0]) for parameter in SNIPPETS]
    assert all(any(part in text for text in texts) for part in NOT_RUN)
