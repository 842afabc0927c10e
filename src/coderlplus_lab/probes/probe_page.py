"""The page of probes: what hidden states tell of a run beyond the text, model against model, fact by fact and layer by
layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderlplus.report import html
from coderlplus_lab.probes.results import read_results

HERE = Path(__file__).parent
STYLES = ("base.css", "run_page.css", HERE / "probe_page.css")
SCRIPTS = ("dom.js", "plot.js", HERE / "probe_page.js")
PART_NAMES = {
    "task": "Reading a question about a program",
    "given": "Reading a program that is given",
    "own": "While writing a program",
}
"""Context → what a reader is told of it."""


def write_probe_page(folder: Path) -> Path:
    """Write `index.html` of a folder of probes and return its path. Raises `DataError` if the folder is none or
    cannot be written."""
    out = folder / "index.html"
    html.write(
        out,
        html.assemble(HERE / "probe_page.html", styles=STYLES, scripts=SCRIPTS, data=page_data(read_results(folder))),
        "-o",
    )
    return out


def page_data(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results, with the parts of one context together: what each model read or wrote stands in one chart."""
    parts: dict[str, dict[str, Any]] = {}
    for name, part in results["parts"].items():
        context, _, model = name.partition("/")
        joined = parts.setdefault(
            context,
            {
                "context": context,
                "title": PART_NAMES[context],
                "paired": not model,
                "programs": [],
                "marks": {},
                "facts": {},
            },
        )
        joined["programs"].append(
            {
                "model": model,
                "programs": part["programs"],
                "left_out": part["left_out"],
                "not_probed": part["not_probed"],
            }
        )
        for mark, over in part["summary"].items():
            of_mark = joined["marks"].setdefault(
                mark, {"mark": mark, "models": [], "differences": list(over["differences"])}
            )
            of_mark["models"] += [
                {"model": reader, "facts": over["facts"], **one} for reader, one in over["models"].items()
            ]
        for key, fact in part["facts"].items():
            _join(
                joined["facts"].setdefault(
                    key, {name: fact[name] for name in ("mark", "fact", "shown", "control")} | {"models": {}}
                ),
                fact,
            )
    for one in results["own_differences"]:
        parts["own"]["marks"][one["mark"]]["differences"].append(one)
    for joined in parts.values():
        joined["facts"], joined["marks"] = list(joined["facts"].values()), list(joined["marks"].values())
    return {
        "models": results["models"],
        "settings": results["settings"],
        "left_out": results["left_out"],
        "parts": list(parts.values()),
    }


def _join(joined: dict[str, Any], fact: Mapping[str, Any]) -> None:
    about = {name: fact[name] for name in ("classes", "chance", "rows", "programs")}
    joined["models"] |= {model: one | about for model, one in fact["models"].items()}
    joined.setdefault("differences", [])
    joined["differences"] += fact["differences"]
