"""The page of alignment tasks shows the kinds that there are."""

from __future__ import annotations

from pathlib import Path

from coderlplus.alignment.kinds import KINDS


def test_the_page_shows_the_kinds() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alignment.md").read_text(encoding="utf-8")
    rows = [f"| `{kind.name}` | {kind.about} | {kind.asks} |" for kind in KINDS.values()]
    assert "\n".join(("| kind | about runs that | asks for |", "|---|---|---|", *rows, "")) in page
