"""`coderlplus serve`: the judge as an HTTP server that speaks SandboxFusion's protocol."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from coderlplus.cli.options import BACKEND, Address, BackEndName
from coderlplus.errors import ConfigError
from coderlplus.problems import read_problems
from coderlplus.records import Limits, Problem
from coderlplus.sandbox.backends import open_sandbox

TOKEN = "CODERLPLUS_TOKEN"
KEEP_ALIVE_S = 75  # longer than clients keep idle connections: a request on a connection just closed would be lost


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8080,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Programs run in parallel. [default: one per core]")
    ] = None,
    backend: BackEndName = BACKEND,
    address: Address = None,
    problems: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="Data set for /submit; repeatable.")
    ] = None,
    max_pending: Annotated[
        int, typer.Option(min=1, help="Maximum number of accepted programs; further requests get 503.")
    ] = 1024,
    max_body_mb: Annotated[int, typer.Option(min=1, help="Maximum request size, in MB.")] = 16,
    wall_s: Annotated[float, typer.Option(min=0.1, help="Maximum run_timeout of a request, in seconds.")] = 120.0,
    memory_mb: Annotated[int, typer.Option(min=16, help="Maximum memory of a program, in MB.")] = 1024,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Allow a non-loopback address without a token.")
    ] = False,
) -> None:
    """Serve the judge over HTTP: /run_code, /submit and prompts as SandboxFusion does, /judge, /health and /metrics.

    Clients send the token in the environment variable CODERLPLUS_TOKEN as `Authorization: Bearer TOKEN`. Ctrl-C or
    SIGTERM stops accepting, answers what was accepted, and ends.
    """
    token = os.environ.get(TOKEN) or None
    if token is None and not no_token and not _is_loopback(host):
        raise ConfigError(
            f"listening on {host} without a token lets anyone run programs here; set {TOKEN}, or pass --no-token on "
            "a trusted network"
        )
    data_sets = dict(_data_set(text) for text in problems or [])
    try:
        import uvicorn

        from coderlplus.serving.app import Server, Settings
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing; install it with pip install 'coderlplus[serve]'") from error
    listening = _listen(host, port)
    most = Limits(cpu_s=wall_s, wall_s=wall_s, memory_mb=memory_mb)
    settings = Settings(token=token, max_pending=max_pending, max_body_mb=max_body_mb, limits=most)
    with open_sandbox(backend, workers=workers, address=address) as sandbox:
        app = Server(sandbox, settings, data_sets).app()
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(wall_s) + 10,
        )
        server = uvicorn.Server(config)
        place = f"http://{host}:{listening.getsockname()[1]}"
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"serving on {place} with {sandbox.workers} workers"
        )
        server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections, so that a client which reads the address can connect."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port") from error


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _data_set(text: str) -> tuple[str, dict[str, Problem]]:
    name, equals, file = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--problems {text!r} is not NAME=FILE; for example --problems mine=problems.jsonl")
    return name, {problem.problem_id: problem for problem in read_problems(Path(file))}
