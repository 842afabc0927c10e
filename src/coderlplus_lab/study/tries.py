"""The settings that a study's search tries for an arm."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from coderlplus_lab.study.settings import Study


def choices(values: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """All combinations of dotted settings.

    >>> choices({"a": [1, 2], "b": [3]})
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    """
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def searched(study: Study, arm: str) -> list[dict[str, Any]]:
    """The settings that are tried for an arm; none where nothing is searched or trained."""
    if study.search is None:
        return []
    if study.arms[arm].train is not None:
        return choices(study.search.train)
    return choices(study.search.supervised) if study.arms[arm].supervised is not None else []


def tried(study: Study, arm: str, number: int) -> dict[str, Any]:
    """The settings of a try: those that are searched, and its length."""
    assert study.search is not None
    steps = study.search.steps if study.arms[arm].train is not None else None
    return searched(study, arm)[number] | ({} if steps is None else {"trl.max_steps": steps})
