"""Tasks as data sets for others: what is loaded again scores as the task says, and nothing reaches the network."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

import coderlplus as crl
from coderlplus.cli import app
from coderlplus.errors import CodeRLPlusError, ConfigError, DataError
from coderlplus.exports import hub, rationales, rows
from coderlplus.exports.rationales import rationale_rows
from coderlplus.exports.rows import task_row

PROBLEMS = [
    crl.Problem(problem_id="sum", statement="Sum of a list.", entry_point="f", tests=(crl.CallTest(([1, 2, 4],), 7),)),
    crl.Problem(problem_id="twice", statement="Twice a number.", tests=(crl.StdioTest("3\n", "6\n"),)),
]
PROGRAMS = {
    "loop": ("sum", "def f(a):\n    s = 0\n    for x in a:\n        if x > 1:\n            s = s + x\n    return s"),
    "nested": ("sum", "def g(n):\n    return n * 2\n\ndef f(a):\n    b = {i: g(i) for i in a}\n    return tuple(b)"),
    "raises": ("sum", "def f(a):\n    b = len(a)\n    return a[b]"),
    "square": ("twice", "n = int(input())\nm = n * n\nprint(m)"),
    "two prints": ("twice", "n = input()\nprint(n)\nfor i in range(2):\n    print(i, n)"),
    "dies": ("twice", "n = input()\nprint(n)\nprint(n + 1)"),
    "right": ("twice", "print(2 * int(input()))"),
}
ROLLOUTS = [
    crl.Rollout(rollout_id=name, problem_id=problem, program=program) for name, (problem, program) in PROGRAMS.items()
]
KINDS = ("final_values", "output", "official", "exception", "state_at", "branch")


@pytest.fixture(scope="module")
def tasks() -> list[crl.AlignmentTask]:
    """Tasks of all kinds and both ways to run a program."""
    by_id = {problem.problem_id: problem for problem in PROBLEMS}
    with crl.open_sandbox(workers=1) as sandbox:
        verdicts = crl.Judge(sandbox).judge_many([(by_id[one.problem_id], one) for one in ROLLOUTS])
        judged = [
            crl.JudgedRollout(by_id[one.problem_id], one, str(one.program), verdict)
            for one, verdict in zip(ROLLOUTS, verdicts, strict=True)
        ]
        made = [
            task
            for kind in KINDS
            for task in crl.mine(sandbox, judged, settings=crl.AlignmentConfig(kinds=kind), seed=0).tasks
        ]
    assert {task.kind for task in made} == set(KINDS)
    return made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    crl.write_jsonl(tmp_path / "problems.jsonl", PROBLEMS)
    crl.write_jsonl(tmp_path / "programs.jsonl", ROLLOUTS)
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(
            app, ["tasks", "problems.jsonl", "programs.jsonl", "-o", "tasks.jsonl", *arguments]
        )
        if isinstance(result.exception, CodeRLPlusError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result

    return invoke


def loaded(tmp_path: Path, *which: str) -> list[dict[str, Any]]:
    datasets = pytest.importorskip("datasets")
    return list(datasets.load_dataset(*which, split="train", cache_dir=str(tmp_path / "cache")))


def test_a_row_has_the_columns_that_are_documented(tasks: list[crl.AlignmentTask]) -> None:
    for task in tasks:
        assert set(task_row(task)) == set(rows.COLUMNS)


def test_the_answer_of_every_row_scores_one_and_its_record_is_the_task(tasks: list[crl.AlignmentTask]) -> None:
    for task in tasks:
        row = task_row(task)
        assert crl.AlignmentTask.from_json(json.loads(row["record"])) == task
        assert crl.alignment_reward()(completions=[row["answer"]], record=[row["record"]]) == [1.0]
        assert row["prompt"][-1] == {"role": "user", "content": task.prompt}


def test_every_rationale_ends_with_an_answer_that_scores_one(tasks: list[crl.AlignmentTask]) -> None:
    with crl.open_sandbox(workers=1) as sandbox:
        made, rejects = rationale_rows(sandbox, tasks)
    assert (len(made), rejects) == (len(tasks), {})
    for task, row in zip(tasks, made, strict=True):
        assert set(row) == set(rationales.COLUMNS)
        (message,) = row["completion"]
        assert crl.score_answer(task, message["content"])[0] == 1.0
        assert crl.Trace.from_json(json.loads(row["trace"])).steps


def test_a_rationale_tells_the_run(tasks: list[crl.AlignmentTask]) -> None:
    task = next(task for task in tasks if task.rollout_id == "loop" and task.kind == "output")
    with crl.open_sandbox(workers=1) as sandbox:
        ((row,), _) = rationale_rows(sandbox, [task])
    assert row["completion"][0]["content"].splitlines() == [
        "line 1: def f(a):",
        "  line 1: def f(a): → a = [1, 2, 4]",
        "  line 2: s = 0 → s = 0",
        "  line 3: for x in a: → x = 1",
        "  line 4: if x > 1:",
        "  line 3: for x in a: → x = 2",
        "  line 4: if x > 1:",
        "  line 5: s = s + x → s = 2",
        "  line 3: for x in a: → x = 4",
        "  line 4: if x > 1:",
        "  line 5: s = s + x → s = 6",
        "  line 6: return s",
        "It returns 6.",
        "",
        '{"output": 6}',
    ]


def test_runs_that_are_long_change_or_are_hidden_have_no_rationale() -> None:
    def task(program: str, output: Any) -> crl.AlignmentTask:
        targets = (crl.Target(label="output", value=output),)
        return crl.AlignmentTask(
            task_id="t", kind="output", prompt="?", program=program, input=crl.CallInput("f", ()), targets=targets,
            problem_id="p", rollout_id="r",
        )  # fmt: skip

    programs = [
        task("def f():\n    for i in range(500): pass\n    return i", 499),
        task("def f():\n    s = 'x' * 400\n" + "".join(f"    a{n} = s\n" for n in range(40)) + "    return 1", 1),
        task("def f():\n    return hash('a') % 1000003", 1),
        task("import sys\ndef f():\n    sys._getframe().f_locals\n    return 1", 1),
        task("def f():\n    return 2", 3),
    ]
    with crl.open_sandbox(workers=1) as sandbox:
        made, rejects = rationale_rows(sandbox, programs)
    assert made == []
    assert rejects == {"long": 2, "nondeterministic": 1, "withheld": 1, "differs": 1}


def test_parquet_beside_the_tasks_is_loaded_by_datasets(run: Any, tmp_path: Path) -> None:
    run("--parquet", "--rationales")
    tasks = list(crl.read_jsonl(tmp_path / "tasks.jsonl", crl.AlignmentTask))
    found = loaded(tmp_path, "parquet", "default", None, str(tmp_path / "tasks.parquet"))
    assert found == [task_row(task) for task in tasks]
    worked = loaded(tmp_path, "parquet", "default", None, str(tmp_path / "tasks.rationales.parquet"))
    assert [row["task_id"] for row in worked] == [task.task_id for task in tasks]


def test_exports_can_follow_tasks_that_are_finished(run: Any, tmp_path: Path) -> None:
    run()
    before = (tmp_path / "tasks.jsonl").read_bytes()
    run("--parquet")
    assert (tmp_path / "tasks.jsonl").read_bytes() == before
    assert (tmp_path / "tasks.parquet").exists()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """A hub that notes what it is sent."""
    library = pytest.importorskip("huggingface_hub")
    sent: list[tuple[Any, ...]] = []

    class Api:
        def create_repo(self, name: str, **how: Any) -> str:
            sent.append(("repo", name, how))
            return f"hub/{name}"

        def create_commit(self, name: str, operations: list[Any], **how: Any) -> None:
            sent.append(("commit", name, {one.path_in_repo: one.path_or_fileobj for one in operations}, how))

    monkeypatch.setattr(library, "HfApi", Api)
    return sent


def test_a_dry_run_writes_and_prints_what_a_push_sends(run: Any, tmp_path: Path, no_hub: list[Any]) -> None:
    said = run("--rationales", "--push-to-hub", "me/failures", "--dry-run").stderr
    assert no_hub == []
    folder = tmp_path / "tasks.hub"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"README.md", "data/tasks.parquet", "data/problems.parquet", "data/rationales.parquet"}
    for name in files:
        assert f"{name}: {(folder / name).stat().st_size:,} bytes" in said
    assert "# failures" in said
    before = {name: (folder / name).read_bytes() for name in files}

    run("--rationales", "--push-to-hub", "me/failures")
    (_, name, how), (_, _, sent, _) = no_hub
    assert (name, how["repo_type"], how["private"]) == ("me/failures", "dataset", True)
    assert {path: Path(local).read_bytes() for path, local in sent.items()} == before


def test_the_folder_is_loaded_by_datasets_and_its_lineage_closes(run: Any, tmp_path: Path) -> None:
    run("--rationales", "--push-to-hub", "me/failures", "--dry-run")
    folder = str(tmp_path / "tasks.hub")
    tasks, problems, worked = (loaded(tmp_path, folder, part) for part in ("tasks", "problems", "rationales"))
    assert loaded(tmp_path, folder) == tasks
    by_id = {json.loads(row["record"])["problem_id"] for row in problems}
    assert {row["problem_id"] for row in tasks} <= by_id
    assert {row["rollout_id"] for row in tasks} <= {rollout.rollout_id for rollout in ROLLOUTS}
    assert {row["task_id"] for row in worked} <= {row["task_id"] for row in tasks}
    assert [crl.Problem.from_json(json.loads(row["record"])) for row in problems] == PROBLEMS


def test_the_card_lists_what_is_there_and_its_snippet_is_python(run: Any, tmp_path: Path) -> None:
    run("--push-to-hub", "me/failures", "--dry-run")
    text = (tmp_path / "tasks.hub" / "README.md").read_text(encoding="utf-8")
    _, metadata, body = text.split("---\n", 2)
    configs = yaml.safe_load(metadata)["configs"]
    assert [config["config_name"] for config in configs] == ["tasks", "problems"]
    for config in configs:
        assert (tmp_path / "tasks.hub" / config["data_files"][0]["path"]).exists()
    ast.parse(body.split("```python\n")[1].split("```")[0])
    for column in rows.COLUMNS:
        assert f"`{column}`" in body


def test_what_a_run_before_left_is_not_pushed(run: Any, tmp_path: Path, no_hub: list[Any]) -> None:
    run("--rationales", "--push-to-hub", "me/failures", "--dry-run")
    run("--push-to-hub", "me/failures")
    assert set(no_hub[1][2]) == {"README.md", "data/tasks.parquet", "data/problems.parquet"}
    assert not (tmp_path / "tasks.hub" / "data" / "rationales.parquet").exists()


def test_a_hub_that_refuses_is_one_sentence_and_the_files_stay(
    run: Any, tmp_path: Path, no_hub: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("401 Client Error\nInvalid token")

    monkeypatch.setattr(sys.modules["huggingface_hub"].HfApi, "create_repo", refuse)  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=r"cannot push me/failures .*401 Client Error Invalid token.*hf auth login"):
        run("--push-to-hub", "me/failures")
    assert (tmp_path / "tasks.hub" / "README.md").exists()


@pytest.mark.parametrize("field", ["statement", "problem_id"])
def test_text_that_is_no_unicode_costs_its_own_row(run: Any, tmp_path: Path, field: str, no_hub: list[Any]) -> None:
    odd = replace(PROBLEMS[0], **{field: f"odd {chr(0xD800)}"})
    crl.write_jsonl(tmp_path / "problems.jsonl", [odd, *PROBLEMS[1:]])
    first = PROBLEMS[0].problem_id
    rollouts = [replace(one, problem_id=odd.problem_id) if one.problem_id == first else one for one in ROLLOUTS]
    crl.write_jsonl(tmp_path / "programs.jsonl", rollouts)
    result = run("--parquet", "--rationales", "--push-to-hub", "me/failed", "--dry-run")
    assert "a text in it is no Unicode" in result.output
    assert list(tmp_path.rglob("problems.parquet"))


@pytest.mark.parametrize("name", ["failures", "a/b/c", "../b", "a/", "a b/c", "-a/b", ""])
def test_a_name_that_the_hub_does_not_have_is_refused_before_the_work(run: Any, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="must be owner/name"):
        run(f"--push-to-hub={name}", "--dry-run")
    assert not (tmp_path / "tasks.jsonl").exists()


def test_a_dry_run_of_nothing_is_refused(run: Any) -> None:
    with pytest.raises(ConfigError, match="--dry-run is for --push-to-hub"):
        run("--dry-run")


def test_without_pyarrow_the_way_out_is_named(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match="pip install pyarrow"):
        run("--parquet")


def test_a_data_set_without_tasks_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no task"):
        hub.write_folder(tmp_path / "x", "me/x", PROBLEMS, [], None, {})
