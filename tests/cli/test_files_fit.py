"""What one command writes the next reads: every writer beside every reader."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from coderlplus.alignment import AlignmentConfig, JudgedRollout, mine
from coderlplus.cli import app
from coderlplus.engines.batches import Group, ScoredSample
from coderlplus.engines.generation import Generation, Round, sample_lines
from coderlplus.judge import Judge
from coderlplus.records import AlignmentTask, CallTest, Problem, Reward, Rollout, StdioTest, write_jsonl
from coderlplus.sandbox import Sandbox

WRONG = "def f(x):\n    y = x * 2\n    return y"
RIGHT = "def f(x):\n    return x + 1"
PROBLEMS = [
    Problem(
        problem_id=f"Set/{n}",
        statement=f"Write f that adds {n}.",
        entry_point="f",
        tests=(CallTest((5,), 5 + n), CallTest((1,), 1 + n)),
        reference=f"def f(x):\n    return x + {n}",
    )
    for n in (1, 2, 3)
]
PROGRAMS = [RIGHT, WRONG, WRONG.replace("* 2", "* 3")]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of every writer, on three problems: the first program is right, two are wrong."""
    folder = tmp_path_factory.mktemp("work")
    write_jsonl(folder / "problems.jsonl", PROBLEMS)
    pairs = list(zip(PROBLEMS, PROGRAMS, strict=True))
    rollouts = [Rollout(rollout_id=f"r{n}", problem_id=p.problem_id, program=t) for n, (p, t) in enumerate(pairs)]
    write_jsonl(folder / "programs.jsonl", rollouts)
    ids = [problem.problem_id for problem in PROBLEMS]
    (folder / "evalplus.jsonl").write_text(
        lines([{"task_id": i, "solution": t} for i, t in zip(ids, PROGRAMS, strict=True)])
    )
    said = [f"Here it is:\n```python\n{t}\n```" for t in PROGRAMS]
    (folder / "bigcode.jsonl").write_text(
        lines([{"task_id": i, "completion": t} for i, t in zip(ids, said, strict=True)])
    )
    listed = [{"question_id": i, "code_list": [t]} for i, t in zip(ids, PROGRAMS, strict=True)]
    (folder / "livecodebench.json").write_text(json.dumps(listed))
    (folder / "custom_output.json").write_text(json.dumps([[t] for t in PROGRAMS]))
    for n, text in enumerate(PROGRAMS, 1):
        (folder / "folders" / f"Set_{n}").mkdir(parents=True)
        (folder / "folders" / f"Set_{n}" / "0.py").write_text(text)
    _run_of_training(folder, rollouts)
    (folder / "answers.jsonl").write_text(lines([{"task_id": t["task_id"], "answer": "no"} for t in tasks(folder)]))
    done = invoke(
        *("eval", "--samples", folder / "evalplus.jsonl", "--benchmarks", folder / "problems.jsonl"),
        *("-o", folder / "eval"),
    )
    assert done.exit_code == 0, done.output
    assert (
        invoke("judge", folder / "problems.jsonl", folder / "programs.jsonl", "-o", folder / "judged.jsonl").exit_code
        == 0
    )
    return folder


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def tasks(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "tasks.jsonl").read_text().splitlines()]


def _run_of_training(folder: Path, rollouts: list[Rollout]) -> None:
    """`run/samples.jsonl` as a run writes it, two samples a problem, and two answers to a task of their failures."""
    with Sandbox(workers=1) as sandbox:
        pairs = list(zip(PROBLEMS, rollouts, strict=True))
        verdicts = Judge(sandbox).judge_many(pairs)
        judged = [JudgedRollout(p, r, r.program, v) for (p, r), v in zip(pairs, verdicts, strict=True)]
        mined = mine(sandbox, judged, settings=AlignmentConfig(), seed=0)
    write_jsonl(folder / "tasks.jsonl", mined.tasks)
    groups = []
    for (problem, rollout), verdict in zip(pairs, verdicts, strict=True):
        reward = Reward(kind="generation", value=float(verdict.passed), program=rollout.program, verdict=verdict)
        text = f"```python\n{rollout.program}\n```"
        groups.append(
            Group(row=problem, samples=(ScoredSample(completion=text, reward=reward, tokens=9, clipped=False),) * 2)
        )
    answer = Reward(kind=mined.tasks[0].kind, value=0.0)
    said = ScoredSample(completion='{"output": 0}', reward=answer, tokens=9, clipped=False)
    groups.append(Group(row=mined.tasks[0], samples=(said, said)))
    rows = [group.row for group in groups]
    generation = Generation(step=1, rounds=[Round(rows, 0, groups)], places=[(0, n) for n in range(4)])
    (folder / "run").mkdir()
    (folder / "run" / "samples.jsonl").write_text(lines(list(sample_lines(generation, [0.0] * 8, lambda row: "p"))))
    (folder / "run" / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n')


def invoke(*arguments: Any) -> Result:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


WRITERS = {
    "programs": "programs.jsonl",
    "eval completions": "eval/problems/completions.jsonl",
    "eval verdicts": "eval/problems/verdicts.jsonl",
    "training samples": "run/samples.jsonl",
    "evalplus": "evalplus.jsonl",
    "evalplus folder": "folders",
    "completions by id": "bigcode.jsonl",
    "livecodebench": "livecodebench.json",
    "livecodebench custom": "custom_output.json",
}
every_writer = pytest.mark.parametrize("file", WRITERS.values(), ids=WRITERS)


@every_writer
@pytest.mark.parametrize("command", ["judge", "tasks"])
def test_judge_and_tasks_read_the_samples_of_every_writer(command: str, file: str, work: Path, tmp_path: Path) -> None:
    done = invoke(command, work / "problems.jsonl", work / file, "--json", "-o", tmp_path / "out.jsonl")
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    samples = 6 if "run" in file else 3
    assert summary["programs"] == samples
    assert summary["verdicts"] == {"passed": samples // 3, "wrong_answer": 2 * samples // 3}
    if command == "tasks":
        assert summary["tasks"] > 0


@every_writer
def test_eval_reads_the_samples_of_every_writer(file: str, work: Path, tmp_path: Path) -> None:
    done = invoke(
        *("eval", "--samples", work / file, "--benchmarks", work / "problems.jsonl", "--json", "-o", tmp_path / "out")
    )
    numbers = json.loads(done.stdout)["benchmarks"]["problems"]
    assert numbers["pass@1"] == pytest.approx(1 / 3)


@every_writer
def test_trace_opens_on_the_failed_sample_of_every_writer(file: str, work: Path, tmp_path: Path) -> None:
    place = (
        [work / file] if "verdict" in file or "run" in file else [work / file, "--problems", work / "problems.jsonl"]
    )
    if "verdict" in file:  # in the order in which they came
        place = [f"{work / file}:Set/2"]
    page = tmp_path / "trace.html"
    done = invoke("trace", "--verdict", *place, "--html", page, "--steps")
    assert done.exit_code == 0, done.output
    assert "wrong answer, test 1 of 2" in done.output
    assert re.search(r"expected +7\b", done.output)
    assert re.search(r"actual +10\b", done.output)
    assert re.search(r'"expected": ?"7", ?"actual": ?"10"', page.read_text())


def test_a_sample_is_named_by_its_number_or_its_name(work: Path) -> None:
    verdicts = work / "judged.jsonl"
    names = [json.loads(line)["rollout_id"] for line in verdicts.read_text().splitlines()]
    for place in (names.index("r2") + 1, "r2"):
        assert re.search(r"expected +8\b", invoke("trace", "--verdict", f"{verdicts}:{place}").output)
    assert re.search(
        r"expected +8\b", invoke("trace", "--sample", f"{work}/eval/problems/verdicts.jsonl:Set/3").output
    )
    assert re.search(r"expected +8\b", invoke("trace", "--sample", f"{work}/run/samples.jsonl:1-2-0").output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{work}/judged.jsonl:r0"], "sample 'r0' of .* passed, so there is no failure to look at"),
        (["{work}/judged.jsonl:9"], "has no sample '9'; name one by its number or name"),
        (["{work}/absent.jsonl:9"], "cannot read .*absent.jsonl"),
        (["{work}/evalplus.jsonl:2"], "holds no verdicts; add --problems FILE, and the sample is judged"),
        (["{work}/judged.jsonl", "--task", "{work}/tasks.jsonl"], "exclude each other"),
    ],
)
def test_what_cannot_be_traced_is_one_sentence(arguments: list[str], message: str, work: Path) -> None:
    from coderlplus.errors import CodeRLPlusError

    with pytest.raises(CodeRLPlusError, match=message):
        invoke("trace", "--verdict", *(one.format(work=work) for one in arguments))


@pytest.mark.parametrize("of_tasks", ["tasks.jsonl", "run/samples.jsonl"])
@pytest.mark.parametrize("of_answers", ["answers.jsonl", "run/samples.jsonl"])
def test_score_reads_tasks_and_answers_of_every_writer(
    of_tasks: str, of_answers: str, work: Path, tmp_path: Path
) -> None:
    done = invoke("score", work / of_tasks, work / of_answers, "--json", "-o", tmp_path / "scores.jsonl")
    assert json.loads(done.stdout)["answers"] >= 1


def test_an_answer_of_a_run_is_shown_beside_the_true_values(work: Path) -> None:
    done = invoke("trace", "--verdict", f"{work}/run/samples.jsonl:1-3-0")
    assert "predicted" in done.output
    assert "wrong" in done.output


@pytest.mark.parametrize(
    "place",
    ["eval", "eval/results.json", "eval/problems/verdicts.jsonl", "run", "run/samples.jsonl", "run/metrics.jsonl"],
)
def test_report_takes_runs_and_evaluations_and_their_files(place: str, work: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert invoke("report", work / place, "-o", page).exit_code == 0
    shown = page.read_text()
    assert "traceCommand" in shown
    assert ("Evaluation" in shown) == place.startswith("eval")


def test_the_command_on_the_page_of_an_evaluation_works(work: Path) -> None:
    page = (work / "eval" / "index.html").read_text()
    assert f'"folder": "{work / "eval"}"' in page or f'"folder":"{work / "eval"}"' in page
    done = invoke("trace", "--verdict", f"{work / 'eval'}/problems/verdicts.jsonl:Set/2#0", "--json")
    assert json.loads(done.stdout)["value"] == 10


@pytest.mark.parametrize("file", ["tasks.jsonl", "run/samples.jsonl"])
def test_trace_reads_the_tasks_of_every_writer(file: str, work: Path) -> None:
    assert "returned" in invoke("trace", "--task", work / file).output


def test_problems_are_read_from_the_samples_of_a_run(work: Path, tmp_path: Path) -> None:
    samples = work / "run" / "samples.jsonl"
    done = invoke("judge", samples, samples, "--json", "-o", tmp_path / "out.jsonl")
    assert json.loads(done.stdout)["programs"] == 6


def test_standard_input_is_shown_beside_what_was_expected(tmp_path: Path) -> None:
    problem = Problem(problem_id="p", statement="Add 1.", tests=(StdioTest("2\n", "3\n"),))
    write_jsonl(tmp_path / "problems.jsonl", [problem])
    write_jsonl(tmp_path / "programs.jsonl", [Rollout(rollout_id="r", problem_id="p", program="print(input() * 2)")])
    done = invoke("trace", "--verdict", tmp_path / "programs.jsonl", "--problems", tmp_path / "problems.jsonl")
    assert re.search(r"expected +3\b", done.output)
    assert re.search(r"actual +22\b", done.output)


def test_tasks_of_a_run_are_those_that_were_written(work: Path) -> None:
    from coderlplus.problems import read_tasks

    written = [AlignmentTask.from_json(one) for one in tasks(work)]
    assert read_tasks(work / "run" / "samples.jsonl") == written[:1]
    assert read_tasks(work / "tasks.jsonl") == written


def test_eval_takes_a_file_of_tasks_as_a_benchmark(work: Path, tmp_path: Path) -> None:
    from coderlplus.alignment.scoring import reference_answer

    written = [AlignmentTask.from_json(one) for one in tasks(work)]
    right, wrong = reference_answer(written[0]), '{"output": 0}'
    rows = [{"task_id": written[0].task_id, "completion": right}, {"task_id": written[1].task_id, "completion": wrong}]
    (tmp_path / "answers.jsonl").write_text(lines(rows))
    done = invoke(
        *("eval", "--samples", tmp_path / "answers.jsonl", "--benchmarks", work / "tasks.jsonl", "--json"),
        *("-o", tmp_path / "out"),
    )
    numbers = json.loads(done.stdout)["benchmarks"]["tasks"]
    assert numbers["accuracy"] == 0.5
    assert numbers["outcomes"] | {"passed": 1, "wrong": 1} == numbers["outcomes"]
    verdicts = tmp_path / "out" / "tasks" / "verdicts.jsonl"
    shown = invoke("trace", "--verdict", f"{verdicts}:{written[1].task_id}").output
    assert "0, not " in shown
    assert "y" in shown  # the run that was asked about
    scored = invoke(
        "score",
        work / "tasks.jsonl",
        verdicts.with_name("completions.jsonl"),
        "--json",
        "-o",
        tmp_path / "scores.jsonl",
    )
    assert json.loads(scored.stdout)["all_right"] == 0.5
