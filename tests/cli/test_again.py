"""Running a command again: one writer, an interrupted command resumes, finished work stays, and progress in a log."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coderlplus import progress
from coderlplus.cli import app
from coderlplus.errors import ConfigError, DataError
from coderlplus.records import AlignmentTask, CallInput, CallTest, Limits, Problem, Rollout, Target, write_jsonl
from coderlplus.records.files import held

JUDGED = ["problems.jsonl", "programs.jsonl", "--json", "-o", "out.jsonl"]
COMMANDS = {
    "judge": ["judge", *JUDGED],
    "tasks": ["tasks", *JUDGED],
    "prepare": ["prepare", "problems.jsonl", "--benchmarks", "none", "--json", "-o", "out.jsonl"],
    "score": ["score", "tasks.jsonl", "answers.jsonl", "--json", "-o", "out.jsonl"],
    "eval": ["eval", "--samples", "samples.jsonl", "--benchmarks", "problems.jsonl", "--json", "-o", "out"],
}
OTHER_INPUT = {
    "judge": "programs.jsonl",
    "tasks": "programs.jsonl",
    "prepare": "problems.jsonl",
    "score": "answers.jsonl",
    "eval": "samples.jsonl",
}
FILES = {name: arguments for name, arguments in COMMANDS.items() if name != "eval"}
every = pytest.mark.parametrize("command", COMMANDS)
every_file = pytest.mark.parametrize("command", FILES)


def write_inputs(limits: Limits | None = None, program: str = "def f(x):\n    y = x * 2\n    return y") -> None:
    problems = [
        Problem(
            problem_id=f"p{n}",
            statement=f"Write f that adds {n} to the number {n}.",
            entry_point="f",
            tests=(CallTest((1,), 1 + n), CallTest((5,), 5 + n)),
            reference=f"def f(x):\n    return x + {n}",
            limits=limits or Limits(),
        )
        for n in range(1, 5)
    ]
    rollouts = [Rollout(rollout_id=f"r{n}", problem_id=f"p{n}", program=program) for n in range(1, 5)]
    write_jsonl("problems.jsonl", problems)
    write_jsonl("programs.jsonl", rollouts)
    lines = [{"task_id": f"p{n}", "solution": program} for n in range(1, 5)]
    tasks = [
        AlignmentTask(
            task_id=f"p{n}",
            kind="output",
            prompt="What does f(1) return?",
            program=program,
            input=CallInput("f", (1,)),
            targets=(Target(label="output", value=2),),
            problem_id=f"p{n}",
            rollout_id=f"r{n}",
        )
        for n in range(1, 5)
    ]
    write_jsonl("tasks.jsonl", tasks)
    answers = [{"task_id": f"p{n}", "answer": '{"output": 2}'} for n in range(1, 5)]
    Path("answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in answers))
    Path("samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(autouse=True)
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_inputs()


def run(command: str, *options: str) -> Result:
    result = CliRunner().invoke(app, [*COMMANDS[command], *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def output(command: str) -> Path:
    return Path(COMMANDS[command][-1])


def contents(command: str) -> dict[str, bytes]:
    """The files that hold work."""
    path = output(command)
    files = [path] if path.is_file() else path.rglob("*.jsonl")
    return {str(file): file.read_bytes() for file in files}


@every
def test_a_second_writer_is_told_who_writes_and_changes_nothing(command: str) -> None:
    run(command)
    before = contents(command)
    with (
        held(output(command)),
        pytest.raises(DataError, match=rf"is being written by process {os.getpid()} on .*; wait until it ends"),
    ):
        run(command, "--overwrite")
    assert contents(command) == before


@every
def test_the_same_command_makes_nothing_twice(command: str) -> None:
    first = run(command)
    before = contents(command)
    second = run(command)
    assert re.search(r"is complete; use --overwrite|completions exist", second.stderr)
    assert contents(command) == before
    numbers = [json.loads(one.stdout) for one in (first, second)]
    if command == "eval":
        numbers = [one["benchmarks"]["problems"]["pass@1"] for one in numbers]
    assert numbers[0] == numbers[1]


@every
def test_changed_input_is_noticed(command: str) -> None:
    run(command)
    before = contents(command)
    path = Path(OTHER_INPUT[command])
    path.write_text(path.read_text() + path.read_text().splitlines()[0].replace("p1", "p2").replace("r1", "r9") + "\n")
    with pytest.raises(ConfigError, match=r"was (made|started) with \w+ .* not .*(-o|--overwrite)"):
        run(command)
    assert contents(command) == before


@every_file
def test_only_overwrite_replaces_finished_work_and_files_of_others(command: str) -> None:
    whole = run(command)
    output(command).write_text("of somebody else\n")
    Path("out.jsonl.run.json").unlink()
    with pytest.raises(ConfigError, match=r"out.jsonl exists already and out.jsonl.run.json does not say how"):
        run(command)
    assert output(command).read_text() == "of somebody else\n"
    again = run(command, "--overwrite")
    drop = {"seconds", "cpu_s", "peak_memory_mb"}
    one, other = ({k: v for k, v in json.loads(each.stdout).items() if k not in drop} for each in (whole, again))
    assert one == other


@every
def test_overwrite_makes_it_anew_also_of_other_input(command: str) -> None:
    run(command)
    path = Path(OTHER_INPUT[command])
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:3]))
    result = run(command, "--overwrite")
    assert "is finished" not in result.stderr
    made = [line for file in contents(command).values() for line in file.splitlines()]
    assert made
    assert not re.search(r"is finished|were made|was started", result.stderr)
    again = run(command)
    assert re.search(r"is complete; use --overwrite|completions exist", again.stderr)


def test_the_page_of_an_evaluation_is_written_before_another_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    from coderlplus.cli import eval as eval_command

    seen: list[bool] = []

    def page(folder: Path) -> Path:
        seen.append((folder / ".lock").exists())
        return folder

    monkeypatch.setattr(eval_command, "write_eval_page", page)
    run("eval")
    assert seen == [True]


@every
def test_without_a_terminal_progress_is_lines_on_stderr(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    result = run(command)
    json.loads(result.stdout)
    lines = [line for line in result.stderr.splitlines() if re.match(r"[\w:. -]+: (stopped at )?\d+ of \d+", line)]
    assert re.search(r": 0 of 4$", lines[0])
    assert len(lines) > (1 if command == "score" else 2)  # scoring is over at once
    assert re.search(r": (\d+) of \1 in \d+:\d\d", lines[-1])
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize("gap_s", [0.0, 0.05, 0.5])
def test_a_second_interrupt_ends_it_with_the_same_sentence_and_exit_code(gap_s: float) -> None:
    write_inputs(Limits(wall_s=100), "import time\ndef f(x):\n    time.sleep(60)")
    command = [sys.executable, "-m", "coderlplus", *COMMANDS["judge"]]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        while "0 of 4" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        time.sleep(gap_s)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "rerun the command to resume" in rest
    assert "Traceback" not in rest


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("command", ["judge", "tasks", "eval"])
def test_interrupted_it_says_how_to_continue_and_its_lock_is_no_lock(command: str, end: int) -> None:
    write_inputs(Limits(wall_s=100), "import time\ndef f(x):\n    time.sleep(60)")
    process = subprocess.Popen(
        [sys.executable, "-c", "from coderlplus.cli import main; main()", *COMMANDS[command]],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    lock = output(command) / ".lock" if command == "eval" else Path("out.jsonl.lock")
    said = ""
    assert process.stderr is not None
    while "0 of 4" not in said:  # it works now
        line = process.stderr.readline()
        assert line
        said += line
    assert lock.read_text().startswith(f"process {process.pid} on ")
    time.sleep(0.2)
    process.send_signal(end)
    _, rest = process.communicate(timeout=60)
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert "rerun the command to resume" in rest
    with held(output(command)):
        pass
    assert not lock.exists()


@every
def test_an_empty_output_of_a_try_that_failed_does_not_block_the_next(command: str) -> None:
    expected = run(command)
    made = [path.relative_to(output(command).parent) for path in [output(command), *output(command).rglob("*")]]
    for path in [output(command), *output(command).parent.glob("out.*")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in made:  # as a full disk leaves them
        if path.suffix == ".jsonl":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    again = run(command)
    assert again.exit_code == expected.exit_code
    assert contents(command)


@pytest.mark.parametrize(
    "arguments",
    [
        ["trace", "program.py", "--call", "f(1)", "--html", "page.html"],
        ["report", "out", "-o", "page.html"],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_an_empty_page_is_written_over(arguments: list[str]) -> None:
    run("eval")
    Path("program.py").write_text("def f(x):\n    return x\n")
    Path("page.html").touch()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "<html" in Path("page.html").read_text()
