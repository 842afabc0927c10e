"""A kind of task, a benchmark and a back end are one file and one line each: here are the lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.toys import toy_backend, toy_benchmark, toy_kind
from typer.testing import CliRunner

import coderlplus as crl
from coderlplus.alignment.kinds import KINDS
from coderlplus.cli import app
from coderlplus.engines.trl.config import make_config
from coderlplus.evaluation.benchmarks import BENCHMARKS
from coderlplus.records import AlignmentTask
from coderlplus.report.samples import predicted
from coderlplus.sandbox.backends import BACKENDS, open_sandbox, tracing_sandbox

PROBLEM = crl.Problem(
    problem_id="p",
    statement="Return the first n squares.",
    entry_point="f",
    tests=(crl.CallTest((3,), [0, 1, 4]), crl.CallTest((4,), [0, 1, 4, 9])),
)
WRONG = "def f(n):\n    squares = [(i + 11) ** 2 for i in range(n)]\n    return squares"
RIGHT = "def f(n):\n    return [i * i for i in range(n)]"
RUN = {"model": "m", "problems": "p.jsonl", "output": "runs/a"}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, toy_kind.KIND.name, toy_kind.KIND)
    monkeypatch.setitem(BENCHMARKS, toy_benchmark.BENCHMARK.name, toy_benchmark.BENCHMARK)
    monkeypatch.setitem(BACKENDS, toy_backend.BACKEND.name, toy_backend.BACKEND)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A file of problems and one of programs, the first of which fails."""
    crl.write_jsonl(tmp_path / "problems.jsonl", [PROBLEM])
    rollouts = [
        crl.Rollout(rollout_id=str(number), problem_id="p", program=program)
        for number, program in enumerate((WRONG, RIGHT))
    ]
    crl.write_jsonl(tmp_path / "programs.jsonl", rollouts)
    return [str(tmp_path / "problems.jsonl"), str(tmp_path / "programs.jsonl")]


def command(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_new_kind_is_mined_asked_and_scored(files: list[str], tmp_path: Path) -> None:
    tasks, scores = tmp_path / "tasks.jsonl", tmp_path / "scores.jsonl"
    command("tasks", *files, "-o", str(tasks), "--kind", "length")
    (task,) = crl.read_jsonl(tasks, AlignmentTask)
    assert (task.kind, [target.value for target in task.targets]) == ("length", [len("[121, 144, 169]")])
    assert "- `length`: the number of characters of the output" in task.prompt
    assert crl.score_answer(task, crl.reference_answer(task)) == (1.0, {"length": True})
    assert crl.score_answer(task, '{"length": 14}') == (0.5, {"length": False})
    assert predicted('{"length": 14}', task) == {"length": "14"}
    (tmp_path / "answers.jsonl").write_text(json.dumps({"task_id": task.task_id, "answer": '{"length": 14}'}))
    summary = command("score", str(tasks), str(tmp_path / "answers.jsonl"), "-o", str(scores), "--json")
    assert json.loads(summary)["by_kind"]["length"]["mean_reward"] == 0.5


def test_a_new_kind_is_a_setting_of_a_run() -> None:
    config = make_config(RUN | {"alignment": {"kinds": {"length": 0.5, "output": 0.5}}})
    assert config.alignment is not None
    assert config.alignment.shares == {"length": 0.5, "output": 0.5}


def test_a_new_benchmark_is_evaluated(tmp_path: Path) -> None:
    (tmp_path / "times.jsonl").write_text('{"factor": 3}\n{"factor": 4}\n')
    samples = [
        {"question_id": f"times-{factor}", "completion": "```python\ndef f(x): return x * 3\n```"} for factor in (3, 4)
    ]
    (tmp_path / "samples.jsonl").write_text("\n".join(map(json.dumps, samples)))
    places = {"samples": tmp_path / "samples.jsonl", "data_dir": tmp_path, "output": tmp_path / "scores"}
    numbers = crl.evaluate("mine", ["times"], **places, workers=1)["benchmarks"]["times"]
    assert (numbers["pass@1"], numbers["problems"]) == (0.5, 2)


def test_a_new_back_end_judges_and_where_it_cannot_trace_mining_stays_local(files: list[str], tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    where = ["--backend", "noting", "--address", str(notes)]
    verdicts = json.loads(command("judge", *files, "-o", str(tmp_path / "verdicts.jsonl"), "--json", *where))
    assert verdicts["verdicts"] == {"passed": 1, "wrong_answer": 1}
    tasks = json.loads(command("tasks", *files, "-o", str(tmp_path / "tasks.jsonl"), "--json", *where))
    assert tasks["tasks"] == 1
    assert set(notes.read_text().split()) == {"coderlplus.judge.guest:run_calls"}


def test_asking_a_back_end_to_trace_that_cannot_is_an_error(tmp_path: Path) -> None:
    with open_sandbox("noting", address=str(tmp_path / "notes.txt")) as sandbox:
        with pytest.raises(crl.SandboxError, match="the back end noting judges programs but cannot trace them"):
            crl.trace(sandbox, "x = 1", crl.StdioInput(""))
        rollout = crl.Rollout(rollout_id="r", problem_id="p", program=WRONG)
        judged = crl.JudgedRollout(PROBLEM, rollout, WRONG, crl.Judge(sandbox).judge(PROBLEM, rollout))
        with pytest.raises(crl.SandboxError, match="cannot trace"):
            crl.mine(sandbox, [judged])


def test_a_new_back_end_is_a_setting_of_a_run() -> None:
    config = make_config(RUN | {"sandbox": {"backend": "noting", "address": "notes.txt"}})
    assert (config.sandbox.backend, config.sandbox.address) == ("noting", "notes.txt")
    with pytest.raises(crl.ConfigError, match="configuration: sandbox: the back end noting needs an address"):
        make_config(RUN | {"sandbox": {"backend": "noting"}})
    with pytest.raises(crl.ConfigError, match="unknown back end 'notting' of the sandbox; did you mean noting"):
        make_config(RUN | {"sandbox": {"backend": "notting"}})


def test_the_doctor_tries_a_back_end(tmp_path: Path) -> None:
    told = json.loads(command("doctor", "--json", "--backend", "noting", "--address", str(tmp_path / "notes.txt")))
    assert told["backend"]["a right program"] == "passed"
    assert told["backend"]["can trace"] == "no, mining stays local"


def test_a_run_judges_on_the_back_end_and_traces_here_where_that_cannot(tmp_path: Path) -> None:
    sandbox = make_config(RUN | {"sandbox": {"backend": "noting", "address": str(tmp_path / "notes.txt")}}).sandbox
    with sandbox.open(1) as there, tracing_sandbox(there, 1) as tracer, sandbox.open_for_tracing(1) as own:
        assert [one.backend for one in (there, tracer, own)] == ["noting", "local", "local"]
        assert crl.trace(tracer, "x = 1", crl.StdioInput("")).variables == {"<module>": {"x": 1}}
