"""Text from a Hugging Face causal language model, in batches of prompts of similar length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coderlplus.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Continued:
    """A text that a model goes on with, without chat template, and the strings at which its answer ends."""

    text: str
    stop: tuple[str, ...] = ()


Prompt = Sequence[Message] | Continued
"""What a model is asked: a conversation, or for base models a text."""


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    conversations: Sequence[Sequence[Message]],
    *,
    samples: int = 1,
    greedy: bool = False,
    temperature: float = 1.0,
    forbidden: Sequence[int] = (),
    max_new_tokens: int = 512,
    batch_size: int = 64,
    seed: int = 0,
) -> list[list[str]]:
    """Complete every conversation `samples` times; returns texts without special tokens, in the order of the
    conversations.

    `batch_size` counts completions. The random state of torch is left as it was found, and so is the model's mode: the
    same seed, model and conversations give the same texts, whatever ran before. The whole distribution is sampled (no
    top-k, no top-p), but for the `forbidden` tokens.
    """
    found = generate_tokens(
        model,
        tokenizer,
        [token_ids(tokenizer, conversation) for conversation in conversations],
        samples=samples,
        greedy=greedy,
        temperature=temperature,
        forbidden=forbidden,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        seed=seed,
    )
    return [tokenizer.batch_decode(group, skip_special_tokens=True) for group in found]


def generate_tokens(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    samples: int = 1,
    greedy: bool = False,
    temperature: float = 1.0,
    forbidden: Sequence[int] = (),
    max_new_tokens: int = 512,
    batch_size: int = 64,
    seed: int = 0,
) -> list[list[list[int]]]:
    """As `generate`, on prompts of token ids; returns the ids of every completion, its end token included where it
    has one."""
    import torch
    from transformers import GenerationConfig

    if greedy and samples != 1:
        raise ValueError(f"greedy decoding gives one completion, not {samples}")
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), index))
    sampling: dict[str, Any] = (
        {"do_sample": False} if greedy else {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    )
    end = tokenizer.eos_token_id
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=end,
        num_return_sequences=samples,
        suppress_tokens=list(forbidden) or None,
        **sampling,
    )
    per_batch = max(1, batch_size // samples)
    found: dict[int, list[list[int]]] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            for start in range(0, len(order), per_batch):
                chosen = order[start : start + per_batch]
                output_ST = complete_batch(model, [prompts[index] for index in chosen], tokenizer.pad_token_id, config)
                rows = [row[: row.index(end) + 1] if end in row else row for row in output_ST.tolist()]
                for place, index in enumerate(chosen):
                    found[index] = rows[place * samples : (place + 1) * samples]
    finally:
        model.train(was_training)
    return [found[index] for index in range(len(prompts))]


def mean_logprobs(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]]
) -> list[float]:
    """The mean log-probability of the tokens of each completion after its prompt, at temperature 1, by one more pass
    over both (token ids). They are one batch, padded on the right, where causal attention does not look."""
    import torch

    rows = [[*prompt, *completion] for prompt, completion in zip(prompts, completions, strict=True)]
    longest = max(map(len, rows))
    ids_BT = torch.tensor([row + row[-1:] * (longest - len(row)) for row in rows], device=model.device)
    with torch.no_grad():
        logits_BTV = model(input_ids=ids_BT).logits
    means = []
    for logits_TV, prompt, completion in zip(logits_BTV, prompts, completions, strict=True):
        logits_CV = logits_TV[len(prompt) - 1 : len(prompt) + len(completion) - 1].float()
        chosen_C1 = torch.tensor(completion, device=model.device)[:, None]
        means.append(float(torch.log_softmax(logits_CV, dim=-1).gather(1, chosen_C1).mean()))
    return means


def complete_batch(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], pad: int, config: Any, tokenizer: Any = None
) -> Any:
    """The new token ids of prompts (token ids) in one batch, (S, T): S is the number of prompts times
    `config.num_return_sequences`. The `tokenizer` is needed where the config has stop strings."""
    ids_BT, mask_BT = _left_padded(prompts, pad)
    output_ST = model.generate(
        input_ids=ids_BT.to(model.device),
        attention_mask=mask_BT.to(model.device),
        generation_config=config,
        tokenizer=tokenizer,
    )
    return output_ST[:, ids_BT.shape[1] :]


def token_ids(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, **template: Any) -> list[int]:
    """A conversation by the model's chat template, ready for the answer (see `prompt_text`); a text as the tokenizer
    begins texts."""
    if isinstance(prompt, Continued):
        ids: list[int] = tokenizer(prompt.text)["input_ids"]
        return ids
    ids = tokenizer(prompt_text(tokenizer, prompt, **template), add_special_tokens=False)["input_ids"]
    return ids


def until_stop(text: str, prompt: Prompt) -> tuple[str, bool]:
    """A completion up to the first of the prompt's stop strings, and whether there is one.

    >>> until_stop("    return 1\\ndef g():", Continued("def f():\\n", stop=("\\ndef ",)))
    ('    return 1', True)
    """
    stops = prompt.stop if isinstance(prompt, Continued) else ()
    end = min((place for stop in stops if (place := text.find(stop)) >= 0), default=None)
    return text[:end], end is not None


def prompt_text(tokenizer: PreTrainedTokenizerBase, conversation: Sequence[Message], **template: Any) -> str:
    """The prompt of a conversation by the model's chat template, ready for the answer. `template` are further
    arguments of the template, such as `enable_thinking`.

    Raises `ConfigError` for a template that refuses a message (some know no system message) or leaves its text out
    (those of models for images read parts of messages).
    """
    from jinja2 import TemplateError

    try:
        text = str(
            tokenizer.apply_chat_template(list(conversation), tokenize=False, add_generation_prompt=True, **template)
        )
    except TemplateError as error:
        roles = " and ".join(message["role"] for message in conversation)
        way_out = "leave the system message out" if "system" in roles else "give the tokenizer another template"
        raise ConfigError(
            f"the chat template of {tokenizer.name_or_path} refuses messages of {roles} ({error}); {way_out}"
        ) from error
    for message in conversation:
        if message["content"].strip() not in text:
            raise ConfigError(
                f"the chat template of {tokenizer.name_or_path} leaves out what the {message['role']} says; give the "
                "tokenizer a template for messages of plain text"
            )
    return text


def _left_padded(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Any, Any]:
    """Token ids and mask, both (B, T), padded on the left."""
    import torch

    longest = max(len(prompt) for prompt in prompts)
    ids = [[pad] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids), torch.tensor(mask)
