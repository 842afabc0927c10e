"""Programs in, marked places and facts of the run out: every value is that of the tracer."""

from __future__ import annotations

from typing import Any

from coderlplus.records import AlignmentTask, CallInput, StdioInput, Target
from coderlplus.sandbox import Sandbox
from coderlplus.tracing import trace
from coderlplus_lab.probes.marks import MAX_STEPS, passage, unfit
from coderlplus_lab.probes.passages import LAST
from coderlplus_lab.probes.sources import task_case

from .conftest import Read, seen


def statements(found: Any) -> dict[str, dict[str, str]]:
    return {text: facts for kind, text, facts in seen(found) if kind == "statement"}


def test_a_statement_ends_with_the_value_that_it_set(read: Read) -> None:
    found = statements(read("def f(x):\n    a = x[1:]\n    n = len(a)\n    return n"))
    assert found["a = x[1:]"] == {"length": "2", "first": "1", "first_parity": "odd", "kind": "assignment"}
    assert found["n = len(a)"] == {"value": "2", "parity": "even", "sign": "positive", "kind": "assignment"}
    assert found["return n"]["value"] == "2"


def test_a_name_that_is_read_has_the_value_from_before(read: Read) -> None:
    program = "def f(x):\n    a = 5\n    a = a + len(x)\n    return a"
    mentions = [(text, facts) for kind, text, facts in seen(read(program)) if kind == "mention"]
    assert ("a = a", {"value": "5", "parity": "odd", "sign": "positive", "name": "a"}) in mentions
    assert [text for text, _ in mentions] == ["a = a", "a = a + len(x", "return a"]


def test_the_last_time_counts_in_loops(read: Read) -> None:
    found = statements(read("def f(x):\n    b = []\n    for i in x:\n        b.append(i)\n    return b"))
    assert found["b.append(i)"]["length"] == "3"
    assert found["b = []"]["length"] == "0"


def test_a_comment_behind_a_statement_begins_with_its_value(read: Read) -> None:
    found = seen(read("def f(x):\n    a = x[1:]  # [1, 2]\n    b = len('#')\n    # no\n    return b"))
    assert [(text, facts) for kind, text, facts in found if kind == "comment"] == [
        ("a = x[1:]  #", {"length": "2", "first": "1", "first_parity": "odd"})
    ]


def test_branches_and_turns(read: Read) -> None:
    program = (
        "def f(x):\n    n = 0\n    for i in x:\n        if i > 2:\n            n = n + 1\n    while n < 4:\n  "
        "      n += 1\n    return n"
    )
    found = statements(read(program))
    assert found["for i in x:"] == {"turns": "3", "kind": "for"}
    assert found["if i > 2:"] == {"branch": "not taken", "kind": "if"}
    assert found["while n < 4:"] == {"turns": "3", "kind": "while"}
    assert statements(read(program, CallInput("f", ([1, 9],))))["if i > 2:"]["branch"] == "taken"


def test_a_branch_on_the_way_out_of_a_function(read: Read) -> None:
    program = "def f(x):\n    if x:\n        return 1\n    return 0"
    assert statements(read(program))["if x:"]["branch"] == "taken"
    assert statements(read(program, CallInput("f", ([],))))["if x:"]["branch"] == "not taken"


def test_what_did_not_run_is_not_marked(read: Read) -> None:
    found = read("def f(x):\n    if not x:\n        y = 1\n    return x")
    assert "y = 1" not in {text for _, text, _ in seen(found)}


def test_names_of_comprehensions_are_no_variables(read: Read) -> None:
    found = read("def f(x):\n    i = 7\n    b = [i + 1 for i in x]\n    return b")
    assert [text for kind, text, _ in seen(found) if kind == "mention"] == ["b = [i + 1 for i in x", "return b"]


def test_names_in_the_cases_of_a_match_are_read_where_they_stand(read: Read) -> None:
    program = "def f(x):\n    n = 1\n    match n:\n        case 1:\n            m = n + len(x)\n    return m"
    assert [text for kind, text, _ in seen(read(program)) if kind == "mention"] == [
        "match n",
        "m = n",
        "m = n + len(x",
        "return m",
    ]


def test_the_end_knows_the_output_and_which_name_stands_last(read: Read) -> None:
    kind, text, facts = seen(read("for i in range(3):\n    n = i\nprint(n * 5)\n", StdioInput("")))[-1]
    assert (kind, text) == ("end", "print(n * 5)")
    assert facts == {"value": "10", "parity": "even", "sign": "positive", "raises": "no exception", "name": "n"}


def test_an_exception_is_a_fact_and_what_came_before_it_too(read: Read) -> None:
    found = read("def f(x):\n    a = x[:1]\n    return a[5]")
    assert seen(found)[-1][2] == {"raises": "exception", "name": "a"}
    assert statements(found)["a = x[:1]"]["length"] == "1"


def test_places_are_characters_whatever_the_letters(read: Read) -> None:
    found = read('def f(x):\n    ü = "äöü"; z = 1\n    é = "ß" + ü\n    return é', before="Voilà :\n")
    assert {text for kind, text, _ in seen(found) if kind == "mention"} == {'é = "ß" + ü', "return é"}


def test_a_value_that_stands_in_the_text_is_said_to(read: Read) -> None:
    program = "def f(x):\n    a = x[1:]\n    b = a + [8]\n    return b"
    shown = (
        {
            text: mark.shown
            for mark, (kind, text, _) in zip(found.marks, seen(found), strict=True)
            if kind == "statement"
        }
        if (found := read(program, prompt="f([3, 1, 2]) == [1, 2, 8]"))
        else {}
    )
    assert shown == {"a = x[1:]": False, "b = a + [8]": True, "return b": True}


def test_a_task_is_marked_at_its_labels_and_in_its_answer(sandbox: Sandbox) -> None:
    program = "def f(x):\n    ab = x + 1\n    return ab"
    task = AlignmentTask(
        task_id="t",
        kind="final_values",
        prompt=f"{program}\nf(3)\nFinal values as a JSON object: ab, output",
        program=program,
        input=CallInput("f", (3,)),
        targets=(Target(label="ab", value=4, scope="f"), Target(label="output", value=4)),
        problem_id="p",
        rollout_id="r",
    )
    found = passage(task_case(task), trace(sandbox, program, task.input, max_steps=MAX_STEPS))
    assert [mark.kind for mark in found.marks] == ["asked", "asked", "end", "answer", "answer"]
    assert [task.prompt[: mark.place + 1].rpartition(" ")[2] for mark in found.marks[:2]] == ["ab", "output"]
    assert [found.completion[: mark.place + 1] for mark in found.marks[3:]] == ['{"ab":', '{"ab": 4, "output":']
    facts = {"value": "4", "parity": "even", "sign": "positive"}
    assert [mark.facts for mark in found.marks] == [
        facts | {"name": "ab"},
        facts | {"name": "output"},
        found.marks[2].facts,
        facts,
        facts,
    ]
    assert found.marks[2].place == LAST


def test_a_value_said_before_in_the_answer_is_shown(sandbox: Sandbox) -> None:
    program = "def f(x):\n    ab = x + [1]\n    return ab"
    task = AlignmentTask(
        task_id="t",
        kind="final_values",
        prompt=f"{program}\nf([3])\nFinal values as a JSON object: ab, output",
        program=program,
        input=CallInput("f", ([3],)),
        targets=(Target(label="ab", value=[3, 1], scope="f"), Target(label="output", value=[3, 1])),
        problem_id="p",
        rollout_id="r",
    )
    found = passage(task_case(task), trace(sandbox, program, task.input, max_steps=MAX_STEPS))
    assert [mark.shown for mark in found.marks if mark.kind == "answer"] == [False, True]


def test_runs_that_cannot_be_asked_about(sandbox: Sandbox) -> None:
    def why(program: str) -> str | None:
        return unfit(trace(sandbox, program, StdioInput(""), max_steps=50))

    assert why("x = 1") is None
    assert why("x = = 1") == "no valid Python"
    assert why("for i in range(99):\n    x = i") == "run beyond a limit"
    assert why("x = hash('a')") == "two runs differ"
