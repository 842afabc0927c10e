"""The quick start: a study of one seed, its summary and its page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.intervals import clustered
from coderlplus.report.folders import Folder, read_object, read_run
from coderlplus.report.run_page import Headline, write_page
from coderlplus_lab.files import write_json
from coderlplus_lab.quickstart.headline import COLUMNS, sentences, table
from coderlplus_lab.study.fingerprints import check_version
from coderlplus_lab.study.folder import MEASURED, JobKind, StudyFolder
from coderlplus_lab.study.loading import load_study, make_study
from coderlplus_lab.study.measures import values
from coderlplus_lab.study.raw import families_in, of_measure, read_raw
from coderlplus_lab.study.run import run_study
from coderlplus_lab.study.settings import Measured, Study

HERE = Path(__file__).parent
WARM_START, KL_ARM = "warm_start", "grpo_kl"
SHOWN = (WARM_START, "grpo", KL_ARM, "coderlplus")
"""The arms in the order of the page."""
PLANNED_S: dict[JobKind, float] = {"problems": 15.0, "initial_model": 165.0, "run": 400.0}
MEASURES: tuple[Measured, ...] = (
    "pass_at_1_sampled",
    "pass_at_1_greedy",
    "pass_at_k",
    "output_accuracy",
    "all_variables_accuracy",
)


def quickstart_study(seed: int, *, tiny: bool = False) -> Study:
    """The study of a quick start; problems, warm start and training follow the seed.

    Raises `ConfigError` for a negative seed.
    """
    settings = load_study(HERE / ("tiny.yaml" if tiny else "quickstart.yaml")).model_dump()
    follow = {
        "name": "quickstart",
        "seeds": (seed,),
        "warm_start_seeds": max(1, seed + 1),
        "world": settings["world"] | {"seed": seed},
    }
    return make_study(settings | follow, lambda key: "--seed")


def quickstart(
    root: Path, study: Study, *, kl_control: bool = False, overwrite: bool = False
) -> dict[str, dict[str, Any]]:
    """Run or continue a quick start in `root`; returns and writes `summary.json`, and writes the page. With
    `overwrite` it is begun anew.

    Raises `ConfigError` if the folder belongs to other settings, `DataError` if another process works there or a job
    failed.
    """
    arms = [arm for arm in study.arms if arm != KL_ARM or kl_control]
    whole = load_study(HERE / "quickstart.yaml")
    planned_s = PLANNED_S if study.initial_models == whole.initial_models else {}
    summaries = []

    def finish() -> None:
        found = summarise(study, StudyFolder(root))
        if not {*arms} <= found.keys():  # some failed
            return
        write_json(root / "summary.json", found)
        write_quickstart_page(root, study)
        summaries.append(found)

    run_study(study, root, runs=arms, jobs=len(arms), planned_s=planned_s, overwrite=overwrite, then=finish)
    return summaries[0]


def summarise(study: Study, layout: StudyFolder) -> dict[str, dict[str, Any]]:
    """The numbers of every arm that is measured: shares with intervals, and the samples and seconds of its training.

    The intervals are over families of problems and tasks.
    """
    (seed,) = study.seeds
    summary, families = {}, families_in(layout)
    for arm in (WARM_START, *(arm for arm in study.arms if arm != WARM_START)):
        path = layout.run(arm, seed) / MEASURED
        if not path.exists():
            continue
        raw = read_raw(path)
        found = values(raw)
        shown = {name: name if name != "pass_at_k" else f"pass_at_{raw['samples']}" for name in MEASURES}
        estimates = {shown[name]: clustered(found[name], of_measure(families, name)) for name in MEASURES}
        seconds = raw["training_seconds"]
        if arm == WARM_START:
            folder = layout.initial_model(study.initial_model_of(arm), study.warm_start_seed(seed))
            seconds = read_object(folder / "training.json").get("seconds", 0.0)
        summary[arm] = {
            **{name: estimate.mean for name, estimate in estimates.items()},
            "problems": len(raw["greedy"]),
            "tasks": len(raw["output"]),
            "intervals": {name: [estimate.low, estimate.high] for name, estimate in estimates.items()},
            "evaluation_seconds": raw["evaluation_seconds"],
            "samples": raw["training_samples"],
            "seconds": seconds,
        }
    return summary


def labels(study: Study) -> dict[str, str]:
    """What the arms are called."""
    return {arm: study.label(arm) for arm in study.arms}


def write_quickstart_page(root: Path, study: Study) -> Path:
    """Write `index.html`: the runs that are there side by side, below their results.

    Raises `DataError` before the first step of a run.
    """
    layout = StudyFolder(root)
    check_version(layout)
    (seed,) = study.seeds
    folders = {arm: layout.run(arm, seed) for arm in SHOWN if (layout.run(arm, seed) / "metrics.jsonl").exists()}
    if not folders:
        raise DataError(f"{root} has no run yet; a run appears with its first step")
    runs = [read_run(path, name=arm, label=study.label(arm)) for arm, path in folders.items()]
    found = summarise(study, layout)
    summary = {arm: found[arm] for arm in SHOWN if arm in found}
    headline = Headline(
        columns=tuple((name, how) for _, name, how in COLUMNS),
        table=table(summary, labels(study)),
        sentences=sentences(summary, alignment_share({run.name: run.metrics for run in runs})),
        start=summary.get(WARM_START, {}),
    )
    return write_page(Folder(path=root, runs=runs), root / "index.html", headline)


def alignment_share(metrics: Mapping[str, list[dict[str, Any]]]) -> float | None:
    """The mean share of alignment tasks over the steps of the CodeRL+ run."""
    shares = [line.get("mix/alignment_share", 0.0) for line in metrics.get("coderlplus", [])]
    return sum(shares) / len(shares) if shares else None
