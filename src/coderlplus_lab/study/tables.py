"""The numbers of a study as Markdown, and as a generated page of the documentation with its picture and the raw
numbers beside it. Shares are in percent, differences in points."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.records.files import atomic_write
from coderlplus_lab.study.cells import markdown, points, share
from coderlplus_lab.study.picture import picture
from coderlplus_lab.study.raw import ABOUT, KINDS, PER_KIND, RawStudy, read_raw_study, write_raw
from coderlplus_lab.study.results import study_results
from coderlplus_lab.study.selection_page import selection_picture, selection_tables
from coderlplus_lab.study.settings import Measured

Results = Mapping[str, Any]
DOES: tuple[Measured, ...] = ("output_accuracy", "pass_at_1_sampled")
PROGRAMS = {"task": "reading a task", "given": "reading a reference", "own": "while it writes"}
LEGEND = (
    "*Output predicted*: questions answered right that ask what a reference program returns; *all variables*: and "
    "what its variables hold; *test output*: what a right program returns, without a program. *Comments true*: of the "
    "values that greedy programs state in comments. Percent, with 95 % intervals over seeds; with one seed they are "
    "over families of problems."
)
WIDTH = 119
"""Columns of a line of text."""


def tables(results: Results) -> str:
    """All tables of a study."""
    if not results["arms"]:
        return "No run is measured yet."
    parts = [about(results), *decision(results)]
    if results["selection"] is not None:  # what such a study is about
        parts += [*selection_tables(results["selection"]), "## All measures"]
    parts += [LEGEND, arms_table(results)]
    if results["search"]:
        measure = results["search"][0]["measure"]
        parts += [
            f"Searched on the validation split by {results['labels'].get(measure, measure)}, in percent:",
            search_table(results),
        ]
    if results["differences"]:
        parts += [
            "Differences in points, paired by seed. Intervals are 95 % over seeds; with one seed they are over "
            "families of problems.",
            differences_table(results),
        ]
    if any(len(row["seeds"]) > 1 for row in results["differences"]):
        parts += [
            "The same differences of these seeds, with intervals over families of problems:",
            differences_table(results, over="problems_"),
        ]
    if any(row["equal_seconds"] for row in results["differences"]):
        parts += ["The same on the validation split, at equal seconds of training:", seconds_table(results)]
    if any(arm["kinds"] for arm in results["arms"]):
        parts += [
            "Problems and tasks in training, each alone: means over the recorded steps. Gradient norms are those "
            "before clipping, of the first update of a few batches. *Zero variance* is the share of groups whose "
            "rewards are all equal:",
            kinds_table(results),
        ]
    if results["probes"]:
        parts += [
            "Hidden states, in points beyond the text (mean over facts and layers), and what the same models do, in "
            "percent:",
            probes_table(results),
        ]
    if results["missing"]:
        parts.append(f"**Not run yet:** {_named(results['missing'])}.")
    return "\n\n".join(part if part.startswith(("|", "- ")) else textwrap.fill(part, WIDTH) for part in parts)


def about(results: Results) -> str:
    """What was measured, and what is missing."""
    counts = results["counts"]
    seeds = sorted({seed for arm in results["arms"] for seed in arm["seeds"]})
    families = f" in {counts['families']} families" if counts["families"] < counts["problems"] else ""
    text = (
        f"{counts['problems']} held-out problems{families}, {counts['tasks']} alignment tasks and "
        f"{counts['test_outputs']} questions for a test output; "
        f"{counts['samples']} samples per problem; seeds {', '.join(map(str, seeds))}; "
        f"{results['hours']:.1f} hours in total over all jobs, on {results['hardware']}."
    )
    if results["missing"]:
        text += f" Jobs that are not run yet: {len(results['missing'])}, named at the end."
    return text


def decision(results: Results) -> list[str]:
    """What the rule of the preregistration decides, with the numbers that it asks for; nothing where none is here."""
    found = results["decision"]
    if found is None:
        return []
    if found["missing"]:
        return [f"**Not decided yet.** The rule needs {_named(found['missing'])}."]
    words = {None: "", True: "yes", False: "no"}
    rows = []
    for check in found["checks"]:
        sign = "" if check["level"] else "+"
        over = [share(check["spread"], of, sign) for of in ("", "problems_")]
        rows.append([check["what"], *over, check["asked"], words[check["holds"]]])
    said = [textwrap.fill(f"- {one}", WIDTH, subsequent_indent="  ") for one in found["decided"]]
    return [
        "**Decided** by the rule of the preregistration:",
        "\n".join(said),
        "The numbers of the rule: differences in points, levels in percent. The rule is about intervals over seeds.",
        markdown(["", "over seeds", "over families", "asked", "holds"], rows),
    ]


def arms_table(results: Results) -> str:
    """One row an arm: the mean over seeds with its interval."""
    labels = results["labels"]
    rows = [
        [
            arm["label"],
            str(len(arm["seeds"])),
            *(share(arm["measures"].get(name)) for name in labels),
            f"{arm['training_samples']:,.0f}",
            f"{arm['training_seconds']:,.0f}",
        ]
        for arm in results["arms"]
    ]
    return markdown(["", "seeds", *labels.values(), "samples", "seconds"], rows)


def search_table(results: Results) -> str:
    """One row an arm that was searched for: what was tried, what was chosen, and whether that is at an edge of the
    grid, beyond which a better value may lie."""
    labels = {arm["name"]: arm["label"] for arm in results["arms"]}
    rows = []
    for name in dict.fromkeys(one["arm"] for one in results["search"]):
        tries = [one for one in results["search"] if one["arm"] == name]
        best = max(tries, key=lambda one: one["value"])
        edges = [
            key
            for key, value in best["chosen"].items()
            if isinstance(value, int | float)
            and value in (min(values := [one["chosen"][key] for one in tries]), max(values))
            and len(set(values)) > 1
        ]
        is_over = not any(key.startswith(f"search/{name}/") for key in results["missing"])
        said = _settings(best["chosen"]) + (", an edge of the grid" if edges else "")
        rows.append(
            [
                labels.get(name, name),
                "; ".join(f"{_settings(one['chosen'])}: {100 * one['value']:.1f}" for one in tries),
                said if is_over else "not yet",
            ]
        )
    return markdown(["", "tried", "chosen"], rows)


def differences_table(results: Results, over: str = "") -> str:
    """One row a comparison; with `over` "problems_" those of several seeds, with the interval over problems."""
    labels = results["labels"]
    rows = [
        [row["label"], str(len(row["seeds"])), *(points(row["measures"].get(name), over) for name in labels)]
        for row in results["differences"]
        if not over or len(row["seeds"]) > 1
    ]
    return markdown(["", "seeds", *labels.values()], rows)


def seconds_table(results: Results) -> str:
    """One row a comparison, at equal seconds."""
    rows = [row for row in results["differences"] if row["equal_seconds"]]
    names = list(dict.fromkeys(name for row in rows for name in row["equal_seconds"]))
    labels = [results["labels"][name] for name in names]
    return markdown(
        ["", *labels], [[row["label"], *(points(row["equal_seconds"].get(name)) for name in names)] for row in rows]
    )


def kinds_table(results: Results) -> str:
    """One row an arm: a measure of problems, and the same of tasks."""
    arms = [arm for arm in results["arms"] if arm["kinds"]]
    names = [name for name in PER_KIND if any(f"{name}/{KINDS[0]}" in arm["kinds"] for arm in arms)]
    rows = [
        [
            arm["label"],
            *(
                " / ".join(f"{arm['kinds'][key]:.2f}" for kind in KINDS if (key := f"{name}/{kind}") in arm["kinds"])
                or "–"
                for name in names
            ),
        ]
        for arm in arms
    ]
    return markdown(["problems / tasks", *(name.replace("_", " ") for name in names)], rows)


def probes_table(results: Results) -> str:
    """One row a kind of programs and marks, one column an arm or a comparison that is probed; first what these models
    do."""
    arms = {
        arm["name"]: arm for arm in results["arms"] if any(arm["name"] in row["arms"] for row in results["probes"])
    }
    compared = [row for row in results["differences"] if {row["arm"], row["against"]} <= set(arms)]
    rows = [
        [
            f"*does:* {results['labels'][name]}",
            *(share(arm["measures"].get(name)) for arm in arms.values()),
            *(points(row["measures"].get(name)) for row in compared),
        ]
        for name in DOES
    ]
    for probed in results["probes"]:
        pairs = {(one["arm"], one["against"]): one for one in probed["differences"]}
        rows.append(
            [
                f"{PROGRAMS[probed['programs']]}: {probed['mark']}",
                *(points(probed["arms"].get(name)) for name in arms),
                *(points(pairs.get((row["arm"], row["against"]))) for row in compared),
            ]
        )
    return markdown(["", *(arm["label"] for arm in arms.values()), *(row["label"] for row in compared)], rows)


def publish(raw: RawStudy, results: Results, docs: Path) -> None:
    """Write the raw numbers of a study to `docs/NAME/`, which is replaced, and its page and picture beside it. Raises
    `DataError` if they cannot be written."""
    try:
        write_raw(raw, docs / results["name"])
    except OSError as error:
        raise DataError(f"cannot write {docs / results['name']}: {error.strerror}") from error
    write_page(results, docs)


def rebuild(docs: Path) -> list[Path]:
    """Write the pages and pictures of a folder anew from the raw numbers in it; returns the pages. Raises `DataError`
    where there are none, or they are broken."""
    folders = sorted(path.parent for path in docs.glob(f"*/{ABOUT}"))
    if not folders:
        raise DataError(
            f"{docs} has no raw numbers of a study (NAME/{ABOUT}); write them with study FILE --docs {docs}"
        )
    return [write_page(study_results(read_raw_study(folder)), docs) for folder in folders]


def write_page(results: Results, docs: Path) -> Path:
    """Write page and picture of a study, `docs/NAME.md` and `docs/NAME.svg`; where programs were chosen also
    `docs/NAME-selection.svg`."""
    page = docs / f"{results['name']}.md"
    try:
        docs.mkdir(parents=True, exist_ok=True)
        atomic_write(page, page_text(results))
        atomic_write(page.with_suffix(".svg"), picture(results))
        if results["selection"] is not None:
            atomic_write(docs / _selection_picture(results["name"]), selection_picture(results["selection"]))
    except OSError as error:
        raise DataError(f"cannot write {page}: {error.strerror}") from error
    return page


def page_text(results: Results) -> str:
    """The generated page of a study, with the command that generates it."""
    name = results["name"]
    registered = results["preregistration"]
    parts = [
        f"# {results['title']}",
        f"Generated by `{results['command']}` (coderlplus {results['version']}).\n"
        f"Raw numbers of every run: `{name}/`; `make results` writes this page from them.",
        f"Preregistered: [{registered}](../preregistration/{registered}.md)." if registered else "",
        origin(results),
        f"![Levels and differences, every seed a point]({name}.svg)",
        f"![Choices by number of samples, every seed a point]({_selection_picture(name)})"
        if results["selection"] is not None
        else "",
        tables(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def origin(results: Results) -> str:
    """Which code and settings made the runs, and what was not recorded."""
    known = [str(commit)[:12] + str(commit)[40:] for commit in results["commits"] if commit is not None]
    text = f"Commit of the runs: {', '.join(known)}. Every raw file has the hash of its settings." if known else ""
    absent = [] if known else ["commit", "recipe hash"]
    if not any(curve["step"] for curve in results["curves"]):
        absent += ["curves (so there is no table at equal seconds)"]
    if absent:
        text += f" **Not recorded:** {', '.join(absent)}."
    return textwrap.fill(text.strip(), WIDTH)


def _selection_picture(name: str) -> str:
    return f"{name}-selection.svg"


def _named(missing: Sequence[str]) -> str:
    """All that is missing, the seeds of an arm together.

    >>> _named(["grpo/10", "probe/0"]), _named(["grpo/10", "probe/0", "grpo/11"])
    ('grpo/10, probe/0', 'grpo/10, 11; probe/0')
    """
    seeds: dict[str, list[str]] = {}
    for key in missing:
        seeds.setdefault(key.rpartition("/")[0], []).append(key.rpartition("/")[2])
    alone = all(len(of) == 1 for of in seeds.values())
    return (", " if alone else "; ").join(f"{name}/{', '.join(of)}" for name, of in seeds.items())


def _settings(chosen: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.rpartition('.')[2].replace('_', ' ')} {value}" for key, value in chosen.items())
