"""A tokenizer for the small world: hand-made pieces, one token each; any other text falls back to characters and
bytes, and decodes to itself."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coderlplus_lab.world.first import FIRST
from coderlplus_lab.world.rules import Rules
from coderlplus_lab.world.world import ENTRY_POINT, text_pieces

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

OUTPUT = "output"
SPECIAL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>")
DIGIT_FORMS = ("[{}", ", {}", "{}")
"""A digit as the first of a list, as a later one, and alone."""
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<|assistant|>' + message['content'] + '<|end|>' }}"
    "{% else %}{{ '<|user|>' + message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def vocabulary(extra: Sequence[str] = (), rules: Rules = FIRST) -> list[str]:
    """All tokens, in the order of their ids; `extra` pieces of text come last."""
    digits = [form.format(digit) for form in DIGIT_FORMS for digit in range(10)]
    names = [*rules.variables, "i", "x", OUTPUT]
    answers = [f'{start}"{name}": ' for start in ("{", ", ", "], ") for name in names] + ["]}"]
    question = "])\nFinal values as a JSON object: "
    questions = [f"\n{ENTRY_POINT}(", question, *(f", {name}" for name in names), OUTPUT]
    endings = [
        "]\n",
        *(f"{start}    return {variable}" for start in ("", "\n", "]\n") for variable in rules.variables),
    ]
    characters = [character for character in string.printable if character not in string.digits]
    used = {ord(character) for character in string.printable}
    fallback = [f"<0x{byte:02X}>" for byte in range(256) if byte not in used]
    pieces = [*SPECIAL, *digits, *text_pieces(rules), *answers, *questions, *endings, *characters, *fallback, *extra]
    return list(dict.fromkeys(pieces))


def make_tokenizer(extra: Sequence[str] = (), rules: Rules = FIRST) -> PreTrainedTokenizerFast:
    """The tokenizer of a small world, with padding on the left and a chat template of one token a turn; `extra`
    pieces are one token each too."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = vocabulary(extra, rules)
    pieces = [token for token in tokens if token not in SPECIAL and not token.startswith("<0x") and len(token) > 1]
    pieces.sort(key=len, reverse=True)
    pattern = "|".join(re.escape(piece) for piece in pieces) + r"|[\s\S]"
    model = models.BPE(
        vocab={token: number for number, token in enumerate(tokens)}, merges=[], byte_fallback=True, ignore_merges=True
    )
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    pad, end, user, assistant = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=pad,
        eos_token=end,
        additional_special_tokens=[user, assistant],
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def digit_values(tokens: list[str]) -> list[int]:
    """For every token 1 + the digit that it carries, 0 for the others."""
    values = {form.format(digit): digit + 1 for form in DIGIT_FORMS for digit in range(10)}
    return [values.get(token, 0) for token in tokens]


def list_digits(tokens: list[str]) -> list[bool]:
    """For every token whether it is a digit inside a list."""
    inside = {form.format(digit) for form in DIGIT_FORMS[:2] for digit in range(10)}
    return [token in inside for token in tokens]
