"""A run: an arm with a seed, trained by the ordinary engine (or by supervised training, or not at all) and
measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.judge import Judge
from coderlplus.report.folders import json_lines, read_object
from coderlplus_lab.files import write_json
from coderlplus_lab.provenance import commit, now
from coderlplus_lab.study import supervised
from coderlplus_lab.study.folder import FINGERPRINT, MEASURED, StudyFolder
from coderlplus_lab.study.initial_models import device, device_name, initial_model_path, load_model
from coderlplus_lab.study.measures import curve_point, means, raw_numbers
from coderlplus_lab.study.pairs import pairs_to_learn
from coderlplus_lab.study.plan import spent_before
from coderlplus_lab.study.sampling import PASSED, with_task_file
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.tries import searched, tried


def make_run(study: Study, layout: StudyFolder, arm: str, seed: int) -> None:
    """Train and measure an arm with a seed, with the best of the settings that were searched."""
    chosen = best_settings(study, layout, study.search_arm(arm))
    _make(study, layout, arm, seed, layout.run(arm, seed), chosen, study.held_out)


def run_search(study: Study, layout: StudyFolder, arm: str, number: int) -> None:
    """Train an arm with one of the settings that are searched, and measure it on the validation split."""
    assert study.search is not None
    settings = tried(study, arm, number)
    _make(study, layout, arm, study.search.seed, layout.search(arm, number), settings, "validation")


def _make(
    study: Study, layout: StudyFolder, arm: str, seed: int, folder: Path, chosen: Mapping[str, Any], split: str
) -> None:
    model = _trained(study, layout, arm, seed, folder, chosen)
    with study.sandbox.open(1) as sandbox:
        raw = raw_numbers(study, layout, split, load_model(model, device(study)), model, Judge(sandbox))
    about = {"arm": arm, "seed": seed, "chosen": chosen, "device": device_name(study)}
    write_json(folder / MEASURED, about | provenance(folder) | _cost(study, layout, arm, seed, folder) | raw)


def provenance(folder: Path) -> dict[str, Any]:
    """What made the numbers of a job: commit, a hash of the settings that it was made of, and when."""
    made_of = folder / FINGERPRINT
    recipe = hashlib.sha256(made_of.read_bytes()).hexdigest()[:16] if made_of.exists() else None
    return {"commit": commit(), "recipe": recipe, "measured": now()}


def best_settings(study: Study, layout: StudyFolder, arm: str) -> dict[str, Any]:
    """Of the settings that were searched for an arm those that were best on the validation split; of equal ones the
    first. Empty without a search."""
    if study.search is None:
        return {}
    measure = study.search.measure
    values = [
        (means(read_object(layout.search(arm, number) / MEASURED))[measure] or 0.0, chosen)
        for number, chosen in enumerate(searched(study, arm))
    ]
    return max(values, key=lambda one: one[0])[1] if values else {}


def model_of(study: Study, layout: StudyFolder, arm: str, seed: int) -> str:
    """The folder (or hub name) of the model of a run that is done."""
    return str(layout.run(arm, seed) / "final") if study.arms[arm].is_trained else _initial(study, layout, arm, seed)


def _initial(study: Study, layout: StudyFolder, arm: str, seed: int) -> str:
    return initial_model_path(study, layout, study.initial_model_of(arm), study.warm_start_seed(seed))


def _trained(study: Study, layout: StudyFolder, arm: str, seed: int, folder: Path, chosen: Mapping[str, Any]) -> str:
    """The folder (or hub name) of the model of an arm, trained as far as it is not."""
    one, initial, final = study.arms[arm], _initial(study, layout, arm, seed), folder / "final"
    if not one.is_trained:
        return initial
    if final.exists():
        return str(final)
    samples = layout.samples(study.initial_model_of(arm), study.warm_start_seed(seed))
    with study.sandbox.open(1) as sandbox:
        point = curve_point(study, layout, initial, Judge(sandbox))
        if one.train is not None:
            problems = str(layout.problems("train"))
            made = {"model": initial, "problems": problems, "output": str(folder), "seed": seed}
            settings = with_task_file(study.train_settings(arm, chosen), samples) | made
            train(make_config(settings), evaluate=point, eval_every=study.measure.every)
        else:
            how = study.supervised_settings(arm, chosen)
            supervised.supervise(
                how,
                model=initial,
                output=folder,
                seed=seed,
                pairs=pairs_to_learn(study, layout, how, samples / PASSED),
                evaluate=point,
                eval_every=study.measure.every,
            )
    return str(final)


def _cost(study: Study, layout: StudyFolder, arm: str, seed: int, folder: Path) -> dict[str, Any]:
    """What training took: completions sampled (or examples learnt) and seconds, without evaluation; those sampled
    beforehand are counted in."""
    if not study.arms[arm].is_trained:
        return {"training_samples": 0, "training_seconds": 0.0}
    lines = list(json_lines(folder / "metrics.jsonl"))
    samples, seconds = spent_before(study, layout, arm, seed)
    return {
        "training_samples": int(max((line.get("samples", 0) for line in lines), default=0) + samples),
        "training_seconds": round(sum(line.get("seconds/step", 0.0) for line in lines) + seconds, 1),
    }
