"""A stand-in for the library vLLM on a CPU, for what TRL asks of it: `LLM` inside the trainer's process (colocate), a
server over HTTP, and weights that are sent there. With this folder on PYTHONPATH TRL finds it in the place of vLLM;
`python vllm.py MODEL PORT LOG` is the server, which writes a line a request to LOG. TRL itself is not touched.

It samples token by token from the weights that it was given. What it draws depends on them, the prompt and the number
of the completion among those of its prompt alone, so a run can be compared with another one. Log-probabilities are the
model's own, without `allowed_token_ids`: TRL compares them with the trainer's.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import types
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import torch

__version__ = "0.31.0"


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    n: int
    max_tokens: int
    temperature: float
    logprobs: int | None
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    allowed_token_ids: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        neutral = (self.temperature, self.top_p, self.min_p, self.repetition_penalty) == (1.0, 1.0, 0.0, 1.0)
        if not neutral or self.top_k > 0 or self.logprobs:
            raise NotImplementedError("the stand-in samples from the model's own distribution alone")


class StructuredOutputsParams: ...


class RequestOutput: ...


class Model:
    """Weights that come from the trainer."""

    def __init__(self, path: str) -> None:
        from transformers import AutoModelForCausalLM

        self.module = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.end = self.module.config.eos_token_id

    def load_weights(self, weights: Any) -> None:
        own = dict(self.module.named_parameters())
        with torch.no_grad():
            for name, value in weights:
                own[name].copy_(value)

    def forget_weights(self) -> None:
        with torch.no_grad():
            for parameter in self.module.parameters():
                parameter.fill_(torch.nan)

    def digest(self) -> str:
        weights = hashlib.sha256()
        for tensor in self.module.state_dict().values():
            weights.update(tensor.numpy().tobytes())
        return weights.hexdigest()

    @torch.no_grad()
    def sample(self, prompt: list[int], number: int, params: SamplingParams) -> tuple[list[int], list[float]]:
        chance = torch.Generator().manual_seed(int(hashlib.sha256(f"{number}/{prompt}".encode()).hexdigest()[:12], 16))
        tokens: list[int] = []
        log_p: list[float] = []
        while len(tokens) < params.max_tokens and self.end not in tokens:
            logits = self.module(torch.tensor([[*prompt, *tokens]])).logits[0, -1].log_softmax(-1)
            chosen = params.allowed_token_ids or list(range(len(logits)))
            token = chosen[int(torch.multinomial(logits[chosen].softmax(-1), 1, generator=chance))]
            tokens.append(token)
            log_p.append(float(logits[token]))
        return tokens, log_p


class LLM:
    """vLLM inside the process of the trainer."""

    def __init__(self, model: str, *, enable_sleep_mode: bool = False, **_: Any) -> None:
        self.model = Model(model)
        runner = types.SimpleNamespace(model_runner=types.SimpleNamespace(model=self.model))
        self.llm_engine = types.SimpleNamespace(model_executor=types.SimpleNamespace(driver_worker=runner))

    def generate(
        self, prompts: list[dict[str, list[int]]], *, sampling_params: SamplingParams, use_tqdm: bool
    ) -> list[Any]:
        seen: Counter[tuple[int, ...]] = Counter()
        outputs = []
        for prompt in (one["prompt_token_ids"] for one in prompts):
            tokens, values = self.model.sample(prompt, seen[tuple(prompt)], sampling_params)
            seen[tuple(prompt)] += 1
            logprobs = [
                {token: types.SimpleNamespace(logprob=value, rank=1)}
                for token, value in zip(tokens, values, strict=True)
            ]
            completion = types.SimpleNamespace(token_ids=tokens, logprobs=logprobs)
            outputs.append(types.SimpleNamespace(prompt_token_ids=prompt, outputs=[completion]))
        return outputs

    def sleep(self, *, level: int) -> None:
        self.model.forget_weights()

    def wake_up(self, *, tags: list[str]) -> None: ...

    def reset_prefix_cache(self) -> None: ...


def trainer_init(info: dict[str, Any]) -> Any:
    """The trainer's end of the line over which weights are sent, in the place of NCCL."""
    with Listener((info["master_address"], info["master_port"])) as listener:
        return types.SimpleNamespace(line=listener.accept(), group=types.SimpleNamespace())


def packed_nccl_broadcast_producer(*, iterator: Any, group: Any, src: int, post_iter_func: Any) -> None:
    for item in iterator:
        group.line.send(post_iter_func(item).detach().numpy())


class Server(BaseHTTPRequestHandler):
    model: Model
    name: str
    log: Path
    line: Connection

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        config = {
            "weight_transfer_config": {"backend": "nccl"},
            "model_config": {"logprobs_mode": "processed_logprobs"},
        }
        answers: dict[str, Any] = {
            "/health": {},
            "/v1/models": {"data": [{"id": self.name}]},
            "/server_info": {"vllm_config": config},
            "/get_world_size": {"world_size": 1},
        }
        self.answer(answers.get(self.path.split("?")[0]))

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = json.loads(text) if text else {}
        if self.path == "/init_weight_transfer_engine":
            info = asked["init_info"]
            type(self).line = connected(info["master_address"], info["master_port"])
        elif self.path == "/update_weights":
            self.model.load_weights(
                (name, torch.from_numpy(self.line.recv())) for name in asked["update_info"]["names"]
            )
            self.write({"weights": self.model.digest()})
        elif self.path == "/v1/completions":
            self.write({"prompts": asked["prompt"]})
            self.answer({"choices": self.choices(asked)})
            return
        elif self.path not in ("/start_weight_update", "/finish_weight_update", "/reset_prefix_cache"):
            self.answer(None)
            return
        self.answer({"success": True})

    def choices(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        params = SamplingParams(
            **{
                key: value
                for key, value in asked.items()
                if key not in ("model", "prompt", "return_token_ids", "return_tokens_as_token_ids")
            }
        )
        choices = []
        for prompt in asked["prompt"]:
            for number in range(params.n):
                tokens, values = self.model.sample(prompt, number, params)
                names = [f"token_id:{token}" for token in tokens]
                logprobs = {"tokens": names, "token_logprobs": values, "top_logprobs": [None] * len(tokens)}
                wanted = params.logprobs is not None
                choices.append(
                    {"prompt_token_ids": prompt, "token_ids": tokens, "logprobs": logprobs if wanted else None}
                )
        return choices

    def answer(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def write(self, line: Any) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(line) + "\n")


def connected(host: str, port: int) -> Connection:
    """To a listener that may not be there yet."""
    for _ in range(600):
        try:
            return Client((host, port))
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise ConnectionRefusedError(f"no trainer at {host}:{port}")


def serve(model: str, port: str, log: str) -> None:
    torch.set_num_threads(1)
    Server.name, Server.model, Server.log = model, Model(model), Path(log)
    ThreadingHTTPServer(("127.0.0.1", int(port)), Server).serve_forever()


def module(name: str, **content: Any) -> None:
    """Make `content` importable from a module of vLLM."""
    made = types.ModuleType(name)
    made.__dict__.update(content)
    sys.modules[name] = made


if __name__ == "vllm":
    module("vllm.sampling_params", StructuredOutputsParams=StructuredOutputsParams)
    module("vllm.utils.network_utils", get_ip=lambda: "127.0.0.1")
    module("vllm.utils")
    module("vllm.distributed.weight_transfer.nccl_common", trainer_init=trainer_init)
    module(
        "vllm.distributed.weight_transfer.packed_tensor", packed_nccl_broadcast_producer=packed_nccl_broadcast_producer
    )
    module("vllm.distributed.weight_transfer")
    module("vllm.distributed")
if __name__ == "__main__":
    serve(*sys.argv[1:])
