"""A study on files of problems with a model that is there, as at full size: own failures as tasks, off-policy tasks,
rejection sampling.

The model is that of the engine's tests: whole functions are single tokens of its vocabulary, so without any training
it writes programs that run.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from coderlplus.records import AlignmentTask, CallTest, Problem, read_jsonl, write_jsonl
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.job import do
from coderlplus_lab.study.loading import make_study
from coderlplus_lab.study.plan import plan, wanted
from coderlplus_lab.study.raw import collect
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.settings import Study


@pytest.fixture(scope="module")
def engine() -> Any:
    """The module with the model."""
    spec = importlib.util.spec_from_file_location(
        "engine_model", Path(__file__).parents[2] / "engines" / "conftest.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("files")
    engine.make_model().save_pretrained(folder / "model")
    engine.make_tokenizer().save_pretrained(folder / "model")
    for split, first in (("train", 1), ("validation", 5), ("test", 7)):
        problems = [
            Problem(
                problem_id=f"{split}-{k}{sign}",
                statement=f"write f(x) = x {sign} {k}",
                entry_point="f",
                tests=tuple(CallTest((x,), x + k if sign == "+" else x * k) for x in (1, 2, 5)),
                reference=f"def f(x):\n    y = x {sign} {k}\n    return y\n",
            )
            for k in range(first, first + 4)
            for sign in "+*"
        ]
        write_jsonl(folder / f"{split}.jsonl", problems)
    words = {
        "per_device_train_batch_size": 16,
        "num_generations": 4,
        "max_completion_length": 1,
        "max_steps": 3,
        "learning_rate": 1e-2,
    }
    only = {"generation_kwargs": {"suppress_tokens": [0, *range(2, len(engine.SPECIAL) + len(engine.LETTERS))]}}
    return make_study(
        {
            "name": "files",
            "seeds": [0],
            "problems": {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")},
            "initial_models": {"there": {"model": str(folder / "model")}},
            "train": {
                "prompt_template": "{statement}",
                "sandbox": {"workers": 1},
                "alignment": {"alpha": 0.5, "prompt_style": "compact"},
                "trl": words | only | {"use_cpu": True, "report_to": "none"},
            },
            "supervised": {
                "arguments": {
                    "max_steps": 2,
                    "per_device_train_batch_size": 4,
                    "use_cpu": True,
                    "dataloader_pin_memory": False,
                }
            },
            "sampling": {"samples_per_problem": 16, "tasks": 20},
            "measure": {"samples": 2, "max_new_tokens": 1, "batch_size": 64, "every": 2},
            "search": {
                "train": {"trl.learning_rate": [1e-2, 1e-3]},
                "supervised": {"arguments.learning_rate": [1e-2, 1e-3]},
            },
            "baseline": "start",
            "arms": {
                "start": {},
                "rejection_sampling": {"supervised": {"examples": "passed"}},
                "coderlplus": {"train": {}},
                "off_policy": {
                    "train": {"alignment": {"task_file": "{failed_tasks}"}},
                    "settings_of": "coderlplus",
                    "against": ["coderlplus"],
                },
            },
        }
    )


@pytest.fixture(scope="module")
def done(study: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    layout = StudyFolder(tmp_path_factory.mktemp("study"))
    for job in wanted(plan(study, layout), ["start", "rejection_sampling", "off_policy"]).values():
        job.folder.mkdir(parents=True, exist_ok=True)
        do(study, layout, job)
        assert job.done, job.key
    return layout


def test_what_a_start_wrote_becomes_programs_to_learn_and_tasks(done: StudyFolder) -> None:
    folder = done.samples("there", 0)
    counts = json.loads((folder / "complete.json").read_text())
    assert counts["samples"] == 8 * 16
    passed = [json.loads(line) for line in (folder / "passed.jsonl").read_text().splitlines()]
    assert counts["passed"] == len(passed) > 0
    assert all("def f(x)" in line["completion"] for line in passed)
    tasks = list(read_jsonl(folder / "failed_tasks.jsonl", AlignmentTask))
    assert 0 < len(tasks) <= 20
    assert {task.verdict for task in tasks} == {"wrong_answer"}


def test_off_policy_tasks_are_in_the_batches_from_the_first_step(done: StudyFolder) -> None:
    lines = [json.loads(line) for line in (done.run("off_policy", 0) / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "mix/alignment_share" in line]
    assert [line["mix/alignment_share"] for line in steps] == [0.5, 0.5, 0.5]
    assert all("mined" not in line or line["mined"] == 0 for line in steps)


def test_every_arm_gets_the_best_of_its_tries(study: Study, done: StudyFolder) -> None:
    results = study_results(collect(study, done, "files.yaml"))
    assert [row["chosen"] for row in results["search"] if row["arm"] == "rejection_sampling"] == [
        {"arguments.learning_rate": 1e-2},
        {"arguments.learning_rate": 1e-3},
    ]
    for arm, searched in (("rejection_sampling", "rejection_sampling"), ("off_policy", "coderlplus")):
        tries = [row for row in results["search"] if row["arm"] == searched]
        chosen = next(row for row in results["arms"] if row["name"] == arm)["chosen"]
        assert chosen == max(tries, key=lambda row: row["value"])["chosen"]


def test_samples_taken_beforehand_count_as_samples(study: Study, done: StudyFolder) -> None:
    arms = {row["name"]: row for row in study_results(collect(study, done, "files.yaml"))["arms"]}
    assert arms["start"]["training_samples"] == 0
    assert arms["off_policy"]["training_samples"] == 8 * 16 + 3 * 16
    assert arms["rejection_sampling"]["training_samples"] == 8 * 16 + 2 * 4
