"""Read run folders as the engine leaves them, finished or not, alone or several in one folder.

A run folder holds `metrics.jsonl` (and `samples.jsonl`, `config.yaml`, `environment.json`). All files but one
`metrics.jsonl` may be absent: a run that has just started has a page too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from coderlplus.errors import DataError
from coderlplus.records.fields import described
from coderlplus.records.jsonl import loads
from coderlplus.terminal import note

LABELS = {"grpo": "GRPO", "coderlplus": "CodeRL+"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One training run: `metrics` has one mapping a step, in order of `"step"`; `planned_steps` is `None` when the
    configuration does not say."""

    name: str
    label: str
    folder: Path
    config: str
    environment: dict[str, Any]
    metrics: list[dict[str, Any]]
    planned_steps: int | None
    finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What the page is about: one run, or several side by side."""

    path: Path
    runs: list[Run]


def label_of(name: str) -> str:
    """The name of a run as people say it.

    >>> label_of("coderlplus"), label_of("alpha-0.4")
    ('CodeRL+', 'alpha-0.4')
    """
    return LABELS.get(name, name)


def read_folder(path: Path) -> Folder:
    """Read a run folder or a folder of run folders. Raises `DataError` if it is neither, or when a file in it is
    broken."""
    if not path.is_dir():
        raise DataError(f"{path} is not a folder; give a run folder, or a folder of run folders")
    if (path / "metrics.jsonl").is_file():
        return Folder(path=path, runs=[read_run(path)])
    order = list(LABELS)
    folders = [child.parent for child in path.glob("*/metrics.jsonl")]
    folders.sort(key=lambda child: (order.index(child.name) if child.name in order else len(order), child.name))
    if not folders:
        raise DataError(f"{path} holds no metrics.jsonl, nor does a folder in it; a run writes it with its first step")
    begun = [child for child in folders if next(json_lines(child / "metrics.jsonl"), None) is not None]
    for child in folders:
        if begun and child not in begun:
            note(f"left out: {child} has no step yet")
    return Folder(path=path, runs=[read_run(child) for child in begun or folders])


def read_run(path: Path, *, name: str = "", label: str = "") -> Run:
    """Read one run folder; without a `name` it has that of the folder, without a `label` the one that goes with the
    name.

    Raises `DataError` if a file is broken or there is no step yet."""
    steps = {}
    for number, line in enumerate(json_lines(path / "metrics.jsonl"), 1):
        if not isinstance(line.get("step"), int):
            raise DataError(
                f"{path / 'metrics.jsonl'}:{number}: field 'step' must be an integer, not {line.get('step')!r}"
            )
        steps[line["step"]] = {name: value for name, value in line.items() if is_number(value)}
    if not steps:
        raise DataError(f"{path / 'metrics.jsonl'} has no step yet; wait for the first one")
    config = read_text(path / "config.yaml")
    return Run(
        name=name or path.name,
        label=label or label_of(name or path.name),
        folder=path,
        config=config,
        environment=read_object(path / "environment.json"),
        metrics=[steps[step] for step in sorted(steps)],
        planned_steps=planned_steps(config, path / "config.yaml"),
        finished=(path / "final").is_dir(),
    )


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file; a last line without its newline is still being written and left out. Raises
    `DataError` naming the line."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.strip() or not line.endswith("\n"):
                    continue
                yield _object(line, path, "remove the line", number)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when there is no such file."""
    return _object(read_text(path) or "{}", path, "fix or remove the file")


def _object(text: str, path: Path, way_out: str, line: int = 0) -> dict[str, Any]:
    """The JSON object that a line of a file, or all of it, is."""
    place = f"{path}:{line}" if line else str(path)
    try:
        data = loads(text)
    except json.JSONDecodeError as error:
        told = f"not valid JSON ({error.msg.removesuffix(' at')} at column {error.colno})"
        raise DataError(f"{path}:{line or error.lineno}: {told}; {way_out}") from error
    except DataError as error:
        raise DataError(f"{place}: {error}; {way_out}") from error
    if not isinstance(data, dict):
        raise DataError(f"{place}: expected a JSON object, not {described(data)}; {way_out}")
    return data


def read_text(path: Path) -> str:
    """The text of a file; empty when there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def planned_steps(config: str, path: Path) -> int | None:
    """The number of steps that a configuration asks for, at its top level or one level down."""
    try:
        data = yaml.safe_load(config) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid YAML; the run's other files can be read without it, remove it") from error
    if not isinstance(data, dict):
        return None
    for section in (data, *(value for value in data.values() if isinstance(value, dict))):
        for name in ("max_steps", "steps"):
            if isinstance(section.get(name), int) and section[name] > 0:
                return int(section[name])
    return None


def is_number(value: Any) -> bool:
    """A finite number: what a curve can be drawn through."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
