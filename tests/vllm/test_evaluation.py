"""`coderlplus eval` with vLLM itself: in the process, as a command, and as a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from coderlplus.errors import ConfigError
from coderlplus.evaluation.backends import Completion, Request, Sampling
from coderlplus.evaluation.backends.local import LocalModel
from coderlplus.evaluation.backends.vllm_engine import VllmModel
from coderlplus.evaluation.generate import Continued

COMMAND = str(Path(sys.executable).with_name("coderlplus"))
LONG = pytest.mark.skipif(not os.environ.get("CODERLPLUS_WHOLE"), reason="long: make vllm-test-whole")
GREEDY = Sampling(temperature=0.0, max_tokens=4)
SAMPLED = Sampling(temperature=2.0, max_tokens=12, seed=3)
REQUESTS = [
    Request(question_id=letter, sample=sample, messages=({"role": "user", "content": letter * 9},))
    for letter in "abcdefgh"
    for sample in range(3)
]


def texts(model: Any, requests: list[Request], sampling: Sampling) -> dict[tuple[str, int], Completion]:
    return {(request.question_id, request.sample): one for request, one in model.complete(requests, sampling)}


@pytest.fixture(scope="module")
def model(sharp_model: Path) -> VllmModel:
    return VllmModel(str(sharp_model))


def test_greedy_completions_are_those_of_transformers(model: VllmModel, sharp_model: Path) -> None:
    firsts = [request for request in REQUESTS if request.sample == 0]
    found = texts(model, firsts, GREEDY)
    assert found == texts(LocalModel(str(sharp_model)), firsts, GREEDY)
    assert len({completion.text for completion in found.values()}) > 1


def test_a_text_is_continued_up_to_a_stop_as_by_transformers(model: VllmModel, sharp_model: Path) -> None:
    plain = [Request(question_id=one, sample=0, messages=Continued(one * 9)) for one in "abcdef"]
    whole = texts(model, plain, SAMPLED)
    stop = next(one.text[4:6] for one in whole.values() if len(one.text) > 8)
    stopping = [replace(one, messages=Continued(one.question_id * 9, (stop,))) for one in plain]
    found = texts(model, stopping, SAMPLED)
    assert {key: one.text for key, one in found.items()} == {
        key: one.text.partition(stop)[0] for key, one in whole.items()
    }
    greedy = {key: one.text for key, one in texts(model, plain, GREEDY).items()}
    assert greedy == {key: one.text for key, one in texts(LocalModel(str(sharp_model)), plain, GREEDY).items()}


def test_a_sample_depends_on_its_seed_and_not_on_its_company(model: VllmModel) -> None:
    whole = texts(model, REQUESTS, SAMPLED)
    assert texts(model, REQUESTS[-5:][::-1], SAMPLED).items() <= whole.items()
    assert len({one.text for one in whole.values()}) > len(whole) // 2
    assert texts(model, REQUESTS, replace(SAMPLED, seed=4)) != whole


def test_a_completion_ends_with_the_models_end_or_is_truncated(model: VllmModel) -> None:
    found = texts(model, REQUESTS, SAMPLED).values()
    assert {one.truncated for one in found} == {True, False}
    assert all(one.tokens == SAMPLED.max_tokens for one in found if one.truncated)
    assert not any("<eos>" in one.text for one in found)


def test_what_vllm_refuses_of_the_sampling_is_said(model: VllmModel) -> None:
    with pytest.raises(ConfigError, match=r"vLLM refuses to sample at temperature 20\.0"):
        next(model.complete(REQUESTS, Sampling(temperature=20.0)))


@pytest.mark.parametrize(("letters", "tokens"), [(2000, 0), (1020, 2)])
def test_a_prompt_that_fills_the_context_leaves_room_for_nothing_and_stops_nothing(
    letters: int, tokens: int, model: VllmModel
) -> None:
    long = Request(question_id="long", sample=0, messages=({"role": "user", "content": "a" * letters},))
    found = texts(model, [long, REQUESTS[0]], GREEDY)
    assert found["long", 0].truncated or letters < 1024
    assert (found["long", 0].tokens or 0) <= tokens
    assert not found["a", 0].truncated


def eval_command(model: str | Path, problems: Path, output: Path, *more: str) -> list[str]:
    where = ["--model", str(model), "--benchmarks", str(problems), "-o", str(output)]
    return [COMMAND, "eval", "--backend", "vllm", *where, "--prompt", "{statement}", *more, "--json"]


SIXTY = ("-n", "60", "--temperature", "2", "--max-tokens", "300")


@pytest.fixture(scope="module")
def whole(
    tiny_model: Path, problems_file: Path, run: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Path]:
    """An evaluation of 720 completions that nothing stopped, and its folder."""
    output = tmp_path_factory.mktemp("whole")
    return run(eval_command(tiny_model, problems_file, output, *SIXTY)), output


def said(output: Path) -> dict[tuple[str, int], str]:
    lines = (output / "problems" / "completions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return {(row["question_id"], row["sample"]): row["completion"] for row in rows if "completion" in row}


def test_stdout_is_the_results_alone_and_stderr_our_progress(whole: tuple[Any, Path]) -> None:
    done, _ = whole
    assert done.status == 0, done.err[-3000:]
    assert json.loads(done.out)["benchmarks"]["problems"]["samples"] == 720
    lines = [line for line in done.err.splitlines() if line.strip()]
    first = lines.index("problems: generating: 0 of 720")
    assert first < 20
    assert all(line.startswith(("problems: ", "note: ", "warning: ")) for line in lines[first:]), done.err
    assert "generating: 720 of 720" in done.err


def test_an_evaluation_killed_in_the_middle_leaves_nothing_running_and_goes_on_to_the_same_completions(
    tiny_model: Path, problems_file: Path, whole: tuple[Any, Path], run: Callable[..., Any], tmp_path: Path
) -> None:
    command = eval_command(tiny_model, problems_file, tmp_path, *SIXTY)
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        end = time.monotonic() + 240
        while time.monotonic() < end and process.poll() is None:
            if any(path.stat().st_size > 1000 for path in tmp_path.glob("problems/completions.jsonl")):
                break
            time.sleep(0.02)
        started = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()  # it alone
        process.wait()
    _, left = psutil.wait_procs(started, timeout=60)
    assert not left
    before = said(tmp_path)
    assert 0 < len(before) < 720
    done = run(command)
    assert done.status == 0, done.err[-3000:]
    assert said(tmp_path) == said(whole[1])


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def too_long(folder: Path) -> None:
    change(folder, max_position_embeddings=3_000_000)


def too_few_tokens(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.resize_token_embeddings(20)
    model.save_pretrained(folder)


def unknown(folder: Path) -> None:
    change(folder, architectures=["NobodysForCausalLM"])


def change(folder: Path, **settings: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(cut, "cannot load the model in", marks=LONG),
        pytest.param(unknown, "NobodysForCausalLM", marks=LONG),
        (too_long, "vLLM finds no memory for the model"),
        (too_few_tokens, "and the model has 20: they do not belong together"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_sentence_and_nothing_is_lost(
    damage: Callable[[Path], None],
    message: str,
    copied_model: Path,
    problems_file: Path,
    run: Callable[..., Any],
    tmp_path: Path,
) -> None:
    output = tmp_path / "out"
    damage(copied_model)
    done = run(eval_command(copied_model, problems_file, output, "--max-tokens", "4"))
    assert (done.status, done.out) == (2, "")
    assert message in done.error
    assert len(done.error) < 600
    assert not list(output.glob("problems/completions.jsonl")) or not said(output)


@pytest.fixture(scope="module")
def served(tiny_model: Path, port: int, serve: Callable[..., Any]) -> Iterator[str]:
    """The address of vLLM's own server."""
    with serve("-m", "vllm.entrypoints.cli.main", "serve", tiny_model, "--served-model-name", "tiny", "--port", port):
        yield f"http://127.0.0.1:{port}/v1"


def at_endpoint(address: str, problems: Path, output: Path, *more: str) -> list[str]:
    where = ["--model", "tiny", "--endpoint", address, "--benchmarks", str(problems), "-o", str(output)]
    return [COMMAND, "eval", *where, "--prompt", "{statement}", *more, "--json"]


@pytest.mark.parametrize("style", ["chat", "base"])
def test_a_server_of_vllm_gives_seeded_samples_and_is_resumed(
    style: str, served: str, problems_file: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    more = ("-n", "4", "--temperature", "2", "--max-tokens", "8", "--style", style)
    for name in ("a", "b"):
        done = run(at_endpoint(served, problems_file, tmp_path / name, *more))
        assert done.status == 0, done.err[-3000:]
    assert len(said(tmp_path / "a")) == 48
    assert said(tmp_path / "a") == said(tmp_path / "b")


def test_a_context_that_is_too_short_is_named_with_the_way_out(
    served: str, problems_file: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    done = run(at_endpoint(served, problems_file, tmp_path, "--max-tokens", "4096"))
    assert done.status == 2
    assert "--max-tokens" in done.error


def test_a_server_whose_port_is_taken_by_something_else_is_said(
    run: Callable[..., Any], problems_file: Path, tmp_path: Path
) -> None:
    import http.server
    import threading

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = run(at_endpoint(f"http://127.0.0.1:{server.server_port}/v1", problems_file, tmp_path))
    finally:
        server.shutdown()
    assert done.status == 2
    assert "endpoint" in done.error
