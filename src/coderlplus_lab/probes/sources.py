"""Files of problems or alignment tasks → cases."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coderlplus.alignment.mining import first_input
from coderlplus.alignment.prompts import call_expression, shown_program
from coderlplus.alignment.scoring import reference_answer
from coderlplus.alignment.visible import squeezed
from coderlplus.errors import DataError
from coderlplus.problems import read_problems
from coderlplus.problems.files import read_rows
from coderlplus.problems.prompts import known_template, user_message
from coderlplus.programs import extract_program, normalized
from coderlplus.records import AlignmentTask, CallInput, Problem, ProgramInput
from coderlplus_lab.probes.passages import Case


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedProblem:
    """A problem as models are asked it: the prompt shows the input that facts will be about."""

    problem: Problem
    prompt: str
    input: ProgramInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbedPrograms:
    """What the files hold: cases by context, problems for models to write programs for, and what was left out, by
    reason."""

    tasks: tuple[Case, ...]
    given: tuple[Case, ...]
    asked: tuple[AskedProblem, ...]
    left_out: dict[str, int]


def read_sources(paths: Sequence[Path], template: str | None = None) -> ProbedPrograms:
    """Read files of problems (any form that `read_problems` knows) and of alignment tasks, told apart by their first
    row.

    `template` makes the prompt of a problem, as `prompt_template` in training. Raises `DataError` for a file that
    cannot be used, and where there is nothing to probe in all of them; `ConfigError` for a template with fields that a
    problem does not have.
    """
    known_template(template)
    tasks: dict[str, Case] = {}
    asked: dict[str, AskedProblem] = {}
    left_out: Counter[str] = Counter()
    for path in paths:
        rows = read_rows(path)
        if "targets" in rows[0].data:
            found = [row.read(AlignmentTask.from_json) for row in rows]
            tasks |= {task.task_id: task_case(task) for task in found}
            continue
        for problem in read_problems(path):
            given = first_input(problem)
            if given is None:
                left_out["the input of the first test cannot be shown"] += 1
                continue
            asked[problem.problem_id] = AskedProblem(
                problem=problem, prompt=prompt_of(problem, given, template), input=given
            )
    given_cases = [case for one in asked.values() if (case := given_case(one)) is not None]
    left_out["problem without a reference program"] = len(asked) - len(given_cases)
    if not tasks and not asked:
        names = ", ".join(map(str, paths))
        raise DataError(
            f"nothing to probe in {names}: no problem has a first test whose input can be shown; add alignment tasks"
        )
    return ProbedPrograms(
        tasks=tuple(tasks.values()), given=tuple(given_cases), asked=tuple(asked.values()), left_out=dict(+left_out)
    )


def prompt_of(problem: Problem, given: ProgramInput, template: str | None) -> str:
    """The prompt of a problem, with the input added at its end unless it stands there already."""
    prompt = user_message(problem, template)
    if isinstance(given, CallInput):
        call = call_expression(given)
        return prompt if squeezed(call) in squeezed(prompt) else f"{prompt}\n\nIt will be run as {call}"
    shown = not given.stdin.strip() or squeezed(given.stdin) in squeezed(prompt)
    return prompt if shown else f"{prompt}\n\nIt will be run with this standard input:\n{given.stdin.rstrip()}"


def given_case(asked: AskedProblem) -> Case | None:
    """The problem with its reference, without comments and docstrings, as the answer; `None` where it has none."""
    if asked.problem.reference is None:
        return None
    program = shown_program(asked.problem.reference)
    return _case(asked, program, program, 0)


def own_case(asked: AskedProblem, completion: str) -> Case | str:
    """The problem with what a model wrote; where that holds no program, or one that is not word for word in it, the
    reason."""
    program = extract_program(completion, asked.problem.entry_point)
    if program is None:
        return "no program written"
    start = completion.find(program)
    if start < 0 or "\r" in program:  # a lone carriage return ends a line for Python only
        return "program not word for word in the completion"
    return _case(asked, program, completion, start)


def _case(asked: AskedProblem, program: str, completion: str, start: int) -> Case:
    problem = asked.problem
    return Case(
        case_id=problem.problem_id,
        unit=unit_of(program),
        prompt=asked.prompt,
        completion=completion,
        program=program,
        program_start=start,
        input=asked.input,
        setup_code=problem.setup_code,
        limits=problem.limits,
    )


def task_case(task: AlignmentTask) -> Case:
    """A task with its right answer."""
    return Case(
        case_id=task.task_id,
        unit=unit_of(task.program),
        prompt=task.prompt,
        completion=reference_answer(task),
        program=task.program,
        program_start=0,
        input=task.input,
        setup_code=task.setup_code,
        asked=tuple((target.label, target.value) for target in task.targets),
    )


def unit_of(program: str) -> str:
    """A short name that programs share if they differ in layout and comments only.

    >>> unit_of("x = (1)  # one") == unit_of("x=1")
    True
    """
    return hashlib.sha256(normalized(program).encode("utf-8", "surrogatepass")).hexdigest()[:16]
