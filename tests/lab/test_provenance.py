"""Which commit made a number."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from coderlplus_lab import provenance


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=A", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *named, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of a file that stands for the code."""
    try:
        git(tmp_path, "init", "-q")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no git")
    code = tmp_path / "code.py"
    code.write_text("1\n")
    monkeypatch.setattr(provenance, "SOURCE", tmp_path)
    monkeypatch.setattr(provenance, "__file__", str(code))
    return code


def test_a_checkout_has_its_commit_and_says_whether_files_differ(checkout: Path) -> None:
    git(checkout.parent, "add", "code.py")
    git(checkout.parent, "commit", "-qm", "Code")
    head = git(checkout.parent, "rev-parse", "HEAD")
    assert provenance.commit.__wrapped__() == head
    checkout.write_text("2\n")
    assert provenance.commit.__wrapped__() == f"{head}+changes"


def test_code_that_lies_in_the_checkout_of_something_else_has_none(checkout: Path) -> None:
    other = checkout.parent / "other.txt"
    other.write_text("")
    git(checkout.parent, "add", "other.txt")
    git(checkout.parent, "commit", "-qm", "Other")
    assert provenance.commit.__wrapped__() is None
