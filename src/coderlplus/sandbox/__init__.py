"""Runs untrusted programs: isolation layers, the fork server, the pool; and plain data for the values that come out.

    with Sandbox() as sandbox:
        outcome, = sandbox.run([Job(guest="coderlplus.judge.guest:echo", payload=...)])

`docs/sandbox.md` says what is guaranteed and what is not.
"""

from coderlplus.sandbox.jobs import Job, Outcome
from coderlplus.sandbox.layers import EXTRA_LAYERS, LAYERS
from coderlplus.sandbox.pool import Sandbox
from coderlplus.sandbox.protocol import AnySandbox

__all__ = ["EXTRA_LAYERS", "LAYERS", "AnySandbox", "Job", "Outcome", "Sandbox"]
