"""Small JSON files of the laboratory; `report.folders.read_object` reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coderlplus.records.files import atomic_write


def write_json(path: Path, data: Any) -> None:
    """Write a file that appears only when it is complete."""
    atomic_write(path, json.dumps(data, indent=2) + "\n")
