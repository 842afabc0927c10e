"""Hidden states: those of the model, at the tokens that hold the marks, each computed once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPTNeoXConfig, LlamaConfig

from coderlplus.errors import ConfigError
from coderlplus_lab.probes import activations
from coderlplus_lab.probes.activations import Activations, Plan
from coderlplus_lab.probes.models import Reader, Tokens, labels
from coderlplus_lab.probes.passages import LAST, Mark, Passage
from coderlplus_lab.probes.tokens import bags
from coderlplus_lab.world import world


@pytest.fixture(scope="module")
def reader(model_folder: Path) -> Reader:
    return Reader(str(model_folder))


def passages_of(count: int) -> list[Passage]:
    found = []
    for problem in world.draw_problems("train", count, 0):
        program = problem.reference or ""
        places = sorted({len(program) // 3, len(program) // 2, len(program) - 1})
        marks = tuple(Mark(kind="statement", place=place) for place in places)
        found.append(
            Passage(
                passage_id=problem.problem_id,
                unit=problem.problem_id,
                prompt=problem.statement,
                completion=program,
                marks=marks,
            )
        )
    return found


def plan_of(reader: Reader, passages: list[Passage]) -> Plan:
    marks = [(index, mark) for index, passage in enumerate(passages) for mark in range(len(passage.marks))]
    return Plan(tokens=[reader.tokens(passage) for passage in passages], marks=marks, layers=[0, 2])


def test_a_mark_is_at_the_token_that_holds_its_character(reader: Reader) -> None:
    for passage in passages_of(20):
        tokens = reader.tokens(passage)
        for mark, place in zip(passage.marks, tokens.places, strict=True):
            before = reader.tokenizer.decode(tokens.ids[:place]).partition("<|assistant|>")[2]
            until = reader.tokenizer.decode(tokens.ids[: place + 1]).partition("<|assistant|>")[2]
            assert len(before) <= mark.place < len(until)
            assert passage.completion.startswith(until)


def test_a_mark_in_a_prompt_and_on_the_last_token(reader: Reader) -> None:
    passage = Passage(
        passage_id="p",
        unit="p",
        prompt="f([1, 2]) a, b",
        completion="{}",
        marks=(Mark(kind="asked", place=10), Mark(kind="end", place=LAST)),
    )
    tokens = reader.tokens(passage)
    assert reader.tokenizer.decode([tokens.ids[tokens.places[0]]]).strip() == "a"
    assert reader.tokenizer.decode([tokens.ids[tokens.places[1]]]) == "<|assistant|>"


def test_the_states_are_those_of_the_model_alone(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "SHARD", 4)
    monkeypatch.setattr(activations, "BATCH_TOKENS", 200)
    passages = passages_of(10)
    plan = plan_of(reader, passages)
    model = reader.weights()
    made = Activations(tmp_path, plan)
    assert len(made.missing()) == 3
    for shard in made.missing():
        made.compute(model, shard)
    order = [5, 0, 29, 17]
    for layer in (0, 2):
        found = made.rows(layer, order)
        for row, number in enumerate(order):
            index, mark = plan.marks[number]
            with torch.no_grad():
                states = model(
                    input_ids=torch.tensor([plan.tokens[index].ids]), output_hidden_states=True
                ).hidden_states[layer][0]
            np.testing.assert_allclose(found[row], states[plan.tokens[index].places[mark]].numpy(), atol=1e-5)


def test_the_states_while_generating_are_those_of_reading_what_was_written(
    model_folder: Path, reader: Reader, tmp_path: Path
) -> None:
    prompt = torch.tensor(
        [reader.tokens(Passage(passage_id="p", unit="p", prompt="Write f(x): sort the list.", completion="")).ids]
    )
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    written = model.generate(
        prompt, max_new_tokens=12, do_sample=False, output_hidden_states=True, return_dict_in_generate=True
    )
    length = prompt.shape[1]
    tokens = Tokens(written.sequences[0].tolist(), tuple(range(length, length + 11)))
    made = Activations(tmp_path, Plan(tokens=[tokens], marks=[(0, mark) for mark in range(11)], layers=[0, 1, 2]))
    made.compute(model.base_model.eval(), 0)
    for layer in (1, 2):
        states = torch.cat([step[layer][:, -1] for step in written.hidden_states[1:]])
        np.testing.assert_allclose(made.rows(layer, range(11)), states.numpy(), atol=1e-4)


def test_what_is_there_is_kept_and_what_is_broken_is_made_again(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "SHARD", 4)
    plan = plan_of(reader, passages_of(10))
    model = reader.weights()
    made = Activations(tmp_path, plan)
    for shard in made.missing():
        made.compute(model, shard)
    assert Activations(tmp_path, plan).missing() == []
    os.truncate(made.path(1), 200)
    made.path(2).rename(made.path(2).with_suffix(".npy.partial"))
    assert Activations(tmp_path, plan).missing() == [1, 2]


def test_an_untrained_model_has_the_shape_and_other_weights(reader: Reader) -> None:
    trained, blank, again = (
        reader.weights(),
        reader.weights(untrained=True, seed=0),
        reader.weights(untrained=True, seed=0),
    )
    shapes: Any = [
        {name: tuple(value.shape) for name, value in model.state_dict().items()} for model in (trained, blank)
    ]
    assert shapes[0] == shapes[1]
    name = next(name for name in trained.state_dict() if name.endswith("q_proj.weight"))
    assert not torch.equal(trained.state_dict()[name], blank.state_dict()[name])
    assert torch.equal(again.state_dict()[name], blank.state_dict()[name])


@pytest.mark.parametrize("family", [LlamaConfig, GPT2Config, GPTNeoXConfig])
def test_models_of_any_family_are_read(family: Any, reader: Reader, tmp_path: Path) -> None:
    config = family(
        vocab_size=len(reader.tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
    )
    model: Any = AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(tmp_path / "model")
    reader.tokenizer.save_pretrained(tmp_path / "model")
    other = Reader(str(tmp_path / "model"))
    assert (other.layers, other.window) == (2, 256)
    plan = plan_of(other, passages_of(3))
    made = Activations(tmp_path / "states", plan)
    made.compute(other.weights(), 0)
    with torch.no_grad():
        states = model(input_ids=torch.tensor([plan.tokens[1].ids]), output_hidden_states=True).hidden_states[2][0]
    np.testing.assert_allclose(made.rows(2, [3])[0], states[plan.tokens[1].places[0]].numpy(), atol=1e-4)


def test_a_model_without_a_chat_template_reads_prompt_and_answer(model_folder: Path) -> None:
    reader = Reader(str(model_folder))
    reader.tokenizer.chat_template = None
    tokens = reader.tokens(
        Passage(passage_id="p", unit="p", prompt="Sort x.", completion="x.sort()", marks=(Mark(kind="end", place=7),))
    )
    assert reader.tokenizer.decode(tokens.ids) == "Sort x.\n\nx.sort()"
    assert tokens.places == (len(tokens.ids) - 1,)


def test_a_tokenizer_that_does_not_know_places_is_refused(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import PreTrainedTokenizerFast

    monkeypatch.setattr(PreTrainedTokenizerFast, "is_fast", property(lambda self: False))
    with pytest.raises(ConfigError, match="probes need a fast tokenizer"):
        Reader(str(model_folder))


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"the model folder \./nowhere does not exist"):
        Reader("./nowhere")


def test_labels_tell_models_apart() -> None:
    assert labels(["a/final", "b/final"]) == ["a", "b"]
    assert labels(["x/untrained", "y/m"]) == ["x/untrained", "y/m"]
    with pytest.raises(ConfigError, match="given twice"):
        labels(["m", "m"])


def test_bags_count_the_text_its_line_and_the_token_at_the_mark() -> None:
    newline, tokens = 9, Tokens([1, 2, 9, 2, 2, 3], (4,))
    matrix = bags([tokens], [(0, 0)], lambda token: token == newline).toarray()
    assert sorted(np.round(np.expm1(matrix[0])).astype(int).tolist()) == [1, 1, 1, 1, 2, 3]
