"""Errors that a user of coderlplus can meet.

Every message is one sentence that names the value, the file and line where there is one, and the way out. A bad
*program* is never an error: it is data, and becomes a `Verdict`. An error means that the caller's input, the caller's
configuration, or our own sandbox is broken.
"""

from __future__ import annotations


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
