"""What a program says about itself, and whether it is true: values in comments, against a traced run on the first
example of its problem.

A claim is a comment that is a literal, at the end of a statement that binds a variable or changes one in place:

    b = []
    for i in a:
        b.append(min(i, 3))  # [2, 3, 1, 3]

It is true when that is the variable's final value. Only the last function of a program counts: it is the one that is
called.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass

from coderlplus.programs import parse
from coderlplus.records import CallInput, CallTest, Problem, TaggedValue, Trace
from coderlplus.sandbox import AnySandbox
from coderlplus.sandbox.values import encode, equal
from coderlplus.tracing import TraceRequest, trace_many


@dataclass(frozen=True, slots=True)
class Claim:
    """`name` of the function `scope` is said to hold `value` (tagged)."""

    scope: str
    name: str
    value: TaggedValue


def claims_of(program: str) -> list[Claim]:
    """The claims of a program.

    >>> claims_of("def f(x):\\n    a = x[1:]  # [2, 4]\\n    return a  # done")
    [Claim(scope='f', name='a', value=[2, 4])]
    """
    try:
        functions = [node for node in parse(program).body if isinstance(node, ast.FunctionDef)]
        comments = _literal_comments(program)
    except (SyntaxError, tokenize.TokenError):
        return []
    if not functions:
        return []
    found = []
    for node in ast.walk(functions[-1]):
        name = _changed(node)
        line = getattr(node, "end_lineno", None)
        if name is not None and line in comments:
            found.append((line, Claim(functions[-1].name, name, comments[line])))
    return [claim for _, claim in sorted(found, key=lambda item: item[0])]


def count_true(
    sandbox: AnySandbox, problems: Sequence[Problem], programs: Sequence[str | None]
) -> list[tuple[int, int]]:
    """For each program how many claims it makes and how many of them are true on the first example of its problem.

    A program whose run is cut at a limit or depends on chance counts as one that claims nothing. Raises `SandboxError`
    if the sandbox fails.
    """
    counts = [(0, 0)] * len(programs)
    chosen, requests = [], []
    for place, (problem, program) in enumerate(zip(problems, programs, strict=True)):
        test = problem.tests[0]
        claims = claims_of(program) if program is not None else []
        if program is not None and claims and isinstance(test, CallTest) and problem.entry_point is not None:
            given = CallInput(problem.entry_point, test.args, test.kwargs)
            chosen.append((place, claims))
            requests.append(
                TraceRequest(program=program, input=given, setup_code=problem.setup_code, limits=problem.limits)
            )
    for (place, claims), trace in zip(chosen, trace_many(sandbox, requests), strict=True):
        if trace.ending.kind in ("finished", "exception") and trace.deterministic and trace.withheld is None:
            counts[place] = (len(claims), sum(_is_true(claim, trace) for claim in claims))
    return counts


def _is_true(claim: Claim, trace: Trace) -> bool:
    values = trace.variables.get(claim.scope, {})
    return claim.name in values and equal(values[claim.name], claim.value)


def _changed(node: ast.AST) -> str | None:
    """The one variable that a simple statement binds, or changes by calling a method of it."""
    match node:
        case (
            ast.Assign(targets=[ast.Name(id=name)])
            | ast.AugAssign(target=ast.Name(id=name))
            | ast.AnnAssign(target=ast.Name(id=name))
        ):
            return name
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name
    return None


def _literal_comments(program: str) -> dict[int, TaggedValue]:
    """The tagged values of comments that are literals, by line."""
    found: dict[int, TaggedValue] = {}
    for token in tokenize.generate_tokens(io.StringIO(program).readline):
        if token.type == tokenize.COMMENT:
            try:
                found[token.start[0]] = encode(ast.literal_eval(token.string.lstrip("# ")))
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                continue
    return found
