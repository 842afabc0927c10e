"""SandboxFusion's requests and answers, as its public clients send and read them.

Fields that a request may have and this server cannot honour (`fetch_files`, another language) are refused by name,
never ignored.
"""

from __future__ import annotations

import base64
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from coderlplus.records import Limits, Problem, StdioTest, Verdict
from coderlplus.sandbox import Outcome

LANGUAGES = ("python",)


class _Request(BaseModel):
    model_config = ConfigDict(extra="ignore")  # clients differ in what they add


class RunCodeRequest(_Request):
    """`POST /run_code`. `compile_timeout` is accepted and has no effect: Python is not compiled apart."""

    code: str
    language: str
    stdin: str | None = None
    run_timeout: float = Field(default=10, gt=0)
    """Wall time in seconds."""
    compile_timeout: float = 10
    memory_limit_MB: int = -1
    """Memory beyond that of the interpreter; -1 is the server's limit."""
    files: dict[str, str | None] = {}
    """Relative path → base64: what the program can open for reading and import."""
    fetch_files: list[str] = []


class Config(_Request):
    """What a client says of a data set. `provided_data` is a problem of SandboxFusion's common form."""

    language: str | None = None
    locale: str | None = None
    run_timeout: float | None = Field(default=None, gt=0)
    provided_data: list[dict[str, Any]] | dict[str, Any] | None = None
    custom_extract_logic: str | None = None


class PromptsRequest(_Request):
    """`POST /get_prompts` and `/list_ids`."""

    dataset: str
    config: Config = Field(default_factory=Config)
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=1_000_000, ge=0)


class PromptByIdRequest(_Request):
    """`POST /get_prompt_by_id`."""

    dataset: str
    id: int | str
    config: Config = Field(default_factory=Config)


class SubmitRequest(_Request):
    """`POST /submit`."""

    dataset: str
    id: int | str
    completion: str
    config: Config = Field(default_factory=Config)


def unsupported(request: RunCodeRequest) -> str | None:
    """Why a request cannot be run here, or `None`."""
    if request.language not in LANGUAGES:
        return f"language {request.language!r} is not supported; this server runs {', '.join(LANGUAGES)}"
    if request.fetch_files:
        named = ", ".join(request.fetch_files[:5])
        return f"fetch_files is not supported ({named}): programs here cannot write files; print what you need"
    for name, content in request.files.items():
        if not name or name.startswith("/") or ".." in name.split("/"):
            return f"the file {name!r} is not a relative path below the folder of the program"
        try:
            base64.b64decode(content or "", validate=True)
        except ValueError:
            return f"the content of the file {name!r} is not base64"
    return None


def limits_of(run_timeout_s: float | None, memory_limit_mb: int, most: Limits) -> Limits:
    """The limits of one run: what the client asks for, at most what the server allows. CPU time is bounded by the same
    number of seconds as wall time."""
    wall_s = min(run_timeout_s or most.wall_s, most.wall_s)
    memory_mb = most.memory_mb if memory_limit_mb <= 0 else min(memory_limit_mb, most.memory_mb)
    return Limits(cpu_s=min(wall_s, most.cpu_s), wall_s=wall_s, memory_mb=memory_mb, output_kb=most.output_kb)


def run_answer(outcome: Outcome, limits: Limits) -> dict[str, Any]:
    """The answer to `/run_code`."""
    stdout = outcome.stdout.decode("utf-8", "replace")
    if outcome.ending == "fault":
        return _answer("SandboxError", outcome.detail, None)
    status, stderr = "Finished", outcome.stderr
    code: int | None = _return_code(outcome)
    if outcome.ending == "time_limit":
        status, code = "TimeLimitExceeded", None
    elif outcome.ending == "memory_limit":
        code, stderr = 1, f"{stderr}\nMemoryError: more than {limits.memory_mb} MB".lstrip("\n")
    elif outcome.ending == "output_limit":
        code, stderr = 1, f"{stderr}\nOSError: more than {limits.output_kb} kB of output".lstrip("\n")
    result = {"status": status, "execution_time": round(outcome.wall_s, 6), "return_code": code}
    result |= {"stdout": stdout, "stderr": stderr}
    return _answer("Success" if code == 0 else "Failed", "", result)


def _return_code(outcome: Outcome) -> int:
    if outcome.ending == "signal":
        return -outcome.exit_code
    if outcome.ending == "exited":
        return outcome.exit_code
    reply = outcome.replies[-1] if outcome.replies else None
    code = reply.get("exit_code") if isinstance(reply, dict) else None
    return code if type(code) is int and 0 <= code < 256 else 1


def _answer(
    status: Literal["Success", "Failed", "SandboxError"], message: str, run: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "status": status,
        "message": message,
        "compile_result": None,
        "run_result": run,
        "executor_pod_name": None,
        "files": {},
    }


def prompt_answer(problem: Problem) -> dict[str, Any]:
    """One of `/get_prompts`."""
    return {"id": problem.problem_id, "prompt": problem.statement, "labels": {"source": problem.source}}


def submit_answer(problem_id: int | str, program: str | None, verdict: Verdict) -> dict[str, Any]:
    """The answer to `/submit`, with the verdict in `extra`. Tests after the first failure are not run nor listed."""
    failure = verdict.first_failure
    passed = [_case(True, "Success", "")] * verdict.tests_passed
    failed = [] if failure is None else [_case(False, "Failed", f"{failure.verdict}: {failure.detail}")]
    return {
        "id": problem_id,
        "accepted": verdict.passed,
        "extracted_code": program or "",
        "full_code": program or "",
        "tests": passed + failed,
        "extra": {"verdict": verdict.to_json()},
    }


def _case(is_passed: bool, status: Literal["Success", "Failed"], message: str) -> dict[str, Any]:
    return {"passed": is_passed, "exec_info": _answer(status, message, None), "test_info": None}


def provided_problem(request: SubmitRequest, most: Limits) -> Problem | None:
    """The problem that a request brings along (`provided_data` in SandboxFusion's common form: `test` is a list of
    `{"input": {"stdin"}, "output": {"stdout"}}`), or `None`. Raises `ValueError` if it cannot be read."""
    data = request.config.provided_data
    rows = [data] if isinstance(data, dict) else data or []
    row = next((row for row in rows if str(row.get("id", request.id)) == str(request.id)), None)
    if row is None:
        return None
    cases = row.get("test") or row.get("tests")
    if not isinstance(cases, list) or not cases:
        raise ValueError("provided_data needs a list 'test' of {'input': {'stdin'}, 'output': {'stdout'}}")
    tests = []
    for number, case in enumerate(cases):
        streams = [case.get(name) if isinstance(case, dict) else None for name in ("input", "output")]
        if not all(isinstance(stream, dict) for stream in streams):
            raise ValueError(f"test {number} of provided_data needs 'input' and 'output' objects")
        stdin, stdout = streams[0].get("stdin", ""), streams[1].get("stdout", "")  # type: ignore[union-attr]
        if not isinstance(stdin, str) or not isinstance(stdout, str):
            raise ValueError(f"test {number} of provided_data: stdin and stdout must be text")
        tests.append(StdioTest(stdin, stdout))
    limits = limits_of(request.config.run_timeout, -1, most)
    statement = str(row.get("content", ""))
    return Problem(problem_id=str(request.id), statement=statement, tests=tuple(tests), limits=limits)
