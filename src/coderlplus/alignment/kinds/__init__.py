"""The kinds of alignment task: one file each, listed here."""

from __future__ import annotations

from coderlplus.alignment.kinds.base import Kind
from coderlplus.alignment.kinds.branch import KIND as BRANCH
from coderlplus.alignment.kinds.exception import KIND as EXCEPTION
from coderlplus.alignment.kinds.final_values import KIND as FINAL_VALUES
from coderlplus.alignment.kinds.official import KIND as OFFICIAL
from coderlplus.alignment.kinds.output import KIND as OUTPUT
from coderlplus.alignment.kinds.state_at import KIND as STATE_AT

__all__ = ["DEFAULT", "KINDS", "Kind"]

KINDS: dict[str, Kind] = {kind.name: kind for kind in (FINAL_VALUES, OUTPUT, OFFICIAL, EXCEPTION, STATE_AT, BRANCH)}
DEFAULT = FINAL_VALUES.name
"""The kind of a run that names none."""
