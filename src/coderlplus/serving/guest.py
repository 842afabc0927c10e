"""Runs a program as `python program.py` does: the answer is what it prints, its traceback and its exit code.

Standard library only: it runs in the sandbox.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import Any

from coderlplus.judge.guest import new_module
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
    exit_code = 0
    try:
        exec(compile(program, FILENAME, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as error:
        exit_code = _exit_code(error.code)
    except BaseException as error:
        _print_traceback(error)
        exit_code = 1
    if _thread._count():
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                stream.flush()
    except Exception as error:
        _print_traceback(error)
        exit_code = 120  # as the interpreter
    return exit_code


def _exit_code(code: Any) -> int:
    """What `sys.exit(code)` makes the interpreter end with."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 255
    os.write(2, f"{code}\n".encode("utf-8", "replace"))
    return 1


def _print_traceback(error: BaseException) -> None:
    """The traceback on stderr, from the first frame of the program."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename != FILENAME:
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except BaseException:
        text = f"{type.__dict__['__name__'].__get__(type(error))}\n"
    data = text.encode("utf-8", "backslashreplace")[-65536:]
    while data:
        data = data[os.write(2, data) :]
