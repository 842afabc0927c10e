"""The back ends of the sandbox: one file each, listed here. `open_sandbox` opens one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, overload

from coderlplus.errors import ConfigError, nearest
from coderlplus.sandbox.backends.local import BACKEND as LOCAL
from coderlplus.sandbox.backends.ray import BACKEND as RAY
from coderlplus.sandbox.backends.sandboxfusion import BACKEND as SANDBOXFUSION
from coderlplus.sandbox.pool import Sandbox
from coderlplus.sandbox.protocol import AnySandbox, BackEnd

__all__ = ["BACKENDS", "DEFAULT", "BackEnd", "check_backend", "open_sandbox", "tracing_sandbox"]

BACKENDS: dict[str, BackEnd] = {backend.name: backend for backend in (LOCAL, RAY, SANDBOXFUSION)}
DEFAULT = LOCAL.name


@overload
def open_sandbox(
    backend: Literal["local"] = "local", *, workers: int | None = None, address: None = None
) -> Sandbox: ...
@overload
def open_sandbox(backend: str, *, workers: int | None = None, address: str | None = None) -> AnySandbox: ...
def open_sandbox(backend: str = DEFAULT, *, workers: int | None = None, address: str | None = None) -> AnySandbox:
    """The sandbox in which programs run; use it in a `with` statement, which closes it.

    `local` runs programs on this machine; `workers` is how many run at the same time, by default one a core. `ray`
    runs them on all nodes of a Ray cluster: of the one at `address` (such as `auto`), or of the one that Ray is
    connected to; `workers` counts for each node. `sandboxfusion` sends them to the SandboxFusion service at the URL
    `address`; `workers` is the number of requests at the same time, by default 16. It judges but cannot trace.

    Raises `ConfigError` for another back end, or for an address that is missing, wrong or not used, and `SandboxError`
    if the sandbox cannot offer the isolation asked for.

    >>> from coderlplus import Judge, Problem, Rollout, StdioTest
    >>> problem = Problem(problem_id="p", statement="Print 1.", tests=(StdioTest("", "1"),))
    >>> with open_sandbox(workers=1) as sandbox:
    ...     Judge(sandbox).judge(problem, Rollout(rollout_id="r", problem_id="p", program="print(1)")).verdict
    'passed'
    >>> open_sandbox("docker")
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: unknown back end 'docker' of the sandbox; use local, ray, sandboxfusion
    """
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ConfigError(f"workers must be a whole number above 0, not {workers!r}")
    return check_backend(backend, address).open(workers, address)


def check_backend(name: str, address: str | None) -> BackEnd:
    """The back end of a name. Raises `ConfigError` for an unknown one, naming the nearest, and for an address that is
    missing or not used."""
    found = BACKENDS.get(name) if isinstance(name, str) else None
    if found is None:
        near = nearest(name, BACKENDS) if isinstance(name, str) else None
        meant = f"; did you mean {near}?" if near else f"; use {', '.join(BACKENDS)}"
        raise ConfigError(f"unknown back end {name!r} of the sandbox{meant}")
    if address is not None and not found.address:
        others = [f"{one.name} (such as {one.address})" for one in BACKENDS.values() if one.address]
        raise ConfigError(
            f"the back end {name} has no address, not {address!r}; leave it out, or set the back end to "
            f"{' or '.join(others)}"
        )
    if address is None and found.needs_address:
        raise ConfigError(f"the back end {name} needs an address, such as {found.address}")
    return found


@contextmanager
def tracing_sandbox(sandbox: AnySandbox, workers: int | None = None) -> Iterator[AnySandbox]:
    """The sandbox that traces for a judge on `sandbox`: itself, or where it cannot trace a local one with `workers`,
    open for the time of the `with` statement."""
    if sandbox.can_trace:
        yield sandbox
        return
    with Sandbox(workers) as local:
        yield local
