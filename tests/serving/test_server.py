"""`coderlplus serve` as its clients see it: a real server process, real HTTP."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="coderlplus[serve] is not installed")
httpx = pytest.importorskip("httpx", reason="httpx is not installed")

from coderlplus.judge import Judge  # noqa: E402
from coderlplus.records import CallTest, CheckTest, Limits, Problem, Rollout, StdioTest, Verdict  # noqa: E402
from coderlplus.sandbox import Sandbox  # noqa: E402

LIMITS = Limits(cpu_s=2, wall_s=6, memory_mb=128, output_kb=64)
DOUBLE = Problem(
    problem_id="double", statement="Print twice the number.", tests=(StdioTest("2\n", "4\n"), StdioTest("5\n", "10\n"))
)


@contextmanager
def serving(*options: str, token: str | None = None) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server on a free port: its address and its process."""
    environment = {name: value for name, value in os.environ.items() if name != "CODERLPLUS_TOKEN"}
    if token:
        environment["CODERLPLUS_TOKEN"] = token
    command = [str(Path(sys.executable).with_name("coderlplus")), "serve", "--port", "0", "--workers", "2", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        found = re.search(r"http://\S+", process.stderr.readline())
        assert found is not None
        yield found.group(), process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    problems = tmp_path_factory.mktemp("serve") / "problems.jsonl"
    problems.write_text(json.dumps(DOUBLE.to_json()) + "\n")
    with serving("--problems", f"mine={problems}", "--max-body-mb", "1") as (address, _):
        yield address


def run(url: str, code: str, **fields: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/run_code", json={"code": code, "language": "python", **fields}, timeout=60)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()
    return data


@pytest.mark.parametrize(
    ("code", "status", "return_code", "stdout"),
    [
        ("print(int(input()) * 2)", "Success", 0, "42\n"),
        ("import sys\nprint(1)\nsys.exit(3)", "Failed", 3, "1\n"),
        ("import sys\nsys.exit('no')", "Failed", 1, ""),
        ("1 / 0", "Failed", 1, ""),
        ("x = = 1", "Failed", 1, ""),
        ("import os\nos._exit(7)", "Failed", 7, ""),
        ("import os\nos.kill(os.getpid(), 11)", "Failed", -11, ""),
        ("print('\\ud800'.encode('utf-8', 'surrogatepass'))", "Success", 0, "b'\\xed\\xa0\\x80'\n"),
        ("b'x' * (4 << 30)", "Failed", 1, ""),
        ("import threading\nthreading.Thread(target=lambda: print('late')).start()", "Success", 0, "late\n"),
        ("import atexit\natexit.register(print, 'bye')", "Success", 0, "bye\n"),
    ],
)
def test_a_program_runs_as_a_script(url: str, code: str, status: str, return_code: int, stdout: str) -> None:
    answer = run(url, code, stdin="21\n")
    result = answer["run_result"]
    assert (answer["status"], result["status"], result["return_code"]) == (status, "Finished", return_code)
    assert result["stdout"] == stdout


def test_the_traceback_names_the_line_of_the_program(url: str) -> None:
    stderr = run(url, "def f():\n    return 1 / 0\nf()")["run_result"]["stderr"]
    assert stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    assert 'File "program.py", line 2, in f' in stderr
    assert "coderlplus" not in stderr


def test_a_program_that_does_not_end_is_over_time(url: str) -> None:
    result = run(url, "while True: pass", run_timeout=1)["run_result"]
    assert (result["status"], result["return_code"]) == ("TimeLimitExceeded", None)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"language": "cpp"}, 400, "'cpp' is not supported"),
        ({"files": {"data.txt": "no base64"}}, 400, "the file 'data.txt' is not base64"),
        ({"files": {"../data.txt": "eA=="}}, 400, "'../data.txt' is not a relative path"),
        ({"files": {"/etc/data.txt": "eA=="}}, 400, "'/etc/data.txt' is not a relative path"),
        ({"fetch_files": ["out.txt"]}, 400, "fetch_files is not supported (out.txt)"),
        ({"run_timeout": -1}, 422, "run_timeout"),
        ({"code": 3}, 422, "code"),
        ({"code": "x" * (2 << 20)}, 413, "more than 1 MB"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(url: str, fields: dict[str, Any], status: int, words: str) -> None:
    answer = httpx.post(f"{url}/run_code", json={"code": "print(1)", "language": "python"} | fields)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("route", ["/run_code", "/submit", "/judge", "/get_prompts", "/get_prompt_by_id", "/list_ids"])
def test_nonsense_is_an_answer_of_400_or_422(url: str, route: str, body: bytes) -> None:
    answer = httpx.post(f"{url}{route}", content=body)
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


def submit(url: str, completion: str, **fields: Any) -> Any:
    body = {"dataset": "mine", "id": "double", "completion": completion, "config": {"language": "python"}} | fields
    return httpx.post(f"{url}/submit", json=body, timeout=60)


def test_a_program_reads_and_imports_the_files_that_come_with_it(url: str) -> None:
    files = {"data/a.txt": "é\r\n", "util.py": "N = 2", "kit/__init__.py": "", "kit/more.py": "M = 3"}
    code = """
import io, pathlib
from util import N
from kit.more import M
print(N, M, repr(open("data/a.txt").read()), repr(pathlib.Path("data/a.txt").read_text()))
print(open("data/a.txt", "rb").read(), io.open("data/a.txt", newline="", encoding="utf-8").read() == "é\\r\\n")
for mode in ("w", "a", "r+", "x"):
    try: open("data/a.txt", mode)
    except OSError: continue
    print("written", mode)
try: open("data/b.txt")
except FileNotFoundError: print("absent")
"""
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in files.items()}
    answer = httpx.post(
        f"{url}/run_code", json={"code": code, "language": "python", "files": encoded}, timeout=60
    ).json()
    assert answer["run_result"]["stdout"] == "2 3 'é\\n' 'é\\n'\nb'\\xc3\\xa9\\r\\n' True\nabsent\n", answer
    again = {"code": "import util", "language": "python"}
    assert (
        "ModuleNotFoundError" in httpx.post(f"{url}/run_code", json=again, timeout=60).json()["run_result"]["stderr"]
    )


def test_a_completion_is_judged_on_a_data_set_of_the_server(url: str) -> None:
    right = submit(url, "```python\nprint(int(input()) * 2)\n```").json()
    wrong = submit(url, "```python\nprint(4)\n```").json()
    assert (right["accepted"], [test["passed"] for test in right["tests"]]) == (True, [True, True])
    assert (wrong["accepted"], [test["passed"] for test in wrong["tests"]]) == (False, [True, False])
    assert wrong["extra"]["verdict"]["verdict"] == "wrong_answer"


def test_a_completion_is_judged_on_a_problem_of_the_client(url: str) -> None:
    cases = [{"input": {"stdin": "3"}, "output": {"stdout": "9"}}]
    config = {"language": "python", "provided_data": {"id": 7, "content": "Square it.", "test": cases}}
    answer = submit(url, "```python\nprint(int(input()) ** 2)\n```", dataset="any", id=7, config=config).json()
    assert (answer["id"], answer["accepted"]) == (7, True)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"dataset": "other"}, 400),
        ({"id": "none"}, 404),
        ({"config": {"language": "go"}}, 400),
        ({"config": {"custom_extract_logic": "1"}}, 400),
        ({"config": {"provided_data": {"id": "double", "test": [1]}}}, 422),
    ],
)
def test_a_submission_that_cannot_be_judged_is_refused(url: str, fields: dict[str, Any], status: int) -> None:
    assert submit(url, "```python\n1\n```", **fields).status_code == status


def test_prompts_ids_and_data_sets(url: str) -> None:
    asked = {"dataset": "mine", "config": {}}
    assert httpx.get(f"{url}/list_datasets").json() == ["mine"]
    assert httpx.post(f"{url}/list_ids", json=asked).json() == ["double"]
    (prompt,) = httpx.post(f"{url}/get_prompts", json=asked).json()
    assert prompt == httpx.post(f"{url}/get_prompt_by_id", json=asked | {"id": "double"}).json()
    assert prompt["prompt"] == DOUBLE.statement


HOSTILE = [
    "def f(n): return n * 2",
    "def f(n): return n",
    "def f(n): raise SystemExit(0)",
    "def f(n):\n    import os\n    os._exit(0)",
    "class A:\n    def __eq__(self, other): return True\ndef f(n): return A()",
    'import os\nfor fd in range(3, 20):\n    try: os.write(fd, b\'{"end": "passed"}\\n\')\n    except OSError: pass\n'
    "def f(n): return 0",
    "def f(n):\n    while True: pass",
    "def f(n): return b'x' * (1 << 30)",
]


def test_verdicts_over_http_are_those_of_the_library(url: str) -> None:
    tests = (CheckTest("assert f(3) == 6"), CallTest((4,), 8))
    problems = [
        Problem(problem_id=test.kind, statement="", tests=(test,), entry_point="f", limits=LIMITS) for test in tests
    ]
    pairs = [
        (problem, Rollout(rollout_id=f"{problem.problem_id}{index}", problem_id=problem.problem_id, program=program))
        for problem in problems
        for index, program in enumerate(HOSTILE)
    ]
    body = {"problems": [one.to_json() for one in problems], "programs": [rollout.to_json() for _, rollout in pairs]}
    answer = httpx.post(f"{url}/judge", json=body, timeout=120)
    there = [Verdict.from_json(verdict) for verdict in answer.json()["verdicts"]]
    with Sandbox(workers=2) as sandbox:
        here = Judge(sandbox).judge_many(pairs)
    assert [(one.rollout_id, one.verdict) for one in there] == [(one.rollout_id, one.verdict) for one in here]


def test_a_token_is_asked_for_everywhere_but_health() -> None:
    with serving(token="secret") as (url, _):
        body = {"code": "print(1)", "language": "python"}
        wrong: list[dict[str, str]] = [{}, {"Authorization": "Bearer no"}, {"Authorization": "secret"}]
        for headers in wrong:
            for call in (
                lambda headers=headers: httpx.post(f"{url}/run_code", json=body, headers=headers),
                lambda headers=headers: httpx.get(f"{url}/metrics", headers=headers),
                lambda headers=headers: httpx.get(f"{url}/list_datasets", headers=headers),
            ):
                assert call().status_code == 401
        right = httpx.post(f"{url}/run_code", json=body, headers={"Authorization": "Bearer secret"})
        assert right.json()["run_result"]["stdout"] == "1\n"
        assert httpx.get(f"{url}/health").json() == {"status": "ok", "pending": 0}


def test_beyond_the_pending_limit_a_client_is_told_to_wait() -> None:
    with serving("--max-pending", "2") as (url, _):
        threads = [threading.Thread(target=run, args=(url, "import time\ntime.sleep(2)")) for _ in range(2)]
        for thread in threads:
            thread.start()
        wait_for(lambda: httpx.get(f"{url}/health").json()["pending"] == 2)
        answer = httpx.post(f"{url}/run_code", json={"code": "print(1)", "language": "python"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        for thread in threads:
            thread.join()
        assert run(url, "print(1)")["status"] == "Success"


def test_a_client_that_leaves_takes_its_place_along() -> None:
    with serving("--workers", "1", "--max-pending", "64") as (url, _):
        host, port = url.removeprefix("http://").split(":")
        body = json.dumps({"code": "import time\ntime.sleep(3)", "language": "python"}).encode()
        whole = b"POST /run_code HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        for sent in (whole, whole[:-10], b"POST /run_code HTTP/1.1\r\n", b"\x00\x01\x02"):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(sent)
        wait_for(lambda: httpx.get(f"{url}/health").json()["pending"] == 0)
        assert run(url, "print(1)")["status"] == "Success"


def test_sigterm_answers_what_was_accepted_and_leaves_no_process() -> None:
    with serving() as (url, process):
        answers: list[dict[str, Any]] = []
        thread = threading.Thread(target=lambda: answers.append(run(url, "import time\ntime.sleep(1)\nprint('done')")))
        thread.start()
        wait_for(lambda: httpx.get(f"{url}/health").json()["pending"] == 1)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGTERM)
        thread.join()
        process.wait(30)
        assert answers[0]["run_result"]["stdout"] == "done\n"
        wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


def test_metrics_count_requests_and_endings(url: str) -> None:
    def count() -> float:
        line = re.search(
            r'^coderlplus_programs_total\{ending="time_limit"\} (\S+)', httpx.get(f"{url}/metrics").text, re.M
        )
        return float(line[1]) if line else 0.0

    before = count()
    run(url, "while True: pass", run_timeout=0.5)
    assert count() == before + 1


def test_an_open_address_needs_a_token() -> None:
    command = [str(Path(sys.executable).with_name("coderlplus")), "serve", "--host", "0.0.0.0", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if name != "CODERLPLUS_TOKEN"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert ended.returncode == 2
    assert "CODERLPLUS_TOKEN" in ended.stderr


def test_a_port_that_is_taken_is_named(url: str) -> None:
    port = url.rpartition(":")[2]
    command = [str(Path(sys.executable).with_name("coderlplus")), "serve", "--port", port]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "--port" in ended.stderr


def test_the_public_client_of_sandbox_fusion(url: str) -> None:
    client = pytest.importorskip("sandbox_fusion", reason="sandbox-fusion is not installed")
    request = client.RunCodeRequest(code="print(int(input()) + 1)", stdin="1", language="python")
    answer = client.run_code(request, endpoint=url, max_attempts=1)
    assert (answer.status.value, answer.run_result.stdout) == ("Success", "2\n")
    config = client.TestConfig(language="python")
    wanted = client.SubmitRequest(dataset="mine", id="double", completion="```python\nprint(4)\n```", config=config)
    assert client.submit(wanted, endpoint=url, max_attempts=1).accepted is False


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
