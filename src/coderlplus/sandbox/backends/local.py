"""The back end `local`: programs run on this machine, in `coderlplus.sandbox.Sandbox`."""

from __future__ import annotations

from coderlplus.sandbox.pool import Sandbox
from coderlplus.sandbox.protocol import BackEnd

BACKEND = BackEnd(name="local", where="this machine", open=lambda workers, address: Sandbox(workers))
