"""The system calls that a program may make, and the seccomp filter that says so. Standard library only; runs in the
zygote.

An allow-list: whatever is not named here fails with EPERM, so a program can neither make processes (`fork`, `execve`),
nor reach anybody through a socket, nor change files, nor look into other processes or at their clocks. Threads,
timers, pipes and pairs of sockets to itself (event loops need them), reading files (what Landlock leaves to be read)
and changing its own stack limit are allowed.

Making a filter ready costs more than anything else that confines a process, and grows with its length. So there are
two, of which the kernel obeys the stricter: the zygote puts itself under the long one, which its children inherit, and
a child puts itself under a short one, which takes from it what only a zygote needs and knows the number of its
process.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence


def _numbers(table: str) -> dict[str, int]:
    return {name: int(number) for name, _, number in (item.partition("=") for item in table.split())}


X86_64 = _numbers(
    """
    read=0 write=1 open=2 close=3 stat=4 fstat=5 lstat=6 poll=7 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12
    rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 ioctl=16 pread64=17 pwrite64=18 readv=19 writev=20 access=21
    pipe=22 select=23 sched_yield=24 mremap=25 madvise=28 dup=32 dup2=33 pause=34 nanosleep=35 getitimer=36 alarm=37
    setitimer=38 getpid=39 sendto=44 recvfrom=45 shutdown=48 getsockname=51 getpeername=52 socketpair=53 clone=56
    exit=60 kill=62 uname=63 fcntl=72 fsync=74 ftruncate=77 getdents=78 getcwd=79 readlink=89 gettimeofday=96
    getrlimit=97 getrusage=98 times=100 getuid=102 getgid=104 geteuid=107 getegid=108 getppid=110 getpgrp=111
    getgroups=115 getresuid=118 getresgid=120 rt_sigpending=127 rt_sigtimedwait=128 rt_sigsuspend=130 sigaltstack=131
    statfs=137 fstatfs=138 sched_getparam=143 sched_getscheduler=145 prctl=157 setrlimit=160 gettid=186 time=201
    futex=202 sched_getaffinity=204 getdents64=217 set_tid_address=218 restart_syscall=219 clock_gettime=228
    clock_getres=229 clock_nanosleep=230 exit_group=231 epoll_wait=232 epoll_ctl=233 tgkill=234 openat=257
    newfstatat=262 readlinkat=267 faccessat=269 pselect6=270 ppoll=271 set_robust_list=273 get_robust_list=274
    epoll_pwait=281 eventfd2=290 epoll_create1=291 dup3=292 pipe2=293 prlimit64=302 getcpu=309 getrandom=318 statx=332
    rseq=334 clone3=435 close_range=436 openat2=437 faccessat2=439
    """
)
ARM64 = _numbers(
    """
    getcwd=17 eventfd2=19 epoll_create1=20 epoll_ctl=21 epoll_pwait=22 dup=23 dup3=24 fcntl=25 ioctl=29 statfs=43
    fstatfs=44 ftruncate=46 faccessat=48 openat=56 close=57 pipe2=59 getdents64=61 lseek=62 read=63 write=64 readv=65
    writev=66 pread64=67 pwrite64=68 pselect6=72 ppoll=73 readlinkat=78 newfstatat=79 fstat=80 fsync=82 exit=93
    exit_group=94 set_tid_address=96 futex=98 set_robust_list=99 get_robust_list=100 nanosleep=101 getitimer=102
    setitimer=103 clock_gettime=113 clock_getres=114 clock_nanosleep=115 sched_getscheduler=120 sched_getparam=121
    sched_getaffinity=123 sched_yield=124 restart_syscall=128 kill=129 tgkill=131 sigaltstack=132 rt_sigsuspend=133
    rt_sigaction=134 rt_sigprocmask=135 rt_sigpending=136 rt_sigtimedwait=137 rt_sigreturn=139 getresuid=148
    getresgid=150 times=153 getpgid=155 getgroups=158 uname=160 getrlimit=163 setrlimit=164 getrusage=165 prctl=167
    getcpu=168 gettimeofday=169 getpid=172 getppid=173 getuid=174 geteuid=175 getgid=176 getegid=177 gettid=178
    socketpair=199 getsockname=204 getpeername=205 sendto=206 recvfrom=207 shutdown=210 brk=214 munmap=215 mremap=216
    clone=220 mmap=222 mprotect=226 madvise=233 prlimit64=261 getrandom=278 statx=291 rseq=293 clone3=435
    close_range=436 openat2=437 faccessat2=439
    """
)
ZYGOTE_X86_64 = _numbers(
    """
    recvmsg=47 fork=57 wait4=61 capset=126 sched_setaffinity=203 seccomp=317 memfd_create=319 pidfd_send_signal=424
    pidfd_open=434 landlock_restrict_self=446
    """
)
ZYGOTE_ARM64 = _numbers(
    """
    capset=91 sched_setaffinity=122 recvmsg=212 wait4=260 seccomp=277 memfd_create=279 pidfd_send_signal=424
    pidfd_open=434 landlock_restrict_self=446
    """
)
"""What a zygote needs besides, and a program must not have."""
_MACHINES = {"x86_64": (0xC000003E, X86_64, ZYGOTE_X86_64), "aarch64": (0xC00000B7, ARM64, ZYGOTE_ARM64)}

_LOAD, _JEQ, _JGE, _JSET, _RET, _XOR, _SHIFT_RIGHT = 0x20, 0x15, 0x35, 0x45, 0x06, 0xA4, 0x74
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_O_WRONLY, _O_RDWR = 0o1, 0o2  # these and the next are the same on both machines
_O_CREAT, _O_TRUNC, _O_APPEND, _O_TMPFILE = 0o100, 0o1000, 0o2000, 0o20000000
_CLONE_REFUSED = 0x7E020000 | 0x1000
"""Namespaces; and a descriptor of the new thread, whose inode number says how many there were on the machine."""
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_FCNTLS = (0, 1, 2, 3, 4, 1030, 1032, 1034)
"""F_DUPFD … F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ, F_GET_SEALS; not F_SETOWN, which sends signals."""
_PR_SET_PDEATHSIG = 1
_PRCTLS = (15, 16, 0x53564D41)  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA
_RLIMIT_STACK = 3
_AF_UNIX = 1
_SIGKILL = 9
_PID = 0x5EEDFACE
"""Stands in the short filter for the process that it is for."""
_MAP_HUGETLB = 0x40000
_LAST_CLOCK = 15
"""The clocks of the machine have the numbers from 0 on; there are twelve."""

Program = list[bytes]


def _instruction(code: int, jump_true: int, jump_false: int, operand: int) -> bytes:
    return struct.pack("HBBI", code, jump_true, jump_false, operand)


def _ret(value: int) -> bytes:
    return _instruction(_RET, 0, 0, value)


def _load_argument(index: int, high: bool = False) -> bytes:
    return _instruction(_LOAD, 0, 0, 16 + 8 * index + (4 if high else 0))


_allow, _deny, _absent = _ret(_ALLOW), _ret(_ERRNO | errno.EPERM), _ret(_ERRNO | errno.ENOSYS)


def _one_of(argument: int, values: Sequence[int]) -> Program:
    jumps = [_instruction(_JEQ, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [_load_argument(argument), *jumps, _deny, _allow]


def _opening(flags: int, writes: bool) -> Program:
    """Opening for reading; for writing too if `writes`, but no file without a name, and nothing that would change a
    file opened for reading."""
    changes = _O_CREAT | _O_TRUNC | _O_APPEND | _O_TMPFILE
    refuse = _ret(_ERRNO | errno.EACCES)
    if not writes:
        return [_load_argument(flags), _instruction(_JSET, 0, 1, _O_WRONLY | _O_RDWR | changes), refuse, _allow]
    return [
        _load_argument(flags),
        _instruction(_JSET, 5, 0, _O_TMPFILE),
        _instruction(_JSET, 0, 1, _O_WRONLY),
        _instruction(_JSET, 3, 2, _O_RDWR),  # both at once would be neither reading nor writing, and yet truncate
        _instruction(_JSET, 1, 0, _O_RDWR),
        _instruction(_JSET, 1, 0, changes),
        _allow,
        refuse,
    ]


def _signal(number: int) -> Program:
    """Signals to itself, but SIGKILL: so a process that died of it was killed by somebody else, or for want of
    memory."""
    return [
        _load_argument(0), _instruction(_JEQ, 0, 3, _PID),
        _load_argument(number), _instruction(_JEQ, 1, 0, _SIGKILL),
        _allow, _deny,
    ]  # fmt: skip


def _clock() -> Program:
    """The clocks of the machine, of the process itself, and of threads: those the kernel gives to their process only.

    The CPU clock of a process is `~pid << 3 | 2`, of a thread `~tid << 3 | 6`; 0 is whoever asks."""
    return [
        _load_argument(0),
        _instruction(_JGE, 0, 9, _LAST_CLOCK + 1),
        _instruction(_XOR, 0, 0, 0xFFFFFFFF),
        _instruction(_JGE, 6, 0, 0x80000000),
        _instruction(_JSET, 0, 6, 4),  # of a thread
        _instruction(_JSET, 4, 0, 2),
        _instruction(_JSET, 0, 3, 1),
        _instruction(_SHIFT_RIGHT, 0, 0, 3),
        _instruction(_JEQ, 2, 0, 0),
        _instruction(_JEQ, 1, 0, _PID),
        _deny,
        _allow,
    ]


def _checked(writes: bool) -> dict[str, Program]:
    """System calls that are allowed with some arguments only."""
    return {
        "open": _opening(1, writes),
        "openat": _opening(2, writes),
        "openat2": [_absent],
        "clone3": [_absent],  # its flags lie in memory, where a filter cannot look: libraries fall back to clone
        "clone": [_load_argument(0), _instruction(_JSET, 1, 0, _CLONE_REFUSED), _allow, _deny],
        "fsync": [_ret(_ERRNO)],  # succeeds and does nothing: on a file of the host the disk would write its caches
        "mmap": [_load_argument(3), _instruction(_JSET, 0, 1, _MAP_HUGETLB), _deny, _allow],  # nobody counts these
        "getpgid": _one_of(0, (0,)),
        "ioctl": _one_of(1, _IOCTLS),
        "fcntl": _one_of(1, _FCNTLS),
        "prctl": _one_of(0, (*_PRCTLS, _PR_SET_PDEATHSIG)),
        "socketpair": _one_of(0, (_AF_UNIX,)),
        "sendto": [  # to the other end only: no address
            _load_argument(4), _instruction(_JEQ, 0, 3, 0),
            _load_argument(4, high=True), _instruction(_JEQ, 0, 1, 0),
            _allow, _deny,
        ],
    }  # fmt: skip


def _checked_in_child() -> dict[str, Program]:
    """System calls of which a program may use less than its zygote."""
    return {
        "clone": [
            _load_argument(0),
            _instruction(_JSET, 0, 2, 0x00010000),  # CLONE_THREAD, which the kernel allows with CLONE_VM only
            _instruction(_JSET, 0, 1, 0x00000100),
            _allow, _deny,
        ],
        "clock_gettime": _clock(),
        "clock_getres": _clock(),
        "clock_nanosleep": _clock(),
        "kill": _signal(1),
        "tgkill": _signal(2),
        "prctl": [_load_argument(0), _instruction(_JEQ, 0, 1, _PR_SET_PDEATHSIG), _deny, _allow],
        "setrlimit": _one_of(0, (_RLIMIT_STACK,)),
        "prlimit64": [  # own limits: all may be read, the stack changed
            _load_argument(0), _instruction(_JEQ, 2, 0, 0), _instruction(_JEQ, 1, 0, _PID), _deny,
            _load_argument(1), _instruction(_JEQ, 4, 0, _RLIMIT_STACK),
            _load_argument(2), _instruction(_JEQ, 0, 3, 0),
            _load_argument(2, high=True), _instruction(_JEQ, 0, 1, 0),
            _allow, _deny,
        ],
    }  # fmt: skip


def zygote_filter(machine: str, *, writes: bool) -> bytes:
    """The long filter for a machine (`x86_64`, `aarch64`). Raises `OSError` (ENOSYS) for a machine without a table.

    `writes` leaves it to Landlock what may be opened for writing; without it nothing is. The kernel runs the filter
    once for each system call there is when it is installed, so it is a binary search over ranges of numbers.
    """
    architecture, for_all, for_zygote = _tables(machine)
    checked = _checked(writes)
    ranges = _ranges({number: checked.get(name, [_allow]) for name, number in (for_all | for_zygote).items()})
    head = [_instruction(_LOAD, 0, 0, 4), _instruction(_JEQ, 1, 0, architecture), _ret(_KILL)]
    return b"".join([*head, _instruction(_LOAD, 0, 0, 0), *_search(ranges)])


def child_filter(machine: str) -> bytes:
    """The short filter, with a mark where the process id goes (`pid_offsets`). It counts on the long one."""
    _, for_all, for_zygote = _tables(machine)
    bodies = {number: [_deny] for number in for_zygote.values()} | {
        for_all[name]: body for name, body in _checked_in_child().items()
    }
    chain: Program = []
    for low, high, body in _ranges(bodies):
        if low == high:
            chain += [_instruction(_JEQ, 0, len(body), low), *body]
        else:
            chain += [_instruction(_JGE, 0, len(body) + 1, low), _instruction(_JGE, len(body), 0, high + 1), *body]
    return b"".join([_instruction(_LOAD, 0, 0, 0), *chain, _allow])


def _tables(machine: str) -> tuple[int, dict[str, int], dict[str, int]]:
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no system call table for {machine}")
    return _MACHINES[machine]


def _ranges(bodies: dict[int, Program]) -> list[tuple[int, int, Program]]:
    """Numbers of system calls in order, as ranges (first and last number) that have the same body."""
    ranges: list[tuple[int, int, Program]] = []
    for number, body in sorted(bodies.items()):
        if ranges and ranges[-1][1] == number - 1 and ranges[-1][2] == body:
            ranges[-1] = (ranges[-1][0], number, body)
        else:
            ranges.append((number, number, body))
    return ranges


def _search(ranges: list[tuple[int, int, Program]]) -> Program:
    if len(ranges) == 1:
        low, high, body = ranges[0]
        return [_instruction(_JGE, 0, len(body) + 1, low), _instruction(_JGE, len(body), 0, high + 1), *body, _deny]
    middle = len(ranges) // 2
    left, right = _search(ranges[:middle]), _search(ranges[middle:])
    if len(left) > 255:  # a conditional jump reaches 255 instructions, an unconditional one any distance
        return [_instruction(_JGE, 0, 1, ranges[middle][0]), _instruction(0x05, 0, 0, len(left)), *left, *right]
    return [_instruction(_JGE, len(left), 0, ranges[middle][0]), *left, *right]


def pid_offsets(template: bytes) -> list[int]:
    """Where in the short filter the process id goes."""
    mark = struct.pack("I", _PID)
    return [offset for offset in range(4, len(template), 8) if template[offset : offset + 4] == mark]
