"""The picture of a study, as SVG: levels and differences, every seed a point. The same results give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from coderlplus_lab.study.settings import Measured

SHOWN: tuple[Measured, ...] = (
    "pass_at_1_sampled",
    "pass_at_1_again",
    "pass_at_1_greedy",
    "pass_at_k",
    "output_accuracy",
)
NAMES, PANEL, GAP, ROW, TOP = 215, 165, 18, 19, 46
"""Widths of the names, of a panel and between two; heights of a row and above the first."""
INK, PALE, GRID = "#1f2933", "#8793a0", "#e3e7eb"
SPREAD = 4.5
"""How far the points of seeds may lie above or below the middle of their row."""


def picture(results: Mapping[str, Any]) -> str:
    """Two blocks of panels, one panel a measure: the arms in percent, the comparisons in points. A bar is an interval:
    over seeds, or, thin, over families of problems where there is one seed."""
    levels = [(arm["label"], arm["measures"], len(arm["seeds"])) for arm in results["arms"]]
    moved = [(row["label"], row["measures"], len(row["seeds"])) for row in results["differences"]]
    names = [name for name in SHOWN if any(name in measures for _, measures, _ in levels)]
    width = NAMES + len(names) * (PANEL + GAP)
    lines, top = [text(8, 18, results["title"], size=14, weight="bold")], 28.0
    for title, rows, zero in (("percent", levels, False), ("difference in points", moved, True)):
        if rows:
            lines += _block(title, rows, names, results["labels"], top, zero=zero)
            top += TOP + ROW * len(rows) + 26
    note = "Dots: seeds. Red: their mean. Thick bars: 95 % over seeds; thin, with one seed: over families of problems."
    lines.append(text(8, top + 2, note, fill=PALE))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + 14:.0f}" width="{width}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )


def _block(
    title: str,
    rows: Sequence[tuple[str, Mapping[str, Any], int]],
    names: Sequence[str],
    labels: Mapping[str, str],
    top: float,
    *,
    zero: bool,
) -> list[str]:
    lines = [text(8, top + 18, title, fill=PALE)]
    bottom = top + TOP - ROW / 2 + ROW * len(rows)
    for place, (label, _, seeds) in enumerate(rows):
        y = top + TOP + ROW * place
        lines.append(text(NAMES - 10, y + 4, f"{label} ({seeds})", anchor="end"))
    for number, name in enumerate(names):
        left = NAMES + number * (PANEL + GAP)
        spreads = [measures.get(name) for _, measures, _ in rows]
        low, high = _range([one for one in spreads if one is not None], zero=zero)
        lines.append(text(left + PANEL / 2, top + 18, labels[name], anchor="middle", weight="bold"))
        step = _step(high - low)
        for number_of_steps in range(math.ceil(low / step), math.floor(high / step) + 1):
            x = _place(number_of_steps * step, left, low, high)
            color = INK if zero and number_of_steps == 0 else GRID
            lines.append(f'<path d="M{x:.1f} {top + TOP - ROW / 2:.1f}V{bottom:.1f}" stroke="{color}"/>')
            tick = f"{100 * number_of_steps * step:{'+' if zero and number_of_steps else ''}.0f}"
            lines.append(text(x, bottom + 12, tick, fill=PALE, anchor="middle"))
        for place, spread in enumerate(spreads):
            if spread is not None:
                lines += _marks(spread, top + TOP + ROW * place, lambda v, at=left, a=low, b=high: _place(v, at, a, b))
    return lines


def _marks(spread: Mapping[str, Any], y: float, x: Any) -> list[str]:
    """The interval, the seeds and the mean of one row."""
    over_seeds = spread["low"] is not None
    low, high = (spread["low"], spread["high"]) if over_seeds else (spread["problems_low"], spread["problems_high"])
    width, lines = (5 if over_seeds else 1.5), []
    if low is not None:
        lines.append(f'<path d="M{x(low):.1f} {y:.1f}H{x(high):.1f}" stroke="#9db7d5" stroke-width="{width}"/>')
    seeds = spread["by_seed"]
    for place, value in enumerate(seeds):
        up = 0.0 if len(seeds) == 1 else SPREAD * (2 * place / (len(seeds) - 1) - 1)
        lines.append(f'<circle cx="{x(value):.1f}" cy="{y + up:.1f}" r="2" fill="{INK}" fill-opacity=".55"/>')
    if len(seeds) > 1:  # one run is a point among others, and no mean
        lines.append(f'<path d="M{x(spread["mean"]):.1f} {y - 6:.1f}v12" stroke="#b3261e" stroke-width="2"/>')
    return lines


def _range(spreads: Sequence[Mapping[str, Any]], *, zero: bool) -> tuple[float, float]:
    """What a panel shows: all seeds and means, and intervals as far as they are not many times wider."""
    points = [value for one in spreads for value in (*one["by_seed"], one["mean"])] + ([0.0] if zero else [])
    low, high = min(points, default=0.0), max(points, default=1.0)
    room = max(0.6 * (high - low), 0.02)
    ends = [one[name] for one in spreads for name in ("low", "high", "problems_low", "problems_high")]
    known = [value for value in ends if value is not None]
    low, high = max(min([low, *known]), low - room), min(max([high, *known]), high + room)
    return low - 0.005, high + 0.005


def _place(value: float, left: float, low: float, high: float) -> float:
    """Where a value lies; what is beyond the panel lies on its edge."""
    return left + PANEL * min(1.0, max(0.0, (value - low) / (high - low)))


def _step(span: float) -> float:
    """The distance of ticks: at most five of them."""
    return next((step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if span / step <= 5), 0.25)


def text(
    x: float, y: float, content: str, *, size: int = 11, fill: str = INK, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(content)}</text>'
    )
