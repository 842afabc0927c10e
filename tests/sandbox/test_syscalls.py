"""The seccomp filters for both machines, run on an interpreter of classic BPF: what they allow together, and that the
numbers are the kernel's.

There is no arm64 machine at hand: this shows that the filters for it are the right ones, not that they run there.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import re
import signal
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.sandbox.syscalls import (
    ARM64,
    X86_64,
    ZYGOTE_ARM64,
    ZYGOTE_X86_64,
    child_filter,
    pid_offsets,
    zygote_filter,
)

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
EPERM, EACCES, ENOSYS = (ERRNO | number for number in (errno.EPERM, errno.EACCES, errno.ENOSYS))
MACHINES = {"x86_64": (0xC000003E, X86_64), "aarch64": (0xC00000B7, ARM64)}
PID = 4242
CHECKED = {
    "open",
    "openat",
    "openat2",
    "clone",
    "clone3",
    "kill",
    "tgkill",
    "ioctl",
    "fcntl",
    "fsync",
    "mmap",
    "getpgid",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "prctl",
    "socketpair",
    "sendto",
    "setrlimit",
    "prlimit64",
}
HARMFUL = """
    fork vfork execve execveat socket connect bind listen accept accept4 sendmsg sendmmsg recvmsg ptrace
    process_vm_readv process_vm_writev process_madvise tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open
    pidfd_send_signal pidfd_getfd kcmp unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat
    symlink symlinkat mknod mknodat chmod fchmod fchmodat chown fchown lchown fchownat truncate fallocate utime utimes
    utimensat setxattr fsetxattr mount umount2 pivot_root chroot unshare setns open_tree move_mount fsopen fsmount
    keyctl add_key request_key bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
    memfd_create memfd_secret shmget shmat msgget semget mq_open setuid setgid setresuid capset setsid setpgid
    setpriority sched_setaffinity sched_setscheduler ioprio_set reboot kexec_load init_module sysfs iopl ioperm
    modify_ldt personality syslog acct swapon quotactl inotify_init1 fanotify_init signalfd4 timerfd_create
    timer_create sysinfo mincore fadvise64 readahead preadv2 membarrier getpriority getsid get_mempolicy
    process_mrelease flock mlock mlock2 shmdt semop sync syncfs fdatasync sync_file_range splice tee vmsplice sendfile
    copy_file_range seccomp landlock_restrict_self open_by_handle_at mlockall
"""
machines = pytest.mark.parametrize("machine", MACHINES)


def filter_for_child(machine: str) -> bytes:
    code = bytearray(child_filter(machine))
    for offset in pid_offsets(bytes(code)):
        code[offset : offset + 4] = struct.pack("I", PID)
    return bytes(code)


ZYGOTE_CALLS = {"x86_64": ZYGOTE_X86_64, "aarch64": ZYGOTE_ARM64}
FILTERS = {
    (machine, writes): (zygote_filter(machine, writes=writes), filter_for_child(machine))
    for machine in MACHINES
    for writes in (False, True)
}
"""Of a machine, with and without Landlock: the zygote's and the child's."""


def run_all(codes: tuple[bytes, ...], architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel does under several filters: the strictest of what they say; of refusals, the one of the last
    filter that refuses."""
    decisions = [run(code, architecture, number, arguments) for code in reversed(codes)]
    return KILL if KILL in decisions else next((decision for decision in decisions if decision != ALLOW), ALLOW)


def run(code: bytes, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel's interpreter does with the instructions that the filter uses."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    program = [struct.unpack_from("HBBI", code, offset) for offset in range(0, len(code), 8)]
    position = accumulator = 0
    while True:
        kind, jump_true, jump_false, operand = program[position]
        position += 1
        match kind:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x15:
                position += jump_true if accumulator == operand else jump_false
            case 0x35:
                position += jump_true if accumulator >= operand else jump_false
            case 0x45:
                position += jump_true if accumulator & operand else jump_false
            case 0xA4:
                accumulator ^= operand
            case 0x74:
                accumulator >>= operand
            case 0x05:
                position += operand
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"instruction {kind:#x}")


def decide(machine: str, name: str, *arguments: int, writes: bool = True) -> int:
    architecture, numbers = MACHINES[machine]
    return run_all(FILTERS[machine, writes], architecture, numbers[name], arguments)


def decide_on_both(name: str, *arguments: int, writes: bool = True) -> int:
    (decision,) = {decide(machine, name, *arguments, writes=writes) for machine in MACHINES}
    return decision


@machines
def test_what_is_not_in_the_table_is_refused(machine: str) -> None:
    architecture, numbers = MACHINES[machine]
    for number in [*range(1024), 0x40000000, 0x40000001, 0xFFFFFFFF]:  # from 0x40000000 on: x32
        if number not in numbers.values():
            assert run_all(FILTERS[machine, True], architecture, number) == EPERM, number


@machines
def test_what_is_in_the_table_is_allowed_but_for_those_with_conditions(machine: str) -> None:
    for name in MACHINES[machine][1].keys() - CHECKED:
        assert decide(machine, name, *[2**64 - 1] * 6) == ALLOW, name


@machines
@pytest.mark.parametrize("other", [0x40000003, 0x40000028, 0xC000003E, 0xC00000B7, 0])
def test_another_instruction_set_kills(machine: str, other: int) -> None:
    if other != MACHINES[machine][0]:
        assert {run_all(FILTERS[machine, True], other, number) for number in range(512)} == {KILL}


@machines
def test_the_filters_are_as_small_as_the_kernel_wants_them(machine: str) -> None:
    assert all(len(code) // 8 <= 4096 for code in FILTERS[machine, True])


@machines
def test_a_zygote_makes_processes_and_looks_after_them_and_a_child_does_not(machine: str) -> None:
    architecture, numbers = MACHINES[machine]
    fork = signal.SIGCHLD | 0x01200000  # CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID
    for number, arguments in (
        (numbers["clone"], (fork,)),
        (numbers["prctl"], (1, 9)),
        *((number, ()) for number in ZYGOTE_CALLS[machine].values()),
    ):
        assert run(FILTERS[machine, True][0], architecture, number, arguments) == ALLOW, number
        assert run_all(FILTERS[machine, True], architecture, number, arguments) == EPERM, number


@machines
def test_a_zygote_is_confined_too(machine: str) -> None:
    architecture, numbers = MACHINES[machine]
    allowed = numbers | ZYGOTE_CALLS[machine]
    for number in range(1024):
        if number not in allowed.values():
            assert run(FILTERS[machine, True][0], architecture, number) == EPERM, number
    assert run(FILTERS[machine, True][0], architecture, numbers["clone"], (0x10000000,)) == EPERM  # CLONE_NEWUSER


def test_nothing_that_could_hurt_is_in_the_tables() -> None:
    assert not set(HARMFUL.split()) & (X86_64.keys() | ARM64.keys())


def test_both_tables_allow_the_same_but_for_calls_that_one_machine_does_not_have() -> None:
    assert X86_64.keys() - ARM64.keys() == {
        "open", "stat", "lstat", "poll", "access", "pipe", "select", "dup2", "pause", "alarm", "getdents", "readlink",
        "getpgrp", "time", "epoll_wait",
    }  # fmt: skip
    assert ARM64.keys() - X86_64.keys() == {"getpgid"}


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_signals_go_to_itself_only_and_are_not_sigkill(pid: int, number: int) -> None:
    mine = pid & 0xFFFFFFFF == PID
    kill = number & 0xFFFFFFFF == signal.SIGKILL
    assert (decide_on_both("kill", pid, number) == ALLOW) == (mine and not kill)
    assert (decide_on_both("tgkill", pid, 77, number) == ALLOW) == (mine and not kill)


def test_a_signal_to_itself_is_allowed() -> None:
    assert decide_on_both("kill", PID, signal.SIGALRM) == decide_on_both("tgkill", PID, PID, signal.SIGUSR1) == ALLOW


@given(st.integers(0, 2**32 - 1))
def test_nothing_is_opened_for_writing_without_landlock(flags: int) -> None:
    changing = flags & (0o3 | 0o100 | 0o1000 | 0o2000 | 0o20000000)
    assert decide_on_both("openat", 2**64 - 100, 1, flags, writes=False) == (EACCES if changing else ALLOW)


@given(st.integers(0, 2**32 - 1))
def test_with_landlock_only_what_it_sees_is_opened_for_writing(flags: int) -> None:
    """Landlock sees a file opened for writing. What changes a file while it is opened for reading, or for neither, it
    sees on new kernels only."""
    allowed = not flags & 0o20000000 and (
        flags & 3 in (1, 2) or (flags & 3 == 0 and not flags & (0o100 | 0o1000 | 0o2000))
    )
    assert decide_on_both("openat", 2**64 - 100, 1, flags) == (ALLOW if allowed else EACCES)


@given(st.integers(0, 2**64 - 1))
def test_threads_and_no_processes(flags: int) -> None:
    thread = flags & 0x00010000 and flags & 0x00000100 and not flags & 0x7E021000
    assert decide_on_both("clone", flags) == (ALLOW if thread else EPERM)


def test_calls_whose_arguments_lie_in_memory_do_not_exist() -> None:
    assert decide_on_both("clone3") == decide_on_both("openat2") == ENOSYS


@given(st.integers(0, 64))
def test_pairs_of_sockets_are_local(family: int) -> None:
    assert decide_on_both("socketpair", family, 1, 0) == (ALLOW if family == 1 else EPERM)


@given(st.integers(0, 2**64 - 1))
def test_a_socket_sends_to_its_other_end_only(address: int) -> None:
    assert decide_on_both("sendto", 3, 1, 1, 0, address, 0) == (EPERM if address else ALLOW)


@given(st.integers(0, 2**64 - 1), st.integers(0, 20), st.sampled_from([0, 1, 1 << 32, 2**64 - 8]))
def test_of_its_own_limits_it_changes_the_stack_only(pid: int, limit: int, new: int) -> None:
    mine = pid & 0xFFFFFFFF in (0, PID)
    assert decide_on_both("prlimit64", pid, limit, new) == (ALLOW if mine and (limit == 3 or new == 0) else EPERM)
    assert decide_on_both("setrlimit", limit, new) == (ALLOW if limit == 3 else EPERM)


CLOCKS = st.one_of(
    st.integers(0, 2**32 - 1),
    st.integers(0, 40),
    st.builds(
        lambda pid, kind: (~pid << 3 | kind) & 0xFFFFFFFF,
        st.one_of(st.sampled_from([0, 1, PID - 1, PID, PID + 1]), st.integers(0, 1 << 22)),
        st.integers(0, 7),
    ),
)


@given(CLOCKS, st.integers(0, 2**32 - 1), st.sampled_from(["clock_gettime", "clock_getres", "clock_nanosleep"]))
def test_clocks_are_those_of_the_machine_and_its_own(clock: int, high: int, call: str) -> None:
    """The number of a clock is an `int`: the kernel does not look at the upper half of the argument."""
    of_the_machine = clock < 16
    of_a_thread = clock >= 1 << 31 and clock & 4
    mine = clock in ((~0 << 3 | 2) & 0xFFFFFFFF, (~PID << 3 | 2) & 0xFFFFFFFF)
    expected = ALLOW if of_the_machine or of_a_thread or mine else EPERM
    assert decide_on_both(call, high << 32 | clock) == expected


@machines
@given(CLOCKS)
def test_a_fork_server_reads_the_clocks_of_its_children(machine: str, clock: int) -> None:
    architecture, numbers = MACHINES[machine]
    assert run(FILTERS[machine, True][0], architecture, numbers["clock_gettime"], (clock,)) == ALLOW


@given(st.integers(0, 2**32 - 1))
def test_memory_is_not_of_huge_pages(flags: int) -> None:
    assert decide_on_both("mmap", 0, 4096, 3, flags, 0) == (EPERM if flags & 0x40000 else ALLOW)


def test_nothing_is_written_to_a_disk() -> None:
    assert decide_on_both("fsync", 3) == ERRNO, "it returns 0"


@given(st.integers(0, 2**64 - 1))
def test_the_group_of_other_processes_is_not_told(pid: int) -> None:
    assert decide("aarch64", "getpgid", pid) == (EPERM if pid & 0xFFFFFFFF else ALLOW)


@given(st.integers(0, 0xFFFF))
def test_of_devices_it_asks_for_size_and_readiness_only(request: int) -> None:
    assert decide_on_both("ioctl", 0, request) == (
        ALLOW if request in (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451) else EPERM
    )


@pytest.mark.parametrize(
    ("name", "number"),
    [("F_SETOWN", 8), ("F_SETSIG", 10), ("F_SETOWN_EX", 15), ("F_SETLEASE", 1024), ("F_NOTIFY", 1026)],
)
def test_descriptors_send_no_signals(name: str, number: int) -> None:
    assert decide_on_both("fcntl", 0, number) == EPERM, name


def test_a_machine_without_a_table_is_an_error() -> None:
    with pytest.raises(OSError, match="no system call table for riscv64"):
        zygote_filter("riscv64", writes=False)
    with pytest.raises(OSError, match="no system call table for riscv64"):
        child_filter("riscv64")


@machines
def test_numbers_are_those_of_the_kernel_headers(machine: str) -> None:
    """arm64 uses the generic table; in it the numbers of some calls stand under a name without their suffix."""
    name = "asm-generic/unistd.h" if machine == "aarch64" else f"{platform.machine()}-linux-gnu/asm/unistd_64.h"
    header = Path("/usr/include", name)
    if not header.exists() or (machine != "aarch64" and platform.machine() != machine):
        pytest.skip(f"{header} is absent: install the kernel's headers to check the table")
    found = {
        call: int(number)
        for call, number in re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)$", header.read_text(), re.MULTILINE)
    }
    found["newfstatat"] = found.get("newfstatat", found.get("fstatat", -1))
    numbers = MACHINES[machine][1] | ZYGOTE_CALLS[machine]
    assert {call: found.get(call) for call in numbers} == numbers


@machines
def test_numbers_are_those_of_libseccomp(machine: str) -> None:
    try:
        resolve = ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name_arch
    except OSError:
        pytest.skip("libseccomp is absent")
    architecture, numbers = MACHINES[machine][0], MACHINES[machine][1] | ZYGOTE_CALLS[machine]
    assert {name: resolve(ctypes.c_uint32(architecture), name.encode()) for name in numbers} == numbers
