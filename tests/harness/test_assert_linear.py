"""That the harness finds what grows faster than its input."""

from __future__ import annotations

import pytest
from tests.harness.growth import assert_linear


def _loops(count: int) -> int:
    return sum(1 for _ in range(count))


def test_linear_work_passes() -> None:
    assert_linear(_loops, lambda size: size, start=500_000, doublings=3)


def test_quadratic_work_fails() -> None:
    with pytest.raises(AssertionError, match=r"more than linear|too slow"):
        assert_linear(lambda size: _loops(size * size // 1_000), lambda size: size, start=20_000, doublings=3)
