"""Back ends: a tiny model by transformers, a small server that speaks OpenAI's API, and vLLM by its contract."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from email.utils import format_datetime, formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.backends import Request, Sampling
from coderlplus.evaluation.backends.endpoint import MAX_WAIT_S, Endpoint, _pause
from coderlplus.evaluation.backends.local import LocalModel, why_not_loaded
from coderlplus.evaluation.generate import Continued, generate, token_ids
from coderlplus.programs import extract_program

TEXTS = ("sort the list", "a", "drop the first digit, then sort the list", "x", "f([1, 2])")
REQUESTS = [
    Request(question_id=str(place), sample=0, messages=({"role": "user", "content": text},))
    for place, text in enumerate(TEXTS)
]
GREEDY = Sampling(max_tokens=6)


@pytest.fixture(scope="module")
def local(model_folder: Path) -> LocalModel:
    return LocalModel(str(model_folder))


def test_greedy_completions_are_those_of_the_quick_starts_measurement(
    local: LocalModel, model: Any, tokenizer: Any
) -> None:
    texts = {request.question_id: completion.text for request, completion in local.complete(REQUESTS, GREEDY)}
    expected = generate(model, tokenizer, [request.messages for request in REQUESTS], greedy=True, max_new_tokens=6)
    assert [texts[str(place)] for place in range(len(TEXTS))] == [one[0] for one in expected]


def test_what_does_not_end_by_itself_is_truncated(local: LocalModel) -> None:
    for _, completion in local.complete(REQUESTS, GREEDY):
        assert completion.tokens is not None
        assert completion.truncated == (completion.tokens == 6)


def test_samples_are_seeded_and_differ_from_each_other(local: LocalModel) -> None:
    asked = [Request(question_id="q", sample=sample, messages=REQUESTS[0].messages) for sample in range(4)]
    once, again, other = (
        [
            completion.text
            for _, completion in local.complete(asked, Sampling(temperature=1.0, max_tokens=12, seed=seed))
        ]
        for seed in (1, 1, 2)
    )
    assert once == again != other
    assert len(set(once)) > 1


def test_a_base_model_goes_on_with_a_text_up_to_a_stop(local: LocalModel) -> None:
    text = "sort the list"
    plain = Request(question_id="q", sample=0, messages=Continued(text))
    ((_, whole),) = local.complete([plain], Sampling(max_tokens=12))
    ids = local.tokenizer(text)["input_ids"]
    assert token_ids(local.tokenizer, plain.messages) == ids
    stop = whole.text[len(whole.text) // 2 :][:2]
    other = Request(question_id="r", sample=0, messages=Continued(TEXTS[3], (stop,)))
    stopped = {
        request.question_id: completion
        for request, completion in local.complete(
            [Request(question_id="q", sample=0, messages=Continued(text, (stop,))), other], Sampling(max_tokens=12)
        )
    }["q"]
    assert stopped.text == whole.text.partition(stop)[0]
    assert not stopped.truncated
    assert stopped.tokens is not None
    assert whole.tokens is not None
    assert stopped.tokens <= whole.tokens


def test_a_batch_is_halved_until_it_fits(local: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = local.model.generate
    sizes = []

    def scarce(*, input_ids: Any, **rest: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(input_ids=input_ids, **rest)

    monkeypatch.setattr(local.model, "generate", scarce)
    monkeypatch.setattr(local, "batch_size", 4)
    assert {request.question_id for request, _ in local.complete(REQUESTS, GREEDY)} == {"0", "1", "2", "3", "4"}
    assert sizes[:3] == [4, 2, 1]
    assert set(sizes[2:]) == {1}


def test_one_prompt_that_does_not_fit_is_an_error(local: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(local.model, "generate", none)
    with pytest.raises(ConfigError, match="does not fit into the memory"):
        list(local.complete(REQUESTS[:1], GREEDY))


def test_a_prompt_longer_than_the_models_window_is_a_truncated_empty_completion(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_window", lambda: len(token_ids(local.tokenizer, REQUESTS[2].messages)))
    by_id = {request.question_id: completion for request, completion in local.complete(REQUESTS, GREEDY)}
    assert (by_id["2"].text, by_id["2"].truncated) == ("", True)
    assert len(by_id) == len(REQUESTS)


@pytest.mark.parametrize(
    ("name", "message"),
    [("./absent/model", "the model folder ./absent/model does not exist"), ("{empty}", "check that it is complete")],
)
def test_a_model_that_cannot_be_loaded_is_one_sentence(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LocalModel(name.format(empty=tmp_path))


Answer = Callable[[dict[str, Any], int], tuple[Any, ...]]


@contextmanager
def server(answer: Answer) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server whose answer to a request body, and the number of requests before it, is (status, JSON) or (status,
    JSON, headers)."""
    seen: list[dict[str, Any]] = []
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                seen.append(body | {"path": self.path, "key": self.headers.get("Authorization")})
                status, data, *headers = answer(body, len(seen) - 1)
            text = json.dumps(data).encode()
            self.send_response(status)
            for name, value in (headers[0] if headers else {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None: ...

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_address[1]}/v1", seen
    finally:
        running.shutdown()
        running.server_close()


def says(text: str, reason: str = "stop") -> tuple[int, Any]:
    return 200, {
        "choices": [{"message": {"content": text}, "finish_reason": reason}],
        "usage": {"completion_tokens": 3},
    }


def echo(body: dict[str, Any], before: int) -> tuple[int, Any]:
    return says(body["messages"][-1]["content"].upper())


def endpoint(url: str, **settings: Any) -> Endpoint:
    return Endpoint(url=url, model="m", **({"pause_s": 0.01} | settings))


def test_an_endpoint_is_asked_as_openai_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with server(echo) as (url, seen):
        found = {
            request.question_id: completion
            for request, completion in endpoint(url, concurrency=3).complete(REQUESTS, Sampling(temperature=0.5))
        }
    assert [found[str(place)].text for place in range(5)] == [text.upper() for text in TEXTS]
    assert {completion.tokens for completion in found.values()} == {3}
    assert {(one["path"], one["model"], one["temperature"], one["max_tokens"], one["key"]) for one in seen} == {
        ("/v1/chat/completions", "m", 0.5, 4096, "Bearer k")
    }
    assert len({one["seed"] for one in seen}) == len(REQUESTS)


def test_a_base_model_goes_on_at_the_completions_api_up_to_a_stop() -> None:
    asked = Request(question_id="q", sample=0, messages=Continued("def f(x):\n", ("\ndef ", "a", "b", "c", "\nD")))

    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        return 200, {"choices": [{"text": "    return 1\nD", "finish_reason": "length"}]}

    with server(answer) as (url, seen):
        ((_, completion),) = endpoint(url).complete([asked], GREEDY)
    assert (completion.text, completion.truncated) == ("    return 1", False)
    assert (seen[0]["path"], seen[0]["prompt"], len(seen[0]["stop"])) == ("/v1/completions", "def f(x):\n", 4)
    assert "messages" not in seen[0]


def test_an_endpoint_gives_log_probabilities_where_they_are_asked_for() -> None:
    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        status, data = echo(body, before)
        data["choices"][0]["logprobs"] = {
            "content": [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -2.0}]
        }
        return status, data

    with server(answer) as (url, seen):
        wanted = Sampling(temperature=1.0, logprobs=True)
        assert [found.logprob for _, found in endpoint(url).complete(REQUESTS[:1], wanted)] == [-1.5]
        assert [found.logprob for _, found in endpoint(url).complete(REQUESTS[:1], GREEDY)] == [None]
    assert [one.get("logprobs") for one in seen] == [True, None]
    with server(echo) as (url, _), pytest.raises(ConfigError, match="gives no log-probabilities; leave logprob out"):
        list(endpoint(url).complete(REQUESTS[:1], wanted))


def test_the_token_limit_is_told_apart() -> None:
    with server(lambda body, before: says("x", "length")) as (url, _):
        assert [completion.truncated for _, completion in endpoint(url).complete(REQUESTS[:1], GREEDY)] == [True]


REFUSALS: dict[str, tuple[str, Any]] = {  # what the server takes, and how it says that it does not take the other
    "OpenAI's reasoning models": (
        "max_completion_tokens",
        {
            "error": {
                "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                "param": "max_tokens",
                "code": "unsupported_parameter",
            }
        },
    ),
    "a strict server of pydantic's": (
        "max_completion_tokens",
        {"detail": [{"loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]},
    ),
    "an older server": (
        "max_tokens",
        {"error": {"message": "Unrecognized request argument supplied: max_completion_tokens"}},
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize("status", [400, 422])
def test_the_token_limit_has_the_name_that_the_server_takes(name: str, status: int) -> None:
    taken, refusal = REFUSALS[name]
    with server(lambda body, before: echo(body, before) if taken in body else (status, refusal)) as (url, seen):
        assert len(list(endpoint(url, concurrency=1).complete(REQUESTS, GREEDY))) == len(REQUESTS)
    limits = [sorted({"max_tokens", "max_completion_tokens"} & one.keys()) for one in seen]
    assert limits[-1] == [taken]
    assert len(seen) <= len(REQUESTS) + 1  # found out once
    assert {one[limit[0]] for one, limit in zip(seen, limits, strict=True)} == {6}


def test_a_limit_that_is_too_large_under_both_names_is_the_servers_first_refusal() -> None:
    """vLLM's words."""
    said = "'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 64."
    refused = pytest.raises(ConfigError, match=r"refuses model 'm' .*is too large: 4096")
    with server(lambda body, before: (400, {"error": {"message": said}})) as (url, seen), refused:
        list(endpoint(url, concurrency=1).complete(REQUESTS, GREEDY))
    assert [("max_tokens" in one, "max_completion_tokens" in one) for one in seen] == [(True, False), (False, True)]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_that_the_server_took_out_is_kept_and_is_no_answer(field: str) -> None:
    draft, program = "```python\ndef f(x): return 0\n```", "```python\ndef f(x): return 1\n```"
    messages = [{field: draft, "content": program}, {field: draft, "content": None}, {"content": program}]

    def answer(body: dict[str, Any], before: int) -> tuple[int, Any]:
        return 200, {"choices": [{"message": messages[before], "finish_reason": "stop"}]}

    with server(answer) as (url, _):
        texts = [done.text for _, done in endpoint(url, concurrency=1).complete(REQUESTS[:3], GREEDY)]
    assert [text.count(draft) for text in texts] == [1, 1, 0]
    assert [extract_program(text, "f") for text in texts] == ["def f(x): return 1", None, "def f(x): return 1"]


def _later(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize("asked", [lambda: "1", lambda: _later(2)], ids=["seconds", "date"])
@pytest.mark.parametrize("status", [429, 503])
def test_no_request_comes_before_the_server_asked_for_it(status: int, asked: Callable[[], str]) -> None:
    times: list[float] = []

    def answer(body: dict[str, Any], before: int) -> tuple[Any, ...]:
        times.append(time.time())
        return (status, {"error": "busy"}, {"Retry-After": asked()}) if before == 0 else echo(body, before)

    with server(answer) as (url, _):
        assert len(list(endpoint(url, concurrency=1).complete(REQUESTS[:1], GREEDY))) == 1
    assert len(times) == 2
    assert times[1] - times[0] >= 1.0


@pytest.mark.parametrize(
    "asked",
    ["86400", "9" * 400, _later(86400), "Fri, 31 Dec 9999 23:59:59 GMT"],
    ids=["a day", "400 digits", "tomorrow", "the year 9999"],
)
def test_a_server_cannot_ask_for_longer_than_the_cap(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coderlplus.evaluation.backends.endpoint.MAX_WAIT_S", 0.02)
    with server(lambda body, before: (429, {}, {"Retry-After": asked}) if before < 2 else echo(body, before)) as (
        url,
        seen,
    ):
        assert len(list(endpoint(url, concurrency=1).complete(REQUESTS[:1], GREEDY))) == 1
    assert len(seen) == 3


@given(
    st.one_of(
        st.text(st.characters(codec="latin-1"), max_size=40),
        st.integers().map(str),
        st.floats().map(str),
        st.datetimes().map(lambda day: format_datetime(day.replace(tzinfo=UTC), usegmt=True)),
    ),
    st.one_of(st.just(""), st.datetimes().map(lambda day: format_datetime(day.replace(tzinfo=UTC), usegmt=True))),
)
def test_whatever_retry_after_says_the_pause_is_within_its_bounds(asked: str, now: str) -> None:
    assert 0.0 <= _pause({"Retry-After": asked, "Date": now}) <= MAX_WAIT_S


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with server(
        lambda body, before: (status, {"error": {"message": "busy"}}) if before < 3 else echo(body, before)
    ) as (url, seen):
        assert len(list(endpoint(url, concurrency=1).complete(REQUESTS[:2], GREEDY))) == 2
    assert len(seen) == 5


def test_an_endpoint_that_keeps_failing_is_an_error_after_what_it_gave() -> None:
    got = []
    failing = pytest.raises(DataError, match=r"failed 3 times \(HTTP 503 .*overloaded")
    with (
        server(
            lambda body, before: echo(body, before) if before == 0 else (503, {"error": {"message": "overloaded"}})
        ) as (url, _),
        failing,
    ):
        for request, _ in endpoint(url, concurrency=1, attempts=3).complete(REQUESTS, GREEDY):
            got.append(request.question_id)
    assert got == ["0"]


@pytest.mark.parametrize(
    ("status", "message"), [(401, "OPENAI_API_KEY"), (404, "check --model"), (400, "bad request, sir")]
)
def test_a_refusal_is_an_error_at_once(status: int, message: str) -> None:
    refusing = pytest.raises(ConfigError, match=message)
    with server(lambda body, before: (status, {"error": {"message": "bad request, sir"}})) as (url, seen), refusing:
        list(endpoint(url, concurrency=1).complete(REQUESTS, GREEDY))
    assert len(seen) == 1


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 1024 tokens. However, you requested 4096 output tokens and your "
        "prompt contains 20 characters (more than 0 characters).",
        "max_tokens is too large: 4096",
    ],
)
def test_a_context_that_is_too_short_is_refused_with_the_way_out(said: str) -> None:
    refusing = pytest.raises(ConfigError, match="lower --max-tokens, or serve the model with a longer context")
    with server(lambda body, before: (400, {"error": {"message": said}})) as (url, _), refusing:
        list(endpoint(url, concurrency=1).complete(REQUESTS, GREEDY))


def test_a_tokenizer_of_another_model_is_said_before_anything_is_sampled(
    local: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local.model.config, "vocab_size", 20)
    with pytest.raises(ConfigError, match=r"gives token \d+, and the model has 20: they do not belong together"):
        next(local.complete(REQUESTS, GREEDY))


def test_a_server_that_is_down_or_speaks_something_else_is_an_error() -> None:
    with (
        server(lambda body, before: (200, {"hello": "world"})) as (url, _),
        pytest.raises(ConfigError, match="does not speak OpenAI"),
    ):
        list(endpoint(url).complete(REQUESTS[:1], GREEDY))
    with pytest.raises(DataError, match=r"failed .*refused.* rerun the command when it is up"):
        list(endpoint(url, attempts=2).complete(REQUESTS[:1], GREEDY))
    with pytest.raises(ConfigError, match="not a valid URL"):
        endpoint("localhost:8000")


@pytest.mark.parametrize("place", ["http://[x", "http://" + "a" * 300 + "/", "gopher://x/", "http:///"])
def test_a_redirect_to_nowhere_is_an_error(place: str) -> None:
    with (
        server(lambda body, before: (302, {}, {"Location": place})) as (url, _),
        pytest.raises((ConfigError, DataError), match="endpoint"),
    ):
        list(endpoint(url, attempts=2).complete(REQUESTS[:1], GREEDY))


@pytest.mark.parametrize("tokens", [True, -1, 2**63, 1.5, float("nan"), "3", None, [3]])
def test_a_number_of_tokens_that_is_none_is_left_out(tokens: Any) -> None:
    answer = {"choices": [{"message": {"content": "x"}}], "usage": {"completion_tokens": tokens}}
    with server(lambda body, before: (200, answer)) as (url, _):
        ((_, completion),) = endpoint(url).complete(REQUESTS[:1], GREEDY)
    assert completion.tokens is None


@pytest.mark.parametrize("size", [0, 3, 10])
def test_an_answer_that_is_too_long_or_breaks_off_is_an_error(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coderlplus.evaluation.backends.endpoint._MAX_BYTES", size)
    with server(echo) as (url, _), pytest.raises(ConfigError, match="does not speak OpenAI"):
        list(endpoint(url).complete(REQUESTS[:1], GREEDY))
    monkeypatch.undo()
    with (
        server(lambda body, before: (200, "x" * size, {"Content-Length": "1000"})) as (url, _),
        pytest.raises(DataError, match="failed 2 times"),
    ):
        list(endpoint(url, attempts=2).complete(REQUESTS[:1], GREEDY))


def test_a_gated_model_says_what_to_do() -> None:
    """The words of transformers."""
    said = OSError(
        "You are trying to access a gated repo.\nMake sure to have access to it at "
        "https://example.org/owner/model.\n401 Client Error."
    )
    assert why_not_loaded("owner/model", said) == (
        "the model 'owner/model' is gated: accept its terms on the hub and log in with `hf auth login`, or give a "
        "folder"
    )


class StandIn:
    """vLLM's `LLM` and its engine as far as their documented interface is used here."""

    def __init__(self, model: str, tensor_parallel_size: int, **on_a_cpu: bool) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.model_config = types.SimpleNamespace(max_model_len=len(token_ids(self.tokenizer, REQUESTS[2].messages)))
        self.llm_engine, self.parallel = self, tensor_parallel_size
        self.running: dict[str, list[int]] = {}
        self.logprobs: dict[str, float | None] = {}

    def add_request(self, request_id: str, prompt: dict[str, list[int]], params: Any) -> None:
        assert request_id not in self.running
        self.running[request_id] = prompt["prompt_token_ids"]
        self.logprobs[request_id] = None if params is None or "logprobs" not in params else -3.0

    def step(self) -> list[Any]:
        name, ids = self.running.popitem()  # the last one first
        one = types.SimpleNamespace(
            text=self.tokenizer.decode(ids),
            finish_reason="stop",
            token_ids=(1, 2),
            cumulative_logprob=self.logprobs[name],
        )
        return [types.SimpleNamespace(request_id=name, outputs=[one], finished=True)]

    def abort_request(self, names: list[str]) -> None:
        for name in names:
            del self.running[name]


def stand_in(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put it in vLLM's place; returns where the settings of each sample will be."""
    given: list[dict[str, Any]] = []
    module, params = types.ModuleType("vllm"), types.ModuleType("vllm.sampling_params")
    module.LLM, module.SamplingParams = StandIn, lambda **settings: given.append(settings) or settings  # type: ignore[attr-defined]
    params.RequestOutputKind = types.SimpleNamespace(FINAL_ONLY=2)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.sampling_params", params)
    return given


def test_vllm_gets_token_ids_by_the_chat_template_and_a_seed_a_sample(
    model_folder: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = stand_in(monkeypatch)
    from coderlplus.evaluation.backends.vllm_engine import VllmModel

    found = {
        request.question_id: completion
        for request, completion in VllmModel(str(model_folder)).complete(REQUESTS, Sampling(temperature=0.8))
    }
    assert found["1"].text == tokenizer.apply_chat_template(
        list(REQUESTS[1].messages), tokenize=False, add_generation_prompt=True
    )
    assert (found["2"].text, found["2"].truncated) == ("", True)
    assert {(one["temperature"], one["max_tokens"]) for one in given} == {(0.8, 4096)}
    assert len({one["seed"] for one in given}) == len(given) < len(REQUESTS)
    assert not any("logprobs" in one for one in given)
    asked = VllmModel(str(model_folder)).complete(REQUESTS[:1], Sampling(temperature=0.8, logprobs=True))
    assert [completion.logprob for _, completion in asked] == [-1.5]
    assert given[-1]["logprobs"] == 0


@pytest.mark.parametrize("ahead", [1, 2, 100])
def test_vllm_gives_each_completion_when_it_ends_and_forgets_what_is_not_wanted(
    ahead: int, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    from coderlplus.evaluation.backends import vllm_engine

    monkeypatch.setattr(vllm_engine, "AHEAD", ahead)
    model = vllm_engine.VllmModel(str(model_folder))
    whole = [request.question_id for request, _ in model.complete(REQUESTS, GREEDY)]
    assert sorted(whole) == ["0", "1", "2", "3", "4"]
    some = model.complete(REQUESTS, GREEDY)
    next(some)
    some.close()
    assert model._llm.running == {}
    assert len(list(model.complete(REQUESTS, GREEDY))) == len(REQUESTS)


def test_vllm_has_all_that_is_used_of_it() -> None:
    """Skipped without vLLM; read in the sources of the versions that TRL supports."""
    vllm = pytest.importorskip("vllm", reason="vLLM is not installed")
    outputs = importlib.import_module("vllm.outputs")
    assert {"model", "tensor_parallel_size"} <= inspect.signature(vllm.LLM).parameters.keys()
    engine = importlib.import_module("vllm.v1.engine.llm_engine").LLMEngine
    assert [*inspect.signature(engine.add_request).parameters][:4] == ["self", "request_id", "prompt", "params"]
    assert hasattr(engine, "step")
    assert "request_ids" in inspect.signature(engine.abort_request).parameters
    assert {"text", "finish_reason", "token_ids"} <= inspect.signature(outputs.CompletionOutput).parameters.keys()
    assert {"request_id", "outputs", "finished"} <= inspect.signature(outputs.RequestOutput).parameters.keys()
    assert "max_model_len" in importlib.import_module("vllm.config").ModelConfig.__dataclass_fields__
    params = vllm.SamplingParams(temperature=0.8, max_tokens=7, seed=3)
    assert (params.temperature, params.max_tokens, params.seed, params.top_p, params.n) == (0.8, 7, 3, 1.0, 1)
    assert params.top_k in (-1, 0)  # all tokens
    assert vllm.SamplingParams(temperature=0.0).temperature == 0.0


def test_without_vllm_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    from coderlplus.evaluation.backends.vllm_engine import VllmModel

    with pytest.raises(ConfigError, match="pip install vllm"):
        VllmModel("m")
