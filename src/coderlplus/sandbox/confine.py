"""The layers of isolation (`layers.py`): probed once in a fork server, applied in each child before it sees a program.
Standard library only."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import struct
from collections.abc import Callable, Sequence

from coderlplus.sandbox import namespaces, syscalls
from coderlplus.sandbox.kernel import check, last_error, machine_number, prctl, prepared, syscall
from coderlplus.sandbox.layers import EXTRA_LAYERS, LAYERS

__all__ = ["EXTRA_LAYERS", "LAYERS", "Confinement", "namespaces", "probe"]

STACK_BYTES = 128 << 20
"""Soft limit of the main thread's stack, for deep recursion."""
THREAD_STACKS_BYTES = 512 << 20
"""Address space beyond the memory limit, so that a program may have sixty-odd threads, or ask for large stacks that it
does not fill. What it fills is counted outside, ten times a second."""
OPEN_FILES = 64
PENDING_SIGNALS = 256
"""A program can queue a signal only while its user has fewer than these. The kernel counts them per user, so a program
could use up those of all others."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP = 1, 4, 38, 24
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITIES_OF_ITS_OWN = struct.pack("Ii", 0x20080522, 0)
_CAP_CHECKPOINT_RESTORE = 1 << 40
"""With it a fork server in namespaces of its own says which number its next child has; the children give it up."""
_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SYS_PRCTL = {"x86_64": 157, "aarch64": 167}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 2, 4, 8, 1 << 14
_WRITABLE = "/dev/null"
_NO_AUDIT_RECORDS = 1
"""LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF: a program must not fill the logs of the host."""


class Confinement:
    """The layers asked for, prepared once: `apply_to_zygote` first, then `apply` in each child. `OSError` where the
    kernel refuses a layer."""

    def __init__(self, layers: Sequence[str], read_roots: Sequence[str]) -> None:
        self.layers = frozenset(layers)
        self.ruleset = -1
        if "landlock" in self.layers:
            abi = syscall(_LANDLOCK_CREATE, None, 0, 1)
            self.ruleset = _landlock_ruleset(abi, read_roots)
            self.landlock_flags = _NO_AUDIT_RECORDS if abi >= 7 else 0
        self.zygote = os.getpid()
        self.apply: Callable[[float, int, int], None] = lambda cpu_s, memory_bytes, file_bytes: None
        """In a child: its CPU limit, the bytes of address space on top of what the zygote has mapped, and the most
        that any file may hold."""

    def move_ruleset(self, fd: int) -> None:
        """Keep the Landlock ruleset, if there is one, at this file descriptor."""
        if self.ruleset >= 0:
            os.dup2(self.ruleset, fd)
            os.close(self.ruleset)
            self.ruleset = fd

    def apply_to_zygote(self) -> None:
        """What children inherit, or what a zygote can do without; it dies with the thread of the pool that started
        it."""
        check(prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0))
        check(prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
        if "no_new_privs" in self.layers or self.layers & {"landlock", "seccomp"}:
            check(prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        if "capabilities" in self.layers:
            _drop_capabilities(_CAP_CHECKPOINT_RESTORE if "namespaces" in self.layers else 0)
        if "rlimits" in self.layers:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
            _lower(resource.RLIMIT_SIGPENDING, PENDING_SIGNALS)
            _lower(resource.RLIMIT_MEMLOCK, 0)
            _lower(resource.RLIMIT_MSGQUEUE, 0)
            _, most = resource.getrlimit(resource.RLIMIT_STACK)
            stack = STACK_BYTES if most == resource.RLIM_INFINITY else min(most, STACK_BYTES)
            resource.setrlimit(resource.RLIMIT_STACK, (stack, most))
        if "seccomp" in self.layers:
            program = syscalls.zygote_filter(os.uname().machine, writes="landlock" in self.layers)
            install_filter, _words = _install(program)
            check(install_filter())
        self.apply = self._for_children()

    def _for_children(self) -> Callable[[float, int, int], None]:
        """What a child costs is the pages of memory that it touches: all that it needs is made here, and looked up in
        one place."""
        die_with_zygote = drop_the_last = restrict_files = install_filter = None
        if "death_signal" in self.layers:
            die_with_zygote = prepared(machine_number(_SYS_PRCTL), _PR_SET_PDEATHSIG, 9, 0, 0, 0)
        if {"capabilities", "namespaces"} <= self.layers:
            drop_the_last = prepared(machine_number(_SYS_CAPSET), _CAPABILITIES_OF_ITS_OWN, bytes(24))
        if "landlock" in self.layers:
            restrict_files = prepared(_LANDLOCK_RESTRICT, self.ruleset, self.landlock_flags)
        if "seccomp" in self.layers:
            template = syscalls.child_filter(os.uname().machine)
            install_filter, words = _install(template)
            places = [offset // 4 for offset in syscalls.pid_offsets(template)]
        limits, other_bytes = "rlimits" in self.layers, THREAD_STACKS_BYTES + _mapped_bytes()
        setrlimit, cpu = resource.setrlimit, resource.RLIMIT_CPU
        address_space, file_size = resource.RLIMIT_AS, resource.RLIMIT_FSIZE
        zygote, ruleset = self.zygote, self.ruleset
        getpid, getppid, close, leave = os.getpid, os.getppid, os.close, os._exit

        def apply(cpu_s: float, memory_bytes: int, file_bytes: int) -> None:
            if die_with_zygote:
                if die_with_zygote() < 0:
                    raise last_error()
                if getppid() != zygote:
                    leave(1)
            if limits:
                seconds = int(cpu_s) + 2  # the zygote decides at cpu_s; this is for when it cannot
                setrlimit(cpu, (seconds, seconds))
                setrlimit(address_space, (memory_bytes + other_bytes, memory_bytes + other_bytes))
                setrlimit(file_size, (file_bytes, file_bytes))
            if drop_the_last and drop_the_last() < 0:
                raise last_error()
            if restrict_files:
                if restrict_files() < 0:
                    raise last_error()
                close(ruleset)
            if install_filter:
                pid = getpid()
                for place in places:
                    words[place] = pid
                if install_filter() < 0:
                    raise last_error()

        return apply


def _install(program: bytes) -> tuple[Callable[[], int], memoryview]:
    """What puts the calling process under a seccomp filter, and the filter, whose words may still be changed."""
    filter_ = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(filter_))
    return prepared(machine_number(_SYS_SECCOMP), 1, 0, header), memoryview(filter_).cast("B").cast("I")


def _mapped_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123  # pathlib costs more than the rest
        return int(file.read().split()[0]) * resource.getpagesize()


def _lower(limit: int, most: int) -> None:
    if most < resource.getrlimit(limit)[0] % (1 << 64):  # -1 is no limit
        resource.setrlimit(limit, (most, most))


def _drop_capabilities(keep: int) -> None:
    """Give up all capabilities for good, but the one with this bit."""
    for capability in range(64):
        with contextlib.suppress(OSError):  # without CAP_SETPCAP, or beyond the last capability
            check(prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    words = [keep & 0xFFFFFFFF] * 2 + [0] + [keep >> 32] * 2 + [0]  # effective, permitted, inheritable
    syscall(machine_number(_SYS_CAPSET), _CAPABILITIES_OF_ITS_OWN, struct.pack("6I", *words))


def _landlock_ruleset(abi: int, read_roots: Sequence[str]) -> int:
    """A ruleset that handles all that the kernel's Landlock can, and allows to read below the roots and to write to
    `/dev/null`."""
    access = (1 << 13) - 1
    for version, bit in ((2, 13), (3, 14), (5, 15)):
        access |= (1 << bit) if abi >= version else 0
    attributes = struct.pack("<QQQ", access, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = syscall(_LANDLOCK_CREATE, attributes, size, 0)
    for root in read_roots:
        try:
            fd = os.open(root, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = _READ_FILE | _READ_DIR if os.path.isdir(root) else _READ_FILE  # noqa: PTH112
        if root == _WRITABLE:
            allowed |= (_WRITE_FILE | _TRUNCATE) & access
        rule = struct.pack("<Qi", allowed, fd)
        syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0)
        os.close(fd)
    return ruleset


def probe(layer: str, read_roots: Sequence[str], outside: str) -> str | None:
    """Try one layer in a child of its own: `None` if it is in force, else why not. `outside` is a readable file
    outside the roots."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        reason = ""
        try:
            if layer == "namespaces":
                namespaces.enter(read_roots)
            confinement = Confinement([layer], read_roots)
            confinement.zygote = os.getppid()
            confinement.apply_to_zygote()
            confinement.apply(10, 64 << 20, 1 << 20)
            reason = _EFFECTS[layer](outside)
        except OSError as error:
            reason = error.strerror or str(error)
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
        os.write(write, reason.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        reason = file.read().decode()
    _, status = os.waitpid(pid, 0)
    return reason or (None if status == 0 else f"the probe ended with status {status}")


def _refused(action: str, call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        return "" if error.errno in (errno.EPERM, errno.EACCES) else f"{action}: {error}"
    return f"{action} was not refused"


def _capabilities_left(_: str) -> str:
    with open("/proc/self/status", "rb") as file:  # noqa: PTH123
        effective = next(line.split()[1] for line in file if line.startswith(b"CapEff"))
    return "" if int(effective, 16) == 0 else f"capabilities {effective.decode()} are left"


def _limits_left(_: str) -> str:
    return "" if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 1 << 20 else "limits are not in force"


_EFFECTS: dict[str, Callable[[str], str]] = {
    "rlimits": _limits_left,
    "no_new_privs": lambda outside: "" if prctl(39, 0, 0, 0, 0) == 1 else "not in force",
    "death_signal": lambda outside: "",
    "capabilities": _capabilities_left,
    "landlock": lambda outside: _refused("reading a file outside", lambda: os.close(os.open(outside, os.O_RDONLY))),
    "namespaces": lambda outside: namespaces.effect(),
    "seccomp": lambda outside: (
        _refused("creating a file", lambda: os.open(outside + ".new", os.O_CREAT | os.O_WRONLY))
        or _refused("fork", os.fork)
    ),
}
