"""Small JSON files of the laboratory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coderlplus.records.files import atomic_write


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty if there is none."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return data


def write_json(path: Path, data: Any) -> None:
    """Write a file that appears only when it is complete."""
    atomic_write(path, json.dumps(data, indent=2) + "\n")
