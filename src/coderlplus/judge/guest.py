"""What runs in the sandbox together with the program. Standard library only."""

from __future__ import annotations

from typing import Any


def echo(payload: Any, host: Any) -> None:
    """Send the payload back; for tests of the sandbox."""
    host.reply(payload)
