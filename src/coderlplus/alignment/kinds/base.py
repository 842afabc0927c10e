"""What a kind of task is: which runs it asks about, what it asks, and how answers are scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coderlplus.alignment.answers import Answer, parse_answer, score_values, write_answer
from coderlplus.alignment.questions import Question
from coderlplus.alignment.variables import TracedRun
from coderlplus.records import AlignmentTask, Problem, Rollout, Target
from coderlplus.tracing import Semantics


def read_answer(task: AlignmentTask, completion: str) -> Answer | None:
    """The answer in a completion, in the form that the prompts of this library ask for."""
    return parse_answer(completion, [target.label for target in task.targets])


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of task; `kinds.KINDS` lists them.

    `asks` says in a phrase what it asks for, as the documentation shows it. `ask` makes the question about a run, or
    returns why there is no question. `finished` and `crashed`: it asks about runs that ended by themselves, about
    those that an exception ended. `semantics` and `max_steps`: how runs are traced for it (`TraceRequest`).
    `as_sampled`: it is about the program as it was sampled, with its comments, on the first test of the problem;
    other kinds are about the program without comments on the test that failed.

    `answer` writes the right answer, `read` reads one from a completion (`None`: none of usable form), and
    `score(task, completion, format_weight)` gives the reward and which targets are right. `trial` is for kinds whose
    answers are judged by running them: the run that decides, or `None` where `score` can tell without one.
    """

    name: str
    asks: str
    ask: Callable[[TracedRun], Question | str]
    finished: bool = True
    crashed: bool = False
    semantics: Semantics = "final"
    max_steps: int = 0
    as_sampled: bool = False
    answer: Callable[[Sequence[Target]], str] = write_answer
    read: Callable[[AlignmentTask, str], Answer | None] = read_answer
    score: Callable[[AlignmentTask, str, float], tuple[float, dict[str, bool]]] = score_values
    trial: Callable[[AlignmentTask, str], tuple[Problem, Rollout] | None] = lambda task, completion: None

    def asks_about(self, *, crashed: bool) -> bool:
        """Whether it asks about runs that an exception ended, or about those that ended by themselves."""
        return self.crashed if crashed else self.finished

    @property
    def about(self) -> str:
        """Which runs it asks about."""
        if self.finished and self.crashed:
            return "end either way"
        return "end by themselves" if self.finished else "end by an exception"
