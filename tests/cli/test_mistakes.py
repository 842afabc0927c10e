"""Ordinary mistakes on the command line: one sentence with the value and the way out, exit code 2, nothing lost."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer

from coderlplus import cli
from coderlplus.errors import ConfigError
from coderlplus.evaluation.evaluate import evaluate
from coderlplus.preparation.run import Settings, prepare
from coderlplus.records import AlignmentTask, CallInput, CallTest, Problem, Rollout, Target, write_jsonl
from coderlplus.report import html
from coderlplus_lab import cli as lab

Call = Callable[..., str]
PROBLEM = Problem(problem_id="p", statement="Double x.", entry_point="f", tests=(CallTest((2,), 4),))
TASK = AlignmentTask(
    task_id="t",
    kind="output",
    prompt="?",
    program="def f(x):\n    return x",
    input=CallInput("f", (1,)),
    targets=(Target(label="output", value=1),),
    problem_id="p",
    rollout_id="r",
)


@pytest.fixture
def mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command that is a mistake, and returns the sentence."""
    monkeypatch.chdir(tmp_path)
    write_jsonl("problems.jsonl", [PROBLEM])
    write_jsonl("programs.jsonl", [Rollout(rollout_id="r", problem_id="p", program="def f(x):\n    return x")])
    write_jsonl("tasks.jsonl", [TASK])
    Path("answers.jsonl").write_text('{"task_id": "t", "answer": "1"}\n')
    Path("prog.py").write_text("def f(x):\n    return x\n")

    def call(*arguments: str, main: Callable[[], None] = cli.main) -> str:
        monkeypatch.setattr(sys, "argv", ["coderlplus", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        told = capsys.readouterr()
        assert end.value.code == 2
        assert told.out == ""
        assert re.fullmatch(r"error: .*\n", told.err)
        return told.err

    return call


def numbers(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The options of all commands that are numbers, each behind its command."""
    for name, command in group.commands.items():
        hints = get_type_hints(inspect.unwrap(command.callback))
        for option in command.params:
            if not command.hidden and {int, float} & {hints.get(option.name), *get_args(hints.get(option.name))}:
                yield (*path, name, option.opts[0])
        if hasattr(command, "commands"):
            yield from numbers(command, (*path, name))


NUMBERS = [
    *((cli.main, option) for option in numbers(typer.main.get_command(cli.app))),
    *((lab.main, option) for option in numbers(typer.main.get_command(lab.app))),
]


@pytest.mark.parametrize(
    ("main", "option"), NUMBERS, ids=lambda value: " ".join(value) if type(value) is tuple else value.__module__
)
def test_an_option_that_is_no_number_names_the_value(mistake: Call, main: Any, option: tuple[str, ...]) -> None:
    told = mistake(*option, "m4ny", main=main)
    assert option[-1] in told
    assert "not 'm4ny'; see coderlplus" in told


def test_options_of_every_command_were_tried() -> None:
    assert {option[0] for _, option in NUMBERS} >= {"prepare", "judge", "tasks", "serve", "eval", "study", "probe"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("judge problems.jsonl programs.jsonl", "missing option '--output' / '-o'; see coderlplus judge --help"),
        ("judge -o out.jsonl", "missing argument 'problems'; see coderlplus judge --help"),
        (
            "judge problems.jsonl programs.jsonl -o out.jsonl more",
            r"unexpected extra argument.*\(more\); see coderlplus",
        ),
        ("judge problems.jsonl programs.jsonl -o out.jsonl --alltests", "no such option: --alltests .*--all-tests"),
        ("judge problems.jsonl programs.jsonl -o out.jsonl --workers 0", "equal to 1, not '0'; see coderlplus judge"),
        ("judge problems.jsonl programs.jsonl -o", "'-o' requires an argument; see coderlplus"),
        ("eval compare a b --frob", "no such option: --frob; see coderlplus eval compare --help"),
        ("frobnicate", "no such command 'frobnicate'; see coderlplus --help"),
        ("train run.yaml --trl.max_steps=5", "no such option: --trl.max_steps; write settings without dashes"),
        ("trace", "name a program to trace, or a task with --task, or a failed sample with --verdict"),
        ("trace prog.py --call f(1) --problems problems.jsonl", "--problems are those of --verdict FILE"),
    ],
)
def test_a_command_that_is_typed_wrongly_is_one_sentence(mistake: Call, arguments: str, sentence: str) -> None:
    assert re.search(sentence, mistake(*arguments.split()))


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            "judge problems.jsonl programs.jsonl -o problems.jsonl",
            "judge problems.jsonl programs.jsonl -o programs.jsonl",
        ),
        *(
            "tasks problems.jsonl programs.jsonl -o problems.jsonl",
            "tasks problems.jsonl programs.jsonl -o programs.jsonl",
        ),
        *("score tasks.jsonl answers.jsonl -o tasks.jsonl", "score tasks.jsonl answers.jsonl -o answers.jsonl"),
        "judge problems.jsonl programs.jsonl -o ./here/../problems.jsonl",
        "judge problems.jsonl programs.jsonl -o link.jsonl",
    ],
)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["", "overwrite"])
def test_no_output_replaces_an_input(mistake: Call, arguments: str, overwrite: list[str]) -> None:
    Path("here").mkdir()
    Path("link.jsonl").symlink_to("problems.jsonl")
    before = {path: path.read_bytes() for path in Path().glob("*.jsonl")}
    assert "which is an input; use another one with -o" in mistake(*arguments.split(), *overwrite)
    assert {path: path.read_bytes() for path in Path().glob("*.jsonl")} == before


@pytest.mark.usefixtures("mistake")
def test_neither_does_what_prepare_and_eval_write() -> None:
    nothing: Any = None
    with pytest.raises(ConfigError, match="which is an input"):
        prepare(
            [Path("problems.jsonl")],
            Path("problems.jsonl"),
            sandbox=nothing,
            settings=Settings(),
            texts=nothing,
            benchmarks={},
            overwrite=True,
        )
    Path("scores/problems").mkdir(parents=True)
    samples = Path("programs.jsonl").rename("scores/problems/samples.jsonl")
    with pytest.raises(ConfigError, match="which is an input"):
        evaluate(None, ["problems.jsonl"], samples=samples, output="scores", overwrite=True)
    assert samples.exists()


def test_no_page_replaces_what_is_no_page(mistake: Call) -> None:
    told = mistake("trace", "prog.py", "--call", "f(1)", "--html", "prog.py")
    assert "prog.py is no page, and would be replaced by one; use another file with --html" in told
    assert Path("prog.py").read_text().startswith("def f")
    page = html.assemble("trace_page.html", styles=(), scripts=(), data={})
    for _ in range(2):
        html.write(Path("page.html"), page, "-o")


@pytest.mark.parametrize("setting", ["limits", "tests", "statement", "problem_id"])
@pytest.mark.parametrize(("value", "shown"), [(-1, "int -1"), (True, "bool True"), (0.5, "float 0.5"), ({}, "dict")])
def test_a_value_of_a_wrong_type_is_shown(mistake: Call, setting: str, value: Any, shown: str) -> None:
    row = PROBLEM.to_json() | {setting: {"memory_mb": value} if setting == "limits" else value}
    Path("bad.jsonl").write_text(json.dumps(row) + "\n")
    assert f"not {shown}" in mistake("judge", "bad.jsonl", "programs.jsonl", "-o", "out.jsonl")
    assert not Path("out.jsonl").exists()
