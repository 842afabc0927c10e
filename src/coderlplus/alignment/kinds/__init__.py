"""The kinds of alignment task: one file each, listed here by name."""

from __future__ import annotations

from importlib import import_module

from coderlplus.alignment.kinds.base import Kind

__all__ = ["DEFAULT", "KINDS", "Kind"]

_FILES = (
    "final_values",
    "output",
    "official",
    "exception",
    "state_at",
    "branch",
    "input",
    "next_statement",
    "types",
    "states",
)
KINDS: dict[str, Kind] = {name: import_module(f"{__name__}.{name}").KIND for name in _FILES}
DEFAULT = "final_values"
"""The kind of a run that names none."""
