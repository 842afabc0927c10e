"""A case and the trace of its run → a passage: the places in the text that are looked at, with what is true of the run
there.

A text has each statement once, a run may have it many times: a fact is about the last time. The program is marked only
after its input has been read, since a model that reads from left to right knows nothing of it before.
"""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from coderlplus.alignment.intermediate_states import executions, first_line, sole_statements
from coderlplus.alignment.visible import squeezed
from coderlplus.programs import parse
from coderlplus.records import Step, Trace
from coderlplus_lab.probes.facts import output_facts, output_value, stands_in, value_facts
from coderlplus_lab.probes.passages import LAST, Case, Mark, MarkKind, Passage

MAX_STEPS = 2_000
"""Steps of a run that are recorded; the case of a longer run is left out."""
_Loop = ast.For | ast.AsyncFor | ast.While
_NOTHING: Any = object()
_COMMENT = re.compile(r"[ \t]*#")
_KINDS = {
    "Assign": "assignment", "AnnAssign": "assignment", "AugAssign": "augmented assignment", "Expr": "expression",
    "Return": "return", "If": "if", "For": "for", "AsyncFor": "for", "While": "while",
}  # fmt: skip


def unfit(trace: Trace) -> str | None:
    """Why a run cannot be asked about, or `None` if it can."""
    if trace.ending.kind == "syntax_error":
        return "no valid Python"
    if trace.withheld is not None:
        return "program accesses its own frames"
    if trace.steps_cut is not None or trace.ending.kind.endswith("_limit"):
        return "run beyond a limit"
    return None if trace.deterministic else "two runs differ"


def passage(case: Case, trace: Trace) -> Passage:
    """The passage of a case; `trace` has steps (see `MAX_STEPS`) and is not `unfit`."""
    marks = _task_marks(case, trace) if case.asked else _program_marks(case, trace)
    return Passage(
        passage_id=case.case_id, unit=case.unit, prompt=case.prompt, completion=case.completion, marks=tuple(marks)
    )


def _task_marks(case: Case, trace: Trace) -> Iterator[Mark]:
    """The labels in the last line of the prompt; the end of the prompt; in the answer each place where a value is said
    next."""
    text = squeezed(case.prompt)
    tail = ", ".join(label for label, _ in case.asked)
    place = len(case.prompt) - len(tail)
    for label, value in case.asked if case.prompt.endswith(tail) else ():
        place += len(label)
        yield Mark(
            kind="asked", place=place - 1, facts=value_facts(value) | {"name": label}, shown=stands_in(value, text)
        )
        place += len(", ")
    yield Mark(kind="end", place=LAST, facts=output_facts(trace), shown=stands_in(output_value(trace), text))
    place = 0
    for label, value in case.asked:
        key = f"{json.dumps(label, ensure_ascii=False)}:"
        found = case.completion.find(key, place)
        if found >= 0:
            place = found + len(key)
            shown = stands_in(value, squeezed(f"{case.prompt}\n{case.completion[:place]}"))
            yield Mark(kind="answer", place=place - 1, facts=value_facts(value), shown=shown)


def _program_marks(case: Case, trace: Trace) -> Iterator[Mark]:
    """Statements and names that are read, where they stand alone on their line and were run; then the end of the
    program."""
    text = _Text(case)
    tree = parse(case.program)
    sole = sole_statements(tree)
    moments = _moments(trace, sole)
    found: list[Mark] = []
    for line, statement in sorted(sole.items()):
        moment = moments.get(line)
        if moment is None:
            continue
        for node in _names_read(statement):
            if node.id in moment.before:
                found.append(text.mark("mention", text.last(node), value=moment.before[node.id], name=node.id))
        kind = _KINDS.get(type(statement).__name__)
        name = _acted_on(statement)
        if isinstance(statement, ast.If | _Loop):
            head = statement.iter if isinstance(statement, ast.For | ast.AsyncFor) else statement.test
            found.append(text.mark("statement", text.header_end(head), moment.facts, kind=kind))
        elif kind is not None and name in moment.after:
            place = text.last(statement)
            found.append(text.mark("statement", place, value=moment.after[name], kind=kind))
            comment = _COMMENT.match(case.program, place + 1)
            if comment is not None:
                found.append(text.mark("comment", comment.end() - 1, value=moment.after[name]))
        elif kind is not None:
            found.append(text.mark("statement", text.last(statement), kind=kind))
    yield from sorted(found, key=lambda one: one.place)
    place = len(case.program.rstrip()) - 1
    shown = stands_in(output_value(trace), text.until(place + 1))
    yield Mark(kind="end", place=case.program_start + place, facts=output_facts(trace) | _last_name(tree), shown=shown)


@dataclass(slots=True)
class _Moment:
    """The variables in sight before and after a statement, the last time that it ran; what a branch or loop did, as
    facts."""

    before: dict[str, Any]
    after: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)


def _moments(trace: Trace, sole: Mapping[int, ast.stmt]) -> dict[int, _Moment]:
    """Line → what the last time that it ran was like, for lines with one statement (`sole_statements`) that
    ran."""
    steps = trace.steps or ()
    begins = dict(executions(steps))
    states: dict[int, dict[str, Any]] = defaultdict(dict)
    moments: dict[int, _Moment] = {}
    for index, step in enumerate(steps):
        if index in begins and step.line in sole:
            moments[step.line] = _Moment(before=states[0] | states[step.activation])
        for change in step.changes:
            if change.deleted:
                states[change.activation].pop(change.name, None)
            else:
                states[change.activation][change.name] = change.value
        if step.line in moments:
            moments[step.line].after = states[0] | states[step.activation]
    times = Counter(begins.values())
    for line, moment in moments.items():
        match sole[line]:
            case ast.If() as statement:
                moment.facts = _branch(statement, steps)
            case ast.For(body=body) | ast.AsyncFor(body=body) | ast.While(body=body) if first_line(body) in sole:
                moment.facts = {"turns": str(times[first_line(body)])}
    return moments


def _branch(statement: ast.If, steps: tuple[Step, ...]) -> dict[str, str]:
    """Whether the branch was taken the last time that its condition was tested: by the next step of the same
    activation."""
    last = max((index for index, step in enumerate(steps) if step.line == statement.lineno), default=None)
    if last is None or statement.body[0].lineno == statement.lineno:
        return {}
    activation = steps[last].activation
    following = next((step.line for step in steps[last + 1 :] if step.activation == activation), None)
    inside = following is not None and statement.body[0].lineno <= following <= (statement.body[-1].end_lineno or 0)
    return {"branch": "taken" if inside else "not taken"}


def _acted_on(statement: ast.stmt) -> str | None:
    """The variable that a statement binds or, like `a.append(1)`, `a[0] = 1`, changes; of `return a` the one that it
    returns."""
    match statement:
        case ast.Assign(targets=[target]) | ast.AugAssign(target=target):
            while isinstance(target, ast.Subscript | ast.Attribute):
                target = target.value
            return target.id if isinstance(target, ast.Name) else None
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return name
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name
        case ast.Return(value=ast.Name(id=name)):
            return name
    return None


def _names_read(statement: ast.stmt) -> list[ast.Name]:
    """The names that a statement (of a loop or branch: its header) reads, but for those that a comprehension or lambda
    in it binds."""
    parts: list[ast.AST] = [statement]
    if isinstance(statement, ast.If | ast.While):
        parts = [statement.test]
    elif isinstance(statement, ast.For | ast.AsyncFor):
        parts = [statement.iter]
    elif isinstance(statement, ast.Match):
        parts = [statement.subject]
    elif hasattr(statement, "body"):
        return []
    nodes = [node for part in parts for node in ast.walk(part)]
    bound: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.comprehension):
            bound |= {one.id for one in ast.walk(node.target) if _is_name(one, ast.Store)}
        elif isinstance(node, ast.Lambda):
            bound |= {one.arg for one in ast.walk(node.args) if isinstance(one, ast.arg)}
    return [node for node in nodes if _is_name(node, ast.Load) and node.id not in bound]


def _is_name(node: ast.AST, context: type[ast.expr_context]) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, context)


def _last_name(tree: ast.Module) -> dict[str, str]:
    """Which name stands last in a program, as a fact; none where it has no name."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return {"name": max(names, key=lambda node: (node.lineno, node.col_offset)).id} if names else {}


class _Text:
    """The places of syntax in the program of a case, in characters (Python's are lines and bytes), and what a reader
    has seen until there."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.lines = case.program.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def last(self, node: ast.stmt | ast.expr) -> int:
        """The place of the last character of a node."""
        assert node.end_lineno is not None
        line = self.lines[node.end_lineno - 1].encode()[: node.end_col_offset]
        return self.starts[node.end_lineno - 1] + len(line.decode()) - 1

    def header_end(self, expression: ast.expr) -> int:
        """The place of the colon after the expression at the end of a header."""
        return self.case.program.index(":", self.last(expression) + 1)

    def until(self, place: int) -> str:
        """The squeezed text of the prompt and of the completion up to a place in the program."""
        return squeezed(f"{self.case.prompt}\n{self.case.completion[: self.case.program_start + place]}")

    def mark(
        self,
        at: MarkKind,
        place: int,
        facts: Mapping[str, str] | None = None,
        /,
        *,
        value: Any = _NOTHING,
        **surface: str | None,
    ) -> Mark:
        """A mark at a place in the program, with facts of a branch or loop or those of a value."""
        known = dict(facts or {}) if value is _NOTHING else value_facts(value)
        shown = value is not _NOTHING and bool(known) and stands_in(value, self.until(place + 1))
        known |= {name: text for name, text in surface.items() if text is not None}
        return Mark(kind=at, place=self.case.program_start + place, facts=known, shown=shown)
