"""LeetCodeDataset (Xia et al. 2025), v0.2 and v0.3: problems of LeetCode with `check(candidate)` code.

Its checks are asserts that compare a call with a literal, so each becomes a call test: its input is known, its result compared outside. Linked
lists and trees, which its checks build by `list_node([...])` and `tree_node([...])`, are written as `{"$list_node": [...]}` and `{"$tree_node":
[...]}`. A check with anything else in it stays what it is, one check test.

The order of the result does not count (`unordered`) where the statement says that it is returned in any order. What the prompt brings along
(imports, the node classes) is set-up code; its star imports shadow `pow` and `abs`, so the builtin ones are put back.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from coderlplus.records import CallTest, CheckTest, Problem, TaggedValue, Test
from coderlplus.sandbox import values

RESTORED = "from builtins import abs, pow"
"""Undoes what star imports of `math` and `operator` shadow."""
_ANY_ORDER = re.compile(r"\breturn(ed)?\b[^.\n]*\bin any order\b", re.IGNORECASE)
_NODES = {"list_node": "$list_node", "tree_node": "$tree_node"}
_SAME = ("is_same_list", "is_same_tree")


def problem(row: Mapping[str, Any]) -> Problem:
    """The problem of one row of either version."""
    meta = row.get("meta") or {}
    statement = (row.get("problem_description") or meta.get("question_title") or row["query"]).strip()
    starter_code = row.get("starter_code") or meta.get("lang_code") or ""
    found = tests(row["test"])
    return Problem(
        problem_id=f"leetcode/{row['task_id']}",
        source="leetcode_dataset",
        statement=statement,
        starter_code=starter_code.rstrip(),
        entry_point=row["entry_point"],
        tests=found,
        reference=row["completion"],
        setup_code=f"{row['prompt'].rstrip()}\n{RESTORED}",
        checker=order(statement, starter_code) if isinstance(found[0], CallTest) else None,
    ).marked()


def order(statement: str, starter_code: str) -> str | None:
    """The comparator for results that are lists: `unordered` where the statement says that they come in any order."""
    return "unordered" if _ANY_ORDER.search(statement) and re.search(r"->\s*List\[", starter_code) else None


def tests(check: str) -> tuple[Test, ...]:
    """A call test for each assert of `check`, or all of it as one check test. A call of `check` behind it, as rLLM writes it, is left out."""
    if called(check) is not None:
        check = "\n".join(check.split("\n")[: ast.parse(check).body[-1].lineno - 1]).rstrip() + "\n"
    try:
        (function,) = ast.parse(check).body
        if isinstance(function, ast.FunctionDef) and function.name == "check":
            return tuple(_test(statement) for statement in function.body)
    except ValueError:
        pass
    return (CheckTest(check),)


def called(check: str) -> str | None:
    """What `check` is called with at the end of the code, where it is called there.

    >>> called("def check(candidate): ...\\n\\ncheck(Solution().twoSum)")
    'Solution().twoSum'
    """
    match ast.parse(check).body:
        case [*_, ast.Expr(value=ast.Call(func=ast.Name(id="check"), args=[argument], keywords=[]))]:
            return ast.unparse(argument)
    return None


def _test(statement: ast.stmt) -> CallTest:
    """`assert candidate(...) == literal`, `assert is_same_list(candidate(...), list_node([...]))`, or a `ValueError`."""
    match statement:
        case ast.Assert(test=ast.Compare(left=ast.Call() as call, ops=[ast.Eq()], comparators=[expected])):
            pass
        case ast.Assert(test=ast.Call(func=ast.Name(id=name), args=[ast.Call() as call, expected])) if name in _SAME:
            pass
        case _:
            raise ValueError("not a comparison of a call")
    if not isinstance(call.func, ast.Name) or call.func.id != "candidate" or any(keyword.arg is None for keyword in call.keywords):
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
    return values.encode(ast.literal_eval(node))
