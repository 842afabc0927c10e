"""The back end `sandboxfusion`: a client for SandboxFusion (bytedance/SandboxFusion), for those who already run it. It
judges and cannot trace: the service does not set the hash seed of a run.

Programs are sent to `POST /run_code`; what comes back is compared here. A stdio test is one request: the program as
`code`, its input as `stdin`, and `run_result.stdout` is the answer. Tests that call functions, test code and checker
programs are one request for a batch: a driver (`fusion_driver.py`) that runs the same guests as our own sandbox, in
processes of their own.

What isolates a program is up to that service (`sandbox_fusion` stands in the verdict for all that it does): a program
is not kept from attacking the driver, which for check tests holds the test code. For stdio tests `wall_s` is the only
time limit, as the service knows no other.

A service that cannot be reached, answers with an error, with `SandboxError` or with nonsense is asked again, four
times in all with growing pauses; then the verdict is `sandbox_fault`.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import functools
import json
import os
import re
import secrets
import signal
import socket
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from coderlplus import syntax
from coderlplus.errors import ConfigError, SandboxError
from coderlplus.sandbox.backends import fusion_driver
from coderlplus.sandbox.forkserver import parse_replies
from coderlplus.sandbox.jobs import EndingName, Job, Outcome, ending_of
from coderlplus.sandbox.protocol import FORKED, AnySandbox, BackEnd
from coderlplus.sandbox.text import as_bytes

if TYPE_CHECKING:
    from http.client import HTTPConnection

_STDIO = "coderlplus.judge.guest:run_stdio"
_ATTEMPTS = 4
_PAUSE_S = 0.5
_CONNECT_S = 10.0
_START_S = 10.0
"""Time beyond the wall limit for the driver to start."""
_QUEUE_S = 120.0
"""Time beyond the run time that a request may wait in the service."""
_STARTED_MB = 256
"""What an interpreter has mapped before a program uses anything: the service takes its memory limit absolutely."""
_SERVED_BYTES = 1 << 20
"""Output beyond this is cut by the service."""
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading an answer may raise, which a program that has attacked the driver may have written."""
_FUTURE = re.compile(r"^from __future__ import .*\n", re.MULTILINE)


class SandboxFusion(AnySandbox):
    """Runs jobs on a SandboxFusion service (see `AnySandbox`). `workers` requests are made at the same time.

    Raises `ConfigError` for a URL that is none.
    """

    backend = "sandboxfusion"
    can_trace = False

    def __init__(self, url: str, *, workers: int = 16) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"{url!r} is not the URL of a SandboxFusion service; give one such as http://localhost:8080"
            )
        self._path = f"{parts.path.rstrip('/')}/run_code"
        self._host, self._is_tls = parts.netloc.rpartition("@")[2], parts.scheme == "https"
        self._pid = os.getpid()
        self._local = threading.local()
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="coderlplus-fusion")
        self._connections: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self._stopped = threading.Event()
        self.url = url
        self.workers = workers
        self.isolation: tuple[str, ...] = ("sandbox_fusion",)

    def call(self, function: Callable[..., Any], *arguments: Any, weight: float = 0.0) -> Future[Any]:
        """Run `function(execute, *arguments)` in a thread, as `Sandbox.call` does, but in the order of the calls."""
        if os.getpid() != self._pid:
            raise SandboxError(FORKED)
        if self._stopped.is_set():
            raise SandboxError("the sandbox is closed; create a new one")
        return self._threads.submit(function, self.execute, *arguments)

    def execute(self, job: Job) -> Outcome:
        """Run a job. What goes wrong on the way is an outcome `fault`, not an exception."""
        try:
            return self._scripts(job) if job.guest == _STDIO else self._driver(job)
        except _Fault as fault:
            detail = str(fault)
        except _UNREADABLE as error:
            detail = f"the answer of {self.url} cannot be read: {error!r}"
        return Outcome(ending="fault", detail=detail[:500], isolation=self.isolation)

    def close(self) -> None:
        """Give up what is waiting and break off the requests under way, whose verdicts are faults."""
        if os.getpid() != self._pid:  # the connections are those of another process
            return
        self._stopped.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connection in list(self._connections):
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(wait=True)

    def _scripts(self, job: Job) -> Outcome:
        """One request for each input, up to the first that does not end well."""
        program = job.payload["program"]
        if job.payload["setup_code"]:
            program = "".join(_FUTURE.findall(program)) + job.payload["setup_code"] + "\n" + _FUTURE.sub("\n", program)
        ending: EndingName = "returned"
        stdout, replies, wall_s, code = b"", [], 0.0, 0
        for stdin in job.payload["stdins"]:
            given = (job.stdin if stdin is None else as_bytes(stdin)).decode("utf-8", "surrogateescape")
            body = {"code": program, "stdin": given, "memory_limit_MB": job.limits.memory_mb + _STARTED_MB}
            result = self._request(body, job.limits.wall_s)
            printed = str(result.get("stdout") or "").encode("utf-8", "surrogateescape")
            wall_s += float(result.get("execution_time") or 0.0)
            ending, code = _script_ending(result, len(printed) > min(job.limits.output_kb << 10, _SERVED_BYTES - 1))
            if ending != "returned":
                break
            stdout += printed
            reply = _script_reply(result, str(result.get("stderr") or ""), program)
            replies.append(reply if "syntax_error" in reply else reply | {"stdout": len(stdout)})
            if reply.get("exit_code") != 0:
                break
        return Outcome(
            ending=ending,
            exit_code=code,
            replies=tuple(replies),
            stdout=stdout,
            wall_s=round(wall_s, 6),
            cpu_s=round(wall_s, 6),
            isolation=self.isolation,
        )

    def _driver(self, job: Job) -> Outcome:
        jobs = [each for each in (job, job.peer) if each is not None]
        token = secrets.token_hex(fusion_driver.TOKEN_BYTES // 2)
        wall_s = max(each.limits.wall_s for each in jobs)
        payloads = [json.dumps(each.payload) for each in jobs]  # ASCII: as many bytes as characters
        heads = [_for_driver(each, len(payload)) for each, payload in zip(jobs, payloads, strict=True)]
        given = f"{json.dumps(heads)}\n{''.join(reversed(payloads))}{token}"
        code = _driver_code(tuple(sorted(each.guest for each in jobs)))
        result = self._request({"code": code, "stdin": given}, wall_s + _START_S)
        lines = [line for line in str(result.get("stdout") or "").split("\n") if line.startswith(token)]
        if not lines:
            said = str(result.get("stderr") or "").strip().split("\n")[-1]
            raise _Fault(
                f"{self.url} did not run the driver to its end ({result.get('status')}, exit code "
                f"{result.get('return_code')}): {said}"
            )
        try:
            ended = json.loads(lines[-1][len(token) :])
            peer = None if job.peer is None else _outcome(job.peer, ended[1], None, self.isolation)
            return _outcome(job, ended[0], peer, self.isolation)
        except _UNREADABLE as error:
            raise _Fault(f"the answer of the driver at {self.url} cannot be read: {error!r}") from error

    def _request(self, body: dict[str, Any], run_s: float) -> dict[str, Any]:
        """`run_result` of one request, asked again while it fails by a fault of the service."""
        from http.client import HTTPException  # not at once: it takes a while, and few need it

        reason = ""
        for attempt in range(_ATTEMPTS):
            if attempt and self._stopped.wait(_PAUSE_S * 2 ** (attempt - 1)):
                break
            try:
                return _run_result(self._post(body | {"language": "python", "run_timeout": run_s}, run_s + _QUEUE_S))
            except (OSError, HTTPException, *_UNREADABLE, _Fault) as error:
                self._local.__dict__.pop("connection", None)
                reason = str(error) or repr(error)
        raise _Fault(f"{self.url} failed {_ATTEMPTS} times, at last with: {reason}")

    def _post(self, body: dict[str, Any], timeout_s: float) -> Any:
        connection = self._local.__dict__.get("connection")
        if connection is None:
            from http.client import HTTPConnection, HTTPSConnection

            kind = HTTPSConnection if self._is_tls else HTTPConnection
            connection = self._local.connection = kind(self._host)
            self._connections.add(connection)
        connection.timeout = timeout_s
        if connection.sock is not None:
            connection.sock.settimeout(timeout_s)
        data = json.dumps(body).encode()
        connection.request("POST", self._path, data, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise _Fault(f"HTTP {response.status} {response.reason}: {text[:200].decode('utf-8', 'replace')}")
        return json.loads(text)


class _Fault(Exception):
    """The service did not do what it is for."""


def _run_result(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or answer.get("status") not in ("Success", "Failed"):
        said = answer.get("message") or answer.get("status") if isinstance(answer, dict) else answer
        raise _Fault(f"the service reported {str(said)[:300]}")
    result = answer.get("run_result")
    if not isinstance(result, dict) or result.get("status") not in ("Finished", "TimeLimitExceeded"):
        raise _Fault(f"no result of the run in the answer: {str(answer)[:300]}")
    return result


def _script_ending(result: dict[str, Any], is_long: bool) -> tuple[EndingName, int]:
    """How the process of a script ended: `returned`, if it left something to read."""
    code = result.get("return_code")
    if is_long:
        return "output_limit", 0
    if result["status"] == "TimeLimitExceeded":
        return "time_limit", 0
    if isinstance(code, int) and (code < 0 or 128 < code < 128 + signal.NSIG):  # the latter by way of a shell
        return "signal", -code if code < 0 else code - 128
    if code and _last_line(str(result.get("stderr") or "")).startswith("MemoryError"):
        return "memory_limit", 0
    return "returned", 0


def _script_reply(result: dict[str, Any], stderr: str, program: str) -> dict[str, Any]:
    """As the guest says it: the exit code, and of an exception its class, message and line."""
    code = int(result.get("return_code") or 0) & 255
    name, _, message = _last_line(stderr).partition(": ")
    if code != 1 or not re.fullmatch(r"[\w.]+", name):
        return {"exit_code": code}
    if name in ("SyntaxError", "IndentationError", "TabError") and "Traceback" not in stderr:
        return {"syntax_error": f"{name}: {message}"}
    lines = re.findall(r"^  File \"[^\"]*\", line (\d+)", stderr, re.MULTILINE)
    raised = {"raised": name.rpartition(".")[2], "message": message, "line": int(lines[-1]) if lines else None}
    return {"exit_code": code} | (raised if "Traceback" in stderr else {})


def _last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]


@functools.cache
def _driver_code(guests: tuple[str, ...]) -> str:
    """The driver with the sources of the guest modules and of all that they import of this package."""
    sources: dict[str, str] = {}
    wanted = {guest.partition(":")[0] for guest in guests}
    while wanted:
        name = wanted.pop()
        path = _path(name)
        if path is None:
            continue
        sources[name] = path.read_text(encoding="utf-8")
        for node in ast.walk(syntax.parse(sources[name])):
            if isinstance(node, ast.ImportFrom):
                wanted |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)} - sources.keys()
    text = Path(fusion_driver.__file__).read_text(encoding="utf-8")
    return text.replace(
        'MODULES: dict[str, str] = globals().get("MODULES", {})\n', f"MODULES: dict[str, str] = {sources!r}\n"
    )


def _path(module: str) -> Path | None:
    """The file of a module of this package that is not a package itself."""
    package, *parts = module.split(".")
    path = Path(fusion_driver.__file__).parents[2].joinpath(*parts).with_suffix(".py")
    return path if package == "coderlplus" and parts and path.is_file() else None


def _for_driver(job: Job, payload_bytes: int) -> dict[str, Any]:
    return {
        "guest": job.guest,
        "payload_bytes": payload_bytes,
        "cpu_s": job.limits.cpu_s,
        "wall_s": job.limits.wall_s,
        "memory_bytes": job.limits.memory_mb << 20,
        "file_bytes": (max(job.limits.output_kb, job.reply_kb) << 10) + 1,
    }


def _outcome(job: Job, ended: dict[str, Any], peer: Outcome | None, isolation: tuple[str, ...]) -> Outcome:
    status, output_bytes = int(ended["exit_code"]), job.limits.output_kb << 10
    ending, code = ending_of(
        job,
        status,
        ended["cpu_s"],
        killed=ended["killed"],
        over_output=ended["stdout_bytes"] > output_bytes or status == -signal.SIGXFSZ,
        over_memory=status == 2,
        is_whole=status == 0,
    )
    return Outcome(
        ending=ending,
        exit_code=code,
        replies=tuple(parse_replies(base64.b64decode(ended["replies"]))),
        stdout=base64.b64decode(ended["stdout"])[:output_bytes],
        stderr=base64.b64decode(ended["stderr"]).decode("utf-8", "backslashreplace")[-4000:],
        cpu_s=round(float(ended["cpu_s"]), 6),
        wall_s=round(float(ended["wall_s"]), 6),
        peak_mb=round(float(ended["peak_kb"]) / 1024, 1),
        isolation=isolation,
        peer=peer,
    )


def _open(workers: int | None, address: str | None) -> SandboxFusion:
    """Raises `ConfigError` where nothing listens at the address."""
    sandbox = SandboxFusion(address or "", workers=workers or 16)
    parts = urlsplit(sandbox.url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_S).close()
    except (OSError, ValueError) as error:
        sandbox.close()
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot reach a SandboxFusion service at {address}: {reason}; is it running?") from error
    return sandbox


BACKEND = BackEnd(
    name="sandboxfusion",
    where="a SandboxFusion service",
    open=_open,
    address="http://localhost:8080",
    needs_address=True,
    can_trace=False,
)
