"""`coderlplus train` with `trl vllm-serve` in a process of its own (TRL's server mode)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

LONG = pytest.mark.skipif(not os.environ.get("CODERLPLUS_WHOLE"), reason="long: make vllm-test-whole")
TRL = Path(sys.executable).with_name("trl")
TRAINER = Path(__file__).with_name("trainer.py")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def server(tiny_model: Path, port: int, serve: Callable[..., Any]) -> Iterator[Any]:
    where = ("--model", tiny_model, "--host", "127.0.0.1", "--max_model_len", "1024", "--port", port)
    with serve(TRL, "vllm-serve", *where) as process:
        yield process


def config(settings: dict[str, Any], folder: Path, port: int, group_port: int, **trl: Any) -> Path:
    at = {"vllm_mode": "server", "vllm_server_base_url": f"http://127.0.0.1:{port}", "vllm_server_timeout": 3}
    given = settings["trl"] | at | {"vllm_group_port": group_port} | trl
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(settings | {"output": str(folder / "run"), "trl": given}))
    return file


def metrics(folder: Path) -> list[dict[str, Any]]:
    file = folder / "run" / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_server_that_dies_in_the_middle_is_one_sentence_and_the_run_goes_on_with_another(
    settings: dict[str, Any],
    tiny_model: Path,
    port: int,
    serve: Callable[..., Any],
    run: Callable[..., Any],
    tmp_path: Path,
) -> None:
    file = config(settings, tmp_path, port, free_port(), max_steps=200)
    where = ("--model", tiny_model, "--host", "127.0.0.1", "--max_model_len", "1024", "--port", port)
    with serve(TRL, "vllm-serve", *where) as server:
        trainer = subprocess.Popen(
            [sys.executable, str(TRAINER), "train", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        while trainer.poll() is None and len(metrics(tmp_path)) < 2:
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        _, said = trainer.communicate()
    errors = [line for line in said.decode().splitlines() if line.startswith("error: ")]
    assert trainer.returncode == 2, said.decode()[-3000:]
    assert len(errors) == 1
    assert f"the vLLM server at http://127.0.0.1:{port} does not answer" in errors[0]
    assert "rerun the command" in errors[0]
    done = [line["step"] for line in metrics(tmp_path)]
    steps = done[-1] + 2
    for line in metrics(tmp_path):
        assert line["sampling/sampling_logp_difference/max"] < 1e-3
    file = config(settings, tmp_path, port, free_port(), max_steps=steps)
    with serve(TRL, "vllm-serve", *where):
        again = run([TRAINER, "train", file, "--resume"])
    assert again.status == 0, again.err[-3000:]
    assert [line["step"] for line in metrics(tmp_path)] == list(range(1, steps + 1))
    for line in metrics(tmp_path):
        assert line["sampling/sampling_logp_difference/max"] < 1e-3


@LONG
def test_a_server_that_is_not_there_is_named(
    settings: dict[str, Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    port = free_port()
    done = run([TRAINER, "train", config(settings, tmp_path, port, free_port())])
    assert done.status == 2
    assert f"the vLLM server at http://127.0.0.1:{port} does not answer" in done.error


@LONG
def test_a_port_for_weights_that_is_taken_is_named(
    settings: dict[str, Any], server: Any, port: int, run: Callable[..., Any], tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        group = taken.getsockname()[1]
        done = run([TRAINER, "train", config(settings, tmp_path, port, group)])
    assert done.status == 2
    assert f"port {group}" in done.error
    assert "trl.vllm_group_port" in done.error
