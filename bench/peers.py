"""Other judges, each as it judges one program: what `judge.py` times, and `agreement.py` asks for its verdicts.

    PYTHON peers.py NAME [CHECKOUT or URL ...]

reads problems as JSON lines `{"setup", "program", "kind", "tests", "entry_point"}` and prints for each what the judge
says, as a JSON text: "passed", or anything else. `tests` are pairs of input and output (`stdio`), pairs of arguments
and result (`calls`), or statements (`checks`). `setup` goes before the program, except for judges that have their own.
Standard library only, so that it runs in the interpreter that has the judge.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import multiprocessing.queues
import os
import subprocess
import sys
import tempfile
import types
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

Judged = Callable[[str, str, list[Any], str], str]
"""Program, kind, tests and entry point → "passed", or what the judge says instead."""
TIMEOUT_S = 6
"""For each test, where the judge leaves it to the caller."""


def asserts(tests: list[Any], kind: str, entry_point: str) -> str:
    """The tests as statements."""
    if kind == "checks":
        calls = [f"check({entry_point})" for test in tests if "def check(" in test and "\ncheck(" not in test]
        return "\n" + "\n".join([*tests, *calls]) + "\n"
    calls = [f"assert {entry_point}({', '.join(map(repr, args))}) == {expected!r}" for args, expected in tests]
    return "\n" + "\n".join(calls) + "\n"


def in_outs(tests: list[Any], kind: str, entry_point: str) -> dict[str, Any]:
    """The tests as APPS, LiveCodeBench and verl write them."""
    if kind == "stdio":
        return {"inputs": [stdin for stdin, _ in tests], "outputs": [stdout for _, stdout in tests]}
    return {
        "inputs": ["\n".join(map(json.dumps, args)) for args, _ in tests],
        "outputs": [json.dumps(expected) for _, expected in tests],
        "fn_name": entry_point.removeprefix("Solution()."),
    }


def in_subprocesses() -> Judged:
    """`subprocess.run` for each test, or for all statements at once."""

    def judged(program: str, kind: str, tests: list[Any], entry_point: str) -> str:
        if kind != "stdio":
            program, tests = program + asserts(tests, kind, entry_point), [("", None)]
        for stdin, expected in tests:
            try:
                done = subprocess.run(
                    [sys.executable, "-c", program], input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S
                )
            except (subprocess.TimeoutExpired, UnicodeDecodeError, OSError, ValueError) as error:
                return type(error).__name__
            if done.returncode:
                return f"exit {done.returncode}: {(done.stderr.strip().splitlines() or ['?'])[-1][:60]}"
            if expected is not None and done.stdout.rstrip() != expected.rstrip():
                return "other output"
        return "passed"

    return judged


def _human_eval_child(program: str, results: Any) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            exec(program, {})
        results.put("passed")
    except BaseException as error:
        results.put(f"failed: {type(error).__name__}")


def human_eval_style() -> Judged:
    """A forked process for each program that executes the program with its asserts and says itself how it went."""
    results: multiprocessing.queues.SimpleQueue[str] = multiprocessing.SimpleQueue()

    def judged(program: str, kind: str, tests: list[Any], entry_point: str) -> str:
        text = program + asserts(tests, kind, entry_point)
        process = multiprocessing.Process(target=_human_eval_child, args=(text, results))
        process.start()
        process.join(timeout=TIMEOUT_S)
        if process.is_alive():
            process.kill()
            process.join()
        return "killed" if results.empty() else str(results.get())

    return judged


def evalplus() -> Judged:
    from evalplus.eval import untrusted_check

    def judged(program: str, kind: str, tests: list[Any], entry_point: str) -> str:
        inputs, expected = [args for args, _ in tests], [result for _, result in tests]
        if "." in entry_point:  # it calls functions only
            program, entry_point = f"{program}\ncandidate = {entry_point}\n", "candidate"
        status, _ = untrusted_check(
            "humaneval", program, inputs, entry_point, expected, 0, [1.0] * len(tests), fast_check=True
        )
        return "passed" if status == "pass" else str(status)

    return judged


def livecodebench(checkout: str) -> Judged:
    sys.path.insert(0, checkout)
    from lcb_runner.evaluation.compute_code_generation_metrics import check_correctness

    def judged(program: str, kind: str, tests: list[Any], entry_point: str) -> str:
        sample = {"input_output": json.dumps(in_outs(tests, kind, entry_point))}
        results, metadata = check_correctness(sample, program, timeout=TIMEOUT_S, debug=False)
        if results == [True] * len(tests):
            return "passed"
        return str(metadata.get("error_message", results) if isinstance(metadata, dict) else results)

    return judged


def verl(checkout: str) -> Judged:
    """verl's `prime_code`. It needs pyext, which has not been installable since Python 3.11; of that it uses one
    function, which is here."""
    if "pyext" not in sys.modules:
        sys.modules["pyext"] = types.ModuleType("pyext")
        sys.modules["pyext"].RuntimeModule = types.SimpleNamespace(from_string=_module_of)  # type: ignore[attr-defined]
    sys.path.insert(0, str(Path(checkout, "verl", "utils", "reward_score")))
    from prime_code import compute_score

    def judged(program: str, kind: str, tests: list[Any], entry_point: str) -> str:
        success, metadata = compute_score(program, in_outs(tests, kind, entry_point))
        if success is True:
            return "passed"
        return str(metadata.get("error_message", "failed") if isinstance(metadata, dict) else "failed")

    return judged


def _module_of(name: str, _docstring: str, source: str) -> types.ModuleType:
    module = types.ModuleType(name)
    exec(source, module.__dict__)
    return module


def coderlplus_published(checkout: str) -> Judged:
    """The class that the published recipe executes programs with; the file around it needs ray and verl, so the class
    alone is taken from it. Outputs are compared without the blanks around them."""
    tree = ast.parse(Path(checkout, "recipe", "code_extractor.py").read_text(encoding="utf-8"))
    body: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "CodeExecutor"
    ]
    names: dict[str, Any] = {"json": json, "os": os, "subprocess": subprocess, "sys": sys, "tempfile": tempfile}
    exec(compile(ast.Module(body, []), "code_extractor.py", "exec"), names)

    def judged(program: str, kind: str, tests: list[Any], entry_point: str) -> str:
        for stdin, expected in tests:
            printed, _ = names["CodeExecutor"].execute_code(program, stdin)
            if str(printed).strip() != expected.strip():
                return str(printed)[:60] if str(printed).startswith("ERROR") else "other output"
        return "passed"

    return judged


def sandboxfusion(url: str, *_pid: str) -> Judged:
    """A SandboxFusion server, asked as verl does: each input by itself, outputs compared without the line break at
    their ends; statements in one run."""

    def run(code: str, stdin: str) -> tuple[str, str]:
        body = {"code": code, "stdin": stdin, "language": "python", "run_timeout": TIMEOUT_S}
        request = urllib.request.Request(
            f"{url.rstrip('/')}/run_code", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        result = found.get("run_result") or {}
        status = found["status"] if found["status"] == "Success" else f"{found['status']} {result.get('status')}"
        return status, result.get("stdout") or ""

    def judged(program: str, kind: str, tests: list[Any], entry_point: str) -> str:
        if kind != "stdio":
            status, _ = run(program + asserts(tests, kind, entry_point), "")
            return "passed" if status == "Success" else status
        for stdin, expected in tests:
            status, printed = run(program, stdin)
            if status != "Success":
                return status
            if printed.rstrip("\n") != expected.rstrip("\n"):
                return "other output"
        return "passed"

    return judged


PEERS: dict[str, tuple[Callable[..., Judged], tuple[str, ...]]] = {
    "evalplus": (evalplus, ("calls",)),
    "human-eval style": (human_eval_style, ("calls", "checks")),
    "LiveCodeBench": (livecodebench, ("stdio", "calls")),
    "verl prime_code": (verl, ("stdio", "calls")),
    "published CodeRL+": (coderlplus_published, ("stdio",)),
    "SandboxFusion": (sandboxfusion, ("stdio", "calls", "checks")),
    "subprocess.run": (in_subprocesses, ("stdio", "calls", "checks")),
}
"""Name → the judge, and the kinds of tests that it has."""
WITH_SETUP = ("LiveCodeBench", "verl prime_code", "published CodeRL+")
"""Those that put imports of their own before a program; the last has none, and fails with `from ... import *`."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    judged = PEERS[sys.argv[1]][0](*sys.argv[2:])
    for line in sys.stdin:
        asked = json.loads(line)
        program = asked["program"] if sys.argv[1] in WITH_SETUP else f"{asked['setup']}\n{asked['program']}"
        try:
            said = judged(program, asked["kind"], asked["tests"], asked["entry_point"])
        except Exception as error:  # the judge's own
            said = f"crash of the judge: {type(error).__name__}"
        print(json.dumps(said), file=answers, flush=True)


if __name__ == "__main__":
    main()
