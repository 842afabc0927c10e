"""Held-out problems and the questions about executions made of them."""

from __future__ import annotations

import json

from coderlplus.alignment.answers import write_answer
from coderlplus.alignment.scoring import score_answer
from coderlplus.records import AlignmentTask, CallInput, CallTest, CheckTest, Problem, StdioTest, read_jsonl
from coderlplus_lab.study.data import last_test, output_question
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.settings import Study
from coderlplus_lab.world import world
from coderlplus_lab.world.first import FIRST

STDIO = Problem(problem_id="p", statement="Add the numbers.", tests=(StdioTest("1 2\n", "3\n"),))


def test_a_question_for_a_test_output_shows_the_statement_and_no_program() -> None:
    for problem in world.draw_problems("test", 10, 0):
        question = output_question(problem, "compact", "{statement}")
        assert question is not None
        assert question.prompt.startswith(problem.statement)
        assert "def " not in question.prompt
        assert score_answer(question, write_answer(question.targets))[0] == 1.0


def test_its_input_is_not_among_the_examples_of_the_statement() -> None:
    for problem in world.draw_problems("test", 40, 0):
        question = output_question(problem, "compact", "{statement}")
        assert question is not None
        assert isinstance(question.input, CallInput)
        examples = [test.args for test in problem.tests[: FIRST.visible] if isinstance(test, CallTest)]
        assert question.input.args not in examples or examples.count(question.input.args) == 0


def test_it_is_asked_in_words_of_models_that_read() -> None:
    question = output_question(STDIO, "full")
    assert question is not None
    assert "Add the numbers." in question.prompt
    assert "1 2" in question.prompt
    assert score_answer(question, 'The sum is 3.\n{"output": "3"}')[0] == 1.0


def test_an_assert_that_compares_a_call_with_a_literal_makes_a_question() -> None:
    tests = (CheckTest("assert f(1) == 2"), CheckTest("assert f((3,), by='x') == (4, {5})"))
    problem = Problem(problem_id="p", statement="", tests=tests, entry_point="f")
    assert last_test(problem) == (
        CallInput("f", ({"$tuple": [3]},), {"by": "x"}),
        {"$tuple": [4, {"$set": [5]}]},
    )


def test_other_tests_that_are_code_make_no_question() -> None:
    tests = (CheckTest("assert sorted(f(1)) == [2]"), CheckTest("assert not f(1)"))
    problem = Problem(problem_id="p", statement="", tests=tests, entry_point="f")
    assert last_test(problem) is None
    assert output_question(problem, "full") is None


def test_splits_have_their_problems_and_questions(study: Study, done: StudyFolder) -> None:
    assert len(list(read_jsonl(done.problems("train"), Problem))) == 12
    for split, count in (("validation", 3), ("test", 6)):
        problems = [problem.problem_id for problem in read_jsonl(done.problems(split), Problem)]
        assert len(problems) == count
        assert [task.problem_id for task in read_jsonl(done.test_outputs(split), AlignmentTask)] == problems
        assert {task.problem_id for task in read_jsonl(done.tasks(split), AlignmentTask)} <= set(problems)
    assert "skipped" in json.loads((done.root / "problems" / "complete.json").read_text())


def test_the_problems_are_those_of_the_quick_start(done: StudyFolder) -> None:
    assert list(read_jsonl(done.problems("test"), Problem)) == world.draw_problems("test", 6, 0)
