"""What made a number: the commit of this code, and when."""

from __future__ import annotations

import functools
import subprocess
from datetime import UTC, datetime
from pathlib import Path

SOURCE = Path(__file__).parents[1]
CHANGED = "+changes"


@functools.cache
def commit() -> str | None:
    """The commit that this code is checked out at, with `+changes` where its files differ from it; `None` where the
    code is in no checkout, such as an installed package."""
    if _git("ls-files", "--error-unmatch", __file__) is None:
        return None
    head, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", ".")
    return None if head is None else f"{head}{CHANGED if changed else ''}"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(*arguments: str) -> str | None:
    """What git says in the folder of the source; `None` where it fails or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(SOURCE), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
