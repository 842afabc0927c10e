"""A page as one HTML file: template, styles and scripts of this package, with the data embedded as JSON.

A page asks nothing of the network, and its content security policy forbids it to: only its own style and script run,
known by their hashes. Whatever programs, models and problems wrote is data in a JSON block and reaches the screen
through text nodes only.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.records.files import atomic_write

HERE = Path(__file__).parent


def assemble(template: str | Path, *, styles: Sequence[str | Path], scripts: Sequence[str | Path], data: Any) -> str:
    """The page as text; `template`, `styles` and `scripts` name files of this package, or are paths of others."""
    style = "\n".join(_read(name) for name in styles)
    script = '"use strict";\n' + "\n".join(_read(name) for name in scripts)
    policy = (
        f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; base-uri 'none'; "
        "form-action 'none'"
    )
    page = _read(template)
    for name, text in (("policy", policy), ("style", style), ("script", script), ("data", embed(data))):
        page = page.replace(f"{{{{{name}}}}}", text, 1)
    return page


def embed(data: Any) -> str:
    """JSON that can stand inside a script element: ASCII only, and no `<` that could end it or open a comment.

    Numbers that the browser's JSON does not have are null."""
    try:
        text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    except ValueError:
        text = json.dumps(_writable(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _writable(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _writable(item) for key, item in data.items()}
    if isinstance(data, list | tuple):
        return [_writable(item) for item in data]
    is_odd = isinstance(data, int | float) and not abs(data) < 2**1024
    return None if is_odd else data


def digest(text: str) -> str:
    """The name of an inline style or script in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def write(out: Path, page: str, option: str) -> None:
    """Write a page, complete or not at all. Raises `DataError`, which names the command-line `option` to change, when
    that cannot be, or where the file is there and is no page."""
    try:
        if out.is_file() and out.stat().st_size and not _is_page(out):
            raise DataError(f"{out} is no page, and would be replaced by one; use another file with {option}")
        out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(out, page)
    except OSError as error:
        is_file = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "its folder is not a directory" if is_file else error.strerror
        raise DataError(f"cannot write {out}: {reason}; use another file with {option}") from error


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(100).lower().startswith(b"<!doctype html")


def _read(name: str | Path) -> str:
    return (HERE / name).read_text(encoding="utf-8")
