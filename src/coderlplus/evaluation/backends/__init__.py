"""Where completions come from: a model in this process (transformers or vLLM), or an OpenAI-compatible endpoint. One
file each, loaded when used."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from coderlplus.errors import ConfigError
from coderlplus.evaluation.generate import Prompt

__all__ = ["Backend", "Completion", "Request", "Sampling", "has_gpu"]


def has_gpu() -> bool:
    """Whether torch sees a GPU here."""
    import torch

    return torch.cuda.is_available()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to sample: greedy at `temperature` 0; otherwise from the whole distribution (no top-p, no top-k).
    `max_tokens` new tokens at most. `logprobs`: whether the log-probabilities of completions are wanted."""

    temperature: float = 0.0
    max_tokens: int = 4096
    seed: int = 0
    logprobs: bool = False

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ConfigError(f"temperature must be 0 (greedy) or more, not {self.temperature}")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens must be at least 1, not {self.max_tokens}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One completion that is wanted."""

    question_id: str
    sample: int
    messages: Prompt

    def seed(self, seed: int) -> int:
        """The seed of this completion, in 31 bits: another one for each question and sample."""
        return zlib.crc32(f"{seed}/{self.question_id}/{self.sample}".encode()) & 0x7FFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a model said, without special tokens. `truncated`: it did not end by itself; `tokens`: how many there are,
    if known; `logprob`: the mean log-probability of a token at temperature 1, where it is asked for."""

    text: str
    truncated: bool
    tokens: int | None = None
    logprob: float | None = None


class Backend(Protocol):
    """Completes conversations with the model's chat template."""

    def complete(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[Request, Completion]]:
        """The completions as they come, in any order. Raises `ConfigError` or `DataError` if the model cannot be
        used or reached."""
