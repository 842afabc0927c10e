"""What the jobs of a study are made of, as settings: no result of other ones is kept."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from coderlplus import moved
from coderlplus.engines.resuming import differences
from coderlplus.errors import ConfigError
from coderlplus.records.outputs import digest
from coderlplus.report.folders import read_text
from coderlplus_lab.study.folder import FINGERPRINT, StudyFolder, StudyJob
from coderlplus_lab.study.settings import Study


def check_version(layout: StudyFolder) -> None:
    """Raises `ConfigError` where the folder was made by a version that named its parts otherwise."""
    for name in moved.FOLDERS:
        if (layout.root / name).is_dir():
            raise ConfigError(
                f"{layout.root} was made by an earlier version of coderlplus (it has {name}/); choose another output, "
                "or add --overwrite to begin anew"
            )


def check_kept(jobs: Mapping[str, StudyJob]) -> None:
    """Raises `ConfigError` if a folder has something that was made or started with other settings."""
    for job in jobs.values():
        path = job.folder / FINGERPRINT
        if not path.exists():
            continue
        before, now = read_text(path), fingerprint_text(job)
        if before == now:
            continue
        try:
            changed = differences(before, now) if before.strip() else ["what they were is not known"]
        except yaml.YAMLError:
            changed = [f"{path.name} is broken"]
        if changed:
            raise ConfigError(
                f"{job.folder} was made with other settings ({changed[0]}); choose another output, remove this folder "
                "to make it again, or add --overwrite to begin all anew"
            )


def fingerprint_text(job: StudyJob) -> str:
    return yaml.safe_dump(_plain(job.fingerprint), sort_keys=True, allow_unicode=True, width=120)


def of_problems(study: Study) -> dict[str, Any]:
    """What the problems and questions of all splits depend on."""
    made_of: dict[str, Any] = {
        "world": study.world.model_dump(mode="json", exclude_none=True) if study.world else None,
        "problems": study.problems.model_dump(mode="json") if study.problems else None,
        "prompt_style": study.prompt_style,
        "questions": study.questions,
        "prompt_template": study.train.get("prompt_template"),
    }
    if study.problems is not None:
        made_of["contents"] = [contents(path) for path in made_of["problems"].values()]
    return made_of


def contents(path: str) -> str | None:
    """What a file, or the folder of a model, holds; `None` for what is not here, such as a name on the hub."""
    try:
        parts = sorted(Path(path).iterdir()) if Path(path).is_dir() else [Path(path)]
        states = [(part.name, part.stat().st_mtime_ns, part.stat().st_size) for part in parts]
    except OSError:
        return None
    return _contents(path, tuple(states))


@functools.cache
def _contents(path: str, states: tuple[tuple[str, int, int], ...]) -> str | None:
    return digest(Path(path))  # once for each state of the files


def of_initial_model(study: Study, name: str) -> dict[str, Any]:
    """What an initial model is, and where it is a folder what is in that."""
    settings: dict[str, Any] = study.initial_models[name].model_dump(mode="json")
    held = None if settings["model"] is None else contents(settings["model"])
    return settings if held is None else settings | {"contents": held}


def of_run(study: Study, arm: str, seed: int, chosen: Mapping[str, Any], before: Sequence[StudyJob]) -> dict[str, Any]:
    """All that the numbers of a run depend on."""
    one = study.arms[arm]
    is_trained = one.train is not None or one.supervised is not None
    initial = of_initial_model(study, study.initial_model_of(arm))
    how: dict[str, Any] = {} if is_trained and initial["model"] is None else {"initial_model": initial}
    if one.train is not None:
        how |= {"train": study.train_settings(arm, chosen)}
    elif one.supervised is not None:
        how |= {
            "supervised": study.supervised_settings(arm, chosen).model_dump(),
            "answer_template": study.answer_template,
        }
    return how | {
        "seed": seed,
        "measure": study.measure.model_dump(exclude_none=True),
        "problems": of_problems(study),
        "before": {job.kind: dict(job.fingerprint) for job in before},
    }


def _plain(value: Any) -> Any:
    """The same in lists, mappings and scalars."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
