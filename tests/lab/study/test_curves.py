"""Training curves, and arms at equal seconds."""

from __future__ import annotations

import json
from pathlib import Path

from coderlplus_lab.study.curves import Point, at_equal_seconds, mean_curve, read_curve


def curve(*values: float, seconds: float) -> list[Point]:
    return [
        Point(
            step=number,
            samples=number * 8.0,
            seconds=number * seconds,
            values={"pass_at_1_sampled": value, "output_accuracy": value},
        )
        for number, value in enumerate(values)
    ]


def test_a_curve_counts_the_seconds_of_training_and_what_was_spent_before(tmp_path: Path) -> None:
    lines = [
        {"step": 0, "eval/output_accuracy": 0.5, "seconds/evaluation": 9.0},
        {"step": 1, "seconds/step": 2.0, "samples": 8},
        {"step": 2, "seconds/step": 3.0, "samples": 16, "eval/output_accuracy": 0.75},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    points = read_curve(tmp_path, samples_before=100, seconds_before=10)
    assert [(point.step, point.samples, point.seconds, point.values["output_accuracy"]) for point in points] == [
        (0, 100, 10, 0.5),
        (2, 116, 15, 0.75),
    ]


def test_the_mean_is_over_the_steps_that_all_runs_have() -> None:
    together = mean_curve([curve(0.0, 0.2, 0.4, seconds=1.0), curve(0.2, 0.4, seconds=3.0)])
    assert [(point.step, round(point.values["output_accuracy"], 6), point.seconds) for point in together] == [
        (0, 0.1, 0.0),
        (1, 0.3, 2.0),
    ]


def test_at_equal_seconds_the_slower_run_is_read_where_the_faster_one_ended() -> None:
    fast, slow = curve(0.0, 0.2, seconds=10.0), curve(0.0, 0.1, 0.6, seconds=10.0)
    found = at_equal_seconds({0: slow, 1: slow}, {0: fast, 1: fast})
    assert [round(value, 6) for value in found["pass_at_1_sampled"].by_seed] == [-0.1, -0.1]


def test_without_curves_nothing_is_compared() -> None:
    assert at_equal_seconds({0: []}, {0: curve(0.1, 0.2, seconds=1.0)}) == {}
