"""A sandbox for the tests of the command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coderlplus.sandbox import Sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox
