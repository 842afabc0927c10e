"""A server that samples from the real model on a CPU, token by token, in the place of vLLM; its weights come from
verl's trainer at each step."""

from __future__ import annotations

import asyncio
import hashlib
import os
from typing import Any

import ray
import torch
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput


@ray.remote(num_cpus=0)
class Server:
    """Samples only the tokens that TOKENS allows ("7,8,9"; all without it), so that a random model writes programs."""

    def __init__(self, model: str, length: int) -> None:
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(1)
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        self.length, self.step, self.asked = length, 0, 0
        allowed = os.environ.get("CPU_ROLLOUT_TOKENS", "")
        self.forbidden = torch.ones(self.model.config.vocab_size, dtype=torch.bool)
        self.forbidden[[int(token) for token in allowed.split(",")] if allowed else slice(None)] = False
        self.forbidden[self.model.config.eos_token_id] = False

    async def load(self, weights: dict[str, torch.Tensor], step: int | None) -> None:
        left_over = self.model.load_state_dict(weights, strict=False)
        assert not left_over.unexpected_keys
        self.step, self.asked = step or 0, 0

    async def wake_up(self, *_: Any, **__: Any) -> None: ...

    async def sleep(self, *_: Any, **__: Any) -> None: ...

    async def abort_all_requests(self, **_: Any) -> None: ...

    async def resume_generation(self) -> None: ...

    async def clear_kv_cache(self) -> None: ...

    async def generate(
        self, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        name = f"{self.step}/{request_id}/{list(prompt_ids)}"
        random = torch.Generator().manual_seed(int(hashlib.sha256(name.encode()).hexdigest()[:12], 16))
        ids, temperature = torch.tensor([list(prompt_ids)]), float(sampling_params.get("temperature") or 0)
        tokens: list[int] = []
        log_probs: list[float] = []
        with torch.no_grad():
            while len(tokens) < self.length and self.model.config.eos_token_id not in tokens:
                logits = self.model(ids).logits[0, -1].masked_fill(self.forbidden, -torch.inf)
                log_p = torch.log_softmax(logits / temperature if temperature else logits, -1)
                token = int(torch.multinomial(log_p.exp(), 1, generator=random) if temperature else log_p.argmax())
                tokens.append(token)
                log_probs.append(float(log_p[token]))
                ids = torch.cat([ids, torch.tensor([[token]])], 1)
                await asyncio.sleep(0)
        steps = {"global_steps": self.step, "min_global_steps": self.step, "max_global_steps": self.step}
        return TokenOutput(token_ids=tokens, log_probs=log_probs, stop_reason="completed", extra_fields=steps)


class Replica(RolloutReplica):  # type: ignore[misc]
    async def launch_servers(self) -> None:
        server = Server.options(name=f"cpu_server_{self.replica_rank}").remote(
            self.model_config.path, self.config.response_length
        )
        self.servers, self._server_handle, self._server_address = [server], server, f"cpu-{self.replica_rank}"


class Weights(BaseRollout):  # type: ignore[misc]
    """The side of the trainer: hands its weights to the server."""

    async def resume(self, tags: list[str]) -> None: ...

    async def release(self) -> None: ...

    async def update_weights(self, weights: Any, global_steps: int | None = None, **_: Any) -> None:
        state = {name: tensor.detach().to("cpu", torch.float32).clone() for name, tensor in weights}
        await ray.get_actor(f"cpu_server_{int(os.environ.get('RANK', 0))}").load.remote(state, global_steps)
