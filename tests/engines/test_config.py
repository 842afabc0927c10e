from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coderlplus.engines.trl.config import load_config, make_config
from coderlplus.errors import ConfigError
from coderlplus.training import train

TEXT = """\
model: some/model
problems: problems.jsonl
output: runs/a
alignment:
  alpha: 0.5
trl:
  learning_rate: 1e-6
  max_steps: 10
"""


@pytest.mark.parametrize(
    ("more", "line", "key"),
    [
        ("model: other/model\n", 9, "model"),
        ("  max_steps: 20\n", 9, "max_steps"),
        ("sandbox:\n  workers: 2\n  workers: 3\n", 11, "workers"),
        ("trl: {beta: 0.1}\n", 9, "trl"),
        ("eval: {benchmarks: [mbpp], every: 5, every: 6}\n", 9, "every"),
    ],
)
def test_a_setting_that_is_written_twice_is_refused(file: Path, more: str, line: int, key: str) -> None:
    file.write_text(TEXT + more)
    child = file.with_name("child.yaml")
    child.write_text("base: run.yaml\n")
    for path in (file, child):
        with pytest.raises(ConfigError, match=rf"run.yaml:{line}: not valid YAML \('{key}' is written twice\)"):
            load_config(path)


def test_what_is_merged_may_be_written_again(file: Path) -> None:
    file.write_text(TEXT.replace("trl:", "trl: &mine") + "eval: {benchmarks: [mbpp]}\nlora:\n  <<: {r: 8}\n  r: 4\n")
    assert load_config(file).lora == {"r": 4}


def test_a_run_is_on_one_engine(file: Path) -> None:
    file.write_text(TEXT + "verl: {trainer: {total_epochs: 1}}\n")
    with pytest.raises(
        ConfigError, match=r"run.yaml:6: a run is on TRL or on verl; leave out the section trl, or verl"
    ):
        train(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(TEXT)
    return path


def test_a_file_becomes_a_configuration(file: Path) -> None:
    config = load_config(file)
    assert config.problems == (Path("problems.jsonl"),)
    assert config.alignment is not None
    assert config.alignment.alpha == 0.5
    assert config.trl == {"learning_rate": 1e-6, "max_steps": 10}


def test_overrides_have_dotted_keys_and_yaml_values(file: Path) -> None:
    config = load_config(
        file, ["trl.learning_rate=2e-5", "seed=7", "problems=[a.jsonl, b.jsonl]", "sandbox.workers=2"]
    )
    assert config.trl["learning_rate"] == 2e-5
    assert config.seed == 7
    assert config.problems == (Path("a.jsonl"), Path("b.jsonl"))
    assert config.sandbox.workers == 2


@pytest.mark.parametrize("override", ["alignment=off", "alignment=null", "alignment.alpha=1.0"])
def test_alignment_can_be_off(file: Path, override: str) -> None:
    assert load_config(file, [override]).alignment is None


def test_a_saved_configuration_reads_back_as_itself(file: Path, tmp_path: Path) -> None:
    for overrides in ([], ["alignment=off"]):
        config = load_config(file, overrides)
        saved = tmp_path / "config.yaml"
        saved.write_text(config.to_yaml())
        assert load_config(saved) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sede=1", "unknown setting 'sede'; did you mean 'seed'?"),
        ("alpha=0.5", "unknown setting 'alpha'; did you mean 'alignment.alpha'?"),
        ("learning_rate=1", "unknown setting 'learning_rate'; it is TRL's: did you mean 'trl.learning_rate'?"),
        ("alignment.alhpa=0.5", "unknown setting 'alignment.alhpa'; did you mean 'alignment.alpha'?"),
        ("trl.learning_rat=0.5", "unknown setting 'trl.learning_rat'; did you mean 'trl.learning_rate'?"),
        ("alignmnet.alpha=0.5", "override alignmnet.alpha: unknown setting 'alignmnet'; did you mean 'alignment'?"),
        (
            "alignment.alpha=true",
            "run.yaml:4 with override alignment.alpha: alignment: alpha must be a number, not True",
        ),
        ("trl.output_dir=x", "'trl.output_dir' follows from the run; set 'output' at the top level instead"),
        ("sandbox.workers=0", "sandbox.workers: should be greater than or equal to 1, not 0"),
        ("seed=many", "seed: should be a valid integer, unable to parse string as an integer, not 'many'"),
        ("alignment.alpha=2", "alpha must be in [0, 1), not 2"),
        ("prompt_template='{statment}'", "unknown field {statment}"),
        ("seed", "'seed' is not an override; write key=value"),
        ("seed.x=1", "seed: should be a valid integer, not {'x': 1}"),
        ("model.x=1", "override 'model.x=1': 'model' is 'some/model', which has no settings inside"),
        ("seed=[1", "not valid YAML"),
        ("algorithm=ppo", "algorithm: should be 'grpo', 'rloo' or 'reinforce_plus_plus', not 'ppo'"),
        ("algorithm=rloo trl.loss_type=dapo", "unknown setting 'trl.loss_type'; TRL has it for GRPO and not for RLOO"),
        (
            "trl.normalize_advantages=true",
            "unknown setting 'trl.normalize_advantages'; TRL has it only for RLOO (algorithm: rloo)",
        ),
        ("lora.rank=8", "unknown setting 'lora.rank'; did you mean 'lora."),
        ("dynamic_sampling_rounds=-1", "dynamic_sampling_rounds: should be greater than or equal to 0, not -1"),
        ("sandbox.timeout_s=0", "sandbox.timeout_s: should be greater than 0, not 0"),
        ("trl.learning_rate=fast", "override trl.learning_rate: trl.learning_rate must be a number, not 'fast'"),
        ("trl.bf16=ja", "override trl.bf16: trl.bf16 must be true or false, not 'ja'"),
        ("lora={[r]: 8}", "override 'lora={[r]: 8}':1: not valid YAML (found unhashable key)"),
        ("lora={r: 8, r: 4}", "override 'lora={r: 8, r: 4}':1: not valid YAML ('r' is written twice)"),
    ],
)
def test_a_wrong_setting_is_one_clear_sentence(file: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(file, override.split() if override.startswith("algorithm") else [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_misspelt_key_in_the_file_is_named_with_its_line(file: Path) -> None:
    file.write_text(TEXT.replace("alpha", "alhpa"))
    with pytest.raises(
        ConfigError, match=r"run\.yaml:5: unknown setting 'alignment\.alhpa'; did you mean 'alignment\.alpha'\?"
    ):
        load_config(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found nothing"),
        ("- a\n- b\n", "found list"),
        ("model: [\n", r"run\.yaml:2: not valid YAML"),
        ("model: m\nproblems: p\n", "the setting 'output' is missing"),
    ],
)
def test_a_file_that_is_no_configuration(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(file)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration absent\.yaml: No such file"):
        load_config("absent.yaml")


def test_a_file_may_hold_what_differs_from_its_base(file: Path, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    other = tmp_path / "sub" / "other.yaml"
    other.write_text("base: ../run.yaml\nalignment: off\ntrl:\n  max_steps: 20\n")
    config = load_config(other, ["seed=3"])
    assert (config.model, config.alignment, config.seed) == ("some/model", None, 3)
    assert config.trl == {"learning_rate": 1e-6, "max_steps": 20}


def test_a_wrong_setting_is_named_where_it_is_written(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("base: run.yaml\nseed: 1\n")
    file.write_text(TEXT.replace("alpha", "alhpa"))
    with pytest.raises(ConfigError, match=r"run\.yaml:5: unknown setting 'alignment\.alhpa'"):
        load_config(other)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: other.yaml\n", "refers to itself"),
        ("base: absent.yaml\n", r"other\.yaml:1: cannot read its base .*absent\.yaml: No such file"),
        ("seed: 0\nbase: [a]\n", r"other\.yaml:2: base must be the path of a configuration, not \['a'\]"),
    ],
)
def test_a_base_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "other.yaml")


def test_every_recipe_for_trl_is_a_valid_configuration() -> None:
    folder = Path(__file__).parents[2] / "recipes"
    for recipe in (*folder.glob("qwen*.yaml"), *folder.glob("algorithms/*.yaml")):
        assert load_config(recipe).trl


def test_defaults_are_the_papers() -> None:
    minimal: dict[str, Any] = {"model": "m", "problems": "p", "output": "o"}
    alignment = make_config(minimal).alignment
    assert alignment is not None
    assert (alignment.alpha, alignment.buffer_size, alignment.sampling, alignment.max_variables) == (
        0.6,
        20_000,
        "recent",
        3,
    )
