"""The page of a study: arms with intervals, differences, curves on the validation split, tables. It shows what is in
the study's `NAME.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderlplus.report import html

HERE = Path(__file__).parent
STYLES = ("base.css", "run_page.css", HERE / "study_page.css")
SCRIPTS = ("dom.js", "plot.js", HERE / "study_page.js")


def write_study_page(results: Mapping[str, Any], out: Path) -> Path:
    """Write the page and return its path. Raises `DataError` if it cannot be written."""
    html.write(out, html.assemble(HERE / "study_page.html", styles=STYLES, scripts=SCRIPTS, data=results), "-o")
    return out
