"""Probes in a study: which models, when, and what they say over the seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coderlplus.errors import ConfigError
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.loading import make_study
from coderlplus_lab.study.plan import plan, wanted
from coderlplus_lab.study.probing import probe_numbers, read_probes
from coderlplus_lab.study.raw import collect
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tables import probes_table

from .conftest import SETTINGS


def estimate(mean: float, reach: float = 0.1) -> dict[str, float]:
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def part(**selectivity: float) -> dict[str, Any]:
    """One part of what `coderlplus-lab probe` writes, with one kind of marks."""
    names = list(selectivity)
    pairs = [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]
    models = {name: {"selectivity": estimate(value)} for name, value in selectivity.items()}
    differences = [{"a": a, "b": b} | estimate(selectivity[b] - selectivity[a]) for a, b in pairs]
    return {"summary": {"end": {"models": models, "differences": differences}}}


def invent(layout: StudyFolder, seed: int, *, grpo: float, ours: float) -> None:
    """The results of a seed's probes: on tasks `grpo` and `ours` points beyond the text, half of that on own
    programs."""
    parts = {
        "task": part(start=0.0, grpo=grpo, coderlplus=ours),
        "own/grpo": part(grpo=grpo / 2),
        "own/coderlplus": part(coderlplus=ours / 2),
    }
    own = [{"a": "grpo", "b": "coderlplus", "mark": "end"} | estimate((ours - grpo) / 2)]
    layout.probe(seed).mkdir(parents=True)
    (layout.probe(seed) / "results.json").write_text(json.dumps({"parts": parts, "own_differences": own}))


@pytest.fixture
def two_seeds() -> Study:
    return make_study(SETTINGS | {"seeds": [0, 1]})


def test_the_models_of_a_seed_are_probed_after_they_are_made(two_seeds: Study) -> None:
    jobs = plan(two_seeds, StudyFolder(Path("s")))
    assert jobs["probe/1"].needs == ("problems", "run/start/1", "run/grpo/1", "run/coderlplus/1")
    assert not any(key.startswith("probe") for key in wanted(jobs, ["grpo/1"]))


def test_only_seeds_that_all_arms_have_are_probed() -> None:
    arms = SETTINGS["arms"] | {"grpo": SETTINGS["arms"]["grpo"] | {"seeds": [1, 2]}}
    assert make_study(SETTINGS | {"seeds": [0, 1], "arms": arms}).probe_seeds() == (1,)


def test_an_arm_that_is_not_there_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown arm 'grop'; did you mean 'grpo'"):
        make_study(SETTINGS | {"probe": {"arms": ["grop"]}})


def test_numbers_are_means_over_seeds_with_their_intervals(two_seeds: Study, tmp_path: Path) -> None:
    layout = StudyFolder(tmp_path)
    invent(layout, 0, grpo=0.1, ours=0.2)
    invent(layout, 1, grpo=0.3, ours=0.6)
    task, own = probe_numbers(two_seeds, read_probes(two_seeds, layout), [("coderlplus", "grpo")])
    assert (task["programs"], own["programs"]) == ("task", "own")
    assert task["arms"]["grpo"]["by_seed"] == [0.1, 0.3]
    [difference] = task["differences"]
    assert difference["by_seed"] == pytest.approx([0.1, 0.3])
    assert difference["low"] < 0 < difference["mean"] == pytest.approx(0.2)
    assert own["differences"][0]["by_seed"] == pytest.approx([0.05, 0.15])


def test_a_difference_is_turned_to_the_side_that_asks(two_seeds: Study, tmp_path: Path) -> None:
    invent(StudyFolder(tmp_path), 0, grpo=0.1, ours=0.4)
    task, own = probe_numbers(two_seeds, read_probes(two_seeds, StudyFolder(tmp_path)), [("grpo", "coderlplus")])
    assert task["differences"][0]["mean"] == pytest.approx(-0.3)
    assert own["differences"][0]["mean"] == pytest.approx(-0.15)


def test_one_seed_has_the_interval_over_programs(two_seeds: Study, tmp_path: Path) -> None:
    invent(StudyFolder(tmp_path), 1, grpo=0.1, ours=0.4)
    [task, _] = probe_numbers(two_seeds, read_probes(two_seeds, StudyFolder(tmp_path)), [("coderlplus", "grpo")])
    [difference] = task["differences"]
    assert difference["low"] is None
    assert (difference["problems_low"], difference["problems_high"]) == pytest.approx((0.2, 0.4))


def test_the_table_has_what_models_do_beside_what_probes_find(study: Study, done: StudyFolder, tmp_path: Path) -> None:
    layout = StudyFolder(tmp_path)
    (tmp_path / "runs").symlink_to(done.root / "runs")
    invent(layout, 0, grpo=0.1, ours=0.4)
    table = probes_table(study_results(collect(study, layout, "a.yaml")))
    heads = [head.strip() for head in table.splitlines()[0].split("|")[2:-1]]
    assert heads == [
        "Warm start",
        "GRPO",
        "CodeRL+",
        "GRPO − Warm start",
        "CodeRL+ − GRPO",
    ]
    assert "*does:* output predicted" in table
    assert "+30.0 [+20.0, +40.0]" in table


def test_the_job_leaves_numbers_and_a_page(done: StudyFolder, study: Study) -> None:
    folder = done.probe(0)
    assert list(json.loads((folder / "results.json").read_text())["models"]) == ["start", "grpo", "coderlplus"]
    assert (folder / "index.html").exists()
