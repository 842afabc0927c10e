"""A trace as text for a terminal: the table of variables, the list of steps, an answer beside the truth.

Text of the program is shown without control characters, so that it cannot steer the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coderlplus.alignment.scoring import Scored, read_answer, score_answer
from coderlplus.records import AlignmentTask, CallInput, Ending, Step, TaggedValue, Trace
from coderlplus.report.trace_page import value_text
from coderlplus.terminal import shown

VALUE_LINES = 3
"""Lines of the table that one value may take."""
OUTPUT_LINES = 30
"""Lines of the output that are shown: those at its end, with what comes before counted."""


def print_variables(trace: Trace, console: Console) -> None:
    """A row for each variable, then what was printed or returned and how the run ended."""
    if trace.variables:
        table = _table("scope", "variable", "value")
        names_wide = max(len(name) for names in trace.variables.values() for name in names)
        room = _room(console, max(map(len, trace.variables)) + names_wide + 4)
        for scope, names in trace.variables.items():
            for position, (name, value) in enumerate(names.items()):
                table.add_row(
                    Text("" if position else shown(scope), "dim"),
                    Text(shown(name), "cyan"),
                    Text(shortened(_value(value), room)),
                )
        console.print(table)
    else:
        _say(console, "no variables", "dim")
    print_ending(trace, console)


def print_steps(trace: Trace, console: Console) -> None:
    """A line for each step: number, source line, the statement (indented by the depth of calls) and what it changed or
    printed."""
    source = source_lines(trace.program)
    steps = trace.steps or ()
    statements = [f"{_indent(step.depth)}{source.get(step.line, '')}" for step in steps]
    most = max(12, (console.width - 13) * 3 // 5)
    wide = min(most, max(map(len, statements), default=0))
    console.print(Text(f" step  line  {'statement'.ljust(wide)}  changes", "bold"), no_wrap=True, overflow="ellipsis")
    printed = 0
    for number, (step, statement) in enumerate(zip(steps, statements, strict=True), 1):
        effects = [*changes(step)]
        if step.output_chars > printed:
            effects.append(f"prints {trace.output[printed : step.output_chars]!r}")
        printed = step.output_chars
        line = Text.assemble(
            (f"{number:5}  {step.line:4}  ", "dim"),
            _clipped(statement, wide).ljust(wide),
            "  ",
            ("; ".join(effects), "cyan"),
        )
        console.print(
            line, no_wrap=True, overflow="ellipsis", crop=console.is_terminal, soft_wrap=not console.is_terminal
        )
    if trace.steps_cut is not None:
        limit = f"only the first {len(steps):,} steps are kept (limit: {trace.steps_cut})"
        _say(console, f"{limit}; the following describes the whole run", "yellow")
    print_ending(trace, console)


def print_answer(task: AlignmentTask, answer: str | None, console: Console, scored: Scored | None = None) -> None:
    """The values that a task asks for and, given an answer, what it says of them and which are right. `scored` is its
    score, where that is known."""
    answered = None if answer is None else read_answer(task, answer)
    reward, correct = (0.0, {}) if answer is None else scored or score_answer(task, answer)
    table = _table("asked", "true", *(("predicted", "") if answer is not None else ()))
    room = _room(console, max(len(target.label) for target in task.targets) + 4) // (1 if answer is None else 2)
    for target in task.targets:
        row = [Text(shown(target.label), "cyan"), Text(shortened(_value(target.value), room))]
        if answer is not None:
            right = correct.get(target.label, False)
            if answered is not None and target.label in answered.values:
                row.append(Text(shortened(_value(answered.values[target.label]), room)))
            else:
                row.append(Text("not given", "dim"))
            row.append(Text("right" if right else "wrong", "green" if right else "red"))
        table.add_row(*row)
    console.print(table)
    if answer is not None:
        console.print(f"{sum(correct.values())} of {len(task.targets)} right, reward {reward:.2f}", highlight=False)
    console.print()


def print_outcome(outcome: Mapping[str, str | None], console: Console) -> None:
    """Why a sample failed: what its test expected beside what it gave."""
    console.print()
    _say(console, ", ".join(part for part in (outcome["verdict"], outcome["test"]) if part), "bold red")
    table = Table(box=None, pad_edge=False, show_header=False)
    for name in ("expected", "actual"):
        value = outcome[name]
        if value is not None:
            table.add_row(Text(name, "bold"), Text(shown(value.rstrip("\n"), keep="\n") or "(nothing)"))
    if table.row_count:
        console.print(table)
    if outcome["detail"]:
        _say(console, shown(outcome["detail"], keep="\n"), "dim")


def print_ending(trace: Trace, console: Console) -> None:
    """What was printed or returned, how the run ended, and whether it can be trusted to end so again."""
    lines = shown(trace.output, keep="\n\t").rstrip("\n").split("\n")
    if trace.output:
        _say(console, "\noutput", "bold")
        if len(lines) > OUTPUT_LINES:
            _say(console, f"… {len(lines) - OUTPUT_LINES:,} lines before", "dim")
        _say(console, "\n".join(shortened(line, 10 * console.width) for line in lines[-OUTPUT_LINES:]))
    console.print()
    ending = trace.ending
    if ending.kind == "finished" and isinstance(trace.input, CallInput):
        returned = shortened(_value(trace.value), VALUE_LINES * console.width)
        console.print(Text.assemble(("returned ", "bold"), returned))
    _say(console, ended(ending), "bold" if ending.kind in ("finished", "exit") else "bold red")
    if ending.line is not None:
        source = source_lines(trace.program).get(ending.line, "")
        console.print(Text.assemble((f"line {ending.line}: ", "dim"), source))
    if trace.withheld is not None:
        accessed = shown(trace.withheld)
        _say(
            console,
            f"values are withheld: the program accesses {accessed}, with which it could falsify them",
            "yellow",
        )
    elif not trace.deterministic and ending.kind not in ("time_limit", "memory_limit", "output_limit"):
        _say(console, "two runs differ: the program is nondeterministic, so no task is made from it", "yellow")


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style))


def ended(ending: Ending) -> str:
    """How a run ended, in words.

    >>> ended(Ending(kind="exception", type="KeyError", message="7", line=3)), ended(Ending(kind="time_limit"))
    ('ended by KeyError: 7', 'stopped at the time limit')
    """
    told = shown(": ".join(part for part in (ending.type, ending.message) if part))
    match ending.kind:
        case "finished":
            return "finished"
        case "exit":
            return f"ended by exit{f' ({told})' if told else ''}"
        case "exception":
            return f"ended by {told}"
        case limit:
            return f"stopped at the {limit.replace('_', ' ')}"


def changes(step: Step) -> Iterator[str]:
    """What a step changed, one text a variable; of a variable of another scope that scope's name too."""
    for change in step.changes:
        owner = "" if change.activation == step.activation else f" (of {shown(change.scope.strip('<>'))})"
        name = shown(change.name)
        yield f"del {name}{owner}" if change.deleted else f"{name} = {shortened(_value(change.value), 200)}{owner}"


def source_lines(program: str) -> dict[int, str]:
    """The lines of a program by number, from 1, without indentation and control characters; they end where Python
    says."""
    lines = program.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return {number: shown(line.strip()) for number, line in enumerate(lines, 1)}


def _value(value: TaggedValue) -> str:
    return shown(value_text(value))


def shortened(text: str, room: int) -> str:
    """A text of at most about `room` characters, with the count of all.

    >>> shortened("[" + "1, " * 100 + "1]", 24)
    '[1, 1,… (303 characters)'
    """
    if len(text) <= room:
        return text
    note = f"… ({len(text):,} characters)"
    return text[: max(0, room - len(note))] + note


def _indent(depth: int) -> str:
    return "  " * depth if depth <= 8 else f"{'  ' * 8}({depth}) "


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _room(console: Console, taken: int) -> int:
    """Characters that a value may take where `taken` columns are not its own; the count of all comes within them."""
    return VALUE_LINES * max(20, console.width - taken) - 10


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
