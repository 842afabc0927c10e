"""Rows go through in bounded memory, from wherever a source lies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coderlplus.preparation import run
from coderlplus.preparation.contamination import EvaluationTexts
from coderlplus.preparation.run import Settings
from coderlplus.preparation.sources import files_of
from coderlplus.problems.files import FileRow
from coderlplus.problems.formats import format_of
from coderlplus.sandbox import Sandbox


def test_rows_are_taken_no_faster_than_they_are_finished(sandbox: Sandbox) -> None:
    ahead = most = 0

    def rows() -> Iterator[tuple[int, FileRow, Any]]:
        nonlocal ahead, most
        for number in range(300):
            row = FileRow(
                {
                    "question": f"q{number}",
                    "problem_id": number,
                    "input_output": '{"inputs": ["1"], "outputs": ["2"]}',
                },
                f"row {number}",
            )
            ahead += 1
            most = max(most, ahead)
            yield number, row, format_of(row)

    finished = []
    for number, _ in run._done(rows(), sandbox, Settings(), EvaluationTexts(())):
        ahead -= 1
        finished.append(number)
    assert sorted(finished) == list(range(300))
    assert most <= run._IN_FLIGHT * sandbox.workers


def test_a_name_on_the_hub_is_its_training_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    for name in ("data/train-2.parquet", "data/train-1.jsonl", "data/train.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({}))
    asked: list[Any] = []

    def snapshot(dataset: str, *, repo_type: str, allow_patterns: list[str]) -> str:
        asked.append((dataset, repo_type, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    assert [path.name for path in files_of("some/set")] == ["train-1.jsonl", "train-2.parquet"]
    ((dataset, kind, patterns),) = asked
    assert (dataset, kind) == ("some/set", "dataset")
    assert all("train" in pattern for pattern in patterns)


def test_a_folder_without_training_files_is_all_its_files(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/x.json.gz", "readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in files_of(str(tmp_path))] == ["x.json.gz", "b.jsonl"]
