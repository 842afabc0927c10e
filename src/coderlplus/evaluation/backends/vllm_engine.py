"""A model in this process, by vLLM, which batches prompts itself to what the memory of the device holds. Completions
come one by one, as they end.

vLLM's engine runs in this process too: where it is another one, as vLLM would have it, it outlives a SIGKILL of this
one and keeps the memory of the device. Workers on several devices are processes of their own, which end with it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO, Any

from coderlplus.errors import ConfigError, DataError
from coderlplus.evaluation.backends import Completion, Request, Sampling, has_gpu
from coderlplus.evaluation.backends.local import check_tokens, no_chat_template, why_not_loaded
from coderlplus.evaluation.generate import Continued, token_ids

AHEAD = 1024
"""Prompts that vLLM has at a time, more than it runs at once."""
_QUIET = {"VLLM_LOGGING_STREAM": "ext://sys.stderr", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
"""Stdout is for results, and vLLM writes its log there."""
_DEFAULTS = _QUIET | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""Where the user has not set them."""
_ON_A_CPU = {"enable_chunked_prefill": False}
"""A prompt that is read in two parts ends vLLM there, where its sample has a seed (0.31: "CPU Generator does not use
offset")."""
_CAUSE = re.compile(r"\b(?:\w+\.)*(\w*(?:Error|Exception)): (.+)")
_ELSEWHERE = re.compile(r"initialization failed|root cause|initialization failure|died unexpectedly|stack trace")
"""What processes of vLLM say when another one has failed."""


class VllmModel:
    """A model by hub name or folder, on as many of the devices as divide its attention heads."""

    def __init__(self, model: str, style: str = "chat") -> None:
        """Load it. Raises `ConfigError` if vLLM is not installed, the model cannot be loaded, its keys and values find
        no memory, or the tokenizer has no chat template for `style` chat."""
        for name, value in _DEFAULTS.items():
            os.environ.setdefault(name, value)
        try:
            from vllm.sampling_params import RequestOutputKind

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
            if style == "chat" and self._tokenizer.chat_template is None:
                raise ConfigError(no_chat_template(model))
            config = AutoConfig.from_pretrained(model).get_text_config()
            heads = getattr(config, "num_attention_heads", 1)
            with _stderr_in(self._said):
                self._llm: Any = LLM(
                    model=model,
                    tensor_parallel_size=math.gcd(heads, max(1, torch.cuda.device_count())),
                    **({} if has_gpu() else _ON_A_CPU),
                )
        except ConfigError:
            raise
        except Exception as error:  # vLLM has errors of its own for some of these
            raise ConfigError(_why_not_started(model, _cause(error, self._said))) from error
        self._vocabulary = int(config.vocab_size)
        self._model, self._sampling_params, self._whole = model, SamplingParams, RequestOutputKind.FINAL_ONLY
        self._asked = 0

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        engine = self._llm.llm_engine
        window = int(engine.model_config.max_model_len)
        prompts = [token_ids(self._tokenizer, request.messages) for request in requests]
        check_tokens(self._model, prompts, self._vocabulary)
        asked = [*zip(requests, prompts, strict=True)]
        for request, ids in asked:
            if len(ids) >= window:
                yield request, Completion(text="", truncated=True, tokens=0)
        waiting = ((request, ids) for request, ids in asked if len(ids) < window)
        running: dict[str, Request] = {}
        try:
            while True:
                for request, ids in itertools.islice(waiting, AHEAD - len(running)):
                    running[self._add(engine, request, ids, sampling)] = request
                if not running:
                    break
                for name, completion in self._ended(engine):
                    yield running.pop(name), completion
        finally:
            with contextlib.suppress(Exception):  # an engine that has stopped has nothing to forget
                engine.abort_request([*running])

    def _add(self, engine: Any, request: Request, ids: Sequence[int], sampling: Sampling) -> str:
        """Ask for a completion, and return the name by which the engine knows it."""
        self._asked += 1
        stop = list(request.messages.stop) if isinstance(request.messages, Continued) else None
        try:
            params = self._sampling_params(
                temperature=sampling.temperature,
                max_tokens=sampling.max_tokens,
                seed=request.seed(sampling.seed),
                stop=stop,
                output_kind=self._whole,
                **({"logprobs": 0} if sampling.logprobs else {}),
            )
            engine.add_request(str(self._asked), {"prompt_token_ids": list(ids)}, params)
        except Exception as error:  # vLLM has errors of its own for some of these
            raise ConfigError(
                f"vLLM refuses to sample at temperature {sampling.temperature} with {sampling.max_tokens} new "
                f"tokens ({_cause(error)}); change these settings, or use --backend transformers"
            ) from error
        return str(self._asked)

    def _ended(self, engine: Any) -> list[tuple[str, Completion]]:
        """The completions that end with the next step of the engine."""
        try:
            outputs = engine.step()
        except Exception as error:
            raise DataError(
                f"vLLM has stopped ({_cause(error, self._said)}); what it had completed is kept, rerun the command"
            ) from error
        return [(output.request_id, _completion(output.outputs[0])) for output in outputs if output.finished]


def _completion(output: Any) -> Completion:
    tokens = len(output.token_ids) - (output.finish_reason == "stop")  # without the end
    total = output.cumulative_logprob  # where it was asked for
    logprob = None if total is None else total / max(1, len(output.token_ids))
    return Completion(text=output.text, truncated=output.finish_reason == "length", tokens=tokens, logprob=logprob)


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
