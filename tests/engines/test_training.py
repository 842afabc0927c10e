"""`train` as a function: from a file or a mapping to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import coderlplus as crl


def test_a_file_with_overrides_is_run(settings: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings | {"output": str(tmp_path / "out")}))
    run = crl.train(path, ["trl.max_steps=1"], evaluate=lambda model: {"seven": 7.0}, eval_every=1)
    assert run.path == tmp_path / "out"
    assert (run.final / "model.safetensors").exists()
    assert '"eval/seven": 7.0' in (run.path / "metrics.jsonl").read_text()


def test_what_cannot_be_run_is_said_before_anything_is_loaded(settings: dict[str, Any], tmp_path: Path) -> None:
    given = settings | {"output": str(tmp_path / "out")}
    with pytest.raises(crl.ConfigError, match="overrides apply to a configuration file"):
        crl.train(given, ["seed=1"])
    with pytest.raises(crl.ConfigError, match="evaluate is for runs on TRL"):
        crl.train({key: given[key] for key in given.keys() - {"trl"}} | {"verl": {}}, evaluate=lambda model: {})
    with pytest.raises(crl.ConfigError, match="on TRL or on verl"):
        crl.train(given | {"verl": {}})
    with pytest.raises(crl.ConfigError, match="cannot read the configuration"):
        crl.train(tmp_path / "absent.yaml")
    assert not (tmp_path / "out").exists()
