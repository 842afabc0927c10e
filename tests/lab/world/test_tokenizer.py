"""The tokenizer of the small world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from coderlplus_lab.world import world
from coderlplus_lab.world.examples import answer, prediction_task
from coderlplus_lab.world.tokenizer import SPECIAL, make_tokenizer, vocabulary

TOKENIZER = make_tokenizer()


@given(st.text(max_size=40).filter(lambda text: not any(token in text for token in SPECIAL)))
def test_any_text_decodes_to_itself(text: str) -> None:
    text = text.encode("utf-8", errors="ignore").decode("utf-8")
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_any_token_sequence_of_ascii_pieces_decodes_to_its_pieces(tokenizer: Any) -> None:
    pieces = [token for token in vocabulary() if token not in SPECIAL and not token.startswith("<0x")]
    ids = tokenizer.convert_tokens_to_ids(pieces)
    assert None not in ids
    assert tokenizer.decode(ids) == "".join(pieces)


def test_a_program_of_the_world_is_short(tokenizer: Any) -> None:
    for problem in world.draw_problems("train", 100, seed=0):
        assert problem.reference is not None
        assert len(tokenizer.encode(problem.reference)) < 48
        assert len(tokenizer.encode(problem.statement)) < 56


def test_an_alignment_task_of_the_world_is_short(tokenizer: Any) -> None:
    task = prediction_task([("cap", 5), ("odd", 0), ("keep", 2)], [7, 2, 9, 4], seed=0)
    assert task is not None
    assert len(tokenizer.encode(task.prompt)) < 56
    assert len(tokenizer.encode(answer(task))) < 32


def test_the_chat_template_marks_turns_with_one_token(tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "sort the list"}, {"role": "assistant", "content": "x"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<|user|>sort the list<|assistant|>x<|end|>"
    assert (
        tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
        == "<|user|>sort the list<|assistant|>"
    )


def test_it_is_the_same_after_saving(tokenizer: Any, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "Write f(x): sort the list.\nf([3, 1]) == [1, 3]  é\n"
    assert loaded.encode(text) == tokenizer.encode(text)
    assert loaded.decode(loaded.encode(text)) == text
    assert (loaded.eos_token, loaded.pad_token, loaded.padding_side) == ("<|end|>", "<|pad|>", "left")
