"""The settings of a run as they are written: YAML files over each other (`base:`), and `key=value` overrides with
dotted keys.

What the settings mean, and whether they exist, is `engines.config`'s affair. Relative paths of a `base:` are relative
to its file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from coderlplus.errors import ConfigError


def overridden_settings(
    path: str | Path, overrides: Sequence[str] = ()
) -> tuple[dict[str, Any], Callable[[str], str]]:
    """What `load_config` makes a configuration of: the settings with the overrides, and what says for a dotted key
    where it was written.

    Raises `ConfigError`."""
    data, written_at = read_settings(path)
    given: set[str] = set()
    for override in overrides:
        key, found, value = override.partition("=")
        if not found or not key:
            raise ConfigError(f"{override!r} is not an override; write key=value, for example trl.learning_rate=1e-5")
        _set(data, key.split("."), _parse(value, f"override {override!r}"), override)
        given.add(key)

    def where(key: str) -> str:
        if key in given:
            return f"override {key}"
        inside = [f"override {name}" for name in sorted(given) if name.startswith(f"{key}.")]
        written = written_at(key)
        return " with ".join([written, *inside] if written else inside or [str(path)])

    return data, where


def read_settings(path: str | Path) -> tuple[dict[str, Any], Callable[[str], str | None]]:
    """The settings of a YAML file over those of its `base`, and what says `file:line` of a dotted key (`None` where it
    is not written).

    Raises `ConfigError`."""
    files: list[tuple[Path, str]] = []
    data = _read(Path(path), files)

    def written_at(key: str) -> str | None:
        lines = ((file, _line(text, key)) for file, text in files)
        return next((f"{file}{line}" for file, line in lines if line), None)

    return data, written_at


def _read(path: Path, files: list[tuple[Path, str]]) -> dict[str, Any]:
    """The settings of a file over those of its base. Adds the files to `files`, the given one first."""
    if path.suffix in (".jsonl", ".json", ".parquet", ".gz", ".py") and path.is_file():
        raise ConfigError(f"{path} holds no settings; name a YAML file that has them, such as those in recipes/")
    if any(path.resolve() == file.resolve() for file, _ in files):
        raise ConfigError(f"{files[-1][0]}: base {path} refers to itself")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        what = "cannot read the configuration"
        if files:
            file, its_text = files[-1]
            what = f"{file}{_line(its_text, 'base')}: cannot read its base"
        raise ConfigError(f"{what} {path}: {reason}") from error
    files.append((path, text))
    data = _parse(text, str(path))
    if not isinstance(data, dict):
        found = "nothing" if data is None else type(data).__name__
        raise ConfigError(f"{path}: expected settings as `key: value` lines, found {found}")
    base = data.pop("base", None)
    if base is None:
        return data
    if not isinstance(base, str):
        raise ConfigError(f"{path}{_line(text, 'base')}: base must be the path of a configuration, not {base!r}")
    return over(_read(path.parent / base, files), data)


def over(base: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """`data` over `base`, section by section."""
    both = {
        key: over(base[key], value)
        for key, value in data.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return base | data | both


class _Loader(yaml.SafeLoader):
    """YAML in which `1e-6` is a number, as people mean it (YAML 1.1 wants `1.0e-6`), and no setting is written twice,
    of which YAML would take the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (pair[0] for pair in node.value if isinstance(pair[0], yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} is written twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _parse(text: str, name: str) -> Any:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "syntax error"
        raise ConfigError(f"{name}{at}: not valid YAML ({reason})") from error


def _set(data: dict[str, Any], keys: list[str], value: Any, override: str) -> None:
    for key in keys[:-1]:
        inner = data.get(key)
        if inner is None or inner is False:
            inner = data[key] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"override {override!r}: {key!r} is {inner!r}, which has no settings inside")
        data = inner
    data[keys[-1]] = value


def _line(text: str, key: str) -> str:
    """`:line` of a dotted key in YAML text, or nothing where it is not written there."""
    node = yaml.compose(text, _Loader)
    line = ""
    for part in key.split("."):
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        name, node = next((pair for pair in pairs if pair[0].value == part), (None, None))
        if name is None:
            break
        line = f":{name.start_mark.line + 1}"
    return line
