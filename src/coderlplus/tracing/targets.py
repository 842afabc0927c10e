"""Assignment targets, noted in the order in which they are bound. Standard library only; runs inside the sandbox.

A statement may bind some of its names and then fail: `i, items[i] = 9, 5` with a short list, `k = a, b = 1`, `for i,
(a, b) in [(1, 2)]`. So a note of the names that are bound already stands before whatever may raise:

    i, items[i] = value                i, (note(i), items)[-1][i] = value
    k = a, b = value                   k = (note(k), SINK)[-1][0] = a, b = value
    i, (a, b) = value                  i, $held = value; note i; a, b = $held; del $held; note a, b

`SINK` takes any value and does nothing. What is held is a local variable in functions, elsewhere an item of a dict of
ours.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from coderlplus.tracing.instrumented import HELD, SINK, Scope
from coderlplus.tracing.names import Part, Several, after, place_of

if TYPE_CHECKING:
    from coderlplus.tracing.rewriting import Rewriter


class Targets:
    """The targets of one statement. `names` are bound and not noted yet."""

    def __init__(self, rewriter: Rewriter, scope: Scope, at: ast.AST) -> None:
        self.rewriter = rewriter
        self.scope = scope
        self.at = at
        self.names: list[str] = []

    def chained(self, node: ast.Assign) -> list[ast.stmt]:
        """Rewrites the targets; returns the statements that go behind the assignment."""
        targets: list[ast.expr] = []
        rest = node.targets
        while rest:
            target, *rest = rest
            if isinstance(target, Several) and self.names:
                targets.append(self._sink())
            following = self._store(target)
            targets.append(target)
            if following:
                if rest:
                    held, behind = self._hold(rest)
                    targets.append(held)
                    following += behind
                node.targets = targets
                return following
        node.targets = targets
        return self._note()

    def single(self, target: ast.expr) -> list[ast.stmt]:
        """The same for the one target of a `for` or of an item of a `with`."""
        return self._store(target) or self._note()

    def _store(self, target: ast.expr) -> list[ast.stmt]:
        """Rewrites a target; the statements that must follow, none if nothing had to be put off."""
        if isinstance(target, ast.Starred):
            return self._store(target.value)
        if isinstance(target, ast.Name):
            self.names.append(target.id)
        elif isinstance(target, Part):
            target.value = self._first(target.value)
        elif isinstance(target, Several):
            for index, element in enumerate(target.elts):
                if isinstance(element, Several) and (self.names or not _is_flat(element)):
                    put_off, following = target.elts[index:], []
                    for place, each in enumerate(put_off, index):
                        held, behind = self._hold([each.value if isinstance(each, ast.Starred) else each])
                        target.elts[place] = (
                            ast.Starred(held, ast.Store(), **place_of(each)) if isinstance(each, ast.Starred) else held
                        )
                        following += behind
                    return self._note() + following
                self._store(element)
        return []

    def _hold(self, targets: list[ast.expr]) -> tuple[ast.expr, list[ast.stmt]]:
        """A target for a value that is kept for the moment, and the statements that give it to `targets` then."""
        place = place_of(self.at)
        rewriter = self.rewriter
        rewriter.held += 1
        if self.scope.kind == "function" and rewriter.may_hide:
            name = f"${rewriter.held}h"
            held: ast.expr = ast.Name(name, ast.Store(), **place)
            value: ast.expr = ast.Name(name, ast.Load(), **place)
            release: list[ast.stmt] = [ast.Delete([ast.Name(name, ast.Del(), **place)], **place)]
        else:
            held = rewriter.item(HELD, rewriter.held, ast.Store(), place)
            value = rewriter.item(HELD, rewriter.held, ast.Load(), place)
            release = [ast.Delete([rewriter.item(HELD, rewriter.held, ast.Del(), place)], **place)]
        assignment = ast.Assign(targets, value, **place)
        behind = Targets(rewriter, self.scope, self.at).chained(assignment)
        return held, [assignment, *release, *behind]

    def _sink(self) -> ast.expr:
        place = place_of(self.at)
        return ast.Subscript(
            self._first(self.rewriter.slot(SINK, place)), ast.Constant(0, **place), ast.Store(), **place
        )

    def _first(self, value: ast.expr) -> ast.expr:
        """The expression, evaluated after a note of the names that are bound so far."""
        names, self.names = self.names, []
        return after(self.rewriter.noted(names, self.scope, value), value)

    def _note(self) -> list[ast.stmt]:
        names, self.names = list(dict.fromkeys(self.names)), []
        return self.rewriter.bound(names, self.scope, self.at)


def _is_flat(target: ast.expr) -> bool:
    """Whether names are all that is in a tuple."""
    elements = target.elts if isinstance(target, Several) else []
    return all(isinstance(each.value if isinstance(each, ast.Starred) else each, ast.Name) for each in elements)
