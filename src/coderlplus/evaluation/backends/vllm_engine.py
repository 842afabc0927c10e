"""A model in this process, by vLLM: prompts go to it in large chunks, and it batches them itself to what the memory of
the device holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from coderlplus.errors import ConfigError
from coderlplus.evaluation.backends import Completion, Request, Sampling
from coderlplus.evaluation.backends.local import no_chat_template, why_not_loaded
from coderlplus.evaluation.generate import token_ids

CHUNK = 256
"""Completions asked for at a time: what an interruption can cost."""


class VllmModel:
    """A model by hub name or folder, on as many of the devices as divide its attention heads."""

    def __init__(self, model: str) -> None:
        """Load it. Raises `ConfigError` if vLLM is not installed, the model cannot be loaded, or the tokenizer has no
        chat template."""
        try:
            from vllm import LLM, SamplingParams
        except ImportError as error:
            raise ConfigError(
                "vLLM is not installed: pip install vllm, or use --backend transformers or --endpoint"
            ) from error
        import torch
        from transformers import AutoConfig, AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                model
            )  # vLLM's own may be another class, without a chat template
            if self._tokenizer.chat_template is None:
                raise ConfigError(no_chat_template(model))
            heads = getattr(AutoConfig.from_pretrained(model).get_text_config(), "num_attention_heads", 1)
            self._llm: Any = LLM(model=model, tensor_parallel_size=math.gcd(heads, max(1, torch.cuda.device_count())))
        except ConfigError:
            raise
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ConfigError(why_not_loaded(model, error)) from error
        self._sampling_params: Any = SamplingParams

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        window = int(self._llm.llm_engine.model_config.max_model_len)
        for start in range(0, len(requests), CHUNK):
            chunk = [
                (request, token_ids(self._tokenizer, request.messages)) for request in requests[start : start + CHUNK]
            ]
            yield from (
                (request, Completion(text="", truncated=True, tokens=0))
                for request, ids in chunk
                if len(ids) >= window
            )
            chunk = [(request, ids) for request, ids in chunk if len(ids) < window]
            params = [
                self._sampling_params(
                    temperature=sampling.temperature, max_tokens=sampling.max_tokens, seed=request.seed(sampling.seed)
                )
                for request, _ in chunk
            ]
            outputs = (
                self._llm.generate([{"prompt_token_ids": list(ids)} for _, ids in chunk], params, use_tqdm=False)
                if chunk
                else []
            )
            for (request, _), output in zip(chunk, outputs, strict=True):
                one = output.outputs[0]
                yield (
                    request,
                    Completion(text=one.text, truncated=one.finish_reason == "length", tokens=len(one.token_ids)),
                )
