"""A study in the second world, and the recipes of E3 and the paper's arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coderlplus.engines.settings_files import over
from coderlplus.records import Problem, read_jsonl
from coderlplus.report.folders import read_object
from coderlplus_lab.study.fingerprints import fingerprint_text
from coderlplus_lab.study.folder import MEASURED, StudyFolder
from coderlplus_lab.study.job import do
from coderlplus_lab.study.loading import load_study, make_study
from coderlplus_lab.study.measures import values
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.raw import collect, families_in
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tries import tried

RECIPES = Path(__file__).parents[3] / "recipes" / "study"


CHANGES: dict[str, Any] = {
    "world": {"name": "reading", "operations": [4, 5], "validation_tasks": 4, "test_tasks": 2},
    "initial_models": {"one": {"warm_start": {"plain": 0.5}, "questions": None}},
    "train": {"alignment": {"sampling": "recent", "source": "random"}},
    "measure": {"without": "#", "split": "validation"},
    "probe": None,
}


@pytest.fixture(scope="module")
def reading(study: Study) -> Study:
    """The study in miniature, in the second world."""
    settings = over(study.model_dump(mode="json", exclude_defaults=True), CHANGES)
    del settings["arms"]["references"]
    return make_study(settings)


@pytest.fixture(scope="module")
def written(reading: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Its folder, complete."""
    layout = StudyFolder(tmp_path_factory.mktemp("reading"))
    for job in plan(reading, layout).values():
        job.folder.mkdir(parents=True, exist_ok=True)
        do(reading, layout, job)
        assert job.done, job.key
    return layout


def test_it_has_problems_of_the_second_world(written: StudyFolder) -> None:
    for split, count in {"train": 12, "validation": 3, "test": 6}.items():
        problems = list(read_jsonl(written.problems(split), Problem))
        assert len(problems) == count
        assert all((problem.family or "").count(",") + 1 in (4, 5) for problem in problems)


@pytest.mark.parametrize("arm", ["start", "grpo", "coderlplus"])
def test_a_pilot_is_measured_on_the_validation_split(written: StudyFolder, arm: str) -> None:
    raw = read_object(written.run(arm, 0) / MEASURED)
    assert raw["split"] == "validation"
    assert len(raw["greedy"]) == len(raw["greedy_without"]) == 3
    assert len(raw["output"]) == 4
    assert len(values(raw)["pass_at_1_without"]) == 3


def test_its_results_go_by_the_families_of_that_split(reading: Study, written: StudyFolder) -> None:
    raw = collect(reading, written, "a.yaml")
    assert raw.about["families"] == families_in(written, "validation")
    results = study_results(raw)
    assert results["labels"]["pass_at_1_without"] == "pass@1 greedy without #"
    measures = results["arms"][0]["measures"]
    cost = measures["pass_at_1_greedy"]["mean"] - measures["pass_at_1_without"]["mean"]
    assert results["arms"][0]["cost_of_without"]["mean"] == pytest.approx(cost)


def test_the_settings_of_the_second_world_are_in_no_job_of_the_first() -> None:
    for name in ("main", "e4", "small"):
        for job in plan(load_study(RECIPES / f"{name}.yaml"), StudyFolder(Path("s"))).values():
            text = fingerprint_text(job)
            assert not any(f"{setting}:" in text for setting in ("name", "without", "split", "plain", "reasoned"))


def test_a_warm_start_belongs_to_its_world(study: Study, reading: Study) -> None:
    first, second = (plan(one, StudyFolder(Path("s")))["initial_model/one/0"] for one in (study, reading))
    assert "world" not in first.fingerprint
    assert second.fingerprint["world"] == "reading"


def test_tries_of_a_search_can_be_shorter_than_the_runs() -> None:
    study = load_study(RECIPES / "e3.yaml")
    assert tried(study, "grpo", 1) == {"trl.learning_rate": 2e-4, "trl.max_steps": 130}
    jobs = plan(study, StudyFolder(Path("s")))
    assert jobs["search/grpo/1"].fingerprint["train"]["trl"]["max_steps"] == 130
    assert jobs["run/grpo/10"].fingerprint["train"]["trl"]["max_steps"] == 390


def test_the_recipe_of_e3_has_the_arms_and_seeds_that_were_registered() -> None:
    study = load_study(RECIPES / "e3.yaml")
    assert study.preregistration == "e3"
    assert study.seeds == (10, 11, 12, 13, 14)
    assert study.world is not None
    assert (study.world.name, study.world.seed) == ("reading", 11)
    steps = {
        name: study.train_settings(name)["trl"]["max_steps"] for name in study.arms if study.arms[name].is_trained
    }
    assert steps == {"grpo": 390, "grpo_232": 232, "grpo_kl": 390, "coderlplus": 390, "coderlplus_solvable": 390}
    assert study.train_settings("coderlplus")["alignment"]["sampling"] == "recent"
    assert study.train_settings("coderlplus_solvable")["alignment"]["sampling"] == "solvable"


def test_pilots_of_e3_keep_away_from_what_the_experiment_uses() -> None:
    pilot, study = (load_study(RECIPES / f"{name}.yaml") for name in ("e3_pilot", "e3"))
    assert pilot.world is not None
    assert study.world is not None
    assert pilot.world.seed != study.world.seed
    assert min(pilot.seeds) >= 100
    assert pilot.measure.split == "validation"
    assert not pilot.preregistration
    shaped = ("name", "operations")
    assert pilot.world.model_dump(include=set(shaped)) == study.world.model_dump(include=set(shaped))
    assert pilot.initial_models == study.initial_models


def test_the_papers_arm_has_the_settings_that_were_registered() -> None:
    study = load_study(RECIPES / "paper_arm.yaml")
    assert (study.preregistration, study.seeds) == ("paper_arm", (10, 11, 12, 13, 14))
    assert study.initial_models["qwen2"].taught(10).reasoned
    for arm in ("grpo", "coderlplus"):
        settings = study.train_settings(arm)
        trl = settings["trl"]
        assert (trl["loss_type"], trl["beta"], settings["skip_zero_advantage"]) == ("dapo", 0.001, False)
        assert trl["per_device_train_batch_size"] * trl["steps_per_generation"] == 32 * trl["num_generations"]
        assert trl["max_steps"] == 390 * trl["steps_per_generation"] == 780
    alignment = study.train_settings("coderlplus")["alignment"]
    assert (alignment["sampling"], alignment["alpha"]) == ("recent", 0.6)
    assert not study.train_settings("grpo")["alignment"]
