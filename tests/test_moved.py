"""Names of earlier versions are refused with the new one, wherever a configuration is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from coderlplus import AlignmentConfig, alignment, moved
from coderlplus.engines.resuming import differences
from coderlplus.engines.trl.config import load_config
from coderlplus.engines.verl.config import make_verl_config, plugin_settings
from coderlplus.errors import ConfigError
from coderlplus_lab.cli import app
from coderlplus_lab.quickstart.run import write_quickstart_page
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.loading import load_study, make_study
from coderlplus_lab.study.results import write_results
from coderlplus_lab.study.run import run_study

OF_A_RUN = sorted(key for key in moved.KEYS if key.startswith(("alignment.", "sandbox.")))
OF_A_STUDY = sorted(set(moved.KEYS) - set(OF_A_RUN))
RUN = {"model": "m", "problems": "p.jsonl", "output": "o"}
STUDY: dict[str, Any] = {"seeds": [0], "world": {}, "initial_models": {"one": {}}, "arms": {"grpo": {"train": {}}}}


def nested(key: str, value: Any = 1) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def written(tmp_path: Path, data: dict[str, Any]) -> Path:
    path = tmp_path / "file.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


READERS: dict[str, Callable[[Path, str], Any]] = {
    "train on TRL": lambda path, key: load_config(written(path, RUN | nested(key))),
    "an override": lambda path, key: load_config(written(path, RUN), [f"{key}=1"]),
    "train on verl": lambda path, key: make_verl_config(RUN | {"verl": {}} | nested(key)),
    "a verl configuration of one's own": lambda path, key: plugin_settings(nested(key)),
    "all arms of a study": lambda path, key: load_study(written(path, STUDY | {"train": nested(key)})),
    "an arm of a study": lambda path, key: load_study(
        written(path, STUDY | {"arms": {"grpo": {"train": nested(key)}}})
    ),
    "the search of a study": lambda path, key: load_study(written(path, STUDY | {"search": {"train": {key: [1]}}})),
}


@pytest.mark.parametrize("key", OF_A_RUN)
@pytest.mark.parametrize("reader", READERS)
def test_an_old_key_of_a_run_is_refused_with_the_new_one(tmp_path: Path, reader: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        READERS[reader](tmp_path, key)
    assert str(caught.value).endswith(f"the setting {key!r} is now {moved.KEYS[key]!r}")


@pytest.mark.parametrize("key", OF_A_RUN)
def test_the_message_names_file_and_line(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=r"file\.yaml:5: the setting"):
        load_config(written(tmp_path, RUN | nested(key)))


@pytest.mark.parametrize("key", OF_A_STUDY)
def test_an_old_key_of_a_study_is_refused_with_the_new_one(tmp_path: Path, key: str) -> None:
    old, new = key.replace("*", "grpo"), moved.KEYS[key].replace("*", "grpo")
    data = {name: value for name, value in STUDY.items() if name != new}
    with pytest.raises(ConfigError, match=rf"file\.yaml:\d+: the setting '{old}' is now '{new}'$"):
        load_study(written(tmp_path, data | nested(old, {"one": {}} if "." not in old else "one")))


@pytest.mark.parametrize("key", [key for key in moved.KEYS if key.startswith("alignment.")])
def test_an_old_keyword_of_the_configuration_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"'{key}' is now '{moved.KEYS[key]}'"):
        AlignmentConfig(**{key.removeprefix("alignment."): 1})  # type: ignore[arg-type]


@pytest.mark.parametrize("key", OF_A_RUN)
def test_a_run_folder_with_an_old_key_is_resumed_as_unchanged(key: str) -> None:
    old, new = (yaml.safe_dump(nested(name, 3)) for name in (key, moved.KEYS[key]))
    assert differences(old, new) == []
    assert differences(old, yaml.safe_dump(nested(moved.KEYS[key], 4))) == [f"{moved.KEYS[key]}: 3 → 4"]


def test_new_keys_are_settings_that_exist() -> None:
    assert not set(moved.KEYS) & set(moved.KEYS.values())
    for key in OF_A_RUN:
        with pytest.raises(ConfigError, match="not 'no value'"):
            plugin_settings(nested(moved.KEYS[key], "no value"))


def test_the_old_name_of_the_configuration_still_imports() -> None:
    with pytest.warns(DeprecationWarning, match="AlignmentSettings is now AlignmentConfig"):
        assert alignment.AlignmentSettings is AlignmentConfig
    with pytest.raises(AttributeError):
        alignment.AlignmentSetting  # noqa: B018


@pytest.mark.parametrize("folder", moved.FOLDERS)
def test_a_study_of_an_earlier_version_is_left_alone(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder / "grpo").mkdir(parents=True)
    study = make_study(STUDY | {"name": "a"})
    for work in (
        lambda: run_study(study, tmp_path, runs=[], jobs=1),
        lambda: write_results(study, StudyFolder(tmp_path), "a.yaml"),
        lambda: write_quickstart_page(tmp_path, study),
    ):
        with pytest.raises(ConfigError, match=rf"an earlier version of coderlplus \(it has {folder}/\)"):
            work()
    assert [path.name for path in tmp_path.iterdir()] == [folder]


def test_the_old_option_of_studies_is_refused_with_the_new_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["study", str(written(tmp_path, STUDY)), "--cell", "grpo/0"])
    assert str(result.exception) == "--cell is now --run; write --run grpo/0"
