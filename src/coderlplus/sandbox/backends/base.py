"""What a back end of the sandbox is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from coderlplus.sandbox.protocol import AnySandbox


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
