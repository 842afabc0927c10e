"""The end of a run, for the judge's and the tracer's guest alike. Standard library only: it runs in the sandbox."""

from __future__ import annotations

import gc

_FINALIZES = ("__del__", "yield", "weakref", "open", "IO", "Writer")
collect = gc.collect


def leaves_finalizers(program: str) -> bool:
    """Whether a program may leave objects whose finalizers print when the interpreter ends. Collecting costs time, so
    others are not collected.

    >>> leaves_finalizers("print(1)"), leaves_finalizers("def f():\\n    yield 1")
    (False, True)
    """
    return any(word in program for word in _FINALIZES)
