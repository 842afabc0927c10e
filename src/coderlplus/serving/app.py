"""The routes: one sandbox, one judge, as many clients as the limits allow.

Back-pressure: at most `max_pending` programs are accepted at a time. Beyond that a request is answered with 503 and
`Retry-After`, before its program is read into the queue.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from coderlplus.errors import DataError, SandboxError
from coderlplus.judge import Judge
from coderlplus.programs import extract_program
from coderlplus.records import Limits, Problem, Rollout
from coderlplus.sandbox import AnySandbox, Job, Outcome
from coderlplus.sandbox.protocol import run_job
from coderlplus.serving.metrics import Metrics
from coderlplus.serving.protocol import (
    PromptByIdRequest,
    PromptsRequest,
    RunCodeRequest,
    SubmitRequest,
    limits_of,
    prompt_answer,
    provided_problem,
    run_answer,
    submit_answer,
    unsupported,
)

RETRY_AFTER_S = 1
MOST = Limits(cpu_s=60, wall_s=120, memory_mb=1024, output_kb=1024)
"""The most that a client may ask for."""

_Body = TypeVar("_Body", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server allows."""

    token: str | None = None
    """Clients send it as `Authorization: Bearer TOKEN`; `None` asks for none."""
    max_pending: int = 1024
    """Programs accepted at a time; beyond that clients get 503."""
    max_body_mb: int = 16
    limits: Limits = MOST


class Server:
    """Answers requests with one sandbox. `data_sets` maps a name to its problems, by id."""

    def __init__(
        self, sandbox: AnySandbox, settings: Settings, data_sets: Mapping[str, Mapping[str, Problem]] | None = None
    ) -> None:
        self.settings = settings
        self.data_sets = data_sets or {}
        self.metrics = Metrics()
        self._sandbox = sandbox
        self._judge = Judge(sandbox)
        self._pending = 0

    def app(self) -> Starlette:
        """The ASGI application."""
        routes = {
            "/run_code": self._run_code,
            "/submit": self._submit,
            "/judge": self._judge_batch,
            "/get_prompts": self._get_prompts,
            "/get_prompt_by_id": self._get_prompt_by_id,
            "/list_ids": self._list_ids,
        }
        posts = [Route(path, self._handled(path, handler), methods=["POST"]) for path, handler in routes.items()]
        gets = [
            Route("/v1/ping", self._ping),
            Route("/health", self._health),
            Route("/metrics", self._metrics),
            Route("/list_datasets", self._handled("/list_datasets", self._list_data_sets)),
        ]
        return Starlette(routes=posts + gets, exception_handlers={HTTPException: _http_error})

    def _handled(self, route: str, handler: Callable[[Request], Awaitable[Any]]) -> Callable[..., Awaitable[Response]]:
        """`handler` behind the token; every error is one sentence of JSON."""

        async def answer(request: Request) -> Response:
            began = time.perf_counter()
            status = 200
            try:
                self._authorize(request)
                return _json(await handler(request))
            except HTTPException as error:
                status = error.status_code
                return _http_error(request, error)
            except (SandboxError, DataError) as error:
                status = 503 if isinstance(error, SandboxError) else 422
                return _json({"detail": str(error)}, status)
            except ClientDisconnect:
                status = 499
                return Response(status_code=499)
            finally:
                self.metrics.requests.labels(route, str(status)).inc()
                self.metrics.seconds.labels(route).observe(time.perf_counter() - began)

        return answer

    def _authorize(self, request: Request) -> None:
        if self.settings.token is None:
            return
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not hmac.compare_digest(given.encode(), self.settings.token.encode()):
            raise HTTPException(401, "wrong or missing token; send it as 'Authorization: Bearer TOKEN'")

    @contextmanager
    def _accepted(self, count: int = 1) -> Any:
        """Places for `count` programs, or 503."""
        most = self.settings.max_pending
        if self._pending + count > most and self._pending:
            raise _busy(f"{self._pending} programs are waiting, the maximum is {most}; try again later")
        self._pending += count
        self.metrics.in_flight.set(self._pending)
        try:
            yield
        finally:
            self._pending -= count
            self.metrics.in_flight.set(self._pending)

    async def _run_code(self, request: Request) -> Any:
        body = await self._body(request, RunCodeRequest)
        reason = unsupported(body)
        if reason is not None:
            raise HTTPException(400, reason)
        limits = limits_of(body.run_timeout, body.memory_limit_MB, self.settings.limits)
        job = Job(
            guest="coderlplus.serving.guest:run_script",
            payload={"program": body.code, "files": {name: text or "" for name, text in body.files.items()}},
            stdin=(body.stdin or "").encode("utf-8", "surrogateescape"),
            limits=limits,
        )
        with self._accepted():
            outcome: Outcome = await self._finished(self._sandbox.call(run_job, job, weight=limits.cpu_s), request)
        self.metrics.endings.labels(outcome.ending).inc()
        return run_answer(outcome, limits)

    async def _submit(self, request: Request) -> Any:
        body = await self._body(request, SubmitRequest)
        if body.config.language not in (None, "python"):
            raise HTTPException(400, f"language {body.config.language!r} is not supported; this server judges python")
        if body.config.custom_extract_logic:
            raise HTTPException(400, "custom_extract_logic is client code and is not run; leave it out")
        try:
            problem = provided_problem(body, self.settings.limits) or self._problem(body.dataset, body.id)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        program = extract_program(body.completion)
        given = {"completion": ""} if program is None else {"program": program}
        rollout = Rollout(rollout_id="submit", problem_id=problem.problem_id, **given)
        with self._accepted():
            verdict = await self._judge.judge_async(problem, rollout)
        self.metrics.endings.labels(verdict.verdict).inc()
        if verdict.verdict == "sandbox_fault":
            raise _busy(verdict.first_failure.detail if verdict.first_failure else "the sandbox failed")
        return submit_answer(body.id, program, verdict)

    async def _judge_batch(self, request: Request) -> Any:
        """Our own records: `{"problems": [problem], "programs": [program]}` → `{"verdicts": [verdict]}`, in order."""
        data = await self._read(request)
        lists = [data.get(name) if isinstance(data, dict) else None for name in ("problems", "programs")]
        if not all(isinstance(each, list) for each in lists):
            raise HTTPException(422, 'send {"problems": [...], "programs": [...]}')
        most = self.settings.limits
        given = map(Problem.from_json, _objects(data["problems"]))
        problems = {one.problem_id: replace(one, limits=_at_most(one.limits, most)) for one in given}
        rollouts = [Rollout.from_json(row) for row in _objects(data["programs"])]
        for rollout in rollouts:
            if rollout.problem_id not in problems:
                raise HTTPException(422, f"no problem has the id {rollout.problem_id!r}")
        with self._accepted(len(rollouts)):
            judging = [self._judge.judge_async(problems[rollout.problem_id], rollout) for rollout in rollouts]
            verdicts = await asyncio.gather(*judging)
        for verdict in verdicts:
            self.metrics.endings.labels(verdict.verdict).inc()
        return {"verdicts": [verdict.to_json() for verdict in verdicts]}

    async def _get_prompts(self, request: Request) -> Any:
        return list(map(prompt_answer, await self._listed(request)))

    async def _get_prompt_by_id(self, request: Request) -> Any:
        body = await self._body(request, PromptByIdRequest)
        return prompt_answer(self._problem(body.dataset, body.id))

    async def _list_ids(self, request: Request) -> Any:
        return [problem.problem_id for problem in await self._listed(request)]

    async def _listed(self, request: Request) -> list[Problem]:
        body = await self._body(request, PromptsRequest)
        return list(self._data_set(body.dataset).values())[body.offset : body.offset + body.limit]

    async def _list_data_sets(self, _: Request) -> Any:
        return sorted(self.data_sets)

    async def _ping(self, _: Request) -> Response:
        return _json("pong")

    async def _health(self, _: Request) -> Response:
        return _json({"status": "ok", "pending": self._pending})

    async def _metrics(self, request: Request) -> Response:
        try:
            self._authorize(request)
        except HTTPException as error:
            return _http_error(request, error)
        return PlainTextResponse(self.metrics.text(), media_type="text/plain; version=0.0.4")

    def _data_set(self, name: str) -> Mapping[str, Problem]:
        if name not in self.data_sets:
            known = ", ".join(sorted(self.data_sets)) or "none; start the server with --problems NAME=FILE"
            raise HTTPException(400, f"no data set {name!r}; known here: {known}")
        return self.data_sets[name]

    def _problem(self, data_set: str, problem_id: int | str) -> Problem:
        problems = self._data_set(data_set)
        if str(problem_id) not in problems:
            raise HTTPException(404, f"data set {data_set!r} has no problem {problem_id!r}")
        return problems[str(problem_id)]

    async def _body(self, request: Request, kind: type[_Body]) -> _Body:
        try:
            return kind.model_validate(await self._read(request))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the body"
            raise HTTPException(422, f"{place}: {first['msg']}") from error

    async def _read(self, request: Request) -> Any:
        """The JSON of a request, read up to the size that is allowed."""
        most = self.settings.max_body_mb << 20
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > most:
                raise HTTPException(413, f"the request has more than {self.settings.max_body_mb} MB")
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, f"the request is not JSON: {str(error)[:200]}") from error

    async def _finished(self, future: Future[Any], request: Request) -> Any:
        """The result of `future`. A program that has not started when its client is gone is not run."""
        waiting = asyncio.wrap_future(future)
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=1.0)
            if done:
                return waiting.result()
            if await request.is_disconnected() and future.cancel():
                raise ClientDisconnect


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Starlette's own JSON answer cannot hold the lone surrogates that a program may print."""
    return Response(json.dumps(value), status, headers, "application/json")


def _objects(rows: Sequence[Any]) -> list[Mapping[str, Any]]:
    for row in rows:
        if not isinstance(row, dict):
            raise HTTPException(422, f"problems and programs must be objects, not {str(row)[:60]!r}")
    return list(rows)


def _at_most(limits: Limits, most: Limits) -> Limits:
    names = ("cpu_s", "wall_s", "memory_mb", "output_kb")
    return Limits(**{name: min(getattr(limits, name), getattr(most, name)) for name in names})


def _busy(detail: str) -> HTTPException:
    return HTTPException(503, detail, {"Retry-After": str(RETRY_AFTER_S)})


def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"detail": error.detail}, error.status_code, headers=error.headers)
