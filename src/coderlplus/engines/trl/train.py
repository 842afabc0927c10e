"""`train`: from a configuration to a finished run folder."""

from __future__ import annotations

import copy
import functools
import json
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coderlplus.engines.batches import ProblemStream
from coderlplus.engines.models import check_tokenizer, context_tokens, load_tokenizer, model_name, prompt_tokens
from coderlplus.engines.run_folder import RunFolder, fingerprint, spare_inputs, unwritable
from coderlplus.engines.steps import Steps
from coderlplus.engines.trl.arguments import (
    added_multiple,
    lora_config,
    own_rewards,
    setting_defaults,
    trainer_class,
    trl_arguments,
    trl_settings,
)
from coderlplus.engines.trl.config import RunConfig
from coderlplus.engines.trl.evaluation import BenchmarkEvaluation
from coderlplus.engines.trl.processes import connect, on_main_process, others_may_fail, workers_here
from coderlplus.engines.trl.versions import warn_of_versions
from coderlplus.engines.trl.vllm import be_quiet, room_for_prompt, vllm_may_fail
from coderlplus.errors import CodeRLPlusError, ConfigError, DataError, counted
from coderlplus.evaluation.generate import prompt_text
from coderlplus.judge import Judge
from coderlplus.loop import AlignmentLoop
from coderlplus.problems import read_problems
from coderlplus.problems.files import read_rows
from coderlplus.problems.prompts import conversation
from coderlplus.progress import Progress
from coderlplus.records import OwnRow, Problem, own_row
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.backends import tracing_sandbox
from coderlplus.terminal import note

if TYPE_CHECKING:
    from coderlplus.engines.trl.callbacks import Evaluate, StopOnSignal


def train(
    config: RunConfig,
    *,
    overwrite: bool = False,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
    eval_every: int = 0,
) -> RunFolder:
    """Train as `config` says and return the run folder, with the model and tokenizer in `final` (with `lora`, the
    adapter).

    A run that the folder holds continues exactly from its newest complete checkpoint; without one it
    starts anew, and a finished one is left as it is. With `overwrite` it is begun anew in any case. `evaluate` gets
    the model in evaluation mode and returns numbers, written as `eval/<name>` at step 0, every `eval_every`
    optimisation steps (0: never) and the last one. Every process of a run on several calls this.

    Raises `ConfigError` or `DataError` for bad input and for settings that cannot change within a run, `SandboxError`
    when the sandbox is broken, `CodeRLPlusError` when another process of the run is gone, and `KeyboardInterrupt`
    after Ctrl-C, once the checkpoint is saved.
    """
    run = RunFolder(config.output)
    spare_inputs(config, *([] if config.train_dataset is None else [config.train_dataset]))
    problems = [problem for path in config.problems for problem in read_problems(path)]
    if not problems:
        raise ConfigError(f"{', '.join(map(str, config.problems))} holds no problems")
    own: list[OwnRow] = []
    if config.train_dataset is not None:
        own = [row.read(functools.partial(own_row, row_id=row.place)) for row in read_rows(config.train_dataset)]
    _quiet()
    warn_of_versions()
    config = config.model_copy(update={"trl": trl_settings(config)})
    connect(config.trl)
    arguments = trl_arguments(config, run)
    here = config.sandbox.workers or workers_here()
    own_rewards(config)  # what cannot be imported is named before anything is loaded
    with (
        config.sandbox.open(here, config.sandbox.workers) as sandbox,
        tracing_sandbox(sandbox, here) as tracer,
        others_may_fail(arguments),
        ExitStack() as alone,
        Progress() as progress,
    ):
        on_main_process(lambda: alone.enter_context(run.alone()))
        if overwrite:
            on_main_process(run.clear)
        standing = on_main_process(lambda: _standing(run, config, arguments))
        if standing.is_done:
            return run
        evaluations = [] if evaluate is None else [(evaluate, eval_every)]
        rows: list[Problem | OwnRow] = [*problems, *own]
        trainer, stop = _build(config, arguments, rows, run, Judge(sandbox), tracer, evaluations, progress)
        on_main_process(
            lambda: run.begin(config.to_yaml(), sandbox.isolation, standing.checkpoint, standing.fingerprint)
        )
        _run(trainer, stop, standing.checkpoint)
        _save_final(trainer, run)
    return run


@dataclass(frozen=True, slots=True)
class _Standing:
    """How far a run is: whether it `is_done`, else the checkpoint to continue from."""

    fingerprint: Mapping[str, Any]
    is_done: bool = False
    checkpoint: Path | None = None


def _standing(run: RunFolder, config: RunConfig, arguments: Any) -> _Standing:
    """How far the run in the folder is, which is said on stderr. Raises `ConfigError` where it cannot be continued as
    `config` says."""
    made_of = fingerprint(config, *([] if config.train_dataset is None else [config.train_dataset]))
    changes = run.changes(config.to_yaml(), made_of, setting_defaults(config))
    checkpoint = run.latest_checkpoint()
    if checkpoint is not None and is_done(checkpoint, arguments):  # the trainer would take a step more
        run.finish_from(checkpoint)
    elif not (run.is_finished and run.final.exists() and not changes):
        if checkpoint is None and run.final.exists():
            raise ConfigError(
                f"{run.path} holds a finished run and no checkpoint to continue from; choose another output, or add "
                "--overwrite to begin it anew"
            )
        run.say_continued(checkpoint, changes)
        return _Standing(made_of, checkpoint=checkpoint)
    run.say_complete()
    return _Standing(made_of, is_done=True)


def _build(
    config: RunConfig,
    arguments: Any,
    problems: list[Problem | OwnRow],
    run: RunFolder,
    judge: Judge,
    tracer: AnySandbox,
    evaluations: list[tuple[Evaluate, int]],
    progress: Progress,
) -> tuple[Any, StopOnSignal]:
    """The trainer of a run, with what it reads, judges, measures and evaluates with, and what stops it."""
    import torch
    from accelerate.utils import gather_object

    from coderlplus.engines.trl.callbacks import MetricsCallback, ProgressCallback, StopOnSignal

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    model = model_name(config.model)
    tokenizer = load_tokenizer(model)
    counting = copy.deepcopy(tokenizer)  # for mining: one must not be used by two threads
    for_template = getattr(arguments, "chat_template_kwargs", None) or {}
    check_tokenizer(model, tokenizer, (config.messages(problem) for problem in problems[:100]), for_template)
    limit = _longest_prompt(config, context_tokens(model, tokenizer), arguments.max_completion_length)

    def fits(messages: list[dict[str, str]]) -> bool:
        return limit is None or prompt_tokens(counting, messages, **for_template) <= limit

    stop = StopOnSignal()
    record = MetricsCallback(run, evaluations, config.seed)
    if config.eval is not None:
        template, folder = config.prompt_template, run.path / "evals"
        benchmarks = BenchmarkEvaluation(
            config.eval, folder, copy.deepcopy(tokenizer), judge, prompt_template=template, seed=config.seed
        )
        evaluations.append((lambda model: benchmarks(model, record.trainer.state.global_step), config.eval.every))
    steps = Steps(
        ProblemStream(_fitting(problems, fits, config, limit), config.seed),
        AlignmentLoop(
            config.alignment,
            tracer,
            judge,
            config.seed,
            prompt_fits=lambda content: fits(conversation(content, config.system_prompt)),
        )
        if config.alignment
        else None,
        timeout_s=config.sandbox.timeout_s,
        run=run,
        samples_every=config.samples_every,
        prompt_text=lambda row: prompt_text(tokenizer, config.messages(row), **for_template),
        gather=lambda mined: list(gather_object([mined])),
    )
    trainer = _trainer(
        config,
        model=model,
        args=arguments,
        processing_class=tokenizer,
        callbacks=[ProgressCallback(progress), record, stop],
        steps=steps,
        judge=judge,
        prompt=config.messages,
    )
    record.trainer = trainer
    _check_enough(steps, arguments)
    _check_splitting(trainer, arguments, config)
    return trainer, stop


def _run(trainer: Any, stop: StopOnSignal, checkpoint: Path | None) -> None:
    """Train to the end. Raises `KeyboardInterrupt` if it was stopped before, once the checkpoint is saved."""
    with stop.listening(), vllm_may_fail(trainer.args):
        trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    if stop.stopped and trainer.state.global_step < trainer.state.max_steps:
        if trainer.accelerator.is_main_process:
            step, last = trainer.state.global_step, trainer.state.max_steps
            note(f"saved at step {step} of {last}; the same command continues")
        raise KeyboardInterrupt


def _trainer(config: RunConfig, **arguments: Any) -> Any:
    """The trainer. Raises `ConfigError` for a model or settings that transformers, peft or TRL refuse."""
    from safetensors import SafetensorError
    from transformers import PrinterCallback

    try:
        with vllm_may_fail(arguments["args"]):
            trainer = trainer_class(config)(
                peft_config=lora_config(config.lora),
                skip_zero_advantage=config.skip_zero_advantage,
                dynamic_sampling_rounds=config.dynamic_sampling_rounds,
                in_process_checks=config.sandbox.in_process_checks,
                reward_funcs=own_rewards(config),
                **arguments,
            )
    except CodeRLPlusError:
        raise
    except (ImportError, ValueError, OSError, NotImplementedError, SafetensorError) as error:
        place = error.filename if isinstance(error, OSError) else None
        if place and config.output.absolute().is_relative_to(Path(place).absolute()):
            raise unwritable(config.output, error) from error  # type: ignore[arg-type]
        raise ConfigError(
            f"the trainer refuses model {config.model!r} with these settings: {' '.join(str(error).split())}"
        ) from error
    trainer.remove_callback(PrinterCallback)
    return trainer


def _check_splitting(trainer: Any, arguments: Any, config: RunConfig) -> None:
    """Raises `ConfigError` if FSDP or DeepSpeed cannot do what is asked, or would be left out without a word."""
    for name in ("FSDP", "DeepSpeed"):
        if getattr(arguments, name.lower()) and not getattr(trainer, f"is_{name.lower()}_enabled"):
            raise ConfigError(f"{name} needs a GPU: accelerate ignores it on a CPU; leave trl.{name.lower()} out too")
    if config.eval is not None and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        raise ConfigError(
            "eval needs the whole model in one process, which FSDP and DeepSpeed split; evaluate checkpoints with "
            "coderlplus eval"
        )


def _check_enough(steps: Steps, arguments: Any) -> None:
    """Raises `ConfigError` where the problems do not fill a batch, before a step is announced. Warns of a batch that
    has no room for tasks."""
    groups = arguments.generation_batch_size // arguments.num_generations
    if len(steps.stream.problems) < groups:
        steps.stream.take(groups)
    settings = steps.loop.settings if steps.loop else None
    if settings and settings.weight is not None and groups % arguments.world_size:
        raise ConfigError(
            f"alignment.weight needs as many prompts on every process, and {groups} do not divide among "
            f"{arguments.world_size}; change trl.per_device_train_batch_size or trl.steps_per_generation"
        )
    if arguments.process_index == 0:
        steps.warn_without_room(groups)
        if steps.loop and settings and settings.weight is not None:
            added = steps.loop.added_tasks(groups, added_multiple(arguments, settings.objective))
            note(f"alignment.weight: {counted(groups, 'problem')} a batch, and {counted(added, 'task')} beside them")


def _save_final(trainer: Any, run: RunFolder) -> None:
    from safetensors import SafetensorError

    if trainer.is_fsdp_enabled:  # checkpoints may be in shards, and then nothing would be saved
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    try:
        trainer.save_model(str(run.unfinished))  # with the tokenizer
        trainer.accelerator.wait_for_everyone()
        if trainer.accelerator.is_main_process:
            run.finish()
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"cannot save the model to {run.final}: {' '.join(str(error).split())}; free space, then the "
            "same command continues"
        ) from error


def is_done(checkpoint: Path, arguments: Any) -> bool:
    """Whether a checkpoint is of the last step of the run that the arguments describe."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    if arguments.max_steps > 0:
        return bool(state["global_step"] >= arguments.max_steps)
    return bool(state["global_step"] >= state["max_steps"] and state["num_train_epochs"] >= arguments.num_train_epochs)


def _quiet() -> None:
    """Send no telemetry, and leave stderr to our own progress: no bars for a file of weights, no notes on what
    libraries will rename one day."""
    from huggingface_hub import constants
    from transformers.utils import logging

    constants.HF_HUB_DISABLE_TELEMETRY = True
    be_quiet()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(trl|transformers|vllm)\.")


def _longest_prompt(config: RunConfig, context: int | None, completion: int | None) -> int | None:
    """The longest prompt in tokens: `max_prompt_tokens`, and what vLLM and the model's context leave beside a
    completion. Raises `ConfigError` where they leave nothing."""
    limits = [config.max_prompt_tokens, room_for_prompt(config.trl)]
    if context is not None:
        limits.append(context - (completion or 0))
        if context <= (completion or 0):
            raise ConfigError(
                f"trl.max_completion_length {completion} leaves no room for a prompt in the {context} tokens of model "
                f"{config.model!r}; make it smaller"
            )
    return min((limit for limit in limits if limit is not None), default=None)


def _fitting(
    problems: list[Problem | OwnRow],
    fits: Callable[[list[dict[str, str]]], bool],
    config: RunConfig,
    limit: int | None,
) -> list[Problem | OwnRow]:
    kept = [problem for problem in problems if fits(config.messages(problem))]
    bound = "trl.vllm_max_model_length" if limit == room_for_prompt(config.trl) else "the context"
    what = f"the {limit} tokens that {bound} leaves beside a completion"
    if limit == config.max_prompt_tokens:
        what = f"max_prompt_tokens = {limit}"
    if not kept:
        prompts = "the prompt is" if len(problems) == 1 else f"all {len(problems)} prompts are"
        raise ConfigError(f"{prompts} longer than {what}")
    if len(kept) < len(problems):
        left_out = len(problems) - len(kept)
        note(f"{left_out} of {counted(len(problems), 'problem')} left out: prompts over {what}")
    return kept
