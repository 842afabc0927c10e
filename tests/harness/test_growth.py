"""Every function of the host that reads what a model or a program wrote takes time in proportion to it, on
adversarial and on random texts.

`make harness` doubles further, and over more random texts.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from coderlplus.alignment import facts, prompts, score_answer
from coderlplus.alignment.answers import parse_answer
from coderlplus.alignment.visible import Visible, shows_address
from coderlplus.programs import parse
from coderlplus.records import AlignmentTask, CallInput, StdioInput, Target, Trace
from coderlplus.records.jsonl import loads
from coderlplus.records.tagged import tagged
from coderlplus.report import html
from coderlplus.report.bindings import binding_line
from coderlplus.report.samples import cut
from coderlplus.report.trace_page import kept, value_text
from coderlplus.report.trace_text import source_lines
from coderlplus.sandbox.text import as_bytes
from coderlplus.sandbox.values import NotPlain, decode, encode, to_source
from coderlplus.terminal import shown

from .growth import assert_linear

WHOLE = bool(os.environ.get("CODERLPLUS_WHOLE"))
DOUBLINGS = 6 if WHOLE else 4
Make = Callable[[int], Any]

PIECES = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    '"',
    "'",
    "\\",
    "`",
    "```",
    "\n",
    " ",
    "\t",
    "a",
    "1",
    ",",
    ":",
    "=",
    "-",
    "*",
    "_",
    "é",
    "\u0301",
    "</think>",
    "#",
]


def random_text(seed: int) -> Make:
    return lambda size: "".join(random.Random(seed).choices(PIECES, k=size))


TEXTS: dict[str, Make] = {
    "open strings in open braces": lambda n: "{" * 40 + '"' + '\\"' * n,
    "quotes": lambda n: "{'" * n,
    "both quotes": lambda n: "{" * 30 + "\"'" * n,
    "backslashes": lambda n: '{"a": "' + "\\" * n,
    "spaces in a value": lambda n: "a = 1" + " " * n + "2",
    "spaces before a label": lambda n: " " * n + "a = 1",
    "dashes and spaces": lambda n: "- " + " " * n + "`*" * n + "b = 1",
    "stars": lambda n: "*" * n + "a" + "*" * n,
    "lines": lambda n: "a = 1\n" * n,
    "objects": lambda n: '{"b": 1}' * n,
    "nested objects": lambda n: '{"b": ' * 39 + "1" + "}" * 39 + " " * n,
    "brackets that do not match": lambda n: "{(" * n + "}" * n,
    "backticks": lambda n: "`" * n,
    "fences": lambda n: "```\n" * n,
    "ends of reasoning": lambda n: "</think>" * n,
    "digits": lambda n: '{"a": ' + "9" * n + "}",
    "many integers": lambda n: json.dumps({"a": list(range(n))}),
    "control characters": lambda n: "\x1b[2J\u202e" * n,
    "surrogates": lambda n: "\ud83d\udc80" * n,
    "unary": lambda n: '{"a": ' + "-" * n + "1}",
    "an address": lambda n: "at 0x" * n + "at " * n,
    **{f"random {seed}": random_text(seed) for seed in range(20 if WHOLE else 3)},
}
PROGRAMS: dict[str, Make] = {
    "targets that read": lambda n: ",".join(f"a{k}" for k in range(n)) + " = input(), " + "1," * n,
    "targets of one value": lambda n: "=".join(f"a{k}" for k in range(n)) + "=[" + "1," * n + "]",
    "nested lists": lambda n: "x=" + "[" * 90 + "1," * n + "]" * 90,
    "strings on a line": lambda n: "'a';" * n + "x=1",
    "strings and blank lines": lambda n: "def f():\n" + " 'a'\n\n" * n + " return 1",
    "comments": lambda n: "x=1 # c\n" * n,
    "bindings": lambda n: "".join(f"a{k} = {k}\n" for k in range(n)),
    "one name": lambda n: "a = 1\n" * n,
    "nonlocal": lambda n: "def f():\n x=0\n def g():\n  nonlocal x\n" + "  x=1;" + "x=1;" * n,
    "calls": lambda n: "f(1);" * n,
    "f-strings": lambda n: "f'{a}';" * n,
    "walrus": lambda n: "x=[" + "(a:=1)," * n + "]",
    "a sum": lambda n: "x=[" + "1+1+1+1," * n + "]",
    "long names": lambda n: "a" * n + " = 1",
    "dicts": lambda n: "x={" + ",".join(f"{k}:{{{k}:1}}" for k in range(n)) + "}",
}
VALUES: dict[str, Make] = {
    "a flat list": lambda n: list(range(n)),
    "pairs": lambda n: {"$dict": [[k, {"$tuple": [k, str(k)]}] for k in range(n)]},
    "deep": lambda n: _nested(list(range(n)), 90),
    "deep tuples": lambda n: _nested(list(range(n)), 90, "$tuple"),
    "an object": lambda n: {"$object": "P", "fields": {f"f{k}": k for k in range(n)}},
    "an integer": lambda n: {"$int": "0x" + "f" * n},
    "a fraction": lambda n: {"$fraction": [{"$int": "0x" + "f" * n}, {"$int": "0x" + "e" * (n - 1) + "d"}]},
    "a decimal": lambda n: {"$decimal": "9" * n},
    "a string": lambda n: "\x00\ud800\u202e" * n,
    "a set": lambda n: {"$set": list(range(n))},
    "bytes": lambda n: {"$bytes": "00" * n},
    "a tree": lambda n: {"$tree_node": list(range(n))},
}


def _nested(value: Any, levels: int, tag: str | None = None) -> Any:
    for _ in range(levels):
        value = [value] if tag is None else {tag: [value]}
    return value


def task(*targets: Target) -> AlignmentTask:
    return AlignmentTask(
        task_id="t",
        kind="final_values",
        prompt="?",
        program="a = 1",
        input=StdioInput(""),
        targets=targets,
        problem_id="p",
        rollout_id="r",
    )


ASKED = task(Target(label="a", value={"$set": list(range(200))}, scope="<module>"), Target(label="output", value="x"))
READERS: dict[str, Callable[[str], object]] = {
    "parse_answer": lambda text: parse_answer(text, ["a", "output"]),
    "parse_answer of one": lambda text: parse_answer(text, ["a"]),
    "score_answer": lambda text: score_answer(ASKED, text),
    "loads": loads,
    "shown": shown,
    "as_bytes": as_bytes,
    "cut": cut,
    "source_lines": source_lines,
    "shows_address": shows_address,
    "embed": lambda text: html.embed({"text": text}),
    "fenced": lambda text: prompts._fenced(text, "text"),
    "input_values": lambda text: facts.input_values(StdioInput(text)),
    "is_stretch_of": lambda text: facts.is_stretch_of(text.split(), text),
}
OF_PROGRAMS: dict[str, Callable[[str], object]] = {
    "computes": lambda program: facts.computes(parse(program)),
    "literal_calls": lambda program: list(facts.literal_calls(program, {"f"})),
    "shown_program": prompts.shown_program,
    "binding_line": lambda program: binding_line(program, "<module>", "a"),
    "visible": lambda program: Visible(program, CallInput("f", (1,)), "f(1)").shows_result([1, 2, 3]),
}
OF_VALUES: dict[str, Callable[[Any], object]] = {
    "to_source": to_source,
    "value_text": value_text,
    "tagged": lambda value: tagged(value, "value"),
    "kept": lambda value: kept(to_source(value), to_source(value) + "1"),
    "canonical": facts.canonical,
    "encode of decode": lambda value: encode(decode(value)),
    "from_json": lambda value: Trace.from_json(
        {"program": "", "input": {"kind": "call", "entry_point": "f", "args": [value]}, "ending": {"kind": "finished"}}
    ),
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_readers_of_texts(reader: str, text: str) -> None:
    assert_linear(READERS[reader], TEXTS[text], 1_000, DOUBLINGS)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("reader", OF_PROGRAMS)
def test_readers_of_programs(reader: str, program: str) -> None:
    assert_linear(OF_PROGRAMS[reader], PROGRAMS[program], 400, 4 if WHOLE else 3)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("reader", OF_VALUES)
def test_readers_of_values(reader: str, value: str) -> None:
    assert_linear(OF_VALUES[reader], VALUES[value], 1_000, DOUBLINGS)


@pytest.mark.parametrize("value", [{"$set": [[1]] * 9}, {"$fraction": [1, 0]}, {"$range": ["a"]}])
def test_what_cannot_be_decoded_is_not_plain(value: Any) -> None:
    with pytest.raises(NotPlain):
        decode(value)
