"""Settings say what is wrong with them."""

from __future__ import annotations

import pytest

from coderlplus.alignment import AlignmentConfig
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
        ({"sampling": "oldest"}, "sampling must be one of recent, uniform, solvable, not 'oldest'"),
        ({"prompt_style": "long"}, "prompt_style must be one of full, compact"),
        (
            {"kinds": "all"},
            "kinds must be one of final_values, output, official, exception, state_at, branch, .*, or several of them "
            ".*, not 'all'",
        ),
        ({"kinds": {}}, "kinds must be one of .*, not {}"),
        ({"kinds": ["output"]}, "kinds must be one of .*, not"),
        ({"kinds": {"output": 0.5, "inputs": 0.5}}, "kinds must be one of .*, not 'inputs'"),
        ({"kinds": {"output": 0.5, "branch": 0.4}}, "the shares in kinds must add up to 1, not 0.9"),
        (
            {"kinds": {"output": "half", "branch": 0.5}},
            r"the share of output in kinds must be in \(0, 1\], not 'half'",
        ),
        ({"kinds": {"output": 1, "branch": 0}}, r"the share of branch in kinds must be in \(0, 1\], not 0"),
        ({"max_task_age": 0}, "max_task_age must be at least 1, not 0"),
        ({"max_task_age": 1.5}, "max_task_age must be a whole number"),
        ({"task_file": 3}, "task_file must be the path of a file, not 3"),
        ({"task_file": "tasks.jsonl", "max_task_age": 3}, "exclude each other"),
    ],
)
def test_a_value_out_of_range_is_named(setting: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AlignmentConfig(**setting)  # type: ignore[arg-type]


def test_the_defaults_are_the_papers() -> None:
    settings = AlignmentConfig()
    assert (settings.alpha, settings.max_variables, settings.buffer_size, settings.sampling, settings.source) == (
        0.6,
        3,
        20_000,
        "recent",
        "failed",
    )
