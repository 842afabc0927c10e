"""The quick start's model: a stock Qwen2 with two more input embeddings (and a Llama with the same two, for the
study).

Digits in a list get the embedding of their *index in the list* and of their *value* added to that of their token, so
that a model of 0.4 M parameters learns to move digits around within minutes. Everything else (attention, cache,
generation, saving) is stock.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
)

from coderlplus_lab.world.tokenizer import digit_values, list_digits

MAX_INDEX = 9


Family = Literal["qwen2", "llama"]


class WorldConfig(Qwen2Config):  # type: ignore[misc]
    """A `Qwen2Config` with the value of each token's digit (1 + digit, or 0) and whether the token is an item of a
    list."""

    model_type = "coderlplus_world"
    digit_values: list[int] | None = None
    list_digits: list[int] | None = None
    auto_map: ClassVar[dict[str, str]] = {}  # TRL 1.16 reads it of every architecture that is not in transformers


class WorldLlamaConfig(LlamaConfig):  # type: ignore[misc]
    """A `LlamaConfig` with the same."""

    model_type = "coderlplus_world_llama"
    digit_values: list[int] | None = None
    list_digits: list[int] | None = None
    auto_map: ClassVar[dict[str, str]] = {}


class DigitEmbeddings:
    """Put before a backbone: it gets embeddings of a digit's value and of its index in the list."""

    embed_tokens: torch.nn.Embedding
    value_of: torch.Tensor
    in_list: torch.Tensor

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.embed_value = torch.nn.Embedding(11, config.hidden_size)
        self.embed_index = torch.nn.Embedding(MAX_INDEX + 1, config.hidden_size)
        size = config.vocab_size
        self.register_buffer("value_of", torch.tensor(config.digit_values or [0] * size))  # type: ignore[attr-defined]
        self.register_buffer("in_list", torch.tensor(config.list_digits or [0] * size, dtype=torch.bool))  # type: ignore[attr-defined]
        self.post_init()  # type: ignore[attr-defined]

    def list_index(self, ids_BT: torch.Tensor) -> torch.Tensor:
        """1, 2, … for the digits of a list, 0 for every other token. Shape (B, T)."""
        place_T = torch.arange(1, ids_BT.shape[1] + 1, device=ids_BT.device)
        last_other_BT = torch.where(self.in_list[ids_BT], 0, place_T).cummax(1).values
        return (place_T - last_other_BT).clamp(max=MAX_INDEX)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        list_index: torch.Tensor | None = None,
        inputs_embeds: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As the backbone's. `list_index` (B, T) is that of `input_ids`; without it `input_ids` are taken to be whole
        texts."""
        if inputs_embeds is None and input_ids is not None:
            index_BT = self.list_index(input_ids) if list_index is None else list_index
            inputs_embeds = (
                self.embed_tokens(input_ids) + self.embed_value(self.value_of[input_ids]) + self.embed_index(index_BT)
            )
        return super().forward(inputs_embeds=inputs_embeds, **kwargs)  # type: ignore[misc]


class WorldModel(DigitEmbeddings, Qwen2Model):  # type: ignore[misc]
    """The backbone: Qwen2 with the embeddings of digits."""

    config_class = WorldConfig


class WorldLlamaModel(DigitEmbeddings, LlamaModel):  # type: ignore[misc]
    """The backbone: Llama with the embeddings of digits."""

    config_class = WorldLlamaConfig


class ListIndex:
    """Put before a causal language model, for one over a `backbone` with `DigitEmbeddings`."""

    backbone: ClassVar[Any]

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[call-arg]
        self.model = self.backbone(config)
        self.post_init()  # type: ignore[attr-defined]

    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, **kwargs: Any) -> dict[str, Any]:
        """The index of a new token follows from the tokens before it, so it is taken here, where all of them are at
        hand."""
        inputs: dict[str, Any] = super().prepare_inputs_for_generation(input_ids, **kwargs)  # type: ignore[misc]
        inputs["list_index"] = self.model.list_index(input_ids)[:, -inputs["input_ids"].shape[1] :]
        return inputs


class WorldForCausalLM(ListIndex, Qwen2ForCausalLM):  # type: ignore[misc]
    """Qwen2 for causal language modelling over a `WorldModel`."""

    config_class, backbone = WorldConfig, WorldModel


class WorldLlamaForCausalLM(ListIndex, LlamaForCausalLM):  # type: ignore[misc]
    """Llama for causal language modelling over a `WorldLlamaModel`."""

    config_class, backbone = WorldLlamaConfig, WorldLlamaModel


FAMILIES: dict[Family, tuple[Any, Any]] = {
    "qwen2": (WorldConfig, WorldForCausalLM),
    "llama": (WorldLlamaConfig, WorldLlamaForCausalLM),
}


def make_model(
    tokenizer: PreTrainedTokenizerFast,
    *,
    seed: int,
    family: Family = "qwen2",
    width: int = 96,
    layers: int = 3,
    heads: int = 6,
    kv_heads: int = 2,
    mlp: int = 256,
) -> Any:
    """A new model for the tokenizer, its weights drawn with `seed`."""
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    config_class, model_class = FAMILIES[family]
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        tie_word_embeddings=True,
        digit_values=digit_values(tokens),
        list_digits=[int(inside) for inside in list_digits(tokens)],
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        use_cache=True,
        dtype="float32",
        architectures=[model_class.__name__],
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
        for name, parameter in model.named_parameters():
            if ".layers." in name and parameter.dim() == 2:
                writers = 2 * layers if name.endswith(("o_proj.weight", "down_proj.weight")) else 1
                torch.nn.init.normal_(parameter, std=(parameter.shape[1] * writers) ** -0.5)
    return model


def register() -> None:
    """Make the model known to the auto classes of transformers, so that `from_pretrained` finds it."""
    for config_class, model_class in FAMILIES.values():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoModelForCausalLM.register(config_class, model_class, exist_ok=True)
