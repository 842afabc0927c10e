"""The model and tokenizer that a run starts from, by folder or hub name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from coderlplus.errors import ConfigError
from coderlplus.evaluation.backends.local import check_tokens, where_the_model_is
from coderlplus.evaluation.generate import token_ids

NO_LIMIT = 10**9
"""Tokenizers without a limit say a huge number."""


def model_name(model: str) -> str:
    """A local folder, or a name to ask the hub for. Raises `ConfigError` for what looks like a path and is no
    folder, and for the folder of a run instead of its model."""
    path = Path(model).expanduser()
    if run := where_the_model_is(model):
        raise ConfigError(run)
    if path.is_dir():
        return str(path)
    if path.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ConfigError(
            f"model {model!r} is not a folder; give the folder of a model, or its name on the Hugging Face hub"
        )
    return model


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a local folder or hub model. Raises `ConfigError` if there is no such model, or its tokenizer
    has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        reason = (
            "has no tokenizer that transformers can read; check that the folder is complete"
            if Path(model).is_dir()
            else "is not a folder, and the Hugging Face hub returned none; check the name and the connection"
        )
        raise ConfigError(f"model {model!r} {reason}") from error
    if tokenizer.chat_template is None:
        raise ConfigError(
            f"the tokenizer of {model!r} has no chat template; use an instruct model, or save one with "
            "tokenizer.chat_template set"
        )
    return tokenizer


def check_tokenizer(
    model: str, tokenizer: Any, messages: Iterable[list[dict[str, str]]], template: Mapping[str, Any]
) -> None:
    """Raises `ConfigError` where the chat template cannot make prompts of the messages, or they have tokens that the
    model does not have. `template` are further arguments of the template."""
    prompts = [token_ids(tokenizer, one, **template) for one in messages]
    config = _config(model)
    if config is not None:
        check_tokens(model, prompts, config.vocab_size)


def prompt_tokens(tokenizer: Any, messages: list[dict[str, str]], **template: Any) -> int:
    """The length of a prompt as the model reads it; `template` are further arguments of the chat template."""
    return len(token_ids(tokenizer, messages, **template))


def context_tokens(model: str, tokenizer: Any) -> int | None:
    """The longest sequence that a model takes, in tokens, as its configuration and tokenizer say; `None` where they do
    not."""
    sizes = (getattr(_config(model), "max_position_embeddings", None), tokenizer.model_max_length)
    known = [int(size) for size in sizes if isinstance(size, int | float) and 0 < size < NO_LIMIT]
    return min(known) if known else None


def _config(model: str) -> Any:
    """The configuration of a model; `None` for an adapter alone, and where the trainer says what cannot be loaded."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model).get_text_config()
    except (OSError, ValueError, KeyError):
        return None
