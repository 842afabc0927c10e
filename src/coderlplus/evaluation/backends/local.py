"""A Hugging Face model in this process, by transformers. The size of a batch is guessed from free memory and halved
whenever memory runs out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from coderlplus.errors import ConfigError
from coderlplus.evaluation.backends import Completion, Request, Sampling
from coderlplus.evaluation.generate import Continued, complete_batch, mean_logprobs, token_ids, until_stop

LARGEST_BATCH = {"cuda": 256, "cpu": 32}
MEMORY_SHARE = 0.7
"""How much of the free memory the first guess takes for keys and values; the rest is for activations."""


class LocalModel:
    """A model and its tokenizer, by hub name or folder."""

    def __init__(self, model: str, style: str = "chat") -> None:
        """Load them. Raises `ConfigError` if that cannot be done or the tokenizer has no chat template for
        `style` chat."""
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise ConfigError(
                f"this back end needs {error.name}: pip install 'coderlplus[trl]'; or use --endpoint"
            ) from error
        try:
            tokenizer = AutoTokenizer.from_pretrained(model)
            loaded = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ConfigError(why_not_loaded(model, error)) from error
        if style == "chat" and tokenizer.chat_template is None:
            raise ConfigError(no_chat_template(model))
        self._take(loaded.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer)

    @classmethod
    def of(cls, model: Any, tokenizer: Any) -> Self:
        """A model in evaluation mode that is there already, where it is, and its tokenizer."""
        backend = cls.__new__(cls)
        backend._take(model, tokenizer)
        return backend

    def _take(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.device: str = model.device.type
        self.batch_size: int | None = None
        """What has been found to fit; None until the first batch."""

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        """Longest prompts first, so that memory runs out early or never."""
        import torch

        prompts = [token_ids(self.tokenizer, request.messages) for request in requests]
        check_tokens(self.model.name_or_path, prompts, self.model.config.get_text_config().vocab_size)
        window = self._window()
        waiting = sorted(range(len(prompts)), key=lambda index: (-len(prompts[index]), index))
        while waiting and len(prompts[waiting[0]]) >= window:
            yield requests[waiting.pop(0)], Completion(text="", truncated=True, tokens=0)
        while waiting:
            if self.batch_size is None:
                self.batch_size = self._guess(len(prompts[waiting[0]]) + sampling.max_tokens)
            chosen = waiting[: self.batch_size]
            try:
                completions = self._batch(
                    [requests[index] for index in chosen], [prompts[index] for index in chosen], window, sampling
                )
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if len(chosen) == 1:
                    raise ConfigError(
                        f"one prompt of {len(prompts[chosen[0]])} tokens with {sampling.max_tokens} new ones does "
                        f"not fit into the memory of {self.device}; lower --max-tokens or use a larger device"
                    ) from error
                self.batch_size = len(chosen) // 2
                if self.device == "cuda":
                    torch.cuda.empty_cache()
                continue
            waiting = waiting[len(chosen) :]
            yield from zip([requests[index] for index in chosen], completions, strict=True)

    def _batch(
        self, requests: Sequence[Request], prompts: Sequence[Sequence[int]], window: int, sampling: Sampling
    ) -> list[Completion]:
        import torch
        from transformers import GenerationConfig

        ends = self._end_tokens()
        room = min(sampling.max_tokens, window - max(map(len, prompts)))
        how: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            how = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0, "top_p": 1.0}
        how |= {"repetition_penalty": 1.0}  # models bring defaults of their own
        asked = requests[0].messages
        if isinstance(asked, Continued) and asked.stop:
            how |= {"stop_strings": list(asked.stop)}
        config = GenerationConfig(
            max_new_tokens=room, pad_token_id=self.tokenizer.pad_token_id, eos_token_id=ends, **how
        )
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(requests[0].seed(sampling.seed))
            output = complete_batch(self.model, prompts, self.tokenizer.pad_token_id, config, self.tokenizer)
        completions: list[Completion] = []
        for request, row in zip(requests, output.tolist(), strict=True):
            length = next((place for place, token in enumerate(row) if token in ends), len(row))
            whole = self.tokenizer.decode(row[:length], skip_special_tokens=True)
            text, stopped = until_stop(whole, request.messages)
            if stopped and self.tokenizer.pad_token_id in row:
                length = row.index(self.tokenizer.pad_token_id)
            truncated = length == len(row) and not stopped
            prompt = prompts[len(completions)]
            completion = row[: length + 1]  # its end included
            logprob = mean_logprobs(self.model, [prompt], [completion])[0] if sampling.logprobs else None
            completions.append(Completion(text=text, truncated=truncated, tokens=length, logprob=logprob))
        return completions

    def _end_tokens(self) -> list[int]:
        """All tokens that end a completion: chat models often have two."""
        given = self.model.generation_config.eos_token_id
        ends = given if isinstance(given, list) else [given]
        return sorted({token for token in (*ends, self.tokenizer.eos_token_id) if token is not None})

    def _window(self) -> int:
        """The longest sequence that the model takes, in tokens."""
        sizes = (getattr(self.model.config, "max_position_embeddings", None), self.tokenizer.model_max_length)
        return int(min((size for size in sizes if isinstance(size, int | float) and size > 0), default=1 << 30))

    def _guess(self, tokens: int) -> int:
        """How many sequences of `tokens` tokens are likely to fit: their keys and values against the free memory."""
        import torch

        config = self.model.config.get_text_config()
        queries: int = getattr(config, "num_attention_heads", 32)
        heads = getattr(config, "num_key_value_heads", None) or queries
        width = getattr(config, "head_dim", None) or getattr(config, "hidden_size", 4096) // queries
        layers: int = getattr(config, "num_hidden_layers", 32)
        each = int(2 * layers * heads * width * self.model.dtype.itemsize * tokens)
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if self.device == "cuda":
            free = torch.cuda.mem_get_info()[0]
        return max(1, min(LARGEST_BATCH[self.device], int(MEMORY_SHARE * free / max(1, each))))


def check_tokens(model: str, prompts: Iterable[Sequence[int]], vocabulary: int) -> None:
    """Raises `ConfigError` for prompts (token ids) with a token that a model of `vocabulary` tokens does not have."""
    largest = max((token for prompt in prompts for token in prompt), default=0)
    if largest >= vocabulary:
        raise ConfigError(
            f"the tokenizer of {model} gives token {largest}, and the model has {vocabulary}: they do not belong "
            "together; use the tokenizer that the model was trained with"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA has an exception of its own; on CPU torch raises a plain RuntimeError."""
    import torch

    is_one = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return is_one or "not enough memory" in str(error) or "can't allocate memory" in str(error)


def no_chat_template(model: str) -> str:
    return (
        f"the tokenizer of {model} has no chat template; use an instruction-tuned one, or ask it as a base model: "
        "--style base"
    )


def where_the_model_is(model: str) -> str | None:
    """One sentence where `model` is the folder of a run, or its `final` that is not there; `None` otherwise."""
    path = Path(model)
    if (path.expanduser() / "config.json").exists():
        return None
    if (path.expanduser() / "final" / "config.json").exists():
        return f"{model} is a run folder; its model is {path / 'final'}"
    run = path.parent if path.name == "final" else path
    saved = {
        int(step): config.parent
        for place in (run, run / "checkpoints")
        for config in place.expanduser().glob("checkpoint-*/config.json")
        if (step := config.parent.name.rpartition("-")[2]).isdecimal()
    }
    if saved:
        return f"{run} is the folder of a run that has not ended; its newest checkpoint is {saved[max(saved)]}"
    return None


def why_not_loaded(model: str, error: Exception) -> str:
    """One sentence for what the loader says in many."""
    path = Path(model)
    if "gated repo" in str(error):
        return (
            f"the model {model!r} is gated: accept its terms on the hub and log in with `hf auth login`, or give "
            "a folder"
        )
    if run := where_the_model_is(model):
        return run
    if path.is_dir():
        return f"cannot load the model in {model} ({_first_sentence(error)}); check that it is complete"
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        return f"the model folder {model} does not exist; give a folder or a name on the hub"
    return (
        f"cannot load the model {model!r} ({_first_sentence(error)}); check the name and the network, or give a folder"
    )


def _first_sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.partition(". ")[0][:240]
