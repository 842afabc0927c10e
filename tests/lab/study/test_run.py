"""Running jobs in processes of their own; what becomes of one that fails. (Stopping and going on:
tests/lab/test_study_command.py.)"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from coderlplus.errors import ConfigError, DataError
from coderlplus.records.files import held
from coderlplus_lab.study import job
from coderlplus_lab.study.folder import StudyFolder
from coderlplus_lab.study.loading import make_study
from coderlplus_lab.study.run import run_study
from coderlplus_lab.study.settings import Study


@pytest.fixture
def without_files(tmp_path: Path) -> Study:
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation", "test")}
    return make_study(
        {
            "name": "a",
            "seeds": [0],
            "problems": files,
            "initial_models": {"one": {"model": "here"}},
            "arms": {"start": {}},
        }
    )


def test_a_job_that_fails_is_told_with_what_it_said(without_files: Study, tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"problems failed: cannot read .*train.jsonl.*; full log: .*problems.txt; rerun the command to retry",
    ):
        run_study(without_files, tmp_path / "study", runs=[], jobs=2)
    assert "seconds" in json.loads((tmp_path / "study" / "problems" / "wall.json").read_text())
    assert not StudyFolder(tmp_path / "study").run("start", 0).exists()


def test_a_folder_in_which_another_process_works_is_left_alone(without_files: Study, tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(DataError, match=f"is being written by process {os.getpid()}"):
        run_study(without_files, tmp_path, runs=[], jobs=1)


def test_a_folder_that_cannot_be_made_is_told(without_files: Study, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="choose another output"):
        run_study(without_files, tmp_path / "file" / "study", runs=[], jobs=1)


def test_a_full_disk_is_told_in_a_sentence_and_the_other_jobs_are_stopped(
    without_files: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("coderlplus_lab.study.run.atomic_write", full)
    with pytest.raises(DataError, match=r"cannot write .*study.json: No space left on device; make room there, then"):
        run_study(without_files, tmp_path / "study", runs=[], jobs=1)


def test_a_time_that_cannot_be_noted_ends_nothing(
    without_files: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, data: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("coderlplus_lab.study.run.write_json", full)
    with pytest.raises(DataError, match="problems failed: cannot read"):
        run_study(without_files, tmp_path / "study", runs=[], jobs=1)
    assert "wall.json: No space left on device; " in capsys.readouterr().err


def test_a_job_on_a_full_disk_says_so(
    without_files: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").mkdir()
    StudyFolder(tmp_path).settings.write_text(without_files.model_dump_json())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/a")

    monkeypatch.setattr(job, "do", full)
    monkeypatch.setattr(job, "end_with", lambda parent: None)
    assert job.main(str(tmp_path), "run/start/0") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: runs/a: No space left on device"
