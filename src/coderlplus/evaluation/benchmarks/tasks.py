"""A file of alignment tasks as a benchmark: the share of answers in which every value is right.

Scoring is that of the reward (`alignment.scoring`). The program that stands for an answer returns, for each value that
is asked for, `right`, or what was said and what is true; nothing of the answer is run, except where the kind of the
task says so (`input`): there it is the program of the task, judged on the input of the answer.
"""

from __future__ import annotations

from pathlib import Path

from coderlplus.alignment.scoring import read_answer, score_answer, trial
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.benchmarks.expressions import ENTRY_POINT
from coderlplus.records import AlignmentTask, CallTest, Problem, ProgramInput
from coderlplus.sandbox.values import to_source

RIGHT = "right"
SHOWN = 200
"""Characters of one value."""


def question_of(task: AlignmentTask) -> BenchmarkQuestion:
    """The question of a task."""
    return BenchmarkQuestion(
        question_id=task.task_id,
        messages=user(task.prompt),
        problem=Problem(
            problem_id=task.task_id,
            statement=task.prompt,
            entry_point=ENTRY_POINT,
            tests=(CallTest((), {"$dict": [[target.label, RIGHT] for target in task.targets]}),),
            source="alignment tasks",
            setup_code=task.setup_code,
        ),
        keys={"task": task},
        cases=len(task.targets),
        layout=task.kind,
        family=task.problem_id,
    )


def answer(question: BenchmarkQuestion, completion: str) -> str | None:
    """The completion, where it holds an answer of a usable form."""
    task: AlignmentTask = question.keys["task"]
    return None if read_answer(task, completion) is None else completion


def program(question: BenchmarkQuestion, answer: str) -> str | None:
    """What returns, for each label, whether it is right; of an answer that is run, the program of the task."""
    task: AlignmentTask = question.keys["task"]
    run = trial(task, answer)
    if run is not None:
        return task.program
    parsed, (_, correct) = read_answer(task, answer), score_answer(task, answer)
    if parsed is None:
        return None
    said = {
        target.label: RIGHT
        if correct.get(target.label)
        else f"{_text(parsed.values[target.label]) if target.label in parsed.values else 'not given'}, "
        f"not {_text(target.value)}"
        for target in task.targets
    }
    return f"def {ENTRY_POINT}():\n    return {said!r}"


def problem(question: BenchmarkQuestion, answer: str | None) -> Problem:
    """What judges an answer."""
    run = None if answer is None else trial(question.keys["task"], answer)
    return question.problem if run is None else run[0]


def _text(value: object) -> str:
    text = to_source(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def traced(question: BenchmarkQuestion, program: str, given: ProgramInput | None) -> tuple[str, ProgramInput]:
    """The run that was asked about."""
    task: AlignmentTask = question.keys["task"]
    return task.program, task.input


def benchmark_of(path: Path) -> Benchmark:
    """The benchmark that a file of tasks is, named as the file."""
    return Benchmark(
        name=path.name.partition(".")[0],
        metric="accuracy",
        read=lambda row: question_of(AlignmentTask.from_json(row)),
        files=(str(path),),
        answer=answer,
        program=program,
        problem=problem,
        traced=traced,
    )
