"""What the back end `ray` asks of Ray itself: a connection, actors, and what an error means."""

from __future__ import annotations

import os
import platform
import re
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from coderlplus import __version__
from coderlplus.errors import ConfigError

CONNECT_S = 10.0
_CONNECTING = threading.Lock()
"""Ray may be connected once; threads that open sandboxes at the same time share the connection."""


def import_ray() -> Any:
    """Raises `ConfigError` where it is not installed."""
    try:
        import ray
    except ImportError as error:
        raise ConfigError("Ray is not installed; pip install 'coderlplus[ray]'") from error
    return ray


def connect(address: str) -> None:
    """Connect Ray to the cluster at `address`, unless it is connected to that one, or to any for `auto`. Raises
    `ConfigError`."""
    ray = import_ray()
    with _CONNECTING:
        if ray.is_initialized():
            _check_connected(head_of(ray), address)
        else:
            _connect(ray, address)


def _connect(ray: Any, address: str) -> None:
    try:
        host, port = _host_and_port(_noted(address).rpartition("://")[2])
        if port:  # Ray itself tries for minutes
            reach(host, port)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, OverflowError, ValueError, RuntimeError, ImportError, ray.exceptions.RayError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()).rstrip(".:")
        way_out = "start one with ray start --head, or name another address"
        if "ersion" in reason:
            reason, way_out = _versions_in(reason), "install the same versions of both on all nodes and here"
        raise ConfigError(f"cannot connect to a Ray cluster at {address!r}: {reason}; {way_out}") from error


def reach(host: str, port: int) -> None:
    """Raises `OSError` if nothing listens there."""
    socket.create_connection((host.strip("[]"), port), timeout=CONNECT_S).close()


def _host_and_port(address: str) -> tuple[str, int]:
    """The port is 0 for what is no pair of both."""
    host, _, port = address.rpartition(":")
    return host, int(port) if host and port.isdecimal() else 0


def _check_connected(head: tuple[str, int] | None, address: str) -> None:
    """Raises `ConfigError` if `address` is host and port of another head. The same port on a name of this machine may
    be the same head.

    >>> _check_connected(("10.0.0.1", 6379), "10.0.0.1:6379")
    >>> _check_connected(("10.0.0.1", 6379), "auto")
    >>> _check_connected(("10.0.0.1", 6379), "10.0.0.2:6379")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: this process is connected to the Ray cluster at 10.0.0.1:6379, not to the one at ...
    """
    host, port = _host_and_port(address)
    if head is None or not port or "://" in address:
        return
    try:
        theirs, ours = socket.gethostbyname(host.strip("[]")), socket.gethostbyname(head[0])
    except (OSError, UnicodeError):
        theirs, ours = host, head[0]
    if port != head[1] or (theirs != ours and not any(each.startswith("127.") for each in (theirs, ours))):
        raise ConfigError(
            f"this process is connected to the Ray cluster at {head[0]}:{head[1]}, not to the one at {address!r}; "
            "leave the address out, or call ray.shutdown() first"
        )


def head_of(ray: Any) -> tuple[str, int] | None:
    """Host and port of the head of the cluster that Ray is connected to; `None` through a Ray Client."""
    try:
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        return host, int(port)
    except (AttributeError, ValueError):
        return None


def check_connection(ray: Any) -> None:
    """Raises `ConfigError` if this process has no connection to a cluster, or one of another process."""
    if not ray.is_initialized():
        raise ConfigError("not connected to a Ray cluster; give its address, such as auto, or call ray.init() first")
    if connection_of(ray) == _inherited:
        raise ConfigError(
            "this process has its connection to the Ray cluster by a fork, over which nothing arrives; start "
            "processes that use Ray with the method spawn"
        )


def _note_inherited() -> None:
    global _inherited
    with suppress(Exception):  # no Ray, or another module of that name
        _inherited = connection_of(sys.modules["ray"])


_inherited: str | None = None
"""The connection that was there when this process was forked."""
os.register_at_fork(after_in_child=_note_inherited)


def connection_of(ray: Any) -> str | None:
    """The id of this process's connection to a cluster; `None` without one, and empty through a Ray Client."""
    if not ray.is_initialized():
        return None
    from ray.runtime_context import get_runtime_context  # ray.get_runtime_context() may start a cluster

    return getattr(get_runtime_context().worker, "worker_id", b"").hex()


def _noted(address: str) -> str:
    """What `auto` stands for: the cluster of `RAY_ADDRESS`, or the one that Ray noted last, which may be gone."""
    noted = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    if address != "auto":
        return address
    return os.environ.get("RAY_ADDRESS") or (noted.read_text().strip() if noted.is_file() else address)


def _versions_in(reason: str) -> str:
    """Ray's message on versions that differ, as part of a sentence.

    >>> _versions_in("Version mismatch: The cluster was started with: Ray: 2.9.0 Python: 3.10.1 This process on node "
    ...     "10.0.0.1 was started with: Ray: 2.52.1 Python: 3.11.4")
    'it has Ray 2.9.0 and Python 3.10.1, this process Ray 2.52.1 and Python 3.11.4'
    """
    found = re.findall(r"(?:Ray|Python): (\S+)", reason)
    if len(found) != 4:
        return reason
    return f"it has Ray {found[0]} and Python {found[1]}, this process Ray {found[2]} and Python {found[3]}"


def versions() -> tuple[str, str]:
    """What must be the same on all nodes: the versions of coderlplus and of Python, the latter without the last
    part."""
    return __version__, ".".join(platform.python_version_tuple()[:2])


def node_class() -> type[Any]:
    """The class of the actor of one node. It is made in a function because Ray then sends its code instead of its
    name, so that a node with another version of coderlplus, or without it, can say so."""

    class NodeSandbox:
        def start(
            self,
            driver: tuple[str, str],
            workers: int | None,
            layers: Sequence[str] | None,
            allow_missing: Sequence[str] | None,
        ) -> tuple[int, tuple[str, ...]]:
            """Workers and layers in force. Raises `SandboxError`, and `RuntimeError` with the versions that differ
            from those of the driver."""
            import importlib
            import platform

            ours, python = driver
            try:
                theirs = importlib.import_module("coderlplus").__version__
            except ImportError as error:
                raise RuntimeError(f"coderlplus {ours} is not installed there ({error})") from None
            theirs_python = ".".join(platform.python_version_tuple()[:2])
            if (theirs, theirs_python) != driver:
                raise RuntimeError(
                    f"it has coderlplus {theirs} and Python {theirs_python}, this process coderlplus {ours} and "
                    f"Python {python}"
                )
            from ray import cloudpickle

            pool = importlib.import_module("coderlplus.sandbox.pool")
            node = importlib.import_module("coderlplus.sandbox.backends.ray_node")
            sandbox = pool.Sandbox(workers, layers=layers, allow_missing=allow_missing)
            self.work = node.NodeWork(sandbox, cloudpickle.dumps, cloudpickle.loads)
            return sandbox.workers, sandbox.isolation

        def pid(self) -> int:
            import os

            return os.getpid()

        def exchange(self, calls: Any, problems: Any, pause_s: float) -> Any:
            """See `NodeWork`."""
            return self.work.exchange(calls, problems, pause_s)

    return NodeSandbox


def raised(error: BaseException) -> BaseException | None:
    """The error that the actor itself raised; `None` if it or its node is gone, or had no room for its answer."""
    from ray.exceptions import RayTaskError

    return error.cause if isinstance(error, RayTaskError) and not has_no_room(error) else None


def has_no_room(error: BaseException) -> bool:
    """Whether there was no memory and no disk for an answer."""
    from ray.exceptions import ObjectStoreFullError, OutOfDiskError

    return isinstance(getattr(error, "cause", error), ObjectStoreFullError | OutOfDiskError)
