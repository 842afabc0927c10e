"""The second world: a statement leaves out one number, which only the value before the last operation tells."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from coderlplus.judge import Judge
from coderlplus.records import Rollout
from coderlplus.sandbox import Sandbox
from coderlplus_lab.study.claims import count_true
from coderlplus_lab.world import reading, world
from coderlplus_lab.world.examples import prediction_example, program_example
from coderlplus_lab.world.reading import READING
from coderlplus_lab.world.settings import WarmStartSettings
from coderlplus_lab.world.tokenizer import SPECIAL, make_tokenizer
from coderlplus_lab.world.warm_start import examples

SPLITS: tuple[world.Split, ...] = ("train", "validation", "test")
SIZES = READING.sizes


def drawn(split: world.Split = "train", count: int = 200) -> list[world.DrawnProblem]:
    rng = random.Random(f"drawn:{split}")
    return [world.draw_problem(rng, split, counts=SIZES, rules=READING) for _ in range(count)]


def told(size: int) -> list[int]:
    """The places of the values that comments tell in a program of `size` operations, the example's output aside."""
    return list(range(size - 2, -1, -READING.told_every))


@pytest.mark.parametrize("name", READING.operations)
def test_every_operation_is_python_that_says_what_run_computes(name: str) -> None:
    for number in READING.operations[name].numbers:
        namespace: dict[str, Any] = {}
        exec(world.program_text([(name, number)], rules=READING), namespace)
        assert world.run([(name, number)], [8, 3, 0, 5], rules=READING) == [namespace["f"]([8, 3, 0, 5])]


def test_a_statement_gives_every_number_but_the_last() -> None:
    for sample in drawn():
        first = sample.statement.split("\n")[0].removesuffix(".")
        *given, last = first.removeprefix("Write f(x): ").split(", then ")
        for said, (name, number) in zip(given, sample.steps, strict=False):
            operation = READING.operations[name]
            assert said == (operation.stated.format(k=number) if operation.stated else operation.phrases[0])
        assert last == READING.operations[sample.steps[-1][0]].phrases[0]
        assert not re.findall(r"\d+", last.replace("modulo 10", ""))


def test_the_missing_number_is_the_only_one_that_fits_the_examples() -> None:
    for sample in drawn():
        name, number = sample.steps[-1]
        assert name in READING.missing
        assert (
            [
                other
                for other in READING.operations[name].numbers
                if all(
                    world.run([*sample.steps[:-1], (name, other)], x, rules=READING)[-1] == y  # type: ignore[index]
                    for x, y in zip(sample.inputs[: READING.visible], sample.outputs, strict=False)
                )
            ]
            == [number]
        )


def test_the_missing_number_is_not_the_difference_between_output_and_input() -> None:
    """That is the number in few problems more than chance says (one in five)."""
    hits = [sample.steps[-1][1] == (sample.outputs[0][0] - sample.inputs[0][0]) % 10 for sample in drawn(count=600)]
    assert sum(hits) / len(hits) < 0.25


def test_comments_stand_before_the_missing_number_and_are_true() -> None:
    problems = [world.problem(sample, str(place), rules=READING) for place, sample in enumerate(drawn(count=40))]
    with Sandbox(workers=1) as sandbox:
        counts = count_true(sandbox, problems, [problem.reference for problem in problems])
    for problem, (made, true) in zip(problems, counts, strict=True):
        assert made == true
        assert made == len(told((problem.family or "").count(",") + 1))
        *_, before, goal, last, _ = (problem.reference or "").split("\n")
        assert "  # [" in before
        assert goal == f"    # {problem.tests[0].expected}"  # type: ignore[union-attr]
        assert "#" not in last


def test_references_pass_the_judge_and_another_last_number_fails() -> None:
    samples = [sample for split in SPLITS for sample in drawn(split, 15)]
    problems = [world.problem(sample, str(place), rules=READING) for place, sample in enumerate(samples)]

    def verdicts(programs: list[str]) -> list[bool]:
        rollouts = [
            Rollout(rollout_id="r", problem_id=problem.problem_id, program=program)
            for problem, program in zip(problems, programs, strict=True)
        ]
        with Sandbox(workers=1) as sandbox:
            judged = Judge(sandbox).judge_many(list(zip(problems, rollouts, strict=True)))
        return [verdict.passed for verdict in judged]

    assert all(verdicts([problem.reference or "" for problem in problems]))
    wrong = []
    for sample in samples:
        name, number = sample.steps[-1]
        other = next(one for one in READING.operations[name].numbers if one != number)
        wrong.append(world.program_text([*sample.steps[:-1], (name, other)], rules=READING))
    assert not any(verdicts(wrong))


def test_problems_are_of_their_split_and_splits_share_no_composition() -> None:
    compositions = {split: {sample.composition for sample in drawn(split)} for split in SPLITS}
    assert all(len(found) > 60 for found in compositions.values())
    assert not compositions["train"] & compositions["validation"]
    assert not compositions["train"] & compositions["test"]
    assert not compositions["validation"] & compositions["test"]
    for split in SPLITS:
        assert all(world.split_of(sample.steps) == split for sample in drawn(split, 50))


def test_mutation_changes_one_step_and_leaves_a_program_of_this_world() -> None:
    rng = random.Random(0)
    for _ in range(200):
        steps = world.draw_steps(rng, rng.choice(SIZES), "train", rules=READING)
        changed = world.mutate(rng, steps, "train", rules=READING)
        assert sum(one != other for one, other in zip(steps, changed, strict=True)) == 1
        assert changed[-1][0] in READING.missing


def test_statements_programs_and_tasks_are_made_of_whole_pieces() -> None:
    tokenizer = make_tokenizer(rules=READING)
    rng = random.Random(0)
    texts = [program_example(rng, counts=SIZES, plain=0.3, rules=READING) for _ in range(100)]
    texts += [prediction_example(rng, counts=(1, *SIZES), mutated=0.3, rules=READING) for _ in range(100)]
    for prompt, answer in texts:
        assert tokenizer.decode(tokenizer.encode(prompt)) == prompt
        assert tokenizer.decode(tokenizer.encode(answer)) == answer
        assert len(tokenizer.encode(prompt)) < 60
        assert len(tokenizer.encode(answer)) < 72
    letters = {token for token in tokenizer.get_vocab() if len(token) == 1 and token.isalpha()}
    used = {token for pair in texts for text in pair for token in tokenizer.tokenize(text)}
    assert used & letters <= {*READING.variables, "x", "f"}
    assert not used & set(SPECIAL)


def test_a_plain_share_of_the_programs_has_no_comments() -> None:
    settings = WarmStartSettings(steps=100, batch_size=32, plain=0.25)
    programs = [
        answer
        for step in range(40, 80)
        for prompt, answer in examples(settings, step, sizes=SIZES, rules=READING)
        if prompt.startswith("Write")
    ]
    assert sum("#" not in program for program in programs) / len(programs) == pytest.approx(0.25, abs=0.05)
    assert {program.count("#") for program in programs} == {0, *(len(told(size)) + 1 for size in SIZES)}


def test_the_module_shows_a_problem_of_this_world() -> None:
    """The example in the docstring is what its program computes."""
    text = (reading.__doc__ or "").replace("\n    ", "\n")
    program = text[text.index("def f(x)") : text.index("return d") + len("return d")]
    namespace: dict[str, Any] = {}
    exec(program, namespace)
    given, output = re.findall(r"f\((\[.*?\])\) == (\[.*?\])", text)[0]
    assert str(namespace["f"](eval(given))) == output
