"""From a trace to an alignment task: what its kind asks about it, or the reason why there is no task.

Nothing is asked (reason `trivial`) where no variable is left that must be worked out and the program computes nothing:
no operator, no branch, no call of a function that is not its own."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from coderlplus.alignment.answers import is_unicode
from coderlplus.alignment.kinds import DEFAULT, KINDS
from coderlplus.alignment.prompts import call_expression, write_prompt
from coderlplus.alignment.settings import AlignmentConfig
from coderlplus.alignment.variables import TracedRun, digest
from coderlplus.alignment.visible import Visible, shows_address
from coderlplus.records import AlignmentTask, CallInput, StdioInput, Trace, VerdictName


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a task comes from: the rollout, the step that mined it and what the judge said."""

    problem_id: str
    rollout_id: str
    step: int = 0
    verdict: VerdictName = "wrong_answer"


def make_task(
    trace: Trace,
    lineage: Lineage,
    *,
    settings: AlignmentConfig,
    kind: str = DEFAULT,
    seed: int = 0,
    setup_code: str = "",
    tree: ast.Module | None = None,
) -> AlignmentTask | str:
    """The task of a kind that a trace makes, or the reason why it makes none. `tree` is the syntax tree of the traced
    program, where it is known.

    Reasons: `exception`, `exit`, `time_limit`, `memory_limit`, `output_limit`, `syntax_error` (how the run ended),
    `no_exception` (it should have ended with one), `withheld` (the program reached for what could falsify its trace),
    `nondeterministic`, `no_output` (a stdin program that prints nothing, and has no variable to ask for),
    `output_unfit` (too long, or no plain data), `trivial`, `answer_in_prompt` and `address_in_prompt` (see `visible`),
    `not_unicode` (half of a surrogate pair in the prompt), `prompt_too_long`, and those of its kind (see `kinds`).

    The task is the same whenever the same program is traced on the same input with the same seed and settings;
    `task_id` is a hash of its question and answer.
    """
    asked = KINDS[kind]
    ending = trace.ending.kind
    finished = ending == "finished" or (ending == "exit" and isinstance(trace.input, StdioInput))
    if finished and not asked.finished:
        return "no_exception"
    if not finished and not (ending == "exception" and asked.crashed):
        return ending
    if trace.withheld is not None:
        return "withheld"
    if not trace.deterministic:
        return "nondeterministic"
    call = call_expression(trace.input) if isinstance(trace.input, CallInput) else ""
    shown = trace.program + (trace.input.stdin.rstrip() if isinstance(trace.input, StdioInput) else call)
    if len(shown) > settings.max_prompt_chars:
        return "prompt_too_long"
    question = asked.ask(
        TracedRun(
            trace=trace,
            visible=Visible(trace.program, trace.input, call, setup_code, tree),
            max_variables=settings.max_variables,
            max_value_chars=settings.max_value_chars,
            seed=seed,
            setup_code=setup_code,
        )
    )
    if isinstance(question, str):
        return question
    prompt = write_prompt(trace.program, trace.input, question, style=settings.prompt_style, setup_code=setup_code)
    if shows_address(prompt):
        return "address_in_prompt"
    if not is_unicode(prompt):
        return "not_unicode"
    if len(prompt) > settings.max_prompt_chars:
        return "prompt_too_long"
    return AlignmentTask(
        task_id=digest(kind, prompt, [target.to_json() for target in question.targets]),
        kind=kind,
        prompt=prompt,
        program=trace.program,
        input=trace.input,
        targets=question.targets,
        setup_code=setup_code,
        gives=question.gives,
        problem_id=lineage.problem_id,
        rollout_id=lineage.rollout_id,
        step=lineage.step,
        verdict=lineage.verdict,
    )
