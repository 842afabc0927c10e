"""`open_sandbox`: the sandbox of a back end, on this machine, on a Ray cluster or on a SandboxFusion service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args, overload

from coderlplus.errors import ConfigError
from coderlplus.sandbox import Sandbox

if TYPE_CHECKING:
    from coderlplus.judge.ray import RaySandbox
    from coderlplus.judge.sandbox_fusion import SandboxFusion

BackEndName = Literal["local", "ray", "sandboxfusion"]


@overload
def open_sandbox(backend: Literal["local"] = "local", *, workers: int | None = None) -> Sandbox: ...
@overload
def open_sandbox(backend: Literal["ray"], *, workers: int | None = None, address: str | None = None) -> RaySandbox: ...
@overload
def open_sandbox(backend: Literal["sandboxfusion"], *, workers: int | None = None, address: str) -> SandboxFusion: ...
def open_sandbox(
    backend: BackEndName = "local", *, workers: int | None = None, address: str | None = None
) -> Sandbox | RaySandbox | SandboxFusion:
    """Open the sandbox in which programs run. Use it in a `with` statement, which closes it.

    `local` runs programs on this machine; `workers` is the number that run in parallel, by default one per core. `ray`
    runs them on all nodes of the Ray cluster at `address` (such as `auto`), or of the one that Ray is connected to;
    `workers` is per node. `sandboxfusion` sends them to the SandboxFusion service at the URL `address`; `workers` is
    the number of concurrent requests, by default 16. Only `local` can trace.

    Raises `ConfigError` for an unknown back end and for an address that is missing, wrong or unused, and
    `SandboxError` if the sandbox cannot offer the requested isolation.

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
    if backend == "local":
        if address is not None:
            raise ConfigError(f"the back end local has no address, not {address!r}; leave it out")
        return Sandbox(workers)
    if backend == "ray":
        from coderlplus.judge.ray import RaySandbox, connect

        if address is not None:
            connect(address)
        return RaySandbox(workers)
    if backend == "sandboxfusion":
        from coderlplus.judge.sandbox_fusion import SandboxFusion

        if address is None:
            raise ConfigError("the back end sandboxfusion needs the address of a service, as http://localhost:8080")
        return SandboxFusion(address) if workers is None else SandboxFusion(address, workers=workers)
    raise ConfigError(f"unknown back end {backend!r} of the sandbox; use {', '.join(get_args(BackEndName))}")
