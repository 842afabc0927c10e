"""The stages of the quick start. Each leaves a complete artefact or none: a stage whose artefact is there is done."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import Any

from coderlplus.alignment.prompts import shown_program
from coderlplus.alignment.tasks import make_task
from coderlplus.engines.prompts import conversation
from coderlplus.judge import Judge
from coderlplus.records import AlignmentTask, Problem, read_jsonl, write_jsonl
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import TraceRequest, trace_many
from coderlplus_lab.files import read_json, write_json
from coderlplus_lab.quickstart.settings import KL_ARM, WARM_START, Layout, QuickstartSettings
from coderlplus_lab.world import world
from coderlplus_lab.world.examples import LINEAGE, SETTINGS

GENERATION_BATCH = 256
"""Completions generated together in an evaluation."""
PROGRESS_EVERY = 10
"""Steps of the warm start between two notes of its progress."""


def make_problems(layout: Layout, settings: QuickstartSettings) -> None:
    """Problems of the three splits; alignment tasks on the references of held-out compositions with inputs that their problems do not show."""
    counts = {"train": settings.train_problems, "validation": settings.validation_problems, "test": settings.test_problems}
    task_counts = {"validation": settings.validation_problems, "test": settings.test_tasks}
    for split, count in task_counts.items():
        if not layout.tasks(split).exists():
            with Sandbox(workers=1) as sandbox:
                write_jsonl(layout.tasks(split), held_out_tasks(sandbox, split, count, settings.seed))  # type: ignore[arg-type]
    for split, count in counts.items():
        if not layout.problems(split).exists():
            write_jsonl(layout.problems(split), world.draw_problems(split, count, settings.seed))  # type: ignore[arg-type]


def held_out_tasks(sandbox: Sandbox, split: world.Split, count: int, seed: int) -> list[AlignmentTask]:
    """Tasks made by the library from traced references: the same for every model that is measured on them."""
    rng = random.Random(f"tasks:{split}:{seed}")
    tasks: list[AlignmentTask] = []
    while len(tasks) < count:
        samples = [world.draw_problem(rng, split) for _ in range(count - len(tasks))]
        requests = [
            TraceRequest(program=shown_program(world.program_text(sample.steps)), input=world.call(sample.inputs[-1]), limits=world.LIMITS)
            for sample in samples
        ]
        made = [make_task(trace, LINEAGE, settings=SETTINGS, seed=seed) for trace in trace_many(sandbox, requests)]
        tasks += [replace(task, problem_id=f"{split}-task") for task in made if isinstance(task, AlignmentTask)]
    return tasks


def make_warm_start(layout: Layout, settings: QuickstartSettings) -> None:
    """Tokenizer, model and supervised training; the folder appears when it is complete, and says how long it took."""
    import torch
    from transformers.utils import logging

    from coderlplus_lab.world.model import make_model
    from coderlplus_lab.world.tokenizer import make_tokenizer
    from coderlplus_lab.world.warm_start import warm_start

    torch.set_num_threads(1)  # two are a third faster on an idle machine and twenty times slower on a busy one
    logging.disable_progress_bar()
    tokenizer = make_tokenizer()
    model = make_model(tokenizer, seed=settings.seed)
    checkpoint = layout.root / "warm_start.pt"
    before = read_json(layout.warm_start_progress).get("seconds", 0.0) if checkpoint.exists() else 0.0
    began = time.monotonic() - before

    def told(step: int, loss: float) -> None:
        if step % PROGRESS_EVERY == 0:
            write_json(layout.warm_start_progress, {"step": step, "loss": round(loss, 3), "seconds": round(time.monotonic() - began, 1)})

    warm_start(model, tokenizer, replace(settings.warm_start, seed=settings.seed), checkpoint=checkpoint, on_step=told)
    partial = layout.root / "warm_start.partial"
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    write_json(partial / "quickstart.json", {"seconds": round(time.monotonic() - began, 1)})
    partial.replace(layout.warm_start)


def arm_config(layout: Layout, settings: QuickstartSettings, name: str) -> dict[str, Any]:
    """The configuration of an arm, as `coderlplus train` would read it: the arms differ in `alignment` (and the control in `beta`) alone."""
    batch = settings.prompts_per_step * settings.samples_per_prompt
    alignment = {"alpha": settings.alpha, "prompt_style": SETTINGS.prompt_style, "mine_per_step": settings.mined_per_step, "policy": "uniform"}
    beta = settings.kl if name == KL_ARM else 0.0
    return {
        "model": str(layout.warm_start),
        "problems": str(layout.problems("train")),
        "output": str(layout.arm(name)),
        "seed": settings.seed,
        "threads": 1,
        "prompt_template": "{statement}",
        "max_prompt_tokens": 96,
        "samples_every": settings.samples_every,
        "skip_zero_advantage": beta == 0.0,
        "alignment": alignment if name == "coderlplus" else False,
        "sandbox": {"workers": 1},
        "trl": {
            "max_steps": settings.steps,
            "per_device_train_batch_size": batch,
            "num_generations": settings.samples_per_prompt,
            "max_completion_length": settings.max_new_tokens,
            "learning_rate": settings.learning_rate,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_steps": 5,
            "adam_beta2": 0.95,
            "loss_type": "grpo",
            "beta": beta,
            "temperature": 1.0,
            "top_k": 0,
            "top_p": 1.0,
            "use_cpu": True,
            "save_steps": settings.checkpoint_every,
            "save_total_limit": 1,
            "report_to": [],
        },
    }


def train_arm(layout: Layout, settings: QuickstartSettings, name: str) -> None:
    """Train an arm from the warm start, or go on from its last checkpoint."""
    from coderlplus.engines.config import make_config
    from coderlplus.engines.train import train
    from coderlplus_lab.world.model import register

    problems, tasks = list(read_jsonl(layout.problems("validation"), Problem)), list(read_jsonl(layout.tasks("validation"), AlignmentTask))
    with Sandbox(workers=1) as sandbox:
        judge = Judge(sandbox)

        def evaluate(model: Any) -> dict[str, float]:
            values = measured(model, layout, settings, judge, problems, tasks, samples=4)
            return {name: values[name] for name in ("pass_at_1_sampled", "output_accuracy", "all_variables_accuracy")}

        register()
        train(make_config(arm_config(layout, settings, name)), resume=True, evaluate=evaluate, eval_every=settings.evaluate_every)


def evaluate_model(layout: Layout, settings: QuickstartSettings, name: str) -> None:
    """Measure a model on the test split."""
    from transformers import AutoModelForCausalLM

    from coderlplus_lab.world.model import register

    problems, tasks = list(read_jsonl(layout.problems("test"), Problem)), list(read_jsonl(layout.tasks("test"), AlignmentTask))
    register()
    model = AutoModelForCausalLM.from_pretrained(layout.model(name))
    began = time.monotonic()
    with Sandbox(workers=1) as sandbox:
        values = measured(model, layout, settings, Judge(sandbox), problems, tasks, samples=8)
    write_json(layout.evaluation(name), values | {"evaluation_seconds": round(time.monotonic() - began, 1)})


def measured(
    model: Any, layout: Layout, settings: QuickstartSettings, judge: Judge, problems: list[Problem], tasks: list[AlignmentTask], samples: int
) -> dict[str, Any]:
    from transformers import AutoTokenizer

    from coderlplus_lab.study.outcomes import measure

    measurement = measure(
        model,
        AutoTokenizer.from_pretrained(layout.warm_start),
        judge,
        problems,
        tasks,
        messages=lambda row: conversation(row.prompt if isinstance(row, AlignmentTask) else row.statement),
        samples=samples,
        max_new_tokens=settings.max_new_tokens,
        batch_size=GENERATION_BATCH,
        seed=settings.seed,
    )
    return measurement.to_json()


def summarise(layout: Layout, arms: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """`summary.json` from the evaluations and the runs: samples and seconds are those of the training of each model."""
    summary = {}
    for name in (WARM_START, *arms):
        values = json.loads(layout.evaluation(name).read_text(encoding="utf-8"))
        if name == WARM_START:
            cost = {"samples": 0, **read_json(layout.warm_start / "quickstart.json")}
        else:
            steps = [json.loads(line) for line in (layout.arm(name) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
            seconds = sum(step.get("seconds/step", 0.0) for step in steps)
            cost = {"samples": int(max(step.get("samples", 0) for step in steps)), "seconds": round(seconds, 1)}
        summary[name] = values | cost
    write_json(layout.summary, summary)
    return summary
