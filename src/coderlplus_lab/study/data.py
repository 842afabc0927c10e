"""What a study is about: problems of three splits, and held-out questions about executions, made once and the same for
every model.

A held-out problem with a reference makes two questions on its last input, which the statement does not show: an
alignment task on the reference (what do output and variables hold?), and a question that shows the statement and no
program (what does a right program give?).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence

from coderlplus.alignment import AlignmentConfig
from coderlplus.alignment.kinds import DEFAULT, KINDS
from coderlplus.alignment.kinds.output import about_output
from coderlplus.alignment.prompts import call_expression, shown_program, write_prompt
from coderlplus.alignment.questions import output_words
from coderlplus.alignment.scoring import reference_answer
from coderlplus.alignment.settings import PromptStyle
from coderlplus.alignment.tasks import Lineage, make_task
from coderlplus.errors import DataError
from coderlplus.judge.asserts import read_asserts
from coderlplus.problems import read_problems
from coderlplus.problems.prompts import user_message
from coderlplus.records import (
    OUTPUT,
    AlignmentTask,
    CallInput,
    CallTest,
    CheckTest,
    Problem,
    ProgramInput,
    StdioInput,
    StdioTest,
    TaggedValue,
    Target,
    write_jsonl,
)
from coderlplus.records.files import atomic_write
from coderlplus.sandbox import AnySandbox
from coderlplus.tracing import TraceRequest, trace_many
from coderlplus_lab.files import write_json
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.settings import TEST_OUTPUT, Study
from coderlplus_lab.world import world

HELD_OUT = ("validation", "test")
CHUNK = 500

_FULL = """\
{statement}

Do not write the program. Work out what a right program gives on one input.

{run}

You may reason first. End with the answer on one line: a JSON object with the key `output`, \
for example {{"output": 7}}. It is {what}."""


def make_problems(study: Study, layout: StudyFolder) -> None:
    """Write problems and questions of all splits. Raises `DataError` if a file of problems cannot be used."""
    skipped: dict[str, dict[str, int]] = {}
    with study.sandbox.open_for_tracing(1) as sandbox:
        for split in ("train", *HELD_OUT):
            problems = problems_of(study, split)
            write_jsonl(layout.problems(split), problems)
            if study.world is not None and (count := getattr(study.world, f"{split}_tasks", None)) is not None:
                write_jsonl(layout.tasks(split), drawn_tasks(sandbox, study, split, count))
                write_jsonl(layout.test_outputs(split), [])
            elif split in HELD_OUT:
                tasks, rejects = held_out_tasks(sandbox, problems, study.prompt_style)
                questions = [one for problem in problems if (one := _output_question(study, problem)) is not None]
                if not tasks or not questions:
                    raise DataError(
                        f"no question about an execution can be made from the {split} problems ({dict(rejects)}); "
                        "the problems need references"
                    )
                write_jsonl(layout.tasks(split), tasks)
                write_jsonl(layout.test_outputs(split), questions)
                skipped[split] = dict(rejects)
        _write_taught(study, layout, sandbox)
    write_json(layout.root / "problems" / "complete.json", {"skipped": skipped})


def problems_of(study: Study, split: str) -> list[Problem]:
    """The problems of a split."""
    if study.problems is not None:
        return list(read_problems(getattr(study.problems, split)))
    assert study.world is not None
    count = getattr(study.world, f"{split}_problems")
    rules, counts = study.world.rules, study.world.operations
    return world.draw_problems(split, count, study.world.seed, counts=counts, rules=rules)  # type: ignore[arg-type]


def held_out_tasks(
    sandbox: AnySandbox, problems: Sequence[Problem], style: PromptStyle
) -> tuple[list[AlignmentTask], Counter[str]]:
    """One alignment task a problem, on its reference and last input; and why the others have none."""
    settings = AlignmentConfig(prompt_style=style)
    rejects: Counter[str] = Counter()
    tasks, chosen = [], []
    for problem in problems:
        last = last_test(problem)
        if problem.reference is None or last is None:
            rejects["no_reference" if problem.reference is None else "no_input"] += 1
        else:
            chosen.append((problem, problem.reference, last[0]))
    requests = [
        TraceRequest(
            program=shown_program(reference), input=given, setup_code=problem.setup_code, limits=problem.limits
        )
        for problem, reference, given in chosen
    ]
    for (problem, _, _), trace in zip(chosen, trace_many(sandbox, requests), strict=True):
        lineage = Lineage(problem_id=problem.problem_id, rollout_id="reference", verdict="passed")
        task = make_task(trace, lineage, settings=settings, setup_code=problem.setup_code)
        if isinstance(task, AlignmentTask):
            tasks.append(task)
        else:
            rejects[task] += 1
    return tasks, rejects


def drawn_tasks(sandbox: AnySandbox, study: Study, split: str, count: int) -> list[AlignmentTask]:
    """`count` alignment tasks on programs of the small world that are drawn for them, on inputs that no problem
    shows; their problem is the composition."""
    assert study.world is not None
    seed, operations, rules = study.world.seed, study.world.operations, study.world.rules
    settings = AlignmentConfig(prompt_style=study.prompt_style)
    rng = random.Random(f"tasks:{split}:{seed}")
    tasks: list[AlignmentTask] = []
    while len(tasks) < count:
        samples = [
            world.draw_problem(rng, split, counts=operations, rules=rules)  # type: ignore[arg-type]
            for _ in range(count - len(tasks))
        ]
        programs = [world.program_text(one.steps, rules=rules) for one in samples]
        requests = [
            _world_request(program, one.inputs[-1], DEFAULT) for program, one in zip(programs, samples, strict=True)
        ]
        made = [
            make_task(trace, Lineage(problem_id=one.composition, rollout_id="world"), settings=settings, seed=seed)
            for one, trace in zip(samples, trace_many(sandbox, requests), strict=True)
        ]
        tasks += [task for task in made if isinstance(task, AlignmentTask)]
    return tasks


def _world_request(program: str, x: world.Digits, kind: str) -> TraceRequest:
    """How a program of the small world is traced for a kind of question."""
    needs = KINDS[kind]
    return TraceRequest(
        program=program,
        input=world.call(x),
        limits=world.LIMITS,
        semantics=needs.semantics,
        max_steps=needs.max_steps,
    )


def _output_question(study: Study, problem: Problem) -> AlignmentTask | None:
    return output_question(problem, study.prompt_style, study.train.get("prompt_template"))


def output_question(problem: Problem, style: PromptStyle, template: str | None = None) -> AlignmentTask | None:
    """What does a right program give on the last input? `None` where the tests of a problem are code."""
    last = last_test(problem)
    if last is None:
        return None
    given, value = last
    target = Target(label=OUTPUT, value=value)
    if style == "compact":
        prompt = write_prompt(user_message(problem, template), given, about_output(target, given), style=style)
    else:
        if isinstance(given, CallInput):
            run = f"The call:\n\n```python\n{call_expression(given)}\n```"
        else:
            run = f"The standard input:\n\n```text\n{given.stdin.rstrip()}\n```"
        prompt = _FULL.format(statement=problem.statement.strip(), run=run, what=output_words(given))
    return AlignmentTask(
        task_id=f"{problem.problem_id}-{TEST_OUTPUT}",
        kind=TEST_OUTPUT,
        prompt=prompt,
        program="",
        input=given,
        targets=(target,),
        problem_id=problem.problem_id,
        rollout_id="statement",
        verdict="passed",
    )


def last_test(problem: Problem) -> tuple[ProgramInput, TaggedValue] | None:
    """The input of the last test that has one, and what a right program gives on it."""
    for test in reversed(problem.tests):
        match test:
            case CallTest(args=args, kwargs=kwargs, expected=expected) if problem.entry_point is not None:
                return CallInput(problem.entry_point, args, kwargs), expected
            case CheckTest(code=code) if problem.entry_point is not None:
                plan = read_asserts(code, problem.entry_point)
                if plan is None:
                    continue
                for one in reversed(plan.conditions):
                    match one.test:
                        case ["eq", ["answer", int(place)], ["const", expected]] | [
                            "eq", ["const", expected], ["answer", int(place)]
                        ]:  # fmt: skip
                            call = plan.calls[place]
                            return CallInput(problem.entry_point, call.args, call.kwargs), expected
            case StdioTest(stdin=stdin, stdout=stdout):
                return StdioInput(stdin), stdout.rstrip()
    return None


def _write_taught(study: Study, layout: StudyFolder, sandbox: AnySandbox) -> None:
    """The questions that warm starts learn besides the final values, on programs of training compositions."""
    if study.world is None:
        return
    lines, count = [], study.world.taught_questions
    for kind in study.questions:
        rng = random.Random(f"taught:{kind}:{study.world.seed}")
        made = _statements(rng, study, count) if kind == TEST_OUTPUT else _traced(sandbox, rng, study, kind, count)
        lines += [
            json.dumps({"kind": kind, "prompt": task.prompt, "answer": reference_answer(task)}) + "\n" for task in made
        ]
    atomic_write(layout.taught_questions, "".join(lines))


def _statements(rng: random.Random, study: Study, count: int) -> Iterator[AlignmentTask]:
    assert study.world is not None
    for number in range(count):
        rules, counts = study.world.rules, study.world.operations
        sample = world.draw_problem(rng, "train", counts=counts, rules=rules)
        problem = world.problem(sample, f"taught-{number}", rules=rules)
        question = _output_question(study, problem)
        assert question is not None
        yield question


def _traced(sandbox: AnySandbox, rng: random.Random, study: Study, kind: str, count: int) -> list[AlignmentTask]:
    """Questions of a kind on programs of training compositions, traced as those from failures are."""
    assert study.world is not None
    operations, rules = study.world.operations, study.world.rules
    settings = AlignmentConfig(prompt_style=study.prompt_style, kinds=kind)
    made: list[AlignmentTask] = []
    while len(made) < count:
        programs = [
            world.program_text(world.draw_steps(rng, rng.choice(operations), "train", rules=rules), rules=rules)
            for _ in range(min(CHUNK, count))
        ]
        requests = [_world_request(program, world.draw_input(rng, rules=rules), kind) for program in programs]
        lineage = Lineage(problem_id="taught", rollout_id="taught")
        tasks = [
            make_task(trace, lineage, settings=settings, kind=kind, seed=rng.getrandbits(32))
            for trace in trace_many(sandbox, requests)
        ]
        made += [task for task in tasks if isinstance(task, AlignmentTask)]
    return made[:count]
