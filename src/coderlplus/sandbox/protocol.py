"""What a sandbox of any back end is, and what can be asked of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, Self

from coderlplus.errors import SandboxError
from coderlplus.sandbox.jobs import Job, Outcome

FORKED = "a sandbox does not survive a fork; create one in each process"
"""What `call` raises in a process that inherited the sandbox; no thread would ever run what it takes there."""


class AnySandbox(Protocol):
    """A sandbox of any back end: what judging, tracing and mining need of it.

    `backend` is its name, `workers` the number of jobs that it runs at the same time (at least 1), `isolation` the
    layers in force, and `can_trace` whether it keeps to the hash seed of a job, which tracing needs.
    """

    backend: str
    workers: int
    isolation: tuple[str, ...]
    can_trace: bool

    def call(self, function: Callable[..., Any], *arguments: Any, weight: float = 0.0) -> Future[Any]:
        """Run `function(execute, *arguments)` where `execute(job)` runs jobs, heavier calls first. `function` and
        `arguments` must be picklable. Raises `SandboxError` if the sandbox is closed or was inherited by a fork."""

    def close(self) -> None:
        """End what runs; the sandbox cannot be used any more."""

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """The outcomes of the jobs, in order."""
        futures: list[Future[Outcome]] = [self.call(run_job, job) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackEnd:
    """A back end; `backends.BACKENDS` lists them.

    `open(workers, address)` makes its sandbox; `None` is its own default. `where` says in a phrase where programs run.
    `address` is an example of an address, empty where it has none; with `needs_address` one must be given.
    `can_trace`: see `AnySandbox`.
    """

    name: str
    where: str
    open: Callable[[int | None, str | None], AnySandbox]
    address: str = ""
    needs_address: bool = False
    can_trace: bool = True


def run_job(execute: Callable[[Job], Outcome], job: Job) -> Outcome:
    """One job, for `AnySandbox.call`."""
    return execute(job)


def check_can_trace(sandbox: AnySandbox) -> None:
    """Raises `SandboxError` for a sandbox that cannot trace."""
    if not sandbox.can_trace:
        raise SandboxError(
            f"the back end {sandbox.backend} judges programs but cannot trace them; trace on the back end local or "
            "ray, such as open_sandbox()"
        )
