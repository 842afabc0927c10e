"""LeetCodeDataset (Xia et al. 2025), v0.2 and v0.3: problems of LeetCode with `check(candidate)` code.

Its checks are asserts that compare a call with a literal, so each becomes a call test: its input is known, its result
compared outside. Linked lists and trees, which its checks build by `list_node([...])` and `tree_node([...])`, are
written as `{"$list_node": [...]}` and `{"$tree_node": [...]}`. A check with anything else in it stays what it is, one
check test.

The order of the result does not count where the statement says so of the answer (`wording.order`). What the prompt
brings along (imports, the node classes) is set-up code; its star imports shadow `pow` and `abs`, so the builtin ones
are put back.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from coderlplus.errors import DataError
from coderlplus.problems.parsing import parsed, tagged, text_of
from coderlplus.problems.wording import order
from coderlplus.records import CallTest, CheckTest, Problem, TaggedValue, Test

RESTORED = "from builtins import abs, pow"
"""Undoes what star imports of `math` and `operator` shadow."""
_NODES = {"list_node": "$list_node", "tree_node": "$tree_node"}
_SAME = ("is_same_list", "is_same_tree")


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row of either version."""
    meta = row.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise DataError(f"field 'meta' must be an object, not {str(meta)[:60]!r}")
    statement = text_of(row, "problem_description", "") or text_of(meta, "question_title", "") or text_of(row, "query")
    statement = statement.strip()
    starter_code = text_of(row, "starter_code", "") or text_of(meta, "lang_code", "")
    found = tests(text_of(row, "test"))
    return Problem(
        problem_id=f"leetcode/{row['task_id']}",
        source="leetcode_dataset",
        statement=statement,
        starter_code=starter_code.rstrip(),
        entry_point=text_of(row, "entry_point"),
        tests=found,
        reference=text_of(row, "completion"),
        setup_code=f"{text_of(row, 'prompt').rstrip()}\n{RESTORED}",
        checker=order(statement, starter_code) if isinstance(found[0], CallTest) else None,
    ).marked()


def tests(check: str) -> tuple[Test, ...]:
    """A call test for each assert of `check`, or all of it as one check test. A call of `check` behind it, as rLLM
    writes it, is left out."""
    check, tree = parsed(check)
    body = tree.body
    if _called(tree) is not None:
        check = "\n".join(check.split("\n")[: body[-1].lineno - 1]).rstrip() + "\n"
        body = body[:-1]
    try:
        (function,) = body
        if isinstance(function, ast.FunctionDef) and function.name == "check":
            return tuple(_test(statement) for statement in function.body)
    except DataError:
        raise
    except ValueError:
        pass
    return (CheckTest(check),)


def called(check: str) -> str | None:
    """What `check` is called with at the end of the code, where it is called there.

    >>> called("def check(candidate): ...\\n\\ncheck(Solution().twoSum)")
    'Solution().twoSum'
    """
    return _called(parsed(check)[1])


def _called(tree: ast.Module) -> str | None:
    match tree.body:
        case [*_, ast.Expr(value=ast.Call(func=ast.Name(id="check"), args=[argument], keywords=[]))]:
            return ast.unparse(argument)
    return None


def _test(statement: ast.stmt) -> CallTest:
    """`assert candidate(...) == literal`, `assert is_same_list(candidate(...), list_node([...]))`, or a
    `ValueError`."""
    match statement:
        case ast.Assert(test=ast.Compare(left=ast.Call() as call, ops=[ast.Eq()], comparators=[expected])):
            pass
        case ast.Assert(test=ast.Call(func=ast.Name(id=name), args=[ast.Call() as call, expected])) if name in _SAME:
            pass
        case _:
            raise ValueError("not a comparison of a call")
    if (
        not isinstance(call.func, ast.Name)
        or call.func.id != "candidate"
        or any(keyword.arg is None for keyword in call.keywords)
    ):
        raise ValueError("not a call of the candidate")
    kwargs = {str(keyword.arg): _tagged(keyword.value) for keyword in call.keywords}
    return CallTest(tuple(map(_tagged, call.args)), _tagged(expected), kwargs)


def _tagged(node: ast.expr) -> TaggedValue:
    """The tagged value of a literal, also with nodes and infinities in it."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _NODES:
            items = _tagged(argument)
            return {_NODES[name]: items} if items else None
        case ast.Name(id="inf"):
            return {"$float": "inf"}
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="inf")):
            return {"$float": "-inf"}
        case ast.List(elts=items):
            return [_tagged(item) for item in items]
        case ast.Tuple(elts=items):
            return {"$tuple": [_tagged(item) for item in items]}
    return tagged(ast.literal_eval(node))
