"""A study's YAML file → `Study`, all of it checked before anything runs.

A file may begin with `base: other.yaml`. Errors name file, line and the nearest right key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from coderlplus import moved
from coderlplus.engines.config import Where, told
from coderlplus.engines.resuming import flat
from coderlplus.engines.settings_files import read_settings
from coderlplus.engines.trl.config import RunConfig, make_config
from coderlplus.errors import ConfigError
from coderlplus_lab.study.settings import (
    FOLLOWS,
    Arm,
    InitialModel,
    Measure,
    Probe,
    ProblemFiles,
    Sampling,
    Search,
    Selection,
    Study,
    Supervised,
    World,
    near,
)


def load_study(path: str | Path) -> Study:
    """Read a study's YAML file. Raises `ConfigError`, naming file, line and the nearest right key."""
    data, written_at = read_settings(path)

    def where(key: str) -> str:
        return written_at(key) or str(path)

    if "name" in data:
        raise ConfigError(f"{where('name')}: the name of a study is that of its file")
    return make_study(data | {"name": Path(path).stem}, where)


def make_study(data: Mapping[str, Any], where: Where = lambda key: "study") -> Study:
    """The study in a mapping, each of its runs checked. Raises `ConfigError`.

    >>> make_study({"name": "a", "seed": 1})
    Traceback (most recent call last):
    coderlplus.errors.ConfigError: study: unknown setting 'seed'; did you mean 'seeds'?
    """
    try:
        study = Study(**data)
    except ValidationError as error:
        raise _told(error, where) from error
    _check(study, where)
    for name, initial in study.initial_models.items():
        if initial.supervised is not None:
            _check_supervised(lambda name=name: study.start_settings(name), where(f"initial_models.{name}.supervised"))  # type: ignore[misc]
    tried = {key: values[0] for key, values in study.search.supervised.items()} if study.search else {}
    for name, arm in study.arms.items():
        if arm.train is not None:
            _check_train(study, name, where)
        if arm.supervised is not None:
            _check_supervised(
                lambda name=name: study.supervised_settings(name, tried),  # type: ignore[misc]
                where(f"arms.{name}.supervised"),
            )
    return study


def _check(study: Study, where: Where) -> None:
    if (study.world is None) == (study.problems is None):
        raise ConfigError(f"{where('')}: a study needs either a world or problems")
    if not study.arms or not study.initial_models or not study.seeds:
        raise ConfigError(f"{where('')}: a study needs arms, initial models and seeds")
    for name, initial in study.initial_models.items():
        if study.world is None and initial.model is None:
            raise ConfigError(
                f"{where(f'initial_models.{name}')}: with files of problems an initial model is an existing one; "
                "name it under model"
            )
        if study.world is not None and initial.model is not None and (initial.warm_start or initial.questions):
            raise ConfigError(
                f"{where(f'initial_models.{name}')}: an existing model is not taught; leave out warm_start and "
                "questions"
            )
        if initial.supervised is not None:
            _check_start(study, name, where)
    for key, seeds in {"seeds": study.seeds, **_of_arms(study, "seeds")}.items():
        if len(set(seeds)) < len(seeds) or any(seed < 0 for seed in seeds):
            raise ConfigError(f"{where(key)}: seeds are distinct and not negative, not {list(seeds)}")
    named = {"baseline": study.baseline, "probe.arms": study.probe.arms if study.probe else ()}
    for writer, readers in (study.selection.readers if study.selection else {}).items():
        named[f"selection.readers.{writer}"] = (writer, *readers)
    for key, given in (named | _of_arms(study, "against") | _of_arms(study, "settings_of")).items():
        for name in (given,) if isinstance(given, str) else given:
            if name and name not in study.arms:
                raise ConfigError(f"{where(key)}: unknown arm {name!r}; {near(name, study.arms)}")
    for name, arm in study.arms.items():
        if not name.replace("_", "").isalnum():
            raise ConfigError(
                f"{where(f'arms.{name}')}: the name of an arm has letters, digits and _ only, not {name!r}"
            )
        if arm.initial_model and arm.initial_model not in study.initial_models:
            raise ConfigError(
                f"{where(f'arms.{name}.initial_model')}: there is no initial model {arm.initial_model!r}; "
                f"{near(arm.initial_model, study.initial_models)}"
            )
        _check_settings_of(study, name, where)
    _check_search(study, where)


def _check_start(study: Study, name: str, where: Where) -> None:
    """Raises `ConfigError` for an initial model that cannot be trained as its `supervised` says."""
    initial, place = study.initial_models[name], where(f"initial_models.{name}.supervised")
    if initial.model is None:
        raise ConfigError(f"{place}: supervised is for an existing model; name it under model")
    if (initial.supervised or {}).get("examples", study.supervised.get("examples")) == "passed":
        raise ConfigError(
            f"{place}: an initial model learns from references or traces, not from passed; make it an arm instead"
        )


def _check_settings_of(study: Study, name: str, where: Where) -> None:
    arm, other = study.arms[name], study.arms[study.search_arm(name)]
    alike = (other.train is None) == (arm.train is None) and (other.supervised is None) == (arm.supervised is None)
    if arm.settings_of and (other.settings_of or not alike):
        place = where(f"arms.{name}.settings_of")
        raise ConfigError(f"{place}: {arm.settings_of!r} is not trained as {name!r} is, or has no settings of its own")


def _of_arms(study: Study, setting: str) -> dict[str, Any]:
    """A setting of every arm, by dotted key."""
    return {f"arms.{name}.{setting}": getattr(arm, setting) for name, arm in study.arms.items()}


def _check_search(study: Study, where: Where) -> None:
    search = study.search
    if search is None:
        return
    tries = {kind: math.prod(map(len, getattr(search, kind).values())) for kind in ("train", "supervised")}
    for kind, count in tries.items():
        if not count:
            raise ConfigError(f"{where(f'search.{kind}')}: a searched setting needs values")
    if any(arm.supervised is not None for arm in study.arms.values()) and tries["train"] != tries["supervised"]:
        raise ConfigError(
            f"{where('search')}: trained arms get {tries['train']} tries and supervised ones {tries['supervised']}; "
            "give all arms the same budget"
        )


def _check_train(study: Study, name: str, where: Where) -> RunConfig:
    """The run of an arm, with stand-ins for what the study makes."""
    own = flat(study.arms[name].train or {})

    def place(key: str) -> str:
        is_own = any(f"{one}.".startswith(f"{key}.") or key.startswith(f"{one}.") for one in own)
        return where(f"arms.{name}.train.{key}" if is_own else f"train.{key}")

    tried = {key: values[0] for key, values in study.search.train.items()} if study.search else {}
    settings = study.train_settings(name, tried)
    for key in FOLLOWS:
        if key in settings:
            raise ConfigError(f"{place(key)}: {key!r} follows from the study; leave it out")
    return make_config(settings | {"model": "model", "problems": "problems.jsonl", "output": "output"}, place)


def _check_supervised(settings_now: Callable[[], Supervised], place: str) -> None:
    from transformers import TrainingArguments

    try:
        settings = settings_now()
    except ValidationError as error:
        raise _told(error, lambda key: place) from error
    for key in settings.arguments:
        if key in ("output_dir", "seed", "data_seed"):
            raise ConfigError(f"{place}: {key!r} follows from the study; leave it out")
        if key not in TrainingArguments.__dataclass_fields__:
            raise ConfigError(f"{place}: unknown setting {key!r}; {near(key, TrainingArguments.__dataclass_fields__)}")


def _told(error: ValidationError, where: Where) -> ConfigError:
    """A pydantic error as a `ConfigError`."""
    first = min(
        error.errors(), key=lambda one: one["type"] == "missing"
    )  # a misspelt setting tells more than the one that it leaves out
    if first["type"] != "extra_forbidden":
        return told(first, where)
    path = [str(part) for part in first["loc"]]
    key = ".".join(path)
    moved.refuse(key, where(key))
    return ConfigError(
        f"{where(key)}: unknown setting {key!r}; {near(path[-1], _fields(path[:-1]), '.'.join(path[:-1]))}"
    )


def _fields(path: list[str]) -> list[str]:
    """The settings that a section has."""
    sections: dict[str, type[BaseModel]] = {
        "initial_models": InitialModel,
        "arms": Arm,
        "world": World,
        "problems": ProblemFiles,
        "sampling": Sampling,
        "measure": Measure,
        "search": Search,
        "probe": Probe,
        "selection": Selection,
    }
    return list((sections.get(path[0], Study) if path else Study).model_fields)
