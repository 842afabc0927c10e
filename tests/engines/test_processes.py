"""One process or two, killed anywhere and resumed: the same run.

Without `CODERLPLUS_KILLS` one run on two processes is killed; with it every kind of run is, so many times (`make
test-kills`: 12).
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

KILLS = int(os.environ.get("CODERLPLUS_KILLS", "1"))
STEPS = 5
PLACES = (
    "_generate",
    "_calculate_rewards",
    "finish_mining",
    "_compute_loss",
    "_save_rng_state",
    "write_checksums",
    "delete_older",
)
SAVED = (2, 4)
"""Steps at which these runs are saved."""

KINDS: dict[str, tuple[int, dict[str, Any]]] = {
    "one": (1, {}),
    "one, two updates a generation, dynamic sampling": (
        1,
        {"dynamic_sampling_rounds": 2, "trl": {"steps_per_generation": 2}},
    ),
    "two": (2, {"dynamic_sampling_rounds": 1}),
}
"""Number of processes, and settings."""
KILLED = tuple(KINDS) if "CODERLPLUS_KILLS" in os.environ else ("two",)


def random_kills(kind: str) -> list[dict[str, Any]]:
    rng = random.Random(kind)
    kills = []
    for _ in range(KILLS):
        at = rng.choice(PLACES)
        saves = at in ("_save_rng_state", "write_checksums", "delete_older")
        # whoever is killed: the others must end too; checksums and old checkpoints are the main process's work
        rank = 0 if at in ("write_checksums", "delete_older") else rng.randrange(KINDS[kind][0])
        kills.append({"rank": rank, "step": rng.choice(SAVED) if saves else rng.randint(2, STEPS), "at": at})
    return kills


@pytest.fixture(scope="module")
def runs(
    settings: dict[str, Any], run_jobs: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """The results of all runs of this file by name."""
    work = tmp_path_factory.mktemp("processes")
    jobs: dict[str, dict[str, Any]] = {}

    def add(name: str, output: str, processes: int, changes: dict[str, Any], **job: Any) -> None:
        trl = (
            settings["trl"]
            | {"max_steps": STEPS, "per_device_train_batch_size": 16 // processes}
            | changes.get("trl", {})
        )
        if trl.get("steps_per_generation"):
            trl["per_device_train_batch_size"] //= trl["steps_per_generation"]
        config = settings | changes | {"output": str(work / output), "trl": {"ddp_timeout": 60} | trl}
        jobs[name] = {"config": config, "processes": processes} | job

    for kind in KILLED:
        processes, changes = KINDS[kind]
        add(f"{kind}: whole", kind, processes, changes)
        for number, kill in enumerate(random_kills(kind)):
            add(f"{kind}: killed {number}", f"{kind} {number}", processes, changes, kill=kill)
            add(f"{kind}: resumed {number}", f"{kind} {number}", processes, changes)
    for processes in (1, 2):
        add(
            f"scripted: {processes}",
            f"scripted {processes}",
            processes,
            {"samples_every": 1},
            prepare=["script completions"],
        )
    for trouble in ("fails", "hangs"):
        add(
            trouble,
            trouble,
            2,
            {"sandbox": {"workers": 1, "timeout_s": 5}},
            prepare=[f"judging {trouble} on process 1"],
        )
    add("stopped", "stopped", 2, {"trl": {"ddp_timeout": 10}}, prepare=["process 1 is stopped"])
    return dict(run_jobs(jobs))


def lines(folder: Path, name: str, drop: Callable[[str], bool]) -> list[Any]:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items() if not drop(key)}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    return [without(json.loads(line)) for line in (folder / name).read_text().splitlines()]


def is_a_measurement(key: str) -> bool:
    return key.startswith("seconds/") or key in ("cpu_s", "wall_s", "peak_mb")


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("metrics.jsonl", "samples.jsonl"):
        assert lines(one, name, is_a_measurement) == lines(other, name, is_a_measurement)
    assert (one / "final" / "model.safetensors").read_bytes() == (other / "final" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.parametrize("kind", KILLED)
def test_a_run_that_is_killed_anywhere_and_resumed_is_the_run_that_was_not(
    kind: str, number: int, runs: dict[str, dict[str, Any]]
) -> None:
    killed, resumed, whole = (runs[f"{kind}: {name}"] for name in (f"killed {number}", f"resumed {number}", "whole"))
    assert -9 in killed["statuses"], random_kills(kind)[number]
    assert set(resumed["statuses"]) == {0}, resumed["outputs"]
    assert_same_run(resumed["folder"], whole["folder"])
    assert resumed["ends"] == whole["ends"]


@pytest.mark.parametrize("number", range(KILLS))
def test_when_one_process_is_gone_the_others_say_so_and_end(number: int, runs: dict[str, dict[str, Any]]) -> None:
    killed = runs[f"two: killed {number}"]
    survivor = 1 - random_kills("two")[number]["rank"]
    assert killed["statuses"][survivor] == 2, killed["outputs"][survivor]
    assert "another process of this run is gone" in killed["outputs"][survivor]
    assert "Traceback" not in killed["outputs"][survivor]


def test_when_one_process_is_silent_the_others_say_so_and_end(runs: dict[str, dict[str, Any]]) -> None:
    run = runs["stopped"]
    assert run["statuses"] == [2, None], run["outputs"]
    assert "did not answer for 10 s (trl.ddp_timeout)" in run["outputs"][0]
    assert "Traceback" not in run["outputs"][0]


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("fails", "error: no worker can be started"),
        ("hangs", "error: judging did not finish within 6 s: the sandbox does not answer; the same command continues"),
    ],
)
def test_when_judging_fails_on_one_process_all_end_with_a_sentence(
    trouble: str, message: str, runs: dict[str, dict[str, Any]]
) -> None:
    run = runs[trouble]
    assert run["statuses"] == [2, 2], run["outputs"]
    assert "another process of this run is gone" in run["outputs"][0]
    assert message in run["outputs"][1]
    assert not any("Traceback" in output for output in run["outputs"])


def test_all_processes_hold_the_same_tasks_and_weights(runs: dict[str, dict[str, Any]]) -> None:
    one, other = runs["two: whole"]["ends"]
    assert one == other
    assert one["tasks"]


def test_one_and_two_processes_are_the_same_run_where_completions_are(runs: dict[str, dict[str, Any]]) -> None:
    one, two = runs["scripted: 1"], runs["scripted: 2"]
    assert lines(one["folder"], "samples.jsonl", is_a_measurement) == lines(
        two["folder"], "samples.jsonl", is_a_measurement
    )
    assert one["ends"][0]["tasks"] == two["ends"][0]["tasks"] == two["ends"][1]["tasks"]
    ours = ("mix/", "task_age", "mined", "rejects/", "buffer/", "reward/", "pass_rate", "zero_variance/")
    of_the_loop = [
        [
            {key: value for key, value in line.items() if key.startswith(ours)}
            for line in lines(run["folder"], "metrics.jsonl", is_a_measurement)
        ]
        for run in (one, two)
    ]
    assert of_the_loop[0] == of_the_loop[1]
    assert {line["mix/alignment_share"] for line in of_the_loop[0][1:]} == {0.5}
    weights = [load_file(run["folder"] / "final" / "model.safetensors") for run in (one, two)]
    assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-5)
