"""The client for SandboxFusion, against a small stand-in that speaks its protocol (`POST /run_code`) and can be told
to fail."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import ConfigError, SandboxError
from coderlplus.judge import Judge
from coderlplus.records import CallTest, CheckerProgram, CheckTest, Limits, Problem, Rollout, StdioTest, Test, Verdict
from coderlplus.sandbox.backends.sandboxfusion import SandboxFusion

FIELDS = {"code", "stdin", "language", "run_timeout", "compile_timeout", "memory_limit_MB", "files", "fetch_files"}
LIMITS = Limits(cpu_s=1, wall_s=30, memory_mb=256, output_kb=256)


class Service(ThreadingHTTPServer):
    """Answers as SandboxFusion does. `failures` holds what the next answers are instead: a status code, `"drop"`, or a
    JSON value."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures: list[Any] = []
        self.requests: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        failure = self.server.failures.pop(0) if self.server.failures else None
        if failure == "drop":
            self.close_connection = True
            return
        if (
            self.path != "/run_code"
            or not body.keys() <= FIELDS
            or body["language"] != "python"
            or isinstance(failure, int)
        ):
            self._answer(failure if isinstance(failure, int) else 422, {"detail": "no"})
            return
        self._answer(200, run_code(body) if failure is None else failure)

    def _answer(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None: ...


def run_code(body: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "status": "Finished",
        "execution_time": 0.0,
        "return_code": 0,
        "stdout": "",
        "stderr": "",
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "main.py").write_text(body["code"])
        kilobytes = body.get("memory_limit_MB", -1) * 1024
        limit = f"ulimit -v {kilobytes}; " if kilobytes > 0 else ""
        command = ["bash", "-c", f"{limit}{sys.executable} -I main.py"]
        start = time.monotonic()
        try:
            ended = subprocess.run(
                command,
                cwd=folder,
                input=body["stdin"].encode(),
                capture_output=True,
                timeout=body["run_timeout"],
                check=False,
            )
            output = ended.stdout[: 1 << 20].decode("utf-8", "replace")
            result |= {
                "return_code": ended.returncode,
                "stdout": output,
                "stderr": ended.stderr.decode("utf-8", "replace"),
            }
        except subprocess.TimeoutExpired:
            result |= {"status": "TimeLimitExceeded", "return_code": None}
        result["execution_time"] = time.monotonic() - start
    status = "Success" if result["return_code"] == 0 else "Failed"
    return {
        "status": status,
        "message": "",
        "compile_result": None,
        "run_result": result,
        "executor_pod_name": None,
        "files": {},
    }


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        threading.Thread(target=service.serve_forever, daemon=True).start()
        yield service
        service.shutdown()


@pytest.fixture
def there(service: Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Verdict]]:
    """`there(program, *tests, **problem fields)`: the verdict by way of the service."""
    monkeypatch.setattr("coderlplus.sandbox.backends.sandboxfusion._PAUSE_S", 0.01)
    service.failures, service.requests = [], []
    with SandboxFusion(service.url, workers=2) as sandbox:

        def there(
            program: str, *tests: Test, entry_point: str | None = None, limits: Limits = LIMITS, **fields: Any
        ) -> Verdict:
            problem = Problem(
                problem_id="p", statement="", tests=tests, entry_point=entry_point, limits=limits, **fields
            )
            return Judge(sandbox).judge(problem, Rollout(rollout_id="r", problem_id="p", program=program))

        yield there


@pytest.mark.parametrize(
    ("program", "verdict"),
    [
        ("print(int(input()) * 2)", "passed"),
        ("print(7)", "wrong_answer"),
        ("1 / 0", "runtime_error"),
        ("exit(3)", "runtime_error"),
        ("import os; os.kill(os.getpid(), 9)", "runtime_error"),
        ("print(6", "syntax_error"),
        ("x = bytearray(10**10)", "memory_limit"),
        ("print('6' * 10**6)", "output_limit"),
    ],
)
def test_a_script_is_one_request_with_its_input(
    there: Callable[..., Verdict], service: Service, program: str, verdict: str
) -> None:
    assert there(program, StdioTest("3\n", "6\n")).verdict == verdict
    assert [(request["code"], request["stdin"]) for request in service.requests] == [(program, "3\n")]


def test_a_script_has_the_wall_limit(there: Callable[..., Verdict]) -> None:
    assert there("while True: pass", StdioTest("", ""), limits=Limits(wall_s=1)).verdict == "time_limit"


def test_the_exception_and_its_line_are_in_the_verdict(there: Callable[..., Verdict]) -> None:
    failure = there("x = 1\nx / 0", StdioTest("", "")).first_failure
    assert failure is not None
    assert failure.detail == "ZeroDivisionError: division by zero (line 2)"


TESTS: tuple[Test, ...] = (
    CallTest((3,), 6),
    CallTest((), 8, {"n": 4}),
    CheckTest("assert candidate(3) == 6"),
    CheckTest("def check(f):\n    assert f(3) == twice(3)"),
)


@pytest.mark.parametrize(
    ("program", "verdict", "passed"),
    [
        ("def f(n): return 2 * n", "passed", 4),
        ("def f(n): return 6", "wrong_answer", 1),
        ("def f(n): return n.no", "runtime_error", 0),
        ("def f(n) return", "syntax_error", 0),
        ("def f(n):\n    while True: pass", "time_limit", 0),
        ("import os\ndef f(n): os._exit(0)", "runtime_error", 0),
        ("class T(int):\n    __eq__ = lambda s, o: True\ndef f(n): return T(7)", "wrong_answer", 0),
        ("def f(n): return bytearray(10**10)", "memory_limit", 0),
    ],
)
def test_functions_and_test_code_are_run_by_the_driver(
    there: Callable[..., Verdict], program: str, verdict: str, passed: int
) -> None:
    result = there(program, *TESTS, entry_point="f", setup_code="def twice(n): return 2 * n")
    assert (result.verdict, result.tests_passed, result.first_failure if passed == 4 else None) == (
        verdict,
        passed,
        None,
    )
    assert result.isolation == ("sandbox_fusion",)


def test_a_checker_program_runs_there_too(there: Callable[..., Verdict]) -> None:
    checker = CheckerProgram("even", "def check(given, answer, expected):\n    return answer % 2 == 0")
    assert there("def f(n): return 4", CallTest((1,), None), entry_point="f", checker=checker).passed
    assert (
        there("def f(n): return 5", CallTest((1,), None), entry_point="f", checker=checker).verdict == "wrong_answer"
    )


SEEKERS = [
    """import sys
def texts():
    frame = sys._getframe()
    while frame is not None:
        yield from map(str, frame.f_locals.values())
        yield from map(str, frame.f_globals.values())
        frame = frame.f_back
""",
    """import gc
def texts():
    for found in gc.get_objects():
        values = found.values() if type(found) is dict else found if type(found) in (list, tuple) else ()
        yield from (value for value in [*values] if type(value) is str)
""",
    """def texts():
    for line in open('/proc/self/maps'):
        first, last = (int(part, 16) for part in line.split()[0].split('-'))
        if 'rw' in line:
            with open('/proc/self/mem', 'rb', 0) as memory:
                memory.seek(first)
                yield memory.read(last - first).decode('latin-1')
""",
]


@pytest.mark.parametrize("seeker", SEEKERS)
def test_what_test_code_expects_is_not_in_the_process_of_the_program(
    there: Callable[..., Verdict], seeker: str
) -> None:
    seek = """
def f(n):
    mark = 'wanted' + '_number = '
    for text in texts():
        for part in text.split(mark)[1:]:
            if part[:4].isdigit(): return int(part[:4])
    return n
"""
    test = CheckTest("import operator\nwanted_number = 1236\nassert operator.eq(f(3), wanted_number)")
    assert there(seeker + seek, test, entry_point="f").verdict == "wrong_answer"


SERVICE_ERROR = {"status": "SandboxError", "message": "no space left", "run_result": None}


@pytest.mark.parametrize("failure", [503, "drop", SERVICE_ERROR, [], {"status": "Success", "run_result": None}])
def test_a_fault_of_the_service_is_no_verdict_on_the_program(
    there: Callable[..., Verdict], service: Service, failure: Any
) -> None:
    service.failures = [failure] * 2
    assert there("print(6)", StdioTest("", "6")).passed
    service.failures = [failure] * 4
    verdict = there("print(6)", StdioTest("", "6"))
    assert verdict.verdict == "sandbox_fault"
    assert verdict.first_failure is not None
    assert f"{service.url} failed 4 times, at last with: " in verdict.first_failure.detail


@pytest.mark.parametrize("stdout", ["", "\nnonsense", "[1]"])
def test_a_driver_that_did_not_end_is_a_fault(there: Callable[..., Verdict], service: Service, stdout: str) -> None:
    service.failures = [
        {
            "status": "Success",
            "message": "",
            "run_result": {"status": "Finished", "return_code": 0, "stdout": stdout, "stderr": ""},
        }
    ]
    assert there("def f(n): return 6", CallTest((3,), 6), entry_point="f").verdict == "sandbox_fault"


@pytest.mark.parametrize(
    "odd",
    [
        {"return_code": "x"},
        {"return_code": 1e999},
        {"return_code": [3]},
        {"execution_time": "soon"},
        {"stdout": "\ud800"},
        {"status": []},
    ],
)
def test_an_answer_that_cannot_be_read_is_a_fault(
    there: Callable[..., Verdict], service: Service, odd: dict[str, Any]
) -> None:
    result = {"status": "Finished", "return_code": 0, "stdout": "6", "stderr": "", "execution_time": 0.1} | odd
    service.failures = [{"status": "Success", "message": "", "run_result": result}] * 4
    assert there("print(6)", StdioTest("", "6")).verdict == "sandbox_fault"


@pytest.mark.parametrize(
    "said", ["[" * 100_000, "{}", "[1]", '[{"exit_code": 1e999}]', '[{"exit_code": 0, "killed": 3}]']
)
def test_what_a_program_writes_in_the_name_of_the_driver_is_at_most_a_fault(
    there: Callable[..., Verdict], service: Service, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "0" * 2 * size)
    result = {"status": "Finished", "return_code": 0, "stdout": f"\n{'0' * 32}{said}\n", "stderr": ""}
    service.failures = [{"status": "Success", "message": "", "run_result": result}]
    assert there("def f(n): return 6", CallTest((3,), 6), entry_point="f").verdict == "sandbox_fault"


def test_a_service_that_is_not_there_is_a_fault_and_a_closed_client_an_error(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coderlplus.sandbox.backends.sandboxfusion._PAUSE_S", 0.01)
    problem = Problem(problem_id="p", statement="", tests=(StdioTest("", "6"),))
    rollout = Rollout(rollout_id="r", problem_id="p", program="print(6)")
    with SandboxFusion("http://127.0.0.1:9") as sandbox:
        verdict = Judge(sandbox).judge(problem, rollout)
    assert verdict.verdict == "sandbox_fault"
    with pytest.raises(SandboxError, match="closed"):
        Judge(sandbox).judge(problem, rollout)
    with pytest.raises(ConfigError, match="'localhost:8080' is not the URL"):
        SandboxFusion("localhost:8080")
