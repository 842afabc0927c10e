"""`recipes/smollm2_135m.yaml`: the loop on MBPP with a pretrained model. Here a few steps of it on a CPU, on a model
made on the spot; on the real one and real problems with CODERLPLUS_SLOW."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.job import do
from coderlplus_lab.study.loading import load_study
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.settings import Study

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "recipes" / "smollm2_135m.yaml"
ON_A_CPU: dict[str, Any] = {
    "seeds": [0],
    "train": {
        "threads": 1,
        "samples_every": 1,
        "sandbox": {"workers": 1},
        "trl": {
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "per_device_train_batch_size": 16,
            "gradient_accumulation_steps": 1,
            "steps_per_generation": 1,
            "num_generations": 4,
            "max_steps": 3,
            "save_steps": 1,
            "report_to": "none",
        },
    },
    "supervised": {
        "arguments": {
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "dataloader_pin_memory": False,
            "per_device_train_batch_size": 4,
            "max_steps": 2,
            "save_steps": 1,
        }
    },
    "measure": {"samples": 2, "max_new_tokens": 2, "batch_size": 32, "every": 2},
}
"""What a test of the path changes: hardware and sizes."""


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def mbpp_row(number: int, sign: str) -> dict[str, Any]:
    k = number % 4 + 1
    expected = [x + k if sign == "+" else x * k for x in (1, 2, 5)]
    return {
        "task_id": number,
        "text": f"write f(x) = x {sign} {k}",
        "code": f"def f(x):\r\n  y = x {sign} {k}\r\n  return y",
        "test_setup_code": "",
        "test_list": [f"assert f({x}) == {value}" for x, value in zip((1, 2, 5), expected, strict=True)],
        "challenge_test_list": [],
    }


def changed(folder: Path, changes: dict[str, Any]) -> Study:
    """The recipe with changes, as a user writes them: in a file whose base it is."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({"base": str(RECIPE), **ON_A_CPU, **changes}, sort_keys=False))
    return load_study(path)


def made(study: Study, folder: Path) -> StudyFolder:
    layout = StudyFolder(folder)
    for job in plan(study, layout).values():
        job.folder.mkdir(parents=True, exist_ok=True)
        do(study, layout, job)
        assert job.done, job.key
    return layout


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, StudyFolder]:
    """The recipe on a random model that writes whole functions, with problems in MBPP's form, complete."""
    engine, folder = load(ROOT / "tests" / "engines" / "conftest.py"), tmp_path_factory.mktemp("recipe")
    engine.make_model().save_pretrained(folder / "model")
    engine.make_tokenizer().save_pretrained(folder / "model")
    rows = [json.dumps(mbpp_row(number, sign)) + "\n" for number, sign in enumerate("+*" * 12)]
    for split, part in (("train", rows[:16]), ("validation", rows[16:20]), ("test", rows[20:])):
        (folder / f"{split}.jsonl").write_text("".join(part))
    start = load_study(RECIPE)
    models = {
        name: {"model": str(folder / "model")} | ({"supervised": initial.supervised} if initial.supervised else {})
        for name, initial in start.initial_models.items()
    }
    words = {"suppress_tokens": [0, *range(2, len(engine.SPECIAL) + len(engine.LETTERS))]}
    trl = {"max_completion_length": 2, "learning_rate": 1e-2, "generation_kwargs": words}
    train = ON_A_CPU["train"] | {
        "prompt_template": "{statement}",
        "max_prompt_tokens": None,
        "alignment": {"alpha": 0.5, "prompt_style": "compact"},
        "trl": ON_A_CPU["train"]["trl"] | trl,
    }
    problems = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    study = changed(folder, {"problems": problems, "initial_models": models, "train": train})
    return study, made(study, folder / "study")


def test_every_trained_arm_has_the_papers_loss_and_kl_and_the_same_settings() -> None:
    study = load_study(RECIPE)
    trained = {name: study.train_settings(name) for name, arm in study.arms.items() if arm.train is not None}
    assert len(trained) == 4
    for settings in trained.values():
        assert (settings["trl"]["loss_type"], settings["trl"]["beta"]) == ("dapo", 0.001)
        assert settings | {"alignment": None} == trained["coderlplus"] | {"alignment": None}
    assert trained["grpo"]["alignment"] is trained["grpo_programs"]["alignment"] is False


def test_the_supervised_start_learns_references_and_their_runs_and_the_other_one_references(
    tiny: tuple[Study, StudyFolder],
) -> None:
    from coderlplus_lab.study.pairs import pairs_to_learn

    study, layout = tiny
    both = pairs_to_learn(study, layout, study.start_settings("programs_and_runs"))
    programs = pairs_to_learn(study, layout, study.start_settings("programs"))
    assert both[: len(programs)] == programs
    assert len(programs) == 16
    assert all(answer.startswith("```python\ndef f(x):") for _, answer in programs)
    runs = [answer for _, answer in both[16:]]
    assert len(runs) == 16
    assert all("line 2: y = x" in answer and answer.splitlines()[-1].startswith('{"') for answer in runs)


def test_arms_begin_at_the_supervised_starts(tiny: tuple[Study, StudyFolder]) -> None:
    _, layout = tiny
    for name in ("programs_and_runs", "programs"):
        assert (layout.initial_model(name, 0) / "final" / "model.safetensors").exists()
    for arm, start in (("grpo", "programs_and_runs"), ("coderlplus_programs", "programs")):
        config = yaml.safe_load((layout.run(arm, 0) / "config.yaml").read_text())
        assert config["model"] == str(layout.initial_model(start, 0) / "final")


def test_failures_on_mbpp_become_tasks_in_the_batches(tiny: tuple[Study, StudyFolder]) -> None:
    _, layout = tiny
    lines = [json.loads(line) for line in (layout.run("coderlplus", 0) / "metrics.jsonl").read_text().splitlines()]
    shares = [line["mix/alignment_share"] for line in lines if "mix/alignment_share" in line]
    assert shares == [0.0, 0.5, 0.5]
    plain = [json.loads(line) for line in (layout.run("grpo", 0) / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["samples"] == plain[-1]["samples"] == 3 * 16


def test_every_model_is_measured_on_held_out_problems_and_their_runs(tiny: tuple[Study, StudyFolder]) -> None:
    study, layout = tiny
    for arm in study.arms:
        measured = json.loads((layout.run(arm, 0) / "measured.json").read_text())
        assert [len(measured[name]) for name in ("greedy", "output", "test_output")] == [4, 4, 4]


def test_mbpps_splits_are_those_that_were_published(tmp_path: Path) -> None:
    splits = load(ROOT / "bench" / "mbpp_splits.py")
    rows = {number: json.dumps(mbpp_row(number, "+")) for number in range(1, 975)}
    (tmp_path / "mbpp.jsonl").write_text("\n".join(rows.values()))
    assert splits.split(tmp_path / "mbpp.jsonl", tmp_path) == {"train_rows": 374, "validation": 90, "test": 500}
    for name, first, last in (("train_rows", 601, 974), ("validation", 511, 600), ("test", 11, 510)):
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        assert (lines[0], lines[-1]) == (rows[first], rows[last])
    (tmp_path / "part.jsonl").write_text("\n".join(list(rows.values())[:500]))
    with pytest.raises(ValueError, match="474 of MBPP's 974 problems are missing"):
        splits.split(tmp_path / "part.jsonl", tmp_path / "part")


@pytest.mark.skipif("CODERLPLUS_SLOW" not in os.environ, reason="takes a quarter of an hour; set CODERLPLUS_SLOW=1")
@pytest.mark.timeout(3600)
def test_the_path_holds_with_the_real_model_on_real_problems(
    shared: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    real = load(ROOT / "bench" / "real_model.py")
    try:
        model = str(real.real_model())
    except real.NotToBeHad as error:
        pytest.skip(f"no real model: {error}")
    load(ROOT / "bench" / "mbpp_splits.py").split(shared / "data" / "mbpp" / "mbpp.jsonl.gz", tmp_path)
    for name, count in (("train_rows", 24), ("validation", 4), ("test", 6)):
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines[:count]))
    trl = ON_A_CPU["train"]["trl"] | {"max_completion_length": 96, "per_device_train_batch_size": 8, "max_steps": 2}
    supervised = ON_A_CPU["supervised"]["arguments"] | {"per_device_train_batch_size": 2}
    study = changed(
        tmp_path,
        {
            "problems": {
                "train": str(tmp_path / "train_rows.jsonl"),
                "validation": str(tmp_path / "validation.jsonl"),
                "test": str(tmp_path / "test.jsonl"),
            },
            "initial_models": {
                "base": {"model": model},
                "programs_and_runs": {"model": model, "supervised": {"examples": "references_and_traces"}},
                "programs": {"model": model, "supervised": {"examples": "references"}},
            },
            "train": ON_A_CPU["train"] | {"alignment": {"alpha": 0.5}, "trl": trl},
            "supervised": {"max_tokens": 512, "arguments": supervised},
            "measure": {"samples": 2, "max_new_tokens": 64, "batch_size": 16, "every": 2},
        },
    )
    layout = StudyFolder(tmp_path / "study")
    wanted_jobs = {key: job for key, job in plan(study, layout).items() if not key.endswith("programs/0")}
    for job in wanted_jobs.values():
        job.folder.mkdir(parents=True, exist_ok=True)
        do(study, layout, job)
        assert job.done, job.key
    for arm in ("grpo", "coderlplus"):
        lines = [json.loads(line) for line in (layout.run(arm, 0) / "metrics.jsonl").read_text().splitlines()]
        record_property(arm, [line.get("seconds/step") for line in lines])
        assert lines[-1]["step"] == 2
        assert lines[-1]["samples"] == 16
