"""Numbers as cells of Markdown tables: shares in percent, differences in points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of even width."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(header))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def points(spread: Mapping[str, Any] | None, over: str = "") -> str:
    return share(spread, over, sign="+")


def share(spread: Mapping[str, Any] | None, over: str = "", sign: str = "") -> str:
    """A mean with its interval over seeds; with one seed, or `over` "problems_", over problems."""
    if spread is None:
        return "–"
    prefix = "problems_" if spread["low"] is None else over
    return percent(spread["mean"], spread[f"{prefix}low"], spread[f"{prefix}high"], sign=sign)


def percent(value: float, low: float | None, high: float | None, *, sign: str = "") -> str:
    """
    >>> percent(0.45, 0.4, 0.5), percent(0.05, None, None, sign="+")
    ('45.0 [40.0, 50.0]', '+5.0')
    >>> percent(-0.0001, None, None)
    '0.0'
    """
    interval = "" if low is None or high is None else f" [{100 * low:{sign}z.1f}, {100 * high:{sign}z.1f}]"
    return f"{100 * value:{sign}z.1f}{interval}"
