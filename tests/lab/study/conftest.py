"""A study in miniature, its jobs done one after the other in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.job import do
from coderlplus_lab.study.loading import make_study
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.settings import Study

SETTINGS: dict[str, Any] = {
    "name": "miniature",
    "seeds": [0],
    "world": {"train_problems": 12, "validation_problems": 3, "test_problems": 6, "taught_questions": 20},
    "initial_models": {
        "one": {
            "width": 32,
            "layers": 1,
            "heads": 2,
            "mlp": 32,
            "warm_start": {"steps": 12, "batch_size": 8},
            "questions": {"test_output": 0.2},
        }
    },
    "train": {
        "threads": 1,
        "prompt_template": "{statement}",
        "samples_every": 1,
        "sandbox": {"workers": 1},
        "alignment": {"prompt_style": "compact", "sampling": "uniform", "mine_per_step": 4},
        "trl": {
            "max_steps": 2,
            "per_device_train_batch_size": 8,
            "num_generations": 4,
            "max_completion_length": 24,
            "loss_type": "grpo",
            "beta": 0.0,
            "use_cpu": True,
            "save_steps": 1,
            "report_to": [],
        },
    },
    "supervised": {
        "arguments": {
            "max_steps": 2,
            "per_device_train_batch_size": 4,
            "use_cpu": True,
            "dataloader_pin_memory": False,
            "save_steps": 1,
        }
    },
    "answer_template": "{program}",
    "sampling": {"samples_per_problem": 2, "tasks": 8},
    "measure": {"samples": 2, "temperature": 0.7, "max_new_tokens": 24, "batch_size": 32, "every": 2},
    "probe": {"arms": ["start", "grpo", "coderlplus"], "rows": 100, "layers": 2},
    "baseline": "grpo",
    "arms": {
        "start": {"label": "Warm start"},
        "references": {"supervised": {"examples": "references"}},
        "grpo": {"label": "GRPO", "train": {"alignment": False}, "against": ["start"]},
        "coderlplus": {"label": "CodeRL+", "train": {}},
    },
}


@pytest.fixture(scope="session")
def study() -> Study:
    return make_study(SETTINGS)


@pytest.fixture(scope="session")
def done(study: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """The folder of the study, complete."""
    layout = StudyFolder(tmp_path_factory.mktemp("study"))
    for job in plan(study, layout).values():
        job.folder.mkdir(parents=True, exist_ok=True)
        do(study, layout, job)
        assert job.done, job.key
    return layout


@pytest.fixture
def invent(study: Study, tmp_path: Path) -> Callable[[str, int, dict[str, Any]], StudyFolder]:
    """Writes an invented run."""

    def write(arm: str, seed: int, changes: dict[str, Any]) -> StudyFolder:
        raw = {
            "arm": arm,
            "seed": seed,
            "chosen": {},
            "device": "cpu",
            "training_samples": 64,
            "training_seconds": 10.0,
            "samples": 4,
            "greedy": "1100",
            "sampled": [4, 2, 0, 0],
            "claims": [[2, 2], [2, 1], [0, 0], [1, 0]],
            "output": "110000",
            "all": "100000",
            "test_output": "0001",
        }
        folder = StudyFolder(tmp_path).run(arm, seed)
        folder.mkdir(parents=True)
        (folder / "measured.json").write_text(json.dumps(raw | changes))
        return StudyFolder(tmp_path)

    return write
