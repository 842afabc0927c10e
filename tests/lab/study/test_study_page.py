"""The page of a study."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus_lab.study.study_page import write_study_page

from ...report.test_browser import Document

SPREAD = {
    "mean": 0.1,
    "low": -0.05,
    "high": 0.25,
    "problems_low": 0.05,
    "problems_high": 0.15,
    "by_seed": [0.05, 0.15],
}
RESULTS: dict[str, Any] = {
    "name": "main",
    "title": "Main comparison",
    "command": "coderlplus-lab study main.yaml",
    "version": "0",
    "labels": {"pass_at_1_sampled": "pass@1 sampled", "output_accuracy": "output predicted"},
    "counts": {"problems": 800, "tasks": 800, "test_outputs": 800, "samples": 8},
    "arms": [
        {
            "name": name,
            "label": label,
            "initial_model": "one",
            "seeds": [0, 1],
            "measures": {"pass_at_1_sampled": SPREAD, "output_accuracy": SPREAD | {"low": None, "high": None}},
            "training_samples": 33280,
            "training_seconds": 500.5,
            "chosen": {"trl.learning_rate": 1e-4},
        }
        for name, label in (("grpo", "GRPO"), ("coderlplus", "CodeRL+"))
    ],
    "differences": [
        {
            "arm": "coderlplus",
            "against": "grpo",
            "label": "CodeRL+ − GRPO",
            "seeds": [0, 1],
            "measures": {"pass_at_1_sampled": SPREAD | {"relative": 0.05}},
            "equal_seconds": {"output_accuracy": SPREAD | {"problems_low": None, "problems_high": None}},
        }
    ],
    "curves": [
        {
            "arm": name,
            "label": name,
            "step": [0, 26],
            "samples": [0, 6656],
            "seconds": [0.0, 90.5],
            "values": {"output_accuracy": [0.5, 0.4]},
        }
        for name in ("grpo", "coderlplus")
    ],
    "probes": [
        {
            "programs": "task",
            "mark": "answer",
            "seeds": [0, 1],
            "arms": {"grpo": SPREAD, "coderlplus": SPREAD},
            "differences": [{"arm": "coderlplus", "against": "grpo"} | SPREAD],
        }
    ],
    "missing": ["coderlplus/2"],
    "search": [{"arm": "grpo", "chosen": {"trl.learning_rate": 1e-4}, "measure": "pass_at_1_sampled", "value": 0.4}],
    "hours": 1.5,
    "hardware": "2 cores",
}


def test_the_page_shows_forests_curves_and_numbers(tmp_path: Path, browse: Callable[..., str]) -> None:
    document = Document(browse(write_study_page(RESULTS, tmp_path / "page.html")))
    assert document.classes.count("forest") == 5
    assert document.classes.count("chart") == 1
    for words in (
        "Main comparison",
        "Not run yet: coderlplus/2",
        "CodeRL+ − GRPO",
        "+10.0",
        "trl.learning_rate",
        "equal seconds",
        "Reading a task: answer",
    ):
        assert words in document.text


def test_a_study_that_has_not_begun_has_a_page(tmp_path: Path, browse: Callable[..., str]) -> None:
    empty = copy.deepcopy(RESULTS) | {
        "arms": [],
        "differences": [],
        "curves": [],
        "counts": {},
        "search": [],
        "probes": [],
    }
    assert "no run is measured yet" in Document(browse(write_study_page(empty, tmp_path / "page.html"))).text


@pytest.mark.parametrize("text", ["</script><script>alert(1)</script>", "<!--"])
def test_labels_are_text(tmp_path: Path, text: str) -> None:
    page = write_study_page(RESULTS | {"title": text}, tmp_path / "page.html").read_text()
    assert text not in page.replace('"title":', "")
    assert json.loads(page.split('id="data">')[1].split("</script>")[0])["title"] == text
