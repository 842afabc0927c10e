"""The eight jobs of docs/howto, each walked as its page says in an empty folder.

`make journeys` walks all and prints commands and seconds; without CODERLPLUS_WHOLE the pages that train are left out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import material
from .walk import Command, agrees, steps, walk

PAGES = Path(__file__).parents[2] / "docs" / "howto"
BIN = Path(sys.executable).parent
HAS: dict[str, tuple[Callable[[Path], None], ...]] = {
    "add-to-trl-script": (material.problems, material.model),
    "judge-programs": (),
    "my-own": (material.problems, material.model),
    "node-of-8-gpus": (),
    "score-completions": (material.benchmarks,),
    "tasks-from-failures": (material.problems,),
    "train-my-model": (material.problems, material.model),
    "why-did-it-fail": (),
}
"""What the reader of each page has."""
TRAINS = {"add-to-trl-script", "my-own", "train-my-model"}
"""What takes longer than a few seconds."""


def test_every_page_is_walked_and_in_the_navigation() -> None:
    navigation = (PAGES.parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
    assert {page.stem for page in PAGES.glob("*.md")} == set(HAS)
    assert [page for page in HAS if f"howto/{page}.md" not in navigation] == []


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", sorted(HAS))
def test_a_page_works_as_written(page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if page in TRAINS and not os.environ.get("CODERLPLUS_WHOLE"):
        pytest.skip("it trains a model: make journeys")
    for make in HAS[page]:
        make(tmp_path)
    environment = {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "80",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    commands, seconds = walk(PAGES / f"{page}.md", tmp_path, environment)
    with capsys.disabled():
        print(f"\n{page}: {commands} commands, {seconds:.0f} s")


@pytest.mark.parametrize(("said", "found"), [("1 passed", "2 passed"), ("a\n…\nd", "a\nb"), ("a", "a\nb"), ("", "a")])
def test_a_word_that_differs_is_found(said: str, found: str) -> None:
    assert not agrees(said, found)


def test_a_command_has_what_it_prints_and_its_exit_code() -> None:
    page = '```python title="a.py"\nx\n```\n\n```console\n$ a \\\n  b\n1\n2\n$ c  # exit code 2\n```\n'
    assert list(steps(page))[1:] == [Command("a b", "1\n2"), Command("c", "", 2)]
