"""A run: an arm with a seed, trained by the ordinary engine (or by supervised training, or not at all) and
measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.judge import Judge
from coderlplus_lab.files import read_json, write_json
from coderlplus_lab.study import supervised
from coderlplus_lab.study.initial_models import device, device_name, initial_model_path, load_model
from coderlplus_lab.study.measures import curve_point, means, measure_test, raw_numbers
from coderlplus_lab.study.pairs import pairs_to_learn
from coderlplus_lab.study.plan import MEASURED, StudyFolder, needs_samples, searched
from coderlplus_lab.study.sampling import PASSED, with_task_file
from coderlplus_lab.study.settings import Study


def make_run(study: Study, layout: StudyFolder, arm: str, seed: int) -> None:
    """Train and measure an arm with a seed, with the best of the settings that were searched."""
    folder = layout.run(arm, seed)
    chosen = best_settings(study, layout, study.search_arm(arm))
    model = _trained(study, layout, arm, seed, folder, chosen)
    with study.sandbox.open(1) as sandbox:
        raw = measure_test(study, layout, load_model(model, device(study)), model, Judge(sandbox))
    about = {"arm": arm, "seed": seed, "chosen": chosen, "device": device_name(study)}
    write_json(folder / MEASURED, about | _cost(study, layout, arm, seed, folder) | raw)


def run_search(study: Study, layout: StudyFolder, arm: str, number: int) -> None:
    """Train an arm with one of the settings that are searched, and measure it on the validation split."""
    assert study.search is not None
    folder = layout.search(arm, number)
    chosen = searched(study, arm)[number]
    model = _trained(study, layout, arm, study.search.seed, folder, chosen)
    with study.sandbox.open(1) as sandbox:
        loaded = load_model(model, device(study))
        raw = raw_numbers(study, layout, "validation", loaded, model, Judge(sandbox), samples=study.measure.samples)
    cost = _cost(study, layout, arm, study.search.seed, folder)
    write_json(folder / MEASURED, {"arm": arm, "seed": study.search.seed, "chosen": chosen} | cost | raw)


def best_settings(study: Study, layout: StudyFolder, arm: str) -> dict[str, Any]:
    """Of the settings that were searched for an arm those that were best on the validation split; of equal ones the
    first. Empty without a search."""
    best: tuple[float, dict[str, Any]] | None = None
    for number, chosen in enumerate(searched(study, arm)):
        assert study.search is not None
        value = means(read_json(layout.search(arm, number) / MEASURED)).get(study.search.measure)
        if best is None or (value or 0.0) > best[0]:
            best = value or 0.0, chosen
    return {} if best is None else best[1]


def model_of(study: Study, layout: StudyFolder, arm: str, seed: int) -> str:
    """The folder (or hub name) of the model of a run that is done."""
    one = study.arms[arm]
    if one.train is None and one.supervised is None:
        return initial_model_path(study, layout, study.initial_model_of(arm), study.warm_start_seed(seed))
    return str(layout.run(arm, seed) / "final")


def _trained(study: Study, layout: StudyFolder, arm: str, seed: int, folder: Path, chosen: Mapping[str, Any]) -> str:
    """The folder (or hub name) of the model of an arm, trained as far as it is not."""
    one = study.arms[arm]
    initial_name, warm_start_seed = study.initial_model_of(arm), study.warm_start_seed(seed)
    initial = initial_model_path(study, layout, initial_name, warm_start_seed)
    if one.train is None and one.supervised is None:
        return initial
    final = folder / "final"
    if final.exists():
        return str(final)
    samples = layout.samples(initial_name, warm_start_seed)
    with study.sandbox.open(1) as sandbox:
        point = curve_point(study, layout, initial, Judge(sandbox))
        if one.train is not None:
            settings = with_task_file(study.train_settings(arm, chosen), samples)
            settings |= {
                "model": initial,
                "problems": str(layout.problems("train")),
                "output": str(folder),
                "seed": seed,
            }
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
    one = study.arms[arm]
    if one.train is None and one.supervised is None:
        return {"training_samples": 0, "training_seconds": 0.0}
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    before = (
        read_json(layout.samples(study.initial_model_of(arm), study.warm_start_seed(seed)) / "complete.json")
        if needs_samples(study, arm)
        else {}
    )
    return {
        "training_samples": int(max((line.get("samples", 0) for line in lines), default=0))
        + int(before.get("samples", 0)),
        "training_seconds": round(
            sum(line.get("seconds/step", 0.0) for line in lines) + before.get("seconds", 0.0), 1
        ),
    }
