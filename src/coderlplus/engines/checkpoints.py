"""Checkpoints on disk: our state in one, and whether one can be resumed from.

A checkpoint is *unfinished* until the trainer has written `trainer_state.json`, its last file: the run was killed
while it was saved. It is *damaged* if it was finished and has changed since, or lacks a file of one of its processes.
Only a checkpoint that is neither is resumed from.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.records.files import atomic_write

STATE_FILE = "coderlplus.json.gz"
"""Our part of a checkpoint."""
CHECKSUMS_FILE = "checksums.json"
"""CRC-32 of every file of a checkpoint, by name; written when all of them are there."""
TRAINER_FILE = "trainer_state.json"
OF_THE_TRAINER = (
    *(STATE_FILE, CHECKSUMS_FILE, TRAINER_FILE, "optimizer*", "scheduler*", "scaler*", "rng_state*"),
    *("generation_*.pt", "global_step*", "pytorch_model_fsdp*", "latest", "zero_to_*.py"),
)
"""Files of a checkpoint that are not of the model."""


UNREADABLE = (OSError, EOFError, ValueError, TypeError, zlib.error)
"""What `unpacked` raises for something else than `packed` gave."""


def packed(state: Mapping[str, Any]) -> bytes:
    """Our state, compressed: a buffer of 20,000 tasks is mostly text that repeats."""
    return gzip.compress(json.dumps(state, separators=(",", ":")).encode(), compresslevel=4, mtime=0)


def unpacked(data: bytes) -> dict[str, Any]:
    """The state that `packed` was given. Raises what `UNREADABLE` names."""
    state = json.loads(gzip.decompress(data))
    if not isinstance(state, dict):
        raise ValueError("not a JSON object")
    return state


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write our state into a checkpoint."""
    (folder / STATE_FILE).write_bytes(packed(state))


def read_state(folder: Path) -> dict[str, Any]:
    """What `write_state` wrote. Raises `DataError`."""
    path = folder / STATE_FILE
    try:
        return unpacked(path.read_bytes())
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(
            f"{path} is damaged ({reason}); delete its folder to resume from the previous checkpoint"
        ) from error


def write_checksums(folder: Path) -> None:
    """Write down what the files of a whole checkpoint are."""
    sums = {
        str(path.relative_to(folder)): crc32(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != CHECKSUMS_FILE
    }
    atomic_write(folder / CHECKSUMS_FILE, json.dumps(sums, indent=0))


def newest_whole(finished: Iterable[Path], damage: Callable[[Path], str | None], folder: Path) -> Path | None:
    """The first of the finished checkpoints in `folder`, newest first, that `damage` finds nothing wrong with; `None`
    if there are none.

    Says on stderr which ones are damaged, and raises `DataError` when all are."""
    damaged: list[str] = []
    for path in finished:
        reason = damage(path)
        if reason is None:
            for each in damaged:
                print(f"damaged checkpoint {each}; resuming from {path.name}", file=sys.stderr)
            return path
        damaged.append(f"{path.name} ({reason})")
    if damaged:
        raise DataError(
            f"every checkpoint of {folder.parent} is damaged: {', '.join(damaged)}; delete {folder} to start the run "
            f"over"
        )
    return None


def is_finished(folder: Path) -> bool:
    """Whether every process came to the end of writing it."""
    if not (folder / TRAINER_FILE).exists():
        return False
    if (folder / CHECKSUMS_FILE).exists():
        return True
    try:
        return all((folder / name).exists() for name in _of_processes(read_state(folder)))
    except DataError:
        return True


def damage(folder: Path) -> str | None:
    """Why a finished checkpoint cannot be resumed from, or `None` where it can."""
    try:
        json.loads((folder / TRAINER_FILE).read_text(encoding="utf-8"))
        written = folder / CHECKSUMS_FILE
        sums: dict[str, int] = json.loads(written.read_text(encoding="utf-8")) if written.exists() else {}
        expected = _of_processes(read_state(folder))
    except DataError:
        return f"{STATE_FILE} cannot be read"
    except (OSError, ValueError):
        return f"{TRAINER_FILE} or {CHECKSUMS_FILE} cannot be read"
    for name in (*expected, *sums):
        if not (folder / name).is_file():
            return f"{name} is missing"
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        if name in sums and crc32(path) != sums[name]:
            return f"{name} has changed since it was written"
        if name not in sums and _is_cut(path):  # killed between the last file and the checksums
            return f"{name} is truncated"
    return None


def delete_older(folder: Path, keep: int) -> None:
    """Leave the newest `keep` checkpoints up to `folder`, itself among them."""
    others = [path for path in folder.parent.glob("checkpoint-*") if checkpoint_step(path) <= checkpoint_step(folder)]
    for path in sorted(others, key=checkpoint_step, reverse=True)[keep:]:
        shutil.rmtree(path, ignore_errors=True)


def checkpoint_step(path: Path) -> int:
    """The optimisation step in the name of a checkpoint folder.

    >>> checkpoint_step(Path("runs/a/checkpoints/checkpoint-40")), checkpoint_step(Path("global_step_8"))
    (40, 8)
    """
    number = re.search(r"[-_](\d+)$", path.name)
    return int(number[1]) if number else 0


def crc32(path: Path) -> int:
    """CRC-32 of a file's bytes; about a second a gigabyte."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value


def _of_processes(state: Mapping[str, Any]) -> list[str]:
    """Files that every process writes for itself, so that one may be missing when the main process is done."""
    processes = int(state.get("processes", 1))
    names = ["rng_state.pth"] if processes == 1 else [f"rng_state_{rank}.pth" for rank in range(processes)]
    return [*names, *(f"generation_{rank}.pt" for rank in range(processes) if state.get("half_used"))]


def _is_cut(path: Path) -> bool:
    """Whether a file of weights or tensors is shorter than it says."""
    if path.suffix == ".safetensors":
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            try:
                header = json.loads(file.read(size))
                end = max(
                    (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0
                )
            except (ValueError, KeyError, TypeError, MemoryError, OverflowError):
                return True
        return path.stat().st_size != 8 + size + end
    return path.suffix in (".pt", ".pth") and not zipfile.is_zipfile(path)
