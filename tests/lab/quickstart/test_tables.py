"""The printed tables."""

from __future__ import annotations

from coderlplus_lab.quickstart.tables import COLUMNS, seeds_table, summary_table

LABELS = {"warm_start": "Warm start", "grpo": "GRPO", "coderlplus": "CodeRL+"}


def summary(start: float, grpo: float, ours: float) -> dict[str, dict[str, object]]:
    def values(share: float) -> dict[str, object]:
        intervals = {key: [share - 0.02, share + 0.02] for key in COLUMNS}
        return dict.fromkeys(COLUMNS, share) | {"samples": 24960, "seconds": 250.4, "intervals": intervals}

    return {"warm_start": values(start), "grpo": values(grpo), "coderlplus": values(ours)}


def test_one_run_is_printed_with_intervals() -> None:
    lines = summary_table(summary(0.25, 0.5, 0.45), LABELS).splitlines()
    assert lines[0].startswith("|            | pass@1 sampled")
    assert "45.0 [43.0, 47.0]" in lines[-1]
    assert "24,960" in lines[-1]


def test_seeds_are_printed_with_mean_values_and_paired_differences() -> None:
    table = seeds_table([summary(0.25, 0.5, 0.45), summary(0.35, 0.5, 0.55)], LABELS)
    assert "| Warm start" in table
    assert "30.0 (25.0 35.0)" in table
    assert "+0.0 (-5.0 +5.0)" in table
    assert "+20.0 (+20.0 +20.0)" in table
