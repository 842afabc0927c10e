"""Jobs: their order, what is left to do, and that nothing made with other settings is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from coderlplus.errors import ConfigError
from coderlplus_lab.study.fingerprints import check_kept, fingerprint_text
from coderlplus_lab.study.folder import FINGERPRINT, StudyFolder
from coderlplus_lab.study.loading import load_study, make_study
from coderlplus_lab.study.plan import plan, wanted

RECIPES = Path(__file__).parents[3] / "recipes" / "study"


def test_every_job_comes_after_those_that_it_needs() -> None:
    jobs = plan(load_study(RECIPES / "ablations.yaml"), StudyFolder(Path("s")))
    place = {key: number for number, key in enumerate(jobs)}
    assert all(place[need] < place[key] for key, job in jobs.items() for need in job.needs)


def test_all_arms_of_a_seed_come_before_the_next_seed() -> None:
    jobs = plan(load_study(RECIPES / "small.yaml"), StudyFolder(Path("s")))
    assert [job.number for job in jobs.values() if job.kind == "run"] == [0, 0, 0, 1, 1, 1]


def test_a_cell_brings_what_it_needs_and_nothing_else() -> None:
    jobs = plan(load_study(RECIPES / "ablations.yaml"), StudyFolder(Path("s")))
    assert set(wanted(jobs, ["off_policy/1"])) == {
        "problems",
        "initial_model/qwen2/1",
        "samples/qwen2/1",
        "initial_model/qwen2/100",
        "search/coderlplus/0",
        "search/coderlplus/1",
        "run/off_policy/1",
    }
    assert {job.number for job in wanted(jobs, ["grpo"]).values() if job.kind == "run"} == {0, 1, 2}


def test_a_cell_that_is_not_there_is_told() -> None:
    with pytest.raises(
        ConfigError, match=r"no run 'grop/0'; write ARM/SEED or ARM, with ARM one of warm_start, grpo, coderlplus"
    ):
        wanted(plan(load_study(RECIPES / "small.yaml"), StudyFolder(Path("s"))), ["grop/0"])


def test_what_was_made_with_other_settings_is_not_kept(tmp_path: Path) -> None:
    data = {
        "name": "a",
        "seeds": [0],
        "world": {},
        "initial_models": {"one": {}},
        "arms": {"a": {"train": {"alignment": {"alpha": 0.6}}}},
    }
    before = plan(make_study(data), StudyFolder(tmp_path))["run/a/0"]
    before.folder.mkdir(parents=True)
    (before.folder / FINGERPRINT).write_text(fingerprint_text(before))
    check_kept(plan(make_study(data), StudyFolder(tmp_path)))
    data["arms"] = {"a": {"train": {"alignment": {"alpha": 0.8}}}}
    with pytest.raises(
        ConfigError,
        match=r"runs/a/seed-0 was made with other settings \(train.alignment.alpha: 0.6 → 0.8\); choose another "
        r"output",
    ):
        check_kept(plan(make_study(data), StudyFolder(tmp_path)))


def test_further_arms_and_seeds_change_nothing_of_what_is_there() -> None:
    data = {"name": "a", "seeds": [0], "world": {}, "initial_models": {"one": {}}, "arms": {"a": {"train": {}}}}
    before = plan(make_study(data), StudyFolder(Path("s")))
    after = plan(make_study(data | {"seeds": [0, 1], "arms": {"b": {}, "a": {"train": {}}}}), StudyFolder(Path("s")))
    assert all(after[key].fingerprint == job.fingerprint for key, job in before.items())


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "what they were is not known"), ("a: [", "fingerprint.yaml is broken"), ("b: 1\n", "b: 1")],
)
def test_what_it_was_made_of_is_not_guessed(tmp_path: Path, text: str, why: str) -> None:
    data = {"name": "a", "seeds": [0], "world": {}, "initial_models": {"one": {}}, "arms": {"a": {"train": {}}}}
    jobs = plan(make_study(data), StudyFolder(tmp_path))
    jobs["run/a/0"].folder.mkdir(parents=True)
    (jobs["run/a/0"].folder / FINGERPRINT).write_text(text)
    with pytest.raises(ConfigError, match=rf"seed-0 was made with other settings \({why}.*remove this folder"):
        check_kept(jobs)
