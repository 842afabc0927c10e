"""Trees are made by one thread at a time (see `coderlplus.syntax`)."""

from __future__ import annotations

import ast
import gc
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coderlplus import syntax

DEEP = ("x = " + "[" * 60 + "1, 2" + "]" * 60 + "\n") * 50
WIDE = "x = " + repr([[number, str(number)] for number in range(3_000)]) + "\n"


class Slow:
    """Its finalizer lets another thread run."""

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        time.sleep(0)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(100, 1, 1)
    yield
    sys.setswitchinterval(interval)
    gc.set_threshold(*threshold)
    gc.enable()


@pytest.mark.usefixtures("eager_threads")
def test_threads_make_trees_of_different_depth() -> None:
    """`ast.parse` in the place of `syntax.parse` raises `SystemError` here (Python 3.11)."""

    def parsed(source: str) -> int:
        gc.disable()
        for _ in range(300):
            Slow()
        gc.enable()  # the next objects are those of the tree
        return len(syntax.parse(source).body)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(parsed, [DEEP, WIDE] * 10)) == [50, 1] * 10


def test_only_guests_make_trees_themselves() -> None:
    """They have one thread; everything else may share the process with threads that judge."""
    library = Path(syntax.__file__).parent
    guests = [library / "tracing" / f"{name}.py" for name in ("instrument", "nondeterminism", "reach")]
    makers = {
        path
        for path in library.rglob("*.py")
        for node in ast.walk(syntax.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "ast.parse"
    }
    assert makers == {library / "syntax.py", *guests}


MARKS = (ast.expr_context, ast.boolop, ast.operator, ast.unaryop, ast.cmpop)
SOURCES = sorted(Path(ast.__file__).parent.glob("*.py"))[::12]
ODD = """
type_ = x @ y ** -z // (a < b <= c is not d) and not e or ~f
async def g(p, /, q: int = 1, *r, s=2, **t) -> None:
    async with a as b, c: return [i async for i in j if (k := i) for _ in ()]
match x:
    case {"a": [1, *rest], **others} | Point(0, y=-1j) | None as whole if whole: del x[1:2, ...], y.z
try: pass
except* (A, B) as e: raise e from f"{e!r:>{width}}{'' 'a'}"
lambda *, a=1: (yield from b)
@c
class D(E, metaclass=F): global h; h += 1; i: "j" = {**k, 1: {*l}}
"""
SINCE_3_12 = """
type A[T: int, *Ts, **P] = dict[T, P]
def f[T](x: T) -> T: return x
class C[T]: pass
"""


@pytest.mark.parametrize(
    "source",
    [*SOURCES, ODD, *[SINCE_3_12] * (sys.version_info >= (3, 12))],
    ids=lambda source: getattr(source, "name", "odd"),
)
def test_a_walk_visits_what_walks_of_python_visit_but_marks_in_their_order(source: Path | str) -> None:
    tree = syntax.parse(source.read_text(encoding="utf-8") if isinstance(source, Path) else source)
    found = syntax.walk(tree)
    assert found == [node for node in ast.walk(tree) if not isinstance(node, MARKS)]
    for node in found:
        assert [*syntax.children(node)] == [
            child for child in ast.iter_child_nodes(node) if not isinstance(child, MARKS)
        ]
