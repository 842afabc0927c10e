"""Which facts a value has."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coderlplus.alignment.visible import squeezed
from coderlplus.records import CallInput, Ending, StdioInput, Trace
from coderlplus_lab.probes.facts import output_facts, stands_in, value_facts


@pytest.mark.parametrize(
    ("value", "facts"),
    [
        (0, {"value": "0", "parity": "even", "sign": "zero"}),
        (7, {"value": "7", "parity": "odd", "sign": "positive"}),
        (-1.5, {"sign": "negative"}),
        (True, {"value": "True"}),
        ("abc", {"length": "3"}),
        ([], {"length": "0"}),
        ([True, 2], {"length": "2"}),
        ({"$tuple": [5, "x"]}, {"length": "2", "first": "5", "first_parity": "odd"}),
        ({"$set": [5, 6]}, {"length": "2"}),
        ({"$dict": [[1, 2]]}, {"length": "1"}),
        ({"a": 1, "b": 2}, {"length": "2"}),
        ({"$object": "P", "fields": {}}, {}),
        (None, {}),
    ],
)
def test_a_value_has_the_facts_of_its_type(value: Any, facts: dict[str, str]) -> None:
    assert value_facts(value) == facts


@given(st.integers())
def test_parity_and_sign_are_those_of_python(number: int) -> None:
    facts = value_facts(number)
    assert (facts["parity"] == "odd") == (number % 2 == 1)
    assert (facts["sign"] == "negative") == (number < 0)


@pytest.mark.parametrize(
    ("printed", "facts"), [("12\n", {"value": "12"}), ("-0.5\n", {"sign": "negative"}), ("yes\n", {"length": "3"})]
)
def test_what_is_printed_counts_as_a_number_where_it_is_one(printed: str, facts: dict[str, str]) -> None:
    found = output_facts(Trace(program="", input=StdioInput(""), ending=Ending(kind="finished"), output=printed))
    assert facts.items() <= found.items()
    assert found["raises"] == "no exception"


def test_a_program_that_raises_has_no_output() -> None:
    trace = Trace(program="", input=CallInput("f"), ending=Ending(kind="exception", type="ValueError"), value=None)
    assert output_facts(trace) == {"raises": "exception"}


@pytest.mark.parametrize(
    ("value", "text", "stands"),
    [
        ([0, 8, 0], "f([1]) == [0,  8, 0]", True),
        ([8, 0], "f([1]) == [0, 8, 0]", False),
        (123, "x = 123", True),
        (123, "x = 1234", False),
        (123, "x = -123", False),
        ("word", "say 'word'", True),
        (5, "x = 5", False),
    ],
)
def test_a_value_of_some_length_stands_in_a_text_as_a_whole(value: Any, text: str, stands: bool) -> None:
    assert stands_in(value, squeezed(text)) is stands
