"""The ways of judging that `judge.py` compares, each in a process of its own that loads nothing else.

    python bench/judge_ways.py NAME [KIND [CHECKOUT, or URL and process id of a server]]

reads lines "work tests count" and judges `count` programs one after the other for each; prints the CPU seconds that
this took in the process and all of its descendants, and the seconds. Every program is another text. All ways are given
right programs, and make sure that they are told so.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import itertools
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from peers import PEERS

SOURCE = Path(__file__).parents[1] / "src" / "coderlplus"
WORK = {"trivial": "", "10ms": "for _ in range(160_000): n += 1\nn -= 160_000\n"}
Way = Callable[[list[str], int], None]


def script(work: str, serial: int) -> str:
    return f"n = int(input())\n{WORK[work]}print(n * 2)\nserial = {serial}\n"


def function(work: str, serial: int) -> str:
    body = "".join(f"    {line}\n" for line in WORK[work].splitlines())
    return f"def f(n):\n{body}    return n * 2\nserial = {serial}\n"


def raising(work: str, serial: int) -> str:
    return function(work, serial).replace("return n * 2", "raise ValueError(n)")


def ours(kind: str) -> tuple[Way, Any]:
    from coderlplus.judge import Judge
    from coderlplus.records import CallTest, CheckTest, Problem, Rollout, StdioTest
    from coderlplus.sandbox import Sandbox

    judge = Judge(Sandbox(workers=1))
    problems = itertools.count()
    make: Callable[[int], Any] = {
        "stdio": lambda n: StdioTest(f"{n}\n", f"{2 * n}\n"),
        "calls": lambda n: CallTest((n,), 2 * n),
        "literals": lambda n: CheckTest(f"assert f({n}) == {2 * n}"),
        "planned": lambda n: CheckTest(f"def check(g):\n    for n in [{n}]:\n        assert g(n) == 2 * n\ncheck(f)"),
        "examined": lambda n: CheckTest(f"import operator\nassert operator.eq(f({n}), {2 * n})"),
        "other problems": lambda n: CheckTest(
            f"import operator\nassert operator.eq(f({n}), {2 * n})  # {next(problems)}"
        ),
        "exceptions": lambda n: CheckTest(f"try:\n    f({n})\n    assert False\nexcept ValueError:\n    pass"),
        "pytest": lambda n: CheckTest(f"import pytest\nwith pytest.raises(ValueError):\n    f({n})"),
        "unittest": lambda n: CheckTest(
            f"import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f({n}), {2 * n})"
        ),
    }[kind]

    def way(programs: list[str], tests: int) -> None:
        def problem() -> Problem:
            return Problem(problem_id="p", statement="", tests=tuple(map(make, range(tests))), entry_point="f")

        same = None if kind == "other problems" else problem()
        verdicts = judge.judge_many(
            (same or problem(), Rollout(rollout_id=str(i), problem_id="p", program=program))
            for i, program in enumerate(programs)
        )
        assert all(verdict.passed for verdict in verdicts), verdicts[0]

    return way, {"stdio": script, "exceptions": raising, "pytest": raising}.get(kind, function)


def floor(confined: bool, calls: bool = False) -> tuple[Way, Any]:
    """Fork an interpreter with the same modules loaded, put it under the same confinement, run the program on its
    inputs, get what it prints (or, with `calls`, call its function and print that), wait.

    Nothing is compared, no limit is watched, nothing is reported; hooks that run after a fork are left out, as our
    fork server does."""
    register, os.register_at_fork = os.register_at_fork, lambda **hooks: None
    specification = importlib.util.spec_from_file_location("zygote", SOURCE / "sandbox" / "zygote.py")
    assert specification is not None
    assert specification.loader is not None
    zygote = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(zygote)
    for name in zygote.PRELOADED.split():
        importlib.import_module(name)
    os.register_at_fork = register
    confine = zygote._Guests(str(SOURCE)).load("coderlplus.sandbox.confine")
    roots = [os.path.dirname(os.__file__), "/lib", "/lib64", "/usr/lib"]  # noqa: PTH120
    confinement = confine.Confinement(confine.LAYERS if confined else (), roots)
    confinement.apply_to_zygote()
    for thing in (gc.collect, gc.freeze, gc.disable):
        thing()

    def way(programs: list[str], tests: int) -> None:
        for program in programs:
            stdins, stdout = [_memory_file(f"{n}\n") for n in range(tests) if not calls], _memory_file("")
            pid = os.fork()
            if pid == 0:
                try:
                    os.dup2(stdout, 1)
                    confinement.apply(5, 512 << 20, 1 << 20)
                    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
                    code = compile(program, "program", "exec")
                    if calls:
                        names: dict[str, Any] = {}
                        exec(code, names)
                        for n in range(tests):
                            print(names["f"](n))
                    for stdin in stdins:
                        os.dup2(stdin, 0)
                        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
                        exec(code, {"__name__": "__main__"})
                    sys.stdout.flush()
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)
            assert os.pread(stdout, 1000, 0).decode() == "".join(f"{2 * n}\n" for n in range(tests))
            for fd in (*stdins, stdout):
                os.close(fd)

    return way, function if calls else script


def _memory_file(text: str) -> int:
    fd = os.memfd_create("file")
    os.pwrite(fd, text.encode(), 0)
    return fd


def peer(name: str, kind: str, *arguments: str) -> tuple[Way, Any]:
    judged = PEERS[name][0](*arguments)
    make: Callable[[int], Any] = {
        "stdio": lambda n: (f"{n}\n", f"{2 * n}\n"),
        "calls": lambda n: ([n], 2 * n),
    }[kind]

    def way(programs: list[str], tests: int) -> None:
        given = [make(n) for n in range(tests)]
        for program in programs:
            said = judged(program, kind, given, "f")
            assert said == "passed", said

    return way, script if kind == "stdio" else function


WAYS: dict[str, Callable[..., tuple[Way, Any]]] = {
    "fork alone": lambda: floor(confined=False),
    "floor": lambda: floor(confined=True),
    "floor of calls": lambda: floor(confined=True, calls=True),
    "coderlplus, stdio": lambda: ours("stdio"),
    "coderlplus, calls": lambda: ours("calls"),
    "coderlplus, checks of literals": lambda: ours("literals"),
    "coderlplus, planned checks": lambda: ours("planned"),
    "coderlplus, expected exceptions": lambda: ours("exceptions"),
    "coderlplus, pytest.raises": lambda: ours("pytest"),
    "coderlplus, unittest": lambda: ours("unittest"),
    "coderlplus, examined checks": lambda: ours("examined"),
    "coderlplus, examined checks, each of another problem": lambda: ours("other problems"),
}


def descendants(root: int | None = None) -> dict[int, list[str]]:
    """The fields of /proc/PID/stat after the name, for all living descendants of a process (this one)."""
    children: dict[int, dict[int, list[str]]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), {})[int(place.name)] = fields
    found: dict[int, list[str]] = {}
    left = [os.getpid() if root is None else root]
    while left:
        new = children.get(left.pop(), {})
        found |= new
        left += new
    return found


def used_cpu_s(servers: Sequence[int] = ()) -> float:
    """CPU seconds of this process, of the children that it has waited for, and of all living descendants with those
    that they have waited for; and so of servers, which others started."""
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    others = descendants()
    for server in servers:
        others[server] = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
        others |= descendants(server)
    return own + sum(sum(map(int, fields[11:15])) for fields in others.values()) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, *given = sys.argv[1:]
    way, text = WAYS[name]() if name in WAYS else peer(name, *given)
    servers = [int(given[2])] if name == "SandboxFusion" else []
    way([text("trivial", -1)] * 3, 1)
    serial = 0
    for line in sys.stdin:
        work, tests, count = line.split()
        programs = [text(work, serial + n) for n in range(int(count))]
        serial += len(programs)
        cpu_s, start = used_cpu_s(servers), time.perf_counter()
        way(programs, int(tests))
        wall_s = time.perf_counter() - start
        print(used_cpu_s(servers) - cpu_s, wall_s, file=answers, flush=True)


if __name__ == "__main__":
    main()
