"""Reinforcement learning of code models with execution semantics alignment (CodeRL+, arXiv 2510.18471).

    import coderlplus as crl

    problems = crl.load_problems("problems.jsonl")           # any public format, a file or a name on the hub
    with crl.open_sandbox() as sandbox:
        judge = crl.Judge(sandbox)
        verdicts = judge.judge_many(pairs)                   # (problem, rollout) → verdict
        trace = crl.trace(sandbox, program, crl.CallInput("f", ([3, 1],)))
        tasks = crl.mine(sandbox, judged).tasks              # failed programs → questions with known answers
        trainer = GRPOTrainer(model, args=args, **crl.trl_alignment(args, problems, sandbox))

The names of `__all__` are the public ones. Each is imported on first use; this module loads nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as `typing.TYPE_CHECKING`; the process of every program imports this module, and not typing
if TYPE_CHECKING:
    from coderlplus.alignment.mining import JudgedRollout, mine
    from coderlplus.alignment.scoring import reference_answer, score_answer
    from coderlplus.alignment.settings import AlignmentConfig
    from coderlplus.engines.reward_functions import alignment_reward, code_reward, to_dataset_row
    from coderlplus.engines.trl.alignment import trl_alignment
    from coderlplus.errors import CodeRLPlusError, ConfigError, DataError, NoTestsError, SandboxError
    from coderlplus.evaluation.evaluate import evaluate
    from coderlplus.evaluation.selection import select
    from coderlplus.judge.judge import Judge
    from coderlplus.loop import AlignmentLoop
    from coderlplus.preparation.sources import load_problems
    from coderlplus.programs import extract_program
    from coderlplus.records.jsonl import read_jsonl, write_jsonl
    from coderlplus.records.problem import (
        CallInput,
        CallTest,
        CheckerProgram,
        CheckTest,
        Limits,
        Problem,
        StdioInput,
        StdioTest,
    )
    from coderlplus.records.run import Failure, Rollout, Trace, Verdict
    from coderlplus.records.task import AlignmentTask, Reward, Target
    from coderlplus.sandbox.backends import open_sandbox
    from coderlplus.tracing.trace import trace
    from coderlplus.training import train

__version__ = "0.2.0"

__all__ = [
    "AlignmentConfig",
    "AlignmentLoop",
    "AlignmentTask",
    "CallInput",
    "CallTest",
    "CheckTest",
    "CheckerProgram",
    "CodeRLPlusError",
    "ConfigError",
    "DataError",
    "Failure",
    "Judge",
    "JudgedRollout",
    "Limits",
    "NoTestsError",
    "Problem",
    "Reward",
    "Rollout",
    "SandboxError",
    "StdioInput",
    "StdioTest",
    "Target",
    "Trace",
    "Verdict",
    "alignment_reward",
    "code_reward",
    "evaluate",
    "extract_program",
    "load_problems",
    "mine",
    "open_sandbox",
    "read_jsonl",
    "reference_answer",
    "score_answer",
    "select",
    "to_dataset_row",
    "trace",
    "train",
    "trl_alignment",
    "write_jsonl",
]

_MODULES = {
    "alignment.mining": ("JudgedRollout", "mine"),
    "alignment.scoring": ("reference_answer", "score_answer"),
    "alignment.settings": ("AlignmentConfig",),
    "engines.reward_functions": ("alignment_reward", "code_reward", "to_dataset_row"),
    "engines.trl.alignment": ("trl_alignment",),
    "errors": ("CodeRLPlusError", "ConfigError", "DataError", "NoTestsError", "SandboxError"),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.selection": ("select",),
    "judge.judge": ("Judge",),
    "loop": ("AlignmentLoop",),
    "preparation.sources": ("load_problems",),
    "programs": ("extract_program",),
    "records.jsonl": ("read_jsonl", "write_jsonl"),
    "records.problem": (
        *("CallInput", "CallTest", "CheckTest", "CheckerProgram", "Limits", "Problem", "StdioInput", "StdioTest"),
    ),
    "records.run": ("Failure", "Rollout", "Trace", "Verdict"),
    "records.task": ("AlignmentTask", "Reward", "Target"),
    "sandbox.backends": ("open_sandbox",),
    "tracing.trace": ("trace",),
    "training": ("train",),
}
"""Where the public names are defined."""


if not TYPE_CHECKING:  # so that a type checker knows these names alone

    def __getattr__(name: str) -> object:
        for module, names in _MODULES.items():
            if name in names:
                from importlib import import_module

                value = globals()[name] = getattr(import_module(f"coderlplus.{module}"), name)
                return value
        raise AttributeError(f"module 'coderlplus' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
