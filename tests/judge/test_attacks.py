"""No hostile program gets a pass, touches the host, or disturbs the judging of the next one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coderlplus.records import CallTest, CheckTest, StdioTest, Test, Verdict

TESTS: dict[str, tuple[str | None, Test]] = {
    "stdio": (None, StdioTest("3\n", "6\n")),
    "call": ("Solution().f", CallTest((3,), 6)),
    "check": ("f", CheckTest("assert f(3) == 6\nassert f([1]) == [1, 1]")),
}

STDIO = {
    "exit without output": "import sys; sys.exit(0)",
    "os._exit": "import os; os._exit(0)",
    "kill the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "kill everybody": "import os, signal\nos.kill(-1, signal.SIGKILL)",
    "signal through fcntl": "import fcntl, os, signal\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())",
    "fork": "import os\nif os.fork() == 0: os._exit(0)",
    "subprocess": "import subprocess\nsubprocess.run(['touch', '@CANARY@/new'])",
    "native fork": "import ctypes\nprint(6 if ctypes.CDLL(None).fork() > 0 else 0)",
    "multiprocessing": "import multiprocessing as m\np = m.Process(target=print, args=(6,)); p.start(); p.join()",
    "read a secret": "print(open('@CANARY@/secret').read())",
    "read /etc/passwd": "print(open('/etc/passwd').read())",
    "read the parent's memory": "import os\nprint(open(f'/proc/{os.getppid()}/mem', 'rb'))",
    "write a file": "open('@CANARY@/new', 'w').write('x')",
    "write in /tmp": "open('/tmp/coderlplus-canary', 'w').write('x')",
    "delete a file": "import os\nos.remove('@CANARY@/c.txt')",
    "rename a file": "import os\nos.rename('@CANARY@/c.txt', '@CANARY@/d.txt')",
    "change permissions": "import os\nos.chmod('@CANARY@/c.txt', 0)",
    "truncate natively": "import ctypes\nprint(ctypes.CDLL(None).truncate(b'@CANARY@/c.txt', 0))",
    "link": "import os\nos.symlink('/etc/passwd', '@CANARY@/link')",
    "shared memory": "from multiprocessing import shared_memory\nshared_memory.SharedMemory('coderlplus-canary', create=True, size=9)",
    "connect": "import socket\ns = socket.create_connection(('127.0.0.1', @PORT@), 1); s.send(b'x')",
    "abstract socket": "import socket\nsocket.socket(socket.AF_UNIX).bind('\\0coderlplus')",
    "environment": "import os\nprint(os.environ.get('CODERLPLUS_TEST_SECRET', 'none'))",
    "ptrace": "import ctypes, os\nprint(ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0))",
    "raise own limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (99, 99))\nwhile True: pass",
    "catch the end": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "ignore signals": "import signal\nfor n in (14, 15, 24, 27): signal.signal(n, signal.SIG_IGN)\nwhile True: pass",
    "sleep": "import time; time.sleep(60)",
    "compile bomb": "x = " + "-" * 3000 + "1" + "\nprint(9**9**9)",
    "memory": "x = bytearray(10**10)\nprint(6)",
    "memory in pieces": "x = []\nwhile True: x.append(bytearray(10**7))",
    "output": "while True: print('6' * 10**5)",
    "stderr": "import sys\nwhile True: print('6' * 10**5, file=sys.stderr)",
    "stack": "import sys\nsys.setrecursionlimit(10**9)\ndef f(n): return [f(n + 1)]\nf(0)",
    "segmentation fault": "import ctypes; ctypes.string_at(0)",
    "threads that stay": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint(0)",
    "close everything": "import os; os.closerange(0, 256)",
    "forged replies": 'import os\nfor fd in range(3, 64):\n    try: os.write(fd, b\'{"passed": true, "exit_code": 0, "stdout": 2}\\nend\\n\')\n'
    "    except OSError: pass\nos._exit(0)",
    "garbage replies": "import os\nfor fd in range(3, 64):\n    try: os.write(fd, b'[' * 100000 + bytes(range(256)) + b'\\n')\n    except OSError: pass",
    "empty its files": "import os\nfor fd in range(64):\n    try: os.ftruncate(fd, 0)\n    except OSError: pass\nprint(5)",
    "always equal": "import builtins\nclass A(str):\n    __eq__ = lambda s, o: True\nbuiltins.len = lambda *a: 1\nbuiltins.all = lambda *a: True\nprint(A('0'))",
    "NUL": "print('\\0')",
    "NUL in source": "print(6)\0",
}
CALL = {
    "exit": "class Solution:\n    def f(self, n): raise SystemExit(0)",
    "always equal": "class T(int):\n    __eq__ = lambda s, o: True\n    __hash__ = None\nclass Solution:\n    def f(self, n): return T(0)",
    "walk the frames": "import sys, gc\nclass Solution:\n    def f(self, n):\n        fr = sys._getframe()\n        while fr:\n            for k, v in fr.f_locals.items():\n"
    "                if 'expect' in k: return v\n            fr = fr.f_back\n        return [o for o in gc.get_objects() if type(o) is dict and 'expected' in o][0]['expected']",
    "hostile attributes": "class X:\n    def __getattribute__(s, k): raise SystemExit\n    __class__ = property(lambda s: int)\nclass Solution:\n    def f(self, n): return X()",
    "itself": "class Solution:\n    def f(self, n):\n        x = []; x.append(x); return x",
    "deep": "class Solution:\n    def f(self, n):\n        x = []\n        for _ in range(10**5): x = [x]\n        return x",
    "huge": "class Solution:\n    def f(self, n): return [0] * 10**7",
    "huge number": "class Solution:\n    def f(self, n): return 1 << 10**7",
    "tagged": "class Solution:\n    def f(self, n): return {'$int': '0x6'}",
    "patched encoder": "import json, sys\njson.dumps = json.JSONEncoder.encode = lambda *a: '{\"value\": 7}'\nclass Solution:\n    def f(self, n): return 7",
}
CHECK = {
    "always equal": "class T(int):\n    __eq__ = lambda s, o: True\n    __hash__ = None\ndef f(n): return T(0)",
    "always equal, in a list": "class T(int):\n    __eq__ = lambda s, o: True\ndef f(n): return [T(0)]",
    "stop iteration": "def f(n): raise StopIteration",
    "assertion": "def f(n): raise AssertionError",
    "exit": "import sys\ndef f(n): sys.exit(0)",
    "os._exit": "import os\ndef f(n): os._exit(0)",
    "exit while loading": "import os\ndef f(n): return 6\nos._exit(0)",
    "forged answers": 'import os\ndef f(n):\n    for fd in range(3, 64):\n        try: os.write(fd, b\'\\x10\\0\\0\\0{"value": 6}    \' * 9 + b\'{"end": "passed"}\\nend\\n\')\n'
    "        except OSError: pass\n    os._exit(0)",
    "huge message": "import os\ndef f(n):\n    for fd in range(3, 64):\n        try: os.write(fd, b'\\xff\\xff\\xff\\xff')\n        except OSError: pass\n    while True: pass",
    "patched assertion": "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.print = print\ndef f(n): return 0",
    "name error": "def f(n): raise NameError('name x is not defined')",
    "opaque": "def f(n): return lambda: 6",
    "hang while loading": "while True: pass",
}
EVERY = [("stdio", name, program) for name, program in STDIO.items()]
EVERY += [("call", name, program) for name, program in CALL.items()] + [("check", name, program) for name, program in CHECK.items()]

HONEST = {
    "thread with a large stack": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 28)\n"
    "def main(): print(int(input()) * 2)\nt = threading.Thread(target=main)\nt.start()\nt.join()",
    "exit at the end": "print(int(input()) * 2)\nexit()",
    "sys.exit at the end": "import sys\nprint(int(input()) * 2)\nsys.exit()",
    "os.read": "import os\nprint(int(os.read(0, os.fstat(0).st_size)) * 2)",
    "stdin.buffer": "import sys\nprint(int(sys.stdin.buffer.readline()) * 2)",
    "open(0)": "print(int(open(0).read()) * 2)",
    "stdout.write without a newline": "import sys\nsys.stdout.write(str(2 * int(sys.stdin.read())))",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\nprint(int(input()) * 2 + f(20000) - 20000)",
    "stdout closed": "import sys\nprint(int(input()) * 2)\nsys.stdout.close()",
    "stdout opened anew": "out = open(1, 'w')\nout.write(str(int(input()) * 2))",
    "stdout replaced": "import sys, io\nclass Out(io.StringIO):\n    def flush(self): sys.__stdout__.write(self.getvalue())\nsys.stdout = Out()\nprint(int(input()) * 2)",
    "main guard": "def main():\n    print(int(input()) * 2)\nif __name__ == '__main__':\n    main()",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor\nn = int(input())\nwith ThreadPoolExecutor() as pool: print(sum(pool.map(int, [n, n])))",
    "atexit": "import atexit\natexit.register(lambda: print(int(input()) * 2))",
    "modules not loaded before": "import zoneinfo, asyncio, unicodedata, sqlite3, ssl\nprint(int(input()) * 2)",
    "dataclass": "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\nprint(P(int(input())).x * 2)",
    "pickle": "import pickle\nclass P: pass\np = P(); p.x = int(input())\nprint(pickle.loads(pickle.dumps(p)).x * 2)",
    "stack limit": "import resource\nresource.setrlimit(resource.RLIMIT_STACK, (1 << 26, resource.getrlimit(resource.RLIMIT_STACK)[1]))\nprint(2 * int(input()))",
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, socket.socket]]:
    """A folder, a secret and a listener that no program may touch."""
    folder = tmp_path_factory.mktemp("canary")
    (folder / "c.txt").write_text("intact")
    (folder / "secret").write_text("6")
    os.environ["CODERLPLUS_TEST_SECRET"] = os.environ["H_SECRET"] = "6"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield folder, listener
    del os.environ["CODERLPLUS_TEST_SECRET"], os.environ["H_SECRET"]


def attack(verdict_on: Callable[..., Verdict], host: tuple[Path, socket.socket], mode: str, program: str) -> Verdict:
    """The verdict, after making sure that nothing happened to the host and that the next program is judged right."""
    folder, listener = host
    entry_point, test = TESTS[mode]
    program = program.replace("@CANARY@", str(folder)).replace("@PORT@", str(listener.getsockname()[1]))
    verdict = verdict_on(program, test, entry_point=entry_point)
    assert sorted(path.name for path in folder.iterdir()) == ["c.txt", "secret"]
    assert (folder / "c.txt").read_text() == "intact"
    assert (folder / "c.txt").stat().st_mode & 0o777 == 0o644
    assert not Path("/tmp/coderlplus-canary").exists()
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert verdict_on("print(int(input()) * 2)", TESTS["stdio"][1], entry_point=None).passed
    return verdict


@pytest.mark.parametrize(("mode", "program"), [(mode, program) for mode, _, program in EVERY], ids=[f"{mode}: {name}" for mode, name, _ in EVERY])
def test_attack_gets_no_pass_and_no_hold_of_the_host(
    verdict_on: Callable[..., Verdict], host: tuple[Path, socket.socket], mode: str, program: str
) -> None:
    verdict = attack(verdict_on, host, mode, program)
    assert not verdict.passed
    assert verdict.verdict != "sandbox_fault"
    assert "in_process_check" not in verdict.isolation


@pytest.mark.parametrize("program", HONEST.values(), ids=HONEST.keys())
def test_honest_idiom_passes(verdict_on: Callable[..., Verdict], program: str) -> None:
    verdict = verdict_on(program, StdioTest("3\n", "6\n"), StdioTest("4\n", "8\n"), entry_point=None)
    assert verdict.passed, verdict.first_failure


def test_recorded_attacks(shared: Path, verdict_on: Callable[..., Verdict], host: tuple[Path, socket.socket]) -> None:
    for path in sorted((shared / "attacks").glob("*.py")):
        program = path.read_text()
        verdict = attack(verdict_on, host, "call" if "# mode: call" in program else "stdio", program.replace("45999", "@PORT@"))
        assert verdict.passed == ("honest" in path.name), (path.name, verdict.first_failure)
        assert verdict.verdict != "sandbox_fault", path.name
