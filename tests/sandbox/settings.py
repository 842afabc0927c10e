"""Settings in which the sandbox must hold, entered for good by the calling process, which is root and has one thread.

`here`: as it is. `user`: uid 65534, no capabilities. `container`: namespaces, capabilities and seccomp profile of a
container as it is by default. `container user`: the same, as uid 65534.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coderlplus.sandbox.kernel import check, libc, prctl, syscall

NOBODY = 65534
_CAPABILITIES = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6,
    "CAP_SETUID": 7, "CAP_SETPCAP": 8,
    "CAP_NET_BIND_SERVICE": 10, "CAP_NET_RAW": 13, "CAP_SYS_CHROOT": 18, "CAP_MKNOD": 27, "CAP_AUDIT_WRITE": 29,
    "CAP_SETFCAP": 31,
}  # fmt: skip
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_COMPARISONS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
_NEWNS, _NEWUTS, _NEWIPC, _NEWPID, _NEWNET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18


def enter(setting: str, profile: Path | None) -> None:
    """Enter a setting by name; `profile` is the seccomp profile of a container."""
    if setting == "here":
        return
    check(libc.unshare(_NEWNS))
    check(libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))
    if setting.endswith("user"):
        _make_reachable([sys.prefix, sys.base_prefix, str(Path(__file__).parents[2])])
    if setting.startswith("container"):
        assert profile is not None
        _enter_container_namespaces()
        keep = set() if setting.endswith("user") else set(_CAPABILITIES.values())
        rules = json.loads(profile.read_text())
        for capability in range(64):
            if capability not in _CAPABILITIES.values() and prctl(24, capability, 0, 0, 0) < 0:  # PR_CAPBSET_DROP
                break  # beyond the last
        _load_profile(rules, {name for name, number in _CAPABILITIES.items() if number in keep})
        if keep:
            bits = sum(1 << number for number in keep)
            capset = {"x86_64": 126, "aarch64": 91}[platform.machine()]
            syscall(capset, struct.pack("Ii", 0x20080522, 0), struct.pack("6I", bits, bits, 0, 0, 0, 0))
    if setting.endswith("user"):
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _make_reachable(paths: Sequence[str]) -> None:
    """Let an ordinary user come to the paths through folders that are root's alone, in this mount namespace: another
    folder covers each of those, and has nothing in it but the paths."""
    behind: dict[Path, list[Path]] = {}
    for path in map(Path, paths):
        real = path.resolve()
        closed = [parent for parent in reversed(real.parents) if not parent.stat().st_mode & 0o001]
        if closed:
            behind.setdefault(closed[0], []).append(real)
    for folder, inside in behind.items():
        trees = [
            syscall(428, -100, os.fsencode(path), 1 | 0x8000) for path in inside
        ]  # open_tree: a copy of what is mounted there
        check(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(0), b"mode=755,size=1m"))
        for path, tree in zip(inside, trees, strict=True):
            path.mkdir(parents=True, exist_ok=True)
            syscall(429, tree, b"", -100, os.fsencode(path), 4)  # move_mount
            os.close(tree)


def _enter_container_namespaces() -> None:
    check(libc.unshare(_NEWUTS | _NEWIPC | _NEWPID | _NEWNET))
    pid = os.fork()
    if pid:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)
    check(libc.mount(b"proc", b"/proc", b"proc", ctypes.c_ulong(0), None))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:  # the loop-back device, as a container has it
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", 1))


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def _load_profile(profile: dict[str, Any], capabilities: set[str]) -> None:
    """Install a profile in the format of container engines, as they do it: with libseccomp. Names that it does not
    know are left out."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(_ERRNO | profile["defaultErrnoRet"]))
    assert seccomp.seccomp_attr_set(context, 3, 0) == 0  # no_new_privs is not the default of containers
    for rule in profile["syscalls"]:
        if not _applies(rule, capabilities):
            continue
        action = _ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else _ERRNO | rule.get("errnoRet", 1)
        conditions = [
            _Comparison(each["index"], _COMPARISONS[each["op"]], each["value"], each.get("valueTwo", 0))
            for each in rule.get("args") or ()
        ]
        for name in rule["names"]:
            number = seccomp.seccomp_syscall_resolve_name(name.encode())
            if number != -1:
                seccomp.seccomp_rule_add_array(
                    context,
                    ctypes.c_uint32(action),
                    number,
                    len(conditions),
                    (_Comparison * len(conditions))(*conditions),
                )
    assert seccomp.seccomp_load(context) == 0


def _applies(rule: dict[str, Any], capabilities: set[str]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    machine = _ARCHITECTURES[platform.machine()]
    return (
        set(includes.get("caps") or ()) <= capabilities
        and machine in (includes.get("arches") or [machine])
        and not set(excludes.get("caps") or ()) & capabilities
        and machine not in (excludes.get("arches") or ())
    )
