"""TRL with vLLM inside its processes and on a server: late binding, alignment prompts, rewards and weights go through
it.

There is no vLLM for a small CPU, so `stand_in/vllm.py` is imported in its place; all of TRL's side of it is real, and
HTTP between it and the server.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

STAND_IN = Path(__file__).with_name("stand_in")
STEPS = 5


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a server, and what it writes of its requests."""
    port, log = free_port(), tmp_path_factory.mktemp("server") / "log.jsonl"
    process = subprocess.Popen([sys.executable, str(STAND_IN / "vllm.py"), str(tiny_model), str(port), str(log)])
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/health")
            break
        except OSError:
            time.sleep(0.1)
    yield address, log
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def runs(
    settings: dict[str, Any], run_jobs: Any, server: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    work = tmp_path_factory.mktemp("vllm")
    forbidden = set(settings["trl"]["generation_kwargs"]["suppress_tokens"])
    allowed = [number for number in range(max(forbidden) + 20) if number not in forbidden]
    tokens = len(json.loads((Path(settings["model"]) / "tokenizer.json").read_text())["model"]["vocab"])
    sampling = {
        "use_vllm": True,
        "generation_kwargs": {"allowed_token_ids": [number for number in allowed if number < tokens]},
    }
    at_server = {"vllm_mode": "server", "vllm_server_base_url": server[0], "vllm_group_port": free_port()}
    colocate = {"vllm_mode": "colocate", "vllm_enable_sleep_mode": True}

    def job(output: str, trl: dict[str, Any], changes: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        processes = fields.get("processes", 1)
        trl = settings["trl"] | {"max_steps": STEPS, "per_device_train_batch_size": 16 // processes} | sampling | trl
        return {
            "config": settings | {"samples_every": 1, "output": str(work / output), "trl": trl} | (changes or {})
        } | fields

    jobs = {
        "server": job("server", at_server, processes=2, prepare=["send weights"]),
        "colocate": job("colocate", colocate),
        "killed": job("killed", colocate, kill={"rank": 0, "step": 4, "at": "_compute_loss"}),
        "resumed": job("killed", colocate),
        "rloo, replaced": job(
            "rloo",
            at_server | {"max_steps": 3},
            {"algorithm": "rloo", "dynamic_sampling_rounds": 1},
            prepare=["send weights"],
        ),
    }
    return dict(run_jobs(jobs, PYTHONPATH=os.pathsep.join((str(STAND_IN), os.environ.get("PYTHONPATH", "")))))


def metrics(run: dict[str, Any]) -> list[dict[str, Any]]:
    assert set(run["statuses"]) == {0}, run["outputs"]
    lines = [json.loads(line) for line in (run["folder"] / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("seconds/")} for line in lines]


def samples(run: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [json.loads(line) for line in (run["folder"] / "samples.jsonl").read_text().splitlines()]
    for sample in (sample for group in groups for sample in group["samples"]):
        for name in ("cpu_s", "wall_s", "peak_mb"):
            (sample["reward"]["verdict"] or {}).pop(name, None)
    return groups


@pytest.mark.parametrize("name", ["server", "colocate", "rloo, replaced"])
def test_tasks_are_mixed_in_as_without_vllm(name: str, runs: dict[str, dict[str, Any]]) -> None:
    lines = metrics(runs[name])
    assert [line["mix/alignment_share"] for line in lines] == [0, *[0.5] * (len(lines) - 1)]
    assert all(line["mined"] > 0 for line in lines)
    assert any(line["pass_rate"] > 0 for line in lines)
    for group in (group for group in samples(runs[name]) if group["task"]):
        assert group["task"]["step"] < group["step"]
        assert group["task"]["prompt"] in group["prompt"]


@pytest.mark.parametrize("name", ["server", "colocate"])
def test_vllm_samples_from_the_weights_of_the_trainer_in_every_step(
    name: str, runs: dict[str, dict[str, Any]]
) -> None:
    for line in metrics(runs[name]):
        assert line["sampling/sampling_logp_difference/max"] < 1e-4


def test_a_server_is_sent_weights_once_a_step_and_then_asked_for_its_prompts(
    runs: dict[str, dict[str, Any]], server: tuple[str, Path], tiny_model: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    lines = [json.loads(line) for line in server[1].read_text().splitlines()][: 2 * STEPS]
    assert [next(iter(line)) for line in lines] == ["weights", "prompts"] * STEPS
    weights = [line["weights"] for line in lines[::2]]
    learnt = [line["grad_norm"] > 0 for line in metrics(runs["server"])]
    assert [before != after for before, after in pairwise(weights)] == learnt[:-1]
    asked = [prompt for line in lines[1::2] for prompt in line["prompts"]]
    assert asked == [tokenizer(group["prompt"])["input_ids"] for group in samples(runs["server"])]


def test_a_server_and_colocation_give_the_same_tasks_and_rewards(runs: dict[str, dict[str, Any]]) -> None:
    one, other = samples(runs["server"]), samples(runs["colocate"])
    for group in (*one, *other):
        for sample in group["samples"]:
            del sample["advantage"]  # of two processes, rounded otherwise
    assert one == other
    assert runs["server"]["ends"][0] == runs["server"]["ends"][1]


def test_a_run_that_was_killed_and_resumed_is_the_run_that_was_not(runs: dict[str, dict[str, Any]]) -> None:
    assert -9 in runs["killed"]["statuses"]
    assert metrics(runs["resumed"]) == metrics(runs["colocate"])
    assert samples(runs["resumed"]) == samples(runs["colocate"])
    assert runs["resumed"]["ends"] == runs["colocate"]["ends"]


def test_zero_variance_groups_are_replaced(runs: dict[str, dict[str, Any]]) -> None:
    assert sum(line["dynamic_sampling/replaced"] for line in metrics(runs["rloo, replaced"])) > 0
