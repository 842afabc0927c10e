"""From a trace to an alignment task: what is asked, and the reasons why nothing is.

Each kind is one function from a trace to a `Question` (see `questions`), or to the reason why there is none:

- `final_values`: the output (what a stdin program prints, what a call returns) and variables chosen as `variables`
  says. An output that stands in the prompt (see `visible`) is left out where there are variables.
- `output`: the output alone.
- `exception`: the class and line of the exception that ended the run, and variables that have to be worked out.
- `state_at`, `branch`: see `points`. `official`: see there.

Nothing is asked (reason `trivial`) where no variable is left that must be worked out and the program computes nothing:
no operator, no branch, no call of a function that is not its own."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

from coderlplus.alignment import official
from coderlplus.alignment.answers import is_unicode
from coderlplus.alignment.facts import computes
from coderlplus.alignment.intermediate_states import MAX_STEPS, ask_branches, ask_state, statement_line
from coderlplus.alignment.prompts import call_expression, write_prompt
from coderlplus.alignment.questions import EXCEPTION, LINE, Question, about_exception, about_output, about_values
from coderlplus.alignment.settings import AlignmentConfig, Kind
from coderlplus.alignment.variables import choose_variables, digest
from coderlplus.alignment.visible import Visible, is_fit, shows_address
from coderlplus.records import OUTPUT, AlignmentTask, CallInput, StdioInput, Target, Trace, VerdictName
from coderlplus.tracing import Semantics


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a task comes from: the rollout, the step that mined it and what the judge said."""

    problem_id: str
    rollout_id: str
    step: int = 0
    verdict: VerdictName = "wrong_answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a kind of task needs: runs that ended by themselves, by an exception, or both; how they are traced."""

    finished: bool = True
    crashed: bool = False
    semantics: Semantics = "final"
    max_steps: int = 0


NEEDS: dict[Kind, Needs] = {
    "final_values": Needs(),
    "output": Needs(),
    "official": Needs(semantics="official"),
    "exception": Needs(finished=False, crashed=True),
    "state_at": Needs(crashed=True, max_steps=MAX_STEPS),
    "branch": Needs(crashed=True, max_steps=MAX_STEPS),
}


def make_task(
    trace: Trace,
    lineage: Lineage,
    *,
    settings: AlignmentConfig,
    kind: Kind = "final_values",
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
    `not_unicode` (half of a surrogate pair in the prompt), `prompt_too_long`, and those of the kinds:
    `recursion_limit`, `no_line` (exception; also of a class whose name is none), `no_state`, `no_branch`,
    `too_many_steps` (see `points`), `official_call`, `official_unfit` (see `official`).

    The task is the same whenever the same program is traced on the same input with the same seed and settings;
    `task_id` is a hash of its question and answer.
    """
    needs = NEEDS[kind]
    ending = trace.ending.kind
    finished = ending == "finished" or (ending == "exit" and isinstance(trace.input, StdioInput))
    if finished and not needs.finished:
        return "no_exception"
    if not finished and not (ending == "exception" and needs.crashed):
        return ending
    if trace.withheld is not None:
        return "withheld"
    if not trace.deterministic:
        return "nondeterministic"
    call = call_expression(trace.input) if isinstance(trace.input, CallInput) else ""
    shown = trace.program + (trace.input.stdin.rstrip() if isinstance(trace.input, StdioInput) else call)
    if len(shown) > settings.max_prompt_chars:
        return "prompt_too_long"
    visible = Visible(trace.program, trace.input, call, setup_code, tree)
    if kind == "official":
        asked = official.ask(trace)
        if isinstance(asked, str):
            return asked
        if all(visible.stands(target.value) for target in asked):
            return "answer_in_prompt"
        assert isinstance(trace.input, StdioInput)
        targets, prompt = asked, official.write_prompt(trace.program, trace.input.stdin, asked)
    else:
        question = _ASK[kind](trace, visible, settings, seed)
        if isinstance(question, str):
            return question
        targets = question.targets
        prompt = write_prompt(trace.program, trace.input, question, style=settings.prompt_style, setup_code=setup_code)
    if shows_address(prompt):
        return "address_in_prompt"
    if not is_unicode(prompt):
        return "not_unicode"
    if len(prompt) > settings.max_prompt_chars:
        return "prompt_too_long"
    return AlignmentTask(
        task_id=digest(kind, prompt, [target.to_json() for target in targets]),
        kind=kind,
        prompt=prompt,
        program=trace.program,
        input=trace.input,
        targets=targets,
        setup_code=setup_code,
        problem_id=lineage.problem_id,
        rollout_id=lineage.rollout_id,
        step=lineage.step,
        verdict=lineage.verdict,
    )


def _final_values(trace: Trace, visible: Visible, settings: AlignmentConfig, seed: int) -> Question | str:
    output = _output(trace, settings)
    if output == "output_unfit":
        return output
    variables = choose_variables(trace, visible, settings, seed)
    if isinstance(output, str) and all(given for _, given in variables):
        return output
    if all(given for _, given in variables) and not computes(visible.tree):
        return "trivial"
    targets = [target for target, _ in variables]
    if isinstance(output, Target) and not visible.shows_result(output.value):
        targets.append(output)
    return about_values(targets, trace.input) if targets else "answer_in_prompt"


def _only_output(trace: Trace, visible: Visible, settings: AlignmentConfig, seed: int) -> Question | str:
    output = _output(trace, settings)
    if isinstance(output, str):
        return output
    if not computes(visible.tree):
        return "trivial"
    return "answer_in_prompt" if visible.shows_result(output.value) else about_output(output, trace.input)


def _output(trace: Trace, settings: AlignmentConfig) -> Target | str:
    """The output as a target, or why it is none."""
    value = trace.value if isinstance(trace.input, CallInput) else trace.output.rstrip()
    if isinstance(trace.input, StdioInput) and not value:
        return "no_output"
    return Target(label=OUTPUT, value=value) if is_fit(value, settings.max_value_chars) else "output_unfit"


def _exception(trace: Trace, visible: Visible, settings: AlignmentConfig, seed: int) -> Question | str:
    ending = trace.ending
    if ending.type == "RecursionError":
        return "recursion_limit"  # where it strikes depends on the interpreter, and so do the values
    line = None if ending.line is None else statement_line(visible.tree, ending.line)
    if line is None or ending.type is None or not all(part.isidentifier() for part in ending.type.split(".")):
        return "no_line"
    chosen = choose_variables(trace, visible, settings, seed, reserved={OUTPUT, EXCEPTION, LINE})
    variables = [target for target, given in chosen if not given]
    if not variables and not computes(visible.tree):
        return "trivial"
    return about_exception([*variables, Target(label=EXCEPTION, value=ending.type), Target(label=LINE, value=line)])


_ASK: dict[Kind, Callable[[Trace, Visible, AlignmentConfig, int], Question | str]] = {
    "final_values": _final_values,
    "output": _only_output,
    "exception": _exception,
    "state_at": ask_state,
    "branch": ask_branches,
}
