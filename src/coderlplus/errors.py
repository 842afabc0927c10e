"""Errors that a user of coderlplus can meet.

Every message is one sentence that names the value, the file and line where there is one, and the way out. A bad
*program* is never an error: it is data, and becomes a `Verdict`. An error means that the caller's input, the caller's
configuration, or our own sandbox is broken.
"""

from __future__ import annotations

from collections.abc import Iterable


class CodeRLPlusError(Exception):
    """Base of all errors raised on purpose by this package; the command line prints its message and exits with 2."""


class ConfigError(CodeRLPlusError, ValueError):
    """A setting is unknown, of the wrong type, or out of range."""


class DataError(CodeRLPlusError, ValueError):
    """A file or record that the caller gave cannot be used: broken JSON, a missing field, a problem without tests."""


class NoTestsError(DataError):
    """A problem without tests: any program would pass."""


class SandboxError(CodeRLPlusError, RuntimeError):
    """Our own sandbox is broken or cannot offer the isolation asked for. It is never turned into a reward."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, for "did you mean"; `None` where none is near. Case, and `_` for `-`, do not
    count.

    >>> nearest("temprature", ["top_p", "temperature"])
    'temperature'
    """
    import difflib  # not at once: every process of the sandbox reads this file

    known = {_plain(each): each for each in sorted(names)}
    close = difflib.get_close_matches(_plain(name)[:200], known, n=1, cutoff=0.5)
    return known[close[0]] if close else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-")
