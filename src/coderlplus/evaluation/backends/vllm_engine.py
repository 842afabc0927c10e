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
from typing import IO, Any

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.backends import Completion, Request, Sampling
from coderlplus.evaluation.backends.local import check_tokens, no_chat_template, why_not_loaded
from coderlplus.evaluation.generate import token_ids

CHUNK = 256
"""Completions asked for at a time: what an interruption can cost."""
_QUIET = {"VLLM_LOGGING_STREAM": "ext://sys.stderr", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
"""Where the user has not set them: stdout is for results, vLLM writes its log there."""
_CAUSE = re.compile(r"\b(?:\w+\.)*(\w*(?:Error|Exception)): (.+)")
_ELSEWHERE = re.compile(r"initialization failed|root cause|initialization failure|died unexpectedly|stack trace")
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

        self._said = tempfile.TemporaryFile()  # noqa: SIM115, it belongs to the processes that vLLM starts
        try:
            # vLLM's own may be another class, without a chat template
            self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
            if self._tokenizer.chat_template is None:
                raise ConfigError(no_chat_template(model))
            config = AutoConfig.from_pretrained(model).get_text_config()
            heads = getattr(config, "num_attention_heads", 1)
            with _stderr_in(self._said):
                devices = math.gcd(heads, max(1, torch.cuda.device_count()))
                self._llm: Any = LLM(model=model, tensor_parallel_size=devices)
        except ConfigError:
            raise
        except Exception as error:  # vLLM has errors of its own for some of these
            raise ConfigError(_why_not_started(model, _cause(error, self._said))) from error
        self._vocabulary = int(config.vocab_size)
        self._model, self._sampling_params = model, SamplingParams

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        window = int(self._llm.llm_engine.model_config.max_model_len)
        for start in range(0, len(requests), CHUNK):
            asked = requests[start : start + CHUNK]
            chunk = [(request, token_ids(self._tokenizer, request.messages)) for request in asked]
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
            except Exception as error:
                if isinstance(error, ValueError) or "Validation" in type(error).__name__:
                    raise ConfigError(
                        f"vLLM refuses to sample at temperature {sampling.temperature} with {sampling.max_tokens} new "
                        f"tokens ({_cause(error)}); change these settings, or use --backend transformers"
                    ) from error
                raise DataError(
                    f"vLLM has stopped ({_cause(error, self._said)}); what it had completed is kept, rerun the command"
                ) from error
            for (request, _), output in zip(chunk, outputs, strict=True):
                one = output.outputs[0]
                tokens = len(one.token_ids) - (one.finish_reason == "stop")  # without the end
                yield request, Completion(text=one.text, truncated=one.finish_reason == "length", tokens=tokens)


@contextlib.contextmanager
def _stderr_in(file: IO[bytes]) -> Iterator[None]:
    """Have the processes that are started meanwhile write their stderr into a file: of an error there, only they say
    what it was. Where the user has asked for a log, it stays where it is."""
    if os.environ["VLLM_LOGGING_LEVEL"] != _QUIET["VLLM_LOGGING_LEVEL"]:
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _cause(error: Exception, said: IO[bytes] | None = None) -> str:
    """The message of the last exception that vLLM's processes printed, except those that point to another one; without
    one, the message of `error`."""
    found: list[str] = []
    if said is not None and not isinstance(error, ValueError):
        text = os.pread(said.fileno(), 1 << 24, 0)  # the place where others write on is shared
        lines = text.decode("utf-8", "replace").splitlines()
        found = [match[2] for match in map(_CAUSE.search, lines) if match and not _ELSEWHERE.search(match[0])]
    return " ".join((found[-1] if found else str(error)).split())[:300].rstrip(".") or type(error).__name__


def _why_not_started(model: str, cause: str) -> str:
    if "KV cache" in cause or "memory" in cause.casefold():
        return (
            f"vLLM finds no memory for the model {model} ({cause}); free memory, set "
            "VLLM_CPU_KVCACHE_SPACE (GiB) on a CPU, or use --backend transformers"
        )
    return why_not_loaded(model, RuntimeError(cause))
