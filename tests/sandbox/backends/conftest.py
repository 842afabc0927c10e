"""The local judge and tracer, to which the other back ends are compared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coderlplus.judge import Judge
from coderlplus.sandbox import Sandbox


@pytest.fixture(scope="session")
def local() -> Iterator[Sandbox]:
    with Sandbox(workers=2) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def judge(local: Sandbox) -> Judge:
    return Judge(local)
