"""`coderlplus train` and a stock `GRPOTrainer` with vLLM inside the process (TRL's colocate mode).

A resume is exact in what we draw: problems, share of tasks, buffer. vLLM's sampling begins again with its own random
state, which no checkpoint holds: completions after a resume are others, and so is what is mined of them.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

LONG = pytest.mark.skipif(not os.environ.get("CODERLPLUS_WHOLE"), reason="long: make vllm-test-whole")
HERE = Path(__file__).parent
Train = Callable[..., Any]


@pytest.fixture(scope="module")
def train(settings: dict[str, Any], run: Callable[..., Any], command: str, tmp_path_factory: Any) -> Train:
    """`train(name, trl={…}, resume=False, **settings)`: the process and the run's folder."""
    work = tmp_path_factory.mktemp("runs")

    def train(name: str, *, trl: dict[str, Any] | None = None, resume: bool = False, **changes: Any) -> Any:
        colocate = {"vllm_mode": "colocate"} | (trl or {})
        given = settings | {"output": str(work / name)} | changes | {"trl": settings["trl"] | colocate}
        file = work / f"{name}.yaml"
        file.write_text(yaml.safe_dump(given))
        return run([command, "train", file, *(["--resume"] if resume else [])]), work / name

    return train


@pytest.fixture(scope="module")
def ours(train: Train) -> tuple[Any, Path]:
    return train("coderlplus")  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def plain(train: Train) -> tuple[Any, Path]:
    return train("plain", alignment=False)  # type: ignore[no-any-return]


def lines(folder: Path, name: str = "metrics") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("name", ["ours", "plain"])
def test_vllm_samples_from_the_weights_of_the_trainer_in_every_step(
    name: str, tiny_model: Path, request: pytest.FixtureRequest
) -> None:
    """Its log-probabilities of what it sampled are the trainer's, while the weights move."""
    done, folder = request.getfixturevalue(name)
    assert done.status == 0, done.err[-3000:]
    metrics = lines(folder)
    assert len(metrics) == 3
    assert sum(line["grad_norm"] > 0 for line in metrics) >= 1
    before, after = weights(tiny_model), weights(folder / "final")
    assert any((before[name] != after[name]).any() for name in after)
    for line in metrics:
        assert line["sampling/sampling_logp_difference/max"] < 1e-3


@pytest.mark.parametrize("name", ["ours", "plain"])
def test_once_steps_are_made_a_log_has_lines_of_progress_alone(name: str, request: pytest.FixtureRequest) -> None:
    done, _ = request.getfixturevalue(name)
    said = [line for line in done.err.splitlines() if line.strip()]
    first = said.index("training step: 0 of 3")
    assert first < 20
    assert all(line.startswith("training step: ") for line in said[first:]), done.err


def test_tasks_are_mixed_in_as_without_vllm(ours: tuple[Any, Path], plain: tuple[Any, Path]) -> None:
    assert [line["mix/alignment_share"] for line in lines(ours[1])] == [0, 0.5, 0.5]
    assert all(line["mined"] > 0 for line in lines(ours[1]))
    assert not any("mix/alignment_share" in line and line["mix/alignment_share"] for line in lines(plain[1]))
    for group in (group for group in lines(ours[1], "samples") if group["task"]):
        assert group["task"]["step"] < group["step"]
        assert group["task"]["prompt"] in group["prompt"]


def test_a_resumed_run_asks_the_same_problems_and_keeps_its_buffer(train: Train, ours: tuple[Any, Path]) -> None:
    first, folder = train("parts", trl={"max_steps": 2})
    assert first.status == 0, first.err[-3000:]
    before = lines(folder, "samples")
    second, _ = train("parts", trl={"max_steps": 3}, resume=True)
    assert second.status == 0, second.err[-3000:]
    after, whole = lines(folder, "samples"), lines(ours[1], "samples")
    assert after[: len(before)] == before
    assert [line["step"] for line in lines(folder)] == [1, 2, 3]
    problems = [[one["problem"]["problem_id"] for one in samples if one["problem"]] for samples in (after, whole)]
    assert problems[0] == problems[1]
    mined = {group["task"]["task_id"] for group in after if group["step"] == 3 and group["task"]}
    assert mined  # they come from the buffer that the checkpoint holds, or from step 2


def test_a_run_killed_at_a_random_point_resumes_with_the_problems_and_tasks_it_would_have_had(
    ours: tuple[Any, Path], command: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    """The checkpoint holds buffer and random states: the step after it asks what the run that was not killed asks."""
    file, folder = tmp_path / "run.yaml", tmp_path / "run"
    given = yaml.safe_load(ours[1].with_suffix(".yaml").read_text())
    file.write_text(yaml.safe_dump(given | {"output": str(folder)}))
    process = subprocess.Popen([sys.executable, command, "train", file], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and not list(folder.glob("checkpoints/*/checksums.json")):
            time.sleep(0.02)
        time.sleep(random.Random(7).random())
    finally:
        process.kill()
    assert process.wait() == -9
    saved = max(int(one.parent.name.rpartition("-")[2]) for one in folder.glob("checkpoints/*/checksums.json"))
    done = run([command, "train", file, "--resume"])
    assert done.status == 0, done.err[-3000:]
    assert [line["step"] for line in lines(folder)] == [1, 2, 3]
    found, whole = lines(folder, "samples"), lines(ours[1], "samples")
    assert asked(found, 3, "problem") == asked(whole, 3, "problem")
    assert asked(found, saved + 1, "task") == asked(whole, saved + 1, "task")


def asked(groups: list[dict[str, Any]], last: int, kind: str) -> list[tuple[int, str]]:
    """The step and the id of each problem or task that was asked up to a step."""
    return [(one["step"], one[kind][f"{kind}_id"]) for one in groups if one[kind] and one["step"] <= last]


def test_a_stock_trainer_with_vllm_has_tasks_and_is_resumed(
    copied_model: Path, problems_file: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    with_tool_calls(copied_model)
    told = []
    for steps, resume in ((2, ""), (3, str(tmp_path / "checkpoint-2"))):
        done = run([HERE / "stock.py", copied_model, problems_file, tmp_path, steps, resume])
        assert done.status == 0, done.err[-3000:]
        told.append(json.loads((tmp_path / "told.json").read_text()))
    assert [one["moved"] for one in told] == [True, True]
    assert [len(one["asked"]) for one in told] == [2, 1]
    shares = [line["mix/alignment_share"] for line in told[1]["logs"]]
    assert shares[-1] == 0.5
    for line in told[1]["logs"]:
        assert line["sampling/sampling_logp_difference/max"] < 1e-3


def test_a_stock_trainer_with_a_server_of_vllm_has_tasks(
    copied_model: Path,
    problems_file: Path,
    port: int,
    serve: Callable[..., Any],
    run: Callable[..., Any],
    tmp_path: Path,
) -> None:
    with_tool_calls(copied_model)
    where = ("--model", copied_model, "--host", "127.0.0.1", "--max_model_len", "1024", "--port", port)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        group_port = found.getsockname()[1]
    with serve(Path(sys.executable).with_name("trl"), "vllm-serve", *where):
        url = f"http://127.0.0.1:{port}"
        done = run([HERE / "stock.py", copied_model, problems_file, tmp_path, 3, "", url, group_port])
    assert done.status == 0, done.err[-3000:]
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["moved"]
    assert told["logs"][-1]["mix/alignment_share"] == 0.5
    for line in told["logs"]:
        assert line["sampling/sampling_logp_difference/max"] < 1e-3


def with_tool_calls(model: Path) -> None:
    """Give a model's folder a chat template that can render tool calls, as TRL asks of every environment."""
    template = "{% for m in messages %}<user>{{ m['content'] }}{% if m.get('tool_calls') %}{{ m['tool_calls'] | "
    template += "tojson }}{% endif %}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    (model / "chat_template.jinja").write_text(template)


@LONG
def test_no_memory_for_keys_and_values_is_one_sentence(train: Train, copied_model: Path) -> None:
    file = copied_model / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_position_embeddings": 3_000_000}))
    done, _ = train("memory", trl={"vllm_max_model_length": 3_000_000}, model=str(copied_model))
    assert done.status == 2
    assert "VLLM_CPU_KVCACHE_SPACE" in done.error


def test_a_context_too_short_for_the_prompts_is_said_before_anything_is_sampled(train: Train) -> None:
    done, folder = train("short", trl={"vllm_max_model_length": 8})
    assert done.status == 2
    assert "prompts are longer than the 6 tokens that trl.vllm_max_model_length leaves" in done.error
    assert not (folder / "metrics.jsonl").exists()


def test_a_tokenizer_of_another_model_is_said_before_anything_is_sampled(train: Train, copied_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(copied_model, dtype=torch.float32)
    model.resize_token_embeddings(20)
    model.save_pretrained(copied_model)
    done, _ = train("mismatch", model=str(copied_model))
    assert done.status == 2
    assert "and the model has 20: they do not belong together" in done.error
