"""Files that appear only when they are complete, and one writer at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from coderlplus.errors import ConfigError, DataError


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """A file to write, text (UTF-8) or bytes (`"wb"`), that takes the place of `path` when the block ends without an
    error; else `path` stays as it was. A device is written directly. Raises what the file system raises."""
    encoding = None if "b" in mode else "utf-8"
    if path.exists() and not path.is_file():  # a folder, which fails, or a device, which must stay one
        with path.open(mode, encoding=encoding) as file:
            yield file
        return
    partial = partial_of(path)
    try:
        with partial.open(mode, encoding=encoding) as file:
            yield file
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def partial_of(path: Path) -> Path:
    """Where a file is written before it takes its place.

    >>> partial_of(Path("a/tasks.jsonl")).name
    'tasks.jsonl.partial'
    """
    return path.with_name(path.name + ".partial")


def atomic_write(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all: after any end `path` holds `data` or what it held before. Raises `OSError`."""
    with whole_file(path, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def spare(inputs: Iterable[Path], outputs: Iterable[Path], option: str = "-o") -> None:
    """Raises `ConfigError` where an output would take the place of an input, or of a folder that holds it; `option`
    names the output on the command line."""
    written = [path.resolve() for path in outputs]
    for path in inputs:
        real = path.expanduser().resolve()
        for place in written:
            if place == real or place in real.parents:
                raise ConfigError(f"the output would replace {path}, which is an input; use another one with {option}")


def remove(folder: Path, names: Iterable[str]) -> None:
    """Remove these files and folders in a folder, as far as they are there. Raises `ConfigError`."""
    try:
        for name in names:
            path = folder / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot remove {error.filename}: {error.strerror}; choose another output") from error


@contextlib.contextmanager
def held(path: Path, option: str = "-o") -> Iterator[None]:
    """Be the only writer of a file, or of a folder and all that is in it.

    The lock is on a file of its own: `NAME.lock` beside a file, `.lock` in a folder. It ends with its process, however
    that ends, so that a lock file that was left behind does not count. Raises `DataError`, which names the process
    that holds the lock and the command-line `option` to change, and where the lock file cannot be written.
    """
    try:
        is_folder = path.is_dir()
        is_device = path.exists() and not path.is_file() and not is_folder
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    if is_device:  # anybody may write it
        yield
        return
    lock = path / ".lock" if is_folder else path.with_name(path.name + ".lock")
    file = _locked(path, lock, option)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        with contextlib.suppress(OSError):  # closing alone leaves the lock to a child that is just being started
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)
        file.close()


def _locked(path: Path, lock: Path, option: str) -> BinaryIO:
    while True:
        try:
            file = lock.open("a+b", buffering=0)
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same(file, lock):  # else its holder removed it between the two
                with contextlib.suppress(OSError):  # a full disk
                    file.truncate(0)
                    file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
                return file
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).decode(errors="replace").strip() or "another process"
            file.close()
            raise DataError(
                f"{path} is being written by {holder}; wait until it ends, or use another output with {option}"
            ) from None
        except OSError as error:
            file.close()
            raise DataError(f"cannot lock {path} with {lock}: {error.strerror}") from error
        file.close()


def _is_same(file: Any, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
