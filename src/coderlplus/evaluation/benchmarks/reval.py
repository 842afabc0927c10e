"""REval (Chen et al., ICSE 2025): what does a program do on an input? Four benchmarks on 85 functions of HumanEval and
69 classes of ClassEval: `reval-coverage` (does a line run?), `reval-state` (value and type of a variable after a
line), `reval-path` (which line runs next?), `reval-output` (complete the assertion).

Data: `DREval_tasks.jsonl` and, beside it, `DREval_data.jsonl` of the repository `r-eval/REval`. Prompts: its own
chain-of-thought prompts where `../prompts` has them, as in a clone; otherwise ours, which ask the same. Truth: as in
its tracer, what `sys.settrace` tells of lines, computed in the sandbox by the test of the question; of a line that
runs several times, any of its states or followers is right.

Departures: an answer must be a literal and is never evaluated as code; a completion without an answer is wrong (REval
takes it for NO); assertions without anything but a condition to complete (`assertTrue(??)`) are not asked. Programs
that need a package which is not installed are left out and named.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coderlplus.errors import DataError
from coderlplus.evaluation.benchmarks.base import Benchmark, BenchmarkQuestion, user
from coderlplus.evaluation.benchmarks.expressions import ENTRY_POINT, predicted_value, right_side
from coderlplus.evaluation.benchmarks.values import literal
from coderlplus.problems.files import read_rows
from coderlplus.programs import parse
from coderlplus.records import CheckTest, Limits, Problem

LIMITS = Limits(cpu_s=10.0, wall_s=90.0)
OURS = {
    "coverage": "Does line {line}, `{codeline}`, run in {invocation_abbr}? The answer is YES or NO.",
    "state": "Which value does `{var}` have right after line {line}, `{codeline}`, has run in {invocation_abbr}, and "
    "of which class is it? The answer is the value as a literal, a semicolon and the name of the class: `[1]; list`. "
    "It is Nil if the line does not run.",
    "path": "Which line of the program runs directly after `{codeline}` in {invocation_abbr}? The answer is the text "
    "of that line, or -1 if this line does not run or none runs after it.",
    "output": "Write a literal in the place of each ??, so that the test passes. The answer is the whole test code.",
}
"""What is asked where the prompts of the repository are not there."""
_OURS = "{code}\n{invocation}\n\n{asked}\nThink step by step, and end with the answer between [ANSWER] and [/ANSWER]."

_TRUTH = '''
import copy, itertools, re, sys, unittest
from collections.abc import Iterator
NAMES, SEEN = {"__name__": "reval"}, []
exec(compile(CODE, "<reval>", "exec"), NAMES)

def snapshot(names):
    kinds = ("module", "function", "builtin_function_or_method")
    return {
        name: copy.deepcopy(value) for name, value in names.items()
        if type(value).__name__ not in kinds and not isinstance(value, Iterator)
    }

def watch(frame, event, arg):
    if frame.f_code.co_filename != "<reval>":
        return None
    if event != "call":
        if not SEEN or SEEN[-1][0] != frame.f_lineno:
            SEEN.append([frame.f_lineno, {}])
        if event == "line":
            SEEN[-1][1] = snapshot(frame.f_locals)
    return watch

def tests():
    exec(compile(TEST, "<test>", "exec"), NAMES)
    kinds = [kind for name, kind in NAMES.items() if isinstance(kind, type) and re.match(ENTRY + "Test.*", name)]
    return [kind for kind in kinds if issubclass(kind, unittest.TestCase)]

def traced():
    if TEST:
        kind = tests()[PLACE]
        case = kind()
        case.setUp()
        run, given = getattr(case, next(name for name in kind.__dict__ if name.startswith("test"))), ()
    else:
        run, given = NAMES[ENTRY], eval(INPUT)
    sys.settrace(watch)
    try:
        run(*given)
    finally:
        sys.settrace(None)

def ran(line):
    return any(seen == line for seen, _ in SEEN)

def followers(line):
    lines = [seen for seen, _ in SEEN] + [-1]
    return {lines[place + 1] for place, seen in enumerate(lines[:-1]) if seen == line} or {-1}

def values(line, node):
    """All that an expression is worth after the line; none where it has no value."""
    kind = type(node).__name__
    if kind == "Constant":
        return [node.value]
    if kind == "Name":
        after = [SEEN[min(place + 1, len(SEEN) - 1)][1] for place, (seen, _) in enumerate(SEEN) if seen == line]
        return [names[node.id] for names in after if node.id in names]
    if kind == "Attribute":
        return [getattr(one, node.attr) for one in values(line, node.value) if hasattr(one, node.attr)]
    if kind == "Tuple":
        return list(itertools.product(*[values(line, item) for item in node.elts]))
    found = []
    for whole, index in itertools.product(values(line, node.value), values(line, node.slice)):
        try:
            found.append(whole[index])
        except (TypeError, KeyError, IndexError):
            pass
    return found

def is_value(said, actual):
    form, value, kind = said
    own = type(actual).__name__ if type(actual).__module__ == "builtins" else (
        type(actual).__module__ + "." + type(actual).__name__
    )
    if kind not in (own.lower(), own.rpartition(".")[2].lower()):
        return False
    if form == "text":
        return value == str(actual)
    if type(actual).__name__ == "ndarray":
        return value == actual.tolist()
    if type(value) is not type(actual):
        return False
    return abs(value - actual) < 1e-6 if type(value) is float else value == actual
'''
_POINT = {
    "coverage": "traced()\nassert prediction() == ran(LINE)",
    "path": (
        "traced()\nsaid = prediction()\n"
        "lines = enumerate(CODE.split('\\n'), 1)\n"
        "numbers = [-1] if said == '-1' else [number for number, text in lines if text.strip() == said]\n"
        "assert any(number in followers(LINE) for number in numbers)"
    ),
    "state": (
        "import ast\ntraced()\nfound = values(LINE, ast.parse(VAR).body[0].value) if ran(LINE) else []\n"
        "said = prediction()\n"
        "assert not found if said is None else any(is_value(said, one) for one in found)"
    ),
}
_OUTPUT = (
    "kind = tests()[PLACE]\ncase = kind()\ncase.setUp()\nsaid = prediction()\n"
    "exec(compile(BODY, '<completed>', 'exec'), NAMES)\ntry:\n    NAMES['completed'](case, said)\n"
    "except Exception as error:\n    assert False, str(error)"
)


def parts(path: Path, row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The questions of all four kinds in a row of `DREval_tasks.jsonl`, each with its program and the prompts."""
    programs, prompts = _beside(path)
    data = programs[row["task_id"]]
    for pair in row["tasks"]:
        given = {"id": f"{row['task_id']}/{pair['input_idx']}", "data": data, "prompts": prompts} | dict(pair)
        yield given | {"kind": "output"}
        for point in pair["task"]:
            for kind in ("coverage", "state", "path"):
                yield given | point | {"kind": kind, "id": f"{given['id']}/{point['lineno']}"}


@functools.lru_cache(maxsize=4)
def _beside(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    data = path.with_name(path.name.replace("tasks", "data"))
    if not data.is_file():
        raise DataError(f"{path} needs {data.name} beside it, which has the programs; clone r-eval/REval")
    folder = path.parent.parent / "prompts"
    found = {kind: folder / f"cot_{kind}.txt" for kind in OURS}
    texts = {kind: file.read_text(encoding="utf-8") for kind, file in found.items() if file.is_file()}
    return {row.data["task_id"]: row.data for row in read_rows(data)}, texts


def reader(kind: str) -> Any:
    """What makes the questions of one kind."""
    return lambda row: question(row) if row["kind"] == kind else None


def question(row: Mapping[str, Any]) -> BenchmarkQuestion:
    """The question of a part of a row. Raises `DataError` where a package is missing or there is no literal to say."""
    data, kind = row["data"], row["kind"]
    code, entry, test = data["code"], data["entry_point"], data["test"] or ""
    _check_packages(code + "\n" + test)
    place = int(row["input_idx"])
    given: str = data["inputs"][place]
    if kind == "output":
        shown, check = _output(row["output_pred"], code, test, entry, place)
        variables = {"invocation": shown}
    else:
        line = int(row["lineno"])
        setup = _setup(test, entry, place)
        call = f"{entry}{given[:-2]})"
        variables = {
            "invocation": f"{setup}\n{given.rstrip()}" if test else call,
            "invocation_abbr": "the above test code" if test else call,
            "line": str(line),
            "codeline": code.split("\n")[line - 1],
            "var": row["var"],
        }
        known = {"CODE": code, "TEST": test, "ENTRY": entry, "INPUT": given, "PLACE": place}
        known |= {"LINE": line, "VAR": row["var"]}
        check = _test(known, _POINT[kind])
    numbered = "".join(f"{number}\t{text}\n" for number, text in enumerate(code.split("\n"), 1))
    variables["code"] = numbered if kind == "path" else code
    theirs = row["prompts"].get(kind)
    asked = OURS[kind].format(**variables)
    text = theirs.format(**variables) if theirs else _OURS.format(**variables, asked=asked)
    problem = Problem(
        problem_id=row["id"],
        statement=text,
        entry_point=ENTRY_POINT,
        tests=(CheckTest(check),),
        source=f"reval-{kind}",
        limits=LIMITS,
    )
    return BenchmarkQuestion(
        question_id=row["id"],
        messages=user(text),
        problem=problem,
        keys={"kind": kind, "template": row["output_pred"] if kind == "output" and test else ""},
        layout=f"tasks and data, {'its own prompts' if theirs else 'our prompts'}",
        family=str(data["task_id"]),
    )


def _test(known: Mapping[str, Any], check: str) -> str:
    return "".join(f"{name} = {value!r}\n" for name, value in known.items()) + _TRUTH + check + "\n"


def _check_packages(code: str) -> None:
    missing = _missing_package(code)
    if missing:
        raise DataError(f"its program needs {missing}, which is not installed")


@functools.lru_cache(maxsize=256)
def _missing_package(code: str) -> str | None:
    for node in ast.walk(parse(code)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in (name.partition(".")[0] for name in names):
            if name not in sys.stdlib_module_names and importlib.util.find_spec(name) is None:
                return name
    return None


@functools.lru_cache(maxsize=1024)
def _setup(test: str, entry: str, place: int) -> str:
    """The body of `setUp` of the test class, as comments before the test code."""
    kinds = [
        node for node in parse(test).body if isinstance(node, ast.ClassDef) and re.match(f"{entry}Test.*", node.name)
    ]
    for node in kinds[place].body if kinds else ():
        if isinstance(node, ast.FunctionDef) and node.name == "setUp":
            lines = test.split("\n")[node.lineno : node.end_lineno]
            return "\n# setup code executed previously\n# " + "\n# ".join(lines)
    return ""


def _output(template: str, code: str, test: str, entry: str, place: int) -> tuple[str, str]:
    """What is shown to be completed, and the test of a completion."""
    if not test:
        expected = template.removeprefix("assert ").rpartition("==")[0].strip()
        known = {"CODE": code, "TEST": "", "ENTRY": entry, "INPUT": "", "PLACE": place}
        return "\n" + template, _test(known, f"said = prediction()\nassert said == eval({expected!r}, NAMES)")
    tree = parse(template.replace("??", _HOLE))
    for call, _ in _holes(tree):
        if ast.unparse(call.func) in ("assertTrue", "assertFalse"):
            raise DataError(f"{ast.unparse(call).replace(_HOLE, '??')} asks for a condition, which no literal is")
    body = ast.unparse(_Completed().visit(tree))
    source = "def completed(self, said):\n" + "\n".join(f"    {line}" for line in body.split("\n"))
    known = {"CODE": code, "TEST": test, "ENTRY": entry, "INPUT": "", "PLACE": place, "BODY": source}
    prelude = "\n# Test code starts here. Only write the completed test code in your answer.\n"
    return _setup(test, entry, place) + prelude + template, _test(known, _OUTPUT)


_HOLE = "__unknown__"


def _calls(tree: ast.Module) -> list[ast.Call]:
    """The assertions of test code, in order."""
    return [
        node.value
        for node in tree.body
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).rpartition(".")[2].startswith("assert")
    ]


def _holes(tree: ast.Module) -> list[tuple[ast.Call, int]]:
    """The assertions to complete, and which argument of each."""
    return [
        (call, place)
        for call in _calls(tree)
        for place, argument in enumerate(call.args)
        if isinstance(argument, ast.Name) and argument.id == _HOLE
    ]


class _Completed(ast.NodeTransformer):
    """Takes the holes from a list, and assertions from the test case."""

    def __init__(self) -> None:
        self.number = -1

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id == _HOLE:
            self.number += 1
            return ast.Subscript(ast.Name("said", ast.Load()), ast.Constant(self.number), ast.Load())
        if node.id.startswith("assert"):
            return ast.Attribute(ast.Name("self", ast.Load()), node.id, ast.Load())
        return node


def answer(question: BenchmarkQuestion, completion: str) -> str | None:
    """What stands in the first pair of tags."""
    if question.keys["kind"] == "output" and not question.keys["template"]:
        return right_side(question, completion)
    text = completion.rpartition("</think>")[2]
    if "[ANSWER]" in text:
        text = text.partition("[ANSWER]")[2]
    elif "[/ANSWER" not in text:  # the opening tag may stand in the prompt
        return None
    return text.partition("[/ANSWER")[0].strip() or None


def program(question: BenchmarkQuestion, answer: str) -> str | None:
    """What returns the answer as data."""
    kind = question.keys["kind"]
    if kind == "coverage":
        said = answer.upper()[:3]
        return _returning(repr("YES" in said)) if ("YES" in said) != ("NO" in said) else None
    if kind == "path":
        return _returning(repr(answer.split("\n")[0].strip()))
    if kind == "state":
        return _state(answer)
    if not question.keys["template"]:
        return predicted_value(question, answer)
    return _completion(question.keys["template"], answer)


def _returning(source: str) -> str:
    return f"from collections import *\n\ndef {ENTRY_POINT}():\n    return {source}\n"


def _state(answer: str) -> str | None:
    """`value; type` as `("literal" | "text", value, type)`, `Nil` as `None`."""
    answer = answer.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'})
    value, _, kind = (part.strip() for part in answer.rpartition(";"))
    if (value or answer).capitalize() == "Nil" or answer == "[Nil]":
        return _returning("None")
    found = re.match(r"<class '(.*)'>", kind)
    kind = re.sub(r"\[.*\]", "", found[1] if found else kind).lower()
    kind = {"string": "str", "integer": "int", "np.ndarray": "numpy.ndarray"}.get(kind, kind)
    kind = "tuple" if "," in kind or "tuple" in kind else "nonetype" if value == "None" else kind
    source = literal(value)
    if kind == "str" and source is None:
        source = repr(value)
    if kind.startswith("datetime"):
        return _returning(repr(("text", value.strip("'\""), kind)))
    return None if source is None or not kind else _returning(f"('literal', {source}, {kind!r})")


def _completion(template: str, answer: str) -> str | None:
    """The literals in the places of the holes, read off completed test code; it may lack lines before its last
    assertions."""
    try:
        completed = _calls(parse(answer.replace("self.assert", "assert")))
    except SyntaxError:
        return None
    tree = parse(template.replace("??", _HOLE))
    asked, values = _calls(tree), []
    for call, place in _holes(tree):
        number = asked.index(call) - len(asked)
        if -number > len(completed) or place >= len(completed[number].args):
            return None
        values.append(literal(ast.unparse(completed[number].args[place])))
    return None if None in values else _returning(f"[{', '.join(map(str, values))}]")


def _benchmark(kind: str) -> Benchmark:
    return Benchmark(
        name=f"reval-{kind}",
        metric="accuracy",
        files=("DREval_tasks.jsonl",),
        read=reader(kind),
        parts=parts,
        size=690 if kind == "output" else 3152,
        answer=answer,
        program=program,
        traced=lambda question, program, given: None,
    )


BENCHMARK = tuple(map(_benchmark, OURS))
