"""Execution semantics alignment: from failed rollouts to questions about their execution whose right answers are
known.

`mine` makes tasks, `TaskBuffer` keeps them, `score_answer` scores what a model says (`reference_answer` is the right
answer); `coderlplus.loop` joins them to a training run."""

import warnings
from typing import Any

from coderlplus import moved
from coderlplus.alignment.answers import Answer, parse_answer, write_answer
from coderlplus.alignment.buffer import TaskBuffer
from coderlplus.alignment.mining import JudgedRollout, Mined, mine
from coderlplus.alignment.scoring import reference_answer, score_answer
from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.alignment.tasks import Lineage, make_task

__all__ = [
    "AlignmentConfig",
    "Answer",
    "JudgedRollout",
    "Lineage",
    "Mined",
    "TaskBuffer",
    "make_task",
    "mine",
    "parse_answer",
    "reference_answer",
    "score_answer",
    "write_answer",
]


def __getattr__(name: str) -> Any:
    """A class by the name that it had in 0.1.0."""
    new = moved.NAMES.get(name)
    if new is not None:
        warnings.warn(f"{name} is now {new}", DeprecationWarning, stacklevel=2)
        return globals()[new]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
