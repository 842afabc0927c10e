"""Choosing among an arm's own programs as tables and as a picture; see `selection.selection_numbers`. The same numbers
give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from coderlplus_lab.study.cells import markdown, points, share
from coderlplus_lab.study.picture import GRID, INK, PALE, text
from coderlplus_lab.study.selection import OWN

Numbers = Mapping[str, Any]
COLORS = ("#8793a0", "#c77c11", "#b3261e", "#1b6fb5", "#2e7d4f", "#7b4fb0", "#17a2a2", "#111111", "#d36ca8")
PANEL, GAP, HEIGHT, LEFT, TOP, PER_ROW = 190, 34, 170, 40, 46, 4
NARROWEST = 600
"""The width of title and legend."""


def selection_tables(numbers: Numbers) -> list[str]:
    """Levels, differences over seeds and over families, and what the choice costs."""
    n = numbers["n"]
    parts = [
        "## Choosing among its own programs",
        f"Each writer samples programs at temperature 1, in disjoint groups of n = {n}. One program of a group is "
        "kept: at random, by the highest mean log-probability, or by how many examples of the statement its outputs "
        "agree with. These outputs are predicted by a model, which runs nothing, or come from execution. Of equally "
        "good programs the mean counts. Percent of problems whose kept program passes all tests; greedy decoding has "
        "one program and no choice:",
        _levels(numbers),
        f"Differences at n = {n} in points, paired by seed. *By itself* means by the writer's own predictions, *by* "
        "another arm by those of that arm. Intervals are 95 % over seeds; with one seed they are over families of "
        "problems.",
        _differences(numbers, ""),
    ]
    if any(len(row["spread"]["by_seed"]) > 1 for row in numbers["differences"]):
        parts += ["The same with intervals over families of problems:", _differences(numbers, "problems_")]
    parts += [
        "What a choice by the writer's own predictions costs, in tokens for a problem, and what it is worth. "
        f"*Written* are n = {n} programs, *read* the questions about their outputs and the answers, both with "
        f"prompts. Beside it {4 * n} programs, of which the one with the highest log-probability is kept:",
        _costs(numbers),
    ]
    return parts


def _levels(numbers: Numbers) -> str:
    n, writers = numbers["n"], numbers["writers"]
    labels = _labels(writers)
    rows = []
    for writer in writers:
        cells = {one["label"]: share(one["sizes"].get(n)) for one in writer["selectors"]}
        greedy = share(writer["greedy"])
        rows.append([writer["label"], str(len(writer["seeds"])), *(cells.get(label, "–") for label in labels), greedy])
    return markdown(["written by", "seeds", *labels, "greedy decoding"], rows)


def _differences(numbers: Numbers, over: str) -> str:
    rows = [[row["label"], points(row["spread"], over)] for row in numbers["differences"]]
    return markdown(["", f"at n = {numbers['n']}"], rows)


def _costs(numbers: Numbers) -> str:
    n = numbers["n"]
    rows = []
    for writer in numbers["writers"]:
        cost, levels = writer["cost"], {one["name"]: one["sizes"] for one in writer["selectors"]}
        own = levels.get(f"by_{writer['arm']}", {}).get(n)
        written = _written(cost, n)
        read = cost["questions"] * cost["programs"][n] / cost["of_all"] * cost["prediction"]
        more = levels["logprob"].get(4 * n)
        rows.append(
            [
                writer["label"],
                f"{cost['programs'][n]:.1f}",
                f"{written:.0f}",
                "–" if own is None else f"{read:.0f}",
                "–" if own is None else f"{100 * own['mean']:.1f}",
                "–" if own is None else f"{1000 * own['mean'] / (written + read):.2f}",
                "–" if more is None else f"{_written(cost, 4 * n):.0f}",
                "–" if more is None else f"{100 * more['mean']:.1f}",
                "–" if more is None else f"{1000 * more['mean'] / _written(cost, 4 * n):.2f}",
            ]
        )
    header = ["", "different programs", "tokens written", "tokens read", "% pass", "passed per 1,000 tokens"]
    return markdown([*header, f"tokens, n = {4 * n}", "% by log-probability", "passed per 1,000 tokens"], rows)


def _written(cost: Mapping[str, Any], n: int) -> float:
    """The tokens of n samples with one prompt."""
    tokens: float = cost["prompt"] + n * cost["program"]
    return tokens


def selection_picture(numbers: Numbers) -> str:
    """One panel a writer: percent by number of samples, one line a selector; the points are seeds, at the number that
    is compared. Greedy decoding is dashed."""
    writers = numbers["writers"]
    labels = _labels(writers)
    colors = {label: COLORS[place % len(COLORS)] for place, label in enumerate(labels)}
    values = [
        value
        for writer in writers
        for one in writer["selectors"]
        for spread in one["sizes"].values()
        for value in spread["by_seed"]
    ]
    low, high = math.floor(10 * min(values)) / 10, math.ceil(10 * max(values)) / 10
    columns = min(PER_ROW, len(writers))
    width, rows = max(LEFT + columns * (PANEL + GAP), NARROWEST), -(-len(writers) // PER_ROW)
    height = TOP + rows * (HEIGHT + 2 * GAP) + 18 * -(-(len(labels) + 1) // 2) + 8
    lines = [text(8, 18, "Percent that pass, by the number of samples to choose from", size=14, weight="bold")]
    lines.append(text(8, 34, f"Lines: means over seeds (how many). Dots: seeds, at n = {numbers['n']}.", fill=PALE))
    for place, writer in enumerate(writers):
        left, top = LEFT + place % PER_ROW * (PANEL + GAP), TOP + place // PER_ROW * (HEIGHT + 2 * GAP)
        lines += _panel(writer, colors, left, top + 16, low, high, numbers["n"])
    for place, label in enumerate((*labels, "greedy decoding")):
        x, y = LEFT + place % 2 * 330, height - 10 - 18 * (len(labels) // 2 - place // 2)
        dashed = ' stroke-dasharray="4 3"' if label not in colors else ""
        lines.append(f'<path d="M{x} {y - 4}h22" stroke="{colors.get(label, INK)}" stroke-width="2"{dashed}/>')
        lines.append(text(x + 28, y, label))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="#ffffff"/>\n'
        + "\n".join(lines)
        + "\n</svg>\n"
    )


def _panel(
    writer: Mapping[str, Any], colors: Mapping[str, str], left: float, top: float, low: float, high: float, n: int
) -> list[str]:
    sizes = [*writer["selectors"][0]["sizes"]]
    across = {n: left + PANEL * place / max(1, len(sizes) - 1) for place, n in enumerate(sizes)}

    def y(value: float) -> float:
        return top + HEIGHT * (1 - (value - low) / max(high - low, 0.1))

    lines = [text(left + PANEL / 2, top - 8, f"{writer['label']} ({len(writer['seeds'])})", anchor="middle")]
    for tenth in range(round(10 * low), round(10 * high) + 1):
        lines.append(f'<path d="M{left} {y(tenth / 10):.1f}h{PANEL}" stroke="{GRID}"/>')
        lines.append(text(left - 6, y(tenth / 10) + 4, str(10 * tenth), fill=PALE, anchor="end"))
    lines += [text(x, top + HEIGHT + 14, str(size), fill=PALE, anchor="middle") for size, x in across.items()]
    if writer["greedy"] is not None:
        at = y(writer["greedy"]["mean"])
        lines.append(f'<path d="M{left} {at:.1f}h{PANEL}" stroke="{INK}" stroke-dasharray="4 3"/>')
    for one in writer["selectors"]:
        color, spreads = colors[one["label"]], one["sizes"]
        wide = 4 if one["label"] == OWN else 1.5  # other readers may choose the same
        path = "L".join(f"{across[size]:.1f} {y(spread['mean']):.1f}" for size, spread in spreads.items())
        lines.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="{wide}"/>')
        lines += [
            f'<circle cx="{across[n]:.1f}" cy="{y(value):.1f}" r="1.8" fill="{color}" fill-opacity=".6"/>'
            for value in spreads[n]["by_seed"]
        ]
    return lines


def _labels(writers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The selectors of all writers; execution, the upper bound, is last."""
    found = dict.fromkeys(one["label"] for writer in writers for one in writer["selectors"])
    last = [one["label"] for one in writers[0]["selectors"] if one["name"] == "execution"]
    return [*(label for label in found if label not in last), *last]
