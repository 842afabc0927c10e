"""Numbers of runs, as tables and in the documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import DataError
from coderlplus_lab.study.plan import StudyFolder
from coderlplus_lab.study.results import study_results, write_results
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tables import differences_table, publish, tables

Invent = Callable[[str, int, dict[str, Any]], StudyFolder]


def test_numbers_and_differences_are_those_of_the_cells(study: Study, invent: Invent) -> None:
    invent("grpo", 0, {})
    layout = invent(
        "coderlplus", 0, {"sampled": [4, 4, 0, 0], "output": "111111", "claims": [[2, 2], [0, 0], [0, 0], [0, 0]]}
    )
    results = study_results(study, layout, "a.yaml")
    grpo = results["arms"][0]["measures"]
    assert [grpo[name]["mean"] for name in ("pass_at_1_sampled", "pass_at_1_greedy", "pass_at_k")] == [0.375, 0.5, 0.5]
    assert grpo["claims_true"]["mean"] == pytest.approx((1 + 0.5 + 0) / 3)
    [row] = results["differences"]
    assert row["label"] == "CodeRL+ − GRPO"
    assert row["measures"]["pass_at_1_sampled"]["mean"] == 0.125
    assert row["measures"]["pass_at_1_sampled"]["relative"] == pytest.approx(1 / 3)
    assert row["measures"]["output_accuracy"]["mean"] == pytest.approx(2 / 3)
    assert "+12.5 [" in differences_table(results)


def test_what_was_not_run_is_named(study: Study, invent: Invent) -> None:
    results = study_results(study, invent("grpo", 0, {}), "a.yaml")
    assert results["missing"] == ["start/0", "references/0", "coderlplus/0", "probe/0"]
    assert "**Not run yet:** start/0, references/0, coderlplus/0, probe/0" in tables(results)


def test_without_a_cell_there_is_a_sentence(study: Study, tmp_path: Path) -> None:
    assert tables(study_results(study, StudyFolder(tmp_path), "a.yaml")) == "No run is measured yet."


def test_the_section_of_a_study_is_written_anew_and_the_rest_of_the_page_kept(
    study: Study, invent: Invent, tmp_path: Path
) -> None:
    docs = tmp_path / "docs" / "results.md"
    docs.parent.mkdir()
    docs.write_text("# Results\n\nBefore.\n")
    results = study_results(study, invent("grpo", 0, {}), "a.yaml")
    publish(results, StudyFolder(tmp_path), docs)
    once = docs.read_text()
    docs.write_text(once + "\nAfter.\n")
    publish(results, StudyFolder(tmp_path), docs)
    assert docs.read_text() == once + "\nAfter.\n"
    assert once.startswith("# Results\n\nBefore.\n\n<!-- study miniature -->")
    assert [path.name for path in (docs.parent / "results" / "miniature").iterdir()] == ["grpo-0.json"]


def test_a_section_without_an_end_is_told(study: Study, invent: Invent, tmp_path: Path) -> None:
    docs = tmp_path / "results.md"
    docs.write_text("<!-- study miniature -->\n")
    with pytest.raises(DataError, match="add it where the section ends"):
        publish(study_results(study, invent("grpo", 0, {}), "a.yaml"), StudyFolder(tmp_path), docs)


@pytest.mark.parametrize("change", [{"sampled": "12"}, {"claims": None}, {"greedy": 3}, {"training_samples": None}])
def test_a_measured_file_that_was_changed_is_told(study: Study, invent: Invent, change: dict[str, Any]) -> None:
    layout = invent("grpo", 0, change)
    with pytest.raises(DataError, match=r"runs/grpo/seed-0/measured.json is not what a study measured"):
        study_results(study, layout, "a.yaml")


def test_numbers_that_cannot_be_written_are_told(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another output"):
        write_results(study, StudyFolder(tmp_path / "file"), "a.yaml")
