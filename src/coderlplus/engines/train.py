"""`train`: from a configuration to a finished run folder."""

from __future__ import annotations

import copy
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coderlplus.engines.arguments import lora_config, trainer_class, trl_arguments, trl_settings
from coderlplus.engines.batches import ProblemStream, Row
from coderlplus.engines.benchmarks import BenchmarkEvaluation
from coderlplus.engines.config import RunConfig
from coderlplus.engines.processes import connect, on_main_process, others_may_fail, workers_here
from coderlplus.engines.prompts import conversation, user_message
from coderlplus.engines.run_folder import RunFolder
from coderlplus.errors import CodeRLPlusError, ConfigError, DataError
from coderlplus.judge import Judge
from coderlplus.loop import AlignmentLoop
from coderlplus.problems import read_problems
from coderlplus.records import AlignmentTask, Problem
from coderlplus.sandbox import Sandbox


def train(
    config: RunConfig,
    *,
    resume: bool = False,
    evaluate: Callable[[Any], dict[str, float]] | None = None,
    eval_every: int = 0,
) -> RunFolder:
    """Train as `config` says and return the run folder, with the model and tokenizer in `final` (with `lora`, the adapter).

    `evaluate` gets the model in evaluation mode and returns numbers, written as `eval/<name>` at step 0, every `eval_every` optimisation steps
    (0: never) and the last one. With `resume`, a run that the folder holds continues exactly from its newest checkpoint that is whole; where there is
    none it starts anew, and a finished one is left as it is. Every process of a run on several calls this.

    Raises `ConfigError` or `DataError` for bad input, `SandboxError` when the sandbox is broken, `CodeRLPlusError` when another process of the run is
    gone, and `KeyboardInterrupt` after Ctrl-C, once the checkpoint is saved.
    """
    run = RunFolder(config.output)
    run.check(resume=resume)
    problems = [problem for path in config.problems for problem in read_problems(path)]
    if not problems:
        raise ConfigError(f"{', '.join(map(str, config.problems))} holds no problems")
    _quiet()
    model = model_name(config.model)
    tokenizer = load_tokenizer(model)

    import torch

    from coderlplus.engines.callbacks import Record, StopOnSignal, Watch

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    settings = trl_settings(config)
    connect(settings)
    arguments = trl_arguments(settings, config, run)

    counting = copy.deepcopy(tokenizer)  # mining counts tokens while the trainer uses its own; one must not be used by two threads

    def fits(content: str) -> bool:
        limit = config.max_prompt_tokens
        return limit is None or prompt_tokens(counting, conversation(content, config.system_prompt)) <= limit

    def prompt(row: Row) -> list[dict[str, str]]:
        return conversation(row.prompt if isinstance(row, AlignmentTask) else user_message(row, config.prompt_template), config.system_prompt)

    stop, evaluations = StopOnSignal(), [] if evaluate is None else [(evaluate, eval_every)]
    record = Record(run, evaluations, config.seed)
    with Sandbox(workers=config.sandbox.workers or workers_here()) as sandbox, others_may_fail(arguments):
        judge = Judge(sandbox)
        if config.eval is not None:
            template, folder = config.prompt_template, run.path / "evals"
            benchmarks = BenchmarkEvaluation(config.eval, folder, copy.deepcopy(tokenizer), judge, prompt_template=template, seed=config.seed)
            evaluations.append((lambda model: benchmarks(model, record.trainer.state.global_step), config.eval.every))
        trainer = _trainer(
            config,
            model=model,
            args=arguments,
            processing_class=tokenizer,
            callbacks=[Watch(), record, stop],
            stream=ProblemStream(_fitting(problems, fits, config), config.seed),
            loop=AlignmentLoop(config.alignment, sandbox, judge, config.seed, prompt_fits=fits) if config.alignment else None,
            judge=judge,
            prompt=prompt,
            run=run,
        )
        record.trainer = trainer
        _check_splitting(trainer, arguments, config)
        checkpoint = on_main_process(lambda: _begin(run, config.model_copy(update={"trl": settings}), sandbox, resume=resume))
        if checkpoint is not None and is_done(checkpoint, arguments):  # the trainer would take a step more
            if trainer.accelerator.is_main_process:
                run.finish_from(checkpoint)
            return run
        with stop.listening():
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        if stop.stopped and trainer.state.global_step < trainer.state.max_steps:
            if trainer.accelerator.is_main_process:
                print(f"saved at step {trainer.state.global_step} of {trainer.state.max_steps}; continue with --resume", file=sys.stderr)
            raise KeyboardInterrupt
        _save_final(trainer, run)
    return run


def _trainer(config: RunConfig, **arguments: Any) -> Any:
    """The trainer. Raises `ConfigError` for a model or settings that transformers, peft or TRL refuse."""
    from safetensors import SafetensorError
    from transformers import PrinterCallback

    try:
        trainer = trainer_class(config)(
            peft_config=lora_config(config),
            samples_every=config.samples_every,
            skip_zero_advantage=config.skip_zero_advantage,
            dynamic_sampling_rounds=config.dynamic_sampling_rounds,
            max_wait_s=config.sandbox.max_wait_s,
            in_process_checks=config.sandbox.in_process_checks,
            **arguments,
        )
    except CodeRLPlusError:
        raise
    except (ImportError, ValueError, OSError, NotImplementedError, SafetensorError) as error:
        if isinstance(error, OSError) and error.filename and config.output.absolute().is_relative_to(Path(error.filename).absolute()):
            raise ConfigError(f"cannot write the run folder {config.output}: {error.strerror}; choose another output") from error
        raise ConfigError(f"the trainer refuses model {config.model!r} with these settings: {' '.join(str(error).split())}") from error
    trainer.remove_callback(PrinterCallback)
    return trainer


def _check_splitting(trainer: Any, arguments: Any, config: RunConfig) -> None:
    """Raises `ConfigError` where FSDP or DeepSpeed cannot do what is asked, or would be left out without a word."""
    for name in ("FSDP", "DeepSpeed"):
        if getattr(arguments, name.lower()) and not getattr(trainer, f"is_{name.lower()}_enabled"):
            raise ConfigError(f"{name} is for GPUs: accelerate leaves it out on a CPU; leave trl.{name.lower()} out too")
    if config.eval is not None and (trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled):
        raise ConfigError("eval needs the whole model in one process, which FSDP and DeepSpeed split; evaluate checkpoints with coderlplus eval")


def _begin(run: RunFolder, config: RunConfig, sandbox: Sandbox, *, resume: bool) -> Path | None:
    """Make the run folder ready; the checkpoint to go on from."""
    checkpoint = run.latest_checkpoint() if resume else None
    for change in run.begin(config.to_yaml(), sandbox.isolation, checkpoint):
        print(f"resuming with another setting: {change}", file=sys.stderr)
    return checkpoint


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
        raise DataError(f"cannot save the model to {run.final}: {' '.join(str(error).split())}; make room and continue with --resume") from error


def model_name(model: str) -> str:
    """A local folder, or a name to ask the hub for. Raises `ConfigError` for what looks like a path and is no folder."""
    path = Path(model).expanduser()
    if path.is_dir():
        return str(path)
    if path.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ConfigError(f"model {model!r} is not a folder; give the folder of a model, or its name on the Hugging Face hub")
    return model


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a local folder or hub model. Raises `ConfigError` when there is no such model, or its tokenizer has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        reason = "has no tokenizer that transformers can read" if Path(model).is_dir() else "is no folder here, and the Hugging Face hub gave none"
        raise ConfigError(f"model {model!r} {reason}; check the name and the connection") from error
    if tokenizer.chat_template is None:
        raise ConfigError(f"the tokenizer of {model!r} has no chat template; use an instruct model, or save one with tokenizer.chat_template set")
    return tokenizer


def prompt_tokens(tokenizer: Any, messages: list[dict[str, str]]) -> int:
    """The length of a prompt as the model reads it."""
    return len(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"])


def is_done(checkpoint: Path, arguments: Any) -> bool:
    """Whether a checkpoint is of the last step of the run that the arguments describe."""
    state = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    if arguments.max_steps > 0:
        return bool(state["global_step"] >= arguments.max_steps)
    return bool(state["global_step"] >= state["max_steps"] and state["num_train_epochs"] >= arguments.num_train_epochs)


def _quiet() -> None:
    """Send no telemetry, and leave stderr to our own progress: no bars for a file of weights, no notes on what libraries will rename one day."""
    from huggingface_hub import constants
    from transformers.utils import logging

    constants.HF_HUB_DISABLE_TELEMETRY = True
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(trl|transformers)\.")


def _fitting(problems: list[Problem], fits: Callable[[str], bool], config: RunConfig) -> list[Problem]:
    kept = [problem for problem in problems if fits(user_message(problem, config.prompt_template))]
    if not kept:
        raise ConfigError(f"all {len(problems)} prompts are longer than max_prompt_tokens = {config.max_prompt_tokens}")
    if len(kept) < len(problems):
        print(f"{len(problems) - len(kept)} of {len(problems)} problems left out: prompts over {config.max_prompt_tokens} tokens", file=sys.stderr)
    return kept
