"""One convention for commands that make a file: rerunning the command resumes it, changed inputs are refused, and
complete output is overwritten only on request.

Beside OUTPUT lies OUTPUT.run.json. It holds the fingerprint of what the output is made of and, once the output is
finished, the summary of the command.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError, DataError
from coderlplus.records.files import atomic_write, held, spare

Fingerprint = Mapping[str, Any]
"""What an output is made of, by name: digests of inputs, and settings. Values are plain JSON."""


def digest(path: Path) -> str | None:
    """The beginning of the SHA-256 of a file, or of the files in a folder (a model) but its notes; `None` for a pipe,
    which can be read only once. Raises `DataError`."""
    try:
        if path.is_dir():
            whole = hashlib.sha256()
            for part in sorted(path.iterdir()):
                if part.is_file() and part.suffix != ".md" and not part.name.startswith("."):
                    with part.open("rb") as data:
                        whole.update(f"{part.name}\0".encode() + hashlib.file_digest(data, "sha256").digest())
            return whole.hexdigest()[:16]
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class Output:
    """An output that this process alone writes."""

    path: Path
    fingerprint: Fingerprint
    summary: Mapping[str, Any] | None
    """Of the command that finished it; `None` for one to be started or resumed."""
    files: Mapping[str, str] = field(default_factory=dict)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Note that the output is finished. Raises `DataError` if that cannot be written."""
        if self.path.is_file():
            _write(self.path, {"fingerprint": self.fingerprint, "files": self.files, "summary": summary})


@contextlib.contextmanager
def open_output(
    path: Path,
    fingerprint: Fingerprint,
    *,
    unfinished: Path | None = None,
    overwrite: bool = False,
    files: Mapping[str, Path] | None = None,
) -> Iterator[Output]:
    """Lock an output and look how far it is. `unfinished` is the journal of what is done so far, where that is not
    the output itself. The places of the input `files` are noted, for who reads the output (`files_of_output`).

    Raises `DataError` if another process writes it, `ConfigError` where it is one of the `files`, was made of
    something else, or nobody knows of what. With `overwrite` it is replaced, unless it is one of the `files`.
    """
    journal = path if unfinished is None else unfinished
    try:
        is_device = path.exists() and not path.is_file()
        has_folder = path.resolve().parent.is_dir()
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    if is_device:  # there is nothing to continue
        yield Output(path, fingerprint, None)
        return
    if not has_folder:
        raise ConfigError(f"cannot write {path}: its folder does not exist; create it first")
    inputs = files or {}
    spare(inputs.values(), [path, journal])
    places = {name: str(file.absolute()) for name, file in inputs.items()}
    with held(path):
        before = _read(path)
        summary = None if overwrite or not path.exists() else before.get("summary")
        try:
            if overwrite:
                journal.unlink(missing_ok=True)
            elif summary is not None or _size(path) or _size(journal):  # an empty file was never started
                _check(path, before.get("fingerprint"), json.loads(json.dumps(dict(fingerprint))))
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error
        if summary is None:
            _write(path, {"fingerprint": fingerprint, "files": places})
        yield Output(path, fingerprint, summary, places)


def files_of_output(path: Path) -> dict[str, str]:
    """Where the inputs of an output were, by name; empty where that is not known. Raises `DataError`."""
    files = _read(path).get("files")
    return files if isinstance(files, dict) else {}


def _check(path: Path, before: Any, now: Mapping[str, Any]) -> None:
    way_out = "use another output with -o, or --overwrite to replace it"
    if not isinstance(before, dict):
        raise ConfigError(f"{path} exists already and {_beside(path).name} does not say how it was made; {way_out}")
    if not (before.keys() <= now.keys() or now.keys() <= before.keys()):
        raise ConfigError(f"{path} was made by another command or version; {way_out}")
    for name in sorted(now.keys() | before.keys()):
        if before.get(name) != now.get(name):
            raise ConfigError(
                f"{path} was made with {name} {before.get(name)!r}, not {now.get(name)!r}; give the same, {way_out}"
            )


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".run.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(_beside(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read {_beside(path)} ({error}); remove it and {path.name} to start over") from error
    return data if isinstance(data, dict) else {}


def _write(path: Path, data: Mapping[str, Any]) -> None:
    try:
        atomic_write(_beside(path), json.dumps(data, indent=2) + "\n")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
