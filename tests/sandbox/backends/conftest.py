"""The local judge and tracer, to which the other back ends are compared, and a Ray cluster on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from coderlplus.judge import Judge
from coderlplus.sandbox import Sandbox


@pytest.fixture(scope="session")
def local() -> Iterator[Sandbox]:
    with Sandbox(workers=2) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def judge(local: Sandbox) -> Judge:
    return Judge(local)


def small_node() -> dict[str, Any]:
    """Settings of a node. With its agents' ports fixed, Ray does not give up when they take more than 15 s to choose
    one (ray-project/ray#65983)."""
    names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}
    for one in sockets:
        one.close()
    return {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False} | ports


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a second node, and this process as a driver. A minute or more on two cores: by its own command
    only."""
    if not os.environ.get("CODERLPLUS_RAY"):
        pytest.skip("a cluster is started by `make test-ray` only")
    ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'coderlplus[ray]')")
    from ray.cluster_utils import Cluster

    try:
        cluster = Cluster(initialize_head=True, head_node_args=small_node())
        # before there is a second node, so that this process is connected through the head
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        cluster.second = cluster.add_node(**small_node())
    except Exception as error:  # Ray gives its processes 15 to 30 s, which a busy machine may not keep
        pytest.skip(f"Ray could not start two nodes here: {error}")
    yield cluster
    ray.shutdown()
    cluster.shutdown()
