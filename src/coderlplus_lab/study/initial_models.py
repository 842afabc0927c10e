"""The models that arms train from: of the small world made and taught here, or there already."""

from __future__ import annotations

import time
from pathlib import Path

import torch
import yaml
from transformers.utils import logging

from coderlplus.engines.run_folder import RunFolder
from coderlplus.judge import Judge
from coderlplus.report.folders import read_object
from coderlplus_lab.files import write_json
from coderlplus_lab.study.examples import PIECES, pairs_of
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.measures import curve_point
from coderlplus_lab.study.pairs import pairs_to_learn
from coderlplus_lab.study.settings import Study
from coderlplus_lab.study.supervised import supervise
from coderlplus_lab.world.model import make_model
from coderlplus_lab.world.tokenizer import make_tokenizer
from coderlplus_lab.world.warm_start import warm_start

METRICS_EVERY = 10
"""Steps between two lines of a warm start's metrics."""


def initial_model_path(study: Study, layout: StudyFolder, name: str, seed: int) -> str:
    """The folder or hub name of an initial model."""
    initial = study.initial_models[name]
    return str(layout.initial_model(name, seed) / "final") if initial.is_made else str(initial.model)


def make_initial_model(study: Study, layout: StudyFolder, name: str, seed: int) -> None:
    """Train an existing model on programs and traces, or make and teach a model of the small world; or resume it. See
    the run folder. The model appears when it is complete."""
    initial = study.initial_models[name]
    if initial.supervised is not None:
        _start_from(study, layout, name, seed)
        return
    assert study.world is not None
    settings = initial.taught(seed)
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    rules = study.world.rules
    tokenizer = make_tokenizer(PIECES if initial.questions else (), rules)
    shape = initial.model_dump(include={"family", "width", "layers", "heads", "kv_heads", "mlp"})
    model = make_model(tokenizer, seed=seed, **shape).to(device(study))
    run = RunFolder(layout.initial_model(name, seed))
    checkpoint = run.path / "checkpoint.pt"
    progress = run.path / "progress.json"
    if not checkpoint.exists():
        about = {"seed": seed, "parameters": model.num_parameters()} | initial.model_dump(mode="json")
        run.begin(yaml.safe_dump(about, sort_keys=False), ())
    before = read_object(progress) if checkpoint.exists() else {}
    began = time.monotonic() - before.get("seconds", 0.0)

    def told(step: int, loss: float) -> None:
        if step % METRICS_EVERY == 0 and step > before.get("step", 0):
            run.write_metrics(step, {"loss": round(loss, 4), "max_steps": settings.steps})
            write_json(progress, {"step": step, "seconds": round(time.monotonic() - began, 1)})

    warm_start(
        model,
        tokenizer,
        settings,
        checkpoint=checkpoint,
        pairs=pairs_of(initial, study.world.operations, layout.taught_questions, rules),
        on_step=told,
    )
    model.cpu().save_pretrained(run.unfinished)
    tokenizer.save_pretrained(run.unfinished)
    write_json(run.path / "training.json", {"seconds": round(time.monotonic() - began, 1), "samples": 0})
    run.finish()


def _start_from(study: Study, layout: StudyFolder, name: str, seed: int) -> None:
    """The supervised start on an existing model, with its curve on the validation split."""
    model, how = str(study.initial_models[name].model), study.start_settings(name)
    with study.sandbox.open(1) as sandbox:
        supervise(
            how,
            model=model,
            output=layout.initial_model(name, seed),
            seed=seed,
            pairs=pairs_to_learn(study, layout, how),
            evaluate=curve_point(study, layout, model, Judge(sandbox)),
            eval_every=study.measure.every,
        )


def device(study: Study) -> str:
    """Where models are: on a GPU where there is one and the study does not say `use_cpu`."""
    use_cpu = (study.train.get("trl") or {}).get("use_cpu")
    return "cuda" if torch.cuda.is_available() and not use_cpu else "cpu"


def device_name(study: Study) -> str:
    """What the device is called."""
    return torch.cuda.get_device_name() if device(study) == "cuda" else "cpu"


def load_model(path: str | Path, where: str) -> torch.nn.Module:
    """A causal language model (or an adapter on one), for generation."""
    from transformers import AutoModelForCausalLM

    model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(path, dtype="auto").to(where)
    return model.eval()
