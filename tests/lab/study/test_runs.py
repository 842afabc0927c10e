"""Runs in miniature: every part is the real one, only the numbers of steps are small."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.job import do
from coderlplus_lab.study.measures import LABELS, means
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.raw import collect
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.settings import Study

TIMES = {"evaluation_seconds", "training_seconds", "measured"}


def measured(layout: StudyFolder, arm: str) -> dict[str, Any]:
    """All that does not depend on time."""
    raw = json.loads((layout.run(arm, 0) / "measured.json").read_text())
    return {name: value for name, value in raw.items() if name not in TIMES}


def test_every_trained_cell_has_configuration_seed_metrics_and_numbers(done: StudyFolder, study: Study) -> None:
    for arm in ("references", "grpo", "coderlplus"):
        folder = done.run(arm, 0)
        assert yaml.safe_load((folder / "config.yaml").read_text())["seed"] == 0
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if "seconds/step" in line] == [1, 2]
        assert [line["step"] for line in lines if "eval/output_accuracy" in line] == [0, 2]
        assert (folder / "final" / "config.json").exists()
        raw = measured(done, arm)
        assert raw["training_samples"] == {"references": 8}.get(arm, 16)
        assert (len(raw["greedy"]), len(raw["sampled"]), len(raw["claims"])) == (6, 6, 6)
        assert means(raw).keys() == {*LABELS} - {"pass_at_1_without"}


def test_a_warm_start_has_them_too(done: StudyFolder) -> None:
    folder = done.initial_model("one", 0)
    assert yaml.safe_load((folder / "config.yaml").read_text())["family"] == "qwen2"
    assert json.loads((folder / "metrics.jsonl").read_text())["step"] == 10


def test_a_cell_that_is_run_again_gives_the_same_number(done: StudyFolder, study: Study, tmp_path: Path) -> None:
    again = StudyFolder(tmp_path / "again")
    shutil.copytree(done.root / "problems", again.root / "problems")
    shutil.copytree(done.root / "initial_models", again.root / "initial_models")
    for arm in ("coderlplus", "references"):
        job = plan(study, again)[f"run/{arm}/0"]
        job.folder.mkdir(parents=True)
        do(study, again, job)
        assert measured(again, arm) == measured(done, arm)


def test_a_cell_killed_between_training_and_measuring_is_only_measured(
    done: StudyFolder, study: Study, tmp_path: Path
) -> None:
    again = StudyFolder(tmp_path / "again")
    shutil.copytree(done.root, again.root)
    (again.run("references", 0) / "measured.json").unlink()
    before = (again.run("references", 0) / "metrics.jsonl").stat().st_mtime_ns
    do(study, again, plan(study, again)["run/references/0"])
    assert measured(again, "references") == measured(done, "references")
    assert (again.run("references", 0) / "metrics.jsonl").stat().st_mtime_ns == before


def test_supervised_training_killed_after_a_step_goes_on_to_the_same_model(
    done: StudyFolder, study: Study, tmp_path: Path
) -> None:
    again = StudyFolder(tmp_path / "again")
    shutil.copytree(done.root / "problems", again.root / "problems")
    shutil.copytree(done.root / "initial_models", again.root / "initial_models")
    folder = again.run("references", 0)
    one_step = study.model_copy(update={"supervised": {"arguments": study.supervised["arguments"] | {"max_steps": 1}}})
    job = plan(study, again)["run/references/0"]
    job.folder.mkdir(parents=True)
    do(one_step, again, job)
    shutil.rmtree(folder / "final")
    (folder / "measured.json").unlink()
    do(study, again, job)
    assert measured(again, "references")["training_samples"] == 8
    assert [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()] == [0, 1, 2]


def test_a_second_temperature_is_another_pass_at_1(done: StudyFolder, study: Study) -> None:
    raw = measured(done, "grpo")
    assert len(raw["sampled_again"]) == 6
    assert max(raw["sampled_again"]) <= raw["samples"]
    assert study_results(collect(study, done, "a.yaml"))["labels"]["pass_at_1_again"] == "pass@1 at T = 0.7"


def test_without_a_second_temperature_nothing_of_a_run_changes(study: Study) -> None:
    plain = study.model_copy(update={"measure": study.measure.model_copy(update={"temperature": None})})
    assert "temperature" not in plan(plain, StudyFolder(Path("s")))["run/grpo/0"].fingerprint["measure"]


def test_the_results_have_every_measure_of_every_arm(done: StudyFolder, study: Study) -> None:
    results = study_results(collect(study, done, "a.yaml"))
    assert [arm["name"] for arm in results["arms"]] == list(study.arms)
    assert results["missing"] == []
    assert {row["label"] for row in results["differences"]} == {
        "references − GRPO",
        "GRPO − Warm start",
        "CodeRL+ − GRPO",
    }
    assert results["counts"]["problems"] == 6
    assert all(
        "output_accuracy" in row["equal_seconds"] for row in results["differences"] if "Warm" not in row["label"]
    )
    json.dumps(results, allow_nan=False)
