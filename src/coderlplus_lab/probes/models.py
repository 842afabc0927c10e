"""A Hugging Face model for reading: its tokens with their places in the text, its hidden states, and an untrained
model of the same shape."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError
from coderlplus.evaluation.backends.local import why_not_loaded
from coderlplus.problems.prompts import conversation
from coderlplus_lab.probes.passages import LAST, Passage

UNTRAINED = "untrained"
SAYS_NOTHING = re.compile(r"final|seed-\d+|")
"""Parts of a path that every run folder has."""
_NOT_SHAPE = {
    "_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache", "_commit_hash",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tokens:
    """A passage as tokens: `ids`, and for each of its marks the number of the token that holds the marked
    character."""

    ids: list[int]
    places: tuple[int, ...]


class Reader:
    """Tokenizer and configuration of a model, by hub name or folder; its weights are loaded by `weights`."""

    def __init__(self, model: str) -> None:
        """Raises `ConfigError` if they cannot be loaded, or if the tokenizer cannot tell where its tokens stand in the
        text."""
        try:
            from transformers import AutoConfig, AutoTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise ConfigError(f"probes need {error.name}: pip install 'coderlplus[trl,probe]'") from error
        logging.disable_progress_bar()  # weights are loaded below our own progress bar
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(model)
            self.config: Any = AutoConfig.from_pretrained(model)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ConfigError(why_not_loaded(model, error)) from error
        if not self.tokenizer.is_fast:
            raise ConfigError(f"the tokenizer of {model} gives no token offsets; probes need a fast tokenizer")
        self.model = model

    @property
    def layers(self) -> int:
        """How many layers the model has."""
        return int(self.config.get_text_config().num_hidden_layers)

    @property
    def window(self) -> int:
        """The longest text that the model reads, in tokens."""
        context = getattr(self.config.get_text_config(), "max_position_embeddings", None)
        sizes = (context, self.tokenizer.model_max_length)
        return int(min((size for size in sizes if isinstance(size, int | float) and size > 0), default=1 << 30))

    @property
    def tokenizer_digest(self) -> str:
        """Equal for tokenizers that cut every text alike."""
        return _digest([self.tokenizer.backend_tokenizer.to_str(), self.tokenizer.chat_template])

    @property
    def shape(self) -> str:
        """Equal for models that differ in nothing but their weights."""
        config = {name: value for name, value in self.config.to_dict().items() if name not in _NOT_SHAPE}
        return _digest([config, self.tokenizer_digest])

    @property
    def version(self) -> str:
        """Differs when the weights may have changed: sizes and times of the files of a folder, the commit of a model
        of the hub."""
        folder = Path(self.model)
        if not folder.is_dir():
            return str(getattr(self.config, "_commit_hash", None))
        files = [(path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file()]
        return _digest([(name, found.st_size, found.st_mtime_ns) for name, found in files])

    def weights(self, *, untrained: bool = False, seed: int = 0) -> Any:
        """The model without its head, ready to read; `untrained`: one of the same shape whose weights are drawn as if
        training were to begin."""
        import torch
        from transformers import AutoModelForCausalLM

        try:
            if untrained:
                with torch.random.fork_rng():
                    torch.manual_seed(seed)
                    model: Any = AutoModelForCausalLM.from_config(self.config)
            else:
                model = AutoModelForCausalLM.from_pretrained(self.model, dtype="auto")
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ConfigError(why_not_loaded(self.model, error)) from error
        return model.base_model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def tokens(self, passage: Passage) -> Tokens:
        """The passage as the model is given it: the prompt by its chat template (without one: as it is, and a blank
        line), then the completion.

        Raises `ConfigError` if the template changes the text of the prompt, whose marks then cannot be found.
        """
        text, has_template = f"{passage.prompt}\n\n", self.tokenizer.chat_template is not None
        if has_template:
            messages = conversation(passage.prompt)
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompt_ids, prompt_spans = self._encoded(text, special=not has_template)
        ids, spans = self._encoded(passage.completion) if passage.completion else ([], [])
        start = text.rfind(passage.prompt)
        places = []
        for mark in passage.marks:
            if mark.place == LAST:
                places.append(len(prompt_ids) - 1)
            elif mark.kind != "asked":
                places.append(len(prompt_ids) + _token_at(spans, mark.place))
            elif start >= 0:
                places.append(_token_at(prompt_spans, start + mark.place))
            else:
                raise ConfigError(
                    f"the chat template of {self.model} changes the text of prompts: labels in tasks cannot be "
                    "found; probe problems"
                )
        return Tokens([*prompt_ids, *ids], tuple(places))

    def count(self, text: str) -> int:
        """How many tokens a text is."""
        return len(self._encoded(text)[0])

    def _encoded(self, text: str, *, special: bool = False) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids, and where each token begins and ends in the text."""
        encoded = self.tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
        return list(encoded["input_ids"]), list(encoded["offset_mapping"])


def _token_at(spans: Sequence[tuple[int, int]], place: int) -> int:
    """The number of the last token that holds the character at a place (one character may be several tokens); else of
    the last before it.

    >>> _token_at([(0, 2), (2, 3), (2, 3), (4, 6)], 2), _token_at([(0, 2), (3, 4)], 2)
    (2, 0)
    """
    begun = [number for number, (start, _) in enumerate(spans) if start <= place]
    holding = [number for number in begun if place < spans[number][1]]
    return max(holding or begun, default=0)


def labels(models: Sequence[str]) -> list[str]:
    """Short names for models: the last part of each that says something, more where two would be the same. Raises
    `ConfigError` for doubles.

    >>> labels(["runs/a/warm_start", "runs/a/runs/grpo/seed-0/final"]), labels(["x/m", "y/m"])
    (['warm_start', 'grpo'], ['x/m', 'y/m'])
    """
    if len(set(models)) < len(models):
        raise ConfigError(f"a model is given twice: {', '.join(models)}; give each once")
    short = []
    for model in models:
        parts = [part for part in model.rstrip("/").split("/") if not SAYS_NOTHING.fullmatch(part)]
        short.append(parts[-1] if parts else model)
    return short if len({*short, UNTRAINED}) > len(short) else [model.strip("/") for model in models]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
