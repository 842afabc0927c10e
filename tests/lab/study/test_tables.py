"""Numbers of runs, as tables and in the documentation."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import ConfigError, DataError
from coderlplus_lab.study.fingerprints import fingerprint_text
from coderlplus_lab.study.folder import FINGERPRINT, StudyFolder
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.raw import collect
from coderlplus_lab.study.results import study_results, write_results
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tables import differences_table, publish, rebuild, search_table, tables

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
    page = tables(results)
    assert "Jobs that are not run yet: 4, named at the end." in " ".join(page.split())
    assert page.endswith("**Not run yet:** start/0, references/0, coderlplus/0, probe/0.")


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


def test_all_that_is_missing_is_named_however_much_it_is(study: Study, invent: Invent) -> None:
    many = study.model_copy(update={"seeds": tuple(range(30))})
    page = " ".join(tables(study_results(collect(many, invent("grpo", 3, {}), "a.yaml"))).split())
    [said] = re.findall(r"\*\*Not run yet:\*\* (.*?)\.", page)
    named = {name: of.split(", ") for name, _, of in (part.rpartition("/") for part in said.split("; "))}
    assert named == {
        **{arm: [str(seed) for seed in range(30)] for arm in ("start", "references", "coderlplus", "probe")},
        "grpo": [str(seed) for seed in range(30) if seed != 3],
    }


def test_a_run_that_is_missing_in_a_published_folder_is_named(study: Study, invent: Invent, tmp_path: Path) -> None:
    invent("grpo", 0, {})
    raw = collect(study, invent("coderlplus", 0, {}), "a.yaml")
    publish(raw, study_results(raw), tmp_path / "docs")
    assert "coderlplus/0" not in (tmp_path / "docs" / "miniature.md").read_text()
    (tmp_path / "docs" / "miniature" / "coderlplus-0.json").unlink()
    rebuild(tmp_path / "docs")
    page = " ".join((tmp_path / "docs" / "miniature.md").read_text().split())
    assert "**Not run yet:** start/0, references/0, probe/0, coderlplus/0" in page


def test_runs_of_other_settings_are_not_shown_under_these(study: Study, invent: Invent) -> None:
    layout = invent("grpo", 0, {})
    job = plan(study, layout)["run/grpo/0"]
    (job.folder / FINGERPRINT).write_text(fingerprint_text(job))
    write_results(study, layout, "a.yaml")
    changed = study.model_copy(update={"train": study.train | {"max_prompt_tokens": 9}})
    with pytest.raises(ConfigError, match=r"made with other settings \(train.max_prompt_tokens: None → 9\)"):
        write_results(changed, layout, "a.yaml")


def test_published_numbers_stay_where_new_ones_cannot_be_written(
    study: Study, invent: Invent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = collect(study, invent("grpo", 0, {}), "a.yaml")
    publish(raw, study_results(raw), tmp_path / "docs")
    before = {path: path.read_bytes() for path in (tmp_path / "docs").rglob("*") if path.is_file()}

    def full(path: Path, data: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("coderlplus_lab.study.raw.atomic_write", full)
    with pytest.raises(DataError, match=r"cannot write .*miniature: No space left on device"):
        publish(raw, study_results(raw), tmp_path / "docs")
    assert {path: path.read_bytes() for path in (tmp_path / "docs").rglob("*") if path.is_file()} == before


TRIES = [{"arm": "grpo", "chosen": {"trl.learning_rate": rate}, "measure": "pass_at_1_sampled"} for rate in (1, 2, 4)]


@pytest.mark.parametrize(
    ("values", "missing", "said"),
    [
        ((0.1, 0.3, 0.2), [], "learning rate 2 "),
        ((0.3, 0.3, 0.2), [], "learning rate 1, an edge of the grid "),
        ((0.1, 0.2, 0.3), [], "learning rate 4, an edge of the grid "),
        ((0.1, 0.2, 0.3), ["search/grpo/3"], "not yet "),
    ],
)
def test_what_was_searched_is_shown_and_an_edge_is_said(values: Any, missing: list[str], said: str) -> None:
    search = [one | {"value": value} for one, value in zip(TRIES, values, strict=True)]
    table = search_table({"arms": [{"name": "grpo", "label": "GRPO"}], "search": search, "missing": missing})
    assert "| GRPO | learning rate 1: " in table
    assert f"| {said}" in table
