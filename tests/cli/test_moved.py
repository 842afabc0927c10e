"""Commands that moved to the laboratory are refused with the new one."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("verb", ["quickstart", "study", "probe"])
@pytest.mark.parametrize(
    "options", [[], ["--output", "runs/mine", "--seed", "1"], ["file.yaml", "-o", "x", "--json"], ["--help"]]
)
def test_the_message_names_the_new_command(verb: str, options: list[str]) -> None:
    command = [sys.executable, "-c", "from coderlplus.cli import main; main()", verb, *options]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert (
        result.stderr.strip() == f"error: coderlplus {verb} has moved; run coderlplus-lab {verb} with the same options"
    )
