"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

collect_ignore = ["sandbox/attacks.py", "sandbox/settings.py"]
"""Scripts that tests start; they are no modules of tests, and the doctest collector need not import them."""

for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if (
        signal.getsignal(number) is signal.SIG_IGN
    ):  # as in the background of a shell: what tests start would inherit it
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real problems, recorded programs and hostile programs that the maintainers test with; users do not
    have it."""
    folder = Path(os.environ.get("CODERLPLUS_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("the maintainers' folder of recorded data is absent (set CODERLPLUS_SHARED to use one)")
    return folder
