"""The fork server: a clean interpreter that forks one sandboxed child per job. Standard library only; run as a script
by `forkserver.py`.

    python -s -P -B zygote.py SOCKET SETTINGS        (`-s -P` and an environment of our own are `-I` with a hash seed)

A request on the socket is one `REQUEST` for each of one or two jobs, with five memory files for each sent along:
stdin, stdout, stderr, payload, replies. The answer is one `ANSWER` for each (both in `supervision.py`): how the
children ended. The fork server never reads what is in the files, so its memory, which every child inherits, holds
nothing of any job: no input, no test, no output of another program. When the other end of the socket closes, it kills
its children and ends.
"""

from __future__ import annotations

import builtins
import gc
import importlib.machinery
import importlib.util
import io
import json
import marshal
import os
import resource
import select
import socket
import struct
import sys
import time
import types
from collections.abc import Callable, Sequence
from typing import Any

PRELOADED = (
    "abc array bisect collections collections.abc contextlib copy datetime decimal encodings.ascii encodings.latin_1 "
    "encodings.utf_8 enum fractions functools heapq io itertools json math numbers operator random re statistics "
    "string struct threading time types typing"
)
"""What programs import, one in a thousand at least, and we ourselves. What is loaded is mapped into every child: a
module that few programs want, such as `dataclasses`, would cost all of them more than it saves those few."""
END, OUT_OF_MEMORY = b"end\n", b"memory\n"
Confine = Callable[[float, int, int], None]
"""See `Confinement.apply`."""


class _Loader(importlib.machinery.SourceFileLoader):
    """Gives our modules builtins of their own, which a program cannot patch."""

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["__builtins__"] = _BUILTINS
        super().exec_module(module)

    def get_code(self, name: str) -> types.CodeType | None:
        """Made in a process of its own: the memory that a compiler leaves behind would be mapped into every child."""
        read, write = os.pipe()
        try:
            pid = os.fork()
        except OSError:  # no more processes are to be had now
            os.close(read)
            os.close(write)
            return super().get_code(name)
        if pid == 0:
            status = 1
            try:
                with os.fdopen(write, "wb") as file:
                    marshal.dump(super().get_code(name), file)
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        with os.fdopen(read, "rb") as file:
            made = file.read()
        _, status = os.waitpid(pid, 0)
        if status:  # killed by somebody
            return super().get_code(name)
        code: types.CodeType = marshal.loads(made)
        return code


class _Guests:
    """Imports our modules without running the `__init__` of their packages, and keeps them out of the programs'
    `sys.modules`."""

    def __init__(self, package: str) -> None:
        self.modules: dict[str, types.ModuleType] = {}
        self.package = package

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        root, *parts = name.split(".")
        if root != "coderlplus":
            return None
        place = os.path.join(self.package, *parts)
        if os.path.isdir(place):
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = [place]
            return spec
        file = place + ".py"
        return importlib.util.spec_from_file_location(name, file, loader=_Loader(name, file))

    def load(self, name: str) -> types.ModuleType:
        if name not in self.modules:
            sys.modules.update(self.modules)
            sys.meta_path.insert(0, self)
            try:
                importlib.import_module(name)
            finally:
                sys.meta_path.remove(self)
                for loaded in [key for key in sys.modules if key.partition(".")[0] == "coderlplus"]:
                    self.modules[loaded] = sys.modules.pop(loaded)
        return self.modules[name]


_json_chunks = json.encoder.c_make_encoder(  # type: ignore[attr-defined]
    None, None, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True
)


def _json(value: object) -> str:
    return "".join(_json_chunks(value, 0))


class Host:
    """What a guest function gets as its second argument; see `Job`."""

    def __init__(self) -> None:
        self.peer: int | None = None
        self._encode = _json
        self._write = os.write
        self._file, self._text = io.FileIO, io.TextIOWrapper
        self._reader, self._writer = io.BufferedReader, io.BufferedWriter

    def reply(self, value: object) -> None:
        data = self._encode(value).encode("utf-8", "surrogatepass") + b"\n"
        written = self._write(REPLIES, data)
        while written < len(data):
            written += self._write(REPLIES, data[written:])

    def open_streams(self) -> None:
        """Put fresh text streams on the descriptors 0, 1 and 2 into `sys`, with the names and modes that they have in
        any program."""
        raw_stdin = self._file(0, "r", closefd=False)
        raw_stdout, raw_stderr = self._file(1, "w", closefd=False), self._file(2, "w", closefd=False)
        raw_stdin.name, raw_stdout.name, raw_stderr.name = "<stdin>", "<stdout>", "<stderr>"
        stdin = self._text(self._reader(raw_stdin), "utf-8", "surrogateescape")
        stdout = self._text(self._writer(raw_stdout), "utf-8", "surrogateescape")
        stderr = self._text(self._writer(raw_stderr), "utf-8", "backslashreplace")
        stdin.mode, stdout.mode, stderr.mode = "r", "w", "w"  # type: ignore[misc]
        sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__ = stdin, stdout, stderr  # type: ignore[misc]


def run(
    function: Callable[[Any, Host], object],
    payload_bytes: int,
    files: Sequence[int],
    peer: int,
    spread: Callable[[], int],
    confine: Confine,
    cpu_s: float,
    memory_bytes: int,
    file_bytes: int,
) -> None:
    """A job, in its child, to its end. Names are looked up in this module, not in others, because each look-up
    elsewhere touches more pages."""
    status = 1
    try:
        if peer < 0:  # two that talk to each other stay together at first
            spread()
        if files[0] != 0:
            for target, fd in enumerate(files):
                _dup2(fd, target)
        if peer >= 0:
            _dup2(peer, PEER)
            HOST.peer = PEER
        _closerange(PEER if peer < 0 else PEER + 1, OPEN_FD_BOUND)
        confine(cpu_s, memory_bytes, file_bytes)
        _write(READY, ONE)
        _close(READY)
        _enable_gc()
        payload = _read(PAYLOAD, payload_bytes)
        _close(PAYLOAD)
        function(DECODE(payload.decode(), 0)[0], HOST)
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except Exception:
            pass
        _write(REPLIES, END)
        status = 0
    except MemoryError:
        _write(REPLIES, OUT_OF_MEMORY)
    except BaseException as error:
        _write(2, f"\n{type(error).__name__} in the guest".encode())
    finally:
        _exit(status)


def serve(
    connection: socket.socket,
    confine: Confine,
    placement: Any,
    base_bytes: int,
    guests: _Guests,
    resets_pids: bool,
) -> None:
    """Run jobs until the other end is gone. It does little more than fork: every page that it writes in between is
    copied or made writable again.

    With `resets_pids` the children of every request have the same process ids, whatever was run before."""
    fork_later = guests.load("coderlplus.sandbox.kernel").fork
    supervision = guests.load("coderlplus.sandbox.supervision")
    job_bytes, new_child, supervise = supervision.REQUEST.size, supervision.Child, supervision.supervise
    poll = select.poll()
    poll.register(FIRST_FREE, 0)
    while True:
        os.closerange(0, JOB_FILES)  # the files of a job come to lie where its child needs them
        request, ancillary, _, _ = connection.recvmsg(2 * job_bytes, MAX_ANCILLARY)
        if not request:
            os._exit(0)
        placement.settle()
        if resets_pids:
            os.pwrite(LAST_PID, FORK_SERVER, 0)
        children: list[Any] = []
        for start in range(0, len(request), job_bytes):
            files = FILES.unpack_from(ancillary[0][2], len(children) * FILES.size)
            child = new_child(request[start : start + job_bytes], files)
            if child.guest not in FUNCTIONS:
                FUNCTIONS[child.guest] = _load(guests, child.guest)
            children.append(child)
        if len(children) == 1:
            _start(child, fork_later, placement.spread, confine, -1)
            os.closerange(0, JOB_FILES)
        else:
            pair = socket.socketpair()
            for child, end in zip(children, pair, strict=True):
                _start(child, fork_later, placement.spread, confine, end.fileno())
            for end in pair:
                end.close()
            os.closerange(0, JOB_FILES)
            os.closerange(FIRST_FREE + 1, OPEN_FD_BOUND)
        for child in children:
            child.watch()
        supervise(children, connection, poll, base_bytes, placement.spread_process)
        try:
            in_force = os.eventfd_read(READY) == len(children)
        except BlockingIOError:
            in_force = False
        answer = b""
        for child in children:
            answer += child.answer(in_force)
        connection.send(answer)
        placement.review(children[0].wall_s, sum(child.cpu_s for child in children))


def _start(child: Any, fork_later: Callable[[], int], spread: Callable[[], int], confine: Confine, peer: int) -> None:
    limits = (child.cpu_limit_s, child.memory_bytes, child.file_bytes)
    arguments = (FUNCTIONS[child.guest], child.payload_bytes, child.files, peer, spread, confine, *limits)
    try:
        child.pid = os.fork()
    except BlockingIOError:  # no more processes are to be had now
        child.pid = fork_later()
    if child.pid == 0:
        run(*arguments)
    child.started = time.monotonic()


def _load(guests: _Guests, guest: bytes) -> Callable[[Any, Host], object]:
    name, _, function = guest.rstrip(b"\0").decode().partition(":")
    module, warming = guests.load(name), guests.load("coderlplus.sandbox.warming")
    loaded: Callable[[Any, Host], object] = getattr(module, function)
    if function in getattr(module, "REHEARSALS", ()):
        warming.rehearse(loaded, *module.REHEARSALS[function], HOST, JOB_FILES)
    for guest_module in guests.modules.values():
        if hasattr(guest_module, "before_fork"):  # what depends on everything that is loaded
            guest_module.before_fork()
    warming.tidy()
    return loaded


def _arrange_descriptors(connection_fd: int) -> socket.socket:
    """Keep the low descriptors for what children have there."""
    if connection_fd != FIRST_FREE:
        _move(connection_fd, FIRST_FREE)
        os.set_inheritable(FIRST_FREE, False)
    for fd in range(3, FIRST_FREE):
        os.dup2(0, fd)
    _move(os.eventfd(0, os.EFD_NONBLOCK), READY)
    return socket.socket(fileno=FIRST_FREE)


def _move(fd: int, target: int) -> None:
    os.dup2(fd, target)
    os.close(fd)


def _can_reset_pids(last_pid: int | None) -> bool:
    """Keep the descriptor for the number of the last process, if there is one that can be written."""
    if last_pid is None:
        return False
    _move(last_pid, LAST_PID)
    try:
        os.pwrite(LAST_PID, FORK_SERVER, 0)
    except OSError:  # before Linux 5.9
        return False
    return True


def _open_streams() -> None:
    """Make the standard streams of the children, on files of the kind that they will have."""
    for fd in range(3):
        _move(os.memfd_create("stream"), fd)
    HOST.open_streams()


_BUILTINS = dict(vars(builtins))
_dup2, _closerange, _close, _read, _write = os.dup2, os.closerange, os.close, os.read, os.write
_exit, _enable_gc = os._exit, gc.enable
FUNCTIONS: dict[bytes, Callable[[Any, Host], object]] = {}
HOST = Host()
DECODE = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
ONE = struct.pack("Q", 1)
FORK_SERVER = b"1"
"""The process id of a fork server in namespaces of its own."""
PAYLOAD, REPLIES, READY, RULESET, PEER = 3, 4, 5, 6, 7
"""File descriptors in a child, after the standard ones."""
LAST_PID, FIRST_FREE = 8, 9
"""In the fork server only: what says which process was made last, and the connection."""
JOB_FILES = 5
OPEN_FD_BOUND = 256
FILES = struct.Struct(f"={JOB_FILES}i")
MAX_ANCILLARY = socket.CMSG_SPACE(2 * JOB_FILES * 4)


def main() -> None:
    # What a child costs is the pages that it touches. Those that the hooks of `random` and `threading` touch after a
    # fork are a third of all: but the generator is seeded by us, and there is one thread.
    register_at_fork, os.register_at_fork = os.register_at_fork, lambda **hooks: None
    sys.modules.pop("random", None)
    connection = _arrange_descriptors(int(sys.argv[1]))
    settings = json.loads(sys.argv[2])
    os.chdir("/")
    # no editable installs
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder.__module__.startswith("_frozen_importlib")]
    sys.path[:] = settings["paths"]
    guests = _Guests(settings["package"])
    confine = guests.load("coderlplus.sandbox.confine")
    guests.load("coderlplus.sandbox.kernel").reset_signals()
    missing = {}
    for layer in settings["layers"] if settings["probe"] else ():
        if reason := confine.probe(layer, settings["roots"], settings["outside"]):
            missing[layer] = reason
    in_force = [layer for layer in settings["layers"] if layer not in missing]
    last_pid = None
    if "namespaces" in in_force:
        confine.namespaces.enter([*settings["roots"], settings["package"]])
        last_pid = confine.namespaces.open_last_pid()
    elif "landlock" in in_force:
        confine.namespaces.keep_access_times()
    for name in PRELOADED.split():
        importlib.import_module(name)
    os.register_at_fork = register_at_fork
    compile("", "program.py", "exec")  # the first time makes all that the compiler has
    placement = guests.load("coderlplus.sandbox.placement").Placement()
    guests.load("coderlplus.sandbox.supervision")
    confinement = confine.Confinement(in_force, settings["roots"])
    confinement.move_ruleset(RULESET)
    confinement.apply_to_zygote()
    resets_pids = _can_reset_pids(last_pid)
    sys.modules["random"].seed(settings["hash_seed"])
    sys.argv[:] = ["program.py"]
    gc.disable()
    gc.collect()
    gc.freeze()
    with open("/proc/self/statm", "rb") as file:  # ru_maxrss survives exec, and would be the memory of our owner
        base_bytes = int(file.read().split()[1]) * resource.getpagesize()
    connection.send(json.dumps({"in_force": in_force, "missing": missing, "base_kb": base_bytes >> 10}).encode())
    _open_streams()
    serve(connection, confinement.apply, placement, base_bytes, guests, resets_pids)


if __name__ == "__main__":
    main()
