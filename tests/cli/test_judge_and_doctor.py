"""`coderlplus judge` and `coderlplus doctor`: files in, files out; nothing judged is lost; bad input is one clear
sentence."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coderlplus.cli import app
from coderlplus.errors import ConfigError, DataError, SandboxError
from coderlplus.records import CallTest, Limits, Problem, Rollout, Verdict, read_jsonl, write_jsonl
from coderlplus.sandbox import Sandbox

Run = Callable[..., Result]
PROBLEM = Problem(problem_id="p", statement="Twice.", entry_point="f", tests=(CallTest((1,), 2),))
PROGRAMS = [Rollout(rollout_id=str(i), problem_id="p", program=f"def f(n): return n * {i}") for i in range(4)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    write_jsonl("problems.jsonl", [PROBLEM])
    write_jsonl("programs.jsonl", PROGRAMS)

    def run(*options: str) -> Result:
        result = CliRunner().invoke(
            app, ["judge", "problems.jsonl", "programs.jsonl", "-o", "verdicts.jsonl", "--workers", "1", *options]
        )
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def verdicts() -> dict[str, str]:
    return {verdict.rollout_id: verdict.verdict for verdict in read_jsonl("verdicts.jsonl", Verdict)}


def test_every_program_gets_a_verdict_and_the_summary_counts_them(run: Run) -> None:
    result = run()
    assert verdicts() == {"0": "wrong_answer", "1": "wrong_answer", "2": "passed", "3": "wrong_answer"}
    assert "wrong_answer" in result.stdout
    assert "75.0%" in result.stdout


def test_json_summary(run: Run) -> None:
    summary = json.loads(run("--json").stdout)
    assert (summary["programs"], summary["verdicts"]) == (4, {"passed": 1, "wrong_answer": 3})


def test_all_tests_are_run_on_request(run: Run) -> None:
    write_jsonl(
        "problems.jsonl",
        [Problem(problem_id="p", statement="", entry_point="f", tests=tuple(CallTest((n,), n) for n in (1, 0, 2, 0)))],
    )
    run("--all-tests")
    assert [
        verdict.tests_passed for verdict in sorted(read_jsonl("verdicts.jsonl", Verdict), key=lambda v: v.rollout_id)
    ] == [2, 4, 2, 2]


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_the_same_command_judges_the_rest(run: Run, options: list[str]) -> None:
    run()
    kept = Verdict(rollout_id="0", problem_id="p", verdict="time_limit", tests_passed=0, tests_total=1)
    write_jsonl("verdicts.jsonl", [kept])
    with Path("verdicts.jsonl").open("a") as file:
        file.write('{"rollout_id": "1", "prob')
    assert "continuing verdicts.jsonl: 1 of 4 programs judged already" in run(*options).stderr
    assert verdicts() == {"0": "time_limit", "1": "wrong_answer", "2": "passed", "3": "wrong_answer"}


def test_a_program_without_a_problem(run: Run) -> None:
    write_jsonl("programs.jsonl", [Rollout(rollout_id="r", problem_id="q", program="x")])
    with pytest.raises(
        DataError, match=r"programs.jsonl:1: rollout 'r' is of problem 'q', which problems.jsonl does not have"
    ):
        run()


@pytest.mark.parametrize("name", ["problems.jsonl", "programs.jsonl"])
def test_a_broken_line_is_named_with_its_file_and_number(run: Run, name: str) -> None:
    with Path(name).open("a") as file:
        file.write('{"problem_id": "z", ')
    result = run()
    assert result.exit_code == 1
    assert re.search(rf"left out: {name}:[25]: not valid JSON", result.stderr)
    assert len(verdicts()) == len(PROGRAMS)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tests", [], "problem 'p' has no tests"),
        ("tests", [{"kind": "prayer"}], "unknown test kind 'prayer'; use 'stdio', 'call' or 'check'"),
        ("tests", [3], "a test must be an object, not '3'"),
        ("tests", [{"kind": "call", "args": 3, "expected": 1}], "field 'args' must be list, not int 3"),
        ("checker", "fuzzy", "problem 'p' has the checker 'fuzzy'; known here are values, strict, unordered"),
        ("checker", {"name": "c", "code": "x = 1"}, "the checker 'c' does not define check"),
        ("limits", {"memory_mb": 0.5}, "limit memory_mb must be a whole number above 0, not float 0.5"),
        ("entry_point", None, "problem 'p' has call or check tests but no entry_point"),
    ],
)
def test_a_bad_problem(run: Run, field: str, value: object, message: str) -> None:
    good = json.dumps(PROBLEM.to_json() | {"problem_id": "good"})
    Path("problems.jsonl").write_text(good + "\n" + json.dumps(PROBLEM.to_json() | {field: value}) + "\n")
    with pytest.raises(DataError, match=f"^problems.jsonl:2: {re.escape(message)}"):
        run()
    assert not Path("verdicts.jsonl").exists()


def test_a_bad_program(run: Run) -> None:
    Path("programs.jsonl").write_text(json.dumps({"rollout_id": "r", "problem_id": "p", "program": 3}) + "\n")
    with pytest.raises(DataError, match=r"^programs.jsonl:1: the program of rollout 'r' must be text, not int"):
        run()


def test_a_broken_line_changes_nothing(run: Run) -> None:
    run()
    Path("verdicts.jsonl").write_text('{"rollout_id": "1"\n{"rollout')
    with pytest.raises(DataError, match=r"^verdicts.jsonl:1: not a line of this file \("):
        run()
    assert Path("verdicts.jsonl").read_text() == '{"rollout_id": "1"\n{"rollout'


def test_programs_without_a_verdict_end_with_an_error_and_are_judged_again(run: Run) -> None:
    fragile = {"name": "fragile", "code": "def check(given, answer, expected): return 1 / (answer - 3) > 0"}
    given = {"checker": fragile, "tests": [{"kind": "call", "args": [1], "expected": 3}]}
    Path("problems.jsonl").write_text(json.dumps(PROBLEM.to_json() | given) + "\n")
    with pytest.raises(
        SandboxError,
        match=r"1 program without a verdict, the first is '3': the checker 'fragile' of problem 'p' raised Zero",
    ):
        run()
    assert verdicts() == {"0": "wrong_answer", "1": "wrong_answer", "2": "wrong_answer", "3": "sandbox_fault"}
    with Path("verdicts.jsonl").open() as file:
        kept = [line for line in file if "sandbox_fault" not in line]
    with pytest.raises(SandboxError, match="rerun the command to judge again"):
        run()
    with Path("verdicts.jsonl").open() as file:
        assert [line for line in file if "sandbox_fault" not in line] == kept
    assert verdicts()["3"] == "sandbox_fault"


def test_public_formats_are_read_directly(run: Run) -> None:
    row = {
        "question_id": "1",
        "question_content": "Echo.",
        "starter_code": "",
        "public_tests": [{"input": "a", "output": "a", "testtype": "stdin"}],
    }
    row["model_solutions"] = [{"model": "m", "code": "print(input())", "lcb_passed": True}]
    Path("lcb.jsonl").write_text(json.dumps(row) + "\n")
    CliRunner().invoke(
        app, ["judge", "lcb.jsonl", "lcb.jsonl", "-o", "v.jsonl", "--workers", "1"], catch_exceptions=False
    )
    assert [verdict.verdict for verdict in read_jsonl("v.jsonl", Verdict)] == ["passed"]


def test_an_output_that_cannot_be_written(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"cannot write /nonexistent/v\.jsonl: its folder does not exist; create it"):
        run("-o", "/nonexistent/v.jsonl")
    with pytest.raises(DataError, match=r"cannot write \.: Is a directory"):
        run("-o", ".")


@pytest.fixture
def powerless(tmp_path: Path) -> Iterator[None]:
    """May write nothing in the current folder, also where the tests run as root."""
    tmp_path.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield
    if is_root:
        os.seteuid(0)
    tmp_path.chmod(0o755)


def test_no_permission_to_write(run: Run, powerless: None) -> None:
    with pytest.raises(DataError, match=r"^cannot write verdicts.jsonl: Permission denied"):
        run()


def test_no_permission_to_read(run: Run, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    Path("programs.jsonl").chmod(0o000)
    request.getfixturevalue("powerless")
    with pytest.raises(DataError, match=r"^cannot read programs.jsonl: Permission denied"):
        run()


def test_a_full_disk(run: Run) -> None:
    with pytest.raises(DataError, match="cannot write /dev/full: No space left on device"):
        run("-o", "/dev/full")


def test_an_interrupted_run_keeps_what_was_judged_and_goes_on(run: Run) -> None:
    sleepy = "import time\ndef f(n):\n    time.sleep(60)"
    write_jsonl("programs.jsonl", [*PROGRAMS, Rollout(rollout_id="z", problem_id="p", program=sleepy)])
    Path("problems.jsonl").write_text(json.dumps(PROBLEM.to_json() | {"limits": Limits(wall_s=100).to_json()}) + "\n")
    arguments = ["judge", "problems.jsonl", "programs.jsonl", "-o", "verdicts.jsonl", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from coderlplus.cli import main; main()", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not Path("verdicts.jsonl").exists() or Path("verdicts.jsonl").read_text().count("\n") < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"judging: stopped at 4 of {len(PROGRAMS) + 1}" in said
    assert "rerun the command to resume" in said
    assert len(verdicts()) == 4


def test_doctor_says_what_programs_see_without_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    class Contained(Sandbox):
        def __enter__(self) -> Contained:
            self.missing = {"namespaces": "Operation not permitted"}
            return self

    monkeypatch.setattr(importlib.import_module("coderlplus.cli.doctor"), "Sandbox", Contained)
    result = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert "programs can see which processes and files exist" in " ".join(result.stdout.split())


def test_doctor_lists_every_layer() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    facts = json.loads(result.stdout)
    assert set(facts["sandbox"]) == {
        "rlimits",
        "no_new_privs",
        "death_signal",
        "capabilities",
        "landlock",
        "seccomp",
        "namespaces",
    }
    assert (result.exit_code == 0) == all(
        state == "in force" for layer, state in facts["sandbox"].items() if layer != "namespaces"
    )
