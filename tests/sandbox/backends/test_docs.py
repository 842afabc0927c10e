"""The page of back ends shows those that there are, and every command that runs programs takes one."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from coderlplus.cli import app
from coderlplus.errors import ConfigError
from coderlplus.sandbox.backends import BACKENDS
from coderlplus_lab.cli import app as lab

COMMANDS = {
    "judge": (app, "--backend", ["judge", "p.jsonl", "r.jsonl", "-o", "out.jsonl"]),
    "tasks": (app, "--backend", ["tasks", "p.jsonl", "r.jsonl", "-o", "out.jsonl"]),
    "trace": (app, "--backend", ["trace", "p.py", "--stdin", "/dev/null"]),
    "prepare": (app, "--backend", ["prepare", "p.jsonl", "-o", "out.jsonl"]),
    "doctor": (app, "--backend", ["doctor"]),
    "eval": (app, "--sandbox-backend", ["eval", "--model", "m", "--benchmarks", "humaneval", "-o", "out"]),
    "probe": (lab, "--backend", ["probe", "--model", "m", "--programs", "p.jsonl", "-o", "out"]),
}


def test_the_page_shows_the_back_ends() -> None:
    page = (Path(__file__).parents[3] / "docs" / "backends.md").read_text(encoding="utf-8")
    for one in BACKENDS.values():
        address = f"`{one.address}`" if one.address else ""
        row = " | ".join((f"| `{one.name}`", one.where, address, "yes |" if one.can_trace else "no |"))
        assert row.replace("|  |", "| |") in page


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    ("where", "message"),
    [
        (["fusion-sandbox"], "unknown back end 'fusion-sandbox' of the sandbox; did you mean sandboxfusion?"),
        (["local", "--address", "auto"], "the back end local has no address, not 'auto'"),
        (["sandboxfusion"], "the back end sandboxfusion needs an address, such as http://localhost:8080"),
    ],
)
def test_a_bad_back_end_is_one_sentence_before_anything_is_done(
    name: str, where: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text("x = 1")
    command: tuple[typer.Typer, str, list[str]] = COMMANDS[name]
    result = CliRunner().invoke(command[0], [*command[2], command[1], *where])
    assert isinstance(result.exception, ConfigError), result.output
    assert message in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["p.py"]


def test_a_back_end_that_judges_is_not_one_that_generates(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["eval", "--model", "m", "--benchmarks", "x.jsonl", "-o", str(tmp_path), "--backend", "ray"]
    )
    assert "--sandbox-backend ray" in str(result.exception)
