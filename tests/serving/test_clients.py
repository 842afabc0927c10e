"""The server answers the clients that public trainers bring, run as they are installed.

Each client is one file of a package that needs much more than the file does, so the file alone is loaded. verl's is in
tests/verl/test_judge_server.py.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from types import ModuleType

import pytest
from tests.serving.test_server import serving

pytest.importorskip("uvicorn", reason="coderlplus[serve] is not installed")

DOUBLE = "print(int(input()) * 2)"


def loaded(package: str, *paths: str) -> list[ModuleType]:
    """Files of an installed package, as modules of one folder."""
    try:
        installed = {str(file): Path(str(file.locate())) for file in files(package) or []}
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    folder = f"client_of_{package.replace('-', '_')}"
    sys.modules.setdefault(folder, ModuleType(folder))
    modules = []
    for path in paths:
        spec = importlib.util.spec_from_file_location(f"{folder}.{Path(path).stem}", installed[path])
        assert spec is not None
        assert spec.loader is not None
        sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        modules.append(module)
    return modules


def test_tinker_cookbook_grades_by_its_own_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client sends LiveCodeBench's runner, the tests and the program as files."""
    runner, client = loaded(
        "tinker-cookbook", "tinker_cookbook/recipes/code_rl/lcb_utils.py", "tinker_cookbook/sandbox/sandboxfusion.py"
    )
    stdio = {"inputs": ["2\n", "5\n"], "outputs": ["4\n", "10\n"]}
    calls = {"inputs": ["[1, 2]\n3"], "outputs": ["6"], "fn_name": "total"}
    cases = [
        (stdio, DOUBLE, True),
        (stdio, "print(int(input()) + 2)", False),
        (stdio, "while True: pass", False),
        (calls, "class Solution:\n    def total(self, xs, x): return sum(xs) + x", True),
        (calls, "def total(xs, x): return x", False),
        (calls, "import os; os._exit(1)", False),
    ]

    async def graded(url: str) -> list[bool]:
        session = client.SandboxFusionClient(f"{url}/run_code")
        files = [
            {"test_cases.txt": json.dumps({"input_output": json.dumps(tests)}), "code.py": program}
            | {"testing_util.py": runner.TEST_UTIL}
            for tests, program, _ in cases
        ]
        runs = [session.run(code=runner.TEST_CODE % {"timeout": 6}, files=given, timeout=9) for given in files]
        answers = await asyncio.gather(*runs)
        await session.close()
        return [success for success, _ in answers]

    with serving() as (url, _):
        assert asyncio.run(graded(url)) == [passes for *_, passes in cases]


def test_skyrl_executes_programs() -> None:
    """Its client has the port 8080 in its code."""
    folder = "skyrl-agent/skyrl_agent/tasks/verifiers/coder1"
    _, client = loaded("skyrl", f"{folder}/utils.py", f"{folder}/sandboxfusion_exec.py")
    host = "127.0.0.77"
    with serving("--host", host, "--port", "8080"):
        run = client.code_exec_sandboxfusion
        assert run(DOUBLE, stdin="21", timeout=5, sandbox_servers=host) == (True, "42\n")
        success, output = run("1 / 0", timeout=5, sandbox_servers=[host])
        assert not success
        assert "ZeroDivisionError" in output
