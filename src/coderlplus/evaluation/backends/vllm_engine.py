"""A model in this process, by vLLM: prompts go to it in large chunks, and it batches them itself to what the memory of
the device holds."""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from coderlplus.errors import ConfigError
from coderlplus.evaluation.backends import Completion, Request, Sampling
from coderlplus.evaluation.backends.local import check_tokens, no_chat_template, why_not_loaded
from coderlplus.evaluation.generate import token_ids

CHUNK = 256
"""Completions asked for at a time: what an interruption can cost."""
_QUIET = {"VLLM_LOGGING_STREAM": "ext://sys.stderr", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
"""Where the user has not set them: stdout is for results, vLLM writes its log there."""
_CAUSE = re.compile(r"\b(?:\w+\.)*(\w*(?:Error|Exception)): (.+)")
_ELSEWHERE = re.compile(r"initialization failed|root cause|initialization failure|died unexpectedly")
"""What processes of vLLM say when another one has failed."""


class VllmModel:
    """A model by hub name or folder, on as many of the devices as divide its attention heads."""

    def __init__(self, model: str) -> None:
        """Load it. Raises `ConfigError` if vLLM is not installed, the model cannot be loaded, its keys and values find
        no memory, or the tokenizer has no chat template."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        try:
            from vllm import LLM, SamplingParams
        except ImportError as error:
            raise ConfigError(
                "vLLM is not installed: pip install vllm, or use --backend transformers or --endpoint"
            ) from error
        import torch
        from transformers import AutoConfig, AutoTokenizer

        said: list[str] = []
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                model
            )  # vLLM's own may be another class, without a chat template
            if self._tokenizer.chat_template is None:
                raise ConfigError(no_chat_template(model))
            config = AutoConfig.from_pretrained(model).get_text_config()
            heads = getattr(config, "num_attention_heads", 1)
            with _listening(said):
                self._llm: Any = LLM(
                    model=model, tensor_parallel_size=math.gcd(heads, max(1, torch.cuda.device_count()))
                )
        except ConfigError:
            raise
        except Exception as error:  # vLLM has errors of its own for some of these
            raise ConfigError(_why_not_started(model, _cause(str(error), *said))) from error
        self._vocabulary = int(config.vocab_size)
        self._model, self._sampling_params = model, SamplingParams

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        window = int(self._llm.llm_engine.model_config.max_model_len)
        for start in range(0, len(requests), CHUNK):
            chunk = [
                (request, token_ids(self._tokenizer, request.messages)) for request in requests[start : start + CHUNK]
            ]
            check_tokens(self._model, (ids for _, ids in chunk), self._vocabulary)
            yield from (
                (request, Completion(text="", truncated=True, tokens=0))
                for request, ids in chunk
                if len(ids) >= window
            )
            chunk = [(request, ids) for request, ids in chunk if len(ids) < window]
            try:
                params = [
                    self._sampling_params(
                        temperature=sampling.temperature,
                        max_tokens=sampling.max_tokens,
                        seed=request.seed(sampling.seed),
                    )
                    for request, _ in chunk
                ]
                prompts = [{"prompt_token_ids": list(ids)} for _, ids in chunk]
                outputs = self._llm.generate(prompts, params, use_tqdm=False) if chunk else []
            except ValueError as error:
                raise ConfigError(
                    f"vLLM refuses to sample at temperature {sampling.temperature} with {sampling.max_tokens} new "
                    f"tokens ({' '.join(str(error).split())[:300].rstrip('.')}); change these settings, or use "
                    "--backend transformers"
                ) from error
            for (request, _), output in zip(chunk, outputs, strict=True):
                one = output.outputs[0]
                yield (
                    request,
                    Completion(text=one.text, truncated=one.finish_reason == "length", tokens=len(one.token_ids)),
                )


@contextlib.contextmanager
def _listening(said: list[str]) -> Iterator[None]:
    """Add to `said` the lines that all processes write to stderr meanwhile: vLLM starts others, and of an error there
    only they say what it was. They are passed on where the user has asked for a log."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
            said += text.splitlines()
            if os.environ["VLLM_LOGGING_LEVEL"] != _QUIET["VLLM_LOGGING_LEVEL"]:
                sys.stderr.write(text)


def _cause(*lines: str) -> str:
    """The message of the last exception that these lines name, but for those that point to another one."""
    found = [match[2].strip() for match in map(_CAUSE.search, lines) if match and not _ELSEWHERE.search(match[0])]
    return found[-1] if found else lines[0]


def _why_not_started(model: str, cause: str) -> str:
    if "KV cache" in cause or "memory" in cause.casefold():
        return (
            f"vLLM finds no memory for the model {model} ({cause[:300].rstrip('.')}); free memory, set "
            "VLLM_CPU_KVCACHE_SPACE (GiB) on a CPU, or use --backend transformers"
        )
    return why_not_loaded(model, RuntimeError(cause))
