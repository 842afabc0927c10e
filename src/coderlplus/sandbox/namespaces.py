"""Namespaces of its own for a fork server: an extra layer of isolation where they are to be had. Standard library
only.

A fork server enters them once, before it loads anything, so they cost its children nothing. Inside there are no other
processes, no network, no System V IPC and no name of the host, and a file tree that holds nothing but what a program
may read, mounted read-only, with a `/proc` of its own. Root makes them directly, an ordinary user in a user namespace;
default containers allow neither.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import struct
from collections.abc import Iterator, Sequence
from typing import NoReturn

from coderlplus.sandbox.kernel import check, fork, libc, machine_number, prctl, syscall

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_ALL = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
_HOST_NAME = b"sandbox"
_LAST_PID = "/proc/sys/kernel/ns_last_pid"
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_FDCWD, _AT_RECURSIVE, _AT_EMPTY_PATH = -100, 0x8000, 0x1000
_OPEN_TREE_CLONE, _MOVE_EMPTY_PATH = 1, 4
_RDONLY, _NOSUID, _NODEV, _NOEXEC = 1, 2, 4, 8  # the same for mount(2) and mount_setattr(2)
_MS_REC, _MS_PRIVATE, _MNT_DETACH = 0x4000, 1 << 18, 2
_PR_SET_PDEATHSIG = 1
_STREAMS = {"/dev/fd": "/proc/self/fd"} | {
    f"/dev/{name}": f"/proc/self/fd/{fd}" for fd, name in enumerate(("stdin", "stdout", "stderr"))
}


def enter(places: Sequence[str]) -> None:
    """Put the calling process, which must have one thread, into namespaces in which only `places` (files and folders)
    are left of the file tree.

    Returns in a new process, number 1 of the namespaces. The calling one only waits for it, ends as it ends, and takes
    it along when it is killed. Raises `OSError` if the kernel or a container refuses; the process is of no more use
    then.
    """
    uid, gid = os.geteuid(), os.getegid()
    try:
        check(libc.unshare(_ALL))
    except PermissionError:
        check(libc.unshare(_NEWUSER | _ALL))
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    check(prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    pid = fork()
    if pid:
        _stand_for(pid)
    check(prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    check(libc.sethostname(_HOST_NAME, len(_HOST_NAME)))
    _build_root(places)


def open_last_pid() -> int | None:
    """A descriptor to set the process id after which the next one is taken; `None` on kernels without it."""
    try:
        return os.open(_LAST_PID, os.O_WRONLY)
    except OSError:
        return None


def keep_access_times() -> None:
    """Without the namespaces: give the process a read-only view of all files, so that reading changes no access times.

    It needs root outside a container. Nothing happens where the kernel refuses."""
    with contextlib.suppress(OSError):
        check(libc.unshare(_NEWNS))
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
        _set_attributes(_AT_FDCWD, b"/", _AT_RECURSIVE, _RDONLY)


def effect() -> str:
    """Why the namespaces are not in force, seen from inside; empty if they are."""
    if os.getpid() != 1:
        return "not the first process"
    with open("/proc/net/dev") as file:
        if len(file.readlines()) > 3:  # two lines of headings, and `lo`
            return "there are network devices"
    if any(os.path.exists(path) for path in ("/home", "/etc/passwd", "/bin/sh")):
        return "files of the host are left"
    return "" if os.statvfs("/").f_flag & os.ST_RDONLY else "the file tree can be written"


def _stand_for(pid: int) -> NoReturn:
    os.closerange(0, 256)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _build_root(places: Sequence[str]) -> None:
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    links = dict(link for place in places for link in _links(place)) | _STREAMS
    trees = {path: _detached_copy(path) for path in _outermost(places)}
    root = "/tmp"  # any folder will do: it is covered, and then let go of with all the rest
    _mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m")
    for path, tree in trees.items():
        if os.path.isdir(f"/proc/self/fd/{tree}"):
            os.makedirs(root + path, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            os.close(os.open(root + path, os.O_CREAT | os.O_WRONLY, 0o444))
        syscall(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(root + path), _MOVE_EMPTY_PATH)
        os.close(tree)
    for link, text in links.items():
        os.makedirs(os.path.dirname(root + link), exist_ok=True)
        if not os.path.islink(root + link):  # a link inside a tree is there already
            os.symlink(text, root + link)
    os.mkdir(root + "/proc")
    _mount("proc", root + "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    os.chdir(root)
    syscall(machine_number(_PIVOT_ROOT), b".", b".")
    check(libc.umount2(b".", _MNT_DETACH))
    os.chdir("/")
    _set_attributes(_AT_FDCWD, b"/", 0, _RDONLY | _NOSUID | _NODEV)


def _outermost(places: Sequence[str]) -> list[str]:
    """The real paths of the places without those that lie inside another."""
    found: list[str] = []
    for path in sorted({os.path.realpath(place) for place in places if os.path.exists(place)}):
        if not any(path.startswith(other + "/") for other in found):
            found.append(path)
    return found


def _links(path: str) -> Iterator[tuple[str, str]]:
    """The symbolic links on the way to `path`, with what they say."""
    here, rest = "/", path.split("/")
    while rest:
        part = rest.pop(0)
        if part == "..":
            here = os.path.dirname(here)
        elif part not in ("", "."):
            step = os.path.join(here, part)
            if os.path.islink(step):
                text = os.readlink(step)
                yield step, text
                here = "/" if text.startswith("/") else here
                rest = text.split("/") + rest
            else:
                here = step


def _detached_copy(path: str) -> int:
    """A read-only copy of the mounts at `path` that is not attached anywhere yet."""
    tree = syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC)
    _set_attributes(
        tree, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, _RDONLY | _NOSUID | (0 if path.startswith("/dev/") else _NODEV)
    )
    return tree


def _set_attributes(fd: int, path: bytes, flags: int, attributes: int) -> None:
    structure = struct.pack("QQQQ", attributes, 0, 0, 0)
    syscall(_MOUNT_SETATTR, fd, path, flags, structure, len(structure))


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind, data)]
    check(libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]))
