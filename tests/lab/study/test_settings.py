"""The settings of a study: what is refused, with file, line and the way out; and that the recipes are studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from coderlplus.errors import ConfigError
from coderlplus_lab.quickstart.run import quickstart_study
from coderlplus_lab.study.folder import StudyFolder as StudyLayout
from coderlplus_lab.study.loading import load_study, make_study
from coderlplus_lab.study.plan import plan
from coderlplus_lab.study.settings import Study

RECIPES = Path(__file__).parents[3] / "recipes" / "study"
STUDIES = sorted(path for path in RECIPES.glob("*.yaml") if path.stem != "base")


def smallest() -> dict[str, Any]:
    return {
        "name": "a",
        "seeds": [0],
        "world": {},
        "initial_models": {"one": {}},
        "arms": {"start": {}, "grpo": {"train": {"alignment": False}}, "sft": {"supervised": {}}},
    }


def refused(tmp_path: Path, data: dict[str, Any]) -> str:
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in data.items() if key != "name"}, sort_keys=False))
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    return str(caught.value).replace(str(path), "a.yaml")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_recipe_is_a_study(path: Path) -> None:
    study = load_study(path)
    assert study.name == path.stem
    assert all(study.arms[other] for arm in study.arms.values() for other in arm.against)


def test_codeRL_plus_of_the_recipes_is_that_of_the_quick_start() -> None:
    theirs = quickstart_study(0).train_settings("coderlplus")
    ours = load_study(RECIPES / "main.yaml").train_settings("coderlplus")
    different = {"max_prompt_tokens", "samples_every"}
    for key in (theirs.keys() | ours.keys()) - different:
        assert ours.get(key) == theirs.get(key), key


def test_an_unknown_setting_is_told_with_its_line_and_the_nearest(tmp_path: Path) -> None:
    message = refused(tmp_path, smallest() | {"initial_models": {"one": {"widht": 32}}})
    assert message.startswith("a.yaml:")
    assert "unknown setting 'initial_models.one.widht'; did you mean 'initial_models.one.width'?" in message


def test_a_misspelt_setting_of_training_is_told_where_it_stands(tmp_path: Path) -> None:
    data = smallest()
    data["train"] = {"trl": {"learning_rat": 1e-4}}
    message = refused(tmp_path, data)
    text = (tmp_path / "a.yaml").read_text().split("\n")
    line = text.index("    learning_rat: 0.0001") + 1
    assert message.startswith(f"a.yaml:{line}: unknown setting 'trl.learning_rat'; did you mean 'trl.learning_rate'?")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"problems": {"train": "a", "validation": "b", "test": "c"}}, "either a world or problems"),
        ({"seeds": [1, 1]}, "seeds are distinct"),
        ({"baseline": "grop"}, "unknown arm 'grop'; did you mean 'grpo'?"),
        ({"arms": {"a": {"train": {}, "supervised": {}}}}, "train or supervised, not both"),
        ({"arms": {"a": {"train": {"seed": 3}}}}, "'seed' follows from the study"),
        ({"arms": {"a": {"supervised": {"examples": "mine"}}}}, "references"),
        ({"arms": {"a": {"supervised": {"arguments": {"max_step": 3}}}}}, "did you mean 'max_steps'?"),
        ({"arms": {"a": {"initial_model": "two"}}}, "there is no initial model 'two'"),
        ({"arms": {"a/b": {}}}, "letters, digits and _ only"),
        ({"world": {"operations": [4]}}, "2 or 3 operations"),
        ({"world": {"name": "reading", "operations": [3]}}, "4 or 5 operations"),
        ({"initial_models": {"one": {"questions": {"exception": 0.1}}}}, "not 'exception'"),
        ({"initial_models": {"one": {"questions": {"branch": 0.4, "output": 0.4}}}}, "the maximum is half"),
        ({"initial_models": {"one": {"warm_start": {"step": 4}}}}, "did you mean 'steps'?"),
        ({"search": {"train": {"trl.beta": [0, 1]}}}, "give all arms the same budget"),
        ({"search": {"train": {"trl.beta": []}}}, "needs values"),
        ({"measure": {"samples": 0}}, "greater than or equal to 2"),
        ({"arms": {"a": {"settings_of": "b"}, "b": {"train": {}}}}, "is not trained as 'a' is"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    message = refused(tmp_path, smallest() | change)
    assert message.startswith("a.yaml")
    assert said in message


def test_a_study_travels_as_json() -> None:
    study = make_study(smallest())
    assert Study.model_validate_json(study.model_dump_json()) == study


def test_studies_of_one_folder_share_what_they_have_in_common() -> None:
    layout = StudyLayout(Path("s"))
    main, ablations = (plan(load_study(RECIPES / f"{name}.yaml"), layout) for name in ("main", "ablations"))
    both = main.keys() & ablations.keys()
    assert {"problems", "initial_model/qwen2/0", "run/grpo/0", "run/coderlplus/2", "search/coderlplus/1"} <= both
    assert all(main[key].fingerprint == ablations[key].fingerprint for key in both)
