"""A small model that knows nothing yet, with the tokenizer of the small world, as a folder; a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from coderlplus.records import CallInput, ProgramInput
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import trace
from coderlplus_lab.probes.marks import MAX_STEPS, passage
from coderlplus_lab.probes.passages import Case, Mark, Passage
from coderlplus_lab.probes.sources import unit_of
from coderlplus_lab.world.tokenizer import make_tokenizer

Read = Callable[..., Passage]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = make_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model: Any = AutoModelForCausalLM.from_config(config)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def read(sandbox: Sandbox) -> Read:
    """Program and input → its passage."""

    def made(program: str, given: ProgramInput | None = None, *, prompt: str = "Go.", before: str = "") -> Passage:
        given = given or CallInput("f", ([3, 1, 2],))
        case = Case(
            case_id="case",
            unit=unit_of(program),
            prompt=prompt,
            completion=before + program,
            program=program,
            program_start=len(before),
            input=given,
        )
        return passage(case, trace(sandbox, program, given, max_steps=MAX_STEPS))

    return made


def seen(passage: Passage) -> list[tuple[str, str, dict[str, str]]]:
    """The marks as (kind, the line of the completion until the marked character, facts)."""
    return [(mark.kind, until(passage, mark), dict(mark.facts)) for mark in passage.marks]


def until(passage: Passage, mark: Mark) -> str:
    return passage.completion[: mark.place + 1].rpartition("\n")[2].strip()
