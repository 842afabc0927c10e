"""`coderlplus judge` and `coderlplus doctor`: files in, files out; nothing judged is lost; bad input is one clear sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coderlplus.cli import app
from coderlplus.errors import DataError
from coderlplus.records import CallTest, Limits, Problem, Rollout, Verdict, read_jsonl, write_jsonl

Run = Callable[..., Result]
PROBLEM = Problem(problem_id="p", statement="Twice.", entry_point="f", tests=(CallTest((1,), 2),))
PROGRAMS = [Rollout(rollout_id=str(i), problem_id="p", program=f"def f(n): return n * {i}") for i in range(4)]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    write_jsonl("problems.jsonl", [PROBLEM])
    write_jsonl("programs.jsonl", PROGRAMS)

    def run(*options: str) -> Result:
        result = CliRunner().invoke(app, ["judge", "problems.jsonl", "programs.jsonl", "-o", "verdicts.jsonl", "--workers", "1", *options])
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


def test_resume_judges_the_rest(run: Run) -> None:
    kept = Verdict(rollout_id="0", problem_id="p", verdict="time_limit", tests_passed=0, tests_total=1)
    write_jsonl("verdicts.jsonl", [kept])
    with Path("verdicts.jsonl").open("a") as file:
        file.write('{"rollout_id": "1", "prob')
    run("--resume")
    assert verdicts() == {"0": "time_limit", "1": "wrong_answer", "2": "passed", "3": "wrong_answer"}


def test_resume_does_not_take_the_verdicts_of_other_programs(run: Run) -> None:
    write_jsonl("verdicts.jsonl", [Verdict(rollout_id="x", problem_id="p", verdict="passed", tests_passed=1, tests_total=1)])
    with pytest.raises(DataError, match=r"verdicts.jsonl has a verdict on 'x', which is not in programs.jsonl"):
        run("--resume")


def test_a_program_without_a_problem(run: Run) -> None:
    write_jsonl("programs.jsonl", [Rollout(rollout_id="r", problem_id="q", program="x")])
    with pytest.raises(DataError, match=r"programs.jsonl: rollout 'r' is of problem 'q', which the problems file does not have"):
        run()


@pytest.mark.parametrize("name", ["problems.jsonl", "programs.jsonl"])
def test_a_broken_line_is_named_with_its_file_and_number(run: Run, name: str) -> None:
    with Path(name).open("a") as file:
        file.write('{"problem_id": "z", ')
    with pytest.raises(DataError, match=rf"{name}:[25]: not valid JSON"):
        run()


def test_a_problem_without_tests(run: Run) -> None:
    data = PROBLEM.to_json() | {"tests": []}
    Path("problems.jsonl").write_text(json.dumps(data) + "\n")
    with pytest.raises(DataError, match=r"problems.jsonl:1: problem 'p' has no tests"):
        run()


def test_an_output_that_cannot_be_written(run: Run) -> None:
    with pytest.raises(DataError, match=r"cannot write /nonexistent/v\.jsonl: No such file or directory"):
        run("-o", "/nonexistent/v.jsonl")


def test_a_full_disk(run: Run) -> None:
    with pytest.raises(DataError, match="cannot write /dev/full: No space left on device"):
        run("-o", "/dev/full")


def test_an_interrupted_run_keeps_what_was_judged_and_goes_on(run: Run) -> None:
    sleepy = "import time\ndef f(n):\n    time.sleep(60)"
    write_jsonl("programs.jsonl", [*PROGRAMS, Rollout(rollout_id="z", problem_id="p", program=sleepy)])
    Path("problems.jsonl").write_text(json.dumps(PROBLEM.to_json() | {"limits": Limits(wall_s=100).to_json()}) + "\n")
    arguments = ["judge", "problems.jsonl", "programs.jsonl", "-o", "verdicts.jsonl", "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-c", "from coderlplus.cli import main; main()", *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not Path("verdicts.jsonl").exists() or Path("verdicts.jsonl").read_text().count("\n") < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(verdicts()) == 4


def test_doctor_lists_every_layer() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    facts = json.loads(result.stdout)
    assert set(facts["sandbox"]) == {"rlimits", "no_new_privs", "death_signal", "capabilities", "landlock", "seccomp", "namespaces"}
    assert (result.exit_code == 0) == all(state == "in force" for layer, state in facts["sandbox"].items() if layer != "namespaces")
