"""What a Ray cluster can be wrong about, and what can fail in it: one sentence each, and nothing is lost or judged
twice."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import ConfigError, SandboxError
from coderlplus.judge import Judge
from coderlplus.records import CallTest, Limits, Problem, Rollout, write_jsonl
from coderlplus.sandbox import Job
from coderlplus.sandbox.backends.ray import RaySandbox
from coderlplus.sandbox.backends.ray_cluster import connect, node_class, versions

from .conftest import small_node

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'coderlplus[ray]')")

PROBLEM = Problem(
    problem_id="p",
    statement="",
    entry_point="f",
    tests=tuple(CallTest((n,), 2 * n) for n in range(3)),
    limits=Limits(wall_s=60),
)
ABSENT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "coderlplus":
            raise ModuleNotFoundError("No module named 'coderlplus'", name="coderlplus")

sys.meta_path.insert(0, Absent())
"""
WITHOUT_LANDLOCK = """
import ctypes, struct

prctl = ctypes.CDLL(None).prctl
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
program = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(code)))
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, program, 0, 0) == 0
"""
"""A seccomp filter under which the kernel says of Landlock's first system call that there is none."""


def pairs(*programs: str) -> list[tuple[Problem, Rollout]]:
    return [
        (PROBLEM, Rollout(rollout_id=str(index), problem_id="p", program=program))
        for index, program in enumerate(programs)
    ]


def programs(count: int, seconds: float = 0.0) -> list[str]:
    return [
        f"import time\ndef f(n):\n    time.sleep({seconds})\n    return 2 * n  # {index}" for index in range(count)
    ]


@contextmanager
def another_node(cluster: Any, **settings: Any) -> Iterator[Any]:
    node = cluster.add_node(**small_node(), **settings)
    try:
        yield node
    finally:
        cluster.remove_node(node)


HOMES = itertools.count(1)


def home() -> dict[str, str]:
    """Settings of a node with an address of its own, through which Ray connects the processes that start next: it
    takes a node at the address that was used last."""
    return {"node_ip_address": f"127.0.1.{next(HOMES)}"}


@pytest.mark.parametrize(
    ("driver", "said"),
    [
        (
            ("0.1.0", versions()[1]),
            "it has coderlplus {0} and Python {1}, this process coderlplus 0.1.0 and Python {1}",
        ),
        ((versions()[0], "3.2"), "it has coderlplus {0} and Python {1}, this process coderlplus {0} and Python 3.2"),
    ],
)
def test_versions_of_driver_and_node_are_compared(driver: tuple[str, str], said: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        node_class()().start(driver, 1, None, None)
    assert str(caught.value) == said.format(*versions())


def test_versions_of_ray_and_python_that_the_cluster_does_not_have_are_one_sentence(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ray compares them; the other version of this process is put on."""
    ray.shutdown()
    try:
        with monkeypatch.context() as patched:
            patched.setattr("ray._private.utils.compute_version_info", lambda: ("2.9.0", "3.10.1"))
            with pytest.raises(ConfigError) as caught:
                connect(cluster.address)
    finally:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    python = ".".join(map(str, sys.version_info[:3]))
    assert str(caught.value) == (
        f"cannot connect to a Ray cluster at '{cluster.address}': it has Ray {ray.__version__} and Python {python}, "
        "this process Ray 2.9.0 and Python 3.10.1; install the same versions of both on all nodes and here"
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"coderlplus/__init__.py": "__version__ = '0.0.1'"}, r"it has coderlplus 0\.0\.1 and Python 3\.\d+, this "),
        ({"sitecustomize.py": ABSENT}, r"coderlplus [\d.]+ is not installed there \(No module named 'coderlplus'\)"),
        (
            {"sitecustomize.py": WITHOUT_LANDLOCK},
            r"this machine does not offer the requested isolation: landlock \(Function not implemented\); to run "
            r"without it, set CODERLPLUS_ALLOW_MISSING=landlock ",
        ),
    ],
    ids=["another version", "not installed", "no landlock"],
)
def test_a_node_that_cannot_judge_is_named_with_the_reason(
    cluster: Any, tmp_path: Path, files: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with another_node(cluster, env_vars={"PYTHONPATH": str(tmp_path)}) as node:
        name = rf"the node [\d.]+ \({node.node_id[:8]}\) of the Ray cluster cannot run programs: "
        with pytest.raises(SandboxError, match=name + said) as caught:
            RaySandbox(workers_per_node=1)
        assert "\n" not in str(caught.value)
        if "landlock" in said:
            monkeypatch.setenv("CODERLPLUS_ALLOW_MISSING", "landlock")
            with RaySandbox(workers_per_node=1) as sandbox:
                assert "landlock" not in sandbox.isolation
                assert Judge(sandbox).judge(*pairs(programs(1)[0])[0]).passed


def test_results_that_find_no_room_on_a_node_are_made_elsewhere(cluster: Any, full_disk: Path) -> None:
    """The disk to which a node moves what does not fit into its memory is full, and a result does not fit."""

    def large(execute: Any, number: int) -> bytes:
        return bytes([number]) * (100 << 20)

    with (
        another_node(cluster, object_spilling_directory=str(full_disk)) as node,
        RaySandbox(workers_per_node=2) as sandbox,
    ):
        futures = [sandbox.call(large, number) for number in range(6)]
        assert [future.result()[0] for future in futures] == [*range(6)]
        assert node.node_id not in sandbox.nodes()
        assert all(verdict.passed for verdict in Judge(sandbox).judge_many(pairs(*programs(8))))


def test_programs_under_which_the_sandbox_of_a_node_fails_run_elsewhere(
    cluster: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """A guest that is not there ends the fork server, here on one node only."""

    def run(execute: Any, ill: str) -> str:
        guest = "nothing" if ray.get_runtime_context().get_node_id() == ill else "echo"
        return str(execute(Job(guest=f"coderlplus.judge.guest:{guest}")).ending)

    with another_node(cluster) as node, RaySandbox(workers_per_node=1) as sandbox:
        futures = [sandbox.call(run, node.node_id) for _ in range(60)]
        assert {future.result(timeout=120) for future in futures} == {"returned"}
        assert node.node_id not in sandbox.nodes()
        assert f"({node.node_id[:8]}) failed under " in capfd.readouterr().err
        everywhere = [sandbox.call(lambda execute: execute(Job(guest="a.b:c")).ending) for _ in range(3)]
        assert [future.result(timeout=120) for future in everywhere] == ["fault"] * 3
        assert Judge(sandbox).judge(*pairs(programs(1)[0])[0]).passed


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 kB, and a file on it that is as large as it can be."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False).returncode:
        pytest.skip("this process may not mount anything")
    try:
        with suppress(OSError), (folder / "full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_what_cannot_be_sent_fails_alone(cluster: Any) -> None:
    with RaySandbox(workers_per_node=1) as sandbox:
        unsendable = sandbox.call(lambda execute, lock: 0, socket.socket())
        with pytest.raises(SandboxError, match="cannot send a program to the Ray cluster: ") as caught:
            unsendable.result(timeout=60)
        assert "\n" not in str(caught.value)
        assert Judge(sandbox).judge(*pairs(programs(1)[0])[0]).passed


def test_a_connection_that_ends_ends_every_call(cluster: Any) -> None:
    """Ray is shut down while programs run: no call waits for ever."""
    try:
        with RaySandbox(workers_per_node=1) as sandbox:
            futures = [sandbox.call(lambda execute: time.sleep(1)) for _ in range(40)]
            futures[0].result(timeout=60)
            ray.shutdown()
            for future in futures:
                assert future.exception(timeout=180) is None or isinstance(future.exception(), SandboxError)
            assert futures[-1].exception() is not None
    finally:
        if not ray.is_initialized():
            ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")


def test_a_lost_node_loses_nothing_and_no_program_is_written_twice(cluster: Any, tmp_path: Path) -> None:
    """Two nodes are killed in the middle of a command."""
    started = [cluster.add_node(**small_node()) for _ in range(2)]
    with another_node(cluster, **home()):
        command, output = judging(tmp_path, cluster.address, 150, 0.1)
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        for node, lines in zip(started, (10, 60), strict=True):
            wait_for(lambda lines=lines: count(output) >= lines)
            cluster.remove_node(node, allow_graceful=False)
        _, said = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert sorted(verdict["rollout_id"] for verdict in rows(output)) == sorted(map(str, range(150)))
    assert {verdict["verdict"] for verdict in rows(output)} == {"passed"}


def test_the_node_of_the_command_itself_is_lost(cluster: Any, tmp_path: Path) -> None:
    """With it Ray ends what the command started anywhere. The command ends with a sentence; run again, it judges what
    is missing."""
    command, output = judging(tmp_path, cluster.address, 240, 0.1)
    node = cluster.add_node(**small_node(), **home())
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: count(output) >= 10)
    cluster.remove_node(node, allow_graceful=False)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 2
    assert "the node of the Ray cluster to which this process is connected is gone; rerun" in " ".join(said.split())
    before = rows(output)
    with another_node(cluster, **home()):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert rows(output)[: len(before)] == before
    assert sorted(verdict["rollout_id"] for verdict in rows(output)) == sorted(map(str, range(240)))


def test_a_head_that_restarts_costs_what_is_under_way(tmp_path: Path) -> None:
    """The command ends with a sentence, or as Ray ends it; rerun on the new cluster, it judges what is missing."""
    if not os.environ.get("CODERLPLUS_RAY"):
        pytest.skip("a cluster is started by `make test-ray` only")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command, output = judging(tmp_path, f"127.0.0.1:{port}", 120, 0.1)
    with head(port, tmp_path):
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: count(output) >= 20)
    _, said = running.communicate(timeout=200)
    assert running.returncode == 2
    assert "the head of the Ray cluster does not answer; start the cluster again and rerun" in " ".join(said.split())
    before = rows(output)
    assert 20 <= len(before) < 120
    with head(port, tmp_path):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert rows(output)[: len(before)] == before
    assert sorted(verdict["rollout_id"] for verdict in rows(output)) == sorted(map(str, range(120)))


@contextmanager
def head(port: int, folder: Path) -> Iterator[None]:
    """A cluster of one node; all of its processes are killed at the end."""
    settings = small_node()
    options = {
        "port": port,
        "num-cpus": 1,
        "object-store-memory": settings["object_store_memory"],
        "include-dashboard": "false",
        "metrics-export-port": settings["metrics_export_port"],
        "dashboard-agent-listen-port": settings["dashboard_agent_listen_port"],
        "runtime-env-agent-port": settings["runtime_env_agent_port"],
        "dashboard-agent-grpc-port": settings["metrics_agent_port"],
    }
    line = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--disable-usage-stats"]
    line += [f"--{name}={value}" for name, value in options.items()]
    started = subprocess.Popen(
        line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert started.stdout is not None
    try:
        said = ""
        while "Ray runtime started" not in said:
            more = started.stdout.readline()
            if not more:
                pytest.skip(f"Ray could not start a node here: {said}")
            said += more
        yield
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def judging(folder: Path, address: str, count: int, seconds: float) -> tuple[list[str], Path]:
    """A command that judges programs which sleep, and its output."""
    write_jsonl(folder / "problems.jsonl", [PROBLEM])
    write_jsonl(folder / "programs.jsonl", [rollout for _, rollout in pairs(*programs(count, seconds))])
    output = folder / "verdicts.jsonl"
    files = [str(folder / "problems.jsonl"), str(folder / "programs.jsonl"), "-o", str(output)]
    where = ["--backend", "ray", "--address", address, "--workers", "1"]
    return [str(Path(sys.executable).with_name("coderlplus")), "judge", *files, *where], output


def count(output: Path) -> int:
    return output.read_bytes().count(b"\n") if output.exists() else 0


def rows(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.read_text().splitlines()]


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
