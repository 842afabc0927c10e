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
    out, data = folder / "index.html", page_data(read_results(folder))
    html.write(out, html.assemble(HERE / "probe_page.html", styles=STYLES, scripts=SCRIPTS, data=data), "-o")
    return out


def page_data(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results, with the parts of one context together: what each model read or wrote stands in one chart."""
    parts: dict[str, dict[str, Any]] = {}
    for name, part in results["parts"].items():
        context, _, model = name.partition("/")
        about = {"context": context, "title": PART_NAMES[context], "paired": not model}
        joined = parts.setdefault(context, about | {"programs": [], "marks": {}, "facts": {}})
        joined["programs"].append(
            {"model": model} | {key: part[key] for key in ("programs", "left_out", "not_probed")}
        )
        for mark, over in part["summary"].items():
            new = {"mark": mark, "models": [], "differences": list(over["differences"])}
            joined["marks"].setdefault(mark, new)["models"] += [
                {"model": reader, "facts": over["facts"], **one} for reader, one in over["models"].items()
            ]
        for key, fact in part["facts"].items():
            new = {name: fact[name] for name in ("mark", "fact", "shown", "control")}
            new |= {"models": {}, "differences": []}
            _join(joined["facts"].setdefault(key, new), fact)
    for one in results["own_differences"]:
        parts["own"]["marks"][one["mark"]]["differences"].append(one)
    for joined in parts.values():
        joined["facts"], joined["marks"] = list(joined["facts"].values()), list(joined["marks"].values())
    return {key: results[key] for key in ("models", "settings", "left_out")} | {"parts": list(parts.values())}


def _join(joined: dict[str, Any], fact: Mapping[str, Any]) -> None:
    about = {name: fact[name] for name in ("classes", "chance", "rows", "programs")}
    joined["models"] |= {model: one | about for model, one in fact["models"].items()}
    joined["differences"] += fact["differences"]
