"""Runs a program as `python program.py` does: the answer is what it prints, its traceback and its exit code.

Standard library only: it runs in the sandbox.
"""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from coderlplus.judge.guest import exit_code, flush, new_module, wait_for_threads
from coderlplus.serving.guest_files import provide

FILENAME = "program.py"
REHEARSALS: dict[str, tuple[Any, bytes]] = {"run_script": ({"program": "print(1)"}, b"")}


def run_script(payload: Mapping[str, Any], host: Any) -> None:
    """Run `program` as `__main__` and reply `{"exit_code"}`. A process that ends before that has its own exit code.

    `files` (relative path → base64) are what the program finds in its folder."""
    if payload.get("files"):
        provide(payload["files"])
    host.reply({"exit_code": _run(payload["program"])})


def _run(program: str) -> int:
    module = new_module("__main__")
    module.__dict__["__file__"] = FILENAME
    code = 0
    try:
        exec(compile(program, FILENAME, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as error:
        code = exit_code(error.code)
        if error.code is not None and not isinstance(error.code, int):
            _write(f"{error.code}\n")
    except BaseException as error:
        _print_traceback(error)
        code = 1
    wait_for_threads()
    atexit._run_exitfuncs()
    try:
        flush(sys.stdout)
        flush(sys.stderr)
    except Exception as error:
        _print_traceback(error)
        code = 120  # as the interpreter
    return code


def _print_traceback(error: BaseException) -> None:
    """The traceback on stderr, from the first frame of the program."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != FILENAME:
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except BaseException:
        text = f"{type.__dict__['__name__'].__get__(type(error))}\n"
    _write(text)


def _write(text: str) -> None:
    data = text.encode("utf-8", "backslashreplace")[-65536:]
    while data:
        data = data[os.write(2, data) :]
