"""Settings say what is wrong with them."""

from __future__ import annotations

import pytest

from coderlplus.alignment import AlignmentSettings
from coderlplus.errors import ConfigError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"alpha": 1.0}, r"alpha must be in \[0, 1\), not 1.0"),
        ({"alpha": -0.1}, r"alpha must be in \[0, 1\), not -0.1"),
        ({"alpha": float("nan")}, "alpha must be in"),
        ({"alpha": "0.5"}, "alpha must be a number, not '0.5'"),
        ({"format_weight": 1}, r"format_weight must be in \[0, 1\)"),
        ({"max_variables": 0}, "max_variables must be at least 1"),
        ({"max_variables": 2.5}, "max_variables must be a whole number, not 2.5"),
        ({"buffer_size": True}, "buffer_size must be a whole number, not True"),
        ({"policy": "oldest"}, "policy must be one of recent, uniform, not 'oldest'"),
        ({"prompt_style": "long"}, "prompt_style must be one of full, compact"),
        ({"kind": "official"}, "kind must be one of final_values, output"),
    ],
)
def test_a_value_out_of_range_is_named(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AlignmentSettings(**setting)  # type: ignore[arg-type]


def test_the_defaults_are_the_papers() -> None:
    settings = AlignmentSettings()
    assert (settings.alpha, settings.max_variables, settings.buffer_size, settings.policy, settings.source) == (0.6, 3, 20_000, "recent", "failed")
