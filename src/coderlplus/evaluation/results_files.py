"""`results.json` and `results.md` of a folder of finished work: written whole or not at all, read with a sentence for
whatever is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.records.files import atomic_write


def write_results_files(folder: Path, results: Mapping[str, Any], markdown: str) -> None:
    """Raises `DataError` if a file cannot be written; the one that was there is kept then."""
    for name, text in {"results.json": json.dumps(results, indent=2) + "\n", "results.md": markdown}.items():
        try:
            atomic_write(folder / name, text)
        except OSError as error:
            raise DataError(f"cannot write {folder / name}: {error.strerror}") from error


def read_results_file(folder: Path, *, command: str, part: str) -> dict[str, Any]:
    """`results.json` of a folder, as `coderlplus COMMAND` leaves it with a mapping under the name `part`. Raises
    `DataError` if there is none."""
    path = folder / "results.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"no finished coderlplus {command} in {folder}: results.json is missing (coderlplus {command} … -o "
            f"{folder})"
        ) from None
    except NotADirectoryError:
        raise DataError(f"{folder} is a file; name the folder of a coderlplus {command}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(
            f"{path} is not valid JSON ({error}); rerun coderlplus {command}; finished samples are reused"
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get(part), dict):
        raise DataError(f"{path} does not name {part}; it was not written by coderlplus {command}")
    return data
