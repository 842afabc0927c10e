"""The back end `local`: programs run on this machine, in `coderlplus.sandbox.Sandbox`."""

from __future__ import annotations

from coderlplus.sandbox.backends.base import BackEnd
from coderlplus.sandbox.pool import Sandbox

BACKEND = BackEnd(name="local", where="this machine", open=lambda workers, address: Sandbox(workers))
