"""Reward functions and rows of one's own beside ours: through the YAML of a run, and through the class."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from coderlplus.cli import app
from coderlplus.engines.trl.config import make_config
from coderlplus.engines.trl.train import train
from coderlplus.errors import ConfigError, DataError

MODULE = """
import json
seen = []

def short(completions, record, **_):
    seen.extend(json.loads(one) for one in record)
    return [1.0 if len(completion[0]["content"]) < 20 else 0.0 for completion in completions]

given = []

def own(completions, record, answer, prompts, **_):
    given.extend(zip(record, answer, prompts))
    return [None if one is None else float(len(text[0]["content"]) % 2) for one, text in zip(answer, completions)]

def plain(completions, **_):
    return [0.5] * len(completions)

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"rewards_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def config_of(settings: dict[str, Any], **changes: Any) -> Any:
    trl = settings["trl"] | {"max_steps": 2, "save_strategy": "no"} | changes.pop("trl", {})
    return make_config(settings | {"output": "run", "trl": trl} | changes)


@pytest.mark.parametrize("dynamic", [0, 2])
def test_a_dotted_name_adds_its_reward_with_its_weight(settings: dict[str, Any], module: str, dynamic: int) -> None:
    import importlib

    names = [f"{module}.short", f"{module}:plain"]
    weights = {"reward_weights": [1.0, 0.0, 2.0]}
    done = train(config_of(settings, rewards=names, trl=weights, dynamic_sampling_rounds=dynamic))
    lines = [json.loads(line) for line in (done.path / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        assert 0 <= line["rewards/short/mean"] <= 1
        assert line["rewards/plain/mean"] == 0.5
        assert line["reward"] == pytest.approx(line["rewards/reward/mean"] + 2 * 0.5)
    seen = importlib.import_module(module).seen
    assert {"problem_id", "statement"} <= seen[0].keys()
    assert any("task_id" in record for record in seen)


def test_a_completion_without_a_verdict_has_no_reward_at_all(settings: dict[str, Any], module: str) -> None:
    sandbox = {"workers": 1, "timeout_s": 1e-6}
    done = train(config_of(settings, rewards=f"{module}.plain", sandbox=sandbox))
    lines = [json.loads(line) for line in (done.path / "metrics.jsonl").read_text().splitlines()]
    assert all("rewards/plain/mean" not in line for line in lines)
    assert all(line.get("reward", 0.0) == 0 for line in lines)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": "absent.short"}, "rewards: cannot import 'absent.short'"),
        ({"rewards": "{module}.absent"}, "rewards: cannot import"),
        ({"rewards": "{module}.number"}, "is no function, but int"),
        ({"rewards": "short"}, "rewards: cannot import 'short'"),
        ({"rewards": "{module}.short", "trl": {"reward_weights": [1.0]}}, "has 1 weight for 2 rewards"),
        ({"rewards": "{module}.short", "algorithm": "reinforce_plus_plus"}, "reinforce_plus_plus has one reward"),
    ],
    ids=str,
)
def test_what_would_not_count_is_refused(
    settings: dict[str, Any], module: str, changes: dict[str, Any], message: str
) -> None:
    changes = {key: value.format(module=module) if isinstance(value, str) else value for key, value in changes.items()}
    with pytest.raises(ConfigError, match=message):
        train(config_of(settings, **changes))
    assert not Path("run").exists()


ROWS = [{"prompt": f"say {number}", "answer": str(number)} for number in range(11)] + [
    {"prompt": [{"role": "system", "content": "be short"}, {"role": "user", "content": "say 11"}], "answer": "11"}
]


def run_lines(folder: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def groups_of_step(folder: Path, step: int) -> list[dict[str, Any]]:
    return [group for group in run_lines(folder, "samples.jsonl") if group["step"] == step]


def reward_of(line: dict[str, Any], groups: list[dict[str, Any]]) -> float:
    """The mean reward of a batch whose samples are inspected, with weights 1 for ours and 3 for the rows' own."""
    values = [
        3.0 * (len(sample["completion"]) % 2) if group["kind"] == "own" else sample["reward"]["value"]
        for group in groups
        for sample in group["samples"]
    ]
    return sum(values) / len(values) if values else line["reward"]


def check_own_rows(groups: list[dict[str, Any]], given: list[tuple[Any, ...]]) -> None:
    """Rows of one's own, problems and tasks share batches; each is rewarded by what is meant for it."""
    own = [group for group in groups if group["kind"] == "own"]
    assert own
    assert {group["kind"] for group in groups} > {"own", "generation"}
    for group in own:
        assert set(group["row"]) == {"row_id", "prompt", "columns"}
        earned = [(len(sample["completion"]) % 2, sample["advantage"]) for sample in group["samples"]]
        for (one, its), (other, others) in itertools.combinations(earned, 2):
            assert (one > other) == (its > others + 1e-6)
    assert {(record is None, answer is None) for record, answer, _ in given} == {(True, False), (False, True)}
    expected = {row["answer"]: row["prompt"] for row in ROWS}
    for _, answer, prompt in given:
        if answer is not None:
            said = expected[answer]
            assert prompt == ([{"role": "user", "content": said}] if isinstance(said, str) else said)


@pytest.mark.parametrize("algorithm", ["grpo", "rloo"])
@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_rows_of_ones_own_stand_beside_ours_in_a_run(
    settings: dict[str, Any], module: str, suffix: str, algorithm: str
) -> None:
    import importlib

    path, rows = Path(f"rows{suffix}"), ROWS
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        from datasets import Dataset

        rows = [row for row in ROWS if isinstance(row["prompt"], str)]
        Dataset.from_list(rows).to_parquet(path)
    trl = {"max_steps": 4, "reward_weights": [1.0, 3.0], "beta": 0.0}  # RLOO puts KL into rewards
    changes = {"rewards": f"{module}.own", "train_dataset": str(path), "samples_every": 2, "algorithm": algorithm}
    done = train(config_of(settings, **changes, trl=trl))
    check_own_rows(run_lines(done.path, "samples.jsonl"), importlib.import_module(module).given)
    lines = run_lines(done.path)
    assert all(0 <= line["rewards/own/mean"] <= 1 for line in lines if "length/own" in line)
    assert any("length/own" in line for line in lines)
    for line in lines:
        assert line["reward"] == pytest.approx(reward_of(line, groups_of_step(done.path, line["step"])), abs=1e-5)


def test_rows_of_ones_own_go_through_the_class_as_train_dataset(
    settings: dict[str, Any], tiny_model: Path, problems_file: Path, tmp_path: Path
) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import GRPOConfig

    from coderlplus.alignment import AlignmentConfig
    from coderlplus.engines.batches import ProblemStream
    from coderlplus.engines.run_folder import RunFolder
    from coderlplus.engines.steps import Steps
    from coderlplus.engines.trl.trainer import CodeRLPlusGRPO
    from coderlplus.judge import Judge
    from coderlplus.loop import AlignmentLoop
    from coderlplus.problems import read_problems
    from coderlplus.sandbox.backends import open_sandbox

    given: list[tuple[Any, ...]] = []

    def own(completions: list[Any], record: list[Any], answer: list[Any], prompts: list[Any], **_: Any) -> list[Any]:
        given.extend(zip(record, answer, prompts, strict=True))
        return [
            None if one is None else len(text[0]["content"]) % 2 for one, text in zip(answer, completions, strict=True)
        ]

    run = RunFolder(tmp_path)
    rows = [row for row in ROWS if isinstance(row["prompt"], str)]
    args = GRPOConfig(
        output_dir=str(tmp_path / "checkpoints"),
        reward_weights=[1.0, 0.5],
        use_cpu=True,
        **settings["trl"] | {"max_steps": 4, "save_strategy": "no"},
    )
    with open_sandbox(workers=1) as sandbox:
        judge = Judge(sandbox)
        loop = AlignmentLoop(AlignmentConfig(), sandbox, judge)
        trainer = CodeRLPlusGRPO(
            str(tiny_model),
            args=args,
            processing_class=AutoTokenizer.from_pretrained(tiny_model),
            steps=Steps(ProblemStream(read_problems(problems_file), seed=0), loop, run=run, samples_every=2),
            judge=judge,
            reward_funcs=[own],
            train_dataset=Dataset.from_list(rows),
        )
        trainer.train()
    check_own_rows(run_lines(run.path, "samples.jsonl"), given)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"promt": "x"}, "field 'prompt' is missing; did you mean it by 'promt'?"),
        ({"prompt": 3}, "field 'prompt' must be text or a list of chat messages, not '3'"),
        ({"prompt": ""}, "field 'prompt' is empty"),
        ({"prompt": []}, "field 'prompt' must be text or a list of chat messages"),
        (
            {"prompt": [{"role": "user"}]},
            "field 'prompt' must hold messages with the texts 'role' and 'content', not {'role'",
        ),
        (
            {"prompt": "x", "completions": 1},
            "the column 'completions' has the name of what reward functions get anyway",
        ),
        ({"prompt": "x", "record": 1}, "the column 'record' has the name"),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_used_is_named(
    settings: dict[str, Any], module: str, row: dict[str, Any], message: str
) -> None:
    Path("rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(DataError, match=re.escape(f"rows.jsonl:2: {message}")):
        train(config_of(settings, rewards=f"{module}.own", train_dataset="rows.jsonl"))
    assert not Path("run").exists()


@pytest.mark.parametrize("changes", [{}, {"rewards": "{module}.own", "algorithm": "reinforce_plus_plus"}], ids=str)
def test_rows_without_a_reward_are_refused(settings: dict[str, Any], module: str, changes: dict[str, Any]) -> None:
    changes = {key: value.format(module=module) for key, value in changes.items()}
    Path("rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    with pytest.raises(ConfigError, match=r"rows of train_dataset would have no reward|has one reward"):
        train(config_of(settings, train_dataset="rows.jsonl", **changes))


def test_other_rows_are_noticed_when_a_run_is_continued(settings: dict[str, Any], module: str) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    changes: dict[str, Any] = {"rewards": f"{module}.own", "train_dataset": "rows.jsonl"}
    train(config_of(settings, **changes))
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[:-1]))
    with pytest.raises(ConfigError, match=r"begun with other contents of rows.jsonl"):
        train(config_of(settings, **changes))


def test_dynamic_sampling_leaves_rows_of_ones_own_where_they_are(settings: dict[str, Any], module: str) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    changes = {"rewards": f"{module}.own", "train_dataset": "rows.jsonl", "samples_every": 2}
    done = train(config_of(settings, **changes, dynamic_sampling_rounds=2, trl={"max_steps": 4}))
    groups = run_lines(done.path, "samples.jsonl")
    assert any(group["kind"] == "own" for group in groups)
    assert not any(group["kind"] == "own" and group.get("replaced") for group in groups)


def test_other_commands_pass_over_rows_of_ones_own(settings: dict[str, Any], module: str) -> None:
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    changes = {"rewards": f"{module}.own", "train_dataset": "rows.jsonl", "samples_every": 2}
    done = train(config_of(settings, **changes, trl={"max_steps": 4}))
    samples = str(done.path / "samples.jsonl")
    for arguments in (
        ["judge", settings["problems"], samples, "-o", "verdicts.jsonl"],
        ["tasks", settings["problems"], samples, "-o", "tasks.jsonl"],
        ["score", samples, samples, "-o", "scores.jsonl"],
        ["report", str(done.path)],
        ["trace", "--verdict", samples],
    ):
        result = CliRunner().invoke(app, [str(one) for one in arguments])
        assert result.exit_code == 0, (arguments, result.output, result.exception)
