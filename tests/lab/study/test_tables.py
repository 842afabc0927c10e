"""Numbers of runs, as tables and in the documentation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import DataError
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.raw import collect
from coderlplus_lab.study.results import study_results, write_results
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tables import differences_table, publish, tables

Invent = Callable[[str, int, dict[str, Any]], StudyFolder]


def test_numbers_and_differences_are_those_of_the_cells(study: Study, invent: Invent) -> None:
    invent("grpo", 0, {})
    layout = invent(
        "coderlplus", 0, {"sampled": [4, 4, 0, 0], "output": "111111", "claims": [[2, 2], [0, 0], [0, 0], [0, 0]]}
    )
    results = study_results(collect(study, layout, "a.yaml"))
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
    results = study_results(collect(study, invent("grpo", 0, {}), "a.yaml"))
    assert results["missing"] == ["start/0", "references/0", "coderlplus/0", "probe/0"]
    assert "**Not run yet:** start/0, references/0, coderlplus/0, probe/0" in tables(results)


def test_without_a_cell_there_is_a_sentence(study: Study, tmp_path: Path) -> None:
    assert tables(study_results(collect(study, StudyFolder(tmp_path), "a.yaml"))) == "No run is measured yet."


def test_the_page_of_a_study_is_generated_and_other_pages_are_kept(
    study: Study, invent: Invent, tmp_path: Path
) -> None:
    docs = tmp_path / "docs"
    raw = collect(study, invent("grpo", 0, {}), "coderlplus-lab study a.yaml --docs docs")
    results = study_results(raw)
    publish(raw, results, docs)
    once = (docs / "miniature.md").read_text()
    assert once.startswith("# ")
    assert "coderlplus-lab study a.yaml --docs docs" in once
    assert tables(results) in once
    assert "**Not recorded:** commit, recipe hash, curves" in once
    (docs / "other.md").write_text("Kept.")
    (docs / "miniature" / "stale-0.json").write_text("{}")
    publish(raw, results, docs)
    assert (docs / "miniature.md").read_text() == once
    assert (docs / "other.md").read_text() == "Kept."
    assert {path.name for path in (docs / "miniature").iterdir()} == {"grpo-0.json", "study.json"}


def test_a_page_that_cannot_be_written_is_an_error(study: Study, invent: Invent, tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("")
    raw = collect(study, invent("grpo", 0, {}), "a.yaml")
    with pytest.raises(DataError, match=r"cannot write .*miniature"):
        publish(raw, study_results(raw), tmp_path / "docs")


@pytest.mark.parametrize("change", [{"sampled": "12"}, {"claims": None}, {"greedy": 3}, {"training_samples": None}])
def test_a_measured_file_that_was_changed_is_told(study: Study, invent: Invent, change: dict[str, Any]) -> None:
    layout = invent("grpo", 0, change)
    with pytest.raises(DataError, match=r"runs/grpo/seed-0/measured.json was not written by a study"):
        study_results(collect(study, layout, "a.yaml"))


def test_numbers_that_cannot_be_written_are_told(study: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another output"):
        write_results(study, StudyFolder(tmp_path / "file"), "a.yaml")
