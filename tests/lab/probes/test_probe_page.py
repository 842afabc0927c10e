"""The page of probes, in a browser where there is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import DataError
from coderlplus_lab.probes.probe_page import page_data, write_probe_page

from ...report.test_browser import HOSTILE, Document


def estimate(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 0.03, "high": mean + 0.03}


def fact(models: list[str], mark: str, name: str, *, control: bool = False) -> dict[str, Any]:
    layers = [0, 1, 2, 3]
    one = {
        "layers": layers,
        "score": [estimate(0.5 + 0.1 * layer) for layer in layers],
        "selectivity": [estimate(0.1 * layer) for layer in layers],
        "untrained": [estimate(0.5)] * 4,
        **{name: estimate(0.6) for name in ("mean_score", "tokens", "untrained_mean")},
        "shuffled": estimate(0.5),
        "mean_selectivity": estimate(0.2),
    }
    about = {
        "mark": mark,
        "fact": name,
        "shown": False,
        "control": control,
        "classes": ["even", "odd"],
        "chance": 0.5,
        "rows": 400,
        "programs": 300,
    }
    return about | {"models": dict.fromkeys(models, one), "differences": []}


def part(models: list[str]) -> dict[str, Any]:
    facts = [
        fact(models, "statement", "parity"),
        fact(models, "end", "length"),
        fact(models, "statement", "kind", control=True),
    ]
    over = {"facts": 2, "models": {model: {"score": estimate(0.7), "selectivity": estimate(0.2)} for model in models}}
    over["differences"] = [{"a": models[0], "b": models[1], **estimate(0.05)}] if len(models) > 1 else []
    return {
        "passages": 300, "programs": 290, "left_out": {"run too long": 3},
        "not_probed": {"end/sign": "fewer than two classes"},
        "summary": {"statement": over, "end": over}, "facts": {f"{one['mark']}/{one['fact']}": one for one in facts},
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models = ["grpo", "coderlplus"]
    results = {
        "models": {model: {"model": f"runs/{model}/final", "layers": 3, "untrained": "untrained"} for model in models},
        "settings": {"rows": 400, "seed": 0},
        "left_out": {},
        "parts": {"given": part(models), **{f"own/{model}": part([model]) for model in models}},
        "own_differences": [{"a": "grpo", "b": "coderlplus", "mark": "end", **estimate(0.04)}],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_the_page_shows_every_fact_with_its_controls(folder: Path, browse: Callable[..., str]) -> None:
    document = Document(browse(write_probe_page(folder)))
    for words in (
        "Is the variable just set odd or even?", "How long is the output?", "untrained model of the same shape",
        "tokens alone", "guessing 50", "CodeRL+ against GRPO",
        "+5.0 (+2.0 to +8.0)", "Which kind of statement is it?", "3 programs left out: run too long",
    ):  # fmt: skip
        assert words in document.text, words
    assert document.classes.count("forest") == 4
    assert document.classes.count("chart") == 3


def test_an_address_opens_a_way_of_reading(folder: Path, browse: Callable[..., str]) -> None:
    assert "(GRPO)" in Document(browse(write_probe_page(folder), "#own")).text


def test_what_models_wrote_themselves_stands_in_one_chart(folder: Path) -> None:
    own = next(
        part
        for part in page_data(json.loads((folder / "results.json").read_text()))["parts"]
        if part["context"] == "own"
    )
    assert [list(fact["models"]) for fact in own["facts"]] == [["grpo", "coderlplus"]] * 3
    assert [[one["mean"] for one in over["differences"]] for over in own["marks"]] == [[], [0.04]]


def test_hostile_names_stay_text(folder: Path, browse: Callable[..., str]) -> None:
    text = (
        (folder / "results.json")
        .read_text()
        .replace("coderlplus", json.dumps(HOSTILE)[1:-1].replace("/", "-"))
        .replace("even", json.dumps(HOSTILE)[1:-1])
    )
    (folder / "results.json").write_text(text)
    document = Document(browse(write_probe_page(folder)))
    assert "img" not in document.tags
    assert document.tags.count("script") == 2


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"results\.json is missing"):
        write_probe_page(tmp_path)
