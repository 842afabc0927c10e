"""`coderlplus trace`: run one program and show the values that its variables had."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from coderlplus.errors import ConfigError, DataError
from coderlplus.records import CallInput, Limits, ProgramInput, StdioInput, Trace
from coderlplus.sandbox import Sandbox, values
from coderlplus.tracing import trace as trace_program

_SEMANTICS = ("final", "binding", "official")


def trace(
    program: Annotated[Path, typer.Argument(help="A Python program; - reads it from standard input.", show_default=False)],
    stdin: Annotated[Path | None, typer.Option(help="File that the program gets as its standard input (default: none).", show_default=False)] = None,
    call: Annotated[str | None, typer.Option(help="Call to trace after the program has run, e.g. 'f(3)' or 'Solution().f([1, 2])'.")] = None,
    semantics: Annotated[str, typer.Option(help="final, binding or official; see the documentation of tracing.")] = "final",
    cpu_s: Annotated[float, typer.Option(help="CPU time limit of a run, seconds.", min=0.01)] = Limits().cpu_s,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trace as one JSON object.")] = False,
) -> None:
    """Run a program in the sandbox and show the values of its variables."""
    if semantics not in _SEMANTICS:
        raise ConfigError(f"unknown semantics {semantics!r}; use {', '.join(_SEMANTICS)}")
    if stdin is not None and call is not None:
        raise ConfigError("--stdin and --call exclude each other: a program either reads its input or is called")
    given: ProgramInput = StdioInput(_read(stdin)) if stdin is not None else StdioInput("") if call is None else parse_call(call)
    source = sys.stdin.read() if str(program) == "-" else _read(program)
    with Sandbox(workers=1) as sandbox:
        result = trace_program(sandbox, source, given, limits=Limits(cpu_s=cpu_s), semantics=semantics)  # type: ignore[arg-type]
    if as_json:
        print(json.dumps(result.to_json()))
    else:
        _print(result, Console())


def parse_call(text: str) -> CallInput:
    """The call that a text like `f(3, key=[1])` or `Solution().f(3)` writes, with literal arguments. Raises `ConfigError` for anything else.

    >>> parse_call("Solution().f((1, 2), n=3)")
    CallInput(entry_point='Solution().f', args=({'$tuple': [1, 2]},), kwargs={'n': 3})
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if not isinstance(node, ast.Call):
            raise ValueError("it is no call")
        entry_point = ast.unparse(node.func)
        method = entry_point.removeprefix("Solution().")
        if not method.isidentifier():
            raise ValueError("only a function or a method of Solution() can be called")
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("arguments cannot be unpacked")
        args = tuple(values.encode(ast.literal_eval(argument)) for argument in node.args)
        kwargs = {str(keyword.arg): values.encode(ast.literal_eval(keyword.value)) for keyword in node.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ConfigError(f"cannot call {text!r} ({error}); write a call with literal arguments, like 'f(3)' or 'Solution().f([1, 2])'") from error
    return CallInput(entry_point, args, kwargs)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8 text'}") from error


def _print(result: Trace, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("scope", "variable", "value"):
        table.add_column(column, overflow="fold")
    for scope, names in result.variables.items():
        for position, (name, value) in enumerate(names.items()):
            table.add_row(Text("" if position else scope, "dim"), Text(name, "cyan"), Text(values.to_source(value)))
    console.print(table if result.variables else Text("no variables", "dim"))
    if result.output:
        console.print(Text("\noutput", "bold"))
        console.print(Text(result.output.rstrip("\n")))
    ending = result.ending
    if ending.kind == "finished" and isinstance(result.input, CallInput):
        console.print(Text.assemble(("\nreturned ", "bold"), values.to_source(result.value)))
    told = ": ".join(part for part in (ending.kind.replace("_", " "), ending.type, ending.message) if part)
    console.print(Text.assemble(("\nended ", "bold"), told, f" (line {ending.line})" if ending.line else ""))
    if not result.deterministic:
        console.print(Text("two runs differ: chance or time plays a part, so no task would be made of this program", "yellow"))
