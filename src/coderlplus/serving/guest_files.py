"""Files that come with a program: it can open and import them by a relative path, as if they lay in its folder.

They are in memory only, since programs in the sandbox cannot write. Opening one gives a stream without a descriptor;
`os.open`, `os.listdir` and `os.path.exists` do not see them. Standard library only: it runs in the sandbox.
"""

from __future__ import annotations

import base64
import builtins
import importlib.abc
import importlib.util
import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def provide(files: Mapping[str, str]) -> None:
    """Make `files` (relative path → base64) readable by `open` and importable."""
    contents = {os.path.normpath(name): base64.b64decode(text) for name, text in files.items()}
    real_open = io.open

    def open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *more: Any,
        **options: Any,
    ) -> Any:
        name = os.fspath(file) if isinstance(file, (str, bytes, os.PathLike)) else ""
        content = contents.get(os.path.normpath(os.fsdecode(name)))
        if content is None or set(mode) & set("wax+"):
            return real_open(file, mode, buffering, encoding, errors, newline, *more, **options)
        data = io.BytesIO(content)
        return data if "b" in mode else io.TextIOWrapper(data, encoding or "utf-8", errors, newline)

    builtins.open = io.open = open
    sys.meta_path.insert(0, _Modules(contents))


class _Modules(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports `name` from `name.py` or `name/__init__.py` among the files."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._contents = contents

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._file(fullname)
        return None if file is None else importlib.util.spec_from_loader(fullname, self, origin=file)

    def is_package(self, fullname: str) -> bool:
        return (self._file(fullname) or "").endswith("__init__.py")

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._contents[self._file(fullname) or ""])

    def _file(self, fullname: str) -> str | None:
        stem = fullname.replace(".", "/")
        return next((file for file in (f"{stem}.py", f"{stem}/__init__.py") if file in self._contents), None)
