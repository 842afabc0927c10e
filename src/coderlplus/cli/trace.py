"""`coderlplus trace`: run one program and show what it did."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from coderlplus import syntax
from coderlplus.alignment import score_answer
from coderlplus.cli.failed import read_failed
from coderlplus.cli.options import BACKEND, Address, BackEndName
from coderlplus.errors import ConfigError, DataError
from coderlplus.judge import Judge
from coderlplus.problems import read_tasks
from coderlplus.programs.names import names_bound
from coderlplus.records import AlignmentTask, CallInput, Limits, ProgramInput, StdioInput
from coderlplus.report import write_trace
from coderlplus.report.trace_page import outcome_of
from coderlplus.report.trace_text import print_answer, print_outcome, print_steps, print_variables
from coderlplus.sandbox import values
from coderlplus.sandbox.backends import open_sandbox
from coderlplus.terminal import console, shown
from coderlplus.tracing import TraceRequest, trace_many

SEMANTICS = ("final", "binding", "official")
MAX_STEPS = 5000
"""Steps of a run that are recorded for `--steps` and `--html`."""


def trace(
    program: Annotated[
        Path | None, typer.Argument(help="A Python program; - reads it from standard input.", show_default=False)
    ] = None,
    stdin: Annotated[
        Path | None,
        typer.Option(
            help="File passed to the program as standard input; - passes the command's own.", show_default=False
        ),
    ] = None,
    call: Annotated[
        str | None,
        typer.Option(help="Call to trace after loading the program, e.g. 'f(3)' or 'Solution().f([1, 2])'."),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Alignment task to trace: FILE, or FILE:2 for its second task.")
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            "--verdict",
            "--sample",
            help="Failed sample to trace, on the input on which it failed: FILE, FILE:3 or FILE:NAME; verdicts of "
            "judge or eval, samples.jsonl of a run, or programs with --problems.",
        ),
    ] = None,
    problems: Annotated[
        Path | None, typer.Option(help="Problems of a --verdict FILE that holds programs and no verdicts.")
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="A model's answer to the task (text or file), shown beside the true values.")
    ] = None,
    semantics: Annotated[str, typer.Option(help="final, binding or official; see docs/tracing.md.")] = "final",
    cpu_s: Annotated[float, typer.Option(help="CPU time limit of a run, in seconds.", min=0.01)] = Limits().cpu_s,
    backend: BackEndName = BACKEND,
    address: Address = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the trace as one JSON object.")] = False,
    steps: Annotated[
        bool, typer.Option("--steps", help=f"Show the run step by step (at most {MAX_STEPS:,} steps).")
    ] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write an HTML page that steps through the run.", show_default=False)
    ] = None,
) -> None:
    """Run a program in the sandbox and show the values of its variables."""
    if semantics not in SEMANTICS:
        raise ConfigError(f"unknown --semantics {semantics!r}; use {', '.join(SEMANTICS)}")
    if html is not None and html.is_dir():
        raise ConfigError(f"cannot write {html}: it is a folder; name a file with --html")
    if verdict is not None and (program is not None or task is not None):
        raise ConfigError("a program, --task and --verdict exclude each other; name one")
    if problems is not None and verdict is None:
        raise ConfigError("--problems are those of --verdict FILE; add that, or leave --problems out")
    failed = None if verdict is None else read_failed(verdict, problems)
    asked = read_task(task) if task is not None else None if failed is None else failed.task
    said = _answer(answer) if answer is not None else None if failed is None else failed.answer
    limits = Limits(cpu_s=cpu_s)
    if failed is not None and failed.input is not None:
        if stdin is not None or call is not None:
            raise ConfigError("--verdict has its own program and input; drop --stdin and --call")
        source, given, title, setup_code = failed.program, failed.input, failed.name, failed.setup_code
        limits = replace(failed.limits, cpu_s=cpu_s)
    elif asked is None:
        if said is not None:
            raise ConfigError("--answer needs the task: add --task FILE")
        if program is None:
            raise ConfigError("name a program to trace, or a task with --task, or a failed sample with --verdict")
        if str(program) == str(stdin) == "-":
            raise ConfigError("program and standard input cannot both be -; name a file for one of them")
        given = _input(stdin, call)
        source, title, setup_code = (
            _program(program),
            "program" if str(program) == "-" else Path(str(program)).name,
            "",
        )
    else:
        if program is not None or stdin is not None or call is not None:
            raise ConfigError("--task has its own program and input; drop the program, --stdin and --call")
        source, given, title, setup_code = asked.program, asked.input, f"task {asked.task_id}", asked.setup_code
    request = TraceRequest(
        program=source,
        input=given,
        setup_code=setup_code,
        limits=limits,
        semantics=semantics,  # type: ignore[arg-type]
        max_steps=MAX_STEPS if steps or html is not None else 0,
    )
    with Console(stderr=True).status("tracing"), open_sandbox(backend, workers=1, address=address) as sandbox:
        (result,) = trace_many(sandbox, [request])
        scored = None if asked is None or said is None else score_answer(asked, said, judge=Judge(sandbox))
    if result.ending.kind == "syntax_error":
        place = f", line {result.ending.line}" if result.ending.line else ""
        raise DataError(f"{title}{place}: {result.ending.message or 'syntax error'}; only valid Python can be traced")
    if call is not None and result.ending.type in ("NameError", "AttributeError"):
        _check_defined(source, given, title)
    outcome = None if failed is None or failed.verdict is None else outcome_of(result, failed.verdict, failed.expected)
    if html is not None:
        write_trace(result, html, title=title, task=asked, answer=said, outcome=outcome, scored=scored)
        print(shown(str(html)), file=sys.stderr if as_json or steps else sys.stdout)
    if as_json:
        print(json.dumps(result.to_json()))
        return
    if html is not None and not steps:
        return
    out = console(soft_wrap=False)
    if asked is not None:
        print_answer(asked, said, out, scored)
    (print_steps if steps else print_variables)(result, out)
    if outcome is not None:
        print_outcome(outcome, out)


def parse_call(text: str) -> CallInput:
    """The call that a text like `f(3, key=[1])` or `Solution().f(3)` writes, with literal arguments. Raises
    `ConfigError` for anything else.

    >>> parse_call("Solution().f((1, 2), n=3)")
    CallInput(entry_point='Solution().f', args=({'$tuple': [1, 2]},), kwargs={'n': 3})
    """
    try:
        node = syntax.parse_expression(text.strip()).body
        if not isinstance(node, ast.Call):
            raise ValueError("it is not a call")
        entry_point = ast.unparse(node.func)
        method = entry_point.removeprefix("Solution().")
        if not method.isidentifier():
            raise ValueError("only a function or a method of Solution() can be called")
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("arguments cannot be unpacked")
        args = tuple(values.encode(_literal(argument)) for argument in node.args)
        kwargs = {str(keyword.arg): values.encode(_literal(keyword.value)) for keyword in node.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ConfigError(
            f"cannot call {text!r} ({reason}); write a call with literal arguments, like 'f(3)' or "
            "'Solution().f([1, 2])'"
        ) from error
    return CallInput(entry_point, args, kwargs)


def _check_defined(program: str, call: ProgramInput, title: str) -> None:
    """Raises `ConfigError` where a program binds the called name nowhere."""
    assert isinstance(call, CallInput)
    tree = syntax.parse(program)
    defined = [one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    name = call.entry_point.removeprefix("Solution().")
    known = {*defined, *names_bound(tree)}
    if name not in known or (name != call.entry_point and "Solution" not in names_bound(tree)):
        what = f"it defines {', '.join(dict.fromkeys(defined))}" if defined else "it defines no function"
        raise ConfigError(f"{title} has no {call.entry_point} to call; {what}")


def read_task(place: str) -> AlignmentTask:
    """The task that `FILE` (its first) or `FILE:n` (its n-th, from 1) names. Raises `DataError` if there is
    none."""
    name, _, number = place.rpartition(":")
    if Path(place).exists() or not name or not number.isdecimal():
        name, number = place, "1"
    for count, task in enumerate(read_tasks(Path(name)), 1):
        if count == int(number):
            return task
    raise DataError(f"{name} has no task number {number}; name an existing one, like {name}:1")


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{ast.unparse(node)} is not a literal") from None


def _program(path: Path) -> str:
    if path.suffix in (".jsonl", ".json", ".parquet", ".gz"):
        raise ConfigError(
            f"{path} is no program; trace a sample in it with --verdict {path}, a task with --task {path}"
        )
    return _read(path).removeprefix("\ufeff")


def _input(stdin: Path | None, call: str | None) -> ProgramInput:
    if stdin is not None and call is not None:
        raise ConfigError("--stdin and --call exclude each other: a program either reads its input or is called")
    if call is not None:
        return parse_call(call)
    if stdin is None:
        raise ConfigError(
            "the program needs an input: --stdin FILE (/dev/null for none), or --call 'f(3)' to call one of its "
            "functions"
        )
    return StdioInput(_read(stdin))


def _answer(text_or_file: str) -> str:
    try:
        is_file = Path(text_or_file).is_file()
    except (OSError, ValueError):  # no name that a file can have
        is_file = False
    return _read(Path(text_or_file)) if is_file else text_or_file


def _read(path: Path) -> str:
    """The text of a file, with its line ends as they are; - is our own standard input."""
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        return data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {path}: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8 text'}"
        ) from error
