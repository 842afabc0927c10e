"""Reward functions of one's own beside ours: through the YAML of a run, and through the class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.errors import ConfigError

MODULE = """
import json
seen = []

def short(completions, record, **_):
    seen.extend(json.loads(one) for one in record)
    return [1.0 if len(completion[0]["content"]) < 20 else 0.0 for completion in completions]

def plain(completions, **_):
    return [0.5] * len(completions)

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"rewards_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def config_of(settings: dict[str, Any], **changes: Any) -> Any:
    trl = settings["trl"] | {"max_steps": 2, "save_strategy": "no"} | changes.pop("trl", {})
    return make_config(settings | {"output": "run", "trl": trl} | changes)


@pytest.mark.parametrize("dynamic", [0, 2])
def test_a_dotted_name_adds_its_reward_with_its_weight(settings: dict[str, Any], module: str, dynamic: int) -> None:
    import importlib

    names = [f"{module}.short", f"{module}:plain"]
    weights = {"reward_weights": [1.0, 0.0, 2.0]}
    done = train(config_of(settings, rewards=names, trl=weights, dynamic_sampling_rounds=dynamic))
    lines = [json.loads(line) for line in (done.path / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        assert 0 <= line["rewards/short/mean"] <= 1
        assert line["rewards/plain/mean"] == 0.5
        assert line["reward"] == pytest.approx(line["rewards/reward/mean"] + 2 * 0.5)
    seen = importlib.import_module(module).seen
    assert {"problem_id", "statement"} <= seen[0].keys()
    assert any("task_id" in record for record in seen)


def test_a_completion_without_a_verdict_has_no_reward_at_all(settings: dict[str, Any], module: str) -> None:
    sandbox = {"workers": 1, "timeout_s": 1e-6}
    done = train(config_of(settings, rewards=f"{module}.plain", sandbox=sandbox))
    lines = [json.loads(line) for line in (done.path / "metrics.jsonl").read_text().splitlines()]
    assert all("rewards/plain/mean" not in line for line in lines)
    assert all(line.get("reward", 0.0) == 0 for line in lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": "absent.short"}, "rewards: cannot import 'absent.short'"),
        ({"rewards": "{module}.absent"}, "rewards: cannot import"),
        ({"rewards": "{module}.number"}, "is no function, but int"),
        ({"rewards": "short"}, "rewards: cannot import 'short'"),
        ({"rewards": "{module}.short", "trl": {"reward_weights": [1.0]}}, "has 1 weight for 2 rewards"),
        ({"rewards": "{module}.short", "algorithm": "reinforce_plus_plus"}, "reinforce_plus_plus has one reward"),
    ],
    ids=str,
)
def test_what_would_not_count_is_refused(
    settings: dict[str, Any], module: str, changes: dict[str, Any], message: str
) -> None:
    changes = {key: value.format(module=module) if isinstance(value, str) else value for key, value in changes.items()}
    with pytest.raises(ConfigError, match=message):
        train(config_of(settings, **changes))
    assert not Path("run").exists()
