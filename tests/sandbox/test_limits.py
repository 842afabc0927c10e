"""What one program cannot do to its host, to the programs beside it and to those that come after it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import sysconfig
import textwrap
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from coderlplus.judge import Judge
from coderlplus.records import CheckTest, Limits, Problem, Rollout
from coderlplus.sandbox import LAYERS, Job, Outcome, Sandbox
from coderlplus.sandbox.protocol import run_job
from coderlplus.sandbox.supervision import HARD_CAP, MOST_THREADS

HERE = Path(__file__).parent
LIMITS = Limits(cpu_s=2, wall_s=20, memory_mb=64)
DODGERS = {
    "one that works for a moment again and again": """
        while True:
            time.sleep(0.02)
            work(0.003)
        """,
    "one that works around the looks": """
        time.sleep(0.48)
        while True:
            work(0.04)
            time.sleep(0.07)
        """,
    "many threads that wake at once": """
        def sleeper():
            while True:
                time.sleep(0.1 - time.monotonic() % 0.1)
                work(0.0002)
        for _ in range(40): threading.Thread(target=sleeper).start()
        """,
    "a timer": """
        signal.signal(signal.SIGALRM, lambda *arguments: work(0.002))
        signal.setitimer(signal.ITIMER_REAL, 0.03, 0.03)
        while True: signal.pause()
        """,
    "one that gives its turn away": """
        while True:
            for _ in range(50): os.sched_yield()
            time.sleep(0.01)
        """,
    "one whose first thread has ended": """
        def sleeper():
            while True: time.sleep(0.01)
        threading.Thread(target=sleeper).start()
        ctypes.CDLL(None).syscall(EXIT, 0)
        """,
}
PRELUDE = """
import ctypes, os, platform, signal, threading, time
EXIT = 60 if platform.machine() == "x86_64" else 93
def work(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
"""


@pytest.fixture(scope="module", params=["everything there is", "the base"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with Sandbox(workers=1, layers=None if request.param == "everything there is" else LAYERS) as sandbox:
        yield sandbox


def job(program: str, limits: Limits = LIMITS) -> Job:
    text = PRELUDE + textwrap.dedent(program)
    payload = {"setup_code": "", "program": text, "stdins": [""]}
    return Job(guest="coderlplus.judge.guest:run_stdio", payload=payload, limits=limits)


def run(sandbox: Sandbox, program: str, limits: Limits = LIMITS) -> Outcome:
    return sandbox.run([job(program, limits)])[0]


def until_done(future: Future[Outcome]) -> Iterator[None]:
    while not future.done():
        yield
        with contextlib.suppress(TimeoutError):
            future.result(timeout=0.05)


@pytest.mark.parametrize("name", DODGERS)
def test_the_wall_limit_ends_whoever_mostly_sleeps(sandbox: Sandbox, name: str) -> None:
    limits = Limits(cpu_s=1000, wall_s=0.5)
    outcome = run(sandbox, DODGERS[name], limits)
    assert outcome.ending == "time_limit"
    assert outcome.wall_s < 2 * HARD_CAP * limits.wall_s  # on a busy machine the cap is noticed late


def test_a_program_that_works_all_the_time_is_not_stopped_for_waiting(sandbox: Sandbox) -> None:
    assert run(sandbox, "work(0.3); print(1)", Limits(cpu_s=10, wall_s=30)).stdout == b"1\n"


def test_nobody_lives_longer_than_the_hard_cap() -> None:
    """On a machine that is so busy that a program never gets the CPU time that it may use."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(30)]
    try:
        with Sandbox(workers=1) as sandbox:
            outcome = run(sandbox, "while True: pass", Limits(cpu_s=1000, wall_s=0.3))
    finally:
        for other in others:
            other.kill()
            other.wait()
        os.sched_setaffinity(0, cpus)
    assert outcome.ending == "time_limit"
    assert outcome.cpu_s < 1000


def test_signals_that_wait_leave_room_for_those_of_others(sandbox: Sandbox) -> None:
    """How many may wait is counted per user."""
    libc = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    fills = """
        signal.pthread_sigmask(signal.SIG_BLOCK, range(34, 65))
        for number in range(300000): os.kill(os.getpid(), 34 + number % 30)
        print(1, flush=True)
        for thread in (threading.Thread(target=time.sleep, args=(1,)) for _ in range(20)): thread.start()
        """
    future = sandbox.call(run_job, job(fills, Limits(cpu_s=20, wall_s=60)))
    for _ in until_done(future):
        assert libc.timer_create(0, None, ctypes.byref(timer)) == 0
        libc.timer_delete(timer)
    assert future.result().stdout == b"1\n"


def test_signals_of_its_own_reach_a_program(sandbox: Sandbox) -> None:
    program = """
        seen = []
        for number in (signal.SIGUSR1, signal.SIGRTMIN, signal.SIGRTMAX):
            signal.signal(number, lambda number, frame: seen.append(number))
            os.kill(os.getpid(), number)
        signal.raise_signal(signal.SIGUSR1)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        print(len(seen))
        """
    assert run(sandbox, program).stdout == b"5\n"


def test_what_is_counted_per_user_is_not_to_be_had(sandbox: Sandbox) -> None:
    program = """
        import mmap, resource
        print(resource.getrlimit(resource.RLIMIT_MEMLOCK), resource.getrlimit(resource.RLIMIT_MSGQUEUE))
        for flag in (0x2000, 0x40000):  # MAP_LOCKED, MAP_HUGETLB
            try: mmap.mmap(-1, 1 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flag); print("mapped")
            except PermissionError: print("refused")
        """
    assert run(sandbox, program).stdout == b"(0, 0) (0, 0)\nrefused\nrefused\n"


def test_the_memory_of_a_program_whose_first_thread_has_ended_is_seen(sandbox: Sandbox) -> None:
    program = """
        def main():
            time.sleep(0.2)
            x = b"x" * (250 << 20)
            time.sleep(15)
            os.write(1, b"still here")
        threading.Thread(target=main).start()
        ctypes.CDLL(None).syscall(EXIT, 0)
        """
    outcome = run(sandbox, program)
    assert (outcome.ending, outcome.stdout) == ("memory_limit", b"")


def test_the_time_of_a_program_whose_first_thread_has_ended_is_seen(sandbox: Sandbox) -> None:
    program = "threading.Thread(target=work, args=(1000,)).start()\nctypes.CDLL(None).syscall(EXIT, 0)"
    outcome = run(sandbox, program, Limits(cpu_s=0.5, wall_s=60))
    assert outcome.ending == "time_limit"
    assert outcome.cpu_s < 10


def test_a_program_whose_first_thread_has_ended_ends_as_its_last_one_does(sandbox: Sandbox) -> None:
    program = """
        def main():
            time.sleep(0.3)
            os.write(1, b"done")
            os._exit(3)
        threading.Thread(target=main).start()
        ctypes.CDLL(None).syscall(EXIT, 0)
        """
    outcome = run(sandbox, program)
    assert (outcome.ending, outcome.exit_code, outcome.stdout) == ("exited", 3, b"done")


@pytest.mark.parametrize(("threads", "ending"), [(MOST_THREADS - 20, "returned"), (MOST_THREADS + 20, "memory_limit")])
def test_threads_have_a_bound_of_their_own(sandbox: Sandbox, threads: int, ending: str) -> None:
    program = f"""
        threading.stack_size(32768)
        done = threading.Event()
        for _ in range({threads}): threading.Thread(target=done.wait).start()
        time.sleep(0.4)
        done.set()
        """
    assert run(sandbox, program, Limits(cpu_s=10, wall_s=60, memory_mb=512)).ending == ending


EXHAUSTED = """
import json, os, resource, sys
sys.path.insert(0, {here!r})
import settings
settings.enter("user", None)
os.chdir("/")
resource.setrlimit(resource.RLIMIT_NPROC, (60, 60))
from coderlplus.judge import Judge
from coderlplus.records import Limits, Problem, Rollout, StdioTest
from coderlplus.sandbox import Sandbox
hog = '''
import threading, time
threading.stack_size(32768)
try:
    for _ in range(200): threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
except RuntimeError: pass
time.sleep(2)
print(0)
'''
def problem(name):
    limits = Limits(cpu_s=2, wall_s=6)
    return Problem(problem_id=name, statement="", tests=(StdioTest("3\\n", "6\\n"),), limits=limits)
names = ["hog", "honest", "honest", "hog", "honest", "hog", "honest", "honest"]
programs = {{"hog": hog, "honest": "print(int(input()) * 2)"}}
items = [(problem(name), Rollout(rollout_id=str(n), problem_id=name, program=programs[name] + f"\\n# {{n}}"))
         for n, name in enumerate(names)]
sandbox = Sandbox(workers=2, layers={layers!r})
verdicts = dict(Judge(sandbox).judge_as_completed(items))
sandbox.close()
print(json.dumps([[names[n], verdicts[n].verdict] for n in sorted(verdicts)]))
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("layers", [None, LAYERS])
def test_a_program_that_uses_up_all_processes_fails_alone(layers: tuple[str, ...] | None) -> None:
    """Where the number of processes of the user is limited, and what else is run needs some of them."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user, who has no processes yet")
    code = EXHAUSTED.format(here=str(HERE), layers=layers)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    verdicts = json.loads(done.stdout)
    assert len(verdicts) == 8
    assert all(verdict == "passed" for name, verdict in verdicts if name == "honest"), verdicts
    assert all(verdict not in ("passed", "sandbox_fault") for name, verdict in verdicts if name == "hog"), verdicts


def test_clocks_of_its_own_and_of_the_machine_can_be_read(sandbox: Sandbox) -> None:
    program = """
        for number in (0, 1, 4, 5, 6, 7, 11):
            time.clock_gettime(number); time.clock_getres(number)
        thread = time.pthread_getcpuclockid(threading.get_ident())
        for number in (2, 3, thread, ~os.getpid() << 3 | 2, ~0 << 3 | 2, ~0 << 3 | 6):
            before = time.clock_gettime(number)
            work(0.01)
            assert time.clock_gettime(number) - before > 0.005
        print(time.process_time() > 0, time.thread_time() > 0, time.get_clock_info("perf_counter").monotonic)
        """
    outcome = run(sandbox, program)
    assert outcome.stdout == b"True True True\n", outcome.stderr


def test_clocks_of_others_cannot_be_read(sandbox: Sandbox) -> None:
    mine, owner = os.getpid(), os.getppid()
    program = f"""
        libc = ctypes.CDLL(None)
        found = []
        for pid in [*range(1, 3000), {mine}, {owner}, os.getppid()]:
            if pid == os.getpid(): continue
            for kind in (0, 1, 2):
                clock = ~pid << 3 | kind
                space = (ctypes.c_long * 2)()
                for call in (libc.clock_gettime, libc.clock_getres):
                    if call(clock, space) == 0: found.append((pid, kind))
                if libc.clock_nanosleep(clock, 0, space, None) == 0: found.append((pid, kind))
        print(found)
        """
    assert run(sandbox, program, Limits(cpu_s=10, wall_s=60)).stdout == b"[]\n"


def test_a_candidate_does_not_time_its_examiner(sandbox: Sandbox) -> None:
    spy = """
import os, time
def f():
    for pid in range(max(1, os.getpid() - 3), os.getpid() + 4):  # 0 is the process itself
        if pid != os.getpid():
            try: return time.clock_gettime(~pid << 3 | 2)
            except OSError: pass
    return None
"""
    test = CheckTest("import operator\nassert operator.is_(f(), None)")
    problem = Problem(problem_id="p", statement="", tests=(test,), entry_point="f")
    verdict = Judge(sandbox).judge(problem, Rollout(rollout_id="r", problem_id="p", program=spy))
    assert verdict.passed, verdict.first_failure


NUMBERS = "ids = []\nt = threading.Thread(target=lambda: ids.append(threading.get_native_id())); t.start(); t.join()\n"


@pytest.mark.parametrize("count", [0, 1, 7, 150])
def test_a_process_id_does_not_tell_what_was_run_before(sandbox: Sandbox, count: int) -> None:
    if "namespaces" not in sandbox.isolation:
        pytest.skip("without namespaces process ids are those of the host, as docs/security.md says")
    numbers = NUMBERS + "print(os.getpid(), os.getppid(), ids)"
    makes_threads = f"for _ in range({count}):\n    t = threading.Thread(target=int); t.start(); t.join()"
    before = run(sandbox, numbers).stdout
    assert run(sandbox, makes_threads).ending == "returned"
    assert run(sandbox, numbers).stdout == before


def test_a_program_does_not_learn_the_name_of_the_host(sandbox: Sandbox) -> None:
    if "namespaces" not in sandbox.isolation:
        pytest.skip("without namespaces a program learns the name of the host, as docs/security.md says")
    assert run(sandbox, "print(os.uname().nodename)").stdout == b"sandbox\n"


def test_a_program_has_no_capabilities() -> None:
    """Of root's or of those of a user namespace. Seen from outside, while it runs."""
    with Sandbox(workers=1) as sandbox:
        future = sandbox.call(run_job, job("time.sleep(60)", Limits(wall_s=3)))
        found = set()
        for _ in until_done(future):
            for pid in descendants(sandbox.processes()[0]):
                with contextlib.suppress(OSError):
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    if "Seccomp_filters:\t2" in lines or "Seccomp_filters:\t3" in lines:  # the child's own filter too
                        found |= {line for line in lines if line.startswith(("CapEff", "CapPrm", "CapInh", "CapBnd"))}
    assert {line.split()[1] for line in found} == {"0" * 16}
    assert future.result().ending == "time_limit"


def descendants(root: int) -> list[int]:
    found = [root]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found[1:]


def test_reading_changes_no_access_time(sandbox: Sandbox) -> None:
    if "namespaces" not in sandbox.isolation and not may_make_mount_namespaces():
        pytest.skip("without namespaces reading changes access times, as docs/security.md says")
    file = next(Path(sysconfig.get_path("purelib")).glob("pytest/*.py"))
    stat = file.stat()
    try:
        os.utime(file, ns=(stat.st_mtime_ns - 10**9, stat.st_mtime_ns))  # so the kernel would note the next access
    except OSError:
        pytest.skip("the installed packages belong to somebody else")
    before = file.stat().st_atime_ns
    assert run(sandbox, f"print(len(open({str(file)!r}, 'rb').read()))").stdout == b"%d\n" % stat.st_size
    assert file.stat().st_atime_ns == before


def may_make_mount_namespaces() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


def test_a_program_has_no_descriptors_but_its_own_files(sandbox: Sandbox) -> None:
    program = """
        found = []
        for fd in range(1024):
            try: found.append((fd, os.fstat(fd).st_ino))
            except OSError: pass
        print({fd for fd, number in found if fd != 3}, len({number for fd, number in found}))
        """
    outcome = run(sandbox, program)
    assert outcome.stdout == b"{0, 1, 2, 4} 4\n", "3 is another one for standard output"


def test_a_candidate_has_one_more_the_socket_to_its_examiner(sandbox: Sandbox) -> None:
    program = """
import os
def is_open(fd):
    try: return bool(os.fstat(fd))
    except OSError: return False
def f(): return [fd for fd in range(1024) if is_open(fd)]
"""
    test = CheckTest("import operator\nassert operator.eq(f(), [0, 1, 2, 4, 7])")
    problem = Problem(problem_id="p", statement="", tests=(test,), entry_point="f")
    verdict = Judge(sandbox).judge(problem, Rollout(rollout_id="r", problem_id="p", program=program))
    assert verdict.passed, verdict.first_failure


def test_what_a_program_does_to_its_files_is_gone_with_them(sandbox: Sandbox) -> None:
    spoils = """
        import fcntl
        for fd in (0, 1, 2, 4):
            for command, argument in ((fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND), (1033, 15)):  # F_ADD_SEALS
                try: fcntl.fcntl(fd, command, argument)
                except OSError: pass
            os.ftruncate(fd, 0); os.lseek(fd, 9, 0)
        """
    looks = """
        import fcntl
        print([(fcntl.fcntl(fd, fcntl.F_GETFL), fcntl.fcntl(fd, 1034), os.fstat(fd).st_size) for fd in (0, 1, 2)])
        """
    before = run(sandbox, looks).stdout
    run(sandbox, spoils)
    assert run(sandbox, looks).stdout == before != b""


def test_the_number_of_processes_of_the_host_is_not_told(sandbox: Sandbox) -> None:
    program = "space = (ctypes.c_long * 32)()\nprint(ctypes.CDLL(None).sysinfo(space), space[10])"
    assert run(sandbox, program).stdout == b"-1 0\n"


def test_a_flush_to_disk_succeeds_and_does_nothing(sandbox: Sandbox) -> None:
    assert run(sandbox, "print('x', flush=True); os.fsync(1); print(1)").stdout == b"x\n1\n"


HOW_SIGNALS_END = """
import ctypes, json, os, signal, sys
from coderlplus.judge import Judge
from coderlplus.records import CallTest, Problem, Rollout
from coderlplus.sandbox import Sandbox

if sys.argv[1] == "deaf":  # as under nohup, make or a batch system: ignored and blocked signals are inherited
    libc = ctypes.CDLL(None)
    ignored = (1).to_bytes(8, "little") + bytes(24)
    number = {"x86_64": 13, "aarch64": 134}[os.uname().machine]
    for one in range(1, 65):
        if one not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
            libc.syscall(number, one, ignored, None, 8)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
program = "import os, time\\ndef f(n):\\n    os.kill(os.getpid(), n)\\n    time.sleep(0.3)\\n"
with Sandbox() as sandbox:
    judge = Judge(sandbox)
    endings = {}
    for one in (1, 2, 3, 10, 12, 13, 14, 15, 25, 32, 33, 34, 50):
        tests = (CallTest(args=(one,), expected=None),)
        problem = Problem(problem_id=str(one), statement="", entry_point="f", tests=tests)
        [verdict] = judge.judge_many([(problem, Rollout(rollout_id="r", problem_id=str(one), program=program))])
        endings[one] = [verdict.verdict, verdict.first_failure and verdict.first_failure.detail]
print(json.dumps(endings))
"""


@pytest.mark.timeout(240)
def test_a_signal_ends_a_program_whatever_the_caller_ignores_or_blocks() -> None:
    commands = ([sys.executable, "-c", HOW_SIGNALS_END, how] for how in ("hears", "deaf"))
    heard, deaf = (
        json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for command in commands
    )
    assert deaf == heard
    ignored = {"13", "25"}  # by Python
    assert {number for number, (verdict, _) in heard.items() if verdict == "passed"} == ignored
    assert {verdict for verdict, _ in heard.values()} == {"passed", "runtime_error"}
