"""The page of a quick start: runs side by side below their results."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import DataError
from coderlplus_lab.quickstart.run import quickstart_study, summarise, write_quickstart_page
from coderlplus_lab.study.folder import StudyFolder

from ...report.conftest import write_run
from ...report.test_browser import Document

STUDY = quickstart_study(0)
HEADLINE = {  # what the evaluations of an invented quick start say
    "warm_start": (0.246, 0.364, 0.630, 0.843, 0.744, 0, 201.4),
    "grpo": (0.464, 0.493, 0.749, 0.384, 0.250, 14400, 149.8),
    "coderlplus": (0.416, 0.475, 0.723, 0.815, 0.747, 14400, 163.2),
}
PROBLEMS = 1000


def raw(numbers: tuple[float, ...]) -> dict[str, Any]:
    """A measured file that says these numbers."""
    sampled, greedy, any_of_8, output, everything, samples, seconds = numbers
    passing = round(any_of_8 * PROBLEMS)
    right, more = divmod(round(sampled * 8 * PROBLEMS), passing)
    return {
        "training_samples": samples,
        "training_seconds": seconds,
        "evaluation_seconds": 12.0,
        "samples": 8,
        "greedy": digits(greedy),
        "sampled": [right + (place < more) for place in range(passing)] + [0] * (PROBLEMS - passing),
        "claims": [[0, 0]] * PROBLEMS,
        "output": digits(output),
        "all": digits(everything),
        "test_output": "",
    }


def digits(share: float) -> str:
    return "1" * round(share * PROBLEMS) + "0" * round((1 - share) * PROBLEMS)


def write(root: Path, arms: dict[str, tuple[float, ...]]) -> Path:
    """Write the files of a quick start whose `arms` are measured."""
    layout = StudyFolder(root)
    for arm in ("grpo", "coderlplus"):
        write_run(layout.run(arm, 0), alignment=arm == "coderlplus")
    layout.run("warm_start", 0).mkdir(parents=True)
    layout.initial_model("world", 0).mkdir(parents=True)
    (layout.initial_model("world", 0) / "training.json").write_text(
        json.dumps({"seconds": HEADLINE["warm_start"][-1], "samples": 0})
    )
    for arm, numbers in arms.items():
        (layout.run(arm, 0) / "measured.json").write_text(json.dumps(raw(numbers)))
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("runs") / "quickstart", HEADLINE)


def embedded(page: Path) -> dict[str, Any]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert match
    data: dict[str, Any] = json.loads(match[1])
    return data


def test_the_runs_stand_side_by_side_plain_grpo_first(folder: Path) -> None:
    data = embedded(write_quickstart_page(folder, STUDY))
    assert [(run["name"], run["label"]) for run in data["runs"]] == [("grpo", "GRPO"), ("coderlplus", "CodeRL+")]
    assert [row["label"] for row in data["table"]] == ["Warm start", "GRPO", "CodeRL+"]
    assert {group["run"] for group in data["samples"]["groups"]} == {0, 1}


def test_the_headline_holds_the_numbers_of_the_evaluation(folder: Path) -> None:
    data = embedded(write_quickstart_page(folder, STUDY))
    ours = data["table"][2]
    assert [cell["value"] for cell in ours["cells"]] == pytest.approx([0.416, 0.475, 0.723, 0.815, 0.747])
    assert (ours["samples"], ours["minutes"]) == (14400, pytest.approx(2.72))
    assert ours["cells"][0]["low"] < 0.416 < ours["cells"][0]["high"]
    assert data["table"][0]["minutes"] == pytest.approx(201.4 / 60)
    assert data["start"]["output_accuracy"] == pytest.approx(0.843)
    assert [sentence["topic"] for sentence in data["sentences"]] == [
        "Writing programs",
        "Predicting execution",
        "Cost",
    ]


def test_a_model_counts_as_soon_as_it_is_measured(tmp_path: Path) -> None:
    write(tmp_path, {"grpo": HEADLINE["grpo"]})
    assert list(summarise(STUDY, StudyFolder(tmp_path))) == ["grpo"]
    assert [row["name"] for row in embedded(write_quickstart_page(tmp_path, STUDY))["table"]] == ["grpo"]


def test_a_broken_measurement_is_named(tmp_path: Path) -> None:
    write(tmp_path, {})
    (StudyFolder(tmp_path).run("grpo", 0) / "measured.json").write_text("[1]")
    with pytest.raises(DataError, match=r"grpo/seed-0/measured\.json: expected a JSON object, not list"):
        write_quickstart_page(tmp_path, STUDY)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no run yet"):
        write_quickstart_page(tmp_path, STUDY)


def test_a_browser_shows_results_and_what_they_say(folder: Path, browse: Callable[..., str]) -> None:
    document = Document(browse(write_quickstart_page(folder, STUDY)))
    for words in (
        "Warm start",
        "Predicting execution",
        "43.1 points above GRPO",
        "Alignment task",
        "made at step",
        "made tasks",
    ):
        assert words in document.text
