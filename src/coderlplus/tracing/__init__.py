"""What a program did: an instrumented run in the sandbox → `Trace`.

    with Sandbox() as sandbox:
        trace(sandbox, "x = int(input()) * 2", StdioInput("21\\n")).variables     # {"<module>": {"x": 42}}

`instrument`, `recorder`, `nondeterminism` and `guest` are the part that runs in the program's process;
`trace` is the part that runs here.
"""

from coderlplus.tracing.instrument import Semantics
from coderlplus.tracing.trace import TraceRequest, trace, trace_many

__all__ = ["Semantics", "TraceRequest", "trace", "trace_many"]
