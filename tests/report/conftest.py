"""Invented run folders in the form that the engine writes, made with the real records: programs are run here, so that
every traced value is true."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coderlplus.alignment.prompts import shown_program
from coderlplus.records import (
    AlignmentTask,
    CallInput,
    CallTest,
    Failure,
    Limits,
    Problem,
    Reward,
    StdioInput,
    Target,
    Trace,
    Verdict,
)
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import trace

from .browser import Browser, chromium

OPERATIONS = {
    "reverse it": "{v}[::-1]",
    "sort it": "sorted({v})",
    "add 2 to every digit, modulo 10": "[(i + 2) % 10 for i in {v}]",
    "replace every digit by 9 minus it": "[9 - i for i in {v}]",
    "cap every digit at 5": "[min(i, 5) for i in {v}]",
    "drop the first digit": "{v}[1:]",
    "append a 7": "{v} + [7]",
}


def execute(program: str, x: list[int]) -> dict[str, Any]:
    """The variables of a straight-line `f(x)` and its returned value (`"return"`), or `{"error": …}`. The programs are
    ours, so they run here."""
    body = "\n".join(line.strip() for line in program.splitlines()[1:])
    scope: dict[str, Any] = {"x": list(x)}
    try:
        exec(body.replace("return ", "returned = "), scope)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {name: scope[name] for name in ("a", "b", "c") if name in scope} | {"return": scope["returned"]}


def program_of(expressions: list[str], example: list[int] | None = None) -> str:
    """`f(x)` with one assignment a line; with an `example`, each line carries its value as a comment."""
    lines, scope = ["def f(x):"], {"x": example}
    for name, previous, expression in zip("abc", "xab", expressions, strict=False):
        line = f"    {name} = {expression.format(v=previous)}"
        if example is not None and previous in scope and "undefined" not in expression:
            scope[name] = eval(line.split("= ", 1)[1], dict(scope))
            line += f"  # {scope[name]}"
        lines.append(line)
    return "\n".join([*lines, f"    return {'abc'[len(expressions) - 1]}"])


def invent_problem(random_: random.Random, number: int) -> tuple[Problem, list[str]]:
    names = random_.sample(list(OPERATIONS), random_.choice((2, 2, 3)))
    expressions = [OPERATIONS[name] for name in names]
    program = program_of(expressions)
    tests: list[CallTest] = []
    for _ in range(8):
        x = [random_.randrange(10) for _ in range(4)]
        tests.append(CallTest((x,), execute(program, x)["return"]))
    statement = (
        f"Write a function f(x) of a list of digits. Take the list and {', then '.join(names)}. Return the result."
    )
    problem = Problem(
        problem_id=f"world-{number}",
        statement=statement,
        tests=tuple(tests),
        entry_point="f",
        source="world",
        reference=program,
    )
    return problem, expressions


def judge(problem: Problem, program: str | None, rollout_id: str) -> Verdict:
    """A verdict as the judge would give it on a call problem."""
    common: dict[str, Any] = {
        "rollout_id": rollout_id,
        "problem_id": problem.problem_id,
        "tests_total": len(problem.tests),
    }
    if program is None:
        failure = Failure(index=0, verdict="no_program", detail="no Python code found")
        return Verdict(verdict="no_program", tests_passed=0, first_failure=failure, **common)
    for index, test in enumerate(problem.tests):
        assert isinstance(test, CallTest)
        result = execute(program, test.args[0])
        given = CallInput("f", test.args)
        if "error" in result:
            failure = Failure(index=index, verdict="runtime_error", detail=result["error"], input=given)
            return Verdict(verdict="runtime_error", tests_passed=index, first_failure=failure, cpu_s=0.004, **common)
        if result["return"] != test.expected:
            detail = f"expected {test.expected}, got {result['return']}"
            failure = Failure(index=index, verdict="wrong_answer", detail=detail, input=given)
            return Verdict(verdict="wrong_answer", tests_passed=index, first_failure=failure, cpu_s=0.005, **common)
    return Verdict(
        verdict="passed", tests_passed=len(problem.tests), cpu_s=0.006, wall_s=0.006, peak_mb=11.0, **common
    )


def advantages(rewards: list[float]) -> list[float]:
    mean = sum(rewards) / len(rewards)
    spread = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / len(rewards))
    return [(reward - mean) / (spread + 1e-4) for reward in rewards]


def generation_group(
    random_: random.Random, step: int, group: int, skill: float
) -> tuple[dict[str, Any], list[tuple[Problem, str, Verdict]]]:
    """One group of rollouts on an invented problem, and its failed programs."""
    problem, right = invent_problem(random_, step * 100 + group)
    samples, failed = [], []
    for sample in range(8):
        rollout_id = f"{step}-{group}-{sample}"
        expressions = list(right)
        draw = random_.random()
        if draw > skill:
            expressions[random_.randrange(len(right))] = random_.choice([*OPERATIONS.values(), "undefined + {v}"])
        program: str | None = program_of(expressions, problem.tests[0].args[0])  # type: ignore[union-attr]
        completion = (
            f"Take it step by step.\n\n```python\n{program}\n```" if sample % 2 else f"```python\n{program}\n```"
        )
        if draw > 0.97:
            program, completion = None, "I am not sure what is asked for."
        verdict = judge(problem, program, rollout_id)
        if not verdict.passed and program is not None and verdict.verdict == "wrong_answer":
            failed.append((problem, program, verdict))
        samples.append(
            (
                rollout_id,
                completion,
                Reward(kind="generation", value=float(verdict.passed), program=program, verdict=verdict),
            )
        )
    prompt = f"{problem.statement}\nExamples:\n" + "\n".join(
        f"f({test.args[0]}) == {test.expected}" for test in problem.tests[:3]
    )  # type: ignore[union-attr]
    return group_line(step, group, prompt, samples, problem=problem), failed


def task_from(step: int, problem: Problem, program: str, verdict: Verdict) -> AlignmentTask:
    assert verdict.first_failure is not None
    given = verdict.first_failure.input
    assert isinstance(given, CallInput)
    values = execute(program, given.args[0])
    targets = [Target(label=name, value=value, scope="f") for name, value in values.items() if name != "return"]
    targets.append(Target(label="output", value=values["return"]))
    program = shown_program(program)
    prompt = (
        f"```python\n{program}\n```\nWhat does f({given.args[0]}) return, and what are the last values of its "
        "variables? Answer in JSON."
    )
    return AlignmentTask(
        task_id=f"task-{verdict.rollout_id}", kind="final_values", prompt=prompt, program=program, input=given,
        targets=tuple(targets), problem_id=problem.problem_id, rollout_id=verdict.rollout_id, step=step,
    )  # fmt: skip


def alignment_group(
    random_: random.Random, step: int, group: int, task: AlignmentTask, skill: float
) -> dict[str, Any]:
    samples = []
    for sample in range(8):
        answer, correct = {}, {}
        for target in task.targets:
            correct[target.label] = random_.random() < skill
            answer[target.label] = target.value if correct[target.label] else [*target.value, 0]
        completion = json.dumps(answer)
        value = 0.1 + 0.9 * sum(correct.values()) / len(correct)
        if random_.random() > 0.96:
            completion, correct, value = "The output is the list.", {}, 0.0
        samples.append((f"{step}-{group}-{sample}", completion, Reward(kind=task.kind, value=value, correct=correct)))
    return group_line(step, group, task.prompt, samples, task=task)


def group_line(
    step: int,
    group: int,
    prompt: str,
    samples: list[tuple[str, str, Reward]],
    problem: Problem | None = None,
    task: AlignmentTask | None = None,
) -> dict[str, Any]:
    scores = advantages([reward.value or 0.0 for _, _, reward in samples])
    return {
        "step": step, "group": group, "kind": task.kind if task else "generation",
        "problem": problem and problem.to_json(), "task": task and task.to_json(), "prompt": prompt,
        "samples": [
            {"rollout_id": rollout_id, "completion": completion, "reward": reward.to_json(), "advantage": advantage}
            for (rollout_id, completion, reward), advantage in zip(samples, scores, strict=True)
        ],
    }  # fmt: skip


def metrics_line(random_: random.Random, step: int, steps: int, alignment: bool) -> dict[str, Any]:
    progress = 1 - math.exp(-2.5 * step / steps)
    share = 0.4 * min(1.0, step / 5) if alignment else 0.0
    writing = 0.25 + (0.17 if alignment else 0.23) * progress
    reading = 0.84 - 0.02 * progress if alignment else 0.84 - 0.46 * progress
    line: dict[str, Any] = {
        "step": step, "samples": step * 240, "pass_rate": writing + random_.gauss(0, 0.035),
        "reward/generation": writing + random_.gauss(0, 0.03),
        "zero_variance/generation": 0.35 + 0.05 * random_.random(), "length/generation": 62 + random_.gauss(0, 1.5),
        "clipped/generation": 0.0,
        "loss": random_.gauss(0.01, 0.01), "grad_norm": 0.6 + 0.2 * random_.random(), "entropy": 0.5 - 0.3 * progress,
        "kl": 0.06 * progress, "learning_rate": 4e-4 * (1 - step / (steps + 1)), "mix/alignment_share": share,
        "seconds/generation": 1.1 + 0.1 * random_.random(), "seconds/judging": 0.22 + 0.05 * random_.random(),
        "seconds/update": 0.8 + 0.1 * random_.random(), "seconds/tracing": 0.15 if alignment else 0.0,
    }  # fmt: skip
    if alignment:
        line |= {
            "buffer/size": min(2000, 45 * step), "task_age": min(step, 3 + random_.random()),
            "mined": 45 - 10 * progress,
            "rejects/duplicate": 20 + 8 * progress, "rejects/passed": 240 * 0.6 * writing,
            "rejects/runtime_error": 14 * (1 - progress),
            "rejects/non_deterministic": float(step % 17 == 0), "rejects/trivial": 3.0 + random_.random(),
        }  # fmt: skip
        if step > 1:
            line |= {
                "reward/alignment": 0.8 + 0.02 * progress + random_.gauss(0, 0.03),
                "length/alignment": 38 + random_.random(),
            }
            line |= {"zero_variance/alignment": 0.5 + 0.1 * random_.random(), "clipped/alignment": 0.01}
    line["seconds/step"] = sum(value for name, value in line.items() if name.startswith("seconds/"))
    if step % 10 == 0:
        line |= {
            "eval/pass_at_1_sampled": writing - 0.01 + random_.gauss(0, 0.01),
            "eval/output_accuracy": reading + random_.gauss(0, 0.015),
        }
        line |= {"eval/all_variables_accuracy": reading - 0.1, "seconds/evaluation": 1.5}
    return line


def write_run(
    folder: Path,
    *,
    alignment: bool = True,
    steps: int = 60,
    planned: int | None = None,
    groups: int = 10,
    seed: int = 0,
) -> Path:
    """Write a run folder of `steps` steps out of `planned`; the run is finished when they agree."""
    random_ = random.Random(seed)
    folder.mkdir(parents=True)
    planned = planned or steps
    (folder / "config.yaml").write_text(
        f"model: warm_start\nseed: {seed}\nalignment: {alignment}\ntrl:\n  max_steps: {planned}\n"
    )
    (folder / "environment.json").write_text('{"python": "3.11.2", "isolation": ["seccomp", "landlock"]}')
    start = {
        "eval/pass_at_1_sampled": 0.25,
        "eval/output_accuracy": 0.84,
        "eval/all_variables_accuracy": 0.74,
        "seconds/evaluation": 1.5,
    }
    metrics: list[dict[str, Any]] = [{"step": 0} | start]
    lines, failed = [], []
    for step in range(1, steps + 1):
        metrics.append(metrics_line(random_, step, planned, alignment))
        if step % 10 and step != 1:
            continue
        skill = 0.2 + 0.3 * step / planned
        pool, failed = failed, []
        for group in range(groups):
            if alignment and pool and group >= 0.6 * groups:
                lines.append(alignment_group(random_, step, group, task_from(step, *random_.choice(pool)), 0.85))
            else:
                line, new = generation_group(random_, step, group, skill)
                lines.append(line)
                failed += new
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics))
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if steps == planned:
        (folder / "final").mkdir()
    return folder


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two finished runs; tests read it and write elsewhere."""
    folder = tmp_path_factory.mktemp("runs") / "two"
    write_run(folder / "grpo", alignment=False)
    write_run(folder / "coderlplus")
    return folder


@pytest.fixture
def run_folder(tmp_path: Path) -> Callable[..., Path]:
    """Make a run folder: `run_folder(alignment=…, steps=…, planned=…, groups=…, seed=…)`."""
    return lambda **settings: write_run(tmp_path / "run", **settings)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(workers=1) as sandbox:
        yield sandbox


@pytest.fixture
def traced(sandbox: Sandbox) -> Callable[..., Trace]:
    """Trace a program with its steps: `traced(program, input, max_steps=5000, cpu_s=5.0)`; a string is standard
    input."""

    def run(program: str, given: str | CallInput = "", max_steps: int = 5000, cpu_s: float = 5.0) -> Trace:
        stdin = StdioInput(given) if isinstance(given, str) else given
        return trace(sandbox, program, stdin, limits=Limits(cpu_s=cpu_s), max_steps=max_steps)

    return run


@pytest.fixture(scope="session")
def chromium_process() -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium here to open the page with")
    with Browser(executable) as browser:
        yield browser


@pytest.fixture
def browser(chromium_process: Browser) -> Iterator[Browser]:
    """A real browser, one for all tests; an error in a script of a page, or a load that its policy refused, fails the
    test."""
    chromium_process.size(1280, 800)
    yield chromium_process
    assert chromium_process.problems == []


@pytest.fixture
def browse(browser: Browser) -> Callable[..., str]:
    """Open a page: `browse(page, "#fragment")` returns its document after its scripts ran."""

    def open_page(page: Path, fragment: str = "") -> str:
        browser.open(page, fragment)
        return str(browser.run("document.documentElement.outerHTML"))

    return open_page
